#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/world.h"

namespace midwatch::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

// ---- Adoption ----

TEST(AdoptionStoryTest, AdopterInSendingGoesOnWhereTheMessageIsThere) {
  World world;
  Node& first = world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntil([&] { return world.Messaged(); }));
  first.Crash();
  ASSERT_EQ(world.Task(id).lease.phase(), v1::ATTEMPT_PHASE_SENDING);
  world.AddNode();
  world.scheduler.Lapse(world.scheduler.worker_id(0));
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  ExpectDoneOnce(world, id);
  EXPECT_THAT(world.service.Sessions(), SizeIs(1));
  EXPECT_EQ(world.service.Calls("send_events"), 1);
}

TEST(AdoptionStoryTest, AdopterInSendingFencesWhereItIsNot) {
  World world;
  Node& first = world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntil(
      [&] { return !world.Task(id).lease.session_id().empty(); }));
  ASSERT_FALSE(world.Messaged());
  first.Crash();
  world.AddNode();
  world.scheduler.Lapse(world.scheduler.worker_id(0));
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  ExpectDoneOnce(world, id);
  EXPECT_THAT(world.service.Sessions(), SizeIs(2));
  EXPECT_THAT(world.Task(id).cleared, SizeIs(1));
}

// The holder's message is under way while another fences: whenever it comes,
// exactly one session is charged, and the task is done.
class LateMessageTest : public ::testing::TestWithParam<int> {};
TEST_P(LateMessageTest, IsChargedAtMostOnce) {
  World world;
  FakeFault late;
  late.request_delay = absl::Milliseconds(GetParam());
  world.OnCall("send_events", 1, late);
  Node& first = world.AddNode();
  world.AddNode();
  world.time.Advance(absl::Seconds(1));
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(
      world.RunUntil([&] { return world.service.Calls("send_events") == 1; }));
  first.Crash();
  world.scheduler.Lapse(world.scheduler.worker_id(0));
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  const v1::Ending& ending = world.Task(id).ending;
  EXPECT_LE(world.ChargedSessions(), 1);
  EXPECT_EQ(ending.charged(), world.ChargedSessions() == 1);
  if (ending.kind() == v1::Ending::KIND_BROKEN) {
    // Archived while it was queued: never processed, so never charged.
    EXPECT_FALSE(ending.charged());
    EXPECT_EQ(ending.failure().operation(), "archive_session");
  } else {
    ExpectDoneOnce(world, id);
  }
}
INSTANTIATE_TEST_SUITE_P(Delays, LateMessageTest, ::testing::Range(0, 100, 4));

TEST(AdoptionStoryTest, SecondSessionOfAnAttemptIsArchivedAndTheFirstAdopted) {
  World world;
  // The answer of the first RecordSession is lost together with its worker's
  // memory of it: another session stands recorded when the second comes.
  std::string other;
  world.scheduler.on_call = [&](const std::string& method) {
    if (method == "RecordSession" && other.empty()) {
      HttpRequest create;
      create.method = "POST";
      create.url = "https://agents.test/v1/sessions";
      create.headers = {{"x-api-key", "key"}, {"anthropic-beta", "b"}};
      FakeSessionView own = world.OnlySession();
      world.service.Handle(create,
                           R"({"agent":")" + own.agent_id +
                               R"(","environment_id":")" + own.environment_id +
                               R"("})",
                           nullptr);
      other = world.service.Sessions().at(1).id;
      world.scheduler.task("task-001").lease.set_session_id(other);
    }
    return FakeCallFault();
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  ExpectDoneOnce(world, id);
  // Adopted in SENDING, so fenced and cleared, never sent to.
  EXPECT_THAT(world.Task(id).cleared, ElementsAre(other));
  EXPECT_THAT(world.service.Sessions(), SizeIs(3));
}

TEST(AdoptionStoryTest, AbortedRecordArchivesItsOwnSession) {
  World world;
  world.scheduler.on_call = [](const std::string& method) {
    FakeCallFault fault;
    if (method == "RecordSession") fault.before = absl::AbortedError("lost");
    return fault;
  };
  Node& node = world.AddNode();
  world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntil(
      [&] { return world.service.Calls("archive_session") == 1; }));
  world.Linger();
  EXPECT_TRUE(world.OnlySession().archived);
  EXPECT_FALSE(world.OnlySession().charged);
  EXPECT_EQ(node.worker.live_attempts(), 0);
}

TEST(AdoptionStoryTest, DrainHandsBackAndAnotherAdoptsWithoutAGap) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.duration = absl::Minutes(5);
    turn.tool_calls = 5;
    return turn;
  };
  Node& first = world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  world.time.Advance(absl::Seconds(30));
  ASSERT_EQ(world.Task(id).lease.phase(), v1::ATTEMPT_PHASE_RUNNING);
  world.AddNode();
  bool drained = false;
  first.executor.Post([&] { first.worker.Drain([&] { drained = true; }); });
  ASSERT_TRUE(world.RunUntil([&] { return drained; }, absl::Seconds(1)));
  EXPECT_EQ(world.Task(id).handed_back, 1);
  EXPECT_EQ(first.worker.live_attempts(), 0);
  first.Crash();
  // While nobody watches, the session goes on.
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  ExpectDoneOnce(world, id);
  std::vector<std::string> history =
      world.service.History(world.OnlySession().id);
  history.pop_back();  // the archive's
  // The queued echo comes before its processed twin.
  EXPECT_EQ(std::vector<std::string>(world.Task(id).events.begin() + 1,
                                     world.Task(id).events.end()),
            history);
}

TEST(AdoptionStoryTest, DrainRightAfterTheSendLeavesNothingToFence) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.duration = absl::Minutes(1);
    return turn;
  };
  Node& first = world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntil([&] { return world.Messaged(); }));
  bool drained = false;
  first.executor.Post([&] { first.worker.Drain([&] { drained = true; }); });
  ASSERT_TRUE(world.RunUntil([&] { return drained; }, absl::Seconds(3)));
  EXPECT_EQ(world.Task(id).lease.phase(), v1::ATTEMPT_PHASE_RUNNING);
  world.AddNode();
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  ExpectDoneOnce(world, id);
  EXPECT_EQ(world.service.Calls("archive_session"), 1);
}

// What it holds cannot be given back, and waits for slots that never come.
TEST(AdoptionStoryTest, ADrainEndsWithTheTermWhereTheSchedulerIsGone) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.duration = absl::Seconds(35);
    return turn;
  };
  bool dry = false;
  world.scheduler.slots = [&](const v1::AskSlotsRequest& request) {
    v1::AskSlotsResponse response;
    for (const v1::SlotWish& wish : request.wishes()) {
      v1::SlotGrant& grant = *response.add_grants();
      grant.mutable_ask_again()->set_seconds(1);
      for (int i = 0; !dry && i < wish.count(); ++i) grant.add_offsets();
    }
    return response;
  };
  Node& node = world.AddNode();
  world.scheduler.Add(World::Spec());
  world.time.Advance(absl::Seconds(30));
  dry = true;  // so its outputs are not listed
  world.time.Advance(absl::Seconds(10));
  world.scheduler.on_call = [](const std::string&) {
    return FakeCallFault{absl::UnavailableError("gone"), absl::OkStatus()};
  };
  bool drained = false;
  node.executor.Post([&] { node.worker.Drain([&] { drained = true; }); });
  EXPECT_TRUE(world.RunUntil([&] { return drained; }, absl::Minutes(2)));
}

TEST(AdoptionStoryTest, DrainedWorkerTakesNothingMore) {
  World world;
  Node& node = world.AddNode();
  world.time.Advance(absl::Seconds(1));
  bool drained = false;
  node.executor.Post([&] { node.worker.Drain([&] { drained = true; }); });
  world.time.Advance(absl::Seconds(1));
  EXPECT_TRUE(drained);
  std::string id = world.scheduler.Add(World::Spec());
  world.time.Advance(absl::Minutes(1));
  EXPECT_EQ(world.Task(id).grants, 0);
}

// ---- Losing the lease ----

TEST(AdoptionStoryTest, RevokedAttemptEndsAtOnceAndSaysNothingMore) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.stop_reason = "never";
    return turn;
  };
  Node& node = world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  world.time.Advance(absl::Seconds(5));
  ASSERT_EQ(node.worker.live_attempts(), 1);
  world.scheduler.Revoke(id);
  world.time.Advance(absl::Milliseconds(100));
  EXPECT_EQ(node.worker.live_attempts(), 0);
  EXPECT_EQ(world.service.Streams(world.OnlySession().id), 0);
  int sends = world.service.Calls("send_events");
  world.time.Advance(absl::Minutes(10));
  EXPECT_EQ(world.service.Calls("send_events"), sends);
  EXPECT_FALSE(world.Task(id).settled);
  EXPECT_FALSE(world.OnlySession().archived);
}

TEST(AdoptionStoryTest, WorkerThatSleptDropsItsAttemptsAndRegistersAnew) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.duration = absl::Minutes(3);
    return turn;
  };
  Node& node = world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  world.time.Advance(absl::Seconds(5));
  node.clock.Suspend(absl::Minutes(1));
  world.scheduler.Lapse(world.scheduler.worker_id(0));
  world.time.Advance(absl::Seconds(11));
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  EXPECT_EQ(world.Task(id).grants, 2);
  ExpectDoneOnce(world, id);
}

TEST(AdoptionStoryTest, NoPostStartsInTheQuietEndOfTheTerm) {
  World world;
  bool reachable = true;
  world.scheduler.on_call = [&](const std::string& method) {
    FakeCallFault fault;
    if (method == "RenewWorker" && !reachable) {
      fault.before = absl::UnavailableError("out of reach");
    }
    return fault;
  };
  world.AddNode();
  world.time.Advance(absl::Seconds(1));
  reachable = false;
  world.time.Advance(absl::Seconds(25));  // 4 s of the term are left
  world.scheduler.Add(World::Spec());
  world.time.Advance(absl::Seconds(3));
  EXPECT_EQ(world.service.Calls("create_session"), 0);
  reachable = true;
  world.time.Advance(absl::Seconds(10));
  EXPECT_EQ(world.service.Calls("create_session"), 1);
}

TEST(AdoptionStoryTest, SettleIsRepeatedUntilItIsAnswered) {
  World world;
  int settles = 0;
  world.scheduler.on_call = [&](const std::string& method) {
    FakeCallFault fault;
    if (method != "Settle") return fault;
    ++settles;
    if (settles < 3) fault.before = absl::UnavailableError("away");
    if (settles == 3) fault.after = absl::DeadlineExceededError("lost");
    return fault;
  };
  Node& node = world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  ExpectDoneOnce(world, id);
  EXPECT_EQ(settles, 4);
  EXPECT_EQ(node.worker.live_attempts(), 0);
}

}  // namespace
}  // namespace midwatch::testing
