#include "store/batch_risk.h"

#include <gtest/gtest.h>

#include <string>

#include "store/proto_time.h"

namespace midwatch {
namespace {

constexpr int64_t kDime = 100'000;
const absl::Time kRiskNow = absl::FromUnixSeconds(1'800'000'000);

// A hundred tasks, of which ten have ended in twenty minutes: each cost and
// reserved a dime and took ten minutes, four run. So it needs $10 and, by work,
// 175 minutes more; by pace, 180.
RiskView Steady() {
  return {.tally = {.ended = 10,
                    .cost = 10 * kDime,
                    .squares = 0.1,
                    .reserved = 10 * kDime,
                    .time = absl::Minutes(100),
                    .since = kRiskNow - absl::Minutes(20)},
          .left = 90,
          .running = 4,
          .queued = 86,
          .charged = 10 * kDime};
}
RiskView WithBudget(int64_t budget) {
  RiskView view = Steady();
  view.budget = budget;
  return view;
}
RiskView DueIn(absl::Duration time) {
  RiskView view = Steady();
  view.deadline = kRiskNow + time;
  return view;
}
template <typename Change>
RiskView Changed(RiskView view, Change change) {
  change(view);
  return view;
}

struct RiskCase {
  const char* name;
  RiskView view;
  const char* want;  // the reason; "": no risk
};

class JudgeRiskTest : public ::testing::TestWithParam<RiskCase> {};

TEST_P(JudgeRiskTest, MatchesTable) {
  const std::optional<v1::Risk> risk = JudgeRisk(GetParam().view, kRiskNow);
  EXPECT_EQ(risk ? risk->reason() : "", GetParam().want);
}

INSTANTIATE_TEST_SUITE_P(
    Table, JudgeRiskTest,
    ::testing::ValuesIn<RiskCase>({
        {"NoLimits", Steady(), ""},
        {"FitsExactly", WithBudget(100 * kDime), ""},
        {"ACentTooMuch", WithBudget(100 * kDime - 10'000),
         "needs about $10.00, of a budget of $9.99; 90 tasks left"},
        {"NineSayNothing",
         Changed(WithBudget(kDime), [](RiskView& v) { v.tally.ended = 9; }),
         ""},
        {"PausedSaysNothing",
         Changed(WithBudget(kDime), [](RiskView& v) { v.foretells = false; }),
         ""},
        {"NothingIsLeft",
         Changed(WithBudget(kDime), [](RiskView& v) { v.left = 0; }), ""},
        {"TheLastOneNeedsItsReservation",
         Changed(WithBudget(105 * kDime),
                 [](RiskView& v) { v.tally.reserved = 100 * kDime; }),
         "needs about $10.90, of a budget of $10.50; 90 tasks left"},
        // Half of them for nothing, the others for two dimes: two standard
        // errors are $6.32.
        {"ScatterIsNoAlarm",
         Changed(WithBudget(50 * kDime),
                 [](RiskView& v) { v.tally.squares = 0.2; }),
         ""},
        {"BeyondScatter",
         Changed(WithBudget(35 * kDime),
                 [](RiskView& v) { v.tally.squares = 0.2; }),
         "needs about $10.00, of a budget of $3.50; 90 tasks left"},
        // What tasks have cost that are tried again is part of their mean.
        {"RetriesAreNotCountedTwice",
         Changed(WithBudget(100 * kDime),
                 [](RiskView& v) {
                   v.charged = 20 * kDime;
                   v.sunk = 10 * kDime;
                 }),
         ""},
        {"SpentIsSpent",
         Changed(WithBudget(150 * kDime),
                 [](RiskView& v) { v.charged = 151 * kDime; }),
         "needs about $24.10, of a budget of $15.00; 90 tasks left"},
        {"NineTenthsAreInTime", DueIn(absl::Minutes(158)), ""},
        {"Late", DueIn(absl::Minutes(157)),
         "ends about 18m after its deadline; 90 tasks left"},
        {"VeryLate", DueIn(absl::Minutes(15)),
         "ends about 2h 40m after its deadline; 90 tasks left"},
        // They ended faster than what runs now could: 90 minutes more.
        {"ByPaceInTime",
         Changed(DueIn(absl::Minutes(82)),
                 [](RiskView& v) {
                   v.tally.since = kRiskNow - absl::Minutes(10);
                 }),
         ""},
        // Held up for hours, and now they run: by work.
        {"AStallIsOver",
         Changed(DueIn(absl::Minutes(158)),
                 [](RiskView& v) {
                   v.tally.since = kRiskNow - absl::Hours(9);
                 }),
         ""},
        {"NothingIsQueued",
         Changed(DueIn(absl::Minutes(4)),
                 [](RiskView& v) {
                   v.left = v.running = 4;
                   v.queued = 0;
                 }),
         "ends about 1m after its deadline; 4 tasks left"},
        {"OneLeftOfABlockedRow",
         Changed(DueIn(absl::Minutes(1)),
                 [](RiskView& v) {
                   v.left = 1;
                   v.running = v.queued = 0;
                 }),
         "ends about 1m after its deadline; 1 task left"},
        {"PassedNeedsNoForecast",
         Changed(DueIn(absl::ZeroDuration()),
                 [](RiskView& v) {
                   v.tally = {};
                   v.foretells = false;
                 }),
         "its deadline has passed; 90 tasks left"},
        {"Both",
         Changed(DueIn(absl::Minutes(15)),
                 [](RiskView& v) { v.budget = 50 * kDime; }),
         "needs about $10.00, of a budget of $5.00; ends about 2h 40m after "
         "its deadline; 90 tasks left"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(JudgeRiskFiguresTest, AreThoseOfTheReason) {
  RiskView view = DueIn(absl::Minutes(15));
  view.budget = 50 * kDime;
  const std::optional<v1::Risk> risk = JudgeRisk(view, kRiskNow);
  ASSERT_TRUE(risk.has_value());
  EXPECT_TRUE(risk->over_budget());
  EXPECT_EQ(risk->budget_usd_micros(), 50 * kDime);
  EXPECT_EQ(risk->projected_usd_micros(), 100 * kDime);
  EXPECT_TRUE(risk->over_deadline());
  EXPECT_EQ(FromTimestamp(risk->deadline()), kRiskNow + absl::Minutes(15));
  EXPECT_EQ(FromTimestamp(risk->projected_end()),
            kRiskNow + absl::Minutes(175));
  EXPECT_EQ(risk->ended(), 10);
  EXPECT_EQ(risk->left(), 90);
}

TEST(JudgeRiskFiguresTest, WithoutAForecastThereAreNone) {
  RiskView view = DueIn(absl::ZeroDuration());
  view.tally.ended = 3;
  const std::optional<v1::Risk> risk = JudgeRisk(view, kRiskNow);
  ASSERT_TRUE(risk.has_value());
  EXPECT_FALSE(risk->over_budget());
  EXPECT_FALSE(risk->has_projected_end());
  EXPECT_EQ(risk->ended(), 0);
}

}  // namespace
}  // namespace midwatch
