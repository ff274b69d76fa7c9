// How a command reaches a scheduler.
#ifndef MIDWATCH_CLI_SCHEDULER_CONNECTION_H_
#define MIDWATCH_CLI_SCHEDULER_CONNECTION_H_

#include <grpcpp/channel.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "midwatch/v1/account_service.grpc.pb.h"
#include "midwatch/v1/admin_service.grpc.pb.h"
#include "midwatch/v1/artifact_service.grpc.pb.h"
#include "midwatch/v1/batch_service.grpc.pb.h"
#include "midwatch/v1/budget_service.grpc.pb.h"
#include "midwatch/v1/queue_service.grpc.pb.h"
#include "midwatch/v1/schedule_service.grpc.pb.h"
#include "midwatch/v1/task_service.grpc.pb.h"
#include "node/scheduler_node.h"
#include "worker/grpc_calls.h"

namespace midwatch::cli {

// A scheduler's client API. Blocking calls, each with a deadline.
class SchedulerConnection {
 public:
  // To `server` where it is given, else to the scheduler that serves
  // `state_dir` at this moment, else to one of its own on that directory.
  //   kUnavailable         nothing answers at `server`
  //   kFailedPrecondition  another process holds the directory
  static absl::StatusOr<std::unique_ptr<SchedulerConnection>> Open(
      const std::string& server, const std::string& state_dir);

  explicit SchedulerConnection(std::shared_ptr<grpc::Channel> channel);

  // Waits until there is a connection; false where `timeout` has passed.
  bool WaitUntilConnected(absl::Duration timeout);

  absl::StatusOr<v1::Batch> GetBatch(const std::string& batch_id);
  // By id, or the newest of that name.
  absl::StatusOr<v1::Batch> FindBatch(const std::string& id_or_name);
  absl::StatusOr<v1::Batch> CancelBatch(const std::string& batch_id,
                                        const std::string& reason);
  absl::StatusOr<v1::Batch> UpdateBatch(const v1::UpdateBatchRequest& request);
  absl::StatusOr<v1::Batch> PauseBatch(const v1::PauseBatchRequest& request);
  absl::StatusOr<v1::Batch> ResumeBatch(const std::string& batch_id);
  // What did not succeed of a batch as a new one; of the whole batch, over as
  // many calls as that takes. A call whose answer was lost is made again.
  absl::StatusOr<v1::Batch> RetryBatch(const v1::RetryBatchRequest& request);
  // Waits for its end. How many tasks it had; unset where somebody else deleted
  // it to the end meanwhile.
  absl::StatusOr<std::optional<int64_t>> DeleteBatch(
      const v1::DeleteBatchRequest& request);
  // Newest first, `limit` at most, of those that `filter` names.
  absl::StatusOr<std::vector<v1::Batch>> ListBatches(
      v1::ListBatchesRequest filter, int limit);
  // Newest first, of those that `filter` names, until `visit` returns false.
  // Its page_size, where it is set, is the first page's: as many as `visit`
  // will take, should it take each.
  absl::Status ForEachBatch(v1::ListBatchesRequest filter,
                            absl::FunctionRef<bool(const v1::Batch&)> visit);
  // Of all.
  absl::Status ForEachBatch(absl::FunctionRef<bool(const v1::Batch&)> visit);
  // `name` empty: all.
  absl::StatusOr<std::vector<v1::Batch>> ListBatches(const std::string& name,
                                                     int limit);

  absl::StatusOr<v1::Task> GetTask(const std::string& task_id);
  absl::StatusOr<v1::ExplainTaskResponse> ExplainTask(
      const v1::ExplainTaskRequest& request);
  absl::StatusOr<v1::ForecastTasksResponse> ForecastTasks(
      const v1::ForecastTasksRequest& request);
  absl::StatusOr<v1::CancelTaskResponse> CancelTask(const std::string& task_id,
                                                    const std::string& reason);
  absl::StatusOr<v1::AnswerTaskResponse> AnswerTask(
      const v1::AnswerTaskRequest& request);
  absl::StatusOr<v1::RetryTaskResponse> RetryTask(
      const std::string& task_id, const std::string& request_id);
  absl::StatusOr<v1::Task> UpdateTask(const v1::UpdateTaskRequest& request);
  // Calls `visit` for each task that `filter` names, in the order of
  // submission, until it returns an error. page_size as for ForEachBatch.
  absl::Status ForEachTask(
      v1::ListTasksRequest filter,
      absl::FunctionRef<absl::Status(const v1::Task&)> visit);
  // Of a batch, in one of `states` (empty: any).
  absl::Status ForEachTask(
      const std::string& batch_id, const std::vector<v1::TaskState>& states,
      absl::FunctionRef<absl::Status(const v1::Task&)> visit);
  absl::StatusOr<v1::ListTaskEventsResponse> ListTaskEvents(
      const v1::ListTaskEventsRequest& request);

  // Calls `visit` with each message until the task is final or `visit` returns
  // an error, over as many streams as that takes.
  //   kUnavailable  the scheduler has been out of reach for a minute
  absl::Status FollowTaskEvents(
      v1::FollowTaskEventsRequest request,
      absl::FunctionRef<absl::Status(const v1::FollowTaskEventsResponse&)>
          visit);

  absl::StatusOr<std::vector<v1::Account>> ListAccounts();
  absl::StatusOr<v1::Account> GetAccount(const std::string& name);
  absl::StatusOr<v1::Account> PauseAccount(
      const v1::PauseAccountRequest& request);
  absl::StatusOr<v1::Account> ResumeAccount(const std::string& name);
  absl::StatusOr<v1::Account> UpdateAccount(
      const v1::UpdateAccountRequest& request);

  absl::StatusOr<std::vector<v1::Queue>> ListQueues();
  absl::StatusOr<v1::Queue> GetQueue(const std::string& name);
  absl::StatusOr<v1::Queue> UpdateQueue(const v1::UpdateQueueRequest& request);
  absl::StatusOr<v1::Queue> PauseQueue(const v1::PauseQueueRequest& request);
  absl::StatusOr<v1::Queue> ResumeQueue(const std::string& name);
  absl::StatusOr<std::vector<v1::Tenant>> ListTenants();
  absl::StatusOr<v1::Tenant> GetTenant(const std::string& name);
  absl::StatusOr<v1::Tenant> UpdateTenant(
      const v1::UpdateTenantRequest& request);
  absl::StatusOr<std::vector<v1::ConcurrencyKey>> ListConcurrencyKeys(
      const std::string& tenant);
  absl::Status UpdateConcurrencyKey(
      const v1::UpdateConcurrencyKeyRequest& request);

  absl::StatusOr<v1::SetBudgetResponse> SetBudget(
      const v1::SetBudgetRequest& request);
  absl::StatusOr<std::vector<v1::Budget>> ListBudgets();
  absl::Status DeleteBudget(const v1::DeleteBudgetRequest& request);
  // Calls `visit` for each entry that `filter` names, oldest first, until it
  // returns an error.
  absl::Status ForEachJournalEntry(
      v1::ListJournalRequest filter,
      absl::FunctionRef<absl::Status(const v1::JournalEntry&)> visit);

  absl::StatusOr<v1::Schedule> PutSchedule(
      const v1::PutScheduleRequest& request);
  absl::StatusOr<v1::Schedule> GetSchedule(const std::string& name);
  absl::StatusOr<std::vector<v1::Schedule>> ListSchedules();
  absl::Status DeleteSchedule(const std::string& name);
  absl::StatusOr<v1::Schedule> PauseSchedule(
      const v1::PauseScheduleRequest& request);
  absl::StatusOr<v1::Schedule> ResumeSchedule(const std::string& name);
  // Repeated under its request_id where the answer is lost.
  absl::StatusOr<v1::Firing> RunSchedule(const std::string& name,
                                         const std::string& request_id);

  // In a new folder at an absolute path on the scheduler's machine. Waits until
  // it is made and checked.
  absl::StatusOr<v1::Backup> CreateBackup(const std::string& path);

  // The scheduler is this process's own, and ends with it.
  bool is_embedded() const { return embedded_ != nullptr; }

  // Sends those of the files (paths by their SHA-256) that the scheduler lacks,
  // until `stop` returns true.
  //   kAborted    a file is not any more what it was when it was read
  //   kCancelled  `stop` returned true
  absl::Status UploadMissing(
      const std::map<std::string, std::string>& paths_by_sha256,
      absl::FunctionRef<bool()> stop);
  absl::Status Download(const std::string& sha256, const std::string& path);

  std::shared_ptr<grpc::Channel> channel() { return channel_; }
  v1::BatchService::Stub& batches() { return *batches_; }
  v1::TaskService::Stub& tasks() { return *tasks_; }
  v1::AccountService::Stub& accounts() { return *accounts_; }

 private:
  template <typename Method, typename Request, typename Response>
  absl::Status Call(Method method, const Request& request, Response& response,
                    const char* name);

  std::unique_ptr<SchedulerNode> embedded_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::BatchService::Stub> batches_;
  std::unique_ptr<v1::TaskService::Stub> tasks_;
  std::unique_ptr<v1::BudgetService::Stub> budgets_;
  std::unique_ptr<v1::AccountService::Stub> accounts_;
  std::unique_ptr<v1::QueueService::Stub> queues_;
  std::unique_ptr<v1::TenantService::Stub> tenants_;
  std::unique_ptr<v1::ScheduleService::Stub> schedules_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
  GrpcCalls calls_;
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_SCHEDULER_CONNECTION_H_
