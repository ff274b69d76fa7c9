#include "scheduler/schedule_book.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "scheduler/firing.h"

namespace midwatch {
namespace {

constexpr absl::Duration kTryAgain = absl::Seconds(1);
// While the disk is full.
constexpr absl::Duration kTryAgainWhenFull = absl::Seconds(10);
constexpr absl::Duration kLookEvery = absl::Seconds(1);

// Nothing is wrong with what was said: it is said again.
bool IsPassing(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status) ||
         absl::IsDataLoss(status) || absl::IsInternal(status);
}

FiringDecision DecideNothing(const FiringView& view, absl::Time) {
  return {.firings = {}, .since = view.since, .undecided = true};
}

}  // namespace

ScheduleBook::ScheduleBook(Executor& executor, Store& store, const Ids& ids,
                           bool decides, FiringActions actions)
    : executor_(executor),
      store_(store),
      ids_(ids),
      decides_(decides),
      actions_(std::move(actions)) {}

void ScheduleBook::Wake(int64_t schedule) {
  auto [drive, is_new] = drives_.try_emplace(schedule);
  if (!is_new) {
    drive->second.again = true;
    return;
  }
  Plan(schedule);
}

void ScheduleBook::AwaitFiring(int64_t schedule, int64_t firing,
                               Reply<FiringRecord> reply) {
  awaited_[firing].push_back(std::move(reply));
  Wake(schedule);
}

void ScheduleBook::Later(int64_t schedule, void (ScheduleBook::*step)(int64_t),
                         const absl::Status& why) {
  LogWarning("schedule stands still",
             {{"schedule", schedule}, {"why", why.message()}});
  executor_.After(
      absl::IsResourceExhausted(why) ? kTryAgainWhenFull : kTryAgain,
      [this, schedule, step] { (this->*step)(schedule); });
}

void ScheduleBook::Plan(int64_t schedule) {
  drives_[schedule].again = false;
  store_.Apply(PlanFirings{schedule, decides_ ? DecideFirings : DecideNothing},
               [this, schedule](absl::StatusOr<FiringPlan> plan) {
                 if (absl::IsNotFound(plan.status())) return Forget(schedule);
                 if (!plan.ok()) {
                   return Later(schedule, &ScheduleBook::Plan, plan.status());
                 }
                 Planned(schedule, *std::move(plan));
               });
}

void ScheduleBook::Planned(int64_t schedule, FiringPlan plan) {
  FaultPoint("scheduler.firing.after");
  actions_.plan_timers(plan.wake);
  waited_.erase(schedule);
  if (plan.opening.empty()) {
    // With nothing to wait for, it is paused or knows no zone: a person or a
    // timer wakes it.
    if (plan.queued && decides_ && !plan.unfinished.empty()) {
      waited_[schedule] = plan.unfinished;
      // One may be done since it was looked at.
      LookSoon(schedule);
    }
    return Rest(schedule);
  }
  Drive& drive = drives_[schedule];
  drive.plan = std::move(plan);
  drive.cancelled = 0;
  drive.step = 0;
  drive.batch.reset();
  CancelOld(schedule);
}

void ScheduleBook::CancelOld(int64_t schedule) {
  Drive& drive = drives_[schedule];
  const bool stays = !drive.plan.cancel_old || drive.plan.opening[0].by_hand ||
                     drive.cancelled == drive.plan.unfinished.size();
  if (stays) return SendStep(schedule);
  actions_.cancel(drive.plan.unfinished[drive.cancelled],
                  absl::StrCat("schedule ", drive.plan.name, " fires again"),
                  [this, schedule](absl::Status status) {
                    if (!status.ok()) {
                      return Later(schedule, &ScheduleBook::CancelOld, status);
                    }
                    ++drives_[schedule].cancelled;
                    CancelOld(schedule);
                  });
}

std::string ScheduleBook::RequestId(const Drive& drive) const {
  return absl::StrCat("schedule:", ids_.Format(drive.plan.schedule), ":",
                      drive.plan.opening[0].key);
}

void ScheduleBook::SendStep(int64_t schedule) {
  const Drive& drive = drives_[schedule];
  store_.Read<v1::SubmitBatchRequest>(
      [schedule, revision = drive.plan.opening[0].revision,
       k = drive.step](StoreReader& reader) {
        return reader.ReadScheduleStep(schedule, revision, k);
      },
      [this, schedule](absl::StatusOr<v1::SubmitBatchRequest> step) {
        if (!step.ok()) return StepDone(schedule, false, step.status());
        const Drive& sending = drives_[schedule];
        step->set_request_id(RequestId(sending));
        if (step->has_open()) {
          step->mutable_open()->set_name(sending.plan.opening[0].batch_name);
        }
        actions_.submit(
            *step, [this, schedule, last = step->has_seal()](auto response) {
              StepDone(schedule, last, std::move(response));
            });
      });
}

void ScheduleBook::StepDone(int64_t schedule, bool last,
                            absl::StatusOr<v1::SubmitBatchResponse> response) {
  Drive& drive = drives_[schedule];
  if (!response.ok()) {
    if (IsPassing(response.status())) {
      return Later(schedule, &ScheduleBook::SendStep, response.status());
    }
    return GiveUp(schedule, response.status());
  }
  if (absl::StatusOr<RowKey> batch =
          ids_.Parse("batch_id", response->batch_id());
      batch.ok()) {
    drive.batch = *batch;
  }
  if (last) return End(schedule, drive.batch, "");
  ++drive.step;
  SendStep(schedule);
}

void ScheduleBook::GiveUp(int64_t schedule, absl::Status why) {
  const std::optional<RowKey> batch = drives_[schedule].batch;
  if (!batch.has_value()) {
    return End(schedule, std::nullopt, std::string(why.message()));
  }
  // It takes no more lines: somebody has cancelled it.
  if (absl::IsFailedPrecondition(why)) {
    return End(schedule, batch, "cancelled while it was submitted");
  }
  // A newer release may refuse what an older one took. Half of a batch is not
  // left behind.
  actions_.cancel(*batch, "the rest of its lines was refused",
                  [this, schedule, why](absl::Status status) {
                    if (!status.ok()) {
                      return Later(schedule, &ScheduleBook::SendStep, status);
                    }
                    End(schedule, std::nullopt, std::string(why.message()));
                  });
}

void ScheduleBook::End(int64_t schedule, std::optional<RowKey> batch,
                       std::string why) {
  constexpr size_t kWhyBytesMax = 1000;
  const Drive& drive = drives_[schedule];
  why = std::string(CutUtf8(why, kWhyBytesMax));
  EndFiring end{drive.plan.opening[0].id, batch, why};
  store_.Apply(std::move(end), [this, schedule, batch,
                                why](absl::StatusOr<FiringEnded> ended) {
    if (!ended.ok() && !absl::IsNotFound(ended.status())) {
      LogWarning("schedule stands still",
                 {{"schedule", schedule}, {"why", ended.status().message()}});
      executor_.After(kTryAgain, [this, schedule, batch, why] {
        End(schedule, batch, why);
      });
      return;
    }
    const FiringPlan& plan = drives_[schedule].plan;
    LogInfo(batch.has_value() ? "schedule fired" : "schedule failed",
            {{"schedule", plan.name},
             {"batch", plan.opening[0].batch_name},
             {"why", why}});
    if (ended.ok()) {
      for (Reply<FiringRecord>& reply :
           std::exchange(awaited_[ended->firing.id], {})) {
        reply(ended->firing);
      }
      awaited_.erase(ended->firing.id);
    }
    Plan(schedule);
  });
}

void ScheduleBook::Rest(int64_t schedule) {
  if (drives_[schedule].again) return Plan(schedule);
  drives_.erase(schedule);
}

void ScheduleBook::Forget(int64_t schedule) {
  drives_.erase(schedule);
  waited_.erase(schedule);
}

void ScheduleBook::Notify(const std::vector<int64_t>& batches) {
  for (const auto& [schedule, waited] : waited_) {
    const bool any =
        std::any_of(waited.begin(), waited.end(), [&](const RowKey& batch) {
          return std::binary_search(batches.begin(), batches.end(), batch.row);
        });
    if (any) LookSoon(schedule);
  }
}

void ScheduleBook::LookSoon(int64_t schedule) {
  if (!looks_.insert(schedule).second) return;
  executor_.After(kLookEvery, [this, schedule] {
    looks_.erase(schedule);
    Look(schedule);
  });
}

void ScheduleBook::Look(int64_t schedule) {
  auto waited = waited_.find(schedule);
  if (waited == waited_.end()) return;
  store_.Read<bool>(
      [batches = waited->second](StoreReader& reader) -> absl::StatusOr<bool> {
        for (const RowKey& batch : batches) {
          ASSIGN_OR_RETURN(BatchRecord found, reader.GetBatch(batch));
          if (found.state == v1::BATCH_STATE_DONE) return true;
        }
        return batches.empty();
      },
      [this, schedule](absl::StatusOr<bool> done) {
        if (!done.ok()) return LookSoon(schedule);
        if (*done) Wake(schedule);
      });
}

}  // namespace midwatch
