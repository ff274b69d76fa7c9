// The scheduler's side of WorkerService in memory: leases, epochs, the
// compare-and-set of sessions, events, the outbox. It decides nothing by
// itself: what Advise answers is scripted, and a settled task is over.
#ifndef MIDWATCH_TESTS_TESTING_FAKE_SCHEDULER_H_
#define MIDWATCH_TESTS_TESTING_FAKE_SCHEDULER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"
#include "worker/scheduler_client.h"

namespace midwatch::testing {

struct FakeTask {
  std::string id;
  v1::Lease lease;     // as the next grant would carry it
  int64_t worker = 0;  // who holds it; 0: nobody
  bool settled = false;
  v1::Ending ending;
  std::vector<std::string> nonces;
  std::vector<std::string> events;
  std::vector<std::string> cleared;  // sessions that were taken back
  int grants = 0;
  int handed_back = 0;
  // What it is parked for: Answer lets it be granted again.
  // Budgets that its policy raises a spent one to, then the end; unset: it has
  // no such policy.
  std::optional<std::deque<std::string>> raises;
  std::vector<v1::Question> questions;
};

// What befalls a call: before it has its effect, or after.
struct FakeCallFault {
  absl::Status before;
  absl::Status after;
};

class FakeScheduler {
 public:
  explicit FakeScheduler(const Clock& clock) : clock_(clock) {}

  // Scripted; unset: no fault, and always "retry after a second".
  std::function<FakeCallFault(const std::string& method)> on_call;
  std::function<v1::AdviseResponse(const v1::AdviseRequest&)> advise;
  // Unset: no slots are needed.
  std::function<v1::AskSlotsResponse(const v1::AskSlotsRequest&)> slots;

  // Queues a task and grants it to the first worker with an open stream.
  // Returns its id.
  std::string Add(v1::TaskSpec spec);
  FakeTask& task(const std::string& id) { return tasks_.at(id); }

  // The holder's term lapses: its calls get kNotFound or kAborted, its stream
  // ends, its tasks are free.
  void Lapse(int64_t worker);
  // Takes the lease away from its holder, with a notice.
  void Revoke(const std::string& id);
  // Frees the task without a notice, for another worker to adopt.
  void Free(const std::string& id);
  // Cancel was asked for: an interrupt in the outbox, and a notice.
  void Cancel(const std::string& id);
  // A further message in the outbox, with a notice. Returns its number.
  int Say(const std::string& id, const std::string& text);
  // Answers all that a parked task asks.
  void Answer(const std::string& id, v1::SayKind kind, const std::string& text);
  // Grants what is free.
  void Dispatch();
  // Of the worker that registered `index`-th, from 0.
  int64_t worker_id(int index) const { return index + 1; }
  const std::vector<v1::AdviseRequest>& advised() const { return advised_; }
  std::map<std::string, std::string>& remote_ids() { return remote_ids_; }
  // Sessions that the next call for errands gets, and what was completed.
  std::vector<std::string> errands;
  std::vector<std::string> completed;
  // What was said with them.
  std::map<std::string, int64_t> late_costs;
  // A sweep that the next call for errands gets, what its sessions are, and
  // what came back.
  std::optional<absl::Time> sweep_from;
  std::map<std::string, v1::SessionFate> fates;
  std::vector<v1::CompleteSweepRequest> sweeps;

 private:
  friend class FakeSchedulerClient;
  class Stream;
  struct WorkerState {
    bool lapsed = false;
    Stream* stream = nullptr;
  };

  absl::StatusOr<FakeTask*> Holder(const v1::LeaseToken& token);
  void Notify(const FakeTask& task, const v1::Say& say);
  absl::StatusOr<int64_t> Append(const v1::AttemptEvents& events);

  absl::StatusOr<v1::RegisterWorkerResponse> Do(
      const v1::RegisterWorkerRequest& request);
  absl::StatusOr<v1::RenewWorkerResponse> Do(
      const v1::RenewWorkerRequest& request);
  absl::StatusOr<v1::AskSlotsResponse> Do(const v1::AskSlotsRequest& request);
  absl::StatusOr<v1::BeginCreateResponse> Do(
      const v1::BeginCreateRequest& request);
  absl::StatusOr<v1::RecordSessionResponse> Do(
      const v1::RecordSessionRequest& request);
  absl::StatusOr<v1::ClearSessionResponse> Do(
      const v1::ClearSessionRequest& request);
  absl::StatusOr<v1::AppendEventsResponse> Do(
      const v1::AppendEventsRequest& request);
  absl::StatusOr<v1::ReadEventsResponse> Do(
      const v1::ReadEventsRequest& request);
  absl::StatusOr<v1::AdviseResponse> Do(const v1::AdviseRequest& request);
  absl::StatusOr<v1::AddAnswerResponse> Do(const v1::AddAnswerRequest& request);
  absl::StatusOr<v1::MarkSaidResponse> Do(const v1::MarkSaidRequest& request);
  absl::StatusOr<v1::ParkResponse> Do(const v1::ParkRequest& request);
  absl::StatusOr<v1::SettleResponse> Do(const v1::SettleRequest& request);
  absl::StatusOr<v1::HandBackResponse> Do(const v1::HandBackRequest& request);
  absl::StatusOr<v1::FindRemoteIdsResponse> Do(
      const v1::FindRemoteIdsRequest& request);
  absl::StatusOr<v1::RecordRemoteIdResponse> Do(
      const v1::RecordRemoteIdRequest& request);
  absl::StatusOr<v1::LeaseErrandsResponse> Do(
      const v1::LeaseErrandsRequest& request);
  absl::StatusOr<v1::CompleteErrandsResponse> Do(
      const v1::CompleteErrandsRequest& request);
  absl::StatusOr<v1::ExplainSessionsResponse> Do(
      const v1::ExplainSessionsRequest& request);
  absl::StatusOr<v1::CompleteSweepResponse> Do(
      const v1::CompleteSweepRequest& request);

  const Clock& clock_;
  std::map<std::string, FakeTask> tasks_;
  std::map<int64_t, WorkerState> workers_;
  std::map<std::string, std::string> remote_ids_;
  std::vector<v1::AdviseRequest> advised_;
};

// One worker's way to it: each call takes `latency` there and back. The
// scheduler and the node's executor outlive it.
class FakeSchedulerClient final : public SchedulerClient {
 public:
  FakeSchedulerClient(FakeScheduler& scheduler, Executor& node,
                      absl::Duration latency = absl::Milliseconds(1))
      : scheduler_(scheduler), node_(node), latency_(latency) {}

  Async<absl::StatusOr<v1::RegisterWorkerResponse>> RegisterWorker(
      v1::RegisterWorkerRequest request) override;
  Async<absl::StatusOr<v1::RenewWorkerResponse>> RenewWorker(
      v1::RenewWorkerRequest request) override;
  Async<absl::StatusOr<std::unique_ptr<LeaseStream>>> StreamLeases(
      v1::StreamLeasesRequest request) override;
  Async<absl::StatusOr<v1::AskSlotsResponse>> AskSlots(
      v1::AskSlotsRequest request) override;
  Async<absl::StatusOr<v1::BeginCreateResponse>> BeginCreate(
      v1::BeginCreateRequest request) override;
  Async<absl::StatusOr<v1::RecordSessionResponse>> RecordSession(
      v1::RecordSessionRequest request) override;
  Async<absl::StatusOr<v1::ClearSessionResponse>> ClearSession(
      v1::ClearSessionRequest request) override;
  Async<absl::StatusOr<v1::AppendEventsResponse>> AppendEvents(
      v1::AppendEventsRequest request) override;
  Async<absl::StatusOr<v1::ReadEventsResponse>> ReadEvents(
      v1::ReadEventsRequest request) override;
  Async<absl::StatusOr<v1::AdviseResponse>> Advise(
      v1::AdviseRequest request) override;
  Async<absl::StatusOr<v1::AddAnswerResponse>> AddAnswer(
      v1::AddAnswerRequest request) override;
  Async<absl::StatusOr<v1::MarkSaidResponse>> MarkSaid(
      v1::MarkSaidRequest request) override;
  Async<absl::StatusOr<v1::ParkResponse>> Park(
      v1::ParkRequest request) override;
  Async<absl::StatusOr<v1::SettleResponse>> Settle(
      v1::SettleRequest request) override;
  Async<absl::StatusOr<v1::HandBackResponse>> HandBack(
      v1::HandBackRequest request) override;
  Async<absl::StatusOr<v1::FindRemoteIdsResponse>> FindRemoteIds(
      v1::FindRemoteIdsRequest request) override;
  Async<absl::StatusOr<v1::RecordRemoteIdResponse>> RecordRemoteId(
      v1::RecordRemoteIdRequest request) override;
  Async<absl::StatusOr<v1::LeaseErrandsResponse>> LeaseErrands(
      v1::LeaseErrandsRequest request) override;
  Async<absl::StatusOr<v1::CompleteErrandsResponse>> CompleteErrands(
      v1::CompleteErrandsRequest request) override;
  Async<absl::StatusOr<v1::ExplainSessionsResponse>> ExplainSessions(
      v1::ExplainSessionsRequest request) override;
  Async<absl::StatusOr<v1::CompleteSweepResponse>> CompleteSweep(
      v1::CompleteSweepRequest request) override;

 private:
  template <typename Response, typename Request>
  Async<absl::StatusOr<Response>> Call(std::string method, Request request);

  FakeScheduler& scheduler_;
  Executor& node_;
  absl::Duration latency_;
};

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_TESTING_FAKE_SCHEDULER_H_
