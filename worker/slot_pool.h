// Turns for the requests to one account's service: asks the scheduler for
// slots, many at once, lets each request pass when its slot is due, and reports
// what the service said.
//
// A refusal (429) is obeyed here at once: slots that were handed out before it
// are void. Requests that wait keep their order within class and purpose.
#ifndef MIDWATCH_WORKER_SLOT_POOL_H_
#define MIDWATCH_WORKER_SLOT_POOL_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "agents/request_gate.h"
#include "base/clock.h"
#include "base/executor.h"
#include "worker/scheduler_client.h"

namespace midwatch {

class SlotPool final : public RequestGate {
 public:
  // All outlive the pool. Destroy it only after its executor has stopped.
  SlotPool(Executor& executor, const Clock& clock, SchedulerClient& scheduler,
           std::string account);

  // The slot that came with a grant. Whichever create is next uses it; one
  // that nobody has used 5 s after it was due is void.
  void AddCreate(absl::Duration after);

  Async<absl::Status> Pass(RequestClass request_class, RequestPurpose purpose,
                           absl::Duration within) override;
  void Note(RequestClass request_class, int http_status,
            std::optional<absl::Duration> retry_after) override;

 private:
  using Done = absl::AnyInvocable<void(absl::Status)>;
  using LineKey = std::pair<RequestClass, RequestPurpose>;
  struct Waiter {
    Done done;
    Executor::TimerId give_up = 0;
  };
  // Requests of one class and purpose.
  struct Line {
    std::map<uint64_t, Waiter> waiters;  // in their order
    size_t due = 0;                      // slots for these, not yet due
    bool asking = false;
  };
  // All requests of one class.
  struct ClassState {
    absl::Duration free_until = -absl::InfiniteDuration();  // needs no slots
    absl::Duration stopped_until = -absl::InfiniteDuration();
    int refusals = 0;  // slots of before the last one are void
    int accepted = 0;  // and what follows: not reported yet
    int troubled = 0;
    int refused = 0;
    std::optional<absl::Duration> retry_after;
  };

  bool Free(RequestClass request_class) const;
  // Waits for a slot that came with a grant; false where there is none.
  Async<bool> PassWithGrant();
  void Enter(LineKey key, absl::Duration within, Done done);
  void LetPass(LineKey key);
  // Asks until every waiter of the line has a slot.
  static Async<void> Ask(SlotPool& self, LineKey key);
  // Returns how long to wait before asking again.
  absl::Duration Deal(LineKey key, const v1::SlotGrant& grant);
  static Async<void> Report(SlotPool& self);
  // Sees to it that what was noted is reported soon, also where nobody asks.
  void PlanReport();
  void AddReports(v1::AskSlotsRequest& request);

  Executor& executor_;
  const Clock& clock_;
  SchedulerClient& scheduler_;
  const std::string account_;
  std::map<LineKey, Line> lines_;
  std::map<RequestClass, ClassState> classes_;
  std::vector<absl::Duration> creates_;  // when, on the steady clock
  uint64_t next_waiter_ = 1;
  bool report_planned_ = false;
};

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_SLOT_POOL_H_
