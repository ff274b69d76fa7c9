// One night with everything that goes wrong in one, twice: the same seed must
// give the same trace.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/sim/sim_world.h"

namespace midwatch::sim {
namespace {

using testing::FakeCall;
using testing::FakeFault;
using testing::FakePrompt;
using testing::FakeTurn;

constexpr int kTasks = 200;

// When what goes wrong, in seconds or in calls of a kind, by the seed.
struct Plan {
  explicit Plan(SeededRandom& random) {
    auto pick = [&](int low, int high) {
      return low + static_cast<int>(random.Next() % (high - low));
    };
    scheduler_down = pick(5, 90);
    scheduler_up = scheduler_down + pick(1, 40);
    worker_down = pick(5, 120);
    worker_up = worker_down + pick(1, 40);
    // Longer than its term, so that others adopt what it holds, and then it
    // wakes in the middle of what it was doing.
    stall_from = pick(5, 120);
    stall_to = stall_from + pick(35, 120);
    lost_create = pick(1, 100);
    lost_answer_of_send = pick(1, 100);
    lost_send = lost_answer_of_send + pick(1, 60);
    // On its way for longer than anybody waits for it: it arrives when its
    // sender has begun to doubt, or when another has taken over.
    late_send = lost_send + pick(1, 30);
    late_by = pick(31, 90);
    // Longer than a term: what it held back is said on a lost lease.
    cut_from = pick(5, 120);
    cut_to = cut_from + pick(31, 60);
  }
  int scheduler_down, scheduler_up, worker_down, worker_up, stall_from,
      stall_to, lost_create, lost_answer_of_send, lost_send, late_send, late_by,
      cut_from, cut_to;
};

// Turns of 5 to 60 seconds, 1 to 30 cents, by the world's own dice. One in five
// stops in its middle to ask, and then goes on for as long and as much again.
FakeTurn RollTurn(World& world) {
  FakeTurn turn;
  turn.duration =
      absl::Seconds(5) + absl::Seconds(55) * world.random.Fraction();
  turn.cost_cents = 1 + static_cast<int64_t>(world.random.Next() % 30);
  turn.tool_calls = 1 + static_cast<int>(world.random.Next() % 4);
  turn.files = {{"result.json", "{}"}};
  if (world.random.Next() % 5 == 0) turn.stop_reason = "requires_action";
  turn.hides_cost = world.random.Next() % 8 == 0;
  return turn;
}

FakeFault FaultOf(World& world, const Plan& plan, const FakeCall& call) {
  FakeFault fault;
  if (call.operation == "create_session" && call.number == plan.lost_create) {
    fault.kind = FakeFault::Kind::kLoseAnswer;
    ++world.counts.lost_creates;
  }
  // One send whose message arrived, and one whose message did not.
  if (call.operation == "send_events" &&
      world.service->Find(call.session_id)->user_messages.empty()) {
    const int number = ++world.counts.first_sends;
    if (number == plan.lost_answer_of_send) {
      fault.kind = FakeFault::Kind::kLoseAnswer;
      ++world.counts.lost_sends;
    } else if (number == plan.lost_send) {
      fault.kind = FakeFault::Kind::kLoseRequest;
      ++world.counts.lost_sends;
    } else if (number == plan.late_send) {
      fault.request_delay = absl::Seconds(plan.late_by);
      ++world.counts.late_sends;
    }
  }
  return fault;
}

int CountJournal(World& world, JournalKind kind) {
  std::vector<JournalRecord> journal = world.Journal();
  return static_cast<int>(std::count_if(
      journal.begin(), journal.end(),
      [kind](const JournalRecord& entry) { return entry.kind == kind; }));
}

// Archives and other afterthoughts; and once everything is accounted for,
// nobody looks any more.
void LetSweepsEnd(World& world) {
  world.time.Advance(absl::Minutes(40));
  const int lists = world.service->Calls("list_sessions");
  world.time.Advance(absl::Hours(1));
  EXPECT_EQ(world.service->Calls("list_sessions"), lists);
  EXPECT_GT(lists, 0);
}

// Two workers, and what the plan says befalls them, until the batch is done.
void PlayNight(World& world, const Plan& plan) {
  world.StartWorker("w1", 15);
  world.StartWorker("w2", 15);
  for (int second = 1; second <= 7200; ++second) {
    world.time.Advance(absl::Seconds(1));
    world.CheckAlways();
    world.AnswerSome(0.05);
    if (second == plan.scheduler_down) world.CrashScheduler();
    if (second == plan.scheduler_up) world.StartScheduler();
    if (second == plan.worker_down) world.CrashWorker("w1");
    if (second == plan.worker_up) world.StartWorker("w1", 15);
    if (second == plan.stall_from) world.StallWorker("w2", true);
    if (second == plan.stall_to) world.StallWorker("w2", false);
    if (second == plan.cut_from) world.CutWorker("w1", true);
    if (second == plan.cut_to) world.CutWorker("w1", false);
    if (second > 250 && world.Batch().state == v1::BATCH_STATE_DONE) break;
  }
  LetSweepsEnd(world);
  world.CheckAtEnd(kTasks);
}

// What a night may spend, in three scopes: more than enough for all tasks, and
// less than 30 of them at once may reserve at its end.
constexpr int64_t kTenantLimit = 48'000'000;
constexpr int64_t kQueueLimit = 46'000'000;
constexpr int64_t kBatchLimit = 44'000'000;

std::string RunNight(uint64_t seed, bool budgets = false) {
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  World world(seed);
  const Plan plan(world.random);
  world.service->hooks.script = [&](const FakePrompt&) {
    return RollTurn(world);
  };
  world.service->hooks.on_call = [&](const FakeCall& call) {
    return FaultOf(world, plan, call);
  };
  world.lost_answers = 0.01;
  world.doubled_calls = 0.04;
  world.StartScheduler();
  if (budgets) {
    world.SetBudget(v1::BUDGET_SCOPE_TENANT, kTenantLimit);
    world.SetBudget(v1::BUDGET_SCOPE_QUEUE, kQueueLimit);
  }
  world.SubmitBatch(kTasks, budgets ? kBatchLimit : 0);
  PlayNight(world, plan);

  EXPECT_EQ(world.Budgets().size(), budgets ? 3u : 0u);
  EXPECT_EQ(world.counts.budget_waits > 10, budgets);
  EXPECT_EQ(world.counts.scheduler_crashes, 1);
  EXPECT_EQ(world.counts.worker_crashes, 1);
  EXPECT_EQ(world.counts.stalls, 1);
  EXPECT_EQ(world.counts.lost_creates, 1);
  EXPECT_EQ(world.counts.lost_sends, 2);
  EXPECT_EQ(world.counts.late_sends, 1);
  EXPECT_EQ(world.counts.cuts, 1);
  EXPECT_GT(world.counts.lost_answers, 1);
  EXPECT_GT(world.counts.doubled_calls, 10);
  // One send was lost before it arrived: whoever finds that archives the
  // session and clears it, and only then makes another.
  EXPECT_GE(CountJournal(world, JournalKind::kSessionCleared), 1)
      << "nobody was fenced";
  EXPECT_GT(CountJournal(world, JournalKind::kAdopted), 5);
  EXPECT_GT(CountJournal(world, JournalKind::kFreed), 5);
  EXPECT_GT(CountJournal(world, JournalKind::kParked), 20);
  EXPECT_GT(CountJournal(world, JournalKind::kAnswered), 40);
  EXPECT_GT(CountJournal(world, JournalKind::kAdjusted), 10);
  // The lost create left an idle session beside the one that was used, and a
  // sweep found it.
  EXPECT_GT(world.service->Sessions().size(), static_cast<size_t>(kTasks));
  EXPECT_GE(world.Sweeps(), 1);
  return world.TraceHash();
}

TEST(SimSmoke, ANightOfFaultsEndsWellAndReplays) {
  std::string first = RunNight(7);
  std::string second = RunNight(7);
  EXPECT_EQ(first, second);
}

TEST(SimSmoke, NightsWithBudgetsOnThreeScopesEndWell) {
  for (uint64_t seed = 300; seed < 303; ++seed) RunNight(seed, true);
}

// Sessions that are created with their message, some of them unheard.
TEST(SimSmoke, NightsInOneCallEndWell) {
  for (uint64_t seed = 350; seed < 353; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    World world(seed);
    const Plan plan(world.random);
    world.service->hooks.script = [&](const FakePrompt&) {
      return RollTurn(world);
    };
    int creates = 0;
    world.service->hooks.on_call = [&](const FakeCall& call) {
      FakeFault fault;
      if (call.operation != "create_session") return fault;
      ++creates;
      if (creates % 20 == 5) fault.kind = FakeFault::Kind::kLoseAnswer;
      if (creates % 20 == 10) fault.kind = FakeFault::Kind::kLoseRequest;
      if (creates % 20 == 15) fault.request_delay = absl::Seconds(plan.late_by);
      return fault;
    };
    world.lost_answers = 0.01;
    world.doubled_calls = 0.04;
    world.StartScheduler();
    world.SubmitBatch(kTasks, 0, v1::START_MODE_ONE_CALL);
    PlayNight(world, plan);
    EXPECT_GT(creates, kTasks + 5);
    EXPECT_GT(CountJournal(world, JournalKind::kAdopted), 5);
    // Lost answers and late creates: found, not made again.
    EXPECT_EQ(world.service->Sessions().size(), static_cast<size_t>(kTasks));
  }
}

// A key that is refused for an hour, with a scheduler that dies meanwhile.
std::string RunNightWithARefusedKey(uint64_t seed) {
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  constexpr int kFrom = 30, kTo = kFrom + 3600;
  World world(seed);
  int second = 0, refused_creates = 0;
  world.service->hooks.script = [&](const FakePrompt&) {
    return RollTurn(world);
  };
  world.service->hooks.on_call = [&](const FakeCall& call) {
    FakeFault fault;
    if (second < kFrom || second >= kTo) return fault;
    fault.kind = FakeFault::Kind::kRefuse;
    fault.status = 401;
    fault.error_type = "authentication_error";
    refused_creates += call.operation == "create_session";
    return fault;
  };
  world.StartScheduler();
  world.SubmitBatch(kTasks);
  world.StartWorker("w1", 15);
  world.StartWorker("w2", 15);
  for (second = 1; second <= 7200; ++second) {
    world.time.Advance(absl::Seconds(1));
    world.CheckAlways();
    world.AnswerSome(0.05);
    if (second == 1800) world.CrashScheduler();
    if (second == 1810) world.StartScheduler();
    // In the middle of it nothing runs but a probe.
    if (second == 3000) {
      EXPECT_EQ(world.Batch().account_standing.state,
                v1::ACCOUNT_STATE_REFUSED);
    }
    if (second > kTo && world.Batch().state == v1::BATCH_STATE_DONE) break;
  }
  EXPECT_LT(second, kTo + 1200) << "the account opens with the next probe";
  LetSweepsEnd(world);
  world.CheckAtEnd(kTasks);
  for (const TaskRecord& task : world.Tasks()) {
    EXPECT_EQ(task.state, v1::TASK_STATE_SUCCEEDED);
    EXPECT_EQ(task.failures, 0);
  }
  EXPECT_EQ(world.Batch().account_standing.state, v1::ACCOUNT_STATE_OPEN);
  EXPECT_GT(CountJournal(world, JournalKind::kHeld), 5);
  // What was on its way, and a dozen probes.
  EXPECT_GE(refused_creates, 10);
  EXPECT_LE(refused_creates, 45);
  return world.TraceHash();
}

TEST(SimSmoke, AKeyRefusedForAnHourFailsNothingAndReplays) {
  std::string first = RunNightWithARefusedKey(400);
  EXPECT_EQ(first, RunNightWithARefusedKey(400));
  RunNightWithARefusedKey(401);
}

TEST(SimSmoke, OtherSeedsAreOtherNightsAndEndWellToo) {
  const char* more = std::getenv("MIDWATCH_SIM_SEEDS");
  int seeds = more != nullptr ? std::atoi(more) : 10;
  std::set<std::string> traces;
  for (int seed = 100; seed < 100 + seeds; ++seed) {
    traces.insert(RunNight(static_cast<uint64_t>(seed)));
  }
  EXPECT_EQ(traces.size(), static_cast<size_t>(seeds));
}

// What the service accepts, as it counts: a token bucket for each class.
class ServiceLimit {
 public:
  ServiceLimit(double per_minute, int burst)
      : per_second_(per_minute / 60), burst_(burst), tokens_(burst) {}

  bool Accepts(absl::Duration now) {
    tokens_ = std::min<double>(
        burst_, tokens_ + per_second_ * absl::ToDoubleSeconds(now - at_));
    at_ = now;
    if (tokens_ < 1) return false;
    --tokens_;
    return true;
  }

 private:
  double per_second_;
  int burst_;
  double tokens_;
  absl::Duration at_;
};

struct Metered {
  absl::Duration makespan;
  int refused = 0;
};

// `kTasks` short tasks where creates and writes share `creates` a minute at the
// service, and the workers are told of `told`.
Metered RunMetered(double creates, double told) {
  World world(1);
  v1::AccountLimits limits;
  limits.set_account("default");
  limits.mutable_create()->set_per_minute(told);
  limits.mutable_read()->set_per_minute(1200);
  world.limits = {limits};
  ServiceLimit starts(creates, 5), reads(1200, 20);
  Metered result;
  world.service->hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.duration = absl::Seconds(15);
    turn.files = {{"result.json", "{}"}};
    return turn;
  };
  world.service->hooks.on_call = [&](const FakeCall& call) {
    const std::string& name = call.operation;
    const bool writes = name == "create_session" || name == "send_events" ||
                        name == "archive_session" || name == "create_agent" ||
                        name == "create_environment";
    FakeFault fault;
    if (name.find("file") == name.npos &&
        !(writes ? starts : reads).Accepts(world.time.Elapsed())) {
      fault.kind = FakeFault::Kind::kRefuse;
      fault.status = 429;
      fault.error_type = "rate_limit_error";
      fault.retry_after = absl::Seconds(5);
      ++result.refused;
    }
    return fault;
  };
  world.StartScheduler();
  world.SubmitBatch(kTasks);
  world.StartWorker("w1", 100);
  world.StartWorker("w2", 100);
  world.time.AdvanceUntil(
      [&] { return world.Batch().state == v1::BATCH_STATE_DONE; },
      absl::Hours(1));
  result.makespan = world.time.Elapsed();
  LetSweepsEnd(world);
  world.CheckAtEnd(kTasks);
  return result;
}

// Two requests of the shared class start a task, and the last takes 15 s: no
// order of requests could be done sooner.
absl::Duration BestMakespan(double creates) {
  return absl::Minutes(2 * kTasks / creates) + absl::Seconds(15);
}

TEST(SimRates, RightLimitsAreNeverRefusedAndLoseLittle) {
  Metered night = RunMetered(300, 300);
  EXPECT_EQ(night.refused, 0);
  EXPECT_LT(night.makespan, 1.15 * BestMakespan(300));
}

TEST(SimRates, AServiceThatAllowsHalfFailsNothing) {
  Metered night = RunMetered(150, 300);
  EXPECT_GT(night.refused, 0);
  EXPECT_LT(night.makespan, 1.6 * BestMakespan(150));
}

}  // namespace
}  // namespace midwatch::sim
