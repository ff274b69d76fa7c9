#include "scheduler/rate_bucket.h"

#include <algorithm>
#include <utility>

namespace midwatch {
namespace {

constexpr size_t kMinute = 60;  // in seconds
// Less than that of the rate is little sent.
constexpr double kLittle = 0.75;

// Steps of a search. What was sent for a minute without a refusal is near; and
// limits that are not right are more often half right than a tenth.
constexpr double kFineStep = 0.97;
constexpr double kSmallStep = 0.8;
constexpr double kLargeStep = 0.5;
constexpr int kFineSteps = 3;
constexpr int kSmallSteps = 4;
// So many times the requests that were accepted at the rates before: the
// service gives this one. Refusals at random do that to few searches.
constexpr int64_t kFarMore = 8;
// Of the limit, or of the rate that was learned without one: a search that
// comes to that has found nothing.
constexpr double kSearchEnd = 0.05;
// For how long it is then believed, and at least how many times as long as it
// took to see.
constexpr absl::Duration kUnrelatedFor = absl::Minutes(30);
constexpr int kUnrelatedTimes = 4;

constexpr double kGrowth = 1.03;
constexpr absl::Duration kGrowEvery = absl::Minutes(5);
constexpr absl::Duration kGrowEveryMax = absl::Minutes(20);
// Where the refused rate is so far above the one that is given, a step was too
// large.
constexpr double kFarAbove = 1.1;
// A higher rate is tried no oftener than so many times what it costs where it
// is refused.
constexpr int kTryTimes = 10;
// After a refusal: until then requests of before it may be on their way, since
// other workers have slots that lie up to two seconds ahead, or may be
// reported. Their refusals are one with it, and what was accepted of them is
// not counted.
constexpr absl::Duration kOfBefore = absl::Seconds(4);
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
      grow_every_(kGrowEvery) {
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
  if (now >= refused_at_ + kOfBefore) {
    run_ += count;
    since_step_ += count;
  }
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

bool RateBucket::SentAMinute() const {
  const std::optional<int> accepted = AcceptedInAMinute();
  return accepted && *accepted >= kLittle * rate_per_minute_;
}

bool RateBucket::IsGiven() const {
  return SentAMinute() && since_step_ * steps_ >= kFarMore * in_steps_;
}

void RateBucket::Lower(absl::Duration now) {
  if (grown_) grow_every_ = std::min(2 * grow_every_, kGrowEveryMax);
  refused_rate_ = rate_per_minute_;
  if (given_rate_ > 0 && given_rate_ < rate_per_minute_) {
    rate_per_minute_ = given_rate_;
    return;
  }
  given_rate_ = 0;
  if (IsGiven()) EndSearch();
  Step(now);
  if (rate_per_minute_ >= kSearchEnd * search_from_) return;
  unrelated_until_ =
      now + std::max(kUnrelatedFor, kUnrelatedTimes * (now - search_began_));
  rate_per_minute_ = search_from_;
  refused_rate_ = 0;
  EndSearch();
}

void RateBucket::Step(absl::Duration now) {
  if (steps_ == 0) {
    search_began_ = now;
    search_from_ = limit_.per_minute > 0 ? limit_.per_minute : rate_per_minute_;
  }
  ++steps_;
  in_steps_ += run_;
  since_step_ = 0;
  if (SentAMinute() && fine_steps_ < kFineSteps) {
    ++fine_steps_;
    // Seconds with one request each are no rate of 60 a minute.
    rate_per_minute_ =
        kFineStep * std::min<double>(*AcceptedInAMinute(), rate_per_minute_);
    return;
  }
  const bool early = steps_ - fine_steps_ <= kSmallSteps;
  rate_per_minute_ *= early ? kSmallStep : kLargeStep;
}

void RateBucket::EndSearch() {
  steps_ = 0;
  in_steps_ = 0;
  fine_steps_ = 0;
}

void RateBucket::NoteRefused(absl::Duration now, absl::Duration retry_after,
                             int count) {
  refused_ += count;
  const bool first = now >= stopped_until_ && now >= refused_at_ + kOfBefore;
  stopped_until_ = std::max(stopped_until_, now + retry_after);
  if (first) {
    const std::optional<int> accepted = AcceptedInAMinute();
    if (unlimited()) {
      if (accepted) rate_per_minute_ = kFineStep * *accepted;
    } else if (now >= unrelated_until_ &&
               !(accepted && *accepted < kLittle * rate_per_minute_)) {
      Lower(now);
    }
    if (limit_.per_minute > 0) {
      rate_per_minute_ =
          std::clamp(rate_per_minute_, std::min(kRateMin, limit_.per_minute),
                     limit_.per_minute);
    }
    refused_at_ = now;
    changed_at_ = now;
    retry_after_ = retry_after;
    grown_ = false;
  }
  BeginRun();
  // The service's bucket is empty too: one slot when it may be tried again.
  Empty(stopped_until_ - Interval());
}

void RateBucket::NoteTrouble(absl::Duration now) { changed_at_ = now; }

void RateBucket::MaybeGrow(absl::Duration now) {
  if (rate_per_minute_ == limit_.per_minute) return;
  const absl::Duration since = now - changed_at_;
  const absl::Duration try_every =
      std::min(kTryTimes * retry_after_, kGrowEveryMax);
  if (IsGiven()) {
    given_rate_ = rate_per_minute_;
    EndSearch();
    if (refused_rate_ > kFarAbove * rate_per_minute_ && since >= try_every) {
      grown_ = false;
      return Raise((rate_per_minute_ + refused_rate_) / 2, now);
    }
  }
  if (since < std::max(grow_every_, try_every)) return;
  if (grown_) grow_every_ = kGrowEvery;  // the last one was not refused
  given_rate_ = rate_per_minute_;
  grown_ = true;
  Raise(kGrowth * rate_per_minute_, now);
}

void RateBucket::Raise(double per_minute, absl::Duration now) {
  changed_at_ = now;
  rate_per_minute_ = per_minute;
  if (limit_.per_minute > 0) {
    rate_per_minute_ = std::min(rate_per_minute_, limit_.per_minute);
  }
  BeginRun();
}

void RateBucket::BeginRun() {
  run_ = 0;
  clean_ = 0;
}

void RateBucket::SetLimit(RateLimit limit, absl::Duration now) {
  limit.burst = std::max(limit.burst, 1);
  if (limit == limit_) return;
  bool learned = rate_per_minute_ != limit_.per_minute;
  limit_ = limit;
  rate_per_minute_ = learned && limit.per_minute > 0
                         ? std::min(rate_per_minute_, limit.per_minute)
                         : limit.per_minute;
  given_rate_ = 0;
  refused_rate_ = 0;
  unrelated_until_ = -absl::InfiniteDuration();
  EndSearch();
  changed_at_ = now;
  Empty(now);
}

}  // namespace midwatch
