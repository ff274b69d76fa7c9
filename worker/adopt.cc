#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/guard.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "worker/attempt.h"

namespace midwatch {
namespace {

// An archive may be refused although the session looks idle, since its status
// lags: tried again so often, so far apart.
constexpr int kArchiveTries = 20;
constexpr absl::Duration kStatusLag = absl::Milliseconds(500);

Verdict Broken(v1::Failure failure) {
  Verdict verdict;
  verdict.kind = v1::Ending::KIND_BROKEN;
  verdict.failure = std::move(failure);
  return verdict;
}

}  // namespace

Async<absl::Status> Attempt::Rebuild() {
  int64_t next = 0;
  while (next < lease_.stored_events()) {
    v1::ReadEventsRequest request;
    *request.mutable_token() = token();
    request.set_from_sequence(next);
    absl::StatusOr<v1::ReadEventsResponse> page =
        co_await Ask(&SchedulerClient::ReadEvents, std::move(request));
    if (!page.ok()) co_return page.status();
    if (page->events_json().empty()) {
      co_return absl::InternalError(absl::StrCat(
          "ReadEvents ends at ", next, " of ", lease_.stored_events()));
    }
    for (const std::string& json : page->events_json()) {
      CO_ASSIGN_OR_RETURN(Event event, ParseEvent(json));
      transcript_.Rebuild(event);
      pump_->feed().MarkSeen(event);
      ++next;
    }
  }
  co_return absl::OkStatus();
}

// Agents are archived, never deleted: where that of the session is not known
// either, it is the key that is wrong.
Async<absl::StatusOr<bool>> Attempt::IsOfAnotherWorkspace() {
  std::string agent = lease_.spec().agent().agent_id();
  if (agent.empty()) {
    const std::string key = AgentKey(lease_.spec().agent().definition_json());
    v1::FindRemoteIdsRequest request;
    request.set_account(lease_.account());
    request.add_keys(key);
    absl::StatusOr<v1::FindRemoteIdsResponse> found =
        co_await Ask(&SchedulerClient::FindRemoteIds, std::move(request));
    if (!found.ok()) co_return found.status();
    auto id = found->ids().find(key);
    if (id == found->ids().end()) co_return false;
    agent = id->second;
  }
  while (true) {
    absl::StatusOr<AgentRef> known = co_await parts_.agents.GetAgent(agent);
    if (known.ok() || absl::IsNotFound(known.status())) co_return !known.ok();
    CO_ASSIGN_OR_RETURN(bool again,
                        co_await TryAgain(ToFailure(known.status(), "get")));
    // It cannot be known; a session that is gone is the likelier case.
    if (!again) co_return false;
  }
}

Async<Attempt::Step> Attempt::JudgeUnknown(v1::Failure failure) {
  // Not in the service's words: the session may be there, and run.
  if (failure.error_type().empty()) {
    at_rest_ = false;
    co_return Broken(std::move(failure));
  }
  CO_ASSIGN_OR_RETURN(bool elsewhere, co_await IsOfAnotherWorkspace());
  if (elsewhere) {
    failure.set_http_status(403);
    failure.set_message(
        "the service knows neither the session nor its agent: the key may be "
        "another workspace's, or the address another server's");
    at_rest_ = false;
    co_return Broken(std::move(failure));
  }
  Verdict deleted;
  deleted.kind = v1::Ending::KIND_DELETED;
  deleted.failure = std::move(failure);
  co_return deleted;
}

Async<Attempt::Step> Attempt::Adopt() {
  NewFeed();
  // Nothing is stored while the message was not seen, so all is read anew.
  bool whole = transcript_.stored() == 0;
  if (whole) {
    transcript_.Reset();
  } else {
    CO_RETURN_IF_ERROR(co_await Rebuild());
  }
  while (true) {
    CO_ASSIGN_OR_RETURN(AttachBy by, co_await AwaitTurn());
    absl::Status caught_up = co_await pump_->feed().CatchUp(whole, by);
    pump_->feed().turn()->Leave();
    if (caught_up.ok()) break;
    if (absl::IsNotFound(caught_up)) {
      assume_charged_ = true;
      co_return co_await JudgeUnknown(ToFailure(caught_up, "list_events"));
    }
    v1::Failure failure = ToFailure(caught_up, "list_events");
    CO_ASSIGN_OR_RETURN(bool again, co_await TryAgain(failure));
    if (!again) {
      assume_charged_ = true;
      // It may run on, so what it had cost when it was last read is no figure.
      at_rest_ = false;
      co_return Broken(std::move(failure));
    }
  }
  pump_->Start();
  CO_RETURN_IF_ERROR(co_await TakeBacklog());
  if (transcript_.state().messages_seen() > 0) {
    phase_ = v1::ATTEMPT_PHASE_RUNNING;
  }
  if (phase_ == v1::ATTEMPT_PHASE_RUNNING) {
    int sent = 1;
    for (const auto& [number, say] : outbox_) {
      sent += say.kind() == v1::SAY_KIND_MESSAGE && say.said();
    }
    transcript_.NoteSent(sent);
    NoteAnswers();
  }
  last_event_ = parts_.clock.Steady();
  co_return std::nullopt;
}

// Nobody can know whether a first message is still on its way to the session,
// from this worker or from one that stalls. Archive is the one fence that the
// service offers: an archived session takes no more events, and a running one
// refuses to be archived.
Async<Attempt::Step> Attempt::Fence() {
  LogInfo("fencing", {{"task", token().task_id()},
                      {"attempt", token().attempt()},
                      {"session", session_id_}});
  StopFeed();
  if (Stands(Guard::kArchiveFence)) {
    CO_ASSIGN_OR_RETURN(std::optional<Verdict> over,
                        co_await ArchiveForFence());
    if (over) co_return over;
  }
  FaultPoint("worker.fence.after");
  if (phase_ == v1::ATTEMPT_PHASE_RUNNING) co_return std::nullopt;
  co_return co_await JudgeHistory();
}

Async<Attempt::Step> Attempt::ArchiveForFence() {
  int refusals = 0;
  while (true) {
    CO_RETURN_IF_ERROR(co_await AwaitPost());
    FaultPoint("worker.fence.before");
    // Within the lease: archived later, it might be a session at rest that the
    // next holder goes on with.
    absl::StatusOr<Session> answer = co_await parts_.agents.ArchiveSession(
        session_id_, RequestPurpose::kNormal, parts_.term.PostTimeout());
    if (answer.ok()) co_return std::nullopt;
    const bool refused = IsRefusal(answer.status());
    if (refused && ++refusals < kArchiveTries) {
      answer = co_await parts_.agents.GetSession(session_id_);
      if (answer.ok()) {
        if (answer->archived || answer->status == "terminated") {
          co_return std::nullopt;
        }
        if (answer->status != "idle") {
          // It runs, so the message is there.
          message_proved_ = true;
          phase_ = v1::ATTEMPT_PHASE_RUNNING;
          co_return std::nullopt;
        }
        CO_RETURN_IF_ERROR(co_await Wait(kStatusLag));
        continue;
      }
    }
    v1::Failure failure = ToFailure(answer.status(), "archive_session");
    // A session that is idle and cannot be archived: the service contradicts
    // itself, and the task's spec has nothing to do with it.
    if (refused) failure.set_http_status(409);
    bool again = false;
    if (!absl::IsNotFound(answer.status())) {
      CO_ASSIGN_OR_RETURN(again, co_await TryAgain(failure));
    }
    if (again) continue;
    // What became of the message cannot be known any more.
    assume_charged_ = true;
    Verdict verdict = Broken(std::move(failure));
    if (absl::IsNotFound(answer.status())) {
      verdict.kind = v1::Ending::KIND_DELETED;
    }
    co_return verdict;
  }
}

// The session is archived: what its history shows now is all there will be.
Async<Attempt::Step> Attempt::JudgeHistory() {
  transcript_.Reset();
  while (true) {
    ListEventsQuery everything;
    absl::StatusOr<std::vector<Event>> history =
        co_await parts_.agents.ListAllEvents(session_id_,
                                             std::move(everything));
    if (history.ok()) {
      for (Event& event : *history) transcript_.Add(std::move(event));
      break;
    }
    v1::Failure failure = ToFailure(history.status(), "list_events");
    CO_ASSIGN_OR_RETURN(bool again, co_await TryAgain(failure));
    if (!again) {
      assume_charged_ = true;
      co_return Broken(std::move(failure));
    }
  }
  const TranscriptState& state = transcript_.state();
  if (state.messages_seen() == 0 && !state.charged()) {
    v1::ClearSessionRequest request;
    *request.mutable_token() = token();
    request.set_session_id(session_id_);
    absl::StatusOr<v1::ClearSessionResponse> cleared =
        co_await Ask(&SchedulerClient::ClearSession, std::move(request));
    if (!cleared.ok()) co_return cleared.status();
    FaultPoint("worker.clear.after");
    transcript_.Reset();
    session_id_.clear();
    phase_ = v1::ATTEMPT_PHASE_GRANTED;
    co_return std::nullopt;
  }
  std::optional<Verdict> verdict = Judge(state);
  // One that waits for an answer or for money will get neither any more.
  if (verdict && verdict->kind == v1::Ending::KIND_IDLE &&
      verdict->stop_reason != "requires_action" &&
      verdict->stop_reason != "budget_reached") {
    co_return verdict;
  }
  // Our own archive ended it, before it was done.
  v1::Failure failure;
  failure.set_operation("archive_session");
  failure.set_message(
      "fenced: the session was archived before its first message was done");
  co_return Broken(std::move(failure));
}

}  // namespace midwatch
