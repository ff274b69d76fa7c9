#include "store/batch_rules.h"

#include <gtest/gtest.h>

#include <string>

namespace midwatch {
namespace {

constexpr int64_t kCent = 10'000;
constexpr v1::CanaryVerdict kUndecided = v1::CANARY_VERDICT_UNDECIDED;
constexpr v1::CanaryVerdict kPassed = v1::CANARY_VERDICT_PASSED;
constexpr v1::CanaryVerdict kFailed = v1::CANARY_VERDICT_FAILED;

struct CanaryCase {
  const char* name;
  CanaryRule rule;
  CanaryTally tally;
  v1::CanaryVerdict want;
  const char* why = "";
};

class JudgeCanaryTest : public ::testing::TestWithParam<CanaryCase> {};

TEST_P(JudgeCanaryTest, MatchesTable) {
  const CanaryCase& c = GetParam();
  const CanaryOutcome outcome = JudgeCanary(c.rule, c.tally);
  EXPECT_EQ(outcome.verdict, c.want);
  EXPECT_EQ(outcome.why, c.why);
}

constexpr CanaryRule kFourOfFive = {5, 800'000, 0};
constexpr CanaryRule kAllOfFive = {5, kWhole, 0};
constexpr CanaryRule kCheap = {5, 800'000, 50 * kCent};

INSTANTIATE_TEST_SUITE_P(
    Table, JudgeCanaryTest,
    ::testing::ValuesIn<CanaryCase>({
        // lines, sealed, succeeded, failed, left out, charged
        {"NothingEnded", kFourOfFive, {9, true, 0, 0, 0, 0}, kUndecided},
        {"OneMayFail", kFourOfFive, {9, true, 3, 1, 0, 0}, kUndecided},
        {"EnoughSucceeded", kFourOfFive, {9, true, 4, 0, 0, 0}, kPassed},
        {"EnoughBesideAFailure", kFourOfFive, {9, true, 4, 1, 0, 0}, kPassed},
        {"TwoAreTooMany",
         kFourOfFive,
         {9, true, 0, 2, 0, 0},
         kFailed,
         "the canary failed: 2 of its 5 tasks failed, and min_success is 0.8"},
        {"AllMustSucceed", kAllOfFive, {9, true, 4, 0, 0, 0}, kUndecided},
        {"OneOfAllFailed",
         kAllOfFive,
         {9, true, 4, 1, 0, 0},
         kFailed,
         "the canary failed: 1 of its 5 tasks failed, and min_success is 1"},
        {"PartsAreExact", {100, 550'000, 0}, {200, true, 55, 0, 0, 0}, kPassed},
        {"PartsAreExactBelow",
         {100, 550'000, 0},
         {200, true, 54, 45, 0, 0},
         kUndecided},
        {"ThePartIsRoundedUp",
         {3, 500'000, 0},
         {9, true, 1, 1, 0, 0},
         kUndecided},
        {"OneSuccessIsTheLeast", {5, 1, 0}, {9, true, 0, 4, 0, 0}, kUndecided},
        {"NoSuccessIsTooFew",
         {5, 1, 0},
         {9, true, 0, 5, 0, 0},
         kFailed,
         "the canary failed: 5 of its 5 tasks failed, and min_success is "
         "1e-06"},
        // What was left out counts neither way.
        {"LeftOutIsNoFailure", kFourOfFive, {9, true, 3, 0, 2, 0}, kPassed},
        {"LeftOutLeavesLessRoom",
         kFourOfFive,
         {9, true, 1, 1, 2, 0},
         kFailed,
         "the canary failed: 1 of its 3 tasks failed, and min_success is 0.8"},
        {"AllLeftOut",
         kFourOfFive,
         {9, true, 0, 0, 5, 0},
         kFailed,
         "the canary failed: of its 5 tasks none came to an end by itself"},
        // A batch that is shorter, once that is known.
        {"Shorter", kFourOfFive, {2, true, 2, 0, 0, 0}, kPassed},
        {"ShorterWithAFailure",
         kFourOfFive,
         {2, true, 1, 1, 0, 0},
         kFailed,
         "the canary failed: 1 of its 2 tasks failed, and min_success is 0.8"},
        {"LinesMayCome", kFourOfFive, {2, false, 2, 0, 0, 0}, kUndecided},
        {"LinesMayComeAfterAFailure",
         kFourOfFive,
         {2, false, 1, 1, 0, 0},
         kUndecided},
        {"CertainWhateverComes", kFourOfFive, {4, false, 4, 0, 0, 0}, kPassed},
        {"LostWhateverComes",
         kFourOfFive,
         {2, false, 0, 2, 0, 0},
         kFailed,
         "the canary failed: 2 of its 5 tasks failed, and min_success is 0.8"},
        {"NothingAtAll", kFourOfFive, {0, true, 0, 0, 0, 0}, kPassed},
        {"NothingYet", kFourOfFive, {0, false, 0, 0, 0, 0}, kUndecided},
        // Cost.
        {"CheapSoFar", kCheap, {9, true, 4, 0, 0, 50 * kCent}, kUndecided},
        {"CheapToTheEnd", kCheap, {9, true, 4, 1, 0, 50 * kCent}, kPassed},
        {"TooDear",
         kCheap,
         {9, true, 4, 0, 0, 50 * kCent + 1},
         kFailed,
         "the canary failed: it has cost $0.500001, more than its max_cost of "
         "$0.50"},
        {"DearBeforeAnyEnded",
         kCheap,
         {9, true, 0, 0, 0, 320 * kCent},
         kFailed,
         "the canary failed: it has cost $3.20, more than its max_cost of "
         "$0.50"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

// Whatever becomes of the tasks that are open, and however many lines come, a
// verdict that was there stays.
TEST(JudgeCanaryTest, AVerdictIsCertain) {
  for (int64_t part : {1, 300'000, 500'000, 800'000, 1'000'000}) {
    const CanaryRule rule = {6, part, 0};
    for (int64_t good = 0; good <= 6; ++good) {
      for (int64_t bad = 0; good + bad <= 6; ++bad) {
        for (int64_t out = 0; good + bad + out <= 6; ++out) {
          const int64_t ended = good + bad + out;
          const CanaryOutcome now =
              JudgeCanary(rule, {ended, false, good, bad, out, 0});
          if (now.verdict == kUndecided) continue;
          for (int64_t lines = ended; lines <= 6; ++lines) {
            for (int64_t more = 0; ended + more <= lines; ++more) {
              for (int64_t lost = 0; ended + more + lost <= lines; ++lost) {
                const CanaryTally later = {lines,
                                           true,
                                           good + more,
                                           bad + lost,
                                           out + lines - ended - more - lost,
                                           0};
                // Not where it turns out that nothing was tried.
                if (later.left_out == lines && lines > 0) continue;
                EXPECT_EQ(JudgeCanary(rule, later).verdict, now.verdict)
                    << part << ": " << good << " " << bad << " " << out
                    << ", then " << more << " and " << lost << " of " << lines;
              }
            }
          }
        }
      }
    }
  }
}

struct StopCase {
  const char* name;
  StopRule rule;
  int64_t failed, ended;
  const char* want;
};

class WhyStopTest : public ::testing::TestWithParam<StopCase> {};

TEST_P(WhyStopTest, MatchesTable) {
  const StopCase& c = GetParam();
  EXPECT_EQ(WhyStop(c.rule, c.failed, c.ended), c.want);
}

INSTANTIATE_TEST_SUITE_P(
    Table, WhyStopTest,
    ::testing::ValuesIn<StopCase>({
        {"NoRule", {}, 99, 99, ""},
        {"Fewer", {20, 0, 0}, 19, 19, ""},
        {"AsMany",
         {20, 0, 0},
         20,
         500,
         "20 tasks failed, and stop_when.failed is 20"},
        {"TheFirst",
         {1, 0, 0},
         1,
         1,
         "1 task failed, and stop_when.failed is 1"},
        {"RatioTooSoon", {0, 300'000, 50}, 49, 49, ""},
        {"RatioBelow", {0, 300'000, 50}, 14, 50, ""},
        {"RatioReached",
         {0, 300'000, 50},
         15,
         50,
         "15 of 50 tasks failed, and stop_when.failed_ratio is 0.3"},
        {"RatioLater", {0, 300'000, 50}, 30, 101, ""},
        {"NoneOfNone", {0, 1, 1}, 0, 1, ""},
        {"EitherOfBoth",
         {3, 900'000, 50},
         3,
         10,
         "3 tasks failed, and stop_when.failed is 3"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace midwatch
