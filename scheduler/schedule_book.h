// Fires schedules: asks the store what is due, and submits it.
//
// A firing is durable (OPENING) before anything of its batch is, and its batch
// is submitted step by step under a request_id that follows from the schedule
// and the firing. So whoever starts after a death says the same steps again,
// and those that were taken change nothing.
#ifndef MIDWATCH_SCHEDULER_SCHEDULE_BOOK_H_
#define MIDWATCH_SCHEDULER_SCHEDULE_BOOK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "midwatch/v1/batch_service.pb.h"
#include "scheduler/reply.h"
#include "scheduler/to_proto.h"
#include "store/store.h"

namespace midwatch {

// What a firing does to the queue.
struct FiringActions {
  std::function<void(const v1::SubmitBatchRequest&,
                     Reply<v1::SubmitBatchResponse>)>
      submit;
  std::function<void(RowKey batch, std::string reason,
                     absl::AnyInvocable<void(absl::Status)> done)>
      cancel;
  // Timers are to be looked at then.
  std::function<void(absl::Time)> plan_timers;
};

// Lives on one executor, as its scheduler does.
class ScheduleBook {
 public:
  // `decides`: what is due fires; otherwise that is left to a scheduler to
  // come.
  ScheduleBook(Executor& executor, Store& store, const Ids& ids, bool decides,
               FiringActions actions);

  // Looks at a schedule, of which something may have to be done.
  void Wake(int64_t schedule);
  // Wakes it, and answers once that firing has ended, however it did.
  void AwaitFiring(int64_t schedule, int64_t firing, Reply<FiringRecord> reply);
  // Something has changed in these batches.
  void Notify(const std::vector<int64_t>& batches);

 private:
  // What is under way for a schedule: one thing at a time.
  struct Drive {
    bool again = false;  // it was woken meanwhile
    FiringPlan plan;
    size_t cancelled = 0;  // of plan.unfinished
    int64_t step = 0;
    std::optional<RowKey> batch;  // it is open
  };

  void Plan(int64_t schedule);
  void Planned(int64_t schedule, FiringPlan plan);
  // Ends what is in the way of the first firing that is to be opened.
  void CancelOld(int64_t schedule);
  void SendStep(int64_t schedule);
  void StepDone(int64_t schedule, bool last,
                absl::StatusOr<v1::SubmitBatchResponse> response);
  // The batch of the first firing is refused for good.
  void GiveUp(int64_t schedule, absl::Status why);
  void End(int64_t schedule, std::optional<RowKey> batch, std::string why);
  void Rest(int64_t schedule);
  void Forget(int64_t schedule);
  // Calls `step` with the schedule later, as after a failure.
  void Later(int64_t schedule, void (ScheduleBook::*step)(int64_t),
             const absl::Status& why);
  // Soon: whether a batch that the schedule waits for is done.
  void LookSoon(int64_t schedule);
  void Look(int64_t schedule);
  std::string RequestId(const Drive& drive) const;

  Executor& executor_;
  Store& store_;
  const Ids& ids_;
  const bool decides_;
  const FiringActions actions_;
  std::map<int64_t, Drive> drives_;
  // Batches that queued firings of a schedule wait for.
  std::map<int64_t, std::vector<RowKey>> waited_;
  std::set<int64_t> looks_;
  // By firing.
  std::map<int64_t, std::vector<Reply<FiringRecord>>> awaited_;
};

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_SCHEDULE_BOOK_H_
