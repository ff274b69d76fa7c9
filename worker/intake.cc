#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/status_macros.h"
#include "worker/attempt.h"

namespace midwatch {

absl::Status Attempt::Stopped() const {
  if (lost_) return absl::AbortedError("the lease is lost");
  if (parts_.term.over())
    return absl::AbortedError("the worker's term is over");
  if (draining_ && handing_back_) return absl::CancelledError("draining");
  return absl::OkStatus();
}

Async<absl::Status> Attempt::TakeIn(absl::Duration timeout) {
  bool may_store = !storing_ && FirstMessageKnown();
  absl::Duration due =
      may_store ? transcript_.DueIn() : absl::InfiniteDuration();
  std::optional<Item> item = co_await items_.Pop(std::min(timeout, due));
  if (item && std::holds_alternative<Fed>(*item)) {
    Handle(std::get<Fed>(*std::move(item)));
  }
  CO_RETURN_IF_ERROR(Stopped());
  if (may_store && transcript_.DueIn() <= absl::ZeroDuration()) {
    CO_RETURN_IF_ERROR(co_await Store(/*all=*/false));
  }
  co_return Stopped();
}

void Attempt::Handle(Fed fed) {
  if (fed.pump != pump_number_) return;
  if (!fed.event.ok()) {
    feed_failure_ = fed.event.status();
    return;
  }
  last_event_ = parts_.clock.Steady();
  transcript_.Add(*std::move(fed.event));
}

Async<absl::Status> Attempt::Wait(absl::Duration delay) {
  absl::Duration until = parts_.clock.Steady() + delay;
  bool was_cancelling = cancelling_;
  CO_RETURN_IF_ERROR(Stopped());
  while (cancelling_ == was_cancelling) {
    absl::Duration left = until - parts_.clock.Steady();
    if (left <= absl::ZeroDuration()) break;
    CO_RETURN_IF_ERROR(co_await TakeIn(left));
  }
  co_return absl::OkStatus();
}

Async<absl::StatusOr<bool>> Attempt::WatchForMessages(int count,
                                                      absl::Duration limit) {
  absl::Duration until = parts_.clock.Steady() + limit;
  while (transcript_.state().messages_seen() < count) {
    absl::Duration left = until - parts_.clock.Steady();
    if (left <= absl::ZeroDuration() || !feed_failure_.ok()) co_return false;
    CO_RETURN_IF_ERROR(co_await TakeIn(left));
  }
  co_return true;
}

Async<absl::Status> Attempt::TakeBacklog() {
  while (!CaughtUp()) {
    CO_RETURN_IF_ERROR(co_await TakeIn(absl::Seconds(1)));
  }
  co_return absl::OkStatus();
}

bool Attempt::CaughtUp() const {
  return items_.empty() && (pump_ == nullptr || pump_->caught_up());
}

Async<absl::Status> Attempt::Store(bool all) {
  if (storing_ || !FirstMessageKnown()) co_return absl::OkStatus();
  storing_ = true;
  Backoff backoff = CallBackoff();
  absl::Status status;
  while (status.ok() && transcript_.waiting() > 0) {
    absl::StatusOr<int64_t> stored =
        co_await parts_.event_sender.Send(NextEvents());
    if (IsTransient(stored.status())) {
      status = co_await Wait(backoff.Next());
      continue;
    }
    status = stored.status();
    if (absl::IsAborted(status)) lost_ = true;
    if (!status.ok()) break;
    FaultPoint("worker.events.after");
    backoff.Reset();
    phase_stored_ = true;
    size_t taken = transcript_.MarkStored(*stored);
    if (taken == 0) {
      status = absl::InternalError(absl::StrCat(
          "AppendEvents stored nothing past ", transcript_.stored()));
    }
    if (pump_ != nullptr) pump_->Release(taken);
    if (!all && transcript_.DueIn() > absl::ZeroDuration()) break;
  }
  storing_ = false;
  co_return status;
}

v1::AttemptEvents Attempt::NextEvents() const {
  v1::AttemptEvents events;
  *events.mutable_token() = token();
  events.set_first_sequence(transcript_.stored());
  events.set_first_message_seen(!phase_stored_);
  if (std::optional<int64_t> cost = transcript_.cost().estimate()) {
    events.set_estimated_cost_usd_micros(*cost);
  }
  for (std::string& json : transcript_.NextBatch()) {
    events.add_events_json(std::move(json));
  }
  return events;
}

Async<absl::Status> Attempt::AwaitPost() {
  CO_RETURN_IF_ERROR(Stopped());
  while (!parts_.term.CanStartPost()) {
    CO_RETURN_IF_ERROR(co_await Wait(absl::Milliseconds(500)));
  }
  co_return absl::OkStatus();
}

void Attempt::NewFeed() {
  StopFeed();
  feed_failure_ = absl::OkStatus();
  uint64_t number = ++pump_number_;
  EventPump::Sink sink = [this, number](absl::StatusOr<Event> event) {
    items_.Push(Fed{std::move(event), number});
  };
  AttachLine::Session session;
  session.id = session_id_;
  session.created_from = FromProto(lease_.granted_at());
  session.budget_usd_micros = lease_.budget_usd_micros();
  session.deadline = TotalDeadline();
  pump_ = std::make_shared<EventPump>(
      parts_.executor, parts_.agents, parts_.random, session_id_,
      parts_.attach_line.TurnOf(std::move(session)), std::move(sink));
}

Async<absl::StatusOr<AttachBy>> Attempt::AwaitTurn() {
  AttachTurn& turn = *pump_->feed().turn();
  // Shared, since a worker that goes may destroy this before the turn.
  auto by = std::make_shared<std::optional<AttachBy>>();
  turn.Enter([this, by](AttachBy how) {
    *by = how;
    items_.Push(Wakeup{});
  });
  while (!by->has_value() && !HasToSpeak()) {
    // A session that cannot be heard is not silent.
    last_event_ = parts_.clock.Steady();
    absl::Status taken = co_await TakeIn(NextDeadline());
    if (taken.ok()) continue;
    turn.Leave();
    co_return taken;
  }
  if (!by->has_value()) turn.Leave();
  co_return by->value_or(AttachBy::kStream);
}

bool Attempt::HasToSpeak() const {
  if (cancelling_ || parts_.clock.Steady() >= TotalDeadline()) return true;
  return absl::c_any_of(outbox_,
                        [](const auto& entry) { return !entry.second.said(); });
}

void Attempt::StopFeed() {
  if (pump_ == nullptr) return;
  pump_->Stop();
  pump_.reset();
}

Async<absl::StatusOr<v1::AdviseResponse>> Attempt::TakeAdvice(
    const v1::Failure& failure, bool session_idle) {
  v1::AdviseRequest request;
  *request.mutable_token() = token();
  *request.mutable_failure() = failure;
  // Another operation fails: the last one has succeeded, and its failures say
  // nothing about this one.
  if (failure.operation() != failed_operation_) failures_ = 0;
  failed_operation_ = failure.operation();
  request.set_earlier_failures(failures_++);
  request.set_session_idle(session_idle);
  CO_ASSIGN_OR_RETURN(
      v1::AdviseResponse advice,
      co_await Ask(&SchedulerClient::Advise, std::move(request)));
  if (advice.action() != v1::AdviseResponse::ACTION_END) {
    CO_RETURN_IF_ERROR(co_await Wait(FromProto(advice.delay())));
  }
  co_return advice;
}

Async<absl::StatusOr<bool>> Attempt::TryAgain(const v1::Failure& failure) {
  CO_ASSIGN_OR_RETURN(v1::AdviseResponse advice,
                      co_await TakeAdvice(failure, /*session_idle=*/false));
  co_return advice.action() != v1::AdviseResponse::ACTION_END;
}

v1::Failure ToFailure(const absl::Status& status, const char* operation) {
  v1::Failure failure;
  std::optional<ApiError> error = GetApiError(status);
  if (!error) {
    failure.set_operation(operation);
    failure.set_message(std::string(status.message()));
    return failure;
  }
  failure.set_operation(error->operation == "send_events" ? "send_message"
                                                          : error->operation);
  failure.set_http_status(error->http_status);
  failure.set_error_type(error->type);
  failure.set_error_code(error->error_code);
  failure.set_message(error->message);
  failure.set_request_id(error->request_id);
  if (error->retry_after) {
    int64_t nanos = absl::ToInt64Nanoseconds(*error->retry_after);
    failure.mutable_retry_after()->set_seconds(nanos / 1'000'000'000);
    failure.mutable_retry_after()->set_nanos(
        static_cast<int32_t>(nanos % 1'000'000'000));
  }
  return failure;
}

bool MaybeExecuted(const absl::Status& status) {
  std::optional<ApiError> error = GetApiError(status);
  return !error || error->maybe_executed;
}

bool IsRefusal(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status);
}

bool IsTransient(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

absl::Duration FromProto(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) +
         absl::Nanoseconds(duration.nanos());
}

absl::Time FromProto(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) +
         absl::Nanoseconds(time.nanos());
}

}  // namespace midwatch
