// Handlers that are commands: real processes.
#include "worker/tool_handler.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <future>

#include "base/real_clock.h"
#include "base/real_executor.h"

namespace midwatch {
namespace {

class CommandToolTest : public ::testing::Test {
 protected:
  ~CommandToolTest() override { executor_.Stop(); }

  ToolOutcome Run(const std::string& script, ToolCall call = {},
                  ToolLimits limits = {}) {
    std::unique_ptr<ToolHandler> handler = MakeCommandToolHandler(
        pool_, executor_, RealClock(), {"/bin/sh", "-c", script}, limits);
    std::promise<ToolOutcome> outcome;
    executor_.Post(
        [&] { Spawn(executor_, Call(*handler, std::move(call), outcome)); });
    return outcome.get_future().get();
  }

 private:
  static Async<void> Call(ToolHandler& handler, ToolCall call,
                          std::promise<ToolOutcome>& outcome) {
    outcome.set_value(co_await handler.Call(std::move(call)));
  }

  RealExecutor executor_{"test"};
  ThreadBlockingPool pool_{"test-pool", 1};
};

TEST_F(CommandToolTest, WhatItPrintsIsTheResult) {
  ToolOutcome outcome = Run("cat; echo; echo $MIDWATCH_TOOL $MIDWATCH_CALL_ID",
                            {"lookup", "sevt_1", "task", R"({"key":"k"})"});
  EXPECT_FALSE(outcome.is_error);
  EXPECT_EQ(outcome.text, "{\"key\":\"k\"}\nlookup sevt_1\n");
}

TEST_F(CommandToolTest, AnotherExitCodeIsAnError) {
  ToolOutcome outcome = Run("echo some; echo trouble >&2; exit 3");
  EXPECT_TRUE(outcome.is_error);
  EXPECT_EQ(outcome.text, "the tool's command exited with 3\ntrouble\nsome\n");
}

TEST_F(CommandToolTest, ItSeesNoKeyOfOurs) {
  setenv("ANTHROPIC_API_KEY", "secret", 1);
  ToolOutcome outcome = Run("env");
  unsetenv("ANTHROPIC_API_KEY");
  EXPECT_EQ(outcome.text.find("secret"), std::string::npos);
  EXPECT_NE(outcome.text.find("PATH="), std::string::npos);
}

TEST_F(CommandToolTest, ItIsKilledWithWhatItBeganWhenItsTimeIsOver) {
  ToolLimits limits;
  limits.timeout = absl::Milliseconds(300);
  ToolOutcome outcome = Run("sleep 600 & sleep 600", {}, limits);
  EXPECT_TRUE(outcome.is_error);
  EXPECT_EQ(outcome.text, "the tool's command did not end within 300ms");
}

TEST_F(CommandToolTest, ItIsKilledAlsoWhereItSaysNoMore) {
  ToolLimits limits;
  limits.timeout = absl::Milliseconds(300);
  ToolOutcome outcome = Run("exec >&- 2>&-; sleep 600", {}, limits);
  EXPECT_TRUE(outcome.is_error);
  EXPECT_EQ(outcome.text, "the tool's command did not end within 300ms");
}

TEST_F(CommandToolTest, WhatItLeavesBehindIsNotWaitedFor) {
  ToolOutcome outcome = Run("sleep 600 & echo done");
  EXPECT_FALSE(outcome.is_error);
  EXPECT_EQ(outcome.text, "done\n");
}

TEST_F(CommandToolTest, TooMuchIsNoAnswer) {
  ToolLimits limits;
  limits.answer_bytes_max = 1000;
  ToolOutcome outcome = Run("yes", {}, limits);
  EXPECT_TRUE(outcome.is_error);
  EXPECT_EQ(outcome.text, "the tool's command printed more than 1000 bytes");
}

TEST_F(CommandToolTest, InputThatIsNotReadHarmsNobody) {
  ToolCall call;
  call.input_json = std::string(1 << 20, 'x');
  EXPECT_EQ(Run("exec <&-; echo done", call).text, "done\n");
  EXPECT_EQ(Run("wc -c", call).text, "1048576\n");
}

TEST_F(CommandToolTest, AProgramThatIsNotThereIsAnError) {
  std::unique_ptr<ToolHandler> handler;
  EXPECT_TRUE(Run("exec /nowhere/at/all").is_error);
}

}  // namespace
}  // namespace midwatch
