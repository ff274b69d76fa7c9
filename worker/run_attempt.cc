#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agents/json_fields.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "worker/attempt.h"

namespace midwatch {
namespace {

// Of a call that a person is shown.
constexpr size_t kInputBytesMax = 16 << 10;
constexpr absl::Duration kIdleDefault = absl::Minutes(15);
constexpr absl::Duration kTotalDefault = absl::Hours(4);
constexpr int kRepeatsDefault = 30;
constexpr absl::Duration kCancelLimit = absl::Minutes(2);
// From an interrupt of our own to the session's rest.
constexpr absl::Duration kRestLimit = absl::Seconds(30);
constexpr absl::Duration kEchoAtDrain = absl::Seconds(2);
// Sessions that one holder may begin and lose the first message of.
constexpr int kRoundsMax = 10;

absl::Duration OrDefault(const google::protobuf::Duration& set,
                         absl::Duration otherwise) {
  absl::Duration duration = FromProto(set);
  return duration > absl::ZeroDuration() ? duration : otherwise;
}

}  // namespace

Attempt::Attempt(AttemptParts parts, v1::Lease lease)
    : parts_(std::move(parts)),
      lease_(std::move(lease)),
      session_id_(lease_.session_id()),
      phase_(lease_.phase()),
      phase_stored_(phase_ == v1::ATTEMPT_PHASE_RUNNING),
      lost_create_(InOneCall() && lease_.create_tries() > 0),
      transcript_(parts_.clock, parts_.prices, lease_.stored_events()),
      items_(parts_.executor) {
  // Time counts from the grant, so for an adopter also before it came.
  absl::Duration before = absl::ZeroDuration();
  if (!session_id_.empty() && lease_.has_granted_at()) {
    before =
        std::max(before, parts_.clock.Now() - FromProto(lease_.granted_at()) -
                             FromProto(lease_.parked()));
  }
  started_ = parts_.clock.Steady() - before;
  last_event_ = parts_.clock.Steady();
  // An agent by its id says what its model is when its session is created.
  transcript_.SetModel(
      ModelOfDefinition(lease_.spec().agent().definition_json()));
  v1::SayNotice known;
  known.set_cancelling(lease_.cancelling());
  for (const v1::Say& say : lease_.outbox()) {
    *known.mutable_say() = say;
    Notice(known);
  }
  known.clear_say();
  Notice(known);
}

Attempt::~Attempt() { StopFeed(); }

void Attempt::Revoke() {
  lost_ = true;
  items_.Push(Wakeup{});
}

void Attempt::Drain() {
  draining_ = true;
  items_.Push(Wakeup{});
}

void Attempt::Notice(const v1::SayNotice& notice) {
  absl::Duration now = parts_.clock.Steady();
  if (notice.has_say() && notice.say().number() > 0) {
    const v1::Say& say = notice.say();
    outbox_.try_emplace(say.number(), say);
    if (say.kind() == v1::SAY_KIND_INTERRUPT && !say.said()) {
      interrupt_since_ = std::min(interrupt_since_, now);
    }
  }
  if (notice.cancelling() && !cancelling_) {
    cancelling_ = true;
    cancel_since_ = now;
    interrupt_since_ = std::min(interrupt_since_, now);
  }
  items_.Push(Wakeup{});
}

Async<void> Attempt::Run() {
  absl::StatusOr<Verdict> verdict = co_await BringToVerdict();
  absl::Status status = verdict.status();
  if (verdict.ok()) status = co_await End(*std::move(verdict));
  if (absl::IsAborted(status)) {
    lost_ = true;
    LogInfo("lease lost",
            {{"task", token().task_id()}, {"attempt", token().attempt()}});
  } else if (!status.ok() && !released_) {
    if (!absl::IsCancelled(status)) {
      LogError("attempt handed back", {{"task", token().task_id()},
                                       {"attempt", token().attempt()},
                                       {"why", status.ToString()}});
    }
    co_await HandBack();
  }
  StopFeed();
}

Async<void> Attempt::HandBack() {
  handing_back_ = false;
  // Best effort: the next holder reads from the service what is not stored.
  // But a message that was just sent is worth a moment: who cannot see it must
  // fence.
  if (phase_ == v1::ATTEMPT_PHASE_RUNNING && pump_ != nullptr) {
    (void)co_await WatchForMessages(1, kEchoAtDrain);
  }
  absl::Status stored = co_await Store(/*all=*/true);
  if (absl::IsAborted(stored)) co_return;
  FaultPoint("worker.handback.before");
  v1::HandBackRequest request;
  *request.mutable_token() = token();
  absl::StatusOr<v1::HandBackResponse> answer =
      co_await Ask(&SchedulerClient::HandBack, std::move(request));
  FaultPoint("worker.handback.after");
  released_ = answer.ok();
}

Async<absl::StatusOr<Verdict>> Attempt::BringToVerdict() {
  for (int round = 0; round < kRoundsMax; ++round) {
    std::optional<Verdict> over;
    if (session_id_.empty()) {
      CO_ASSIGN_OR_RETURN(over, co_await StartSession());
      if (over) co_return *std::move(over);
    }
    if (fresh_) {
      CO_ASSIGN_OR_RETURN(over, co_await SendFirst());
    } else {
      CO_ASSIGN_OR_RETURN(over, co_await Adopt());
    }
    if (over) co_return *std::move(over);
    // A history may show late what a session was created with.
    if (InOneCall() && phase_ != v1::ATTEMPT_PHASE_RUNNING) {
      CO_ASSIGN_OR_RETURN(bool seen, co_await WatchForMessages(1, kEchoLimit));
      if (seen) phase_ = v1::ATTEMPT_PHASE_RUNNING;
    }
    if (phase_ == v1::ATTEMPT_PHASE_RUNNING) co_return co_await Drive();
    CO_ASSIGN_OR_RETURN(over, co_await Fence());
    if (over) co_return *std::move(over);
    // Either the message is there, and what is left is to adopt the session,
    // or the session is cleared and another is to be started.
    fresh_ = false;
  }
  co_return absl::InternalError(absl::StrCat("the first message was lost with ",
                                             kRoundsMax, " sessions in a row"));
}

// Takes in events until the session is done with all that was said to it.
Async<absl::StatusOr<Verdict>> Attempt::Drive() {
  // Said, and perhaps megabytes; a worker holds thousands of attempts. To clear
  // it would keep its memory.
  std::string().swap(*lease_.mutable_spec()->mutable_prompt());
  while (true) {
    CO_RETURN_IF_ERROR(Stopped());
    CO_ASSIGN_OR_RETURN(std::optional<Verdict> over, co_await SayMessages());
    if (over) co_return *std::move(over);
    CO_ASSIGN_OR_RETURN(over, co_await SayAnswers());
    if (over) co_return *std::move(over);
    // What is read and not folded yet may say that the session goes on.
    if (CaughtUp()) {
      if (std::optional<Verdict> verdict = Judge(transcript_.state())) {
        CO_ASSIGN_OR_RETURN(bool on, co_await GoesOn(*verdict));
        if (!on) co_return *std::move(verdict);
        continue;
      }
      CO_RETURN_IF_ERROR(co_await SayInterrupt());
      CO_ASSIGN_OR_RETURN(over, co_await CheckTimeouts());
      if (over) co_return *std::move(over);
      if (!feed_failure_.ok()) {
        CO_ASSIGN_OR_RETURN(over, co_await MendFeed());
        if (over) co_return *std::move(over);
      }
    }
    CO_RETURN_IF_ERROR(co_await TakeIn(NextDeadline()));
  }
}

Async<absl::StatusOr<bool>> Attempt::GoesOn(const Verdict& verdict) {
  if (cancelling_) co_return false;
  if (Asks(verdict) && !lease_.unanswered()) {
    co_return co_await PutQuestions();
  }
  if (verdict.stop_reason != "retries_exhausted") co_return false;
  v1::Failure failure = verdict.failure.value_or(v1::Failure());
  if (failure.operation().empty()) failure.set_operation("session");
  CO_ASSIGN_OR_RETURN(v1::AdviseResponse advice,
                      co_await TakeAdvice(failure, /*session_idle=*/true));
  if (advice.action() == v1::AdviseResponse::ACTION_NUDGE) {
    // One that an earlier holder said brought us here: the next advice, which
    // counts one failure more, is another.
    outbox_.try_emplace(advice.say().number(), advice.say());
    co_return true;
  }
  co_return advice.action() == v1::AdviseResponse::ACTION_RETRY;
}

bool Attempt::Asks(const Verdict& verdict) const {
  if (verdict.stop_reason == "requires_action") return true;
  // An event without an id could not be told from the next one.
  return verdict.stop_reason == "budget_reached" &&
         (lease_.spec().on_budget() == v1::BUDGET_POLICY_ASK ||
          lease_.spec().on_budget() == v1::BUDGET_POLICY_RAISE) &&
         !transcript_.state().idle->id.empty();
}

Async<absl::StatusOr<bool>> Attempt::PutQuestions() {
  CO_ASSIGN_OR_RETURN(bool answered, co_await RunTools());
  if (answered) co_return true;
  if (cancelling_) co_return false;
  // The session may have gone on, or ended, while handlers ran.
  std::optional<Verdict> now = Judge(transcript_.state());
  if (!now || !Asks(*now)) co_return true;
  const TranscriptState& state = transcript_.state();
  v1::ParkRequest request;
  *request.mutable_token() = token();
  if (state.idle->stop_reason == "budget_reached") {
    v1::Question& question = *request.add_questions();
    question.set_question_id(state.idle->id);
    question.set_spent_usd_micros(
        state.list_cost_usd_micros.value_or(lease_.budget_usd_micros()));
  }
  for (const std::string& id : state.idle->blocking) {
    v1::Question& question = *request.add_questions();
    question.set_question_id(id);
    auto known = state.questions.find(id);
    if (known == state.questions.end()) continue;
    question.set_tool(known->second.tool);
    question.set_input_json(
        std::string(CutUtf8(known->second.input_json, kInputBytesMax)));
    question.set_wants_result(known->second.custom);
  }
  // Once it is parked, nobody stores.
  CO_RETURN_IF_ERROR(co_await Store(/*all=*/true));
  FaultPoint("worker.park.before");
  absl::StatusOr<v1::ParkResponse> answer =
      co_await Ask(&SchedulerClient::Park, std::move(request));
  CO_RETURN_IF_ERROR(answer.status());
  if (answer->parked()) {
    FaultPoint("worker.park.after");
    released_ = true;
    LogInfo("parked", {{"task", token().task_id()},
                       {"attempt", token().attempt()},
                       {"session", session_id_}});
    co_return absl::CancelledError("parked");
  }
  for (const v1::Say& say : answer->answers()) {
    outbox_.try_emplace(say.number(), say);
    // Said by an earlier holder, and not to be seen yet.
    if (say.said()) transcript_.NoteAnswered(say.key());
  }
  if (answer->cancelling()) {
    v1::SayNotice notice;
    notice.set_cancelling(true);
    Notice(notice);
  }
  co_return !answer->end();
}

// The feed ended with a failure that it does not mend by itself.
Async<Attempt::Step> Attempt::MendFeed() {
  v1::Failure failure = ToFailure(feed_failure_, "stream_events");
  if (absl::IsNotFound(feed_failure_)) {
    co_return co_await JudgeUnknown(std::move(failure));
  }
  CO_ASSIGN_OR_RETURN(bool again, co_await TryAgain(failure));
  if (!again) {
    Verdict verdict;
    verdict.kind = v1::Ending::KIND_BROKEN;
    verdict.failure = std::move(failure);
    at_rest_ = false;
    co_return verdict;
  }
  feed_failure_ = co_await pump_->feed().CatchUp(/*whole=*/false);
  if (feed_failure_.ok()) pump_->Start();
  co_return std::nullopt;
}

Async<Attempt::Step> Attempt::CheckTimeouts() {
  absl::Duration now = parts_.clock.Steady();
  const v1::Timeouts& limits = lease_.spec().timeouts();
  if (now - cancel_since_ >= kCancelLimit) {
    at_rest_ = false;
    Verdict verdict;
    verdict.kind = v1::Ending::KIND_BROKEN;
    verdict.failure.emplace().set_operation("cancel_timeout");
    co_return verdict;
  }
  if (cancelling_) co_return std::nullopt;
  // A session that cannot be heard is not silent.
  if (pump_ == nullptr || !pump_->listening()) last_event_ = now;
  const char* which = nullptr;
  if (now >= TotalDeadline()) {
    which = "total_timeout";
  } else if (transcript_.state().open_tools.empty() &&
             now - last_event_ >= OrDefault(limits.idle(), kIdleDefault)) {
    which = "idle_timeout";
  }
  v1::Failure failure;
  v1::Ending::Kind kind = v1::Ending::KIND_TIMED_OUT;
  const TranscriptState::Repeats& repeats = transcript_.state().repeats;
  const int max_repeats = lease_.spec().max_repeats();
  if (which != nullptr) {
    failure.set_operation(which);
  } else if (repeats.times >=
             (max_repeats > 0 ? max_repeats : kRepeatsDefault)) {
    kind = v1::Ending::KIND_LOOPED;
    failure.set_operation("loop");
    failure.set_message(absl::StrCat("it called ", repeats.tool, " ",
                                     repeats.times,
                                     " times in a row with the same input, and "
                                     "got the same result"));
  } else {
    co_return std::nullopt;
  }
  CO_ASSIGN_OR_RETURN(Verdict verdict, co_await Stop(kind, std::move(failure)));
  co_return verdict;
}

Async<absl::StatusOr<Verdict>> Attempt::Stop(v1::Ending::Kind kind,
                                             v1::Failure failure) {
  Verdict verdict;
  verdict.kind = kind;
  verdict.failure = std::move(failure);
  CO_RETURN_IF_ERROR(co_await SendInterrupt());
  absl::Duration until = parts_.clock.Steady() + kRestLimit;
  while (!Judge(transcript_.state())) {
    absl::Duration left = until - parts_.clock.Steady();
    if (left <= absl::ZeroDuration()) {
      at_rest_ = false;
      break;
    }
    CO_RETURN_IF_ERROR(co_await TakeIn(left));
  }
  co_return verdict;
}

absl::Duration Attempt::TotalDeadline() const {
  return started_ + OrDefault(lease_.spec().timeouts().total(), kTotalDefault);
}

absl::Duration Attempt::NextDeadline() const {
  // While an interrupt is wanted, whether it is due depends on events too.
  constexpr absl::Duration kLookEvery = absl::Seconds(1);
  // Where a deadline has passed and something else is to be dealt with first.
  constexpr absl::Duration kSoon = absl::Milliseconds(10);
  if (cancelling_) return kLookEvery;
  absl::Duration now = parts_.clock.Steady();
  const v1::Timeouts& limits = lease_.spec().timeouts();
  absl::Duration next = TotalDeadline();
  if (transcript_.state().open_tools.empty()) {
    next = std::min(next, last_event_ + OrDefault(limits.idle(), kIdleDefault));
  }
  if (interrupt_since_ < absl::InfiniteDuration()) {
    next = std::min(next, now + kLookEvery);
  }
  return std::max(next - now, kSoon);
}

}  // namespace midwatch
