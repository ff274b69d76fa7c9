// What `midwatch doctor` makes of what it measures.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/real_clock.h"
#include "cli/finding.h"
#include "cli/machine_check.h"
#include "cli/service_check.h"
#include "tests/testing/store_fixture.h"

namespace midwatch::cli {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using Level = Finding::Level;

const absl::Time kNight = absl::FromUnixSeconds(1'800'000'000);

struct ClockCase {
  const char* name;
  absl::Time begun;
  absl::Duration wall;
  Level want;
};
class ClockTest : public ::testing::TestWithParam<ClockCase> {};
TEST_P(ClockTest, MatchesTable) {
  const ClockCase& c = GetParam();
  EXPECT_EQ(CheckClock({c.begun, absl::Seconds(5)},
                       {c.begun + c.wall, absl::Seconds(7)})
                .level,
            c.want);
}
INSTANTIATE_TEST_SUITE_P(
    Table, ClockTest,
    ::testing::ValuesIn<ClockCase>({
        {"Agrees", kNight, absl::Seconds(2), Level::kOk},
        {"Slewed", kNight, absl::Seconds(2.05), Level::kOk},
        {"SetForward", kNight, absl::Seconds(3), Level::kWarning},
        {"SetBack", kNight, absl::Seconds(-60), Level::kWarning},
        {"NeverSet", absl::UnixEpoch(), absl::Seconds(2), Level::kProblem},
    }),
    [](const auto& each) { return std::string(each.param.name); });

TEST(CompareClocksTest, TellsHowFarAndWhichWay) {
  AccountAnswer answer;
  answer.our_time = kNight;
  EXPECT_EQ(CompareClocks(answer).level, Level::kOk);
  answer.service_time = kNight - absl::Milliseconds(700);
  EXPECT_EQ(CompareClocks(answer).level, Level::kOk);
  answer.service_time = kNight + absl::Seconds(90);
  EXPECT_EQ(CompareClocks(answer).level, Level::kWarning);
  EXPECT_EQ(CompareClocks(answer).says, "90 s behind the service's");
  answer.service_time = kNight - absl::Seconds(90);
  EXPECT_EQ(CompareClocks(answer).says, "90 s ahead of the service's");
}

TEST(LatencyTest, ReadsThePercentiles) {
  std::vector<absl::Duration> sorted;
  for (int i = 0; i < 200; ++i) sorted.push_back(absl::Milliseconds(i));
  EXPECT_EQ(LatencyOf(sorted).p50, absl::Milliseconds(100));
  EXPECT_EQ(LatencyOf(sorted).p99, absl::Milliseconds(198));
  EXPECT_EQ(LatencyOf({absl::Seconds(1)}).p99, absl::Seconds(1));
}

TEST(OpenFilesTest, MoreThanTheLimitIsAProblem) {
  EXPECT_EQ(CheckOpenFiles(1).level, Level::kOk);
  const Finding finding = CheckOpenFiles(2'000'000'000);
  EXPECT_EQ(finding.level, Level::kProblem);
  EXPECT_NE(finding.cure, "");
}

TEST(DiskTest, AFolderThatIsNotThereIsAProblem) {
  const Findings findings = CheckDisk("/does/not/exist", RealClock());
  EXPECT_THAT(findings, Each(Field(&Finding::level, Level::kProblem)));
}

TEST(DatabaseTest, NoneYetIsFine) {
  testing::TempDir dir;
  EXPECT_THAT(CheckDatabase(dir.path()),
              Each(Field(&Finding::level, Level::kOk)));
}

class OpenDatabaseTest : public testing::StoreFixture {};
TEST_F(OpenDatabaseTest, IsSoundHeldOrDamaged) {
  EXPECT_THAT(
      CheckDatabase(dir_.path()),
      AllOf(SizeIs(3), Each(Field(&Finding::level, Level::kOk)),
            Contains(Field(&Finding::says, HasSubstr("in use by process")))));
  Crash();
  EXPECT_THAT(CheckDatabase(dir_.path()),
              AllOf(SizeIs(3), Each(Field(&Finding::level, Level::kOk)),
                    Contains(Field(&Finding::says, "no process holds it"))));

  std::ofstream(dir_ / "queue.db", std::ios::trunc) << "no database";
  EXPECT_THAT(CheckDatabase(dir_.path()),
              Contains(Field(&Finding::level, Level::kProblem)));
}

TEST(FindingsTest, AreTextAndJson) {
  const Findings findings = {Ok("a", "fine"), Warning("b", "odd", "look"),
                             Problem("c", "bad\x1b", "mend")};
  EXPECT_EQ(FindingsText(findings, false),
            "ok       a            fine\n"
            "warning  b            odd\n"
            "                      look\n"
            "problem  c            bad?\n"
            "                      mend\n");
  EXPECT_EQ(FindingsJson(findings)[2]["level"], "problem");
  EXPECT_EQ(FindingsJson(findings)[1]["cure"], "look");
  EXPECT_TRUE(HasProblem(findings));
  EXPECT_FALSE(HasProblem({findings[0], findings[1]}));
}

}  // namespace
}  // namespace midwatch::cli
