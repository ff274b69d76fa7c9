// Commands of `midwatch run` that are told what happens: real processes.
#include "cli/run_hooks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/real_clock.h"
#include "tests/testing/temp_dir.h"

namespace midwatch::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RunHooksTest : public ::testing::Test {
 protected:
  // A command that keeps what it is told.
  std::string Keep(const std::string& name) const {
    return "cat >> '" + dir_ / name + "'";
  }
  std::string Kept(const std::string& name) const {
    std::ostringstream bytes;
    bytes << std::ifstream(dir_ / name).rdbuf();
    return bytes.str();
  }
  static v1::WatchBatchResponse Message() {
    v1::WatchBatchResponse message;
    message.mutable_batch()->set_name("b");
    message.mutable_batch()->set_state(v1::BATCH_STATE_SEALED);
    return message;
  }
  // As the scheduler sends it: the batch comes behind it.
  static v1::WatchBatchResponse Failed(const std::string& task) {
    v1::WatchBatchResponse message;
    message.mutable_change()->set_name(task);
    message.mutable_change()->set_state(v1::TASK_STATE_FAILED);
    return message;
  }
  static bool Never() { return false; }

  testing::TempDir dir_;
};

TEST_F(RunHooksTest, TheFirstFailureIsTold) {
  RunHooks hooks(RealClock(), {.on_finish = "",
                               .on_failure = Keep("failure"),
                               .on_risk = Keep("risk")});
  hooks.See(Message());
  hooks.See(Failed("one"));
  hooks.See(Failed("two"));
  hooks.See(Message());
  hooks.Finish(Message().batch());
  EXPECT_THAT(hooks.Await(Never), IsEmpty());
  const auto told = nlohmann::json::parse(Kept("failure"));
  EXPECT_EQ(told["type"], "batch.task_failed");
  EXPECT_EQ(told["data"]["task"]["name"], "one");
  EXPECT_EQ(told["data"]["name"], "b");
  EXPECT_EQ(told["data"]["state"], "SEALED");
  EXPECT_EQ(Kept("risk"), "");
}

TEST_F(RunHooksTest, AFailureIsToldThatNoBatchCameBehind) {
  RunHooks hooks(
      RealClock(),
      {.on_finish = "", .on_failure = Keep("failure"), .on_risk = ""});
  hooks.See(Failed("one"));
  hooks.Finish(Message().batch());
  EXPECT_THAT(hooks.Await(Never), IsEmpty());
  EXPECT_EQ(nlohmann::json::parse(Kept("failure"))["data"]["name"], "b");
}

// A failure hid the risk that the same commit brought.
TEST_F(RunHooksTest, ARiskIsToldThatComesWithAFailure) {
  RunHooks hooks(RealClock(), {.on_finish = Keep("finish"),
                               .on_failure = Keep("failure"),
                               .on_risk = Keep("risk")});
  v1::WatchBatchResponse message = Failed("one");
  message.mutable_batch()->mutable_risk()->set_reason("late");
  hooks.See(message);
  hooks.See(message);
  EXPECT_THAT(hooks.Await(Never), IsEmpty());
  const auto told = nlohmann::json::parse(Kept("risk"));
  EXPECT_EQ(told["type"], "batch.at_risk");
  EXPECT_EQ(told["data"]["risk"]["reason"], "late");
  EXPECT_NE(Kept("failure"), "");
  EXPECT_EQ(Kept("finish"), "");
}

TEST_F(RunHooksTest, WhatGoesWrongIsSaid) {
  RunHooks hooks(
      RealClock(),
      {.on_finish = "cat > /dev/null; echo no $MIDWATCH_HOOK >&2; exit 3",
       .on_failure = "",
       .on_risk = ""});
  hooks.Finish(Message().batch());
  EXPECT_THAT(hooks.Await(Never),
              ElementsAre("the command of on_finish exited with 3: no "
                          "on_finish"));
  EXPECT_THAT(hooks.Await(Never), IsEmpty()) << "it is said once";
}

TEST_F(RunHooksTest, ItsTimeIsBounded) {
  RunHooks hooks(RealClock(),
                 {.on_finish = "cat > /dev/null; sleep 600",
                  .on_failure = "",
                  .on_risk = ""},
                 absl::Milliseconds(300));
  hooks.Finish(Message().batch());
  EXPECT_THAT(hooks.Await(Never),
              ElementsAre("the command of on_finish: it did not end within "
                          "300ms"));
}

TEST_F(RunHooksTest, AnInterruptEndsIt) {
  RunHooks hooks(RealClock(), {.on_finish = "cat > /dev/null; sleep 600",
                               .on_failure = "",
                               .on_risk = ""});
  hooks.Finish(Message().batch());
  EXPECT_THAT(hooks.Await([] { return true; }), ::testing::SizeIs(1));
}

}  // namespace
}  // namespace midwatch::cli
