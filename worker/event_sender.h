#ifndef MIDWATCH_WORKER_EVENT_SENDER_H_
#define MIDWATCH_WORKER_EVENT_SENDER_H_

#include <deque>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/coro.h"
#include "base/executor.h"
#include "worker/scheduler_client.h"

namespace midwatch {

// Sends the events of a worker's attempts to the scheduler, those of several
// attempts in one call: what comes while a call is under way goes with the
// next one. A busy worker so pays for few calls, an idle one waits for none,
// and the answers that it has yet to deal with stay few, so that its renewals
// do not stand behind thousands of them.
//
// Shared between its owner and the coroutine that sends, which may outlast it.
class EventSender : public std::enable_shared_from_this<EventSender> {
 public:
  // Of one call, but for a single attempt's events that are more. The proto's
  // bounds are larger.
  static constexpr int kAttemptsMax = 512;
  static constexpr size_t kCallBytes = 8 << 20;
  // Of one attempt's events, as the scheduler takes them.
  static constexpr size_t kAttemptBytesMax = (32 << 20) - (64 << 10);

  // Both outlive the executor's tasks.
  EventSender(Executor& executor, SchedulerClient& scheduler)
      : executor_(executor), scheduler_(scheduler) {}

  // Answers with how many events of the attempt are stored now. Errors are
  // those of AppendEvents, for this attempt alone, and those of the call;
  // kInvalidArgument: they are too many bytes.
  Async<absl::StatusOr<int64_t>> Send(v1::AttemptEvents events);

 private:
  using Done = absl::AnyInvocable<void(absl::StatusOr<int64_t>)>;
  struct Waiting {
    v1::AttemptEvents events;
    Done done;
  };

  static Async<void> Run(std::shared_ptr<EventSender> self);

  Executor& executor_;
  SchedulerClient& scheduler_;
  std::deque<Waiting> waiting_;
  bool running_ = false;
};

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_EVENT_SENDER_H_
