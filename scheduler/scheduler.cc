// Starting, and timers. account_api.cc, client_api.cc, control_api.cc,
// explain_api.cc, money_api.cc, schedule_api.cc and worker_api.cc hold the
// rest.
#include "scheduler/scheduler.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace midwatch {

Scheduler::Scheduler(Executor& executor, const Clock& clock, Random& random,
                     Store& store, SchedulerOptions options)
    : executor_(executor),
      clock_(clock),
      random_(random),
      store_(store),
      ids_(store.cluster()),
      rates_(clock),
      leases_(executor, store, rates_, options.leases),
      watches_(store, estimates_),
      feeds_(executor, store),
      schedules_(executor, store, ids_, options.fires_schedules,
                 {.submit =
                      [this](const v1::SubmitBatchRequest& step,
                             Reply<v1::SubmitBatchResponse> reply) {
                        SubmitBatchStep(step, std::move(reply));
                      },
                  .cancel =
                      [this](RowKey batch, std::string reason,
                             absl::AnyInvocable<void(absl::Status)> done) {
                        CancelSteps(batch, std::move(reason), /*begun=*/false,
                                    std::move(done));
                      },
                  .plan_timers = [this](absl::Time at) { PlanTimers(at); }}),
      hooks_(executor, clock, random, store, ids_, std::move(options.hooks),
             [this](absl::Time at) { PlanTimers(at); }),
      retention_(executor, clock, store, ids_, options.retention) {}

void Scheduler::Start(absl::AnyInvocable<void(absl::Status)> ready) {
  store_.SetCommitListener([this](const std::vector<int64_t>& batches) {
    watches_.Notify(batches);
    schedules_.Notify(batches);
  });
  struct Found {
    std::vector<LiveRecord> live;
    std::vector<RowKey> cancelling, deleting;
    std::vector<int64_t> awake_schedules;
    absl::Time next_timer;
  };
  store_.Read<Found>(
      [](StoreReader& reader) -> absl::StatusOr<Found> {
        Found found;
        ASSIGN_OR_RETURN(found.live, reader.ListLive());
        ASSIGN_OR_RETURN(found.cancelling, reader.ListCancellingBatches());
        ASSIGN_OR_RETURN(found.deleting, reader.ListDeletingBatches());
        ASSIGN_OR_RETURN(found.awake_schedules, reader.ListAwakeSchedules());
        ASSIGN_OR_RETURN(found.next_timer, reader.NextTimer());
        return found;
      },
      [this, ready = std::move(ready)](absl::StatusOr<Found> found) mutable {
        if (!found.ok()) return ready(found.status());
        leases_.Load(found->live);
        for (RowKey batch : found->cancelling) {
          CancelSteps(batch, "", /*begun=*/true, [](absl::Status) {});
        }
        retention_.Start(found->deleting);
        for (int64_t schedule : found->awake_schedules) {
          schedules_.Wake(schedule);
        }
        PlanTimers(found->next_timer);
        // Those that were due, and perhaps under way, when the last one ended.
        hooks_.Wake();
        FaultPoint("scheduler.start.after");
        LogInfo("scheduler ready", {{"live", found->live.size()}});
        ready(absl::OkStatus());
      });
}

v1::Task Scheduler::Describe(const TaskRecord& task) const {
  v1::Task out = ToProto(task, ids_, clock_.Now());
  estimates_.Describe(task, out);
  return out;
}

v1::Batch Scheduler::Describe(const BatchRecord& batch) const {
  v1::Batch out = ToProto(batch, ids_);
  estimates_.Describe(batch, out);
  return out;
}

// An estimate is no change of state, so it wakes its batch's watchers by
// itself: once a second, however many change.
void Scheduler::NoteEstimate(int64_t task, int64_t batch, int64_t usd_micros) {
  estimates_.Note(task, batch, usd_micros);
  if (!estimates_.changed() || std::exchange(telling_estimates_, true)) return;
  executor_.After(absl::Seconds(1), [this] {
    telling_estimates_ = false;
    watches_.Notify(estimates_.TakeChanged());
  });
}

void Scheduler::PlanTimers(absl::Time at) {
  if (at >= timers_at_) return;
  timers_at_ = at;
  executor_.Cancel(timer_);
  // The wall clock may step, so a far timer is looked at again every minute.
  absl::Duration wait = std::min(at - clock_.Now(), absl::Minutes(1));
  timer_ = executor_.After(wait, [this] { FireTimers(); });
}

void Scheduler::FireTimers() {
  timers_at_ = absl::InfiniteFuture();
  midwatch::FireTimers write{.apart = std::exchange(timers_apart_, false)};
  store_.Apply(write, [this](absl::StatusOr<TimersFired> fired) {
    if (!fired.ok()) {
      LogWarning("timers failed", {{"why", fired.status().message()}});
      timers_apart_ = true;
      return PlanTimers(clock_.Now() + absl::Seconds(1));
    }
    for (const std::string& each : fired->put_off) {
      LogError("put off by an hour, since it cannot be done", {{"what", each}});
    }
    if (fired->fired > 0) {
      FaultPoint("scheduler.timer.after");
      leases_.WantAdmission();
    }
    for (int64_t schedule : fired->schedules) schedules_.Wake(schedule);
    if (fired->hooks_due) hooks_.Wake();
    for (int64_t task : fired->ended) feeds_.Notify(task);
    for (RowKey batch : fired->cancelling) {
      LogInfo("batch cancelled for a need", {{"batch", ids_.Format(batch)}});
      CancelSteps(batch, "", /*begun=*/true, [](absl::Status) {});
    }
    PlanTimers(fired->next);
  });
}

}  // namespace midwatch
