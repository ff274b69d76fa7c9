#include "worker/term.h"

#include <gtest/gtest.h>

#include "tests/testing/fake_executor.h"

namespace midwatch {
namespace {

TEST(WorkerTermTest, CountsFromBeforeTheRequest) {
  testing::VirtualTime time;
  testing::FakeClock clock(time);
  WorkerTerm term(clock);
  EXPECT_TRUE(term.over());
  EXPECT_FALSE(term.CanStartPost());

  absl::Duration mark = term.Mark();
  time.Advance(absl::Seconds(4));  // the answer took so long
  term.Extend(mark, absl::Seconds(30));
  EXPECT_EQ(term.Remaining(), absl::Seconds(26));
  EXPECT_EQ(term.PostTimeout(), absl::Seconds(26));
  EXPECT_TRUE(term.CanStartPost());
}

TEST(WorkerTermTest, NoPostInTheLastFiveSeconds) {
  testing::VirtualTime time;
  testing::FakeClock clock(time);
  WorkerTerm term(clock);
  term.Extend(term.Mark(), absl::Seconds(30));
  time.Advance(absl::Seconds(24.999));
  EXPECT_TRUE(term.CanStartPost());
  time.Advance(absl::Milliseconds(1));
  EXPECT_FALSE(term.CanStartPost());
  EXPECT_FALSE(term.over());
  time.Advance(absl::Seconds(5));
  EXPECT_TRUE(term.over());
}

TEST(WorkerTermTest, SleepOfTheMachineCounts) {
  testing::VirtualTime time;
  testing::FakeClock clock(time);
  WorkerTerm term(clock);
  term.Extend(term.Mark(), absl::Seconds(30));
  clock.Suspend(absl::Seconds(31));
  EXPECT_TRUE(term.over());
}

TEST(WorkerTermTest, WallClockStepsDoNot) {
  testing::VirtualTime time;
  testing::FakeClock clock(time);
  WorkerTerm term(clock);
  term.Extend(term.Mark(), absl::Seconds(30));
  clock.StepWall(absl::Hours(1));
  EXPECT_EQ(term.Remaining(), absl::Seconds(30));
}

TEST(WorkerTermTest, LateAnswerToAnEarlierRenewalDoesNotShortenIt) {
  testing::VirtualTime time;
  testing::FakeClock clock(time);
  WorkerTerm term(clock);
  absl::Duration early = term.Mark();
  time.Advance(absl::Seconds(10));
  term.Extend(term.Mark(), absl::Seconds(30));
  term.Extend(early, absl::Seconds(30));
  EXPECT_EQ(term.Remaining(), absl::Seconds(30));
  term.End();
  EXPECT_TRUE(term.over());
}

}  // namespace
}  // namespace midwatch
