// What is the service's trouble, or ours, must not become the task's, and money
// that may have been spent counts as spent.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/worker/world.h"

namespace midwatch::testing {
namespace {

using ::testing::SizeIs;
using Kind = FakeFault::Kind;

bool Reads(const FakeCall& call) {
  return call.operation == "stream_events" || call.operation == "list_events" ||
         call.operation == "get_session";
}

v1::AdviseResponse Advice(v1::AdviseResponse::Action action) {
  v1::AdviseResponse response;
  response.set_action(action);
  return response;
}

// A session that could not be heard for longer than its idle timeout was taken
// for a silent one, and its task failed.
TEST(OutageStoryTest, ASessionThatCannotBeHeardIsNotSilent) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.duration = absl::Minutes(5);
    turn.tool_calls = 0;
    return turn;
  };
  bool down = false;
  world.service.hooks.on_call = [&](const FakeCall& call) {
    return down && Reads(call) ? Refuse(503, "api_error") : FakeFault();
  };
  world.AddNode();
  v1::TaskSpec spec = World::Spec();
  spec.mutable_timeouts()->mutable_idle()->set_seconds(600);
  std::string id = world.scheduler.Add(spec);
  ASSERT_TRUE(world.RunUntil([&] { return world.ChargedSessions() == 1; }));
  down = true;
  world.service.CutStreams();
  world.time.Advance(absl::Minutes(20));
  EXPECT_FALSE(world.Task(id).settled);
  down = false;
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  ExpectDoneOnce(world, id);
}

// A message that the service took was settled as never charged where nobody saw
// it processed, and its whole budget was free for another attempt beside it.
TEST(OutageStoryTest, AMessageThatWasTakenCountsAsCharged) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.queued_for = absl::Hours(1);
    return turn;
  };
  bool gone = false;
  world.service.hooks.on_call = [&](const FakeCall& call) {
    return gone && Reads(call) ? Refuse(404, "not_found_error") : FakeFault();
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntil([&] { return world.Messaged(); }));
  world.time.Advance(absl::Seconds(1));
  gone = true;
  world.service.CutStreams();
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_TRUE(world.Task(id).ending.charged());
  EXPECT_FALSE(world.Task(id).ending.has_list_cost_usd_micros());
}

// What a running session had cost when it was last read was settled as its
// cost, and the rest of its reservation was free while it spent on.
TEST(OutageStoryTest, AnAdopterThatCannotReadKnowsNoCost) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.duration = absl::Minutes(30);
    turn.tool_calls = 4;
    return turn;
  };
  Node& first = world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntil([&] {
    return world.Task(id).lease.phase() == v1::ATTEMPT_PHASE_RUNNING;
  }));
  world.time.Advance(absl::Minutes(10));
  first.Crash();
  world.service.hooks.on_call = [](const FakeCall& call) {
    return call.operation == "list_events" ? Refuse(529, "overloaded_error")
                                           : FakeFault();
  };
  world.scheduler.advise = [](const v1::AdviseRequest&) {
    return Advice(v1::AdviseResponse::ACTION_END);
  };
  world.AddNode();
  world.scheduler.Lapse(world.scheduler.worker_id(0));
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_EQ(world.Task(id).ending.kind(), v1::Ending::KIND_BROKEN);
  EXPECT_TRUE(world.Task(id).ending.charged());
  EXPECT_FALSE(world.Task(id).ending.has_list_cost_usd_micros());
}

// A fenced session that had come to ask something was settled as one that
// nobody had answered in time, which nothing follows.
TEST(OutageStoryTest, AFencedSessionThatAsksIsBrokenOff) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.stop_reason = "requires_action";
    return turn;
  };
  FakeFault late, later;
  late.request_delay = absl::Seconds(3);
  later.request_delay = absl::Seconds(10);
  world.OnCall("send_events", 1, late);
  world.OnCall("archive_session", 1, later);
  Node& first = world.AddNode();
  world.AddNode();
  world.time.Advance(absl::Seconds(1));
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(
      world.RunUntil([&] { return world.service.Calls("send_events") == 1; }));
  first.Crash();
  world.scheduler.Lapse(world.scheduler.worker_id(0));
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_EQ(world.ChargedSessions(), 1);
  EXPECT_EQ(world.Task(id).ending.kind(), v1::Ending::KIND_BROKEN);
  EXPECT_TRUE(world.Task(id).ending.charged());
}

// A service that refused to archive an idle session made its task's spec a bad
// one, for good.
TEST(OutageStoryTest, ASessionThatCannotBeFencedIsTheServicesTrouble) {
  World world;
  world.service.hooks.on_call = [](const FakeCall& call) {
    return call.operation == "archive_session"
               ? Refuse(400, "invalid_request_error")
               : FakeFault();
  };
  Node& first = world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntil(
      [&] { return !world.Task(id).lease.session_id().empty(); }));
  first.Crash();
  world.scheduler.advise = [](const v1::AdviseRequest&) {
    return Advice(v1::AdviseResponse::ACTION_END);
  };
  world.AddNode();
  world.scheduler.Lapse(world.scheduler.worker_id(0));
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_EQ(world.Task(id).ending.kind(), v1::Ending::KIND_BROKEN);
  EXPECT_EQ(world.Task(id).ending.failure().http_status(), 409);
}

// Creates that were refused, and so made nothing, counted as lost ones to the
// next holder.
TEST(OutageStoryTest, ARefusedCreateNeedsNoOtherNonce) {
  World world;
  for (int i = 1; i <= 3; ++i) {
    world.OnCall("create_session", i, Refuse(429, "rate_limit_error"));
  }
  world.OnCall("create_session", 4, Lose(Kind::kLoseAnswer));
  world.scheduler.advise = [](const v1::AdviseRequest&) {
    return Advice(v1::AdviseResponse::ACTION_RETRY);
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_EQ(world.Task(id).ending.stop_reason(), "end_turn");
  EXPECT_EQ(world.service.Calls("create_session"), 5);
  const std::vector<std::string>& nonces = world.Task(id).nonces;
  EXPECT_THAT(std::set(nonces.begin(), nonces.end()), SizeIs(2));
}

// An attempt whose lease could not even be given back stayed that worker's, and
// was run by nobody until the worker ended.
TEST(OutageStoryTest, ALeaseThatCannotBeGivenBackIsFreedAllTheSame) {
  World world;
  bool broken = true;
  world.scheduler.on_call = [&](const std::string& method) {
    FakeCallFault fault;
    if (broken && (method == "AppendEvents" || method == "HandBack")) {
      fault.before = absl::InternalError("no luck");
    }
    return fault;
  };
  Node& node = world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntil([&] { return world.ChargedSessions() == 1; }));
  ASSERT_TRUE(world.RunUntil([&] { return node.worker.live_attempts() == 0; }));
  broken = false;
  ASSERT_TRUE(world.RunUntilSettled(id, absl::Minutes(5)));
  world.Linger();
  ExpectDoneOnce(world, id);
}

// Workers restarted with a key of another workspace took every session for a
// deleted one, which failed their tasks and charged them whole.
// A task whose session runs for ten minutes, and whose worker has died.
std::string OrphanedInItsTurn(World& world) {
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.duration = absl::Minutes(10);
    return turn;
  };
  Node& first = world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  EXPECT_TRUE(world.RunUntil([&] {
    return world.Task(id).lease.phase() == v1::ATTEMPT_PHASE_RUNNING;
  }));
  first.Crash();
  return id;
}

// A task that ended well succeeded without the files that it had left.
TEST(OutageStoryTest, OutputsThatTheAccountKeepsBackAreNotGivenUp) {
  World world;
  world.scheduler.advise = [](const v1::AdviseRequest&) {
    v1::AdviseResponse response;
    response.set_action(v1::AdviseResponse::ACTION_END);
    return response;
  };
  world.OnCall("list_files", 1, Refuse(401, "authentication_error"));
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  // Which keeps the session: scheduler/account_state.h.
  EXPECT_EQ(world.Task(id).ending.kind(), v1::Ending::KIND_BROKEN);
  EXPECT_EQ(world.Task(id).ending.failure().http_status(), 401);
}

// A proxy's page in place of the service's words says nothing of the session.
TEST(OutageStoryTest, ABareNotFoundDeletesNoSession) {
  World world;
  std::string id = OrphanedInItsTurn(world);
  world.service.hooks.on_call = [&](const FakeCall& call) {
    return Reads(call) ? Refuse(404, "") : FakeFault();
  };
  world.AddNode();
  world.scheduler.Lapse(world.scheduler.worker_id(0));
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_EQ(world.Task(id).ending.kind(), v1::Ending::KIND_BROKEN);
  EXPECT_FALSE(world.Task(id).ending.has_list_cost_usd_micros());
}

TEST(OutageStoryTest, AKeyOfAnotherWorkspaceIsTheAccountsTrouble) {
  World world;
  std::string id = OrphanedInItsTurn(world);
  bool agents_too = true;
  world.service.hooks.on_call = [&](const FakeCall& call) {
    return Reads(call) || (agents_too && call.operation == "get_agent")
               ? Refuse(404, "not_found_error")
               : FakeFault();
  };
  world.AddNode();
  world.scheduler.Lapse(world.scheduler.worker_id(0));
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_EQ(world.Task(id).ending.kind(), v1::Ending::KIND_BROKEN);
  EXPECT_EQ(world.Task(id).ending.failure().http_status(), 403);
  // A session alone that is gone was deleted.
  world.Task(id).settled = false;
  agents_too = false;
  world.scheduler.Free(id);
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_EQ(world.Task(id).ending.kind(), v1::Ending::KIND_DELETED);
}

}  // namespace
}  // namespace midwatch::testing
