// What a batch takes where the service's limits are what binds, against the
// soonest that they allow. The grid of all cells is printed by the simulator.
#include "tests/sim/makespan.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/sim/bound.h"

namespace midwatch::sim {
namespace {

constexpr absl::Duration kMinute = absl::Minutes(1);

struct BoundCase {
  const char* name;
  std::vector<absl::Duration> turns;
  TrueLimit creates_and_writes;
  TrueLimit reads;
  absl::Duration want;
};

class BoundTest : public ::testing::TestWithParam<BoundCase> {};

TEST_P(BoundTest, IsTheLastEndOfTheSoonestStarts) {
  const BoundCase& c = GetParam();
  EXPECT_EQ(BestMakespan(c.turns, c.creates_and_writes, c.reads), c.want);
}

// A create or a write each second, a read every half of one.
INSTANTIATE_TEST_SUITE_P(
    Table, BoundTest,
    ::testing::ValuesIn<BoundCase>({
        {"Nothing", {}, {60, 1}, {120, 1}, absl::ZeroDuration()},
        {"CreateNowSendLater", {kMinute}, {60, 1}, {120, 1}, 61 * kMinute / 60},
        {"BurstSavesIt", {kMinute}, {60, 2}, {120, 1}, kMinute},
        {"TwoSlotsForEach",
         {kMinute, kMinute, kMinute},
         {60, 2},
         {120, 1},
         64 * kMinute / 60},
        {"AnEarlyLongOneIsLast",
         {2 * kMinute, kMinute},
         {60, 2},
         {120, 1},
         2 * kMinute},
        {"ReadsBind",
         {kMinute, kMinute, kMinute},
         {60, 6},
         {6, 1},
         80 * kMinute / 60},
    }),
    [](const auto& each) { return std::string(each.param.name); });

TEST(MakespanTest, RightLimitsCostNoMoreThanTwoPercent) {
  MakespanCell cell;
  cell.tasks = 10'000;
  const Makespan night = MeasureMakespan(cell);
  EXPECT_EQ(night.refused, 0);
  EXPECT_LE(night.ratio(), 1.02);
  EXPECT_GE(night.ratio(), 1) << "the bound is none";
}

// Where the service allows half of what it is said to.
class HalfLimitsTest : public ::testing::TestWithParam<int> {};

TEST_P(HalfLimitsTest, CostNoMoreThanTenPercentOfALargeBatch) {
  MakespanCell cell;
  cell.allowed_per_minute = cell.told_per_minute / 2;
  cell.retry_after = absl::Seconds(GetParam());
  cell.tasks = 10'000;
  const Makespan night = MeasureMakespan(cell);
  EXPECT_GE(night.refused, 3) << "or nothing was to be learned";
  EXPECT_LE(night.refused, 60);
  EXPECT_LE(night.ratio(), 1.10);
  EXPECT_GE(night.ratio(), 1) << "the bound is none";
}

INSTANTIATE_TEST_SUITE_P(RetryAfter, HalfLimitsTest, ::testing::Values(1, 15),
                         ::testing::PrintToStringParamName());

TEST(MakespanTest, ASmallBatchPaysLittleForHalfLimitsWhereRefusalsAreCheap) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    MakespanCell cell;
    cell.allowed_per_minute = cell.told_per_minute / 2;
    cell.seed = seed;
    EXPECT_LE(MeasureMakespan(cell).ratio(), 1.08) << "seed " << seed;
  }
}

TEST(MakespanTest, TheSameSeedTakesTheSameTime) {
  MakespanCell cell;
  cell.tasks = 200;
  cell.allowed_per_minute = cell.told_per_minute / 2;
  const Makespan first = MeasureMakespan(cell);
  const Makespan again = MeasureMakespan(cell);
  EXPECT_EQ(first.took, again.took);
  EXPECT_EQ(first.refused, again.refused);
  cell.seed = 2;
  EXPECT_NE(MeasureMakespan(cell).took, first.took);
}

}  // namespace
}  // namespace midwatch::sim
