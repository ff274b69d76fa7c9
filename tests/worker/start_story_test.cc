#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/worker/world.h"

namespace midwatch::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = FakeFault::Kind;

TEST(StartStoryTest, HappyPath) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.message = "All done.";
    turn.cost_cents = 7;
    turn.files = {{"report.md", "# Report\n"}};
    return turn;
  };
  world.AddNode();
  v1::TaskSpec spec = World::Spec();
  spec.mutable_expect()->add_files("report.md");
  std::string id = world.scheduler.Add(spec);
  ASSERT_TRUE(world.RunUntilSettled(id));
  // Grant to settle: the turn, the file delay, and little else.
  EXPECT_LT(world.time.Elapsed(), absl::Seconds(4));
  world.Linger();

  const FakeTask& task = world.Task(id);
  EXPECT_EQ(task.ending.kind(), v1::Ending::KIND_IDLE);
  EXPECT_EQ(task.ending.stop_reason(), "end_turn");
  EXPECT_TRUE(task.ending.charged());
  EXPECT_FALSE(task.ending.has_failure());
  EXPECT_EQ(task.ending.list_cost_usd_micros(), 70'000);
  EXPECT_EQ(task.ending.final_message(), "All done.");
  ASSERT_EQ(task.ending.outputs_size(), 1);
  EXPECT_EQ(task.ending.outputs(0).path(), "report.md");
  EXPECT_EQ(task.ending.outputs(0).size_bytes(), 9);
  EXPECT_EQ(world.Artifact(task.ending.outputs(0).sha256()), "# Report\n");

  std::vector<FakeSessionView> sessions = world.service.Sessions();
  ASSERT_THAT(sessions, SizeIs(1));
  EXPECT_EQ(sessions[0].id, task.lease.session_id());
  EXPECT_EQ(sessions[0].title, "name of " + id + " #1");
  EXPECT_EQ(sessions[0].metadata, (std::map<std::string, std::string>{
                                      {"midwatch_cluster", "c1c1"},
                                      {"midwatch_task", id},
                                      {"midwatch_attempt", "1"},
                                      {"midwatch_nonce", task.nonces.at(0)}}));
  EXPECT_EQ(sessions[0].budget_cents, 100);
  EXPECT_THAT(sessions[0].user_messages, ElementsAre("Do it."));
  EXPECT_TRUE(sessions[0].archived);

  // Everything up to the idle is stored, in order: the queued echo first.
  std::vector<std::string> history = world.service.History(sessions[0].id);
  history.pop_back();  // the archive's
  ASSERT_EQ(task.events.size(), history.size() + 1);
  EXPECT_TRUE(
      std::equal(history.begin(), history.end(), task.events.begin() + 1));
  // create, send, archive; stream; agent and environment once.
  EXPECT_EQ(world.service.Calls("create_session"), 1);
  EXPECT_EQ(world.service.Calls("send_events"), 1);
  EXPECT_EQ(world.service.Calls("stream_events"), 1);
  EXPECT_EQ(world.service.Calls("list_events"), 0);
  EXPECT_EQ(world.service.Calls("get_session"), 0);
  EXPECT_EQ(world.service.Streams(sessions[0].id), 0);
}

// ---- Creates ----

TEST(StartStoryTest, LostCreateAnswerLeavesAnIdleSessionBehind) {
  World world;
  world.OnCall("create_session", 1, Lose(Kind::kLoseAnswer));
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  std::vector<FakeSessionView> sessions = world.service.Sessions();
  ASSERT_THAT(sessions, SizeIs(2));
  EXPECT_FALSE(sessions[0].charged);
  EXPECT_THAT(sessions[0].user_messages, IsEmpty());
  EXPECT_TRUE(sessions[1].charged);
  ASSERT_THAT(world.Task(id).nonces, SizeIs(2));
  EXPECT_EQ(sessions[0].metadata["midwatch_nonce"], world.Task(id).nonces[0]);
  EXPECT_EQ(sessions[1].metadata["midwatch_nonce"], world.Task(id).nonces[1]);
  EXPECT_NE(world.Task(id).nonces[0], world.Task(id).nonces[1]);
}

TEST(StartStoryTest, ThreeLostCreatesEndTheAttempt) {
  World world;
  for (int i = 1; i <= 4; ++i) {
    world.OnCall("create_session", i, Refuse(529, "overloaded_error"));
  }
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  const v1::Ending& ending = world.Task(id).ending;
  EXPECT_EQ(ending.kind(), v1::Ending::KIND_NOT_STARTED);
  EXPECT_FALSE(ending.charged());
  EXPECT_EQ(ending.failure().operation(), "create_session");
  EXPECT_EQ(ending.failure().http_status(), 529);
  EXPECT_EQ(ending.failure().error_type(), "overloaded_error");
  EXPECT_THAT(world.Task(id).nonces, SizeIs(3));
}

TEST(StartStoryTest, RateLimitedCreateAsksForAdviceAndTriesAgain) {
  World world;
  FakeFault limit = Refuse(429, "rate_limit_error");
  limit.retry_after = absl::Seconds(12);
  world.OnCall("create_session", 1, limit);
  world.scheduler.advise = [](const v1::AdviseRequest& request) {
    v1::AdviseResponse response;
    response.set_action(v1::AdviseResponse::ACTION_RETRY);
    *response.mutable_delay() = request.failure().retry_after();
    return response;
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_GT(world.time.Elapsed(), absl::Seconds(12));
  EXPECT_LT(world.time.Elapsed(), absl::Seconds(17));
  ASSERT_THAT(world.scheduler.advised(), SizeIs(1));
  EXPECT_EQ(world.scheduler.advised()[0].failure().http_status(), 429);
  EXPECT_FALSE(world.scheduler.advised()[0].session_idle());
  EXPECT_EQ(world.service.Calls("create_session"), 2);
}

// Operations that failed once each were waited for longer and longer, as if one
// had failed again and again.
TEST(StartStoryTest, AnOperationIsNotJudgedByAnothersFailures) {
  World world;
  world.OnCall("create_session", 1, Refuse(429, "rate_limit_error"));
  world.OnCall("send_events", 1, Refuse(429, "rate_limit_error"));
  world.OnCall("send_events", 2, Refuse(429, "rate_limit_error"));
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  std::vector<int> earlier;
  for (const v1::AdviseRequest& request : world.scheduler.advised()) {
    earlier.push_back(request.earlier_failures());
  }
  EXPECT_THAT(earlier, ElementsAre(0, 0, 1));
}

TEST(StartStoryTest, RefusedCreateEndsAsAdvised) {
  World world;
  world.OnCall("create_session", 1, Refuse(400, "invalid_request_error"));
  world.scheduler.advise = [](const v1::AdviseRequest&) {
    v1::AdviseResponse response;
    response.set_action(v1::AdviseResponse::ACTION_END);
    return response;
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_EQ(world.Task(id).ending.kind(), v1::Ending::KIND_NOT_STARTED);
  EXPECT_EQ(world.Task(id).ending.failure().http_status(), 400);
  EXPECT_EQ(world.service.Calls("create_session"), 1);
}

TEST(StartStoryTest, ManyTasksMakeOneAgentAndUploadAFileOnce) {
  World world;
  world.AddNode();
  std::string sha256 = SharedArtifacts().PutBytes("input bytes")->sha256;
  std::vector<std::string> ids;
  for (int i = 0; i < 60; ++i) {
    std::string id = world.scheduler.Add(World::Spec());
    v1::Input& input = *world.Task(id).lease.add_inputs();
    input.set_mount("in/data.txt");
    input.set_sha256(sha256);
    ids.push_back(id);
  }
  for (const std::string& id : ids) ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_EQ(world.service.agents(), 1);
  EXPECT_EQ(world.service.environments(), 1);
  EXPECT_EQ(world.service.Calls("upload_file"), 1);
  EXPECT_EQ(world.ChargedSessions(), 60);
  EXPECT_THAT(world.OnlySession().mounts, ElementsAre("in/data.txt"));
  EXPECT_EQ(world.scheduler.remote_ids().count("file:" + sha256), 1u);
}

TEST(StartStoryTest, AgentThatIsGoneIsMadeAgain) {
  World world;
  world.AddNode();
  std::string first = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(first));
  world.service.ForgetAgents();
  std::string second = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(second));
  EXPECT_EQ(world.Task(second).ending.stop_reason(), "end_turn");
  EXPECT_EQ(world.service.agents(), 2);
  EXPECT_EQ(world.service.Calls("create_session"), 3);
}

// ---- The first message ----

TEST(StartStoryTest, LostSendWhoseMessageArrivedIsNotRepeated) {
  World world;
  world.OnCall("send_events", 1, Lose(Kind::kLoseAnswer));
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_LT(world.time.Elapsed(), absl::Seconds(6));  // the stream showed it
  world.Linger();
  ExpectDoneOnce(world, id);
  EXPECT_EQ(world.service.Calls("send_events"), 1);
}

TEST(StartStoryTest, LostSendWhoseMessageIsNotSeenButRunsIsAdopted) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.duration = absl::Minutes(2);
    return turn;
  };
  // Nothing can be read for a while: neither stream nor history.
  world.service.hooks.on_stream_event = [](const std::string&) {
    return FakeStreamFault::kCut;
  };
  world.service.hooks.on_call = [](const FakeCall& call) {
    bool read = call.operation == "list_events" ||
                (call.operation == "stream_events" && call.number > 1);
    if (call.operation == "send_events") return Lose(Kind::kLoseAnswer);
    if (read && call.number < 8) return Refuse(503, "api_error");
    return FakeFault();
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntil(
      [&] { return world.service.Calls("archive_session") == 1; }));
  world.service.hooks.on_stream_event = nullptr;
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  ExpectDoneOnce(world, id);
  EXPECT_THAT(world.service.Sessions(), SizeIs(1));
}

TEST(StartStoryTest, LostSendWhoseMessageDidNotArriveIsFenced) {
  World world;
  world.OnCall("send_events", 1, Lose(Kind::kLoseRequest));
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_GT(world.time.Elapsed(), absl::Seconds(10));  // of silence
  world.Linger();
  ExpectDoneOnce(world, id);
  std::vector<FakeSessionView> sessions = world.service.Sessions();
  ASSERT_THAT(sessions, SizeIs(2));
  EXPECT_THAT(world.Task(id).cleared, ElementsAre(sessions[0].id));
  EXPECT_EQ(world.Task(id).lease.token().attempt(), 1);
}

TEST(StartStoryTest, MessageThatArrivesAfterTheFenceIsRefused) {
  World world;
  FakeFault late = Lose(Kind::kLoseAnswer);
  late.request_delay = absl::Minutes(2);
  world.OnCall("send_events", 1, late);
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.time.Advance(absl::Minutes(3));
  ExpectDoneOnce(world, id);
  EXPECT_THAT(world.service.Sessions(), SizeIs(2));
}

TEST(StartStoryTest, SendThatWasRefusedIsSentAgain) {
  World world;
  world.OnCall("send_events", 1, Refuse(429, "rate_limit_error"));
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  ExpectDoneOnce(world, id);
  EXPECT_EQ(world.service.Calls("send_events"), 2);
  EXPECT_EQ(world.scheduler.advised().at(0).failure().operation(),
            "send_message");
}

}  // namespace
}  // namespace midwatch::testing
