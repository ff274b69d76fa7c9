#include "cli/need_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ostream>
#include <string>

namespace midwatch::cli {
namespace {

struct OrderCase {
  const char* name;
  std::vector<TaskNeeds> tasks;
  std::vector<size_t> order, circle;

  friend std::ostream& operator<<(std::ostream& out, const OrderCase& c) {
    return out << c.name;
  }
};

constexpr bool kAll = true;

class NeedOrderTest : public ::testing::TestWithParam<OrderCase> {};

TEST_P(NeedOrderTest, MatchesTable) {
  const NeedOrder order = OrderByNeeds(GetParam().tasks);
  EXPECT_EQ(order.order, GetParam().order);
  EXPECT_EQ(order.circle, GetParam().circle);
}

INSTANTIATE_TEST_SUITE_P(
    Table, NeedOrderTest,
    ::testing::ValuesIn<OrderCase>({
        {"Nothing", {}, {}, {}},
        {"WithoutNeedsAsTheyStand", {{}, {}, {}}, {0, 1, 2}, {}},
        {"BehindWhatIsNeeded", {{{2}}, {}, {}}, {1, 2, 0}, {}},
        {"AChainBackwards", {{{1}}, {{2}}, {}}, {2, 1, 0}, {}},
        {"ADiamond", {{{1, 2}}, {{3}}, {{3}}, {}}, {3, 1, 2, 0}, {}},
        {"OtherwiseAsTheyStand", {{}, {{3}}, {}, {}, {}}, {0, 2, 3, 1, 4}, {}},
        {"AllGoesLast", {{{}, kAll}, {}, {}}, {1, 2, 0}, {}},
        {"WhatNeedsAllOfThemIsNotAmongAll",
         {{{}, kAll}, {{0}}, {}, {{1}}},
         {2, 0, 1, 3},
         {}},
        {"OfSeveralEachNeedsThoseBeforeIt",
         {{{}, kAll}, {}, {{}, kAll}},
         {1, 0, 2},
         {}},
        {"AllAndAnOtherOfThem", {{{2}, kAll}, {}, {{}, kAll}}, {1, 2, 0}, {}},
        {"AllOfNothing", {{{}, kAll}}, {0}, {}},
        {"Itself", {{}, {{1}}}, {}, {1}},
        {"ACircle", {{{1}}, {{2}}, {{0}}}, {}, {0, 1, 2}},
        {"WhatLeadsIntoACircleIsNotInIt",
         {{{1}}, {{2}}, {{1}}, {}},
         {},
         {1, 2}},
        {"ACircleOfThoseThatNeedAll", {{{1}, kAll}, {{0}}, {}}, {}, {0, 1}},
        {"ACircleBesideOneThatNeedsAll",
         {{{}, kAll}, {{0}}, {{3}}, {{2}}},
         {},
         {2, 3}},
    }),
    [](const auto& c) { return std::string(c.param.name); });

}  // namespace
}  // namespace midwatch::cli
