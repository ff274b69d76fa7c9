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
EndedBatch Ended(int64_t row, int64_t queue, absl::Duration ago) {
  return {.key = {row, 1}, .queue = queue, .ended_at = kLook - ago};
}

struct ToDeleteCase {
  const char* name;
  RetentionRules rules;
  std::vector<EndedBatch> ended;
  std::vector<int64_t> want;  // rows
};
class BatchesToDeleteTest : public ::testing::TestWithParam<ToDeleteCase> {};
TEST_P(BatchesToDeleteTest, MatchesTable) {
  const ToDeleteCase& c = GetParam();
  std::vector<int64_t> rows;
  for (RowKey key : BatchesToDelete(c.rules, c.ended, kLook)) {
    rows.push_back(key.row);
  }
  EXPECT_EQ(rows, c.want);
}

const RetentionRules kTwoDays{.keep_for = absl::Hours(48)};
const RetentionRules kTwoOfEach{.keep_newest = 2};
const RetentionRules kNoneOfEach{.keep_newest = 0};
const RetentionRules kBoth{.keep_for = absl::Hours(48), .keep_newest = 2};

INSTANTIATE_TEST_SUITE_P(
    Table, BatchesToDeleteTest,
    ::testing::ValuesIn<ToDeleteCase>({
        {"WithoutRulesNoneGoes", {}, {Ended(1, 1, absl::Hours(99'999))}, {}},
        {"NothingEnded", kBoth, {}, {}},
        {"OldOnesGo",
         kTwoDays,
         {Ended(1, 1, absl::Hours(49)), Ended(2, 1, absl::Hours(47))},
         {1}},
        {"JustAsOldStays", kTwoDays, {Ended(1, 1, absl::Hours(48))}, {}},
        {"TheOneThatEndedFirstIsInFront",
         kTwoDays,
         {Ended(1, 1, absl::Hours(50)), Ended(2, 1, absl::Hours(60))},
         {2, 1}},
        {"EndedInTheFutureOfAClockThatWentBack",
         kTwoDays,
         {Ended(1, 1, -absl::Hours(60))},
         {}},
        {"TheNewestStay",
         kTwoOfEach,
         {Ended(1, 1, absl::Hours(3)), Ended(2, 1, absl::Hours(2)),
          Ended(3, 1, absl::Hours(1))},
         {1}},
        {"NewestByTheirEnds",
         kTwoOfEach,
         {Ended(1, 1, absl::Hours(1)), Ended(2, 1, absl::Hours(3)),
          Ended(3, 1, absl::Hours(2))},
         {2}},
        {"OfOneMomentTheHigherRowIsNewer",
         kTwoOfEach,
         {Ended(1, 1, absl::Hours(1)), Ended(2, 1, absl::Hours(1)),
          Ended(3, 1, absl::Hours(1))},
         {1}},
        {"EachQueueByItself",
         kTwoOfEach,
         {Ended(1, 1, absl::Hours(9)), Ended(2, 1, absl::Hours(8)),
          Ended(3, 2, absl::Hours(7)), Ended(4, 2, absl::Hours(6)),
          Ended(5, 2, absl::Hours(5))},
         {3}},
        {"NoneIsKept", kNoneOfEach, {Ended(1, 1, absl::ZeroDuration())}, {1}},
        {"EitherRuleIsEnough",
         kBoth,
         {Ended(1, 1, absl::Hours(3)), Ended(2, 1, absl::Hours(2)),
          Ended(3, 1, absl::Hours(1)), Ended(4, 2, absl::Hours(60))},
         {4, 1}},
    }),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace midwatch
