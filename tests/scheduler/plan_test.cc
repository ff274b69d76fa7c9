// What a plan says of small batches whose night can be told in one's head.
#include "scheduler/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "scheduler/plan_night.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

constexpr int64_t kOneCent = 10'000;
constexpr absl::Duration kAMinute = absl::Minutes(1);

// `tasks` that take a minute and ten cents each, and no limit but the places.
PlanInput BatchOf(int tasks, int jobs = 1000) {
  PlanInput input;
  input.kinds = {{.samples = {{10 * kOneCent, 60'000'000}},
                  .assumed = false,
                  .dearest = 0,
                  .expected_files = 1}};
  input.tasks.resize(static_cast<size_t>(tasks));
  input.start = absl::FromUnixSeconds(1'800'000'000);
  input.max_cost = 100 * kOneCent;
  input.jobs = jobs;
  return input;
}

std::vector<absl::Duration> StartsOf(const PlannedNight& night) {
  std::vector<absl::Duration> starts;
  for (const PlannedTask& task : night.tasks) starts.push_back(task.start);
  return starts;
}

TEST(PlanTest, WithoutALimitAllGoAtOnce) {
  const PlannedNight night = PlanBatch(BatchOf(50)).typical;
  EXPECT_EQ(night.run, 50);
  EXPECT_EQ(night.end, kAMinute);
  EXPECT_EQ(night.cost, 500 * kOneCent);
  EXPECT_EQ(night.peak, 50);
  EXPECT_EQ(night.requests.create, 50);
  EXPECT_EQ(night.requests.write, 100);  // the message and the archive
  EXPECT_EQ(night.requests.read, 50);
  EXPECT_EQ(night.requests.files, 100);  // a list and a file
  EXPECT_EQ(night.series.TimeOf(PlanLimit::kNone), kAMinute);
}

TEST(PlanTest, NothingIsNothing) {
  const PlannedNight night = PlanBatch(BatchOf(0)).typical;
  EXPECT_EQ(night.run, 0);
  EXPECT_EQ(night.end, absl::ZeroDuration());
}

TEST(PlanTest, PlacesBind) {
  const PlannedNight night = PlanBatch(BatchOf(4, /*jobs=*/2)).typical;
  EXPECT_THAT(StartsOf(night),
              ElementsAre(absl::ZeroDuration(), absl::ZeroDuration(), kAMinute,
                          kAMinute));
  EXPECT_EQ(night.end, 2 * kAMinute);
  EXPECT_THAT(
      night.series.Intervals(),
      ElementsAre(
          PlanInterval{absl::ZeroDuration(), kAMinute, PlanLimit::kPlaces},
          PlanInterval{kAMinute, 2 * kAMinute, PlanLimit::kNone}));
}

TEST(PlanTest, TheLeastCapBinds) {
  PlanInput input = BatchOf(6);
  input.caps = {{"queue nightly", 3}, {"the batch", 2}};
  const PlannedNight night = PlanBatch(input).typical;
  EXPECT_EQ(night.peak, 2);
  EXPECT_EQ(night.end, 3 * kAMinute);
  EXPECT_EQ(night.series.TimeOf(PlanLimit::kCap), 2 * kAMinute);
}

// A session takes a create and a write of the same bucket.
TEST(PlanTest, CreatesAndWritesShareARate) {
  PlanInput input = BatchOf(60);
  input.rates.create = RateLimit{60, 1};
  const PlannedNight night = PlanBatch(input).typical;
  EXPECT_NEAR(absl::ToDoubleSeconds(night.end), 120 + 60, 6);
  EXPECT_GT(night.series.TimeOf(PlanLimit::kCreate), absl::Seconds(100));

  input.rates.write = RateLimit{600, 1};
  EXPECT_NEAR(absl::ToDoubleSeconds(PlanBatch(input).typical.end), 60 + 60, 6);
  input.rates.write.reset();
  input.one_call = true;
  EXPECT_NEAR(absl::ToDoubleSeconds(PlanBatch(input).typical.end), 60 + 60, 6);
}

TEST(PlanTest, ReadsAndFilesHaveRatesOfTheirOwn) {
  PlanInput input = BatchOf(60);
  input.rates.read = RateLimit{30, 1};
  PlannedNight night = PlanBatch(input).typical;
  EXPECT_NEAR(absl::ToDoubleSeconds(night.end), 120 + 55, 6);
  input.stream_age = absl::Seconds(30);  // each is opened again, and read
  EXPECT_EQ(PlanBatch(input).typical.requests.read, 60 + 60 * 2);

  input = BatchOf(60, /*jobs=*/30);
  input.rates.files = RateLimit{30, 1};
  night = PlanBatch(input).typical;
  EXPECT_NEAR(absl::ToDoubleSeconds(night.end), 60 + 240, 10);
  EXPECT_GT(night.series.TimeOf(PlanLimit::kFiles), kAMinute);
}

TEST(PlanTest, ABudgetHoldsBackAndThenRefuses) {
  PlanInput input = BatchOf(30);
  // Two dollars: two at once, and with $1.10 spent no dollar is left.
  input.budgets = {
      {.of = "the batch", .room = 200 * kOneCent, .limit = 200 * kOneCent}};
  const PlannedNight night = PlanBatch(input).typical;
  EXPECT_EQ(night.peak, 2);
  EXPECT_EQ(night.run, 11);
  EXPECT_EQ(night.cost, 110 * kOneCent);
  EXPECT_EQ(night.without_room, 19);
  EXPECT_EQ(night.budget_without_room, "the batch");
  EXPECT_GT(night.series.TimeOf(PlanLimit::kBudget), 5 * kAMinute);
}

TEST(PlanTest, ABudgetOfADayIsRenewed) {
  PlanInput input = BatchOf(3);
  input.budgets = {{.of = "tenant acme",
                    .room = 100 * kOneCent,
                    .renews_in = absl::Hours(2),
                    .every = absl::Hours(24),
                    .limit = 100 * kOneCent}};
  const PlannedNight night = PlanBatch(input).typical;
  EXPECT_THAT(StartsOf(night), ElementsAre(absl::ZeroDuration(), absl::Hours(2),
                                           absl::Hours(26)));
  EXPECT_EQ(night.without_room, 0);
}

TEST(PlanTest, WhatIsNeededComesFirst) {
  PlanInput input = BatchOf(4);
  input.tasks[1].needs = {0};
  input.tasks[2].needs = {0, 1};
  input.tasks[3].needs_all = true;
  const PlannedNight night = PlanBatch(input).typical;
  EXPECT_THAT(StartsOf(night), ElementsAre(absl::ZeroDuration(), kAMinute,
                                           2 * kAMinute, 3 * kAMinute));
  EXPECT_EQ(night.series.TimeOf(PlanLimit::kNeeds), 3 * kAMinute);
}

TEST(PlanTest, WhatNeedsOneThatDoesNotRunDoesNotRun) {
  PlanInput input = BatchOf(4, /*jobs=*/1);
  input.budgets = {
      {.of = "the batch", .room = 105 * kOneCent, .limit = 105 * kOneCent}};
  input.tasks[3].needs = {2};
  const PlannedNight night = PlanBatch(input).typical;
  EXPECT_EQ(night.run, 1);
  EXPECT_EQ(night.without_room, 2);
  EXPECT_EQ(night.without_needs, 1);
  EXPECT_EQ(night.tasks[3].start, absl::InfiniteDuration());
}

TEST(PlanTest, OneOfAKeyAtATime) {
  PlanInput input = BatchOf(6);
  for (size_t i = 0; i < 6; ++i) {
    input.tasks[i].key = static_cast<int32_t>(i % 2);
  }
  const PlannedNight night = PlanBatch(input).typical;
  EXPECT_EQ(night.peak, 2);
  EXPECT_EQ(night.end, 3 * kAMinute);
  EXPECT_EQ(night.series.TimeOf(PlanLimit::kKey), 2 * kAMinute);
}

TEST(PlanTest, AsManyOfAKeyAsItsCap) {
  PlanInput input = BatchOf(6);
  for (PlanTask& task : input.tasks) task.key = 0;
  input.key_max = {3};
  const PlannedNight night = PlanBatch(input).typical;
  EXPECT_EQ(night.peak, 3);
  EXPECT_EQ(night.end, 2 * kAMinute);
}

TEST(PlanTest, ThoseAfterTheDeadlineAreLate) {
  PlanInput input = BatchOf(3, /*jobs=*/1);
  input.deadline = absl::Seconds(150);
  const PlannedNight night = PlanBatch(input).typical;
  EXPECT_EQ(night.run, 3);
  EXPECT_EQ(night.late, 1);
}

TEST(PlanTest, NothingStartsInAPause) {
  PlanInput input = BatchOf(1);
  input.held_for = absl::Hours(1);
  const PlannedNight night = PlanBatch(input).typical;
  EXPECT_EQ(night.tasks[0].start, absl::Hours(1));
  EXPECT_EQ(night.series.TimeOf(PlanLimit::kPause), absl::Hours(1));
}

TEST(PlanTest, WhatIsDelayedStartsLater) {
  PlanInput input = BatchOf(3);
  input.tasks[1].not_before = absl::Hours(2);
  input.tasks[2].needs = {0};
  input.tasks[2].not_before = absl::Seconds(30);  // over before the need is
  const PlannedNight night = PlanBatch(input).typical;
  EXPECT_THAT(StartsOf(night),
              ElementsAre(absl::ZeroDuration(), absl::Hours(2), kAMinute));
  EXPECT_EQ(night.series.TimeOf(PlanLimit::kDelay),
            absl::Hours(2) - 2 * kAMinute);
  EXPECT_EQ(night.without_needs, 0);
}

TEST(PlanTest, TheOthersWaitForTheCanary) {
  PlanInput input = BatchOf(6, /*jobs=*/2);
  input.canary = {.tasks = 3, .min_success = kWhole, .max_cost = 0};
  const PlannedNight night = PlanBatch(input).typical;
  EXPECT_THAT(StartsOf(night),
              ElementsAre(absl::ZeroDuration(), absl::ZeroDuration(), kAMinute,
                          2 * kAMinute, 2 * kAMinute, 3 * kAMinute));
  EXPECT_EQ(night.series.TimeOf(PlanLimit::kCanary), kAMinute);

  // Half of them are enough, and are there once the first two are done.
  input.canary.min_success = kWhole / 2;
  EXPECT_EQ(PlanBatch(input).typical.tasks[3].start, kAMinute);
}

TEST(PlanTest, BehindACanaryThatCostsTooMuchNothingRuns) {
  PlanInput input = BatchOf(5);
  input.canary = {.tasks = 2, .min_success = kWhole, .max_cost = 15 * kOneCent};
  input.tasks[4].needs = {3};
  const PlannedNight night = PlanBatch(input).typical;
  EXPECT_EQ(night.run, 2);
  EXPECT_EQ(night.without_canary, 2);
  EXPECT_EQ(night.without_needs, 1);
}

TEST(PlanTest, ABatchThatIsShorterIsAllCanary) {
  PlanInput input = BatchOf(2);
  input.canary = {.tasks = 10, .min_success = kWhole, .max_cost = 0};
  EXPECT_EQ(PlanBatch(input).typical.run, 2);
}

TEST(PlanTest, APriorityOfItsOwnGoesFirst) {
  PlanInput input = BatchOf(3, /*jobs=*/1);
  input.tasks[2].priority = 9;
  EXPECT_THAT(StartsOf(PlanBatch(input).typical),
              ElementsAre(kAMinute, 2 * kAMinute, absl::ZeroDuration()));
}

TEST(PlanTest, AMaxCostOfItsOwnIsWhatATaskSetsAside) {
  PlanInput input = BatchOf(4);
  input.tasks[1].max_cost = 500 * kOneCent;
  input.budgets = {
      {.of = "the batch", .room = 300 * kOneCent, .limit = 300 * kOneCent}};
  PlannedNight night = PlanBatch(input).typical;
  // It waits for room that never comes, and those behind it with it.
  EXPECT_EQ(night.run, 1);
  EXPECT_EQ(night.without_room, 3);
  EXPECT_EQ(night.budget_without_room, "the batch");
  EXPECT_EQ(night.reserve_without_room, 500 * kOneCent);
  // With keys of their own the others do not stand behind it.
  for (int32_t i = 0; i < 4; ++i) input.tasks[static_cast<size_t>(i)].key = i;
  night = PlanBatch(input).typical;
  EXPECT_EQ(night.run, 3);
  EXPECT_EQ(night.without_room, 1);
  EXPECT_EQ(night.end, kAMinute);
  // There is room for it once another one ends.
  input = BatchOf(2);
  input.tasks[1].max_cost = 280 * kOneCent;
  input.budgets = {
      {.of = "the batch", .room = 300 * kOneCent, .limit = 300 * kOneCent}};
  night = PlanBatch(input).typical;
  EXPECT_EQ(night.run, 2);
  EXPECT_THAT(StartsOf(night), ElementsAre(absl::ZeroDuration(), kAMinute));
}

TEST(PlanTest, ACheaperTaskOfAHigherPriorityGoesPastOneWithoutMoney) {
  PlanInput input = BatchOf(2);
  input.tasks[0].max_cost = 800 * kOneCent;
  input.tasks[1].priority = 9;
  input.tasks[1].not_before = absl::Hours(1);
  input.budgets = {
      {.of = "the batch", .room = 300 * kOneCent, .limit = 300 * kOneCent}};
  const PlannedNight night = PlanBatch(input).typical;
  EXPECT_EQ(night.run, 1);
  EXPECT_EQ(night.end, absl::Hours(1) + kAMinute);
  EXPECT_EQ(night.without_room, 1);
  EXPECT_EQ(night.budget_without_room, "the batch");
  EXPECT_EQ(night.reserve_without_room, 800 * kOneCent);
}

TEST(PlanTest, WhatIsAssumedIsNoMoreThanATaskMayCost) {
  PlanInput input = BatchOf(3);
  input.kinds[0].assumed = true;
  input.tasks[1].max_cost = 5 * kOneCent;
  input.tasks[2].max_cost = 200 * kOneCent;
  EXPECT_EQ(PlanBatch(input).typical.cost, (10 + 5 + 10) * kOneCent);
  input.kinds[0].costs_all = true;
  EXPECT_EQ(PlanBatch(input).typical.cost, (100 + 5 + 200) * kOneCent);
}

// All samples count alike, and their mean decides, not their median.
TEST(PlanTest, TasksGoAsTheSamplesWent) {
  PlanInput input = BatchOf(400, /*jobs=*/10);
  input.kinds[0].samples = {{10 * kOneCent, 60'000'000},
                            {10 * kOneCent, 60'000'000},
                            {10 * kOneCent, 60'000'000},
                            {50 * kOneCent, 300'000'000}};
  const Plan plan = PlanBatch(input);
  EXPECT_EQ(plan.typical.cost, 400 * 20 * kOneCent);
  EXPECT_NEAR(absl::ToDoubleMinutes(plan.typical.end), 400 * 2 / 10.0, 6);
  // Four samples say little of the mean.
  EXPECT_GT(plan.slow.cost, plan.typical.cost * 3 / 2);
  EXPECT_GT(plan.slow.end, plan.typical.end * 1.5);
  EXPECT_EQ(PlanBatch(input).slow.end, plan.slow.end) << "the same again";
}

// Of a batch in which the long ones may come at any time, by luck, the plan's
// night is never among the luckiest or the least lucky tenth.
TEST(PlanTest, TheTypicalNightIsOneInTheMiddle) {
  for (int tasks = 20; tasks <= 60; tasks += 4) {
    PlanInput input = BatchOf(tasks, /*jobs=*/7);
    std::vector<Sample>& samples = input.kinds[0].samples;
    samples.clear();
    for (int i = 0; i < tasks; ++i) {
      samples.push_back({10 * kOneCent, (60 + i * i) * 1'000'000});
    }
    std::vector<absl::Duration> ends;
    std::vector<Sample> goes = samples;
    SeededRandom random(static_cast<uint64_t>(tasks));
    for (int night = 0; night < 200; ++night) {
      for (size_t i = goes.size(); i > 1; --i) {
        std::swap(goes[i - 1], goes[random.Next() % i]);
      }
      ends.push_back(PlayNight(input, goes).end);
    }
    std::sort(ends.begin(), ends.end());
    const absl::Duration planned = PlanBatch(input).typical.end;
    EXPECT_GT(planned, ends[ends.size() / 10]) << tasks;
    EXPECT_LT(planned, ends[ends.size() * 9 / 10]) << tasks;
  }
}

TEST(PlanTest, ManyTasksAreFewSlices) {
  PlanInput input = BatchOf(20'000, /*jobs=*/50);
  input.rates.create = RateLimit{300, 5};
  input.rates.read = RateLimit{1200, 20};
  const PlannedNight night = PlanBatch(input).typical;
  EXPECT_EQ(night.run, 20'000);
  EXPECT_EQ(night.peak, 50);
  EXPECT_LE(night.series.slices().size(), PlanSeries::kSlicesMax);
  EXPECT_EQ(night.series.slices().back().charged, night.cost);
  absl::Duration sum;
  for (size_t i = 0; i < kPlanLimits; ++i) {
    sum += night.series.TimeOf(static_cast<PlanLimit>(i));
  }
  EXPECT_EQ(sum, night.end);
}

}  // namespace
}  // namespace midwatch
