#include "cli/scheduler_connection.h"

#include <grpc/support/time.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/external_id.h"
#include "base/fault_points.h"
#include "base/status_macros.h"
#include "cli/utf8.h"
#include "worker/artifact_transfer.h"
#include "worker/grpc_scheduler_client.h"

namespace midwatch::cli {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kConnectTimeout = absl::Seconds(10);
constexpr absl::Duration kCallTimeout = absl::Seconds(60);
constexpr absl::Duration kBackupTimeout = absl::Hours(24);
constexpr absl::Duration kReconnectTimeout = absl::Minutes(1);
constexpr int kRetryTriesMax = 10;
constexpr int kStreamsMax = 10;  // in a row that say nothing
constexpr int kPageSize = 1000;

// The size of a list's first page, where `wanted` (0: all) are asked for.
int FirstPageOf(int wanted) {
  return wanted == 0 ? kPageSize : std::min(wanted, kPageSize);
}

std::string EnvironmentOr(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

absl::StatusOr<std::string> StateDirPath(const std::string& given) {
  if (!given.empty()) return given;
  const std::string home = EnvironmentOr("HOME", "");
  const std::string states = EnvironmentOr(
      "XDG_STATE_HOME", home.empty() ? "" : home + "/.local/state");
  if (!states.empty()) return states + "/midwatch";
  return absl::InvalidArgumentError(
      "neither HOME nor XDG_STATE_HOME is set; name a directory with "
      "--state-dir");
}

}  // namespace

absl::StatusOr<std::string> FindStateDir(const std::string& given) {
  ASSIGN_OR_RETURN(const std::string path, StateDirPath(given));
  std::error_code error;
  if (!fs::exists(path + "/queue.db", error)) return "";
  return OpenStateDir(path);
}

absl::StatusOr<std::string> OpenStateDir(const std::string& given) {
  ASSIGN_OR_RETURN(const std::string path, StateDirPath(given));
  std::error_code error;
  const bool is_new = fs::create_directories(path, error);
  if (!error && is_new) {
    fs::permissions(path, fs::perms::owner_all, error);
  }
  fs::path absolute = error ? fs::path() : fs::absolute(path, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot use the state directory ", path, ": ",
                     error.message(), "; name another with --state-dir"));
  }
  return absolute.string();
}

std::string SocketAddress(const std::string& state_dir) {
  const std::string path = state_dir + "/midwatch.sock";
  return path.size() < sizeof(sockaddr_un::sun_path)
             ? absl::StrCat("unix:", path)
             : "";
}

bool IsServed(const std::string& address) {
  const absl::string_view path = absl::StripPrefix(address, "unix:");
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(name.sun_path)) return false;
  std::memcpy(name.sun_path, path.data(), path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool served =
      connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0;
  close(fd);
  return served;
}

SchedulerConnection::SchedulerConnection(std::shared_ptr<grpc::Channel> channel)
    : channel_(std::move(channel)),
      batches_(v1::BatchService::NewStub(channel_)),
      tasks_(v1::TaskService::NewStub(channel_)),
      budgets_(v1::BudgetService::NewStub(channel_)),
      accounts_(v1::AccountService::NewStub(channel_)),
      queues_(v1::QueueService::NewStub(channel_)),
      tenants_(v1::TenantService::NewStub(channel_)),
      schedules_(v1::ScheduleService::NewStub(channel_)),
      artifacts_(v1::ArtifactService::NewStub(channel_)),
      admin_(v1::AdminService::NewStub(channel_)) {}

absl::StatusOr<std::unique_ptr<SchedulerConnection>> SchedulerConnection::Open(
    const std::string& server, const std::string& state_dir) {
  std::string address = server;
  if (address.empty()) {
    const std::string local = SocketAddress(state_dir);
    if (IsServed(local)) address = local;
  }
  if (address.empty()) {
    ASSIGN_OR_RETURN(std::unique_ptr<SchedulerNode> node,
                     SchedulerNode::Start({.data_dir = state_dir}));
    auto connection =
        std::make_unique<SchedulerConnection>(node->InProcessChannel());
    connection->embedded_ = std::move(node);
    return connection;
  }
  auto connection =
      std::make_unique<SchedulerConnection>(MakeSchedulerChannel(address));
  if (!connection->WaitUntilConnected(kConnectTimeout)) {
    return absl::UnavailableError(
        absl::StrCat("no scheduler answers at ", address,
                     "; start one with `midwatch scheduler`, or check "
                     "--server"));
  }
  return connection;
}

bool SchedulerConnection::WaitUntilConnected(absl::Duration timeout) {
  return channel_->WaitForConnected(gpr_time_add(
      gpr_now(GPR_CLOCK_MONOTONIC),
      gpr_time_from_millis(absl::ToInt64Milliseconds(timeout), GPR_TIMESPAN)));
}

template <typename Method, typename Request, typename Response>
absl::Status SchedulerConnection::Call(Method method, const Request& request,
                                       Response& response, const char* name) {
  grpc::ClientContext context;
  SetTimeout(context, kCallTimeout);
  return AnswerFromGrpc(method(context, request, response), name);
}

#define MIDWATCH_CALL(stub, name, request, response)                \
  RETURN_IF_ERROR(                                                  \
      Call([this](grpc::ClientContext& context, const auto& q,      \
                  auto& a) { return stub->name(&context, q, &a); }, \
           request, response, #name))

absl::StatusOr<v1::Batch> SchedulerConnection::GetBatch(
    const std::string& batch_id) {
  v1::GetBatchRequest request;
  request.set_batch_id(batch_id);
  v1::GetBatchResponse response;
  MIDWATCH_CALL(batches_, GetBatch, request, response);
  return response.batch();
}

absl::StatusOr<v1::Batch> SchedulerConnection::FindBatch(
    const std::string& id_or_name) {
  if (ParseExternalId(id_or_name).ok()) return GetBatch(id_or_name);
  ASSIGN_OR_RETURN(std::vector<v1::Batch> named, ListBatches(id_or_name, 1));
  // Lists show less of each.
  if (!named.empty()) return GetBatch(named.front().batch_id());
  return absl::NotFoundError(absl::StrCat("no batch has the id or name '",
                                          Printable(id_or_name),
                                          "'; `batch list` shows them"));
}

absl::StatusOr<v1::Batch> SchedulerConnection::CancelBatch(
    const std::string& batch_id, const std::string& reason) {
  v1::CancelBatchRequest request;
  request.set_batch_id(batch_id);
  request.set_reason(reason);
  v1::CancelBatchResponse response;
  MIDWATCH_CALL(batches_, CancelBatch, request, response);
  return response.batch();
}

absl::StatusOr<std::vector<v1::Batch>> SchedulerConnection::ListBatches(
    const std::string& name, int limit) {
  v1::ListBatchesRequest filter;
  filter.set_name(name);
  return ListBatches(std::move(filter), limit);
}

absl::StatusOr<std::vector<v1::Batch>> SchedulerConnection::ListBatches(
    v1::ListBatchesRequest request, int limit) {
  std::vector<v1::Batch> batches;
  while (static_cast<int>(batches.size()) < limit) {
    request.set_page_size(
        std::min(kPageSize, limit - static_cast<int>(batches.size())));
    v1::ListBatchesResponse response;
    MIDWATCH_CALL(batches_, ListBatches, request, response);
    batches.insert(batches.end(), response.batches().begin(),
                   response.batches().end());
    if (response.next_page_token().empty()) break;
    request.set_page_token(response.next_page_token());
  }
  return batches;
}

absl::Status SchedulerConnection::ForEachBatch(
    absl::FunctionRef<bool(const v1::Batch&)> visit) {
  return ForEachBatch({}, visit);
}

absl::Status SchedulerConnection::ForEachBatch(
    v1::ListBatchesRequest request,
    absl::FunctionRef<bool(const v1::Batch&)> visit) {
  request.set_page_size(FirstPageOf(request.page_size()));
  while (true) {
    v1::ListBatchesResponse response;
    MIDWATCH_CALL(batches_, ListBatches, request, response);
    for (const v1::Batch& batch : response.batches()) {
      if (!visit(batch)) return absl::OkStatus();
    }
    if (response.next_page_token().empty()) return absl::OkStatus();
    request.set_page_token(response.next_page_token());
    request.set_page_size(kPageSize);
  }
}

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
    if (!absl::IsUnavailable(status) || tried == kRetryTriesMax ||
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

absl::StatusOr<std::vector<v1::Account>> SchedulerConnection::ListAccounts() {
  v1::ListAccountsResponse response;
  MIDWATCH_CALL(accounts_, ListAccounts, v1::ListAccountsRequest(), response);
  return std::vector<v1::Account>(response.accounts().begin(),
                                  response.accounts().end());
}

absl::StatusOr<v1::Account> SchedulerConnection::GetAccount(
    const std::string& name) {
  v1::GetAccountRequest request;
  request.set_name(name);
  v1::GetAccountResponse response;
  MIDWATCH_CALL(accounts_, GetAccount, request, response);
  return response.account();
}

absl::StatusOr<v1::Account> SchedulerConnection::PauseAccount(
    const v1::PauseAccountRequest& request) {
  v1::PauseAccountResponse response;
  MIDWATCH_CALL(accounts_, PauseAccount, request, response);
  return response.account();
}

absl::StatusOr<v1::Account> SchedulerConnection::ResumeAccount(
    const std::string& name) {
  v1::ResumeAccountRequest request;
  request.set_name(name);
  v1::ResumeAccountResponse response;
  MIDWATCH_CALL(accounts_, ResumeAccount, request, response);
  return response.account();
}

absl::StatusOr<v1::Account> SchedulerConnection::UpdateAccount(
    const v1::UpdateAccountRequest& request) {
  v1::UpdateAccountResponse response;
  MIDWATCH_CALL(accounts_, UpdateAccount, request, response);
  return response.account();
}

absl::StatusOr<std::vector<v1::Queue>> SchedulerConnection::ListQueues() {
  std::vector<v1::Queue> queues;
  v1::ListQueuesRequest request;
  request.set_page_size(kPageSize);
  while (true) {
    v1::ListQueuesResponse response;
    MIDWATCH_CALL(queues_, ListQueues, request, response);
    queues.insert(queues.end(), response.queues().begin(),
                  response.queues().end());
    if (response.next_page_token().empty()) return queues;
    request.set_page_token(response.next_page_token());
  }
}

absl::StatusOr<v1::Queue> SchedulerConnection::GetQueue(
    const std::string& name) {
  v1::GetQueueRequest request;
  request.set_name(name);
  v1::GetQueueResponse response;
  MIDWATCH_CALL(queues_, GetQueue, request, response);
  return response.queue();
}

absl::StatusOr<v1::Queue> SchedulerConnection::UpdateQueue(
    const v1::UpdateQueueRequest& request) {
  v1::UpdateQueueResponse response;
  MIDWATCH_CALL(queues_, UpdateQueue, request, response);
  return response.queue();
}

absl::StatusOr<v1::Queue> SchedulerConnection::PauseQueue(
    const v1::PauseQueueRequest& request) {
  v1::PauseQueueResponse response;
  MIDWATCH_CALL(queues_, PauseQueue, request, response);
  return response.queue();
}

absl::StatusOr<v1::Queue> SchedulerConnection::ResumeQueue(
    const std::string& name) {
  v1::ResumeQueueRequest request;
  request.set_name(name);
  v1::ResumeQueueResponse response;
  MIDWATCH_CALL(queues_, ResumeQueue, request, response);
  return response.queue();
}

absl::StatusOr<std::vector<v1::Tenant>> SchedulerConnection::ListTenants() {
  std::vector<v1::Tenant> tenants;
  v1::ListTenantsRequest request;
  request.set_page_size(kPageSize);
  while (true) {
    v1::ListTenantsResponse response;
    MIDWATCH_CALL(tenants_, ListTenants, request, response);
    tenants.insert(tenants.end(), response.tenants().begin(),
                   response.tenants().end());
    if (response.next_page_token().empty()) return tenants;
    request.set_page_token(response.next_page_token());
  }
}

absl::StatusOr<v1::Tenant> SchedulerConnection::GetTenant(
    const std::string& name) {
  v1::GetTenantRequest request;
  request.set_name(name);
  v1::GetTenantResponse response;
  MIDWATCH_CALL(tenants_, GetTenant, request, response);
  return response.tenant();
}

absl::StatusOr<v1::Tenant> SchedulerConnection::UpdateTenant(
    const v1::UpdateTenantRequest& request) {
  v1::UpdateTenantResponse response;
  MIDWATCH_CALL(tenants_, UpdateTenant, request, response);
  return response.tenant();
}

absl::StatusOr<std::vector<v1::ConcurrencyKey>>
SchedulerConnection::ListConcurrencyKeys(const std::string& tenant) {
  v1::ListConcurrencyKeysRequest request;
  request.set_tenant(tenant);
  v1::ListConcurrencyKeysResponse response;
  MIDWATCH_CALL(tenants_, ListConcurrencyKeys, request, response);
  return std::vector<v1::ConcurrencyKey>(response.keys().begin(),
                                         response.keys().end());
}

absl::Status SchedulerConnection::UpdateConcurrencyKey(
    const v1::UpdateConcurrencyKeyRequest& request) {
  v1::UpdateConcurrencyKeyResponse response;
  MIDWATCH_CALL(tenants_, UpdateConcurrencyKey, request, response);
  return absl::OkStatus();
}

absl::StatusOr<v1::Batch> SchedulerConnection::UpdateBatch(
    const v1::UpdateBatchRequest& request) {
  v1::UpdateBatchResponse response;
  MIDWATCH_CALL(batches_, UpdateBatch, request, response);
  return response.batch();
}

absl::StatusOr<v1::Batch> SchedulerConnection::PauseBatch(
    const v1::PauseBatchRequest& request) {
  v1::PauseBatchResponse response;
  MIDWATCH_CALL(batches_, PauseBatch, request, response);
  return response.batch();
}

absl::StatusOr<v1::Batch> SchedulerConnection::ResumeBatch(
    const std::string& batch_id) {
  v1::ResumeBatchRequest request;
  request.set_batch_id(batch_id);
  v1::ResumeBatchResponse response;
  MIDWATCH_CALL(batches_, ResumeBatch, request, response);
  return response.batch();
}

absl::StatusOr<v1::Batch> SchedulerConnection::RetryBatch(
    const v1::RetryBatchRequest& request) {
  for (int tried = 1;;) {
    v1::RetryBatchResponse response;
    absl::Status status =
        Call([this](grpc::ClientContext& context, const auto& q,
                    auto& a) { return batches_->RetryBatch(&context, q, &a); },
             request, response, "RetryBatch");
    if (status.ok() && !response.more()) return response.batch();
    if (status.ok()) {
      tried = 1;
      continue;
    }
    if (!absl::IsUnavailable(status) || tried++ == kRetryTriesMax ||
        !WaitUntilConnected(kReconnectTimeout)) {
      return status;
    }
  }
}

absl::StatusOr<std::optional<int64_t>> SchedulerConnection::DeleteBatch(
    const v1::DeleteBatchRequest& request) {
  bool begun = false;
  for (int tried = 1;;) {
    v1::DeleteBatchResponse response;
    absl::Status status =
        Call([this](grpc::ClientContext& context, const auto& q,
                    auto& a) { return batches_->DeleteBatch(&context, q, &a); },
             request, response, "DeleteBatch");
    if (status.ok() && !response.more()) return response.tasks();
    if (status.ok()) {
      begun = true;
      tried = 1;
      continue;
    }
    // It was there, and now it is not: the answer was lost.
    if (begun && absl::IsNotFound(status)) return std::nullopt;
    if (!absl::IsUnavailable(status) || tried++ == kRetryTriesMax ||
        !WaitUntilConnected(kReconnectTimeout)) {
      return status;
    }
    begun = true;
  }
}

absl::StatusOr<v1::SetBudgetResponse> SchedulerConnection::SetBudget(
    const v1::SetBudgetRequest& request) {
  v1::SetBudgetResponse response;
  MIDWATCH_CALL(budgets_, SetBudget, request, response);
  return response;
}

absl::StatusOr<std::vector<v1::Budget>> SchedulerConnection::ListBudgets() {
  std::vector<v1::Budget> budgets;
  v1::ListBudgetsRequest request;
  request.set_page_size(kPageSize);
  while (true) {
    v1::ListBudgetsResponse response;
    MIDWATCH_CALL(budgets_, ListBudgets, request, response);
    budgets.insert(budgets.end(), response.budgets().begin(),
                   response.budgets().end());
    if (response.next_page_token().empty()) return budgets;
    request.set_page_token(response.next_page_token());
  }
}

absl::Status SchedulerConnection::DeleteBudget(
    const v1::DeleteBudgetRequest& request) {
  v1::DeleteBudgetResponse response;
  MIDWATCH_CALL(budgets_, DeleteBudget, request, response);
  return absl::OkStatus();
}

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
    if (!absl::IsUnavailable(status) || tried == kRetryTriesMax ||
        !WaitUntilConnected(kReconnectTimeout)) {
      return status;
    }
  }
}

absl::Status SchedulerConnection::ForEachJournalEntry(
    v1::ListJournalRequest request,
    absl::FunctionRef<absl::Status(const v1::JournalEntry&)> visit) {
  request.set_page_size(kPageSize);
  while (true) {
    v1::ListJournalResponse response;
    MIDWATCH_CALL(budgets_, ListJournal, request, response);
    for (const v1::JournalEntry& entry : response.entries()) {
      RETURN_IF_ERROR(visit(entry));
    }
    if (response.next_page_token().empty()) return absl::OkStatus();
    request.set_page_token(response.next_page_token());
  }
}

#undef MIDWATCH_CALL

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

absl::StatusOr<v1::Backup> SchedulerConnection::CreateBackup(
    const std::string& path) {
  v1::CreateBackupRequest request;
  request.set_path(path);
  v1::CreateBackupResponse response;
  grpc::ClientContext context;
  SetTimeout(context, kBackupTimeout);
  RETURN_IF_ERROR(AnswerFromGrpc(
      admin_->CreateBackup(&context, request, &response), "CreateBackup"));
  return response.backup();
}

absl::Status SchedulerConnection::UploadMissing(
    const std::map<std::string, std::string>& paths_by_sha256,
    absl::FunctionRef<bool()> stop) {
  std::vector<std::string> names;
  for (const auto& entry : paths_by_sha256) names.push_back(entry.first);
  ASSIGN_OR_RETURN(std::vector<std::string> missing,
                   FindMissingArtifacts(*artifacts_, calls_, names));
  for (const std::string& name : missing) {
    if (stop()) return absl::CancelledError("interrupted");
    auto path = paths_by_sha256.find(name);
    if (path == paths_by_sha256.end()) continue;
    ASSIGN_OR_RETURN(ArtifactRef sent,
                     UploadArtifact(*artifacts_, calls_, path->second));
    FaultPoint("client.input.after");
    if (sent.sha256 != name) {
      return absl::AbortedError(
          absl::StrCat(path->second,
                       " changed while it was submitted; start "
                       "again"));
    }
  }
  return absl::OkStatus();
}

absl::Status SchedulerConnection::Download(const std::string& sha256,
                                           const std::string& path) {
  return DownloadArtifact(*artifacts_, calls_, sha256, path);
}

}  // namespace midwatch::cli
