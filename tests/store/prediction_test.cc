#include "store/prediction.h"

#include <gtest/gtest.h>

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
