#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/worker/world.h"

namespace midwatch::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;
using Kind = FakeFault::Kind;

v1::TaskSpec OneCall() {
  v1::TaskSpec spec = World::Spec();
  spec.set_start(v1::START_MODE_ONE_CALL);
  return spec;
}

// Without the death of a worker.
void RunsOnce(World& world, v1::TaskSpec spec) {
  world.AddNode();
  std::string id = world.scheduler.Add(std::move(spec));
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  ExpectDoneOnce(world, id);
}

TEST(OneCallStoryTest, AWriteLessAndAReadMore) {
  World world;
  RunsOnce(world, OneCall());
  EXPECT_EQ(world.service.Calls("create_session"), 1);
  EXPECT_EQ(world.service.Calls("send_events"), 0);
  EXPECT_EQ(world.service.Calls("stream_events"), 1);
  EXPECT_EQ(world.service.Calls("list_events"), 1);
  EXPECT_EQ(world.service.Calls("list_sessions"), 0);
  EXPECT_EQ(world.service.Calls("archive_session"), 1);
}

TEST(OneCallStoryTest, ASessionWhoseAnswerWasLostIsFoundAndNotMadeAgain) {
  World world(FakeAgentsOptions{.list_delay = absl::Minutes(4)});
  world.OnCall("create_session", 1, Lose(Kind::kLoseAnswer));
  RunsOnce(world, OneCall());
  EXPECT_THAT(world.service.Sessions(), SizeIs(1));
  EXPECT_EQ(world.service.Calls("create_session"), 1);
  EXPECT_GT(world.time.Elapsed(), absl::Minutes(4));
}

TEST(OneCallStoryTest, AnotherIsMadeOnceTheListsHaveNotShownIt) {
  World world;
  world.OnCall("create_session", 1, Lose(Kind::kLoseRequest));
  RunsOnce(world, OneCall());
  EXPECT_THAT(world.service.Sessions(), SizeIs(1));
  EXPECT_EQ(world.service.Calls("create_session"), 2);
  EXPECT_GT(world.time.Elapsed(), absl::Minutes(10));
  EXPECT_LT(world.time.Elapsed(), absl::Minutes(13));
}

// Its time limit ran while nothing had begun, and it cost all there was.
TEST(OneCallStoryTest, LookingIsNoTimeOfTheAttempts) {
  World world;
  world.OnCall("create_session", 1, Refuse(529, "overloaded_error"));
  v1::TaskSpec spec = OneCall();
  spec.mutable_timeouts()->mutable_total()->set_seconds(300);
  RunsOnce(world, std::move(spec));
}

TEST(OneCallStoryTest, AnAdopterLooksForWhatItsPredecessorMayHaveCreated) {
  World world;
  Node& first = world.AddNode();
  std::string id = world.scheduler.Add(OneCall());
  ASSERT_TRUE(world.RunUntil([&] { return world.Messaged(); }));
  first.Crash();
  ASSERT_EQ(world.Task(id).lease.session_id(), "");
  world.AddNode();
  world.scheduler.Lapse(world.scheduler.worker_id(0));
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  ExpectDoneOnce(world, id);
  EXPECT_THAT(world.service.Sessions(), SizeIs(1));
  EXPECT_LT(world.time.Elapsed(), absl::Minutes(2));
}

TEST(OneCallStoryTest, ASessionThatCouldNotBeRecordedIsLeftToWhoeverLooks) {
  World world;
  world.scheduler.on_call = [&](const std::string& method) {
    FakeCallFault fault;
    if (method == "RecordSession" && world.nodes.size() == 1) {
      fault.before = absl::AbortedError("lost");
    }
    return fault;
  };
  world.AddNode();
  std::string id = world.scheduler.Add(OneCall());
  ASSERT_TRUE(world.RunUntil([&] { return world.Messaged(); }));
  world.time.Advance(absl::Milliseconds(500));
  world.AddNode();
  world.scheduler.Lapse(world.scheduler.worker_id(0));
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  ExpectDoneOnce(world, id);
  EXPECT_THAT(world.service.Sessions(), SizeIs(1));
}

TEST(OneCallStoryTest, ACancelWaitsUntilItIsKnownWhatRuns) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.stop_reason = "never";
    return turn;
  };
  world.OnCall("create_session", 1, Lose(Kind::kLoseAnswer));
  world.AddNode();
  std::string id = world.scheduler.Add(OneCall());
  ASSERT_TRUE(world.RunUntil([&] { return world.Messaged(); }));
  world.scheduler.Cancel(id);
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  EXPECT_THAT(world.service.Sessions(), SizeIs(1));
  EXPECT_TRUE(world.Task(id).ending.charged());
  EXPECT_GT(world.OnlySession().interrupts, 0);
  EXPECT_TRUE(world.OnlySession().archived);
}

TEST(OneCallStoryTest, WhereNoListCanBeHadItCostsWhatWasSetAside) {
  World world;
  world.service.hooks.on_call = [](const FakeCall& call) {
    if (call.operation == "create_session") return Lose(Kind::kLoseAnswer);
    if (call.operation == "list_sessions") return Refuse(500, "api_error");
    return FakeFault();
  };
  world.AddNode();
  std::string id = world.scheduler.Add(OneCall());
  ASSERT_FALSE(world.RunUntilSettled(id, absl::Hours(23)));
  ASSERT_TRUE(world.RunUntilSettled(id, absl::Hours(2)));
  EXPECT_THAT(world.service.Sessions(), SizeIs(1));
  EXPECT_EQ(world.Task(id).ending.kind(), v1::Ending::KIND_BROKEN);
  EXPECT_TRUE(world.Task(id).ending.charged());
  EXPECT_FALSE(world.Task(id).ending.has_list_cost_usd_micros());
}

// ---- Agents named by their id ----

TEST(PinnedVersionStoryTest, TasksOfABatchRunOneVersionOfAnAgent) {
  World world;
  world.AddNode();
  std::string maker = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(maker));
  v1::TaskSpec spec = World::Spec();
  spec.mutable_agent()->set_agent_id(world.OnlySession().agent_id);
  std::vector<std::string> ids;
  for (int i = 0; i < 3; ++i) ids.push_back(world.scheduler.Add(spec));
  for (const std::string& id : ids) {
    ASSERT_TRUE(world.RunUntilSettled(id));
  }
  EXPECT_EQ(world.service.Calls("get_agent"), 1);
  std::vector<int> versions;
  for (const FakeSessionView& session : world.service.Sessions()) {
    versions.push_back(session.agent_version);
  }
  // The first one's agent was made a moment before, so it has but one.
  EXPECT_THAT(versions, ElementsAre(0, 1, 1, 1));
}

}  // namespace
}  // namespace midwatch::testing
