#include "agents/session_feed.h"

#include <algorithm>
#include <functional>

#include "base/guard.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

// How far before the last processed event the history is read again: events
// may be processed in another order than they are listed.
constexpr absl::Duration kHistoryMargin = absl::Minutes(1);
constexpr absl::Duration kFirstBackoff = absl::Milliseconds(500);
constexpr absl::Duration kBackoffMax = absl::Seconds(10);

bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

bool IsRefusal(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsFailedPrecondition(status);
}

// Interrupts have been seen without an id: their text stands in for it.
uint64_t IdentityOf(const Event& event, bool processed) {
  constexpr uint64_t kProcessed = 0x9e3779b97f4a7c15;
  const uint64_t hash =
      std::hash<std::string>()(event.id.empty() ? event.json : event.id);
  return processed ? hash ^ kProcessed : hash;
}

}  // namespace

SessionFeed::SessionFeed(AgentsClient& client, Executor& executor,
                         Random& random, std::string session_id,
                         std::unique_ptr<AttachTurn> turn)
    : client_(client),
      random_(random),
      session_id_(std::move(session_id)),
      turn_(std::move(turn)),
      closed_box_(executor),
      turn_box_(executor) {}

SessionFeed::~SessionFeed() = default;

void SessionFeed::MarkSeen(const Event& event) { TakeNew(event); }

bool SessionFeed::TakeNew(const Event& event) {
  const uint64_t processed = IdentityOf(event, true);
  // A history read overtakes the stream: what is known as processed is not
  // queued any more.
  if (!event.processed_at && seen_.contains(processed)) return false;
  const uint64_t identity =
      event.processed_at ? processed : IdentityOf(event, false);
  if (!seen_.insert(identity).second && Stands(Guard::kEventDedupe)) {
    return false;
  }
  if (event.processed_at) {
    seen_order_.emplace_back(*event.processed_at, identity);
    last_processed_at_ = std::max(
        last_processed_at_.value_or(absl::InfinitePast()), *event.processed_at);
    Forget();
  }
  return true;
}

void SessionFeed::Forget() {
  // Twice the margin, since a stream may repeat what is a little older.
  absl::Time horizon = *last_processed_at_ - 2 * kHistoryMargin;
  while (!seen_order_.empty() && seen_order_.front().first < horizon) {
    seen_.erase(seen_order_.front().second);
    seen_order_.pop_front();
  }
}

Async<absl::Status> SessionFeed::Open() {
  CO_ASSIGN_OR_RETURN(stream_, co_await client_.OpenStream(session_id_));
  if (closed_) stream_->Close();
  co_return absl::OkStatus();
}

Async<absl::Status> SessionFeed::CatchUp(bool whole, AttachBy by) {
  refusal_ = absl::OkStatus();
  absl::Status opened;
  if (by == AttachBy::kStream) opened = co_await Open();
  if (IsRefusal(opened)) {
    refusal_ = opened;
  } else if (!opened.ok()) {
    co_return opened;
  }
  ListEventsQuery query;
  if (!whole && last_processed_at_) {
    query.processed_from = *last_processed_at_ - kHistoryMargin;
  }
  absl::StatusOr<std::vector<Event>> history =
      co_await client_.ListAllEvents(session_id_, std::move(query));
  if (!history.ok()) {
    // A stream without the history before it would leave a gap.
    stream_.reset();
    co_return history.status();
  }
  for (Event& event : *history) {
    if (TakeNew(event)) backlog_.push_back(std::move(event));
  }
  co_return absl::OkStatus();
}

Async<absl::StatusOr<Event>> SessionFeed::Next() {
  while (true) {
    if (!backlog_.empty()) {
      Event event = std::move(backlog_.front());
      backlog_.pop_front();
      co_return event;
    }
    if (closed_) co_return absl::CancelledError("the feed was closed");
    if (!refusal_.ok()) co_return refusal_;
    absl::Status failure;
    if (stream_ == nullptr) {
      co_await BackOff();
      AttachBy by = co_await AwaitTurn();
      if (closed_) continue;
      failure = co_await CatchUp(false, by);
      if (turn_ != nullptr) turn_->Leave();
    } else {
      absl::StatusOr<Event> event = co_await stream_->Next();
      if (event.ok()) {
        failures_in_a_row_ = 0;
        if (!TakeNew(*event)) continue;
        co_return event;
      }
      stream_.reset();
      failure = event.status();
    }
    if (failure.ok() || closed_) continue;
    if (!MayPass(failure)) co_return failure;
    std::optional<ApiError> error = GetApiError(failure);
    asked_to_wait_ = error && error->retry_after ? *error->retry_after
                                                 : absl::ZeroDuration();
  }
}

Async<void> SessionFeed::BackOff() {
  // Half of it random, so that streams cut together do not come back together.
  double factor = 0.5 + 0.5 * random_.Fraction();
  absl::Duration step =
      kFirstBackoff * (int64_t{1} << std::min(failures_in_a_row_, 5));
  ++failures_in_a_row_;
  absl::Duration delay =
      std::max(std::min(step, kBackoffMax) * factor, asked_to_wait_);
  co_await closed_box_.Pop(delay);
}

Async<AttachBy> SessionFeed::AwaitTurn() {
  if (turn_ == nullptr || closed_) co_return AttachBy::kStream;
  turn_->Enter([this](AttachBy by) { turn_box_.Push(by); });
  std::optional<AttachBy> by = co_await turn_box_.Pop();
  co_return by.value_or(AttachBy::kStream);
}

void SessionFeed::Close() {
  if (closed_) return;
  closed_ = true;
  if (turn_ != nullptr) turn_->Leave();
  turn_box_.Push(AttachBy::kStream);
  backlog_.clear();
  if (stream_ != nullptr) stream_->Close();
  closed_box_.Push(true);
}

}  // namespace midwatch
