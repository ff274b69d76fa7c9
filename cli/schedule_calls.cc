// Schedules, of SchedulerConnection.
#include <vector>

#include "cli/connection_call.h"
#include "cli/scheduler_connection.h"

namespace midwatch::cli {

absl::StatusOr<v1::Schedule> SchedulerConnection::PutSchedule(
    const v1::PutScheduleRequest& request) {
  v1::PutScheduleResponse response;
  MIDWATCH_CALL(schedules_, PutSchedule, request, response);
  return response.schedule();
}

absl::StatusOr<v1::Schedule> SchedulerConnection::GetSchedule(
    const std::string& name) {
  v1::GetScheduleRequest request;
  request.set_name(name);
  v1::GetScheduleResponse response;
  MIDWATCH_CALL(schedules_, GetSchedule, request, response);
  return response.schedule();
}

absl::StatusOr<std::vector<v1::Schedule>> SchedulerConnection::ListSchedules() {
  std::vector<v1::Schedule> schedules;
  v1::ListSchedulesRequest request;
  request.set_page_size(kPageSize);
  while (true) {
    v1::ListSchedulesResponse response;
    MIDWATCH_CALL(schedules_, ListSchedules, request, response);
    schedules.insert(schedules.end(), response.schedules().begin(),
                     response.schedules().end());
    if (response.next_page_token().empty()) return schedules;
    request.set_page_token(response.next_page_token());
  }
}

absl::Status SchedulerConnection::DeleteSchedule(const std::string& name) {
  v1::DeleteScheduleRequest request;
  request.set_name(name);
  v1::DeleteScheduleResponse response;
  MIDWATCH_CALL(schedules_, DeleteSchedule, request, response);
  return absl::OkStatus();
}

absl::StatusOr<v1::Schedule> SchedulerConnection::PauseSchedule(
    const v1::PauseScheduleRequest& request) {
  v1::PauseScheduleResponse response;
  MIDWATCH_CALL(schedules_, PauseSchedule, request, response);
  return response.schedule();
}

absl::StatusOr<v1::Schedule> SchedulerConnection::ResumeSchedule(
    const std::string& name) {
  v1::ResumeScheduleRequest request;
  request.set_name(name);
  v1::ResumeScheduleResponse response;
  MIDWATCH_CALL(schedules_, ResumeSchedule, request, response);
  return response.schedule();
}

absl::StatusOr<v1::Firing> SchedulerConnection::RunSchedule(
    const std::string& name, const std::string& request_id) {
  v1::RunScheduleRequest request;
  request.set_name(name);
  request.set_request_id(request_id);
  v1::RunScheduleResponse response;
  for (int tried = 1;; ++tried) {
    absl::Status status = Call(
        [this](grpc::ClientContext& context, const auto& q, auto& a) {
          return schedules_->RunSchedule(&context, q, &a);
        },
        request, response, "RunSchedule");
    if (status.ok()) return response.firing();
    if (!absl::IsUnavailable(status) || tried == kCallTriesMax ||
        !WaitUntilConnected(kReconnectTimeout)) {
      return status;
    }
  }
}

}  // namespace midwatch::cli
