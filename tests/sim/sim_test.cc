// Nights of all kinds, and tests of the tests. `./dev sim --seed S` tells what
// happens in one that fails here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/sim/mutations.h"
#include "tests/sim/play.h"
#include "tests/sim/shrink.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/story.h"

namespace midwatch::sim {
namespace {

Outcome PlayWell(const Story& story) {
  SCOPED_TRACE(absl::StrCat("seed ", story.seed));
  Outcome outcome = Play(story);
  for (const Violation& violation : outcome.violations) {
    ADD_FAILURE() << absl::FormatDuration(violation.at) << ": "
                  << violation.invariant << ": " << violation.what;
  }
  return outcome;
}

Fault At(FaultKind kind, int second, int lasts, double likelihood = 1) {
  Fault fault;
  fault.kind = kind;
  fault.at = absl::Seconds(second);
  fault.lasts = absl::Seconds(lasts);
  fault.worker = 1;
  fault.likelihood = likelihood;
  fault.tasks = 1;
  return fault;
}

// 60 tasks and two workers, with nothing odd about them.
Story Plain(uint64_t seed) {
  Story story;
  story.seed = seed;
  story.tasks = 60;
  story.workers = 2;
  story.turn_max = absl::Seconds(60);
  story.queued_max = absl::Milliseconds(100);
  return story;
}

TEST(SimTest, TheSameSeedIsTheSameNight) {
  std::set<std::string> nights;
  for (uint64_t seed = 40; seed < 50; ++seed) {
    const Outcome first = Play(MakeStory(seed)), second = Play(MakeStory(seed));
    EXPECT_EQ(first.trace_hash, second.trace_hash) << "seed " << seed;
    nights.insert(first.trace_hash);
  }
  EXPECT_EQ(nights.size(), 10u);
}

// Lower bounds on what happened: a night passes for nothing where nothing does.
void ExpectWork(const Counts& counts, int nights) {
  const std::pair<const char*, double> at_least[] = {
      {"starts", 25},
      {"tasks SUCCEEDED", 20},
      {"adoptions", 5},
      {"leases freed", 5},
      {"fences", 0.3},
      {"parks", 1},
      {"answers", 1},
      {"messages from the outbox", 1},
      {"attempts tried again", 0.5},
      {"cancels", 0.3},
      {"costs corrected", 0.5},
      {"sweeps that found something", 0.1},
      {"accounts shut", 0.1},
      {"attempts held for their account", 0.1},
      {"scheduler kills", 0.3},
      {"worker kills", 0.3},
      {"power losses", 0.2},
      {"sectors lost with the power", 0.2},
      {"disk errors", 0.05},
      {"schedulers that ended themselves", 0.05},
      {"writes to a full disk", 0.5},
      {"worker stalls", 0.3},
      {"machines suspended", 0.05},
      {"worker drains", 0.05},
      {"leases handed back", 0.05},
      {"links cut", 0.3},
      {"clocks set", 0.05},
      {"calls that arrived twice", 1},
      {"answers of the scheduler lost", 1},
      {"submits said again", 0.1},
      {"submits refused for now", 0.1},
      {"commits while a budget bound", 1},
      {"pauses", 0.2},
      {"pauses over", 0.2},
      {"caps set", 0.2},
      {"starts under a cap", 0.1},
      {"429 with retry-after", 0.3},
      {"429 at a spend cap", 0.3},
      {"429 by the limit of writes", 0.4},
      {"429 by the limit of reads", 0.1},
      {"429 by the limit of files", 0.05},
      {"529", 0.3},
      {"500", 0.3},
      {"401", 0.3},
      {"no connection", 0.3},
      {"requests lost", 0.3},
      {"answers lost", 0.3},
      {"requests late", 0.3},
      {"answers late", 0.3},
      {"streams cut", 0.5},
      {"events doubled", 1},
      {"starts of tasks that need others", 0.5},
      {"tasks skipped", 0.1},
      {"starts of canaries", 0.5},
      {"canaries passed", 0.05},
      {"canaries failed", 0.02},
      {"batches stopped", 0.02},
      {"batches deleted by a client", 0.3},
      {"batches deleted by a rule", 0.2},
      {"deletions refused", 1},
      {"batches tried again", 0.03},
      {"tasks tried again", 0.2},
      {"starts of tasks that need another batch's", 1},
      {"single tasks deleted by a rule", 1},
      {"single retries deleted by a rule", 0.2},
      {"single tasks changed", 0.3},
      {"single tasks kept for others", 0.05},
      {"deaths amid deletions by a rule", 0.07},
      {"requests of deleted tasks refused", 0.2},
      {"files of deleted tasks", 5},
      {"chunks of transcripts dropped", 5},
      {"batches at risk", 0.1},
      {"schedules fired", 0.3},
      {"schedules fired by hand", 0.05},
      {"schedules paused", 0.1},
      {"schedules deleted", 0.1},
      {"budgets deleted", 0.2},
      {"pauses of schedules that ended", 0.02},
      {"hooks of a risk DELIVERED", 0.1},
      {"turns that failed by themselves", 0.3},
      {"turns whose outputs are bad", 1.5},
      {"attempts failed for their outputs", 1},
      {"turns that overshot", 0.1},
      {"turns that flushed their queue", 1}};
  for (const auto& [what, each_night] : at_least) {
    EXPECT_GE(static_cast<double>(counts.Of(what)), each_night * nights)
        << what;
  }
}

TEST(SimTest, ThreeHundredNightsEndWell) {
  const char* more = std::getenv("MIDWATCH_SIM_SEEDS");
  const int seeds = more != nullptr ? std::atoi(more) : 300;
  Counts counts;
  std::set<std::string> nights;
  for (int seed = 1; seed <= seeds; ++seed) {
    const Outcome outcome = PlayWell(MakeStory(static_cast<uint64_t>(seed)));
    counts.Add(outcome.counts);
    nights.insert(outcome.trace_hash);
  }
  EXPECT_EQ(nights.size(), static_cast<size_t>(seeds));
  if (seeds >= 300) ExpectWork(counts, seeds);
}

TEST(SimTest, ANightOfAThousandTasksEndsWell) {
  Story story = MakeStory(7, 1000);
  story.waits = 0;  // who expires, or whose key is held, does not start
  const Outcome outcome = PlayWell(story);
  EXPECT_GE(outcome.counts.Of("starts"), 1000);
}

TEST(SimTest, NightsWithBudgetsOnThreeScopesEndWell) {
  for (uint64_t seed = 300; seed < 303; ++seed) {
    Story story = MakeStory(seed, 100);
    story.budgets = true;
    story.workers = 3;
    story.capacity = 25;
    EXPECT_GT(PlayWell(story).counts.Of("commits while a budget bound"), 10);
  }
}

// Chains and a merge, under a scheduler that is killed again and again.
TEST(SimTest, NightsOfTasksThatNeedOthersEndWell) {
  Counts counts;
  for (uint64_t seed = 320; seed < 330; ++seed) {
    Story story = Plain(seed);
    story.needs = 0.8;
    story.merges = true;
    story.cancels = 8;
    for (int i = 0; i < 8; ++i) {
      story.faults.push_back(At(FaultKind::kSchedulerKill, 15 * i, 3));
      story.faults.back().tasks = 7 * i + 1;
    }
    counts.Add(PlayWell(story).counts);
  }
  EXPECT_GT(counts.Of("starts of tasks that need others"), 50);
  EXPECT_GT(counts.Of("tasks skipped"), 10);
}

// Delays, expiries and unique keys, under a scheduler that is killed again and
// again, and that is down while some fall due.
TEST(SimTest, NightsOfTasksThatWaitForTheirTimeEndWell) {
  Counts counts;
  for (uint64_t seed = 340; seed < 350; ++seed) {
    Story story = Plain(seed);
    story.waits = 0.5;
    story.needs = 0.3;
    for (int i = 0; i < 8; ++i) {
      story.faults.push_back(At(FaultKind::kSchedulerKill, 30 * i, 3));
      story.faults.back().tasks = 5 * i + 1;
    }
    counts.Add(PlayWell(story).counts);
  }
  EXPECT_GT(counts.Of("starts after a delay"), 30);
  EXPECT_GT(counts.Of("tasks expired"), 10);
  EXPECT_GT(counts.Of("tasks whose key was held"), 30);
}

// Canaries that fail and batches that stop, under schedulers that die.
TEST(SimTest, NightsWithRulesEndWell) {
  Counts counts;
  for (uint64_t seed = 330; seed < 340; ++seed) {
    Story story = Plain(seed);
    story.own_faults = 0.25;
    story.cancels = 6;
    story.canary = 1 + static_cast<int>(seed % 7);
    story.canary_tenths = 8;
    story.canary_cents = seed % 3 == 0 ? 40 * story.canary : 0;
    story.stop_failed = seed % 2 == 0 ? 3 : 0;
    story.stop_tenths = seed % 2 == 0 ? 0 : 3;
    story.stop_after = 8;
    story.max_failures = 1;
    story.merges = seed % 4 == 0;
    for (int i = 0; i < 8; ++i) {
      story.faults.push_back(At(FaultKind::kSchedulerKill, 20 * i, 3));
      story.faults.back().tasks = 9 * i + 1;
    }
    story.faults.push_back(At(FaultKind::kPowerLoss, 50, 5));
    counts.Add(PlayWell(story).counts);
  }
  EXPECT_GT(counts.Of("starts of canaries"), 20);
  EXPECT_GT(counts.Of("canaries passed"), 2);
  EXPECT_GT(counts.Of("canaries failed"), 2);
  EXPECT_GT(counts.Of("batches stopped"), 5);
}

// Batches that go amid what needs them and tries them again, by clients and by
// rules, under schedulers that die in the middle of it.
TEST(SimTest, NightsInWhichBatchesAreDeletedEndWell) {
  Counts counts;
  for (uint64_t seed = 370; seed < 380; ++seed) {
    Story story = Plain(seed);
    story.tasks = 20;
    story.own_faults = 0.15;
    story.sides = {.batches = 6,
                   .cancels = 1,
                   .batch_retries = 3,
                   .task_retries = 3,
                   .deletes = 10,
                   .deaths = 0.8,
                   .keep_newest = seed % 3 == 0 ? 2 : 0,
                   .keep_for = absl::Minutes(seed % 2 == 0 ? 10 : 0)};
    for (int i = 0; i < 4; ++i) {
      story.faults.push_back(At(FaultKind::kSchedulerKill, 80 * i, 3));
      story.faults.back().tasks = 9 * i + 1;
    }
    counts.Add(PlayWell(story).counts);
  }
  EXPECT_GT(counts.Of("batches deleted by a client"), 20);
  EXPECT_GT(counts.Of("batches deleted by a rule"), 10);
  EXPECT_GT(counts.Of("deletions refused"), 20);
  EXPECT_GT(counts.Of("batches tried again"), 5);
  EXPECT_GT(counts.Of("tasks tried again"), 10);
  EXPECT_GT(counts.Of("starts of tasks that need another batch's"), 20);
  EXPECT_GT(counts.Of("files of deleted tasks"), 100);
  EXPECT_GT(counts.Of("chunks of transcripts dropped"), 100);
}

// Single tasks that go by rules, amid what needs them and tries them again,
// under schedulers that die in the middle of it.
TEST(SimTest, NightsInWhichSingleTasksAreDeletedEndWell) {
  Counts counts;
  for (uint64_t seed = 410; seed < 420; ++seed) {
    Story story = Plain(seed);
    story.tasks = 10;
    story.own_faults = 0.15;
    story.sides = {.batches = 3,
                   .batch_retries = 2,
                   .task_retries = 3,
                   .deaths = 0.6,
                   .singles = 50,
                   .single_cancels = 3,
                   .single_retries = 12,
                   .keep_newest_singles = seed % 3 == 0 ? 2 : 0,
                   .keep_singles_for = absl::Seconds(seed % 2 == 0 ? 20 : 90)};
    for (int i = 0; i < 6; ++i) {
      story.faults.push_back(At(FaultKind::kSchedulerKill, 60 * i, 3));
    }
    counts.Add(PlayWell(story).counts);
  }
  EXPECT_GT(counts.Of("single tasks deleted by a rule"), 300);
  EXPECT_GT(counts.Of("single retries deleted by a rule"), 50);
  EXPECT_GT(counts.Of("single tasks kept for others"), 20);
  EXPECT_GT(counts.Of("deaths amid deletions by a rule"), 20);
  EXPECT_GT(counts.Of("requests of deleted tasks refused"), 50);
}

// Budgets and deadlines that will not do, some that will, and some that only
// seem not to.
TEST(SimTest, NightsOfBatchesAtRiskEndWell) {
  Counts counts;
  for (uint64_t seed = 380; seed < 395; ++seed) {
    Story story = Plain(seed);
    story.hooks = true;
    story.hook_trouble = 0.3;
    story.capacity = 6;
    story.asks = 0.2;
    story.own_faults = seed % 2 == 0 ? 0.1 : 0;
    if (seed % 3 != 0) story.budget_tenths = static_cast<int>(4 + seed % 12);
    if (seed % 3 != 1) story.deadline = absl::Minutes(1 + 5 * (seed % 5));
    story.faults = {At(FaultKind::kSchedulerKill, 40, 5),
                    At(FaultKind::kPowerLoss, 90, 5),
                    At(FaultKind::kBatchPaused, 100, 60)};
    counts.Add(PlayWell(story).counts);
  }
  EXPECT_GT(counts.Of("hooks of a risk DELIVERED"), 5);
  EXPECT_GT(counts.Of("hooks of a risk ARMED"), 2);
  EXPECT_GT(counts.Of("looks that foretell"), 100);
}

// A schedule that fires each minute under a scheduler that dies as it does.
TEST(SimTest, NightsWithAScheduleEndWell) {
  Counts counts;
  for (uint64_t seed = 396; seed < 409; ++seed) {
    Story story = Plain(seed);
    story.tasks = 20;
    story.timetable = {
        .every = 1,
        .until = absl::Minutes(9),
        .lines = static_cast<int>(1 + seed % 4),
        .runs = 3,
        .jitter = absl::Seconds(seed % 2 == 0 ? 20 : 0),
        .overlap = static_cast<v1::OverlapPolicy>(1 + seed % 3),
        .missed = static_cast<v1::MissedPolicy>(1 + seed / 2 % 3),
        .deaths = 0.8,
        .pauses = static_cast<int>(seed % 3),
        .deletes = seed % 4 == 0 ? 2 : 0,
        .goes = seed % 2 == 0};
    counts.Add(PlayWell(story).counts);
  }
  EXPECT_GT(counts.Of("schedules fired"), 25);
  EXPECT_GT(counts.Of("schedules fired by hand"), 10);
  EXPECT_GT(counts.Of("schedules paused"), 3);
  EXPECT_GE(counts.Of("schedules deleted"), 5);
  EXPECT_GT(counts.Of("times of schedules"), 15);
  EXPECT_GT(counts.Of("scheduler kills") + counts.Of("power losses"), 20);
}

// Sessions that are created with their message, some of them unheard.
TEST(SimTest, NightsInOneCallEndWell) {
  for (uint64_t seed = 350; seed < 353; ++seed) {
    Story story = Plain(seed);
    story.one_call = true;
    story.faults = {At(FaultKind::kLostAnswers, 0, 60, 0.2),
                    At(FaultKind::kLostRequests, 20, 60, 0.2),
                    At(FaultKind::kLateRequests, 30, 60, 0.2),
                    At(FaultKind::kWorkerKill, 40, 20)};
    story.faults[2].by = absl::Seconds(40);
    const Counts counts = PlayWell(story).counts;
    EXPECT_GT(counts.Of("answers lost"), 3);
    EXPECT_EQ(counts.Of("starts"), 60) << "one attempt each, whatever was lost";
    EXPECT_EQ(counts.Of("tasks SUCCEEDED"), 60);
  }
}

// Pauses that people end and that end by themselves, and caps, changed while
// tasks run and schedulers die.
TEST(SimTest, NightsThatPeopleHoldBackEndWell) {
  for (uint64_t seed = 360; seed < 364; ++seed) {
    Story story = Plain(seed);
    story.asks = 0.3;
    story.faults = {At(FaultKind::kQueuePaused, 10, 200),
                    At(FaultKind::kCapSet, 20, 900),
                    At(FaultKind::kSchedulerKill, 60, 20),
                    At(FaultKind::kBatchPaused, 190, 90),
                    At(FaultKind::kCapSet, 300, 100),
                    At(FaultKind::kPowerLoss, 200, 20)};
    story.faults[0].ends_itself = seed % 2 == 0;
    story.faults[1].of = v1::CAP_SCOPE_TENANT;
    story.faults[1].cap = 3;
    story.faults[3].ends_itself = true;
    story.faults[4].of = v1::CAP_SCOPE_BATCH;
    story.faults[4].cap = 2;
    const Outcome outcome = PlayWell(story);
    EXPECT_EQ(outcome.counts.Of("tasks SUCCEEDED"), 60);
    EXPECT_GE(outcome.counts.Of("pauses over"), 2);
    EXPECT_GE(outcome.counts.Of("starts under a cap"), 20);
    EXPECT_GT(outcome.night, absl::Minutes(5));
  }
}

// With a scheduler that dies in the middle of it.
TEST(SimTest, AKeyRefusedForAnHourFailsNothing) {
  for (uint64_t seed = 400; seed < 402; ++seed) {
    Story story = Plain(seed);
    story.faults = {At(FaultKind::kKeyRefused, 30, 3600),
                    At(FaultKind::kSchedulerKill, 1800, 10)};
    const Outcome outcome = PlayWell(story);
    EXPECT_EQ(outcome.counts.Of("tasks SUCCEEDED"), 60);
    EXPECT_EQ(outcome.counts.Of("attempts failed as TASK"), 0);
    EXPECT_GE(outcome.counts.Of("accounts shut"), 1);
    EXPECT_LT(outcome.night, absl::Minutes(80));
  }
}

// A sandbox lives thirty days, so a question that is answered in time finds the
// files that its agent left.
TEST(SimTest, AnAnswerOfTheLastDayFindsTheSandboxAndALaterOneTheEnd) {
  World world(1);
  world.service->hooks.script = [](const testing::FakePrompt&) {
    testing::FakeTurn turn;
    turn.stop_reason = "requires_action";
    turn.files = {{"result.json", "{}"}};
    return turn;
  };
  ASSERT_TRUE(world.StartScheduler());
  world.SubmitBatch({.tasks = 6, .answer_within = absl::Hours(24 * 29)});
  world.StartWorker("w1", 6);
  world.time.Advance(absl::Minutes(5));
  ASSERT_EQ(world.Batch().counts[v1::TASK_STATE_WAITING], 6);
  world.KillWorker("w1");
  world.time.Advance(absl::Hours(24 * 29 - 1));
  world.AnswerSome(0.5);
  world.StartWorker("w1", 6);
  world.time.Advance(absl::Hours(3));
  const int64_t answered = world.checks.counts().Of("answers");
  EXPECT_GT(answered, 0);
  EXPECT_LT(answered, 6);
  BatchRecord batch = world.Batch();
  EXPECT_EQ(batch.counts[v1::TASK_STATE_SUCCEEDED], answered);
  EXPECT_EQ(batch.counts[v1::TASK_STATE_FAILED], 6 - answered);
  int64_t cost = 0;
  for (const testing::FakeSessionView& session : world.service->Sessions()) {
    EXPECT_TRUE(session.archived);
    cost += session.cost_cents * 10'000;
  }
  EXPECT_EQ(batch.charged, cost);
}

class SimMutationTest : public ::testing::TestWithParam<NamedMutation> {};

TEST_P(SimMutationTest, IsMissed) {
  EXPECT_TRUE(Catch(GetParam(), 1, 200).has_value()) << GetParam().name;
}

INSTANTIATE_TEST_SUITE_P(
    All, SimMutationTest, ::testing::ValuesIn(AllMutations()),
    [](const ::testing::TestParamInfo<NamedMutation>& each) {
      std::string name;
      for (const char* c = each.param.name; *c != '\0'; ++c) {
        if (std::isalnum(static_cast<unsigned char>(*c))) name += *c;
      }
      return name;
    });

TEST(SimTest, ABrokenNightShrinksToAFewFaults) {
  const NamedMutation& fence = AllMutations()[1];
  const std::optional<Caught> caught = Catch(fence, 1, 200);
  ASSERT_TRUE(caught.has_value());
  PlayOptions without;
  without.without = fence.without;
  auto paid_twice = [&](const Story& story) {
    for (const Violation& violation : Play(story, without).violations) {
      if (violation.invariant == kPaidOnce) return true;
    }
    return false;
  };
  const Story story = MakeStory(caught->seed);
  const Story small = Shrink(story, paid_twice);
  EXPECT_TRUE(paid_twice(small));
  EXPECT_LE(small.faults.size(), 4u) << Describe(small);
  EXPECT_LT(small.tasks, story.tasks);
}

}  // namespace
}  // namespace midwatch::sim
