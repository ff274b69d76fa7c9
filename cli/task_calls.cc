// Tasks and their events, of SchedulerConnection.
#include <utility>

#include "cli/connection_call.h"
#include "cli/scheduler_connection.h"

namespace midwatch::cli {
namespace {

constexpr int kStreamsMax = 10;  // in a row that say nothing

}  // namespace

absl::StatusOr<v1::Task> SchedulerConnection::GetTask(
    const std::string& task_id) {
  v1::GetTaskRequest request;
  request.set_task_id(task_id);
  v1::GetTaskResponse response;
  MIDWATCH_CALL(tasks_, GetTask, request, response);
  return response.task();
}

absl::StatusOr<v1::CancelTaskResponse> SchedulerConnection::CancelTask(
    const std::string& task_id, const std::string& reason) {
  v1::CancelTaskRequest request;
  request.set_task_id(task_id);
  request.set_reason(reason);
  v1::CancelTaskResponse response;
  MIDWATCH_CALL(tasks_, CancelTask, request, response);
  return response;
}

absl::StatusOr<v1::RetryTaskResponse> SchedulerConnection::RetryTask(
    const std::string& task_id, const std::string& request_id) {
  v1::RetryTaskRequest request;
  request.set_task_id(task_id);
  request.set_request_id(request_id);
  v1::RetryTaskResponse response;
  // Where the answer is lost, the task may be there: whoever asks anew, with
  // another id, would have a second one, and pay for both.
  for (int tried = 1;; ++tried) {
    absl::Status status =
        Call([this](grpc::ClientContext& context, const auto& q,
                    auto& a) { return tasks_->RetryTask(&context, q, &a); },
             request, response, "RetryTask");
    if (status.ok()) return response;
    if (!absl::IsUnavailable(status) || tried == kCallTriesMax ||
        !WaitUntilConnected(kReconnectTimeout)) {
      return status;
    }
  }
}

absl::StatusOr<v1::AnswerTaskResponse> SchedulerConnection::AnswerTask(
    const v1::AnswerTaskRequest& request) {
  v1::AnswerTaskResponse response;
  MIDWATCH_CALL(tasks_, AnswerTask, request, response);
  return response;
}

absl::StatusOr<v1::Task> SchedulerConnection::UpdateTask(
    const v1::UpdateTaskRequest& request) {
  v1::UpdateTaskResponse response;
  MIDWATCH_CALL(tasks_, UpdateTask, request, response);
  return response.task();
}

absl::Status SchedulerConnection::ForEachTask(
    const std::string& batch_id, const std::vector<v1::TaskState>& states,
    absl::FunctionRef<absl::Status(const v1::Task&)> visit) {
  v1::ListTasksRequest filter;
  filter.set_batch_id(batch_id);
  for (v1::TaskState state : states) filter.add_states(state);
  return ForEachTask(std::move(filter), visit);
}

absl::Status SchedulerConnection::ForEachTask(
    v1::ListTasksRequest request,
    absl::FunctionRef<absl::Status(const v1::Task&)> visit) {
  request.set_page_size(FirstPageOf(request.page_size()));
  while (true) {
    v1::ListTasksResponse response;
    MIDWATCH_CALL(tasks_, ListTasks, request, response);
    for (const v1::Task& task : response.tasks()) {
      RETURN_IF_ERROR(visit(task));
    }
    if (response.next_page_token().empty()) return absl::OkStatus();
    request.set_page_token(response.next_page_token());
    request.set_page_size(kPageSize);
  }
}

absl::StatusOr<v1::ListTaskEventsResponse> SchedulerConnection::ListTaskEvents(
    const v1::ListTaskEventsRequest& request) {
  v1::ListTaskEventsResponse response;
  MIDWATCH_CALL(tasks_, ListTaskEvents, request, response);
  return response;
}

absl::StatusOr<v1::ExplainTaskResponse> SchedulerConnection::ExplainTask(
    const v1::ExplainTaskRequest& request) {
  v1::ExplainTaskResponse response;
  MIDWATCH_CALL(tasks_, ExplainTask, request, response);
  return response;
}

absl::StatusOr<v1::ForecastTasksResponse> SchedulerConnection::ForecastTasks(
    const v1::ForecastTasksRequest& request) {
  v1::ForecastTasksResponse response;
  MIDWATCH_CALL(tasks_, ForecastTasks, request, response);
  return response;
}

absl::Status SchedulerConnection::FollowTaskEvents(
    v1::FollowTaskEventsRequest request,
    absl::FunctionRef<absl::Status(const v1::FollowTaskEventsResponse&)>
        visit) {
  for (int silent = 0; silent < kStreamsMax; ++silent) {
    grpc::ClientContext context;
    auto stream = tasks_->FollowTaskEvents(&context, request);
    v1::FollowTaskEventsResponse message;
    while (stream->Read(&message)) {
      silent = 0;
      request.set_resume_token(message.resume_token());
      if (absl::Status status = visit(message); !status.ok()) {
        context.TryCancel();
        stream->Finish();
        return status;
      }
    }
    absl::Status status = AnswerFromGrpc(stream->Finish(), "FollowTaskEvents");
    // A scheduler that stops cancels its streams.
    if (!absl::IsUnavailable(status) && !absl::IsCancelled(status)) {
      return status;
    }
    if (!WaitUntilConnected(kReconnectTimeout)) return status;
  }
  return absl::UnavailableError(
      "the scheduler ends the stream each time before it says anything");
}

}  // namespace midwatch::cli
