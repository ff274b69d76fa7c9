#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/worker/world.h"

namespace midwatch::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = FakeFault::Kind;

FakeFault Lose(Kind kind) {
  FakeFault fault;
  fault.kind = kind;
  return fault;
}

FakeFault Refuse(int status, std::string type) {
  FakeFault fault;
  fault.kind = Kind::kRefuse;
  fault.status = status;
  fault.error_type = std::move(type);
  return fault;
}

// What must hold of every story that ends well.
void ExpectDoneOnce(World& world, const std::string& id) {
  const FakeTask& task = world.Task(id);
  EXPECT_EQ(task.ending.kind(), v1::Ending::KIND_IDLE);
  EXPECT_EQ(task.ending.stop_reason(), "end_turn");
  EXPECT_TRUE(task.ending.charged());
  EXPECT_EQ(world.ChargedSessions(), 1);
  int messages = 0;
  for (const FakeSessionView& session : world.service.Sessions()) {
    EXPECT_TRUE(session.archived) << session.id << " is left behind";
    EXPECT_EQ(session.charged, session.id == task.lease.session_id());
    messages += static_cast<int>(session.user_messages.size());
  }
  EXPECT_EQ(messages, 1);
}

TEST(AttemptStoryTest, HappyPath) {
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
  EXPECT_EQ(sessions[0].metadata,
            (std::map<std::string, std::string>{
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
  EXPECT_TRUE(std::equal(history.begin(), history.end(),
                         task.events.begin() + 1));
  // create, send, archive; stream; agent and environment once.
  EXPECT_EQ(world.service.Calls("create_session"), 1);
  EXPECT_EQ(world.service.Calls("send_events"), 1);
  EXPECT_EQ(world.service.Calls("stream_events"), 1);
  EXPECT_EQ(world.service.Calls("list_events"), 0);
  EXPECT_EQ(world.service.Calls("get_session"), 0);
  EXPECT_EQ(world.service.Streams(sessions[0].id), 0);
}


// ---- Creates ----

TEST(AttemptStoryTest, LostCreateAnswerLeavesAnIdleSessionBehind) {
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

TEST(AttemptStoryTest, ThreeLostCreatesEndTheAttempt) {
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

TEST(AttemptStoryTest, RateLimitedCreateAsksForAdviceAndTriesAgain) {
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

TEST(AttemptStoryTest, RefusedCreateEndsAsAdvised) {
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

TEST(AttemptStoryTest, ManyTasksMakeOneAgentAndUploadAFileOnce) {
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

TEST(AttemptStoryTest, AgentThatIsGoneIsMadeAgain) {
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

TEST(AttemptStoryTest, LostSendWhoseMessageArrivedIsNotRepeated) {
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

TEST(AttemptStoryTest, LostSendWhoseMessageIsNotSeenButRunsIsAdopted) {
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

TEST(AttemptStoryTest, LostSendWhoseMessageDidNotArriveIsFenced) {
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

TEST(AttemptStoryTest, MessageThatArrivesAfterTheFenceIsRefused) {
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

TEST(AttemptStoryTest, SendThatWasRefusedIsSentAgain) {
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

// ---- Adoption ----

TEST(AttemptStoryTest, AdopterInSendingGoesOnWhereTheMessageIsThere) {
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

TEST(AttemptStoryTest, AdopterInSendingFencesWhereItIsNot) {
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
  ASSERT_TRUE(world.RunUntil(
      [&] { return world.service.Calls("send_events") == 1; }));
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

TEST(AttemptStoryTest, SecondSessionOfAnAttemptIsArchivedAndTheFirstAdopted) {
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
      world.service.Handle(
          create,
          R"({"agent":")" + own.agent_id + R"(","environment_id":")" +
              own.environment_id + R"("})",
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

TEST(AttemptStoryTest, AbortedRecordArchivesItsOwnSession) {
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

TEST(AttemptStoryTest, DrainHandsBackAndAnotherAdoptsWithoutAGap) {
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

// ---- Streams ----

TEST(AttemptStoryTest, CutAndDoubledStreamsLoseAndRepeatNothing) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.duration = absl::Seconds(20);
    turn.tool_calls = 4;
    return turn;
  };
  int events = 0;
  world.service.hooks.on_stream_event = [&](const std::string&) {
    ++events;
    return events % 5 == 4   ? FakeStreamFault::kCut
           : events % 2 == 0 ? FakeStreamFault::kDouble
                             : FakeStreamFault::kNone;
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  ExpectDoneOnce(world, id);
  EXPECT_GT(world.service.Calls("stream_events"), 1);
  std::vector<std::string> history =
      world.service.History(world.OnlySession().id);
  history.pop_back();
  EXPECT_EQ(std::vector<std::string>(world.Task(id).events.begin() + 1,
                                     world.Task(id).events.end()),
            history);
}

TEST(AttemptStoryTest, DeletedSessionIsReported) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.stop_reason = "never";
    return turn;
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  world.time.Advance(absl::Seconds(5));
  world.service.DeleteSession(world.OnlySession().id);
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_EQ(world.Task(id).ending.kind(), v1::Ending::KIND_DELETED);
  EXPECT_TRUE(world.Task(id).ending.charged());
  EXPECT_FALSE(world.Task(id).ending.has_list_cost_usd_micros());
}

// ---- Losing the lease ----

TEST(AttemptStoryTest, RevokedAttemptEndsAtOnceAndSaysNothingMore) {
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

TEST(AttemptStoryTest, WorkerThatSleptDropsItsAttemptsAndRegistersAnew) {
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

TEST(AttemptStoryTest, NoPostStartsInTheQuietEndOfTheTerm) {
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

TEST(AttemptStoryTest, SettleIsRepeatedUntilItIsAnswered) {
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

// ---- Cancel ----

TEST(AttemptStoryTest, CancelInterruptsAndCollects) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.stop_reason = "never";
    turn.cost_cents = 3;
    return turn;
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  world.time.Advance(absl::Seconds(5));
  world.scheduler.Cancel(id);
  ASSERT_TRUE(world.RunUntilSettled(id, absl::Seconds(5)));
  world.Linger();
  const v1::Ending& ending = world.Task(id).ending;
  EXPECT_EQ(ending.kind(), v1::Ending::KIND_IDLE);
  EXPECT_FALSE(ending.finished_before_interrupt());
  EXPECT_EQ(ending.list_cost_usd_micros(), 30'000);
  EXPECT_EQ(world.OnlySession().interrupts, 1);
  EXPECT_TRUE(world.Task(id).lease.outbox(0).said());
}

TEST(AttemptStoryTest, CancelAfterTheTurnSaysThatItHadFinished) {
  World world;
  v1::TaskSpec spec = World::Spec();
  spec.mutable_expect()->add_files("never-written");
  world.AddNode();
  std::string id = world.scheduler.Add(spec);
  world.time.Advance(absl::Seconds(5));  // looking for the file
  world.scheduler.Cancel(id);
  ASSERT_TRUE(world.RunUntilSettled(id));
  const v1::Ending& ending = world.Task(id).ending;
  EXPECT_EQ(ending.kind(), v1::Ending::KIND_IDLE);
  EXPECT_TRUE(ending.finished_before_interrupt());
  EXPECT_EQ(world.OnlySession().interrupts, 0);
}

TEST(AttemptStoryTest, CancelBeforeTheSessionStartsNone) {
  World world;
  world.scheduler.on_call = [&](const std::string& method) {
    if (method == "FindRemoteIds") world.scheduler.Cancel("task-001");
    return FakeCallFault();
  };
  world.OnCall("create_session", 1, Refuse(429, "rate_limit_error"));
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_EQ(world.Task(id).ending.kind(), v1::Ending::KIND_NOT_STARTED);
  EXPECT_FALSE(world.Task(id).ending.charged());
  EXPECT_THAT(world.service.Sessions(), IsEmpty());
}

TEST(AttemptStoryTest, CancelThatFindsNoRestGivesUpAfterTwoMinutes) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.stop_reason = "never";
    return turn;
  };
  world.service.hooks.on_call = [](const FakeCall& call) {
    return call.operation == "send_events" && call.number > 1
               ? Lose(Kind::kLoseRequest)
               : FakeFault();
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  world.time.Advance(absl::Seconds(5));
  world.scheduler.Cancel(id);
  ASSERT_TRUE(world.RunUntilSettled(id, absl::Minutes(3)));
  EXPECT_GE(world.time.Elapsed(), absl::Seconds(125));
  const v1::Ending& ending = world.Task(id).ending;
  EXPECT_EQ(ending.kind(), v1::Ending::KIND_BROKEN);
  EXPECT_EQ(ending.failure().operation(), "cancel_timeout");
  EXPECT_TRUE(ending.charged());
  // It still spends: unknown, so the reservation.
  EXPECT_FALSE(ending.has_list_cost_usd_micros());
}

// ---- Nudges and further messages ----

v1::AdviseResponse Nudge(const v1::AdviseRequest& request) {
  v1::AdviseResponse response;
  if (!request.session_idle() || request.earlier_failures() > 0) {
    response.set_action(v1::AdviseResponse::ACTION_END);
    return response;
  }
  response.set_action(v1::AdviseResponse::ACTION_NUDGE);
  response.mutable_delay()->set_seconds(10);
  response.mutable_say()->set_kind(v1::SAY_KIND_MESSAGE);
  response.mutable_say()->set_key("nudge:1");
  response.mutable_say()->set_text("Please go on.");
  return response;
}

FakeTurn Exhausted() {
  FakeTurn turn;
  turn.stop_reason = "retries_exhausted";
  turn.error_type = "model_overloaded_error";
  return turn;
}

TEST(AttemptStoryTest, ExhaustedRetriesAreNudged) {
  World world;
  world.service.hooks.script = [](const FakePrompt& prompt) {
    return prompt.number == 1 ? Exhausted() : FakeTurn();
  };
  world.scheduler.advise = Nudge;
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  EXPECT_GT(world.time.Elapsed(), absl::Seconds(10));
  EXPECT_EQ(world.Task(id).ending.stop_reason(), "end_turn");
  EXPECT_FALSE(world.Task(id).ending.has_failure());
  EXPECT_THAT(world.OnlySession().user_messages,
              ElementsAre("Do it.", "Please go on."));
  EXPECT_TRUE(world.Task(id).lease.outbox(0).said());
  EXPECT_EQ(world.scheduler.advised()[0].failure().error_type(),
            "model_overloaded_error");
  EXPECT_EQ(world.scheduler.advised()[0].failure().retry_status(),
            "exhausted");
}

TEST(AttemptStoryTest, ExhaustedAgainEndsAsAdvised) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) { return Exhausted(); };
  world.scheduler.advise = Nudge;
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  const v1::Ending& ending = world.Task(id).ending;
  EXPECT_EQ(ending.kind(), v1::Ending::KIND_IDLE);
  EXPECT_EQ(ending.stop_reason(), "retries_exhausted");
  EXPECT_EQ(ending.failure().error_type(), "model_overloaded_error");
  EXPECT_THAT(world.OnlySession().user_messages, SizeIs(2));
}

TEST(AttemptStoryTest, FurtherMessageIsSaidOnceAndWaitedFor) {
  for (Kind kind : {Kind::kNone, Kind::kLoseAnswer, Kind::kLoseRequest}) {
    World world;
    world.service.hooks.script = [](const FakePrompt&) {
      FakeTurn turn;
      turn.duration = absl::Seconds(30);
      return turn;
    };
    world.OnCall("send_events", 2, Lose(kind));
    world.AddNode();
    std::string id = world.scheduler.Add(World::Spec());
    world.time.Advance(absl::Seconds(5));
    world.scheduler.Say(id, "And this.");
    ASSERT_TRUE(world.RunUntilSettled(id));
    EXPECT_GT(world.time.Elapsed(), absl::Seconds(60));  // two turns
    EXPECT_THAT(world.OnlySession().user_messages,
                ElementsAre("Do it.", "And this."))
        << static_cast<int>(kind);
    EXPECT_TRUE(world.Task(id).lease.outbox(0).said());
  }
}

TEST(AttemptStoryTest, AdopterDoesNotRepeatWhatTheHistoryShows) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.duration = absl::Seconds(60);
    return turn;
  };
  Node& first = world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  world.time.Advance(absl::Seconds(5));
  world.scheduler.Say(id, "And this.");
  ASSERT_TRUE(world.RunUntil(
      [&] { return world.OnlySession().user_messages.size() == 2; }));
  first.Crash();  // sent, not marked
  ASSERT_FALSE(world.Task(id).lease.outbox(0).said());
  world.AddNode();
  world.scheduler.Lapse(world.scheduler.worker_id(0));
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_THAT(world.OnlySession().user_messages,
              ElementsAre("Do it.", "And this."));
  EXPECT_TRUE(world.Task(id).lease.outbox(0).said());
}

// ---- Timeouts ----

struct TimeoutCase {
  const char* name;
  int start, idle, total;  // seconds
  int tool_calls;
  const char* want;
  int at;  // seconds
};
class TimeoutTest : public ::testing::TestWithParam<TimeoutCase> {};
TEST_P(TimeoutTest, EndsTheAttempt) {
  const TimeoutCase& c = GetParam();
  World world;
  world.service.hooks.script = [&](const FakePrompt&) {
    FakeTurn turn;
    turn.stop_reason = "never";
    turn.tool_calls = c.tool_calls;
    return turn;
  };
  world.AddNode();
  v1::TaskSpec spec = World::Spec();
  spec.mutable_timeouts()->mutable_start()->set_seconds(c.start);
  spec.mutable_timeouts()->mutable_idle()->set_seconds(c.idle);
  spec.mutable_timeouts()->mutable_total()->set_seconds(c.total);
  std::string id = world.scheduler.Add(spec);
  ASSERT_TRUE(world.RunUntilSettled(id, absl::Hours(5)));
  EXPECT_EQ(world.Task(id).ending.kind(), v1::Ending::KIND_TIMED_OUT);
  EXPECT_EQ(world.Task(id).ending.failure().operation(), c.want);
  EXPECT_NEAR(absl::ToDoubleSeconds(world.time.Elapsed()), c.at, 5);
  EXPECT_EQ(world.OnlySession().interrupts, 1);
  EXPECT_EQ(world.Task(id).ending.list_cost_usd_micros(), 10'000);
}
INSTANTIATE_TEST_SUITE_P(
    Table, TimeoutTest,
    ::testing::ValuesIn<TimeoutCase>({
        {"Idle", 0, 60, 600, 0, "idle_timeout", 60},
        {"IdleByDefault", 0, 0, 0, 0, "idle_timeout", 900},
        {"IdleWithAnOpenToolIsNone", 0, 60, 600, 1, "total_timeout", 600},
        {"TotalByDefault", 0, 0, 0, 1, "total_timeout", 4 * 3600},
    }),
    [](const auto& c) { return std::string(c.param.name); });

TEST(AttemptStoryTest, StartTimeoutNamesWhatHeldItUp) {
  World world;
  world.service.hooks.on_call = [](const FakeCall& call) {
    return call.operation == "create_session"
               ? Refuse(429, "rate_limit_error")
               : FakeFault();
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_NEAR(absl::ToDoubleSeconds(world.time.Elapsed()), 600, 5);
  EXPECT_EQ(world.Task(id).ending.kind(), v1::Ending::KIND_NOT_STARTED);
  EXPECT_EQ(world.Task(id).ending.failure().http_status(), 429);
}

// ---- Outputs ----

TEST(AttemptStoryTest, LateFilesAreWaitedFor) {
  FakeAgentsOptions options;
  options.file_delay = absl::Seconds(15);
  World world(options);
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.files = {{"/mnt/session/outputs/a/b.txt", "bytes"},
                  {"../escape", "x"},
                  {"/etc/passwd", "x"}};
    return turn;
  };
  v1::TaskSpec spec = World::Spec();
  spec.mutable_expect()->add_files("/mnt/session/outputs/a/b.txt");
  world.AddNode();
  std::string id = world.scheduler.Add(spec);
  ASSERT_TRUE(world.RunUntilSettled(id));
  const v1::Ending& ending = world.Task(id).ending;
  EXPECT_EQ(ending.kind(), v1::Ending::KIND_IDLE);
  ASSERT_EQ(ending.outputs_size(), 1);
  EXPECT_EQ(ending.outputs(0).path(), "a/b.txt");
  EXPECT_EQ(world.Artifact(ending.outputs(0).sha256()), "bytes");
}

TEST(AttemptStoryTest, MissingFileIsReportedWithWhatIsThere) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.files = {{"other.txt", "bytes"}};
    return turn;
  };
  v1::TaskSpec spec = World::Spec();
  spec.mutable_expect()->add_files("wanted.txt");
  world.AddNode();
  std::string id = world.scheduler.Add(spec);
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_NEAR(absl::ToDoubleSeconds(world.time.Elapsed()), 32, 3);
  const v1::Ending& ending = world.Task(id).ending;
  EXPECT_EQ(ending.kind(), v1::Ending::KIND_OUTPUT_MISSING);
  EXPECT_EQ(ending.missing_output(), "wanted.txt");
  EXPECT_EQ(ending.outputs_size(), 1);
}

TEST(AttemptStoryTest, DownloadThatFailsIsTriedAgain) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.files = {{"a.txt", "bytes"}};
    return turn;
  };
  world.OnCall("list_files", 1, Refuse(503, "api_error"));
  world.OnCall("download_file", 1, Lose(Kind::kLoseAnswer));
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  ASSERT_EQ(world.Task(id).ending.outputs_size(), 1);
  EXPECT_EQ(world.Artifact(world.Task(id).ending.outputs(0).sha256()), "bytes");
}

TEST(AttemptStoryTest, LongFinalMessageIsCutBetweenCharacters) {
  World world;
  std::string message(16 << 10, 'x');
  message.replace(message.size() - 1, 1, "\u00e9 and so on");
  world.service.hooks.script = [&](const FakePrompt&) {
    FakeTurn turn;
    turn.message = message;
    return turn;
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  const v1::Ending& ending = world.Task(id).ending;
  EXPECT_EQ(ending.final_message(), std::string((16 << 10) - 1, 'x'));
  EXPECT_EQ(world.Artifact(ending.final_message_sha256()), message);
}

TEST(AttemptStoryTest, StopReasonsAreReportedAsTheyAre) {
  for (const char* reason :
       {"refusal", "budget_reached", "something_new", "terminated"}) {
    World world;
    world.service.hooks.script = [&](const FakePrompt&) {
      FakeTurn turn;
      turn.stop_reason = reason;
      return turn;
    };
    world.AddNode();
    std::string id = world.scheduler.Add(World::Spec());
    ASSERT_TRUE(world.RunUntilSettled(id)) << reason;
    const v1::Ending& ending = world.Task(id).ending;
    bool terminated = std::string(reason) == "terminated";
    EXPECT_EQ(ending.kind(), terminated ? v1::Ending::KIND_TERMINATED
                                        : v1::Ending::KIND_IDLE);
    EXPECT_EQ(ending.stop_reason(), terminated ? "" : reason);
    EXPECT_TRUE(ending.charged());
  }
}

}  // namespace
}  // namespace midwatch::testing
