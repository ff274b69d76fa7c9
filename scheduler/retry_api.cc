// Trying tasks again, and changing those that wait.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "scheduler/from_proto.h"
#include "scheduler/rich_error.h"
#include "scheduler/scheduler.h"

namespace midwatch {
namespace {

constexpr char kRetriedTask[] = "midwatch.v1.Task";
constexpr char kRetriedBatch[] = "midwatch.v1.Batch";
// Of one call of RetryBatch: about 10,000 tasks, well within a call's time.
constexpr int kRetryStepsMax = 50;

}  // namespace

absl::Status Scheduler::KeyHeld(RowKey holder) const {
  const std::string id = ids_.Format(holder);
  return AboutResource(
      absl::AlreadyExistsError(absl::StrCat(
          "the unique key is held by task ", id,
          "; nothing was submitted. Wait for that one, or cancel it")),
      kRetriedTask, id);
}

void Scheduler::RetryTask(const v1::RetryTaskRequest& request,
                          Reply<v1::RetryTaskResponse> reply) {
  absl::StatusOr<RowKey> key = ids_.Parse("task_id", request.task_id());
  if (!key.ok()) {
    return reply(WithResource(key.status(), kRetriedTask, request.task_id()));
  }
  if (absl::Status status = CheckRequestId(request.request_id());
      !status.ok()) {
    return reply(status);
  }
  store_.Apply(midwatch::RetryTask{*key, request.request_id()},
               [this, id = request.task_id(), reply = std::move(reply)](
                   absl::StatusOr<TaskKey> task) mutable {
                 if (!task.ok()) {
                   return reply(WithResource(task.status(), kRetriedTask, id));
                 }
                 if (task->key_held) return reply(KeyHeld(task->task));
                 FaultPoint("scheduler.retry.after");
                 leases_.WantAdmission();
                 PlanTimers(task->timer_at);
                 v1::RetryTaskResponse response;
                 response.set_task_id(ids_.Format(task->task));
                 reply(std::move(response));
               });
}

void Scheduler::UpdateTask(const v1::UpdateTaskRequest& request,
                           Reply<v1::UpdateTaskResponse> reply) {
  absl::StatusOr<RowKey> key = ids_.Parse("task_id", request.task_id());
  if (!key.ok()) {
    return reply(WithResource(key.status(), kRetriedTask, request.task_id()));
  }
  absl::StatusOr<midwatch::UpdateTask> write = FromProto(request, clock_.Now());
  if (!write.ok()) return reply(write.status());
  write->task = *key;
  store_.Apply(*std::move(write),
               [this, key = *key, id = request.task_id(),
                reply = std::move(reply)](absl::StatusOr<Done> done) mutable {
                 if (!done.ok()) {
                   return reply(WithResource(done.status(), kRetriedTask, id));
                 }
                 // It may start now, or something of it ends sooner than all
                 // that was planned.
                 leases_.WantAdmission();
                 PlanTimers(clock_.Now());
                 store_.Read<TaskRecord>(
                     [key](StoreReader& reader) { return reader.GetTask(key); },
                     [this, reply = std::move(reply)](
                         absl::StatusOr<TaskRecord> task) mutable {
                       if (!task.ok()) return reply(task.status());
                       v1::UpdateTaskResponse response;
                       *response.mutable_task() = Describe(*task);
                       reply(std::move(response));
                     });
               });
}

void Scheduler::RetryBatch(const v1::RetryBatchRequest& request,
                           Reply<v1::RetryBatchResponse> reply) {
  absl::StatusOr<RowKey> key = ids_.Parse("batch_id", request.batch_id());
  if (!key.ok()) {
    return reply(WithResource(key.status(), kRetriedBatch, request.batch_id()));
  }
  if (absl::Status status = CheckRequestId(request.request_id());
      !status.ok()) {
    return reply(status);
  }
  LogInfo("batch retry asked", {{"batch", request.batch_id()}});
  RetrySteps({*key, request.request_id(), request.cancelled_too()},
             kRetryStepsMax,
             [id = request.batch_id(), reply = std::move(reply)](
                 absl::StatusOr<v1::RetryBatchResponse> response) mutable {
               if (response.ok()) return reply(std::move(response));
               reply(WithResource(response.status(), kRetriedBatch, id));
             });
}

void Scheduler::RetrySteps(midwatch::RetryBatch write, int steps,
                           Reply<v1::RetryBatchResponse> reply) {
  store_.Apply(write, [this, write, steps, reply = std::move(reply)](
                          absl::StatusOr<BatchRetried> retried) mutable {
    if (!retried.ok()) return reply(retried.status());
    leases_.WantAdmission();
    if (retried->needs_met) PlanTimers(clock_.Now());
    PlanTimers(retried->timer_at);
    if (retried->more && steps > 1) {
      return RetrySteps(std::move(write), steps - 1, std::move(reply));
    }
    store_.Read<BatchRecord>(
        [key = retried->batch](StoreReader& reader) {
          return reader.GetBatch(key);
        },
        [this, more = retried->more,
         reply = std::move(reply)](absl::StatusOr<BatchRecord> batch) mutable {
          if (!batch.ok()) return reply(batch.status());
          v1::RetryBatchResponse response;
          *response.mutable_batch() = Describe(*batch);
          response.set_more(more);
          reply(std::move(response));
        });
  });
}

}  // namespace midwatch
