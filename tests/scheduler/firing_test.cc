#include "scheduler/firing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

constexpr char kNightly[] = "0 2 * * *";

absl::Time Utc(const std::string& text) {
  absl::Time at;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%d %H:%M:%S", text, &at, &error)) << text;
  return at;
}

FiringView ViewSince(const std::string& since,
                     const std::string& cron = kNightly) {
  FiringView view{.schedule = "n", .timing = {}, .since = Utc(since)};
  view.timing.set_cron(cron);
  view.timing.set_time_zone("UTC");
  view.timing.set_missed(v1::MISSED_POLICY_ONCE);
  view.timing.set_overlap(v1::OVERLAP_POLICY_SKIP);
  return view;
}

// "27T02 opening; 28T02 missed", "begin" first where a queued one begins.
std::string FiringWords(const FiringDecision& decision) {
  std::vector<std::string> words;
  if (decision.begin_queued) words.push_back("begin");
  for (const NewFiring& firing : decision.firings) {
    std::string state = v1::FiringState_Name(firing.state).substr(13);
    words.push_back(
        absl::StrCat(absl::FormatTime("%dT%H", firing.due, absl::UTCTimeZone()),
                     " ", state));
  }
  return absl::StrJoin(words, "; ");
}

struct FiringCase {
  const char* name;
  const char* since;
  const char* now;
  v1::MissedPolicy missed;
  v1::OverlapPolicy overlap;
  int unfinished, queued;
  const char* want;
  const char* wake;
};
class DecideFiringsTest : public ::testing::TestWithParam<FiringCase> {};

TEST_P(DecideFiringsTest, MatchesTable) {
  const FiringCase& c = GetParam();
  FiringView view = ViewSince(c.since);
  view.timing.set_missed(c.missed);
  view.timing.set_overlap(c.overlap);
  view.unfinished = c.unfinished;
  view.queued = c.queued;
  const FiringDecision decision = DecideFirings(view, Utc(c.now));
  EXPECT_EQ(FiringWords(decision), c.want);
  EXPECT_EQ(decision.wake, Utc(c.wake));
  EXPECT_EQ(decision.since, decision.firings.empty()
                                ? view.since
                                : decision.firings.back().due);
}

constexpr auto kSkip = v1::MISSED_POLICY_SKIP;
constexpr auto kOnce = v1::MISSED_POLICY_ONCE;
constexpr auto kAll = v1::MISSED_POLICY_ALL;
constexpr auto kPass = v1::OVERLAP_POLICY_SKIP;
constexpr auto kQueue = v1::OVERLAP_POLICY_QUEUE;
constexpr auto kCancel = v1::OVERLAP_POLICY_CANCEL_OLD;
constexpr char kLast[] = "2026-11-27 02:00:00";
constexpr char kDue[] = "2026-11-28 02:00:00";
constexpr char kNext[] = "2026-11-29 02:00:00";

INSTANTIATE_TEST_SUITE_P(
    Table, DecideFiringsTest,
    ::testing::ValuesIn<FiringCase>({
        {"NotYet", kLast, "2026-11-28 01:59:59", kOnce, kPass, 0, 0, "", kDue},
        {"OnTime", kLast, kDue, kOnce, kPass, 0, 0, "28T02 OPENING", kNext},
        {"OnlyOnce", kDue, kDue, kOnce, kPass, 0, 0, "", kNext},
        {"AMinuteIsOnTime", kLast, "2026-11-28 02:01:00", kSkip, kPass, 0, 0,
         "28T02 OPENING", kNext},
        {"MoreIsMissed", kLast, "2026-11-28 02:01:01", kSkip, kPass, 0, 0,
         "28T02 MISSED", kNext},
        {"MadeUpForOnce", kLast, "2026-11-28 09:00:00", kOnce, kPass, 0, 0,
         "28T02 OPENING", kNext},
        {"OnceForThreeNights", "2026-11-25 02:00:00", "2026-11-28 09:00:00",
         kOnce, kPass, 0, 0, "26T02 MISSED; 27T02 MISSED; 28T02 OPENING",
         kNext},
        // Two firings at once would do the same work twice.
        {"TheOneOnTimeStandsForThem", "2026-11-25 02:00:00", kDue, kOnce, kPass,
         0, 0, "26T02 MISSED; 27T02 MISSED; 28T02 OPENING", kNext},
        {"SkippedThreeNights", "2026-11-25 02:00:00", "2026-11-28 09:00:00",
         kSkip, kPass, 0, 0, "26T02 MISSED; 27T02 MISSED; 28T02 MISSED", kNext},
        {"SkipKeepsTheOneOnTime", "2026-11-26 02:00:00", kDue, kSkip, kPass, 0,
         0, "27T02 MISSED; 28T02 OPENING", kNext},
        {"AllInTurn", "2026-11-25 02:00:00", "2026-11-28 09:00:00", kAll,
         kQueue, 0, 0, "26T02 OPENING; 27T02 QUEUED; 28T02 QUEUED", kNext},
        {"AllButNotAtOnce", "2026-11-26 02:00:00", "2026-11-28 09:00:00", kAll,
         kPass, 0, 0, "27T02 OPENING; 28T02 SKIPPED", kNext},
        {"AllEndOneAnother", "2026-11-26 02:00:00", "2026-11-28 09:00:00", kAll,
         kCancel, 0, 0, "27T02 OPENING; 28T02 OPENING", kNext},
        {"TenAtMost", "2026-11-01 02:00:00", "2026-11-28 09:00:00", kAll,
         kQueue, 1, 0,
         "19T02 QUEUED; 20T02 QUEUED; 21T02 QUEUED; 22T02 QUEUED; 23T02 "
         "QUEUED; 24T02 QUEUED; 25T02 QUEUED; 26T02 QUEUED; 27T02 QUEUED; "
         "28T02 QUEUED",
         kNext},
        {"PassedOver", kLast, kDue, kOnce, kPass, 1, 0, "28T02 SKIPPED", kNext},
        {"Waits", kLast, kDue, kOnce, kQueue, 1, 0, "28T02 QUEUED", kNext},
        {"WaitsBehindOthers", kLast, kDue, kOnce, kQueue, 1, 9, "28T02 QUEUED",
         kNext},
        {"TenWait", kLast, kDue, kOnce, kQueue, 1, 10, "28T02 SKIPPED", kNext},
        {"EndsTheOther", kLast, kDue, kOnce, kCancel, 1, 0, "28T02 OPENING",
         kNext},
        {"TheFirstOfThoseThatWait", kDue, "2026-11-28 03:00:00", kOnce, kQueue,
         0, 2, "begin", kNext},
        {"NotWhileOneRuns", kDue, "2026-11-28 03:00:00", kOnce, kQueue, 1, 2,
         "", kNext},
        {"ThoseThatWaitGoFirst", kLast, kDue, kOnce, kQueue, 0, 1,
         "begin; 28T02 QUEUED", kNext},
        {"TheClockWentBack", kNext, kDue, kOnce, kPass, 0, 0, "",
         "2026-11-30 02:00:00"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(FiringTest, NothingFiresWhileItIsPaused) {
  FiringView view = ViewSince(kLast);
  view.paused = true;
  view.queued = 1;
  const FiringDecision want{.firings = {}, .since = Utc(kLast)};
  EXPECT_EQ(DecideFirings(view, Utc(kDue)), want);
  view.pause_until = Utc(kNext);
  EXPECT_EQ(DecideFirings(view, Utc(kDue)).wake, Utc(kNext));
}

// A minutely schedule that slept for a year would fill the store.
TEST(FiringTest, OfAYearOfMinutesTheNewestTenAreListed) {
  FiringView view = ViewSince("2025-11-28 02:00:00", "* * * * *");
  const FiringDecision decision =
      DecideFirings(view, Utc("2026-11-28 02:00:30"));
  ASSERT_EQ(decision.firings.size(), 10u);
  EXPECT_EQ(decision.firings[0].due, Utc("2026-11-28 01:51:00"));
  EXPECT_EQ(decision.firings[0].state, v1::FIRING_STATE_MISSED);
  EXPECT_THAT(decision.firings[0].why,
              ::testing::HasSubstr("times before it were missed, too"));
  EXPECT_EQ(decision.firings[9].state, v1::FIRING_STATE_OPENING);
  EXPECT_EQ(decision.wake, Utc("2026-11-28 02:01:00"));
}

TEST(FiringTest, AZoneThatTheMachineForgotIsLookedAtAgain) {
  FiringView view = ViewSince(kLast);
  view.timing.set_time_zone("Mars/Olympus");
  const FiringDecision decision = DecideFirings(view, Utc(kDue));
  EXPECT_TRUE(decision.firings.empty());
  EXPECT_EQ(decision.wake, Utc(kDue) + kUnknownZoneWait);
}

TEST(FiringTest, JitterFollowsFromNameAndTime) {
  FiringView view = ViewSince(kLast);
  view.timing.mutable_jitter()->set_seconds(300);
  auto rhythm = ReadRhythm(view.timing);
  ASSERT_OK(rhythm);
  std::set<absl::Duration> delays;
  absl::Time due = Utc(kLast);
  for (int night = 0; night < 50; ++night, due = rhythm->Next(due)) {
    const absl::Time at = FireTime("n", view.timing, *rhythm, due);
    EXPECT_EQ(at, FireTime("n", view.timing, *rhythm, due));
    EXPECT_GE(at, due);
    EXPECT_LT(at, due + absl::Minutes(5));
    delays.insert(at - due);
  }
  EXPECT_GT(delays.size(), 30u);
  EXPECT_NE(FireTime("a", view.timing, *rhythm, due),
            FireTime("b", view.timing, *rhythm, due));
}

TEST(FiringTest, JitterStaysBeforeTheNextTime) {
  FiringView view = ViewSince(kLast, "* * * * *");
  view.timing.mutable_jitter()->set_seconds(3600);
  auto rhythm = ReadRhythm(view.timing);
  ASSERT_OK(rhythm);
  for (int minute = 0; minute < 50; ++minute) {
    const absl::Time due = Utc(kLast) + absl::Minutes(minute);
    EXPECT_LT(FireTime("n", view.timing, *rhythm, due), due + absl::Minutes(1));
  }
}

TEST(FiringTest, ADelayedTimeIsNeitherEarlyNorMissed) {
  FiringView view = ViewSince(kLast);
  view.timing.set_missed(v1::MISSED_POLICY_SKIP);
  view.timing.mutable_jitter()->set_seconds(3600);
  const absl::Time fires =
      FireTime("n", view.timing, *ReadRhythm(view.timing), Utc(kDue));
  ASSERT_GT(fires, Utc(kDue) + absl::Minutes(2));
  const FiringDecision before = DecideFirings(view, fires - absl::Seconds(1));
  EXPECT_EQ(FiringWords(before), "");
  EXPECT_EQ(before.wake, fires);
  EXPECT_EQ(FiringWords(DecideFirings(view, fires)), "28T02 OPENING");
}

TEST(FiringTest, NamesSayTheLocalTime) {
  absl::TimeZone berlin;
  ASSERT_TRUE(absl::LoadTimeZone("Europe/Berlin", &berlin));
  EXPECT_EQ(FiringName("n", Utc("2026-11-28 01:00:00"), berlin),
            "n-2026-11-28T02:00");
  // 02:30 comes twice.
  EXPECT_EQ(FiringName("n", Utc("2026-10-25 00:30:00"), berlin),
            "n-2026-10-25T02:30+0200");
  EXPECT_EQ(FiringName("n", Utc("2026-10-25 01:30:00"), berlin),
            "n-2026-10-25T02:30+0100");
  FiringView view = ViewSince(kLast);
  view.timing.set_time_zone("Europe/Berlin");
  EXPECT_EQ(RunName(view, Utc("2026-11-28 13:05:09")),
            "n-run-2026-11-28T14:05:09");
}

}  // namespace
}  // namespace midwatch
