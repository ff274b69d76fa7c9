#include "scheduler/cron.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/random.h"
#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

absl::TimeZone Zone(const std::string& name) {
  absl::TimeZone zone;
  EXPECT_TRUE(absl::LoadTimeZone(name, &zone)) << name;
  return zone;
}

absl::Time At(const std::string& text) {
  absl::Time at;
  std::string error;
  EXPECT_TRUE(absl::ParseTime("%Y-%m-%dT%H:%M%Ez", text, &at, &error))
      << text << ": " << error;
  return at;
}

struct NextCase {
  const char* name;
  const char* cron;
  const char* zone;
  const char* after;
  const char* want;  // in a row, as the zone's clocks show them
};
class CronNextTest : public ::testing::TestWithParam<NextCase> {};

TEST_P(CronNextTest, ComesAsListed) {
  const NextCase& c = GetParam();
  auto cron = Cron::Parse(c.cron);
  ASSERT_OK(cron);
  const absl::TimeZone zone = Zone(c.zone);
  absl::Time at = At(c.after);
  std::vector<std::string> got;
  for (size_t n = std::vector<std::string>(absl::StrSplit(c.want, ' ')).size();
       n > 0; --n) {
    at = cron->Next(at, zone);
    got.push_back(absl::FormatTime("%Y-%m-%dT%H:%M%Ez", at, zone));
  }
  EXPECT_EQ(absl::StrJoin(got, " "), c.want);
}

constexpr char kBerlin[] = "Europe/Berlin";
constexpr char kNewYork[] = "America/New_York";
constexpr char kLordHowe[] = "Australia/Lord_Howe";
constexpr char kSaoPaulo[] = "America/Sao_Paulo";

INSTANTIATE_TEST_SUITE_P(
    Fields, CronNextTest,
    ::testing::ValuesIn<NextCase>({
        {"EachNight", "0 2 * * *", "UTC", "2026-11-28T02:00Z",
         "2026-11-29T02:00+00:00 2026-11-30T02:00+00:00"},
        {"NotTheMinuteItIs", "0 2 * * *", "UTC", "2026-11-28T01:59Z",
         "2026-11-28T02:00+00:00"},
        {"Steps", "5-59/20 * * * *", "UTC", "2026-11-28T02:00Z",
         "2026-11-28T02:05+00:00 2026-11-28T02:25+00:00 "
         "2026-11-28T02:45+00:00 2026-11-28T03:05+00:00"},
        {"ListsAndNames", "0 9 * jan,JUL Mon-Fri", "UTC", "2026-12-30T00:00Z",
         "2027-01-01T09:00+00:00 2027-01-04T09:00+00:00"},
        {"SevenIsSunday", "0 0 * * 7", "UTC", "2026-11-28T00:00Z",
         "2026-11-29T00:00+00:00"},
        {"FridayToSunday", "0 0 * * 5-7", "UTC", "2026-11-28T00:00Z",
         "2026-11-29T00:00+00:00 2026-12-04T00:00+00:00"},
        {"EitherDay", "0 0 13 * FRI", "UTC", "2026-11-30T00:00Z",
         "2026-12-04T00:00+00:00 2026-12-11T00:00+00:00 "
         "2026-12-13T00:00+00:00 2026-12-18T00:00+00:00"},
        {"AStarWithAStepRestrictsBoth", "0 0 */2 * MON", "UTC",
         "2026-11-01T00:00Z", "2026-11-09T00:00+00:00 2026-11-23T00:00+00:00"},
        {"LastOfLongMonths", "0 0 31 * *", "UTC", "2026-11-01T00:00Z",
         "2026-12-31T00:00+00:00 2027-01-31T00:00+00:00 "
         "2027-03-31T00:00+00:00"},
        {"LeapDay", "0 12 29 2 *", "UTC", "2026-11-28T00:00Z",
         "2028-02-29T12:00+00:00 2032-02-29T12:00+00:00"},
        {"NoLeapDayIn2100", "0 12 29 2 *", "UTC", "2096-03-01T00:00Z",
         "2104-02-29T12:00+00:00"},
        {"ALeapDayEachHour", "0 */12 29 2 *", kBerlin, "2026-11-28T00:00Z",
         "2028-02-29T00:00+01:00 2028-02-29T12:00+01:00 "
         "2032-02-29T00:00+01:00"},
        {"Hourly", "@hourly", "UTC", "2026-11-28T02:30Z",
         "2026-11-28T03:00+00:00"},
        {"Daily", "@daily", kNewYork, "2026-11-28T02:30Z",
         "2026-11-28T00:00-05:00"},
        {"Weekly", "@weekly", "UTC", "2026-11-28T02:30Z",
         "2026-11-29T00:00+00:00"},
        {"Monthly", " @monthly ", "UTC", "2026-11-28T02:30Z",
         "2026-12-01T00:00+00:00"},
        {"Yearly", "@yearly", "UTC", "2026-11-28T02:30Z",
         "2027-01-01T00:00+00:00"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

INSTANTIATE_TEST_SUITE_P(
    Clocks, CronNextTest,
    ::testing::ValuesIn<NextCase>({
        // An hour is left out.
        {"BerlinInTheGap", "0 2 * * *", kBerlin, "2026-03-27T12:00Z",
         "2026-03-28T02:00+01:00 2026-03-29T03:00+02:00 "
         "2026-03-30T02:00+02:00"},
        {"BerlinOnceForTheGap", "*/30 2 * * *", kBerlin, "2026-03-28T12:00Z",
         "2026-03-29T03:00+02:00 2026-03-30T02:00+02:00 "
         "2026-03-30T02:30+02:00"},
        {"BerlinTheGapEndsAtAnother", "0 2,3 * * *", kBerlin,
         "2026-03-28T12:00Z", "2026-03-29T03:00+02:00 2026-03-30T02:00+02:00"},
        {"BerlinEachHourOfSpring", "0 * * * *", kBerlin, "2026-03-29T00:30Z",
         "2026-03-29T03:00+02:00 2026-03-29T04:00+02:00"},
        {"NewYorkInTheGap", "15 2 * * *", kNewYork, "2026-03-07T12:00Z",
         "2026-03-08T03:00-04:00 2026-03-09T02:15-04:00"},
        {"LordHoweInHalfAnHour", "15 2 * * *", kLordHowe, "2026-10-03T00:00Z",
         "2026-10-04T02:30+11:00 2026-10-05T02:15+11:00"},
        {"LordHoweQuartersOfSpring", "*/15 * * * *", kLordHowe,
         "2026-10-03T15:00Z",
         "2026-10-04T01:45+10:30 2026-10-04T02:30+11:00 "
         "2026-10-04T02:45+11:00"},
        {"SaoPauloHasNoMidnight", "0 0 * * *", kSaoPaulo, "2018-11-03T12:00Z",
         "2018-11-04T01:00-02:00 2018-11-05T00:00-02:00"},
        {"SaoPauloByElapsedTime", "0 */6 * * *", kSaoPaulo, "2018-11-03T22:00Z",
         "2018-11-04T06:00-02:00 2018-11-04T12:00-02:00"},
        {"CairoHasNoMidnight", "0 0 * * *", "Africa/Cairo", "2026-04-23T12:00Z",
         "2026-04-24T01:00+03:00 2026-04-25T00:00+03:00"},
        // An hour comes twice.
        {"BerlinTheFirst", "30 2 * * *", kBerlin, "2026-10-24T12:00Z",
         "2026-10-25T02:30+02:00 2026-10-26T02:30+01:00"},
        {"BerlinAskedInTheSecond", "30 2 * * *", kBerlin, "2026-10-25T01:15Z",
         "2026-10-26T02:30+01:00"},
        {"BerlinTheFirstOfEach", "*/20 2 * * *", kBerlin, "2026-10-24T12:00Z",
         "2026-10-25T02:00+02:00 2026-10-25T02:20+02:00 "
         "2026-10-25T02:40+02:00 2026-10-26T02:00+01:00"},
        {"BerlinEachHourOfAutumn", "0 * * * *", kBerlin, "2026-10-24T23:30Z",
         "2026-10-25T02:00+02:00 2026-10-25T02:00+01:00 "
         "2026-10-25T03:00+01:00"},
        {"NewYorkTheFirst", "30 1 * * *", kNewYork, "2026-10-31T12:00Z",
         "2026-11-01T01:30-04:00 2026-11-02T01:30-05:00"},
        {"NewYorkHalfHours", "*/30 * * * *", kNewYork, "2026-11-01T05:00Z",
         "2026-11-01T01:30-04:00 2026-11-01T01:00-05:00 "
         "2026-11-01T01:30-05:00 2026-11-01T02:00-05:00"},
        {"LordHoweTheFirst", "45 1 * * *", kLordHowe, "2026-04-04T00:00Z",
         "2026-04-05T01:45+11:00 2026-04-06T01:45+10:30"},
        {"LordHoweQuartersOfAutumn", "*/15 * * * *", kLordHowe,
         "2026-04-04T14:30Z",
         "2026-04-05T01:45+11:00 2026-04-05T01:30+10:30 "
         "2026-04-05T01:45+10:30 2026-04-05T02:00+10:30"},
        {"SaoPauloTheFirst", "30 23 * * *", kSaoPaulo, "2018-02-17T12:00Z",
         "2018-02-17T23:30-02:00 2018-02-18T23:30-03:00"},
        {"TrollTwoHours", "0 */2 * * *", "Antarctica/Troll",
         "2026-10-24T22:00Z",
         "2026-10-25T02:00+02:00 2026-10-25T02:00+00:00 "
         "2026-10-25T04:00+00:00"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

struct RefusedCronCase {
  const char* name;
  const char* cron;
  const char* why;
};
class CronRefusedTest : public ::testing::TestWithParam<RefusedCronCase> {};

TEST_P(CronRefusedTest, SaysWhere) {
  EXPECT_THAT(
      Cron::Parse(GetParam().cron).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(GetParam().why)));
}

INSTANTIATE_TEST_SUITE_P(
    Table, CronRefusedTest,
    ::testing::ValuesIn<RefusedCronCase>({
        {"Nothing", "", "cron: '' has 0 fields; expected five: minute"},
        {"Four", "0 2 * *", "has 4 fields; expected five"},
        {"Seconds", "0 0 2 * * *",
         "has 6 fields; expected five: minute, hour, day of month, month, day "
         "of week (seconds and years are not known)"},
        {"Hour", "0  25 * * *",
         "cron: the hour at column 4 is '25'; expected 0 to 23"},
        {"Minute", "60 2 * * *",
         "cron: the minute at column 1 is '60'; expected 0 to 59"},
        {"DayZero", "0 2 0 * *",
         "cron: the day of month at column 5 is '0'; expected 1 to 31"},
        {"InAList", "0 2 * * MON,TUX",
         "cron: the day of week at column 13 is 'TUX'; expected 0 to 7 or SUN "
         "to SAT"},
        {"Month", "0 2 * 13 *",
         "cron: the month at column 7 is '13'; expected 1 to 12 or JAN to DEC"},
        {"EmptyItem", "0 2,,3 * * *",
         "cron: the hour at column 5 is ''; expected 0 to 23"},
        {"Falling", "0 2 * * FRI-MON",
         "cron: the day of week at column 9 is 'FRI-MON'; expected a range "
         "that rises"},
        {"TwoRanges", "0 1-2-3 * * *", "expected a range such as 1-5"},
        {"StepOfOne", "5/15 * * * *",
         "expected a range or * before a step, such as 5-59/15"},
        {"StepZero", "*/0 * * * *",
         "cron: the minute at column 3 is '0'; expected a step of 1 to 59"},
        {"TwoSteps", "*/2/3 * * * *", "expected one step at most"},
        {"Negative", "-1 * * * *", "the minute at column 1 is ''"},
        {"LastDay", "0 2 L * *", "the day of month at column 5 is 'L'"},
        {"Reboot", "@reboot", "'@reboot'; expected @hourly"},
        {"ThirtiethOfFebruary", "0 2 30 2 *",
         "cron: the day of month at column 5 is '30', which never comes in the "
         "months '2'"},
        {"ThirtyFirstOfShortMonths", "0 2 31 4,6,9,11 *", "which never comes"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

// Against walking through all minutes of the days around a change of clocks.
struct Change {
  const char* zone;
  const char* around;
};

std::string ListOf(const std::set<int>& numbers) {
  return absl::StrJoin(numbers, ",");
}

std::vector<absl::Time> WalkByClock(const std::set<int>& minutes,
                                    const std::set<int>& hours, absl::Time from,
                                    absl::Time until,
                                    const absl::TimeZone& zone) {
  std::set<absl::Time> times;
  const absl::CivilMinute end(zone.At(until).cs);
  for (absl::CivilMinute m(zone.At(from).cs); m <= end; ++m) {
    if (!minutes.contains(m.minute()) || !hours.contains(m.hour())) continue;
    const auto info = zone.At(absl::CivilSecond(m));
    const bool gap = info.kind == absl::TimeZone::TimeInfo::SKIPPED;
    const absl::Time at = gap ? info.trans : info.pre;
    if (at > from && at <= until) times.insert(at);
  }
  return {times.begin(), times.end()};
}

std::vector<absl::Time> WalkByElapsed(const std::set<int>& minutes,
                                      absl::Time from, absl::Time until,
                                      const absl::TimeZone& zone) {
  std::vector<absl::Time> times;
  for (absl::Time at = from + absl::Minutes(1); at <= until;
       at += absl::Minutes(1)) {
    if (minutes.contains(zone.At(at).cs.minute())) times.push_back(at);
  }
  return times;
}

TEST(CronPropertyTest, ComesAtEachTimeOnceAndRises) {
  SeededRandom random(7);
  for (const Change& change :
       {Change{"Europe/Berlin", "2026-03-29T00:00Z"},
        Change{"Europe/Berlin", "2026-10-25T00:00Z"},
        Change{"America/New_York", "2026-03-08T00:00Z"},
        Change{"America/New_York", "2026-11-01T00:00Z"},
        Change{"Australia/Lord_Howe", "2026-04-05T00:00Z"},
        Change{"Australia/Lord_Howe", "2026-10-04T00:00Z"},
        Change{"America/Sao_Paulo", "2018-11-04T00:00Z"},
        Change{"America/Sao_Paulo", "2018-02-18T00:00Z"},
        Change{"Antarctica/Troll", "2026-03-29T00:00Z"},
        Change{"UTC", "2028-02-29T00:00Z"}}) {
    const absl::TimeZone zone = Zone(change.zone);
    const absl::Time from = At(change.around) - absl::Hours(36);
    const absl::Time until = from + absl::Hours(72);
    for (int round = 0; round < 16; ++round) {
      std::set<int> minutes, hours;
      for (uint64_t n = 1 + random.Next() % 4; n > 0; --n) {
        minutes.insert(static_cast<int>(random.Next() % 60));
        hours.insert(static_cast<int>(random.Next() % 4));
        hours.insert(static_cast<int>(random.Next() % 24));
      }
      const bool elapsed = round % 2 == 0;
      const std::string text = absl::StrCat(
          ListOf(minutes), " ", elapsed ? "*" : ListOf(hours), " * * *");
      auto cron = Cron::Parse(text);
      ASSERT_OK(cron);
      std::vector<absl::Time> got;
      for (absl::Time at = cron->Next(from, zone); at <= until;
           at = cron->Next(at, zone)) {
        ASSERT_TRUE(got.empty() || at > got.back()) << text;
        got.push_back(at);
      }
      EXPECT_EQ(got, elapsed ? WalkByElapsed(minutes, from, until, zone)
                             : WalkByClock(minutes, hours, from, until, zone))
          << text << " in " << change.zone;
    }
  }
}

}  // namespace
}  // namespace midwatch
