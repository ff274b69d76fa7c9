// What the rules let go: a pure function.
#include "scheduler/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace midwatch {
namespace {

const absl::Time kLook = absl::FromUnixSeconds(1'800'000'000);

// Row `row` of the queue, which ended so long ago.
Ended Past(int64_t row, int64_t queue, absl::Duration ago) {
  return {.key = {row, 1}, .queue = queue, .ended_at = kLook - ago};
}

struct ToDeleteCase {
  const char* name;
  RetentionRules rules;
  std::vector<Ended> ended;
  std::vector<int64_t> want;  // rows
};
class EndedToDeleteTest : public ::testing::TestWithParam<ToDeleteCase> {};
TEST_P(EndedToDeleteTest, MatchesTable) {
  const ToDeleteCase& c = GetParam();
  std::vector<int64_t> rows;
  for (RowKey key : EndedToDelete(c.rules, c.ended, kLook)) {
    rows.push_back(key.row);
  }
  EXPECT_EQ(rows, c.want);
}

const RetentionRules kTwoDays{.keep_for = absl::Hours(48)};
const RetentionRules kTwoOfEach{.keep_newest = 2};
const RetentionRules kNoneOfEach{.keep_newest = 0};
const RetentionRules kBoth{.keep_for = absl::Hours(48), .keep_newest = 2};

INSTANTIATE_TEST_SUITE_P(
    Table, EndedToDeleteTest,
    ::testing::ValuesIn<ToDeleteCase>({
        {"WithoutRulesNoneGoes", {}, {Past(1, 1, absl::Hours(99'999))}, {}},
        {"NothingEnded", kBoth, {}, {}},
        {"OldOnesGo",
         kTwoDays,
         {Past(1, 1, absl::Hours(49)), Past(2, 1, absl::Hours(47))},
         {1}},
        {"JustAsOldStays", kTwoDays, {Past(1, 1, absl::Hours(48))}, {}},
        {"TheOneThatEndedFirstIsInFront",
         kTwoDays,
         {Past(1, 1, absl::Hours(50)), Past(2, 1, absl::Hours(60))},
         {2, 1}},
        {"EndedInTheFutureOfAClockThatWentBack",
         kTwoDays,
         {Past(1, 1, -absl::Hours(60))},
         {}},
        {"TheNewestStay",
         kTwoOfEach,
         {Past(1, 1, absl::Hours(3)), Past(2, 1, absl::Hours(2)),
          Past(3, 1, absl::Hours(1))},
         {1}},
        {"NewestByTheirEnds",
         kTwoOfEach,
         {Past(1, 1, absl::Hours(1)), Past(2, 1, absl::Hours(3)),
          Past(3, 1, absl::Hours(2))},
         {2}},
        {"OfOneMomentTheHigherRowIsNewer",
         kTwoOfEach,
         {Past(1, 1, absl::Hours(1)), Past(2, 1, absl::Hours(1)),
          Past(3, 1, absl::Hours(1))},
         {1}},
        {"EachQueueByItself",
         kTwoOfEach,
         {Past(1, 1, absl::Hours(9)), Past(2, 1, absl::Hours(8)),
          Past(3, 2, absl::Hours(7)), Past(4, 2, absl::Hours(6)),
          Past(5, 2, absl::Hours(5))},
         {3}},
        {"NoneIsKept", kNoneOfEach, {Past(1, 1, absl::ZeroDuration())}, {1}},
        {"EitherRuleIsEnough",
         kBoth,
         {Past(1, 1, absl::Hours(3)), Past(2, 1, absl::Hours(2)),
          Past(3, 1, absl::Hours(1)), Past(4, 2, absl::Hours(60))},
         {4, 1}},
    }),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace midwatch
