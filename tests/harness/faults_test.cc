#include "harness/faults.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/testing/status_matchers.h"

namespace midwatch::harness {
namespace {

using ::midwatch::testing::StatusIs;
using ::testing::HasSubstr;

FaultPlan Plan(const std::string& list, uint64_t seed = 1) {
  absl::StatusOr<FaultPlan> plan = ParseFaults(list);
  EXPECT_OK(plan);
  if (!plan.ok()) return FaultPlan();
  plan->seed = seed;
  return *plan;
}

TEST(ParseFaultsTest, ReadsEveryWord) {
  const FaultPlan plan = Plan(
      "429=0.05,429-bare=0.01,529=0.02,500=0.03,lost=0.04,late-list=30s,cut=2m,"
      "slow=0.06,double=0.07,overshoot=1");
  EXPECT_EQ(plan.Chance(Fault::kLimited), 0.05);
  EXPECT_EQ(plan.Chance(Fault::kLimitedBare), 0.01);
  EXPECT_EQ(plan.Chance(Fault::kOverloaded), 0.02);
  EXPECT_EQ(plan.Chance(Fault::kBroken), 0.03);
  EXPECT_EQ(plan.Chance(Fault::kLost), 0.04);
  EXPECT_EQ(plan.late_list, absl::Seconds(30));
  EXPECT_EQ(plan.cut, absl::Minutes(2));
  EXPECT_EQ(plan.Chance(Fault::kSlow), 0.06);
  EXPECT_EQ(plan.Chance(Fault::kDoubled), 0.07);
  EXPECT_EQ(plan.Chance(Fault::kOvershoot), 1);
  EXPECT_TRUE(plan.any());
  EXPECT_FALSE(Plan("").any());
  EXPECT_FALSE(Plan("429=0").any());
}

struct BadCase {
  const char* list;
  const char* says;
};

TEST(ParseFaultsTest, SaysWhatIsWrongAndWhere) {
  constexpr BadCase kCases[] = {
      {"429=0.1,bogus=1", "fault 2, \"bogus=1\": expected 429"},
      {"429=0.1,", "fault 2, \"\": expected 429"},
      {"429", "fault 1, \"429\": expected a chance"},
      {"lost=1.1", "fault 1, \"lost=1.1\": expected a chance"},
      {"lost=-0.1", "expected a chance"},
      {"lost=nan", "expected a chance"},
      {"cut=0.5", "fault 1, \"cut=0.5\": expected a duration"},
      {"cut=-1s", "expected a duration"},
      {"cut=25h", "at most 24h"},
      {"late-list=inf", "expected a duration"},
      {"529=0.1,529=0.1", "fault 2, \"529=0.1\": is given twice"},
  };
  for (const BadCase& c : kCases) {
    EXPECT_THAT(ParseFaults(c.list),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.says)))
        << c.list;
  }
}

TEST(FaultsOfTest, AsOftenAsAskedAndTheSameForASeed) {
  const FaultPlan plan =
      Plan("429=0.05,429-bare=0.02,529=0.03,500=0.04,lost=0.06");
  std::map<Fault, int> seen;
  int lost = 0, differ = 0;
  const FaultPlan other = Plan("429=0.5", 2);
  const FaultPlan same_chance = Plan("429=0.5", 3);
  for (uint64_t request = 0; request < 100'000; ++request) {
    const RequestFaults faults = FaultsOf(plan, request, false);
    const RequestFaults again = FaultsOf(plan, request, false);
    EXPECT_EQ(faults.instead, again.instead);
    EXPECT_EQ(faults.lost, again.lost);
    if (faults.instead) ++seen[*faults.instead];
    if (faults.lost) ++lost;
    differ += FaultsOf(other, request, false).instead !=
              FaultsOf(same_chance, request, false).instead;
  }
  EXPECT_NEAR(seen[Fault::kLimited], 5000, 500);
  EXPECT_NEAR(seen[Fault::kLimitedBare], 2000, 300);
  EXPECT_NEAR(seen[Fault::kOverloaded], 3000, 400);
  EXPECT_NEAR(seen[Fault::kBroken], 4000, 400);
  EXPECT_NEAR(lost, 6000, 500);
  EXPECT_NEAR(differ, 50'000, 2000) << "another seed, other faults";
}

TEST(FaultsOfTest, StreamsAreCutAtRandomTimesOrSlow) {
  const FaultPlan plan = Plan("lost=1,cut=10s,slow=0.5");
  double sum = 0;
  int slow = 0, early = 0;
  constexpr int kStreams = 20'000;
  for (int request = 0; request < kStreams; ++request) {
    const RequestFaults faults =
        FaultsOf(plan, static_cast<uint64_t>(request), true);
    EXPECT_FALSE(faults.lost) << "a stream is cut instead";
    ASSERT_TRUE(faults.cut_after.has_value());
    sum += absl::ToDoubleSeconds(*faults.cut_after);
    early += *faults.cut_after < absl::Seconds(1);
    slow += faults.slow;
  }
  EXPECT_NEAR(sum / kStreams, 10, 0.5);
  EXPECT_NEAR(early, kStreams * 0.095, kStreams * 0.02);
  EXPECT_NEAR(slow, kStreams / 2, kStreams / 20);
  EXPECT_FALSE(FaultsOf(plan, 1, false).cut_after.has_value());
}

TEST(FaultsOfTest, FramesAreDoubledOneByOne) {
  const FaultPlan plan = Plan("double=0.25");
  int doubled = 0;
  for (uint64_t frame = 0; frame < 10'000; ++frame) {
    doubled += Doubles(plan, 7, frame);
  }
  EXPECT_NEAR(doubled, 2500, 250);
}

TEST(LastPriceTest, OneSessionInFivePassesItsBudgetByOneRequest) {
  const FaultPlan plan = Plan("overshoot=0.2");
  int over = 0;
  for (int session = 0; session < 1000; ++session) {
    const int64_t price = LastPriceUsdMicros(
        plan, absl::StrCat("sesn_", session), 10, 30'000, 10'000);
    if (price != 10'000) {
      EXPECT_EQ(price, 80'000) << "the 7 cents left, and its own price";
      ++over;
    }
  }
  EXPECT_NEAR(over, 200, 50);
  const FaultPlan always = Plan("overshoot=1");
  EXPECT_EQ(LastPriceUsdMicros(always, "s", std::nullopt, 0, 5), 5)
      << "no budget, nothing to overshoot";
  EXPECT_EQ(LastPriceUsdMicros(always, "s", 1, 20'000, 5), 5)
      << "it is past its budget already";
}

}  // namespace
}  // namespace midwatch::harness
