#include "scheduler/rate_bucket.h"

#include <algorithm>

namespace midwatch {
namespace {

constexpr size_t kMinute = 60;  // in seconds
constexpr double kOfAccepted = 0.97;
constexpr double kOfItself = 0.8;
constexpr double kGrowth = 1.03;
// Of requests: below that, the service accepts less than it gets.
constexpr double kMostAccepted = 0.75;
constexpr int64_t kJudgedBy = 20;
constexpr double kFallMax = 0.7;
constexpr absl::Duration kGrowEvery = absl::Minutes(5);
// Requests that left before the first refusal came back, and their answers.
constexpr absl::Duration kRoundTrip = absl::Seconds(2);
// Below this nobody could learn that the service accepts more again.
constexpr double kRateMin = 1;

}  // namespace

absl::Duration ReachOf(SlotPurpose purpose) {
  switch (purpose) {
    case SlotPurpose::kUrgent:
      return absl::Seconds(2);
    case SlotPurpose::kNormal:
      return absl::Milliseconds(1800);
    case SlotPurpose::kStart:
      return absl::Seconds(1);
    case SlotPurpose::kSpare:
      break;
  }
  return absl::ZeroDuration();
}

RateBucket::RateBucket(RateLimit limit, absl::Duration now)
    : limit_(limit),
      rate_per_minute_(limit.per_minute),
      changed_at_(now),
      high_(limit.per_minute) {
  limit_.burst = std::max(limit_.burst, 1);
  Empty(now);
}

absl::Duration RateBucket::Interval() const {
  return unlimited() ? absl::ZeroDuration()
                     : absl::Minutes(1) / rate_per_minute_;
}

void RateBucket::Empty(absl::Duration from) {
  full_at_ = from + limit_.burst * Interval();
}

absl::Duration RateBucket::NextSlot(absl::Duration now) const {
  absl::Duration next = std::max(now, stopped_until_);
  if (unlimited()) return next;
  return std::max(next, full_at_ - (limit_.burst - 1) * Interval());
}

absl::Duration RateBucket::TakeNext(absl::Duration now) {
  MaybeGrow(now);
  absl::Duration slot = NextSlot(now);
  if (!unlimited()) full_at_ = std::max(full_at_, slot) + Interval();
  return slot;
}

std::optional<absl::Duration> RateBucket::Take(absl::Duration now,
                                               SlotPurpose purpose) {
  if (NextSlot(now) > now + ReachOf(purpose)) return std::nullopt;
  return TakeNext(now);
}

int RateBucket::Room(absl::Duration now, SlotPurpose purpose, int most) const {
  RateBucket copy = *this;
  int room = 0;
  while (room < most && copy.Take(now, purpose)) ++room;
  return room;
}

absl::Duration RateBucket::NextRoom(absl::Duration now,
                                    SlotPurpose purpose) const {
  return std::max(now, NextSlot(now) - ReachOf(purpose));
}

void RateBucket::NoteAccepted(absl::Duration now, int count) {
  if (count <= 0) return;
  accepted_since_ += count;
  int64_t number = absl::ToInt64Seconds(now);
  if (seconds_.empty() || seconds_.back().number != number) {
    seconds_.push_back({number, 0});
    ++clean_;
  }
  seconds_.back().accepted += count;
  if (seconds_.size() > kMinute) seconds_.pop_front();
  clean_ = std::min(clean_, seconds_.size());
}

int RateBucket::AcceptedLately(absl::Duration now) const {
  const int64_t number = absl::ToInt64Seconds(now);
  int accepted = 0;
  for (const Second& second : seconds_) {
    if (number - second.number < int64_t{kMinute}) accepted += second.accepted;
  }
  return accepted;
}

std::optional<int> RateBucket::AcceptedInAMinute() const {
  if (clean_ < kMinute) return std::nullopt;
  int accepted = 0;
  for (const Second& second : seconds_) accepted += second.accepted;
  return accepted;
}

bool RateBucket::IsAboutTheRate() {
  const int64_t offered = accepted_since_ + refused_since_;
  if (offered < kJudgedBy) return false;
  const bool few = static_cast<double>(accepted_since_) <
                   kMostAccepted * static_cast<double>(offered);
  accepted_since_ = refused_since_ = 0;
  return few;
}

void RateBucket::NoteRefused(absl::Duration now, absl::Duration retry_after,
                             int count) {
  refused_ += count;
  refused_since_ += count;
  bool first = now >= stopped_until_ && now >= refused_at_ + kRoundTrip;
  stopped_until_ = std::max(stopped_until_, now + retry_after);
  if (first) {
    refused_at_ = now;
    changed_at_ = now;
    const std::optional<int> accepted = AcceptedInAMinute();
    double lower =
        accepted ? kOfAccepted * *accepted : kOfItself * rate_per_minute_;
    if (IsAboutTheRate()) {
      high_ = lower;
    } else if (accepted && *accepted < kMostAccepted * rate_per_minute_) {
      lower = rate_per_minute_;
    } else {
      lower = std::max(lower, kFallMax * high_);
    }
    rate_per_minute_ = unlimited() ? lower : std::min(rate_per_minute_, lower);
    if (limit_.per_minute > 0) {
      rate_per_minute_ =
          std::clamp(rate_per_minute_, std::min(kRateMin, limit_.per_minute),
                     limit_.per_minute);
    }
    // What was accepted at the old rate says nothing about the new one.
    clean_ = 0;
  }
  // The service's bucket is empty too: one slot when it may be tried again.
  Empty(stopped_until_ - Interval());
}

void RateBucket::NoteTrouble(absl::Duration now) { changed_at_ = now; }

void RateBucket::MaybeGrow(absl::Duration now) {
  if (rate_per_minute_ == limit_.per_minute) return;
  if (now - changed_at_ < kGrowEvery) return;
  changed_at_ = now;
  rate_per_minute_ *= kGrowth;
  if (limit_.per_minute > 0) {
    rate_per_minute_ = std::min(rate_per_minute_, limit_.per_minute);
  }
  high_ = std::max(high_, rate_per_minute_);
}

void RateBucket::SetLimit(RateLimit limit, absl::Duration now) {
  limit.burst = std::max(limit.burst, 1);
  if (limit == limit_) return;
  bool learned = rate_per_minute_ != limit_.per_minute;
  limit_ = limit;
  rate_per_minute_ = learned && limit.per_minute > 0
                         ? std::min(rate_per_minute_, limit.per_minute)
                         : limit.per_minute;
  high_ = rate_per_minute_;
  changed_at_ = now;
  Empty(now);
}

}  // namespace midwatch
