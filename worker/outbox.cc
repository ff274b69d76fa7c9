#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "worker/attempt.h"

namespace midwatch {
namespace {

constexpr absl::Duration kInterruptEvery = absl::Seconds(20);
// An interrupt overtakes messages that wait, so it lets them go first, but not
// for ever.
constexpr absl::Duration kInterruptHeld = absl::Seconds(10);

bool IsAnswer(v1::SayKind kind) {
  return kind == v1::SAY_KIND_ALLOW || kind == v1::SAY_KIND_DENY ||
         kind == v1::SAY_KIND_RESULT || kind == v1::SAY_KIND_ERROR ||
         kind == v1::SAY_KIND_BUDGET;
}

OutgoingEvent AnswerEvent(const v1::Say& say) {
  bool error = say.kind() == v1::SAY_KIND_ERROR;
  if (error || say.kind() == v1::SAY_KIND_RESULT) {
    return OutgoingToolResult{say.key(), say.text(), error};
  }
  return OutgoingConfirmation{say.key(), say.kind() == v1::SAY_KIND_ALLOW,
                              say.text()};
}

}  // namespace

Async<absl::Status> Attempt::MarkSaid(int number) {
  v1::MarkSaidRequest request;
  *request.mutable_token() = token();
  request.set_number(number);
  absl::StatusOr<v1::MarkSaidResponse> marked =
      co_await Ask(&SchedulerClient::MarkSaid, std::move(request));
  FaultPoint("worker.mark.after");
  if (marked.ok()) outbox_[number].set_said(true);
  co_return marked.status();
}

Async<Attempt::Step> Attempt::SayMessages() {
  // The prompt was the first message.
  int count = 1;
  for (auto it = outbox_.begin(); it != outbox_.end(); ++it) {
    if (it->second.kind() != v1::SAY_KIND_MESSAGE) continue;
    ++count;
    // After a cancel nothing new is said.
    if (it->second.said() || cancelling_) continue;
    v1::Say say = it->second;
    CO_ASSIGN_OR_RETURN(std::optional<Verdict> over,
                        co_await SayMessage(std::move(say), count));
    if (over) co_return over;
  }
  co_return std::nullopt;
}

// Says the `count`-th message of the session. It was said if the session shows
// so many.
Async<Attempt::Step> Attempt::SayMessage(v1::Say say, int count) {
  // An earlier holder may have sent what came with the lease. The history read
  // at adoption does not tell: it goes by time, and what is queued has none.
  bool unsure = say.number() <= lease_.outbox_size();
  while (!cancelling_) {
    absl::Status failed;
    bool shown = transcript_.state().messages_seen() >= count;
    if (!shown && unsure) {
      absl::StatusOr<bool> listed = co_await HistoryShows(count);
      failed = listed.status();
      shown = listed.ok() && *listed;
      unsure = !listed.ok();
    }
    if (!shown && failed.ok()) {
      CO_RETURN_IF_ERROR(co_await AwaitPost());
      FaultPoint("worker.nudge.before");
      std::vector<OutgoingEvent> events;
      events.push_back(OutgoingMessage{say.text()});
      failed = co_await parts_.agents.SendEvents(session_id_, std::move(events),
                                                 parts_.term.PostTimeout());
      last_event_ = parts_.clock.Steady();
      shown = failed.ok();
      if (!shown && MaybeExecuted(failed)) {
        unsure = true;
        CO_ASSIGN_OR_RETURN(shown,
                            co_await WatchForMessages(count, kEchoLimit));
      }
    }
    if (shown) {
      FaultPoint("worker.nudge.after");
      transcript_.NoteSent(count);
      CO_RETURN_IF_ERROR(co_await MarkSaid(say.number()));
      break;
    }
    v1::Failure failure = ToFailure(failed, "send_message");
    CO_ASSIGN_OR_RETURN(bool again, co_await MayStillBeSaid(failed, failure));
    if (again) continue;
    std::optional<Verdict> verdict = Judge(transcript_.state());
    if (!verdict) {
      verdict.emplace().kind = v1::Ending::KIND_BROKEN;
      at_rest_ = false;
    }
    verdict->failure = std::move(failure);
    co_return verdict;
  }
  co_return std::nullopt;
}

Async<absl::StatusOr<bool>> Attempt::MayStillBeSaid(const absl::Status& refused,
                                                    v1::Failure& failure) {
  if (IsRefusal(refused)) {
    absl::StatusOr<Session> session =
        co_await parts_.agents.GetSession(session_id_);
    if (session.ok() && session->archived) {
      failure.set_error_type(kSessionArchived);
      co_return false;
    }
  }
  co_return co_await TryAgain(failure);
}

Async<absl::StatusOr<bool>> Attempt::HistoryShows(int count) {
  // No time filter: a queued message has no time.
  ListEventsQuery query;
  query.types = {"user.message"};
  CO_ASSIGN_OR_RETURN(
      std::vector<Event> messages,
      co_await parts_.agents.ListAllEvents(session_id_, std::move(query)));
  std::set<std::string> ids;
  for (const Event& message : messages) ids.insert(message.id);
  co_return static_cast<int>(ids.size()) >= count;
}

void Attempt::NoteAnswers() {
  for (const auto& [number, say] : outbox_) {
    if (IsAnswer(say.kind()) && say.said()) {
      transcript_.NoteAnswered(say.key());
    }
  }
}

Async<Attempt::Step> Attempt::SayAnswers() {
  for (auto it = outbox_.begin(); it != outbox_.end(); ++it) {
    if (!IsAnswer(it->second.kind())) continue;
    if (it->second.said() || cancelling_) continue;
    v1::Say say = it->second;
    CO_ASSIGN_OR_RETURN(std::optional<Verdict> over,
                        co_await SayAnswer(std::move(say)));
    if (over) co_return over;
  }
  co_return std::nullopt;
}

Async<absl::Status> Attempt::SendAnswer(v1::Say say) {
  if (say.kind() == v1::SAY_KIND_BUDGET) {
    int64_t budget = 0;
    if (!absl::SimpleAtoi(say.text(), &budget)) {
      co_return absl::InternalError(
          absl::StrCat("outbox ", say.number(), ": no budget: ", say.text()));
    }
    FaultPoint("worker.raise.before");
    absl::StatusOr<Session> raised = co_await parts_.agents.RaiseBudget(
        session_id_, budget, parts_.term.PostTimeout());
    if (raised.ok()) FaultPoint("worker.raise.after");
    co_return raised.status();
  }
  FaultPoint("worker.answer.before");
  std::vector<OutgoingEvent> events;
  events.push_back(AnswerEvent(say));
  absl::Status sent = co_await parts_.agents.SendEvents(
      session_id_, std::move(events), parts_.term.PostTimeout());
  if (sent.ok()) FaultPoint("worker.answer.after");
  co_return sent;
}

Async<absl::StatusOr<bool>> Attempt::WasAnswered(v1::Say say) {
  if (say.kind() == v1::SAY_KIND_BUDGET) {
    // A raise shows in that the session went on.
    const TranscriptState& state = transcript_.state();
    if (!state.idle || state.idle->id != say.key()) co_return true;
    // Or in the budget that it has: it may have gone on, and spent all of that,
    // while its events could not be read. A budget is in whole cents.
    constexpr int64_t kMicrosPerCent = 10'000;
    CO_ASSIGN_OR_RETURN(Session session,
                        co_await parts_.agents.GetSession(session_id_));
    int64_t wanted = 0;
    co_return absl::SimpleAtoi(say.text(), &wanted) &&
        session.budget_usd_micros.value_or(0) >=
            wanted / kMicrosPerCent* kMicrosPerCent;
  }
  co_return co_await HistoryAnswers(say.key());
}

// The service takes one answer to each tool use, so a doubled one does no harm
// beyond being refused; a budget is absolute, so a doubled raise is the same.
Async<Attempt::Step> Attempt::SayAnswer(v1::Say say) {
  while (!cancelling_) {
    CO_RETURN_IF_ERROR(co_await AwaitPost());
    absl::Status sent = co_await SendAnswer(say);
    last_event_ = parts_.clock.Steady();
    bool said = sent.ok();
    if (!said) {
      absl::StatusOr<bool> listed = co_await WasAnswered(say);
      said = listed.ok() && *listed;
      // A refusal says nothing where it cannot be seen whether an earlier one
      // of the same arrived.
      if (!listed.ok()) sent = listed.status();
    }
    if (said) {
      transcript_.NoteAnswered(say.key());
      CO_RETURN_IF_ERROR(co_await MarkSaid(say.number()));
      break;
    }
    v1::Failure failure = ToFailure(sent, "send_answer");
    CO_ASSIGN_OR_RETURN(bool again, co_await MayStillBeSaid(sent, failure));
    if (again) continue;
    Verdict verdict;
    verdict.kind = v1::Ending::KIND_BROKEN;
    verdict.failure = std::move(failure);
    // It waits for what it did not get.
    at_rest_ = Judge(transcript_.state()).has_value();
    co_return verdict;
  }
  co_return std::nullopt;
}

Async<absl::StatusOr<bool>> Attempt::HistoryAnswers(std::string tool_use_id) {
  ListEventsQuery query;
  query.types = {"user.tool_confirmation", "user.custom_tool_result"};
  CO_ASSIGN_OR_RETURN(
      std::vector<Event> answers,
      co_await parts_.agents.ListAllEvents(session_id_, std::move(query)));
  co_return std::any_of(
      answers.begin(), answers.end(), [&](const Event& event) {
        const auto* answer = std::get_if<ToolAnswer>(&event.body);
        return answer != nullptr && answer->tool_use_id == tool_use_id;
      });
}

bool Attempt::InterruptIsDue() const {
  absl::Duration now = parts_.clock.Steady();
  if (interrupt_since_ > now || interrupt_after_ > now) return false;
  const TranscriptState& state = transcript_.state();
  bool messages_wait =
      !state.queued.empty() ||
      static_cast<int>(state.processed.size()) + state.flushed < state.sent;
  return !messages_wait || now - interrupt_since_ >= kInterruptHeld;
}

Async<absl::Status> Attempt::SendInterrupt() {
  CO_RETURN_IF_ERROR(co_await AwaitPost());
  // Its end is waited for, also where its stream is cut.
  if (pump_ != nullptr) pump_->feed().turn()->Hurry();
  std::vector<OutgoingEvent> events;
  events.push_back(OutgoingInterrupt{});
  FaultPoint("worker.interrupt.before");
  absl::Status sent = co_await parts_.agents.SendEvents(
      session_id_, std::move(events), parts_.term.PostTimeout());
  FaultPoint("worker.interrupt.after");
  if (!sent.ok()) {
    LogWarning("interrupt failed", {{"task", token().task_id()},
                                    {"attempt", token().attempt()},
                                    {"session", session_id_},
                                    {"why", sent.ToString()}});
  }
  co_return Stopped();
}

// Harmless to repeat, so it is, while the session will not rest.
Async<absl::Status> Attempt::SayInterrupt() {
  if (!InterruptIsDue()) co_return absl::OkStatus();
  interrupt_after_ = parts_.clock.Steady() + kInterruptEvery;
  CO_RETURN_IF_ERROR(co_await SendInterrupt());
  bool again = cancelling_;
  for (auto it = outbox_.begin(); it != outbox_.end(); ++it) {
    const v1::Say& say = it->second;
    if (say.kind() != v1::SAY_KIND_INTERRUPT || say.said()) continue;
    CO_RETURN_IF_ERROR(co_await MarkSaid(say.number()));
  }
  if (!again) interrupt_since_ = absl::InfiniteDuration();
  co_return absl::OkStatus();
}

}  // namespace midwatch
