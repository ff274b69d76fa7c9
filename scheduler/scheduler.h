// The scheduler: decides who runs next and what follows from an end, and
// answers clients and workers. No gRPC here: a service, or the direct client of
// an embedded worker, calls these methods with the proto's messages.
#ifndef MIDWATCH_SCHEDULER_SCHEDULER_H_
#define MIDWATCH_SCHEDULER_SCHEDULER_H_

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/random.h"
#include "midwatch/v1/account_service.pb.h"
#include "midwatch/v1/batch_service.pb.h"
#include "midwatch/v1/budget_service.pb.h"
#include "midwatch/v1/queue_service.pb.h"
#include "midwatch/v1/schedule_service.pb.h"
#include "midwatch/v1/task_service.pb.h"
#include "midwatch/v1/worker_service.pb.h"
#include "scheduler/cost_estimates.h"
#include "scheduler/event_feeds.h"
#include "scheduler/hook_sender.h"
#include "scheduler/lease_book.h"
#include "scheduler/rate_book.h"
#include "scheduler/reply.h"
#include "scheduler/retention.h"
#include "scheduler/schedule_book.h"
#include "scheduler/to_proto.h"
#include "scheduler/watch_hub.h"
#include "store/store.h"

namespace midwatch {

struct SchedulerOptions {
  LeaseBookOptions leases;
  // Otherwise schedules rest until a scheduler that does starts; what was
  // planned already, and what is fired by hand, is submitted all the same.
  bool fires_schedules = true;
  HookOptions hooks;
  // Which batches are deleted by themselves: none.
  RetentionOptions retention = {};
};

// Lives on one executor; all calls on its thread, and all answers come on it.
// `executor`, `clock`, `random` and `store` outlive it. Destroy it after its
// executor has stopped.
class Scheduler {
 public:
  Scheduler(Executor& executor, const Clock& clock, Random& random,
            Store& store, SchedulerOptions options = {});

  // Reads what the store holds, goes on with what was begun, then calls
  // `ready`. No other call before.
  void Start(absl::AnyInvocable<void(absl::Status)> ready);

  // TaskService, BatchService: see the protos. A step of SubmitBatch is one
  // message of its stream.
  void SubmitTask(const v1::SubmitTaskRequest& request,
                  Reply<v1::SubmitTaskResponse> reply);
  void GetTask(const v1::GetTaskRequest& request,
               Reply<v1::GetTaskResponse> reply);
  void ListTasks(const v1::ListTasksRequest& request,
                 Reply<v1::ListTasksResponse> reply);
  void CancelTask(const v1::CancelTaskRequest& request,
                  Reply<v1::CancelTaskResponse> reply);
  void RetryTask(const v1::RetryTaskRequest& request,
                 Reply<v1::RetryTaskResponse> reply);
  void AnswerTask(const v1::AnswerTaskRequest& request,
                  Reply<v1::AnswerTaskResponse> reply);
  void UpdateTask(const v1::UpdateTaskRequest& request,
                  Reply<v1::UpdateTaskResponse> reply);
  void ListTaskEvents(const v1::ListTaskEventsRequest& request,
                      Reply<v1::ListTaskEventsResponse> reply);
  void ListLastEvents(const v1::ListLastEventsRequest& request,
                      Reply<v1::ListLastEventsResponse> reply);
  // explain_api.cc
  void ExplainTask(const v1::ExplainTaskRequest& request,
                   Reply<v1::ExplainTaskResponse> reply);
  void ForecastTasks(const v1::ForecastTasksRequest& request,
                     Reply<v1::ForecastTasksResponse> reply);
  void SubmitBatchStep(const v1::SubmitBatchRequest& request,
                       Reply<v1::SubmitBatchResponse> reply);
  void GetBatch(const v1::GetBatchRequest& request,
                Reply<v1::GetBatchResponse> reply);
  void ListBatches(const v1::ListBatchesRequest& request,
                   Reply<v1::ListBatchesResponse> reply);
  void CancelBatch(const v1::CancelBatchRequest& request,
                   Reply<v1::CancelBatchResponse> reply);
  void UpdateBatch(const v1::UpdateBatchRequest& request,
                   Reply<v1::UpdateBatchResponse> reply);
  void PauseBatch(const v1::PauseBatchRequest& request,
                  Reply<v1::PauseBatchResponse> reply);
  void ResumeBatch(const v1::ResumeBatchRequest& request,
                   Reply<v1::ResumeBatchResponse> reply);
  void RetryBatch(const v1::RetryBatchRequest& request,
                  Reply<v1::RetryBatchResponse> reply);
  void DeleteBatch(const v1::DeleteBatchRequest& request,
                   Reply<v1::DeleteBatchResponse> reply);
  // QueueService, TenantService.
  void ListQueues(const v1::ListQueuesRequest& request,
                  Reply<v1::ListQueuesResponse> reply);
  void GetQueue(const v1::GetQueueRequest& request,
                Reply<v1::GetQueueResponse> reply);
  void UpdateQueue(const v1::UpdateQueueRequest& request,
                   Reply<v1::UpdateQueueResponse> reply);
  void PauseQueue(const v1::PauseQueueRequest& request,
                  Reply<v1::PauseQueueResponse> reply);
  void ResumeQueue(const v1::ResumeQueueRequest& request,
                   Reply<v1::ResumeQueueResponse> reply);
  void ListTenants(const v1::ListTenantsRequest& request,
                   Reply<v1::ListTenantsResponse> reply);
  void GetTenant(const v1::GetTenantRequest& request,
                 Reply<v1::GetTenantResponse> reply);
  void UpdateTenant(const v1::UpdateTenantRequest& request,
                    Reply<v1::UpdateTenantResponse> reply);
  void ListConcurrencyKeys(const v1::ListConcurrencyKeysRequest& request,
                           Reply<v1::ListConcurrencyKeysResponse> reply);
  void UpdateConcurrencyKey(const v1::UpdateConcurrencyKeyRequest& request,
                            Reply<v1::UpdateConcurrencyKeyResponse> reply);
  // BudgetService.
  void SetBudget(const v1::SetBudgetRequest& request,
                 Reply<v1::SetBudgetResponse> reply);
  void ListBudgets(const v1::ListBudgetsRequest& request,
                   Reply<v1::ListBudgetsResponse> reply);
  void DeleteBudget(const v1::DeleteBudgetRequest& request,
                    Reply<v1::DeleteBudgetResponse> reply);
  void ListJournal(const v1::ListJournalRequest& request,
                   Reply<v1::ListJournalResponse> reply);
  // ScheduleService.
  void PutSchedule(const v1::PutScheduleRequest& request,
                   Reply<v1::PutScheduleResponse> reply);
  void GetSchedule(const v1::GetScheduleRequest& request,
                   Reply<v1::GetScheduleResponse> reply);
  void ListSchedules(const v1::ListSchedulesRequest& request,
                     Reply<v1::ListSchedulesResponse> reply);
  void DeleteSchedule(const v1::DeleteScheduleRequest& request,
                      Reply<v1::DeleteScheduleResponse> reply);
  void PauseSchedule(const v1::PauseScheduleRequest& request,
                     Reply<v1::PauseScheduleResponse> reply);
  void ResumeSchedule(const v1::ResumeScheduleRequest& request,
                      Reply<v1::ResumeScheduleResponse> reply);
  void RunSchedule(const v1::RunScheduleRequest& request,
                   Reply<v1::RunScheduleResponse> reply);
  // AccountService.
  void ListAccounts(const v1::ListAccountsRequest& request,
                    Reply<v1::ListAccountsResponse> reply);
  void GetAccount(const v1::GetAccountRequest& request,
                  Reply<v1::GetAccountResponse> reply);
  void PauseAccount(const v1::PauseAccountRequest& request,
                    Reply<v1::PauseAccountResponse> reply);
  void ResumeAccount(const v1::ResumeAccountRequest& request,
                     Reply<v1::ResumeAccountResponse> reply);
  void UpdateAccount(const v1::UpdateAccountRequest& request,
                     Reply<v1::UpdateAccountResponse> reply);
  WatchHub& watches() { return watches_; }
  EventFeeds& feeds() { return feeds_; }

  // WorkerService: terms and leases are the book's, the rest is here.
  LeaseBook& leases() { return leases_; }
  RateBook& rates() { return rates_; }
  void BeginCreate(const v1::BeginCreateRequest& request,
                   Reply<v1::BeginCreateResponse> reply);
  void RecordSession(const v1::RecordSessionRequest& request,
                     Reply<v1::RecordSessionResponse> reply);
  void ClearSession(const v1::ClearSessionRequest& request,
                    Reply<v1::ClearSessionResponse> reply);
  void AppendEvents(const v1::AppendEventsRequest& request,
                    Reply<v1::AppendEventsResponse> reply);
  void ReadEvents(const v1::ReadEventsRequest& request,
                  Reply<v1::ReadEventsResponse> reply);
  void Advise(const v1::AdviseRequest& request,
              Reply<v1::AdviseResponse> reply);
  void AddAnswer(const v1::AddAnswerRequest& request,
                 Reply<v1::AddAnswerResponse> reply);
  void MarkSaid(const v1::MarkSaidRequest& request,
                Reply<v1::MarkSaidResponse> reply);
  void Park(const v1::ParkRequest& request, Reply<v1::ParkResponse> reply);
  void Settle(const v1::SettleRequest& request,
              Reply<v1::SettleResponse> reply);
  void HandBack(const v1::HandBackRequest& request,
                Reply<v1::HandBackResponse> reply);
  void FindRemoteIds(const v1::FindRemoteIdsRequest& request,
                     Reply<v1::FindRemoteIdsResponse> reply);
  void RecordRemoteId(const v1::RecordRemoteIdRequest& request,
                      Reply<v1::RecordRemoteIdResponse> reply);
  void LeaseErrands(const v1::LeaseErrandsRequest& request,
                    Reply<v1::LeaseErrandsResponse> reply);
  void CompleteErrands(const v1::CompleteErrandsRequest& request,
                       Reply<v1::CompleteErrandsResponse> reply);
  void ExplainSessions(const v1::ExplainSessionsRequest& request,
                       Reply<v1::ExplainSessionsResponse> reply);
  void CompleteSweep(const v1::CompleteSweepRequest& request,
                     Reply<v1::CompleteSweepResponse> reply);

 private:
  void SubmitChunk(const v1::SubmitBatchRequest& request,
                   Reply<v1::SubmitBatchResponse> reply);
  template <typename W>
  void ApplyBatchStep(W write, Reply<v1::SubmitBatchResponse> reply);
  // Cancels the batch's tasks step by step, then calls `done`. Once the store
  // has `begun` it goes on through failures: a batch that is being cancelled
  // takes no pause with half of its tasks queued.
  void CancelSteps(RowKey batch, std::string reason, bool begun,
                   absl::AnyInvocable<void(absl::Status)> done);
  // retry_api.cc
  // So many writes more of a batch's retry, as one call may make.
  void RetrySteps(midwatch::RetryBatch write, int steps,
                  Reply<v1::RetryBatchResponse> reply);
  // What a task's submission is answered with where its key is held.
  absl::Status KeyHeld(RowKey holder) const;
  // control_api.cc
  template <typename W>
  void ApplyControl(W write, absl::AnyInvocable<void(absl::Status)> look);
  template <typename Response, typename W>
  void ControlBatch(absl::StatusOr<W> write, const std::string& id,
                    Reply<Response> reply);
  template <typename Response>
  void AnswerWithQueue(std::string name, Reply<Response> reply);
  template <typename Response>
  void AnswerWithTenant(std::string name, Reply<Response> reply);
  template <typename Response>
  void AnswerWithBatch(RowKey key, Reply<Response> reply);
  // Answers with the schedule as it stands, or why `set` failed.
  template <typename Response>
  void ReplyWithSchedule(const std::string& name,
                         absl::StatusOr<ScheduleSet> set,
                         Reply<Response> reply);
  // A task and a batch as clients see them, with what is in memory only.
  v1::Task Describe(const TaskRecord& task) const;
  v1::Batch Describe(const BatchRecord& batch) const;
  // Stores one attempt's events: how many there are now.
  void Append(const v1::AttemptEvents& events, Reply<int64_t> reply);
  void NoteEstimate(int64_t task, int64_t batch, int64_t usd_micros);
  // Fires timers at `at` or before, where that is sooner than already planned.
  void PlanTimers(absl::Time at);
  void FireTimers();

  Executor& executor_;
  const Clock& clock_;
  Random& random_;
  Store& store_;
  const Ids ids_;
  RateBook rates_;
  LeaseBook leases_;
  CostEstimates estimates_;
  WatchHub watches_;
  EventFeeds feeds_;
  ScheduleBook schedules_;
  HookSender hooks_;
  Retention retention_;
  absl::Time timers_at_ = absl::InfiniteFuture();
  bool timers_apart_ = false;  // since the last time failed
  Executor::TimerId timer_ = 0;
  bool telling_estimates_ = false;
};

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_SCHEDULER_H_
