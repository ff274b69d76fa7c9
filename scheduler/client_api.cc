// What clients ask of the scheduler.
#include <limits>
#include <memory>
#include <optional>
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

constexpr char kTask[] = "midwatch.v1.Task";
constexpr char kBatch[] = "midwatch.v1.Batch";
// Of one call, well within its time.
constexpr absl::Duration kDeleteWait = absl::Seconds(20);

// `reply`, with errors that say which `type` of thing there is not.
template <typename T>
Reply<T> Naming(const char* type, std::string id, Reply<T> reply) {
  return [type, id = std::move(id),
          reply = std::move(reply)](absl::StatusOr<T> result) mutable {
    if (result.ok()) return reply(std::move(result));
    reply(WithResource(result.status(), type, id));
  };
}

}  // namespace

void Scheduler::SubmitTask(const v1::SubmitTaskRequest& request,
                           Reply<v1::SubmitTaskResponse> reply) {
  absl::StatusOr<midwatch::SubmitTask> write = FromProto(request);
  if (!write.ok()) return reply(write.status());
  store_.Apply(*std::move(write), [this, reply = std::move(reply)](
                                      absl::StatusOr<TaskKey> task) mutable {
    if (!task.ok()) return reply(task.status());
    if (task->key_held) return reply(KeyHeld(task->task));
    leases_.WantAdmission();
    if (task->needs_met) PlanTimers(clock_.Now());
    PlanTimers(task->timer_at);
    v1::SubmitTaskResponse response;
    response.set_task_id(ids_.Format(task->task));
    reply(std::move(response));
  });
}

void Scheduler::GetTask(const v1::GetTaskRequest& request,
                        Reply<v1::GetTaskResponse> reply) {
  reply = Naming(kTask, request.task_id(), std::move(reply));
  absl::StatusOr<RowKey> key = ids_.Parse("task_id", request.task_id());
  if (!key.ok()) return reply(key.status());
  store_.Read<TaskRecord>(
      [key = *key](StoreReader& reader) { return reader.GetTask(key); },
      [this,
       reply = std::move(reply)](absl::StatusOr<TaskRecord> task) mutable {
        if (!task.ok()) return reply(task.status());
        v1::GetTaskResponse response;
        *response.mutable_task() = Describe(*task);
        reply(std::move(response));
      });
}

void Scheduler::ListTasks(const v1::ListTasksRequest& request,
                          Reply<v1::ListTasksResponse> reply) {
  reply = Naming(kBatch, request.batch_id(), std::move(reply));
  absl::StatusOr<int> size = CheckPageSize(request.page_size(), 100);
  if (!size.ok()) return reply(size.status());
  absl::StatusOr<int64_t> after = ParsePageToken(request.page_token(), 0);
  if (!after.ok()) return reply(after.status());
  absl::StatusOr<TaskFilter> filter = FromProto(request);
  if (!filter.ok()) return reply(filter.status());
  std::optional<RowKey> batch;
  if (!request.batch_id().empty()) {
    absl::StatusOr<RowKey> key = ids_.Parse("batch_id", request.batch_id());
    if (!key.ok()) return reply(key.status());
    batch = *key;
    filter->batch = key->row;
  }
  store_.Read<RowPage<TaskRecord>>(
      [filter = *std::move(filter), batch, after = *after, size = *size](
          StoreReader& reader) -> absl::StatusOr<RowPage<TaskRecord>> {
        if (batch.has_value()) {
          RETURN_IF_ERROR(reader.GetBatch(*batch).status());
        }
        return reader.ListTasks(filter, after, size);
      },
      [this, reply = std::move(reply)](
          absl::StatusOr<RowPage<TaskRecord>> tasks) mutable {
        if (!tasks.ok()) return reply(tasks.status());
        v1::ListTasksResponse response;
        for (const TaskRecord& task : tasks->rows) {
          *response.add_tasks() = Describe(task);
        }
        if (tasks->next.has_value()) {
          response.set_next_page_token(absl::StrCat(*tasks->next));
        }
        reply(std::move(response));
      });
}

void Scheduler::CancelTask(const v1::CancelTaskRequest& request,
                           Reply<v1::CancelTaskResponse> reply) {
  reply = Naming(kTask, request.task_id(), std::move(reply));
  absl::StatusOr<RowKey> key = ids_.Parse("task_id", request.task_id());
  if (!key.ok()) return reply(key.status());
  if (absl::Status status = CheckReason(request.reason()); !status.ok()) {
    return reply(status);
  }
  store_.Apply(midwatch::CancelTask{*key, request.reason()},
               [this, task = key->row, reply = std::move(reply)](
                   absl::StatusOr<CancelResult> result) mutable {
                 if (!result.ok()) return reply(result.status());
                 FaultPoint("scheduler.cancel.after");
                 leases_.Deliver(result->notices);
                 // Its batch's canary may be decided with it.
                 leases_.WantAdmission();
                 if (result->needs_met) PlanTimers(clock_.Now());
                 feeds_.Notify(task);
                 v1::CancelTaskResponse response;
                 response.set_state(result->state);
                 reply(std::move(response));
               });
}

void Scheduler::AnswerTask(const v1::AnswerTaskRequest& request,
                           Reply<v1::AnswerTaskResponse> reply) {
  reply = Naming(kTask, request.task_id(), std::move(reply));
  absl::StatusOr<RowKey> key = ids_.Parse("task_id", request.task_id());
  if (!key.ok()) return reply(key.status());
  absl::StatusOr<midwatch::AnswerTask> write = FromProto(request);
  if (!write.ok()) return reply(write.status());
  write->task = *key;
  store_.Apply(*std::move(write),
               [this, task = key->row, reply = std::move(reply)](
                   absl::StatusOr<Answered> done) mutable {
                 if (!done.ok()) return reply(done.status());
                 FaultPoint("scheduler.answer.after");
                 leases_.WantAdmission();
                 feeds_.Notify(task);
                 v1::AnswerTaskResponse response;
                 response.set_state(done->state);
                 reply(std::move(response));
               });
}

void Scheduler::ListTaskEvents(const v1::ListTaskEventsRequest& request,
                               Reply<v1::ListTaskEventsResponse> reply) {
  reply = Naming(kTask, request.task_id(), std::move(reply));
  absl::StatusOr<RowKey> key = ids_.Parse("task_id", request.task_id());
  if (!key.ok()) return reply(key.status());
  absl::StatusOr<int> size = CheckPageSize(request.page_size(), 1000);
  if (!size.ok()) return reply(size.status());
  int64_t from = request.from_sequence();
  if (from < 0) {
    return reply(absl::InvalidArgumentError("from_sequence: negative"));
  }
  store_.Read<v1::ListTaskEventsResponse>(
      [key = *key, attempt = request.attempt(), from, size = *size](
          StoreReader& reader) -> absl::StatusOr<v1::ListTaskEventsResponse> {
        ASSIGN_OR_RETURN(TaskRecord task, reader.GetTask(key));
        v1::ListTaskEventsResponse response;
        int64_t end = 0;
        // The newest attempt that has any, unless one was named.
        for (auto each = task.attempt_list.rbegin();
             each != task.attempt_list.rend(); ++each) {
          if (attempt != 0 && each->number != attempt) continue;
          response.set_attempt(each->number);
          ASSIGN_OR_RETURN(end, reader.CountEvents(each->grant_seq));
          if (end == 0) continue;
          ASSIGN_OR_RETURN(std::vector<std::string> events,
                           reader.ReadEvents(each->grant_seq, from));
          for (std::string& event : events) {
            if (response.events_size() == size) break;
            v1::TaskEvent& out = *response.add_events();
            out.set_sequence(from + response.events_size() - 1);
            out.set_json(std::move(event));
          }
          break;
        }
        if (attempt != 0 && response.attempt() == 0) {
          return absl::NotFoundError(
              absl::StrCat("the task has no attempt ", attempt));
        }
        int64_t next = from + response.events_size();
        if (next < end) response.set_next_sequence(next);
        return response;
      },
      std::move(reply));
}

template <typename W>
void Scheduler::ApplyBatchStep(W write, Reply<v1::SubmitBatchResponse> reply) {
  store_.Apply(std::move(write),
               [this, reply = std::move(reply)](
                   absl::StatusOr<BatchProgress> batch) mutable {
                 if (!batch.ok()) return reply(batch.status());
                 FaultPoint("scheduler.submit.after");
                 leases_.WantAdmission();
                 if (batch->needs_met) PlanTimers(clock_.Now());
                 PlanTimers(batch->timer_at);
                 v1::SubmitBatchResponse response;
                 response.set_batch_id(ids_.Format(batch->batch));
                 response.set_accepted_lines(batch->lines);
                 response.set_state(batch->state);
                 reply(std::move(response));
               });
}

void Scheduler::SubmitBatchStep(const v1::SubmitBatchRequest& request,
                                Reply<v1::SubmitBatchResponse> reply) {
  switch (request.step_case()) {
    case v1::SubmitBatchRequest::kOpen: {
      absl::StatusOr<OpenBatch> write =
          FromProto(request.request_id(), request.open());
      if (!write.ok()) return reply(write.status());
      if (absl::Status hooks = hooks_.Check(*write); !hooks.ok()) {
        return reply(hooks);
      }
      return ApplyBatchStep(*std::move(write), std::move(reply));
    }
    case v1::SubmitBatchRequest::kChunk:
      return SubmitChunk(request, std::move(reply));
    case v1::SubmitBatchRequest::kSeal:
      return ApplyBatchStep(
          SealBatch{request.request_id(), request.seal().lines()},
          std::move(reply));
    default:
      return reply(absl::InvalidArgumentError(
          "step: expected one of open, chunk, seal"));
  }
}

void Scheduler::SubmitChunk(const v1::SubmitBatchRequest& request,
                            Reply<v1::SubmitBatchResponse> reply) {
  // Parameters are filled in once against the batch's spec, on a reader's
  // thread, so that a bad line is refused here and not at night.
  store_.Read<AddTasks>(
      [request](StoreReader& reader) -> absl::StatusOr<AddTasks> {
        ASSIGN_OR_RETURN(v1::TaskSpec spec,
                         reader.FindBatchSpec(request.request_id()));
        return FromProto(request.request_id(), request.chunk(), spec);
      },
      [this, reply = std::move(reply)](absl::StatusOr<AddTasks> write) mutable {
        if (!write.ok()) return reply(write.status());
        ApplyBatchStep(*std::move(write), std::move(reply));
      });
}

void Scheduler::GetBatch(const v1::GetBatchRequest& request,
                         Reply<v1::GetBatchResponse> reply) {
  reply = Naming(kBatch, request.batch_id(), std::move(reply));
  absl::StatusOr<RowKey> key = ids_.Parse("batch_id", request.batch_id());
  if (!key.ok()) return reply(key.status());
  store_.Read<BatchRecord>(
      [key = *key](StoreReader& reader) { return reader.GetBatch(key); },
      [this,
       reply = std::move(reply)](absl::StatusOr<BatchRecord> batch) mutable {
        if (!batch.ok()) return reply(batch.status());
        v1::GetBatchResponse response;
        *response.mutable_batch() = Describe(*batch);
        reply(std::move(response));
      });
}

void Scheduler::ListBatches(const v1::ListBatchesRequest& request,
                            Reply<v1::ListBatchesResponse> reply) {
  absl::StatusOr<int> size = CheckPageSize(request.page_size(), 100);
  if (!size.ok()) return reply(size.status());
  absl::StatusOr<int64_t> before =
      ParsePageToken(request.page_token(), std::numeric_limits<int64_t>::max());
  if (!before.ok()) return reply(before.status());
  absl::StatusOr<BatchFilter> filter = FromProto(request);
  if (!filter.ok()) return reply(filter.status());
  store_.Read<RowPage<BatchRecord>>(
      [filter = *std::move(filter), before = *before,
       size = *size](StoreReader& reader) {
        return reader.ListBatches(filter, before, size);
      },
      [this, reply = std::move(reply)](
          absl::StatusOr<RowPage<BatchRecord>> batches) mutable {
        if (!batches.ok()) return reply(batches.status());
        v1::ListBatchesResponse response;
        for (const BatchRecord& batch : batches->rows) {
          *response.add_batches() = Describe(batch);
        }
        if (batches->next.has_value()) {
          response.set_next_page_token(absl::StrCat(*batches->next));
        }
        reply(std::move(response));
      });
}

void Scheduler::CancelSteps(RowKey batch, std::string reason, bool begun,
                            absl::AnyInvocable<void(absl::Status)> done) {
  store_.Apply(
      midwatch::CancelBatch{batch, reason},
      [this, batch, reason, begun, done = std::move(done)](
          absl::StatusOr<CancelBatchResult> result) mutable {
        if (!result.ok()) {
          if (!begun) return done(result.status());
          LogError("cancel stands still", {{"batch", ids_.Format(batch)},
                                           {"why", result.status().message()}});
          executor_.After(absl::Seconds(1), [this, batch, reason,
                                             done = std::move(done)]() mutable {
            CancelSteps(batch, reason, /*begun=*/true, std::move(done));
          });
          return;
        }
        FaultPoint("scheduler.batchcancel.after");
        leases_.Deliver(result->notices);
        if (result->needs_met) PlanTimers(clock_.Now());
        if (!result->more) return done(absl::OkStatus());
        CancelSteps(batch, reason, /*begun=*/true, std::move(done));
      });
}

void Scheduler::CancelBatch(const v1::CancelBatchRequest& request,
                            Reply<v1::CancelBatchResponse> reply) {
  reply = Naming(kBatch, request.batch_id(), std::move(reply));
  absl::StatusOr<RowKey> key = ids_.Parse("batch_id", request.batch_id());
  if (!key.ok()) return reply(key.status());
  if (absl::Status status = CheckReason(request.reason()); !status.ok()) {
    return reply(status);
  }
  LogInfo("batch cancel asked", {{"batch", request.batch_id()}});
  CancelSteps(*key, request.reason(), /*begun=*/false,
              [this, key = *key,
               reply = std::move(reply)](absl::Status status) mutable {
                if (!status.ok()) return reply(status);
                store_.Read<BatchRecord>(
                    [key](StoreReader& reader) { return reader.GetBatch(key); },
                    [this, reply = std::move(reply)](
                        absl::StatusOr<BatchRecord> batch) mutable {
                      if (!batch.ok()) return reply(batch.status());
                      v1::CancelBatchResponse response;
                      *response.mutable_batch() = Describe(*batch);
                      reply(std::move(response));
                    });
              });
}

void Scheduler::DeleteBatch(const v1::DeleteBatchRequest& request,
                            Reply<v1::DeleteBatchResponse> reply) {
  reply = Naming(kBatch, request.batch_id(), std::move(reply));
  absl::StatusOr<RowKey> key = ids_.Parse("batch_id", request.batch_id());
  if (!key.ok()) return reply(key.status());
  if (absl::Status status = CheckReason(request.reason()); !status.ok()) {
    return reply(status);
  }
  LogInfo("batch delete asked", {{"batch", request.batch_id()}});
  // Whichever comes first answers: the end, or that it takes long.
  auto once = std::make_shared<std::optional<Reply<v1::DeleteBatchResponse>>>(
      std::move(reply));
  auto answer = [once](absl::StatusOr<v1::DeleteBatchResponse> response) {
    if (!once->has_value()) return;
    Reply<v1::DeleteBatchResponse> to = *std::exchange(*once, std::nullopt);
    to(std::move(response));
  };
  const Executor::TimerId timer = executor_.After(kDeleteWait, [answer] {
    v1::DeleteBatchResponse response;
    response.set_more(true);
    answer(std::move(response));
  });
  retention_.Delete(
      *key, request.reason(),
      [this, answer, timer](const absl::StatusOr<int64_t>& tasks) {
        executor_.Cancel(timer);
        if (!tasks.ok()) return answer(tasks.status());
        v1::DeleteBatchResponse response;
        response.set_tasks(*tasks);
        answer(std::move(response));
      });
}

}  // namespace midwatch
