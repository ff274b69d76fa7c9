#include "scheduler/rate_bucket.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/random.h"

namespace midwatch {
namespace {

constexpr absl::Duration kStart = absl::Seconds(1000);
constexpr RateLimit kFiveASecond{300, 5};

// Slots of `purpose` from `now` on until none is left within its reach.
std::vector<absl::Duration> TakeAll(RateBucket& bucket, absl::Duration now,
                                    SlotPurpose purpose) {
  std::vector<absl::Duration> slots;
  while (std::optional<absl::Duration> slot = bucket.Take(now, purpose)) {
    slots.push_back(*slot - now);
  }
  return slots;
}

// A minute of sending at `per_second`, all of it accepted.
absl::Duration SendAMinute(RateBucket& bucket, absl::Duration now,
                           int per_second) {
  for (int i = 0; i < 60; ++i) {
    bucket.NoteAccepted(now, per_second);
    now += absl::Seconds(1);
  }
  return now;
}

struct ReachCase {
  const char* name;
  SlotPurpose purpose;
  size_t slots;
  absl::Duration last;
};

class ReachTest : public ::testing::TestWithParam<ReachCase> {};

TEST_P(ReachTest, SlotsLieWithinReach) {
  RateBucket bucket(kFiveASecond, kStart);
  std::vector<absl::Duration> slots =
      TakeAll(bucket, kStart, GetParam().purpose);
  ASSERT_EQ(slots.size(), GetParam().slots);
  if (!slots.empty()) {
    EXPECT_EQ(slots.back(), GetParam().last);
  }
}

// A slot every 200 ms, from an empty bucket.
INSTANTIATE_TEST_SUITE_P(
    Table, ReachTest,
    ::testing::ValuesIn<ReachCase>({
        {"Urgent", SlotPurpose::kUrgent, 10, absl::Seconds(2)},
        {"Normal", SlotPurpose::kNormal, 9, absl::Milliseconds(1800)},
        {"Start", SlotPurpose::kStart, 5, absl::Seconds(1)},
        {"Spare", SlotPurpose::kSpare, 0, absl::ZeroDuration()},
    }),
    [](const auto& each) { return std::string(each.param.name); });

TEST(RateBucketTest, WhatWasBegunGoesBeforeWhatIsToBeStarted) {
  RateBucket bucket(kFiveASecond, kStart);
  EXPECT_EQ(TakeAll(bucket, kStart, SlotPurpose::kStart).size(), 5u);
  EXPECT_EQ(TakeAll(bucket, kStart, SlotPurpose::kNormal).size(), 4u);
  EXPECT_EQ(TakeAll(bucket, kStart, SlotPurpose::kUrgent).size(), 1u);
  EXPECT_EQ(bucket.NextRoom(kStart, SlotPurpose::kStart),
            kStart + absl::Milliseconds(1200));
}

TEST(RateBucketTest, APauseFillsItUpToItsBurst) {
  RateBucket bucket(kFiveASecond, kStart);
  absl::Duration now = kStart + absl::Minutes(5);
  EXPECT_EQ(TakeAll(bucket, now, SlotPurpose::kSpare).size(), 5u);
  EXPECT_EQ(bucket.Room(now, SlotPurpose::kStart, 100), 5);
  EXPECT_EQ(bucket.Room(now, SlotPurpose::kStart, 3), 3);
}

TEST(RateBucketTest, WithoutALimitEverySlotIsNow) {
  RateBucket bucket({}, kStart);
  EXPECT_TRUE(bucket.unlimited());
  EXPECT_EQ(bucket.Room(kStart, SlotPurpose::kSpare, 1000), 1000);
  EXPECT_EQ(bucket.TakeNext(kStart), kStart);
  bucket.NoteRefused(kStart, absl::Seconds(3));
  EXPECT_EQ(bucket.Room(kStart, SlotPurpose::kUrgent, 1000), 0);
  EXPECT_EQ(bucket.TakeNext(kStart), kStart + absl::Seconds(3));
}

TEST(RateBucketTest, ARefusalStopsItAndVoidsOpenSlots) {
  RateBucket bucket(kFiveASecond, kStart);
  TakeAll(bucket, kStart, SlotPurpose::kUrgent);
  bucket.NoteRefused(kStart, absl::Seconds(1));
  EXPECT_EQ(bucket.stopped_until(), kStart + absl::Seconds(1));
  // 240 a minute from there on, and no burst: it is the service's that is
  // empty.
  EXPECT_EQ(bucket.rate_per_minute(), 240);
  EXPECT_EQ(bucket.TakeNext(kStart), kStart + absl::Seconds(1));
  EXPECT_EQ(bucket.TakeNext(kStart), kStart + absl::Milliseconds(1250));
  bucket.NoteRefused(kStart, absl::Minutes(1));
  EXPECT_TRUE(TakeAll(bucket, kStart, SlotPurpose::kUrgent).empty());
}

TEST(RateBucketTest, RefusalsOfOneRoundTripAreOne) {
  RateBucket bucket(kFiveASecond, kStart);
  bucket.NoteRefused(kStart, absl::ZeroDuration());
  bucket.NoteRefused(kStart + absl::Seconds(1), absl::Seconds(9));
  bucket.NoteRefused(kStart + absl::Seconds(9), absl::Seconds(1));
  EXPECT_EQ(bucket.rate_per_minute(), 240);
  EXPECT_EQ(bucket.stopped_until(), kStart + absl::Seconds(10));
  bucket.NoteRefused(kStart + absl::Seconds(10), absl::Seconds(1));
  EXPECT_DOUBLE_EQ(bucket.rate_per_minute(), 192);
}

TEST(RateBucketTest, TheRateIsWhatWasAccepted) {
  RateBucket bucket(kFiveASecond, kStart);
  absl::Duration now = SendAMinute(bucket, kStart, 2);
  // Seconds in which nothing was sent do not count.
  now = SendAMinute(bucket, now + absl::Hours(1), 4);
  EXPECT_EQ(bucket.AcceptedLately(now), 236);
  EXPECT_EQ(bucket.AcceptedLately(now + absl::Seconds(30)), 116);
  bucket.NoteRefused(now, absl::Seconds(1), 3);
  EXPECT_EQ(bucket.refused(), 3);
  EXPECT_DOUBLE_EQ(bucket.rate_per_minute(), 0.97 * 240);
}

TEST(RateBucketTest, ARefusalWhileLittleIsSentIsNotAboutTheRate) {
  RateBucket bucket(kFiveASecond, kStart);
  absl::Duration now = SendAMinute(bucket, kStart, 2);
  bucket.NoteRefused(now, absl::Seconds(5));
  EXPECT_EQ(bucket.rate_per_minute(), 300);
  EXPECT_EQ(bucket.stopped_until(), now + absl::Seconds(5));
}

// What came of hours in which all was sent for which the bucket had room.
struct Played {
  double accepted_per_minute;
  int refused;
  double rate;
};

// `accepts` says whether the service takes its n-th request.
Played PlayHours(int hours, absl::Duration retry_after,
                 absl::FunctionRef<bool(int, absl::Duration)> accepts) {
  RateBucket bucket(kFiveASecond, kStart);
  int sent = 0, refused = 0;
  for (int tick = 0; tick < hours * 36'000; ++tick) {
    const absl::Duration now = kStart + tick * absl::Milliseconds(100);
    while (bucket.Room(now, SlotPurpose::kSpare, 1) > 0) {
      bucket.TakeNext(now);
      if (accepts(++sent, now)) {
        bucket.NoteAccepted(now, 1);
      } else {
        ++refused;
        bucket.NoteRefused(now, retry_after);
        break;
      }
    }
  }
  return {(sent - refused) / (60.0 * hours), refused, bucket.rate_per_minute()};
}

// One of twenty refused at random brought the rate to next to nothing.
TEST(RateBucketTest, RefusalsAtRandomDoNotSlowItWithoutEnd) {
  for (absl::Duration retry_after : {absl::Seconds(1), absl::Seconds(15)}) {
    const Played played = PlayHours(
        8, retry_after, [](int n, absl::Duration) { return n % 20 != 0; });
    // In a cycle of 20 requests at the whole rate, and one stop.
    const double best =
        19 / absl::ToDoubleMinutes(absl::Seconds(4) + retry_after);
    EXPECT_GE(played.accepted_per_minute, 0.8 * best) << retry_after;
  }
}

TEST(RateBucketTest, AServiceThatAcceptsATenthIsFound) {
  absl::Duration free_at = kStart;
  const Played played =
      PlayHours(1, absl::Seconds(1), [&](int, absl::Duration now) {
        if (now < free_at) return false;
        free_at = now + absl::Seconds(2);  // 30 a minute
        return true;
      });
  EXPECT_LE(played.rate, 40);
  EXPECT_GE(played.rate, 15);
}

// One that saved up a few requests while it was left alone accepted most of
// what it got, so its refusals were not taken for the rate's, and it was sent
// too much for ever.
TEST(RateBucketTest, AServiceThatAcceptsHalfIsFoundWhateverItsBurst) {
  for (int burst : {3, 5, 30}) {
    double tokens = burst;
    absl::Duration last = kStart;
    const Played played =
        PlayHours(4, absl::Seconds(15), [&](int, absl::Duration now) {
          tokens += 150 * absl::ToDoubleMinutes(now - last);
          tokens = std::min<double>(tokens, burst);
          last = now;
          if (tokens < 1) return false;
          --tokens;
          return true;
        });
    EXPECT_GE(played.accepted_per_minute, 0.95 * 150) << "burst " << burst;
    EXPECT_LE(played.refused, 30) << "burst " << burst;
  }
}

TEST(RateBucketTest, ASearchThatFindsNothingIsGivenUpForAWhile) {
  RateBucket bucket(kFiveASecond, kStart);
  absl::Duration now = kStart;
  std::vector<double> rates;
  auto refuse = [&] {
    bucket.NoteAccepted(now, 20);
    bucket.NoteRefused(now, absl::Seconds(1));
    now += absl::Seconds(10);
    return bucket.rate_per_minute();
  };
  for (double rate = refuse(); rate < 300; rate = refuse()) {
    rates.push_back(rate);
    ASSERT_LT(rates.size(), 20u);
  }
  const std::vector<double> steps = {240,   192,   153.6, 122.88,
                                     61.44, 30.72, 15.36};
  ASSERT_EQ(rates.size(), steps.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    EXPECT_NEAR(rates[i], steps[i], 1e-9);
  }
  for (int i = 0; i < 170; ++i) {
    ASSERT_EQ(refuse(), 300) << "10 s each, for half an hour";
  }
  now += absl::Minutes(2);
  EXPECT_EQ(refuse(), 240);
}

TEST(RateBucketTest, AStepTooFarIsTakenBackByHalves) {
  RateBucket bucket(kFiveASecond, kStart);
  bucket.NoteRefused(kStart, absl::Seconds(1));
  ASSERT_EQ(bucket.rate_per_minute(), 240);
  auto rate_after_a_minute = [&](absl::Duration& now) {
    now = SendAMinute(bucket, now, 4);
    bucket.TakeNext(now);
    return bucket.rate_per_minute();
  };
  absl::Duration now = kStart + absl::Seconds(10);
  EXPECT_EQ(rate_after_a_minute(now), 270);
  EXPECT_EQ(rate_after_a_minute(now), 285);
  EXPECT_EQ(rate_after_a_minute(now), 285) << "near to 300, which was refused";
  bucket.NoteRefused(now, absl::Seconds(1));
  EXPECT_DOUBLE_EQ(bucket.rate_per_minute(), 0.97 * 240)
      << "it was given for a minute, and is no more";
}

TEST(RateBucketTest, AHigherRateThatIsRefusedIsTakenBack) {
  RateBucket bucket(kFiveASecond, kStart);
  absl::Duration now = SendAMinute(bucket, kStart, 4);
  bucket.NoteRefused(now, absl::Seconds(1));
  const double found = 0.97 * 240;
  auto wait_for_growth = [&] {
    const absl::Duration began = now;
    while (bucket.rate_per_minute() == found) {
      now += absl::Seconds(1);
      bucket.TakeNext(now);
    }
    EXPECT_DOUBLE_EQ(bucket.rate_per_minute(), 1.03 * found);
    return now - began;
  };
  EXPECT_EQ(wait_for_growth(), absl::Minutes(5));
  for (int minutes : {10, 20, 20}) {
    now += absl::Seconds(30);
    bucket.NoteRefused(now, absl::Seconds(1));
    EXPECT_EQ(bucket.rate_per_minute(), found);
    EXPECT_EQ(wait_for_growth(), absl::Minutes(minutes));
  }
  // One that lasts until the next: the service gives more again.
  now += absl::Minutes(20);
  bucket.TakeNext(now);
  now += absl::Minutes(5);
  bucket.TakeNext(now);
  EXPECT_DOUBLE_EQ(bucket.rate_per_minute(), 1.03 * 1.03 * 1.03 * found);
}

TEST(RateBucketTest, WhatADearRefusalCostsIsNotRiskedOften) {
  RateBucket bucket(kFiveASecond, kStart);
  bucket.NoteRefused(kStart, absl::Minutes(1));
  bucket.TakeNext(kStart + absl::Seconds(599));
  EXPECT_EQ(bucket.rate_per_minute(), 240);
  bucket.TakeNext(kStart + absl::Seconds(600));
  EXPECT_DOUBLE_EQ(bucket.rate_per_minute(), 247.2);
}

TEST(RateBucketTest, GrowsEveryFiveMinutesUpToTheLimit) {
  RateBucket bucket(kFiveASecond, kStart);
  bucket.NoteRefused(kStart, absl::ZeroDuration());
  auto rate_at = [&](absl::Duration now) {
    bucket.TakeNext(now);
    return bucket.rate_per_minute();
  };
  EXPECT_DOUBLE_EQ(rate_at(kStart + absl::Seconds(299)), 240);
  EXPECT_DOUBLE_EQ(rate_at(kStart + absl::Seconds(300)), 247.2);
  // However long nobody asked: one step.
  EXPECT_DOUBLE_EQ(rate_at(kStart + absl::Minutes(20)), 247.2 * 1.03);
  bucket.NoteTrouble(kStart + absl::Minutes(24));
  EXPECT_DOUBLE_EQ(rate_at(kStart + absl::Minutes(26)), 247.2 * 1.03);
  for (int i = 0; i < 20; ++i) rate_at(kStart + absl::Hours(1 + i));
  EXPECT_DOUBLE_EQ(bucket.rate_per_minute(), 300);
}

TEST(RateBucketTest, AnotherLimitKeepsWhatWasLearned) {
  RateBucket bucket(kFiveASecond, kStart);
  bucket.SetLimit({600, 10}, kStart);
  EXPECT_EQ(bucket.rate_per_minute(), 600);
  bucket.NoteRefused(kStart, absl::ZeroDuration());
  bucket.SetLimit({1200, 20}, kStart);
  EXPECT_EQ(bucket.rate_per_minute(), 480);
  bucket.SetLimit({60, 1}, kStart);
  EXPECT_EQ(bucket.rate_per_minute(), 60);
}

// Whatever is asked, whenever: in no span of time lie more slots than the
// burst and what the rate gives.
TEST(RateBucketTest, NoSpanHoldsMoreThanBurstAndRate) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    SeededRandom random(seed);
    RateLimit limit{10.0 + static_cast<double>(random.Next() % 2000),
                    1 + static_cast<int>(random.Next() % 20)};
    RateBucket bucket(limit, kStart);
    std::vector<double> slots;  // in seconds
    absl::Duration now = kStart;
    for (int i = 0; i < 300; ++i) {
      now += absl::Seconds(random.Fraction() * random.Fraction() * 5);
      auto purpose = static_cast<SlotPurpose>(random.Next() % 4);
      for (uint64_t wanted = random.Next() % 30; wanted > 0; --wanted) {
        std::optional<absl::Duration> slot = bucket.Take(now, purpose);
        if (!slot) break;
        ASSERT_GE(*slot, now);
        ASSERT_LE(*slot, now + ReachOf(purpose));
        slots.push_back(absl::ToDoubleSeconds(*slot));
      }
    }
    ASSERT_TRUE(std::is_sorted(slots.begin(), slots.end()));
    for (size_t first = 0; first < slots.size(); ++first) {
      for (size_t last = first; last < slots.size(); ++last) {
        double span = slots[last] - slots[first];
        ASSERT_LE(static_cast<double>(last - first + 1),
                  limit.burst + span * limit.per_minute / 60 + 1e-6)
            << "seed " << seed;
      }
    }
  }
}

}  // namespace
}  // namespace midwatch
