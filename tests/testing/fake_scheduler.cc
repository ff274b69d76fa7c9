#include "tests/testing/fake_scheduler.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace midwatch::testing {

class FakeScheduler::Stream final : public LeaseStream {
 public:
  Stream(FakeScheduler& scheduler, int64_t worker, Executor& node)
      : scheduler_(scheduler), worker_(worker), responses_(node) {
    scheduler_.workers_[worker_].stream = this;
  }
  ~Stream() override { Detach(); }

  void Push(v1::StreamLeasesResponse response) {
    responses_.Push(std::move(response));
  }
  void End(absl::Status status) { responses_.Push(std::move(status)); }

  Async<absl::StatusOr<v1::StreamLeasesResponse>> Next() override {
    std::optional<absl::StatusOr<v1::StreamLeasesResponse>> response =
        co_await responses_.Pop();
    co_return *std::move(response);
  }
  void Close() override {
    Detach();
    responses_.Push(absl::CancelledError("closed"));
  }

 private:
  void Detach() {
    WorkerState& worker = scheduler_.workers_[worker_];
    if (worker.stream == this) worker.stream = nullptr;
  }

  FakeScheduler& scheduler_;
  int64_t worker_;
  Mailbox<absl::StatusOr<v1::StreamLeasesResponse>> responses_;
};

// ---- The test's side ----

std::string FakeScheduler::Add(v1::TaskSpec spec) {
  std::string id = absl::StrFormat("task-%03d", tasks_.size() + 1);
  FakeTask& task = tasks_[id];
  task.id = id;
  v1::Lease& lease = task.lease;
  lease.mutable_token()->set_task_id(id);
  lease.mutable_token()->set_attempt(1);
  lease.set_phase(v1::ATTEMPT_PHASE_GRANTED);
  lease.set_account("default");
  lease.set_task_name(absl::StrCat("name of ", id));
  *lease.mutable_spec() = std::move(spec);
  lease.set_budget_usd_micros(1'000'000);
  lease.set_pin_scope("batch:1");
  lease.mutable_granted_at()->set_seconds(absl::ToUnixSeconds(clock_.Now()));
  Dispatch();
  return id;
}

void FakeScheduler::Dispatch() {
  for (auto& [id, task] : tasks_) {
    if (task.worker != 0 || task.settled || !task.questions.empty()) continue;
    for (auto& [worker_id, worker] : workers_) {
      if (worker.stream == nullptr) continue;
      task.worker = worker_id;
      ++task.grants;
      v1::LeaseToken& token = *task.lease.mutable_token();
      token.set_worker_id(worker_id);
      token.set_epoch(token.epoch() + 1);
      task.lease.set_stored_events(task.events.size());
      v1::StreamLeasesResponse response;
      *response.mutable_grant() = task.lease;
      worker.stream->Push(std::move(response));
      break;
    }
  }
}

void FakeScheduler::Lapse(int64_t worker) {
  workers_[worker].lapsed = true;
  if (Stream* stream = std::exchange(workers_[worker].stream, nullptr)) {
    stream->End(absl::NotFoundError("the term has lapsed"));
  }
  for (auto& [id, task] : tasks_) {
    if (task.worker == worker) task.worker = 0;
  }
  Dispatch();
}

void FakeScheduler::Revoke(const std::string& id) {
  FakeTask& task = tasks_.at(id);
  v1::StreamLeasesResponse response;
  *response.mutable_revoke() = task.lease.token();
  if (Stream* stream = workers_[task.worker].stream) {
    stream->Push(std::move(response));
  }
  task.worker = -1;  // nobody's, and not to be granted
}

void FakeScheduler::Free(const std::string& id) {
  tasks_.at(id).worker = 0;
  Dispatch();
}

void FakeScheduler::Notify(const FakeTask& task, const v1::Say& say) {
  auto it = workers_.find(task.worker);
  if (it == workers_.end() || it->second.stream == nullptr) return;
  v1::StreamLeasesResponse response;
  v1::SayNotice& notice = *response.mutable_say();
  *notice.mutable_token() = task.lease.token();
  *notice.mutable_say() = say;
  notice.set_cancelling(task.lease.cancelling());
  it->second.stream->Push(std::move(response));
}

void FakeScheduler::Cancel(const std::string& id) {
  FakeTask& task = tasks_.at(id);
  task.lease.set_cancelling(true);
  v1::Say& say = *task.lease.add_outbox();
  say.set_number(task.lease.outbox_size());
  say.set_kind(v1::SAY_KIND_INTERRUPT);
  say.set_key("cancel");
  Notify(task, say);
}

int FakeScheduler::Say(const std::string& id, const std::string& text) {
  FakeTask& task = tasks_.at(id);
  v1::Say& say = *task.lease.add_outbox();
  say.set_number(task.lease.outbox_size());
  say.set_kind(v1::SAY_KIND_MESSAGE);
  say.set_key(absl::StrCat("say:", say.number()));
  say.set_text(text);
  Notify(task, say);
  return say.number();
}

// ---- The workers' side ----

absl::StatusOr<FakeTask*> FakeScheduler::Holder(const v1::LeaseToken& token) {
  auto it = tasks_.find(token.task_id());
  if (it == tasks_.end() || it->second.worker != token.worker_id() ||
      it->second.lease.token().epoch() != token.epoch()) {
    return absl::AbortedError("the lease is lost");
  }
  return &it->second;
}

absl::StatusOr<v1::RegisterWorkerResponse> FakeScheduler::Do(
    const v1::RegisterWorkerRequest&) {
  int64_t id = static_cast<int64_t>(workers_.size()) + 1;
  workers_[id];
  v1::RegisterWorkerResponse response;
  response.set_worker_id(id);
  response.mutable_term()->set_seconds(30);
  response.mutable_renew_every()->set_seconds(10);
  response.set_cluster("c1c1");
  return response;
}

absl::StatusOr<v1::RenewWorkerResponse> FakeScheduler::Do(
    const v1::RenewWorkerRequest& request) {
  if (workers_[request.worker_id()].lapsed) {
    return absl::NotFoundError("the term has lapsed");
  }
  v1::RenewWorkerResponse response;
  response.mutable_term()->set_seconds(30);
  return response;
}

absl::StatusOr<v1::AskSlotsResponse> FakeScheduler::Do(
    const v1::AskSlotsRequest& request) {
  if (slots) return slots(request);
  v1::AskSlotsResponse response;
  for (int i = 0; i < request.wishes_size(); ++i) {
    response.add_grants()->set_unlimited(true);
  }
  return response;
}

absl::StatusOr<v1::BeginCreateResponse> FakeScheduler::Do(
    const v1::BeginCreateRequest& request) {
  ASSIGN_OR_RETURN(FakeTask * task, Holder(request.token()));
  task->nonces.push_back(request.nonce());
  task->lease.set_create_tries(task->lease.create_tries() + 1);
  return v1::BeginCreateResponse();
}

absl::StatusOr<v1::RecordSessionResponse> FakeScheduler::Do(
    const v1::RecordSessionRequest& request) {
  ASSIGN_OR_RETURN(FakeTask * task, Holder(request.token()));
  if (task->lease.session_id().empty()) {
    task->lease.set_session_id(request.session_id());
    task->lease.set_phase(v1::ATTEMPT_PHASE_SENDING);
    task->lease.set_create_tries(task->lease.create_tries() - 1);
  }
  v1::RecordSessionResponse response;
  response.set_session_id(task->lease.session_id());
  return response;
}

absl::StatusOr<v1::ClearSessionResponse> FakeScheduler::Do(
    const v1::ClearSessionRequest& request) {
  ASSIGN_OR_RETURN(FakeTask * task, Holder(request.token()));
  if (task->lease.session_id().empty()) return v1::ClearSessionResponse();
  if (task->lease.session_id() != request.session_id()) {
    return absl::FailedPreconditionError("another session is recorded");
  }
  task->cleared.push_back(request.session_id());
  task->lease.clear_session_id();
  task->lease.set_phase(v1::ATTEMPT_PHASE_GRANTED);
  return v1::ClearSessionResponse();
}

absl::StatusOr<v1::AppendEventsResponse> FakeScheduler::Do(
    const v1::AppendEventsRequest& request) {
  v1::AppendEventsResponse response;
  for (const v1::AttemptEvents& events : request.attempts()) {
    v1::AttemptStored& stored = *response.add_attempts();
    absl::StatusOr<int64_t> end = Append(events);
    if (end.ok()) {
      stored.set_stored_events(*end);
    } else {
      stored.set_error_code(end.status().raw_code());
      stored.set_error(std::string(end.status().message()));
    }
  }
  return response;
}

absl::StatusOr<int64_t> FakeScheduler::Append(const v1::AttemptEvents& events) {
  ASSIGN_OR_RETURN(FakeTask * task, Holder(events.token()));
  int64_t end = static_cast<int64_t>(task->events.size());
  if (events.first_sequence() > end) {
    return absl::OutOfRangeError("a gap");
  }
  for (int64_t i = end - events.first_sequence(); i < events.events_json_size();
       ++i) {
    task->events.push_back(events.events_json(static_cast<int>(i)));
  }
  if (events.first_message_seen()) {
    task->lease.set_phase(v1::ATTEMPT_PHASE_RUNNING);
  }
  return static_cast<int64_t>(task->events.size());
}

absl::StatusOr<v1::ReadEventsResponse> FakeScheduler::Do(
    const v1::ReadEventsRequest& request) {
  ASSIGN_OR_RETURN(FakeTask * task, Holder(request.token()));
  v1::ReadEventsResponse response;
  // Small pages, so that paging is exercised.
  for (size_t i = request.from_sequence();
       i < task->events.size() && response.events_json_size() < 3; ++i) {
    response.add_events_json(task->events[i]);
  }
  return response;
}

absl::StatusOr<v1::AdviseResponse> FakeScheduler::Do(
    const v1::AdviseRequest& request) {
  ASSIGN_OR_RETURN(FakeTask * task, Holder(request.token()));
  advised_.push_back(request);
  v1::AdviseResponse response;
  if (advise) {
    response = advise(request);
  } else {
    response.set_action(v1::AdviseResponse::ACTION_RETRY);
    response.mutable_delay()->set_seconds(1);
  }
  if (response.action() == v1::AdviseResponse::ACTION_NUDGE) {
    v1::Say* nudge = nullptr;
    for (v1::Say& say : *task->lease.mutable_outbox()) {
      if (say.key() == response.say().key()) nudge = &say;
    }
    if (nudge == nullptr) {
      nudge = task->lease.add_outbox();
      *nudge = response.say();
      nudge->set_number(task->lease.outbox_size());
    }
    *response.mutable_say() = *nudge;
  }
  return response;
}

absl::StatusOr<v1::AddAnswerResponse> FakeScheduler::Do(
    const v1::AddAnswerRequest& request) {
  ASSIGN_OR_RETURN(FakeTask * task, Holder(request.token()));
  v1::AddAnswerResponse response;
  for (const v1::Say& say : task->lease.outbox()) {
    if (say.key() == request.tool_use_id()) *response.mutable_say() = say;
  }
  if (response.has_say()) return response;
  v1::Say& say = *task->lease.add_outbox();
  say.set_number(task->lease.outbox_size());
  say.set_kind(request.is_error() ? v1::SAY_KIND_ERROR : v1::SAY_KIND_RESULT);
  say.set_key(request.tool_use_id());
  say.set_text(request.text());
  *response.mutable_say() = say;
  return response;
}

absl::StatusOr<v1::MarkSaidResponse> FakeScheduler::Do(
    const v1::MarkSaidRequest& request) {
  ASSIGN_OR_RETURN(FakeTask * task, Holder(request.token()));
  for (v1::Say& say : *task->lease.mutable_outbox()) {
    if (say.number() == request.number()) say.set_said(true);
  }
  return v1::MarkSaidResponse();
}

absl::StatusOr<v1::ParkResponse> FakeScheduler::Do(
    const v1::ParkRequest& request) {
  ASSIGN_OR_RETURN(FakeTask * task, Holder(request.token()));
  v1::ParkResponse response;
  for (const v1::Question& question : request.questions()) {
    bool answered = false;
    for (const v1::Say& say : task->lease.outbox()) {
      if (say.key() != question.question_id()) continue;
      *response.add_answers() = say;
      answered = true;
    }
    if (!answered && question.has_spent_usd_micros() && task->raises) {
      if (task->raises->empty()) {
        response.set_end(true);
        return response;
      }
      v1::Say& say = *task->lease.add_outbox();
      say.set_number(task->lease.outbox_size());
      say.set_kind(v1::SAY_KIND_BUDGET);
      say.set_key(question.question_id());
      say.set_text(task->raises->front());
      task->raises->pop_front();
      *response.add_answers() = say;
      answered = true;
    }
    if (!answered) task->questions.push_back(question);
  }
  if (!task->questions.empty()) {
    response.set_parked(true);
    task->worker = 0;
  }
  return response;
}

void FakeScheduler::Answer(const std::string& id, v1::SayKind kind,
                           const std::string& text) {
  FakeTask& task = tasks_.at(id);
  for (const v1::Question& question : std::exchange(task.questions, {})) {
    v1::Say& say = *task.lease.add_outbox();
    say.set_number(task.lease.outbox_size());
    say.set_kind(kind);
    say.set_key(question.question_id());
    say.set_text(text);
  }
  Dispatch();
}

absl::StatusOr<v1::SettleResponse> FakeScheduler::Do(
    const v1::SettleRequest& request) {
  FakeTask& known = tasks_.at(request.token().task_id());
  v1::SettleResponse response;
  response.set_state(v1::TASK_STATE_SUCCEEDED);
  if (known.settled && known.ending.SerializeAsString() ==
                           request.ending().SerializeAsString()) {
    return response;
  }
  ASSIGN_OR_RETURN(FakeTask * task, Holder(request.token()));
  task->settled = true;
  task->ending = request.ending();
  task->worker = 0;
  return response;
}

absl::StatusOr<v1::HandBackResponse> FakeScheduler::Do(
    const v1::HandBackRequest& request) {
  ASSIGN_OR_RETURN(FakeTask * task, Holder(request.token()));
  task->worker = 0;
  ++task->handed_back;
  Dispatch();
  return v1::HandBackResponse();
}

absl::StatusOr<v1::FindRemoteIdsResponse> FakeScheduler::Do(
    const v1::FindRemoteIdsRequest& request) {
  v1::FindRemoteIdsResponse response;
  for (const std::string& key : request.keys()) {
    auto it = remote_ids_.find(key);
    if (it != remote_ids_.end()) (*response.mutable_ids())[key] = it->second;
  }
  return response;
}

absl::StatusOr<v1::LeaseErrandsResponse> FakeScheduler::Do(
    const v1::LeaseErrandsRequest&) {
  v1::LeaseErrandsResponse response;
  for (std::string& session : errands) {
    response.add_errands()->set_session_id(std::move(session));
  }
  errands.clear();
  if (sweep_from) {
    response.mutable_sweep()->mutable_created_from()->set_seconds(
        absl::ToUnixSeconds(*std::exchange(sweep_from, std::nullopt)));
  }
  return response;
}

absl::StatusOr<v1::CompleteErrandsResponse> FakeScheduler::Do(
    const v1::CompleteErrandsRequest& request) {
  for (const v1::DoneErrand& errand : request.errands()) {
    completed.push_back(errand.session_id());
    if (errand.has_list_cost_usd_micros()) {
      late_costs[errand.session_id()] = errand.list_cost_usd_micros();
    }
  }
  return v1::CompleteErrandsResponse();
}

absl::StatusOr<v1::ExplainSessionsResponse> FakeScheduler::Do(
    const v1::ExplainSessionsRequest& request) {
  v1::ExplainSessionsResponse response;
  for (const v1::SessionClaim& claim : request.claims()) {
    auto known = fates.find(claim.session_id());
    response.add_sessions()->set_fate(
        known == fates.end() ? v1::SESSION_FATE_UNEXPLAINED : known->second);
  }
  return response;
}

absl::StatusOr<v1::CompleteSweepResponse> FakeScheduler::Do(
    const v1::CompleteSweepRequest& request) {
  sweeps.push_back(request);
  return v1::CompleteSweepResponse();
}

absl::StatusOr<v1::RecordRemoteIdResponse> FakeScheduler::Do(
    const v1::RecordRemoteIdRequest& request) {
  std::string& id = remote_ids_[request.key()];
  if (id == request.replaces()) id = request.id();
  v1::RecordRemoteIdResponse response;
  response.set_id(id);
  return response;
}

// ---- The way there and back ----

template <typename Response, typename Request>
Async<absl::StatusOr<Response>> FakeSchedulerClient::Call(std::string method,
                                                          Request request) {
  co_await Sleep(node_, latency_);
  FakeCallFault fault =
      scheduler_.on_call ? scheduler_.on_call(method) : FakeCallFault();
  if (!fault.before.ok()) co_return fault.before;
  absl::StatusOr<Response> response = scheduler_.Do(request);
  co_await Sleep(node_, latency_);
  if (!fault.after.ok()) co_return fault.after;
  co_return response;
}

#define MIDWATCH_FAKE_CALL(method)                                         \
  Async<absl::StatusOr<v1::method##Response>> FakeSchedulerClient::method( \
      v1::method##Request request) {                                       \
    return Call<v1::method##Response>(#method, std::move(request));        \
  }
MIDWATCH_FAKE_CALL(RegisterWorker)
MIDWATCH_FAKE_CALL(RenewWorker)
MIDWATCH_FAKE_CALL(AskSlots)
MIDWATCH_FAKE_CALL(BeginCreate)
MIDWATCH_FAKE_CALL(RecordSession)
MIDWATCH_FAKE_CALL(ClearSession)
MIDWATCH_FAKE_CALL(AppendEvents)
MIDWATCH_FAKE_CALL(ReadEvents)
MIDWATCH_FAKE_CALL(Advise)
MIDWATCH_FAKE_CALL(AddAnswer)
MIDWATCH_FAKE_CALL(MarkSaid)
MIDWATCH_FAKE_CALL(Park)
MIDWATCH_FAKE_CALL(Settle)
MIDWATCH_FAKE_CALL(HandBack)
MIDWATCH_FAKE_CALL(FindRemoteIds)
MIDWATCH_FAKE_CALL(RecordRemoteId)
MIDWATCH_FAKE_CALL(LeaseErrands)
MIDWATCH_FAKE_CALL(CompleteErrands)
MIDWATCH_FAKE_CALL(ExplainSessions)
MIDWATCH_FAKE_CALL(CompleteSweep)
#undef MIDWATCH_FAKE_CALL

Async<absl::StatusOr<std::unique_ptr<LeaseStream>>>
FakeSchedulerClient::StreamLeases(v1::StreamLeasesRequest request) {
  co_await Sleep(node_, latency_);
  if (scheduler_.workers_[request.worker_id()].lapsed) {
    co_return absl::NotFoundError("the term has lapsed");
  }
  for (auto& [id, task] : scheduler_.tasks_) {
    if (task.worker != request.worker_id()) continue;
    bool held = std::any_of(
        request.held().begin(), request.held().end(), [&](const auto& token) {
          return token.task_id() == id &&
                 token.epoch() == task.lease.token().epoch();
        });
    if (!held) task.worker = 0;
  }
  std::unique_ptr<LeaseStream> stream = std::make_unique<FakeScheduler::Stream>(
      scheduler_, request.worker_id(), node_);
  scheduler_.Dispatch();
  co_return stream;
}

}  // namespace midwatch::testing
