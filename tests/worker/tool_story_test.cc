// Custom tools that a worker answers by itself, and tools that are called to no
// effect.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "tests/worker/world.h"

namespace midwatch::testing {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = FakeFault::Kind;

class FakeTool final : public ToolHandler {
 public:
  explicit FakeTool(FakeExecutor& executor) : executor_(executor) {}

  Async<ToolOutcome> Call(ToolCall call) override {
    calls.push_back(call);
    co_await Sleep(executor_, takes);
    co_return outcome;
  }

  absl::Duration takes = absl::Seconds(2);
  ToolOutcome outcome{"42", false};
  std::vector<ToolCall> calls;

 private:
  FakeExecutor& executor_;
};

struct ToolWorld : World {
  explicit ToolWorld(int calls = 1) {
    service.hooks.script = [=](const FakePrompt&) {
      FakeTurn turn;
      turn.stop_reason = "requires_action";
      turn.custom_tool = "lookup";
      turn.tool_calls = calls;
      return turn;
    };
    tools["lookup"] = &tool;
    AddNode();
    id = scheduler.Add(Spec());
  }
  FakeExecutor tool_executor{time};
  FakeTool tool{tool_executor};
  std::string id;
};

TEST(ToolStoryTest, AHandlerAnswersAndNobodyIsAsked) {
  ToolWorld world(3);
  world.tool.takes = absl::Minutes(1);
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  world.Linger();
  ExpectDoneOnce(world, world.id);
  EXPECT_EQ(world.OnlySession().answers, 3);
  EXPECT_EQ(world.Task(world.id).grants, 1) << "it was never parked";
  ASSERT_THAT(world.tool.calls, SizeIs(3));
  EXPECT_EQ(world.tool.calls[1].tool, "lookup");
  EXPECT_EQ(world.tool.calls[1].task_id, world.id);
  EXPECT_EQ(world.tool.calls[1].input_json, R"({"key":"k1"})");
  EXPECT_LT(world.time.Elapsed(), absl::Minutes(2)) << "all at once";
  for (const v1::Say& say : world.Task(world.id).lease.outbox()) {
    EXPECT_EQ(say.kind(), v1::SAY_KIND_RESULT);
    EXPECT_EQ(say.text(), "42");
  }
}

TEST(ToolStoryTest, WhatGoesWrongIsAnErrorForTheAgent) {
  ToolWorld world;
  world.tool.outcome = {"no such key \xff", true};
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  const v1::Say& say = world.Task(world.id).lease.outbox(0);
  EXPECT_EQ(say.kind(), v1::SAY_KIND_ERROR);
  EXPECT_EQ(say.text(), "no such key \xef\xbf\xbd");
}

// The answer is durable before it is sent, so an adopter says the same and asks
// nobody again.
TEST(ToolStoryTest, AnAdopterSaysWhatWasAnswered) {
  ToolWorld world;
  world.OnCall("send_events", 2, Lose(Kind::kLoseRequest));
  ASSERT_TRUE(
      world.RunUntil([&] { return world.service.Calls("send_events") == 2; }));
  world.nodes[0]->Crash();
  world.tool.outcome.text = "another";
  world.AddNode();
  world.scheduler.Lapse(world.scheduler.worker_id(0));
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  world.Linger();
  ExpectDoneOnce(world, world.id);
  EXPECT_THAT(world.tool.calls, SizeIs(1));
  EXPECT_EQ(world.OnlySession().answers, 1);
}

TEST(ToolStoryTest, ACancelDoesNotWaitForAHandler) {
  ToolWorld world;
  world.tool.takes = absl::Hours(1);
  ASSERT_TRUE(world.RunUntil([&] { return !world.tool.calls.empty(); }));
  world.scheduler.Cancel(world.id);
  ASSERT_TRUE(world.RunUntilSettled(world.id, absl::Minutes(3)));
  EXPECT_EQ(world.OnlySession().answers, 0);
}

// Its second sending is refused, and for a while nobody can see the first.
TEST(ToolStoryTest, AnAnswerThatWasTakenUnheardIsNoFailure) {
  ToolWorld world;
  FakeFault unheard, lost;
  unheard.kind = FakeFault::Kind::kLoseAnswer;
  lost.kind = FakeFault::Kind::kLoseRequest;
  world.OnCall("send_events", 2, unheard);
  world.OnCall("list_events", 1, lost);
  world.OnCall("list_events", 2, lost);
  world.scheduler.advise = [](const v1::AdviseRequest& request) {
    v1::AdviseResponse response;
    response.set_action(request.failure().http_status() == 400
                            ? v1::AdviseResponse::ACTION_END
                            : v1::AdviseResponse::ACTION_RETRY);
    response.mutable_delay()->set_seconds(1);
    return response;
  };
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  EXPECT_EQ(world.Task(world.id).ending.kind(), v1::Ending::KIND_IDLE);
  EXPECT_EQ(world.OnlySession().answers, 1);
}

TEST(ToolStoryTest, ACallWithoutAHandlerIsAPersons) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.stop_reason = "requires_action";
    turn.custom_tool = "other";
    return turn;
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(
      world.RunUntil([&] { return !world.Task(id).questions.empty(); }));
  EXPECT_THAT(world.Task(id).lease.outbox(), IsEmpty());
}

// ---- Loops ----

FakeTurn Looping(int calls) {
  FakeTurn turn;
  turn.stop_reason = "never";
  turn.loops = true;
  turn.tool_calls = calls;
  return turn;
}

TEST(LoopTest, TheSameCallToTheSameEffectEndsTheAttempt) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) { return Looping(5); };
  world.AddNode();
  v1::TaskSpec spec = World::Spec();
  spec.set_max_repeats(5);
  std::string id = world.scheduler.Add(spec);
  ASSERT_TRUE(world.RunUntilSettled(id, absl::Minutes(2)));
  const v1::Ending& ending = world.Task(id).ending;
  EXPECT_EQ(ending.kind(), v1::Ending::KIND_LOOPED);
  EXPECT_TRUE(ending.charged());
  EXPECT_THAT(ending.failure().message(),
              ::testing::HasSubstr("it called bash 5 times in a row"));
  EXPECT_EQ(world.OnlySession().interrupts, 1);
}

TEST(LoopTest, FewerThanTheLimitAreNone) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) { return Looping(29); };
  world.AddNode();
  v1::TaskSpec spec = World::Spec();
  spec.mutable_timeouts()->mutable_idle()->set_seconds(60);
  std::string id = world.scheduler.Add(spec);
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_EQ(world.Task(id).ending.kind(), v1::Ending::KIND_TIMED_OUT);
}

}  // namespace
}  // namespace midwatch::testing
