#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/world.h"

namespace midwatch::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = FakeFault::Kind;

// ---- Answers ----

FakeTurn Asking(int tool_calls) {
  FakeTurn turn;
  turn.stop_reason = "requires_action";
  turn.tool_calls = tool_calls;
  return turn;
}

struct ParkedWorld : World {
  explicit ParkedWorld(int tool_calls = 1, FakeAgentsOptions options = {})
      : World(options) {
    service.hooks.script = [=](const FakePrompt&) {
      return Asking(tool_calls);
    };
    AddNode();
    id = scheduler.Add(Spec());
  }
  bool RunUntilParked() {
    return RunUntil([&] { return !Task(id).questions.empty(); });
  }
  std::string id;
};

TEST(SessionStoryTest, AQuestionParksAndTheAnswerGoesOn) {
  ParkedWorld world(2);
  ASSERT_TRUE(world.RunUntilParked());
  EXPECT_THAT(world.Task(world.id).questions, SizeIs(2));
  EXPECT_EQ(world.Task(world.id).questions[0].tool(), "bash");
  EXPECT_EQ(world.Task(world.id).questions[0].input_json(),
            R"({"command":"true"})");
  world.time.Advance(absl::Hours(1));
  EXPECT_EQ(world.nodes[0]->worker.live_attempts(), 0);
  EXPECT_EQ(world.service.Streams(world.OnlySession().id), 0);
  world.scheduler.Answer(world.id, v1::SAY_KIND_ALLOW, "");
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  world.Linger();
  ExpectDoneOnce(world, world.id);
  EXPECT_EQ(world.OnlySession().answers, 2);
  EXPECT_EQ(world.Task(world.id).grants, 2);
}

TEST(SessionStoryTest, AnAnswerWhoseOwnAnswerIsLostIsNotGivenTwice) {
  ParkedWorld world;
  ASSERT_TRUE(world.RunUntilParked());
  // The first message was the first one sent.
  world.OnCall("send_events", 2, Lose(Kind::kLoseAnswer));
  world.scheduler.Answer(world.id, v1::SAY_KIND_ALLOW, "");
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  world.Linger();
  ExpectDoneOnce(world, world.id);
  EXPECT_EQ(world.OnlySession().answers, 1);
}

// A fence's archive may be long on its way, and find it waiting for a person.
// The task's spec has nothing to do with that.
TEST(SessionStoryTest, ASessionThatWasArchivedMeanwhileIsToldApart) {
  for (int refusal : {400, 409}) {
    FakeAgentsOptions options;
    options.archived_refusal = refusal;
    ParkedWorld world(1, options);
    ASSERT_TRUE(world.RunUntilParked());
    world.service.ArchiveSession(world.OnlySession().id);
    world.scheduler.Answer(world.id, v1::SAY_KIND_ALLOW, "");
    ASSERT_TRUE(world.RunUntilSettled(world.id));
    const v1::Ending& ending = world.Task(world.id).ending;
    EXPECT_EQ(ending.kind(), v1::Ending::KIND_BROKEN);
    EXPECT_EQ(ending.failure().operation(), "send_message");
    EXPECT_EQ(ending.failure().http_status(), refusal);
    EXPECT_EQ(ending.failure().error_type(), "session_archived");
    EXPECT_TRUE(ending.charged());
    EXPECT_TRUE(ending.has_list_cost_usd_micros());
  }
}

// A session that spends its budget of $1 in its first turn.
struct DearWorld : World {
  DearWorld() {
    service.hooks.script = [](const FakePrompt&) {
      FakeTurn turn;
      turn.cost_cents = 100;
      return turn;
    };
    AddNode();
    v1::TaskSpec spec = Spec();
    spec.set_on_budget(v1::BUDGET_POLICY_ASK);
    id = scheduler.Add(spec);
  }
  std::string id;
};

TEST(SessionStoryTest, ARaisedBudgetGoesOnInTheSameSession) {
  DearWorld world;
  ASSERT_TRUE(
      world.RunUntil([&] { return !world.Task(world.id).questions.empty(); }));
  EXPECT_EQ(world.Task(world.id).questions[0].spent_usd_micros(), 1'000'000);
  world.time.Advance(absl::Hours(1));
  EXPECT_EQ(world.nodes[0]->worker.live_attempts(), 0);
  world.scheduler.Answer(world.id, v1::SAY_KIND_BUDGET, "3000000");
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  world.Linger();
  ExpectDoneOnce(world, world.id);
  EXPECT_EQ(world.OnlySession().updates, 1);
  EXPECT_EQ(world.OnlySession().budget_cents, 300);
  EXPECT_EQ(world.OnlySession().cost_cents, 200);
}

TEST(SessionStoryTest, APolicyRaisesWithoutParking) {
  DearWorld world;
  world.Task(world.id).lease.mutable_spec()->set_on_budget(
      v1::BUDGET_POLICY_RAISE);
  world.Task(world.id).raises = {"3000000"};
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  world.Linger();
  ExpectDoneOnce(world, world.id);
  EXPECT_EQ(world.OnlySession().updates, 1);
  EXPECT_EQ(world.OnlySession().budget_cents, 300);
  EXPECT_EQ(world.OnlySession().cost_cents, 200);
}

TEST(SessionStoryTest, WhatMayCostNoMoreSettlesWhereItStands) {
  DearWorld world;
  world.Task(world.id).lease.mutable_spec()->set_on_budget(
      v1::BUDGET_POLICY_RAISE);
  world.Task(world.id).raises.emplace();
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  world.Linger();
  EXPECT_EQ(world.Task(world.id).ending.stop_reason(), "budget_reached");
  EXPECT_EQ(world.Task(world.id).ending.list_cost_usd_micros(), 1'000'000);
  EXPECT_EQ(world.OnlySession().updates, 0);
  EXPECT_TRUE(world.OnlySession().archived);
}

TEST(SessionStoryTest, ARaiseWhoseAnswerIsLostTakesEffectOnce) {
  DearWorld world;
  ASSERT_TRUE(
      world.RunUntil([&] { return !world.Task(world.id).questions.empty(); }));
  world.OnCall("update_session", 1, Lose(Kind::kLoseAnswer));
  world.scheduler.Answer(world.id, v1::SAY_KIND_BUDGET, "3000000");
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  world.Linger();
  ExpectDoneOnce(world, world.id);
  EXPECT_EQ(world.OnlySession().budget_cents, 300);
  EXPECT_EQ(world.OnlySession().cost_cents, 200);
}

// The raise was said again, refused since the session had spent all of it by
// then, and taken for a fault of the task's.
TEST(SessionStoryTest, ARaiseThatWasSpentBeforeItWasHeardOfIsNotRefused) {
  DearWorld world;
  std::vector<v1::Question>& questions = world.Task(world.id).questions;
  ASSERT_TRUE(world.RunUntil([&] { return !questions.empty(); }));
  bool deaf = false;
  world.service.hooks.on_call = [&](const FakeCall& call) {
    if (call.operation == "update_session" && call.number == 1) {
      deaf = true;
      return Lose(Kind::kLoseAnswer);
    }
    if (call.operation == "get_session") deaf = false;
    const bool hears =
        call.operation == "stream_events" || call.operation == "list_events";
    return deaf && hears ? Refuse(503, "api_error") : FakeFault();
  };
  world.service.hooks.on_stream_event = [&](const std::string&) {
    return deaf ? FakeStreamFault::kCut : FakeStreamFault::kNone;
  };
  world.scheduler.Answer(world.id, v1::SAY_KIND_BUDGET, "2000000");
  // It asks for more.
  ASSERT_TRUE(world.RunUntil(
      [&] { return world.Task(world.id).settled || !questions.empty(); }));
  ASSERT_FALSE(world.Task(world.id).settled);
  EXPECT_EQ(questions[0].spent_usd_micros(), 2'000'000);
  EXPECT_EQ(world.OnlySession().budget_cents, 200);
}

TEST(SessionStoryTest, ACancelledParkedTaskIsBroughtToItsEnd) {
  ParkedWorld world;
  ASSERT_TRUE(world.RunUntilParked());
  FakeTask& task = world.Task(world.id);
  task.questions.clear();
  task.lease.set_cancelling(true);
  world.scheduler.Dispatch();
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  world.Linger();
  EXPECT_EQ(world.OnlySession().answers, 0);
  EXPECT_TRUE(world.OnlySession().archived);
}

TEST(SessionStoryTest, AnUnansweredTaskSettlesWithItsCost) {
  ParkedWorld world;
  ASSERT_TRUE(world.RunUntilParked());
  FakeTask& task = world.Task(world.id);
  task.questions.clear();
  task.lease.set_unanswered(true);
  world.scheduler.Dispatch();
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  world.Linger();
  EXPECT_EQ(task.ending.stop_reason(), "requires_action");
  EXPECT_EQ(task.ending.list_cost_usd_micros(), 10'000);
  EXPECT_TRUE(world.OnlySession().archived);
}

// ---- Streams ----

TEST(SessionStoryTest, SlowSchedulerSlowsReadingAndLosesNothing) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.tool_calls = 1500;
    return turn;
  };
  world.scheduler.on_call = [&](const std::string& method) {
    FakeCallFault fault;
    if (method == "AppendEvents" && world.time.Elapsed() < absl::Seconds(20)) {
      fault.before = absl::UnavailableError("busy");
    }
    return fault;
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  ExpectDoneOnce(world, id);
  std::vector<std::string> history =
      world.service.History(world.OnlySession().id);
  EXPECT_GT(history.size(), 3000u);
  EXPECT_EQ(world.Task(id).events.size(), history.size());  // echo, no archive
}

TEST(SessionStoryTest, CutAndDoubledStreamsLoseAndRepeatNothing) {
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

TEST(SessionStoryTest, DeletedSessionIsReported) {
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

// ---- Cancel ----

TEST(SessionStoryTest, CancelInterruptsAndCollects) {
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

TEST(SessionStoryTest, CancelAfterTheTurnSaysThatItHadFinished) {
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

TEST(SessionStoryTest, CancelBeforeTheSessionStartsNone) {
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

TEST(SessionStoryTest, CancelThatFindsNoRestGivesUpAfterTwoMinutes) {
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

TEST(SessionStoryTest, ExhaustedRetriesAreNudged) {
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
  EXPECT_EQ(world.scheduler.advised()[0].failure().retry_status(), "exhausted");
}

TEST(SessionStoryTest, ExhaustedAgainEndsAsAdvised) {
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

TEST(SessionStoryTest, FurtherMessageIsSaidOnceAndWaitedFor) {
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

TEST(SessionStoryTest, AdopterDoesNotRepeatWhatTheHistoryShows) {
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

TEST(SessionStoryTest, StartTimeoutNamesWhatHeldItUp) {
  World world;
  world.service.hooks.on_call = [](const FakeCall& call) {
    return call.operation == "create_session" ? Refuse(429, "rate_limit_error")
                                              : FakeFault();
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_NEAR(absl::ToDoubleSeconds(world.time.Elapsed()), 600, 5);
  EXPECT_EQ(world.Task(id).ending.kind(), v1::Ending::KIND_NOT_STARTED);
  EXPECT_EQ(world.Task(id).ending.failure().http_status(), 429);
}

}  // namespace
}  // namespace midwatch::testing
