// Checks that are commands: real processes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "base/real_clock.h"
#include "base/real_executor.h"
#include "tests/testing/temp_dir.h"
#include "worker/check_folder.h"
#include "worker/output_check.h"

namespace midwatch {
namespace {

using End = CheckOutcome::End;
using ::testing::HasSubstr;

class CommandCheckTest : public ::testing::Test {
 protected:
  ~CommandCheckTest() override { executor_.Stop(); }

  CheckOutcome Run(const std::string& script, CheckCall call = {},
                   absl::Duration timeout = absl::Seconds(20)) {
    return RunProgram({"/bin/sh", "-c", script}, std::move(call), timeout);
  }
  CheckOutcome RunProgram(std::vector<std::string> argv, CheckCall call,
                          absl::Duration timeout) {
    std::unique_ptr<OutputCheck> check = MakeCommandCheck(
        pool_, executor_, RealClock(), std::move(argv), timeout);
    std::promise<CheckOutcome> outcome;
    executor_.Post(
        [&] { Spawn(executor_, Await(*check, std::move(call), outcome)); });
    return outcome.get_future().get();
  }
  // Of an attempt that left the file `name`.
  CheckCall WithFile(const std::string& name, const std::string& content) {
    const std::string path = dir_.path() + "/artifact";
    std::ofstream(path) << content;
    CheckCall call;
    call.check = "compiles";
    call.task_id = "01T";
    call.attempt = 2;
    call.files = {{name, path}};
    return call;
  }

  testing::TempDir dir_;

 private:
  static Async<void> Await(OutputCheck& check, CheckCall call,
                           std::promise<CheckOutcome>& outcome) {
    outcome.set_value(co_await check.Run(std::move(call)));
  }

  RealExecutor executor_{"test"};
  ThreadBlockingPool pool_{"test-pool", 1};
};

TEST_F(CommandCheckTest, ItSeesTheFilesAndTheMessage) {
  CheckCall call = WithFile("a/b.txt", "content\n");
  call.message = "All done.";
  const CheckOutcome outcome = Run(
      "test \"$(cat a/b.txt)\" = content && test \"$(cat)\" = 'All done.' && "
      "test $MIDWATCH_CHECK.$MIDWATCH_TASK_ID.$MIDWATCH_ATTEMPT = "
      "compiles.01T.2",
      call);
  EXPECT_EQ(outcome.end, End::kPassed) << outcome.why;
}

TEST_F(CommandCheckTest, TheLastLineIsTheReason) {
  const CheckOutcome outcome = Run(
      "echo one; echo two >&2; printf 'not \\033[1m\\377 good \\n\\n'; exit 3");
  EXPECT_EQ(outcome.end, End::kFailed);
  EXPECT_EQ(outcome.why, "not  [1m\uFFFD good");
}

TEST_F(CommandCheckTest, OfALotItPrintsTheEndCounts) {
  const CheckOutcome outcome =
      Run("yes | head -c 3000000; echo; echo the end; exit 1");
  EXPECT_EQ(outcome.end, End::kFailed);
  EXPECT_EQ(outcome.why, "the end");
  EXPECT_EQ(Run("printf '%05000d\\n' 7; exit 1").why,
            std::string(kCheckWhyBytesMax, '0'));
}

TEST_F(CommandCheckTest, WhoSaysNothingHasFailedToo) {
  EXPECT_EQ(Run("exit 7").why, "it exited with 7 and said nothing");
  EXPECT_EQ(Run("kill -9 $$").why, "it was ended by signal 9 and said nothing");
}

TEST_F(CommandCheckTest, ItIsKilledWhenItsTimeIsOver) {
  const CheckOutcome outcome =
      Run("sleep 600 & sleep 600", {}, absl::Milliseconds(300));
  EXPECT_EQ(outcome.end, End::kFailed);
  EXPECT_EQ(outcome.why, "it did not end within 300ms");
}

TEST_F(CommandCheckTest, AProgramThatIsGoneIsNoVerdict) {
  const CheckOutcome outcome =
      RunProgram({"/nowhere/at/all"}, {}, absl::Seconds(20));
  EXPECT_EQ(outcome.end, End::kNotRun);
  EXPECT_THAT(outcome.why, HasSubstr("cannot start /nowhere/at/all"));
}

TEST_F(CommandCheckTest, WhatIsNotThereToBeCopiedIsNoVerdict) {
  CheckCall call;
  call.files = {{"a", dir_.path() + "/missing"}};
  EXPECT_EQ(Run("true", call).end, End::kAgain);
}

TEST_F(CommandCheckTest, WhoStopsItGetsNoVerdict) {
  CheckCall call;
  *call.stop = true;
  EXPECT_EQ(Run("sleep 600", call).end, End::kAgain);
}

TEST_F(CommandCheckTest, ItSpoilsNothingAndLeavesNothing) {
  const CheckCall call = WithFile("a.txt", "content");
  const std::string where = dir_.path() + "/where";
  EXPECT_EQ(
      Run("echo spoilt > a.txt; mkdir d; pwd > " + where + "; umask", call).end,
      End::kPassed);
  std::string artifact, folder;
  std::getline(std::ifstream(call.files[0].second), artifact);
  EXPECT_EQ(artifact, "content");
  std::getline(std::ifstream(where), folder);
  EXPECT_THAT(folder, HasSubstr("midwatch-checking-"));
  EXPECT_FALSE(std::filesystem::exists(folder));
}

// Its worker was killed amid it.
TEST_F(CommandCheckTest, WhatAProcessLeftIsRemovedByTheNext) {
  const testing::TempDir temporary;
  setenv("TMPDIR", temporary.path().c_str(), 1);
  const std::string left = temporary / "midwatch-checking-abcdef";
  const std::string other = temporary / "somebody-elses";
  std::filesystem::create_directories(left + "/d");
  std::filesystem::create_directory(other);
  absl::StatusOr<CheckFolder> used = CheckFolder::Make();
  ASSERT_TRUE(used.ok()) << used.status();
  RemoveLeftCheckFolders();
  EXPECT_FALSE(std::filesystem::exists(left));
  EXPECT_TRUE(std::filesystem::exists(used->path()));
  EXPECT_TRUE(std::filesystem::exists(other));
  unsetenv("TMPDIR");
}

TEST_F(CommandCheckTest, ASweepRemovesNoneThatIsJustMade) {
  const testing::TempDir temporary;
  setenv("TMPDIR", temporary.path().c_str(), 1);
  std::atomic<bool> stop = false;
  std::thread sweeper([&] {
    while (!stop) RemoveLeftCheckFolders();
  });
  for (int i = 0; i < 300; ++i) {
    absl::StatusOr<CheckFolder> folder = CheckFolder::Make();
    ASSERT_TRUE(folder.ok()) << folder.status();
    std::this_thread::yield();
    EXPECT_TRUE(std::filesystem::exists(folder->path()));
  }
  stop = true;
  sweeper.join();
  unsetenv("TMPDIR");
}

TEST_F(CommandCheckTest, ItSeesNoKeyOfOurs) {
  setenv("ANTHROPIC_API_KEY", "secret", 1);
  const CheckOutcome outcome = Run("env | grep -q secret");
  unsetenv("ANTHROPIC_API_KEY");
  EXPECT_EQ(outcome.end, End::kFailed);
}

}  // namespace
}  // namespace midwatch
