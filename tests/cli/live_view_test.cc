// What a person sees of a batch on its way, whatever the terminal is like.
#include "cli/live_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::Not;
using ::testing::ResultOf;
using ::testing::SizeIs;

LiveMoment Halfway() {
  LiveMoment moment;
  moment.counts.set_running(3);
  moment.counts.set_queued(5);
  moment.counts.set_succeeded(10);
  moment.counts.set_failed(2);
  moment.charged_usd_micros = 1'620'000;
  moment.elapsed = absl::Seconds(83);
  moment.left = absl::Seconds(55);
  moment.ends_per_minute = 8.67;
  moment.median_usd_micros = 30'000;
  moment.running = {
      {"libstdc++6", absl::Seconds(65), "bash: grep -ai '^license:' \"$file\""},
      {"日本語の名前", absl::Seconds(9), "says: Expat, GPL-2+"},
      {"zlib1g", absl::Milliseconds(400), ""}};
  moment.troubles = {{2, 0, "task: exit status 1"}, {0, 7, "service: 529"}};
  return moment;
}

std::string Text(const std::vector<std::string>& lines) {
  return absl::StrCat(absl::StrJoin(lines, "\n"), "\n");
}

TEST(LiveViewTest, ShowsAllOfItWhereThereIsRoom) {
  EXPECT_EQ(Text(RenderLive(Halfway(), 80, 23, false)),
            "━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌───────────────  "
            "12/20  60%\n"
            "3 running  5 queued  10 succeeded  2 failed\n"
            "1 m 23 s  about 55 s left  $1.62  median $0.03  8.7 ended/min\n"
            "running\n"
            "  libstdc++6    1 m 05 s  bash: grep -ai '^license:' \"$file\"\n"
            "  日本語の名前     9.0 s  says: Expat, GPL-2+\n"
            "  zlib1g           0.4 s\n"
            "what failed\n"
            "  2 failed  task: exit status 1\n"
            "  7 tried again  service: 529\n");
}

TEST(LiveViewTest, SaysWhatHoldsTheRestUp) {
  LiveMoment moment = Halfway();
  moment.holds = {"queue nightly is paused: moving"};
  EXPECT_THAT(Text(RenderLive(moment, 80, 23, false)),
              HasSubstr("8.7 ended/min\n"
                        "queue nightly is paused: moving\n"
                        "running\n"));
}

TEST(LiveViewTest, FitsFortyColumnsAndTenRows) {
  EXPECT_EQ(Text(RenderLive(Halfway(), 40, 9, false)),
            "━━━━━━━━━━━━━━━━╌╌╌╌────────  12/20  60%\n"
            "3 running  5 queued  10 succeeded\n"
            "2 failed\n"
            "1 m 23 s  about 55 s left  $1.62\n"
            "median $0.03  8.7 ended/min\n"
            "what failed\n"
            "  2 failed  task: exit status 1\n"
            "  7 tried again  service: 529\n");
  LiveMoment well = Halfway();
  well.counts.clear_failed();
  well.troubles.clear();
  EXPECT_EQ(Text(RenderLive(well, 40, 9, false)),
            "━━━━━━━━━━━━━━━╌╌╌╌─────────  10/18  55%\n"
            "3 running  5 queued  10 succeeded\n"
            "1 m 23 s  about 55 s left  $1.62\n"
            "median $0.03  8.7 ended/min\n"
            "running\n"
            "  libstdc++6    1 m 05 s  bash: grep -a…\n"
            "  日本語の名前     9.0 s  says: Expat, …\n"
            "  zlib1g           0.4 s\n");
}

LiveMoment Limited() {
  LiveMoment moment = Halfway();
  moment.troubles.clear();
  moment.rates = {{"creates", 212, 300, false, std::nullopt},
                  {"reads", 480, 931.2, true, std::nullopt},
                  {"files", 12, 500, false, absl::Seconds(7)}};
  return moment;
}

TEST(LiveViewTest, ShowsHowMuchOfTheRatesIsInUse) {
  LiveMoment moment = Limited();
  moment.rates.resize(1);
  EXPECT_EQ(RenderLive(moment, 80, 23, false)[3],
            "rate  creates 212/300 a min");
  EXPECT_EQ(RenderLive(Limited(), 80, 23, false)[3],
            "rate  creates 212/300  reads 480/931 lowered  "
            "files 12/500 rests 7.0 s a min");
  EXPECT_EQ(Text(RenderLive(Limited(), 40, 14, false)),
            "━━━━━━━━━━━━━━━━╌╌╌╌────────  12/20  60%\n"
            "3 running  5 queued  10 succeeded\n"
            "2 failed\n"
            "1 m 23 s  about 55 s left  $1.62\n"
            "median $0.03  8.7 ended/min\n"
            "rate  creates 212/300\n"
            "reads 480/931 lowered\n"
            "files 12/500 rests 7.0 s a min\n"
            "running\n"
            "  libstdc++6    1 m 05 s  bash: grep -a…\n"
            "  日本語の名前     9.0 s  says: Expat, …\n"
            "  zlib1g           0.4 s\n");
  // With few rows the tasks matter more.
  LiveMoment without = Limited();
  without.rates.clear();
  EXPECT_EQ(RenderLive(Limited(), 80, 11, false),
            RenderLive(without, 80, 11, false));
}

TEST(LiveViewTest, NoLineIsTooLongAndNoneIsTooMany) {
  LiveMoment moment = Halfway();
  moment.rates = Limited().rates;
  moment.lost_for = absl::Seconds(12);
  moment.running[0].name = std::string(300, 'x');
  moment.running[1].doing = std::string(900, 'y');
  moment.running[2].doing = "e\u0301" + std::string(80, 'e') + "世界世界";
  for (int width = 1; width <= 130; ++width) {
    for (int height = 1; height <= 30; ++height) {
      const std::vector<std::string> lines =
          RenderLive(moment, width, height, false);
      EXPECT_THAT(lines, SizeIs(Le(static_cast<size_t>(height))));
      EXPECT_THAT(lines,
                  Each(ResultOf(DisplayWidth, Le(static_cast<size_t>(width)))))
          << width << "x" << height;
    }
  }
}

TEST(LiveViewTest, LeavesColumnsToATerminalThatIsNarrowed) {
  EXPECT_EQ(LiveWidth(1), 1);
  EXPECT_EQ(LiveWidth(40), 36);
  EXPECT_EQ(LiveWidth(80), 72);
  EXPECT_EQ(LiveWidth(100), 80);
  EXPECT_EQ(LiveWidth(160), 80);
  for (int columns = 10; columns <= 1000; ++columns) {
    EXPECT_LE(LiveWidth(columns), columns - columns / 10) << columns;
    // Split in two, with a border.
    if (columns <= 160) continue;
    EXPECT_LE(LiveWidth(columns), (columns - 1) / 2) << columns;
  }
}

TEST(LiveViewTest, SaysNothingOfWhatIsNotKnown) {
  LiveMoment moment;
  moment.counts.set_queued(100'000);
  const std::string text = Text(RenderLive(moment, 80, 23, false));
  EXPECT_EQ(text,
            "────────────────────────────────────────────────────────────  "
            "0/100000  0%\n"
            "100000 queued\n"
            "0.0 s  $0.00\n");
}

TEST(LiveViewTest, IsFullOnlyAtTheEnd) {
  LiveMoment moment;
  moment.counts.set_succeeded(99'999);
  moment.counts.set_running(1);
  EXPECT_THAT(RenderLive(moment, 40, 9, false)[0],
              ::testing::AllOf(HasSubstr("99%"), HasSubstr("╌")));
  moment.counts.set_succeeded(100'000);
  moment.counts.clear_running();
  EXPECT_THAT(RenderLive(moment, 40, 9, false)[0],
              ::testing::AllOf(HasSubstr("100%"), Not(HasSubstr("─"))));
}

TEST(LiveViewTest, SaysHowManyMoreRun) {
  LiveMoment moment = Halfway();
  moment.troubles.clear();
  moment.counts.set_running(10'000);
  const std::vector<std::string> lines = RenderLive(moment, 80, 6, false);
  ASSERT_THAT(lines, SizeIs(6));
  EXPECT_THAT(lines[4], HasSubstr("libstdc++6"));
  EXPECT_EQ(lines[5], "  and 9999 more");
}

TEST(LiveViewTest, ColoursChangeNoWidth) {
  const std::vector<std::string> plain = RenderLive(Halfway(), 80, 23, false);
  const std::vector<std::string> coloured = RenderLive(Halfway(), 80, 23, true);
  ASSERT_EQ(plain.size(), coloured.size());
  for (size_t i = 0; i < plain.size(); ++i) {
    std::string stripped;
    bool in_code = false;
    for (char c : coloured[i]) {
      if (c == '\x1b') in_code = true;
      if (!in_code) stripped += c;
      if (c == 'm') in_code = false;
    }
    EXPECT_EQ(stripped, plain[i]);
  }
  EXPECT_THAT(Text(plain), Not(HasSubstr("\x1b")));
  EXPECT_THAT(Text(coloured), HasSubstr("\x1b[31m"));
}

}  // namespace
}  // namespace midwatch::cli
