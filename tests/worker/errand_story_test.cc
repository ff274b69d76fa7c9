// What is left of an attempt after its settle.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/world.h"

namespace midwatch::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ErrandStoryTest, WhoSettlesArchivesAndSaysSo) {
  World world;
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  ExpectDoneOnce(world, id);
  EXPECT_THAT(world.scheduler.completed, ElementsAre(world.OnlySession().id));
}

TEST(ErrandStoryTest, AnotherWorkerArchivesWhatADeadOneLeft) {
  World world;
  Node& first = world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  first.Crash();
  world.Linger();
  EXPECT_FALSE(world.OnlySession().archived);
  world.scheduler.errands = {world.OnlySession().id};
  world.AddNode();
  ASSERT_TRUE(
      world.RunUntil([&] { return !world.scheduler.completed.empty(); }));
  ExpectDoneOnce(world, id);
  EXPECT_THAT(world.scheduler.completed, ElementsAre(world.OnlySession().id));
}

TEST(ErrandStoryTest, WhatCannotBeArchivedStaysAnErrand) {
  World world;
  bool down = true;
  world.service.hooks.on_call = [&](const FakeCall& call) {
    return down && call.operation == "archive_session"
               ? Refuse(503, "api_error")
               : FakeFault();
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  EXPECT_FALSE(world.OnlySession().archived);
  EXPECT_THAT(world.scheduler.completed, IsEmpty());
  down = false;
  world.scheduler.errands = {world.OnlySession().id};
  ASSERT_TRUE(
      world.RunUntil([&] { return !world.scheduler.completed.empty(); }));
  ExpectDoneOnce(world, id);
}

TEST(ErrandStoryTest, ACostThatComesWithTheArchiveIsSaid) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.cost_cents = 7;
    turn.hides_cost = true;
    return turn;
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_TRUE(world.Task(id).ending.charged());
  EXPECT_FALSE(world.Task(id).ending.has_list_cost_usd_micros());
  world.Linger();
  EXPECT_EQ(world.scheduler.late_costs[world.OnlySession().id], 70'000);
}

// It need not say that it cost nothing: it has no word of a cost.
TEST(ErrandStoryTest, ASessionThatNeverBeganCostNothing) {
  World world;
  // Neither its prompt nor any of the tries to see it arrives.
  bool down = false;
  world.service.hooks.on_call = [&](const FakeCall& call) {
    FakeFault fault;
    if (call.operation == "send_events") down = true;
    if (!down) return fault;
    fault.kind = FakeFault::Kind::kRefuse;
    fault.status = 401;
    fault.error_type = "authentication_error";
    if (call.operation == "send_events") {
      fault.kind = FakeFault::Kind::kLoseRequest;
    }
    return fault;
  };
  world.scheduler.advise = [](const v1::AdviseRequest&) {
    v1::AdviseResponse response;
    response.set_action(v1::AdviseResponse::ACTION_END);
    return response;
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_TRUE(world.Task(id).ending.charged()) << "nobody can tell";
  world.service.hooks.on_call = nullptr;
  world.scheduler.errands = {world.OnlySession().id};
  ASSERT_TRUE(
      world.RunUntil([&] { return !world.scheduler.completed.empty(); }));
  EXPECT_EQ(world.scheduler.late_costs.at(world.OnlySession().id), 0);
}

TEST(ErrandStoryTest, ASessionThatIsGoneIsDoneWith) {
  World world;
  world.AddNode();
  world.scheduler.errands = {"sesn_of_another_life"};
  ASSERT_TRUE(
      world.RunUntil([&] { return !world.scheduler.completed.empty(); }));
  EXPECT_THAT(world.scheduler.completed, ElementsAre("sesn_of_another_life"));
}

}  // namespace
}  // namespace midwatch::testing
