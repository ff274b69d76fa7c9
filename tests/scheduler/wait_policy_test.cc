#include "scheduler/wait_policy.h"

#include <gtest/gtest.h>

namespace midwatch {
namespace {

constexpr int64_t kDollar = 1'000'000;

struct RaiseCase {
  const char* name;
  v1::BudgetPolicy policy;
  BudgetSpent spent;
  BudgetAnswer want;
};

class RaiseTest : public ::testing::TestWithParam<RaiseCase> {};

// max_cost is $1, raise_to is $4.
TEST_P(RaiseTest, MatchesTable) {
  v1::TaskSpec spec;
  spec.set_max_cost_usd_micros(kDollar);
  spec.set_on_budget(GetParam().policy);
  spec.set_raise_to_usd_micros(4 * kDollar);
  EXPECT_EQ(DecideRaise(spec, GetParam().spent), GetParam().want);
}

constexpr v1::BudgetPolicy kRaise = v1::BUDGET_POLICY_RAISE;

INSTANTIATE_TEST_SUITE_P(
    Table, RaiseTest,
    ::testing::ValuesIn<RaiseCase>({
        {"AskWaitsForAPerson",
         v1::BUDGET_POLICY_ASK,
         {kDollar, kDollar, 0},
         {BudgetAnswer::kAsk}},
        {"ByMaxCost",
         kRaise,
         {kDollar, kDollar, 0},
         {BudgetAnswer::kRaise, 2 * kDollar}},
        {"FromWhatIsSpentWhereThatIsMore",
         kRaise,
         {1'300'000, kDollar, 0},
         {BudgetAnswer::kRaise, 2'300'000}},
        {"NotPastRaiseTo",
         kRaise,
         {3'500'000, 3'500'000, 0},
         {BudgetAnswer::kRaise, 4 * kDollar}},
        {"EarlierAttemptsCount",
         kRaise,
         {kDollar, kDollar, 2'500'000},
         {BudgetAnswer::kRaise, 1'500'000}},
        {"ACentIsARaise",
         kRaise,
         {3'990'000, 3'990'000, 0},
         {BudgetAnswer::kRaise, 4 * kDollar}},
        {"LessIsNone", kRaise, {3'990'001, 3'990'001, 0}, {BudgetAnswer::kEnd}},
        {"PastRaiseTo",
         kRaise,
         {5 * kDollar, 4 * kDollar, 0},
         {BudgetAnswer::kEnd}},
    }),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace midwatch
