// What nobody remembers is found, and only what is explained is ended.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/world.h"

namespace midwatch::testing {
namespace {

Async<void> LeaveSession(Node& node, std::string cluster, int& made) {
  absl::StatusOr<AgentRef> agent =
      co_await node.client.CreateAgent(R"({"name":"a","model":"m"})");
  absl::StatusOr<std::string> environment =
      co_await node.client.CreateEnvironment(R"({"name":"e"})");
  EXPECT_TRUE(agent.ok() && environment.ok());
  SessionSpec spec;
  spec.agent = agent.value_or(AgentRef());
  spec.environment_id = environment.value_or("");
  spec.budget_usd_micros = 1'000'000;
  if (!cluster.empty()) spec.metadata["midwatch_cluster"] = cluster;
  absl::StatusOr<Session> session =
      co_await node.client.CreateSession(std::move(spec), absl::Minutes(1));
  EXPECT_TRUE(session.ok()) << session.status();
  ++made;
}

// Sessions as creates that were never recorded leave them.
void LeaveSessions(World& world, Node& node, int count,
                   const std::string& cluster = "1f2e") {
  int made = 0;
  for (int i = 0; i < count; ++i) {
    Spawn(node.executor, LeaveSession(node, cluster, made));
  }
  ASSERT_TRUE(world.RunUntil([&] { return made == count; }));
  world.time.Advance(absl::Seconds(10));
}

TEST(SweepStoryTest, OnlyWhatIsOverIsEndedOnAllPages) {
  World world;
  Node& node = world.AddNode();
  LeaveSessions(world, node, 250);
  LeaveSessions(world, node, 3, "");
  std::vector<FakeSessionView> all = world.service.Sessions();
  ASSERT_EQ(all.size(), 253u);
  for (const FakeSessionView& session : all) {
    world.scheduler.fates[session.id] = v1::SESSION_FATE_SUPERSEDED;
  }
  world.scheduler.fates[all[3].id] = v1::SESSION_FATE_LIVE;
  world.scheduler.fates[all[120].id] = v1::SESSION_FATE_PENDING;
  world.scheduler.fates[all[130].id] = v1::SESSION_FATE_UNEXPLAINED;
  world.scheduler.fates[all[240].id] = v1::SESSION_FATE_FOREIGN;
  const absl::Time from = world.clock.Now() - absl::Hours(1);
  world.scheduler.sweep_from = from;
  ASSERT_TRUE(world.RunUntil([&] { return !world.scheduler.sweeps.empty(); }));
  int archived = 0;
  for (const FakeSessionView& session : world.service.Sessions()) {
    archived += session.archived;
  }
  EXPECT_EQ(archived, 246);
  for (size_t i : {3, 120, 130, 240, 250, 251, 252}) {
    EXPECT_FALSE(world.service.Find(all[i].id)->archived) << i;
  }
  const v1::CompleteSweepRequest& sweep = world.scheduler.sweeps.at(0);
  EXPECT_EQ(sweep.created_from().seconds(), absl::ToUnixSeconds(from));
  EXPECT_EQ(sweep.oldest_open().seconds(),
            absl::ToUnixSeconds(all[3].created_at));
  EXPECT_EQ(sweep.counts().listed(), 253);
  EXPECT_EQ(sweep.counts().superseded(), 246);
  EXPECT_EQ(sweep.counts().live(), 1);
  EXPECT_EQ(sweep.counts().pending(), 1);
  EXPECT_EQ(sweep.counts().unexplained(), 1);
  EXPECT_EQ(sweep.counts().foreign(), 1);
  EXPECT_EQ(sweep.counts().archived(), 246);
  EXPECT_EQ(sweep.counts().stopped(), 0);
  EXPECT_EQ(world.service.Calls("list_sessions"), 3);
}

TEST(SweepStoryTest, WhatStillRunsAndIsOverIsStopped) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.stop_reason = "never";
    return turn;
  };
  Node& first = world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntil([&] { return world.ChargedSessions() == 1; }));
  world.Task(id).settled = true;
  first.Crash();
  Node& second = world.AddNode();
  (void)second;
  const std::string session = world.OnlySession().id;
  EXPECT_EQ(world.OnlySession().status, "running");
  world.scheduler.fates[session] = v1::SESSION_FATE_SETTLED;
  world.scheduler.sweep_from = absl::UnixEpoch();
  ASSERT_TRUE(world.RunUntil([&] { return !world.scheduler.sweeps.empty(); }));
  EXPECT_TRUE(world.OnlySession().archived);
  EXPECT_EQ(world.scheduler.sweeps.at(0).counts().stopped(), 1);
  EXPECT_EQ(world.scheduler.late_costs.count(session), 1u)
      << "what it cost in the end is told";
}

TEST(SweepStoryTest, AnErrandStopsASessionThatOutranItsAttempt) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.stop_reason = "never";
    return turn;
  };
  Node& first = world.AddNode();
  world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntil([&] { return world.ChargedSessions() == 1; }));
  first.Crash();
  world.scheduler.errands = {world.OnlySession().id};
  world.AddNode();
  ASSERT_TRUE(
      world.RunUntil([&] { return !world.scheduler.completed.empty(); }));
  EXPECT_TRUE(world.OnlySession().archived);
  EXPECT_GE(world.OnlySession().interrupts, 1);
}

// A list that fails in the middle ends the sweep, and is no reason to forget
// what it had not come to.
TEST(SweepStoryTest, ASweepThatFailsIsNotComplete) {
  World world;
  Node& node = world.AddNode();
  LeaveSessions(world, node, 150);
  for (const FakeSessionView& session : world.service.Sessions()) {
    world.scheduler.fates[session.id] = v1::SESSION_FATE_SUPERSEDED;
  }
  world.OnCall("list_sessions", 2, Refuse(503, "api_error"));
  world.scheduler.sweep_from = absl::UnixEpoch();
  world.time.Advance(absl::Minutes(2));
  EXPECT_TRUE(world.scheduler.sweeps.empty());
  world.scheduler.sweep_from = absl::UnixEpoch();
  ASSERT_TRUE(world.RunUntil([&] { return !world.scheduler.sweeps.empty(); }));
  for (const FakeSessionView& session : world.service.Sessions()) {
    EXPECT_TRUE(session.archived);
  }
}

}  // namespace
}  // namespace midwatch::testing
