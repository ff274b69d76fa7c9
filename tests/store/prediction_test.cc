#include "store/prediction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

namespace midwatch {
namespace {

std::vector<Sample> Costs(std::vector<int64_t> costs) {
  std::vector<Sample> samples;
  for (int64_t cost : costs) samples.push_back({cost, 2 * cost});
  return samples;
}

TEST(PredictTest, QuantilesByNearestRank) {
  EXPECT_EQ(Predict({}), Forecast());
  Forecast one = Predict(Costs({7}));
  EXPECT_EQ(one.samples, 1);
  EXPECT_EQ(one.cost_p50, 7);
  EXPECT_EQ(one.cost_p90, 7);
  EXPECT_EQ(one.time_p90, absl::Microseconds(14));
  Forecast ten = Predict(Costs({10, 9, 8, 7, 6, 5, 4, 3, 2, 1}));
  EXPECT_EQ(ten.cost_p50, 5);
  EXPECT_EQ(ten.cost_p90, 9);
  Forecast eleven = Predict(Costs({11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}));
  EXPECT_EQ(eleven.cost_p50, 6);
  EXPECT_EQ(eleven.cost_p90, 10);
}

// How often each of the first `n` samples is kept, summed over so many kinds.
std::vector<int> TimesKept(int n, int kinds) {
  std::vector<int> times(static_cast<size_t>(n));
  for (int kind = 1; kind <= kinds; ++kind) {
    std::vector<int> kept(kSamplesMax, -1);
    for (int i = 0; i < n; ++i) {
      const std::optional<int> place = PlaceOfSample(kind, i + 1);
      if (place) kept.at(static_cast<size_t>(*place)) = i;
    }
    for (int i : kept) {
      if (i >= 0) ++times[static_cast<size_t>(i)];
    }
  }
  return times;
}

double Share(const std::vector<int>& times, int from, int to) {
  auto sum = [&](int a, int b) {
    return std::accumulate(times.begin() + a, times.begin() + b, 0.0);
  };
  return sum(from, to) / sum(0, static_cast<int>(times.size()));
}

constexpr int kKinds = 400;

TEST(PlaceOfSampleTest, TheFirstAreAllKept) {
  for (int n = 1; n <= kSamplesMax; ++n) {
    EXPECT_EQ(PlaceOfSample(7, n), n - 1);
  }
}

// So the order in which tasks end, with the long ones at the end, does not
// matter.
TEST(PlaceOfSampleTest, OfTheFirstThousandEachIsAsLikely) {
  for (int n : {300, 500, 800, kSampleMemory}) {
    const std::vector<int> times = TimesKept(n, kKinds);
    for (int tenth = 0; tenth < 10; ++tenth) {
      EXPECT_NEAR(Share(times, n * tenth / 10, n * (tenth + 1) / 10), 0.1,
                  0.004)
          << tenth << " of " << n;
    }
  }
}

TEST(PlaceOfSampleTest, WhatAKindOnceWasIsForgotten) {
  const int m = kSampleMemory;
  EXPECT_NEAR(Share(TimesKept(2 * m, kKinds), 0, m), std::exp(-1), 0.01);
  EXPECT_NEAR(Share(TimesKept(3 * m, kKinds), 0, m), std::exp(-2), 0.01);
  EXPECT_LT(Share(TimesKept(6 * m, kKinds), 0, m), 0.01);
}

// Not only on the average: the few that end last may be the slowest of all.
TEST(PlaceOfSampleTest, OfEachStretchTheSamePartIsKept) {
  for (int64_t kind = 1; kind <= 20; ++kind) {
    for (int64_t from = kSampleMemory; from < 3 * kSampleMemory; ++from) {
      int kept = 0;
      for (int64_t n = from; n < from + 40; ++n) {
        kept += PlaceOfSample(kind, n) ? 1 : 0;
      }
      EXPECT_NEAR(kept, 10, 2) << kind << ", from " << from;
    }
  }
}

// Nor the place of one kind's sample that of another's a little earlier.
TEST(PlaceOfSampleTest, PlacesAreAnyAndOfEachKindItsOwn) {
  std::vector<int> times(kSamplesMax);
  int pairs = 0, alike = 0;
  for (int64_t n = 2 * kSampleMemory; n < 60 * kSampleMemory; ++n) {
    const std::optional<int> place = PlaceOfSample(5, n);
    if (!place) continue;
    ++times.at(static_cast<size_t>(*place));
    for (int64_t apart : {1, 2, 3, 64}) {
      for (int64_t later : {int64_t{0}, apart}) {
        const std::optional<int> other = PlaceOfSample(5 + apart, n - later);
        pairs += other ? 1 : 0;
        alike += other == place ? 1 : 0;
      }
    }
  }
  const int mean = 58 * kSampleMemory / 4 / kSamplesMax;
  EXPECT_GT(*std::min_element(times.begin(), times.end()), mean / 2);
  EXPECT_LT(*std::max_element(times.begin(), times.end()), mean * 3 / 2);
  EXPECT_LT(alike, pairs * 2 / kSamplesMax);
}

TEST(PredictsAnewTest, OftenAtFirstAndNeverDear) {
  double read = 0;
  int64_t since = 0;
  for (int64_t n = 1; n <= 5'000; ++n) {
    ++since;
    if (n < 16) {
      EXPECT_TRUE(PredictsAnew(n)) << n;
    }
    if (PredictsAnew(n)) {
      read += static_cast<double>(std::min<int64_t>(n, kSamplesMax));
      // What is new is an eighth of all, or as good as.
      EXPECT_LE(since, std::max<int64_t>(1, std::min<int64_t>(n, 256) / 8));
      since = 0;
    }
    EXPECT_LE(read, 16.0 * static_cast<double>(n)) << n;
  }
  EXPECT_TRUE(PredictsAnew(kSamplesMax)) << "all of them are foretold from";
}

TEST(KindOfTest, IsWhatIsDoneNotWhatItMayCost) {
  v1::TaskSpec spec;
  spec.set_prompt("Do {{what}}.");
  spec.mutable_agent()->set_agent_id("agent_1");
  const std::string kind = KindOf(spec);
  v1::TaskSpec same = spec;
  same.set_max_cost_usd_micros(5);
  same.set_priority(9);
  (*same.mutable_labels())["a"] = "b";
  same.mutable_retry()->set_max_starts(3);
  EXPECT_EQ(KindOf(same), kind);
  v1::TaskSpec other = spec;
  other.set_prompt("Do not {{what}}.");
  EXPECT_NE(KindOf(other), kind);
  other = spec;
  other.mutable_agent()->set_agent_id("agent_2");
  EXPECT_NE(KindOf(other), kind);
  other = spec;
  other.mutable_expect()->add_files("x");
  EXPECT_NE(KindOf(other), kind);
}

}  // namespace
}  // namespace midwatch
