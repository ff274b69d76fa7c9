// One night with everything that goes wrong in one, twice: the same seed must
// give the same trace.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/sim/sim_world.h"

namespace midwatch::sim {
namespace {

using testing::FakeCall;
using testing::FakeFault;
using testing::FakePrompt;
using testing::FakeTurn;

constexpr int kTasks = 200;

// Turns of 5 to 60 seconds, 1 to 30 cents, by the world's own dice.
FakeTurn RollTurn(World& world) {
  FakeTurn turn;
  turn.duration = absl::Seconds(5) + absl::Seconds(55) * world.random.Fraction();
  turn.cost_cents = 1 + static_cast<int64_t>(world.random.Next() % 30);
  turn.tool_calls = 1 + static_cast<int>(world.random.Next() % 4);
  turn.files = {{"result.json", "{}"}};
  return turn;
}

FakeFault FaultOf(World& world, const FakeCall& call) {
  FakeFault fault;
  if (call.operation == "create_session" && call.number == 30) {
    fault.kind = FakeFault::Kind::kLoseAnswer;
    ++world.counts.lost_creates;
  }
  // One send whose message arrived, and one whose message did not.
  if (call.operation == "send_events" &&
      (call.number == 40 || call.number == 41)) {
    fault.kind = call.number == 40 ? FakeFault::Kind::kLoseAnswer
                                   : FakeFault::Kind::kLoseRequest;
    ++world.counts.lost_sends;
  }
  return fault;
}

int CountJournal(World& world, JournalKind kind) {
  std::vector<JournalRecord> journal = world.Journal();
  return static_cast<int>(std::count_if(
      journal.begin(), journal.end(),
      [kind](const JournalRecord& entry) { return entry.kind == kind; }));
}

std::string RunNight(uint64_t seed) {
  World world(seed);
  world.service->hooks.script = [&](const FakePrompt&) {
    return RollTurn(world);
  };
  world.service->hooks.on_call = [&](const FakeCall& call) {
    return FaultOf(world, call);
  };
  world.StartScheduler();
  world.SubmitBatch(kTasks);
  world.StartWorker("w1", 15);
  world.StartWorker("w2", 15);
  for (int second = 1; second <= 3600; ++second) {
    world.time.Advance(absl::Seconds(1));
    world.CheckAlways();
    if (second == 20) world.CrashScheduler();
    if (second == 26) world.StartScheduler();
    if (second == 45) world.CrashWorker("w1");
    if (second == 50) world.StartWorker("w1", 15);
    // Longer than its term, so that others adopt what it holds, and then it
    // wakes in the middle of what it was doing.
    if (second == 100) world.StallWorker("w2", true);
    if (second == 160) world.StallWorker("w2", false);
    if (second > 160 && world.Batch().state == v1::BATCH_STATE_DONE) break;
  }
  world.time.Advance(absl::Minutes(2));  // archives and other afterthoughts
  world.CheckAtEnd(kTasks);

  EXPECT_EQ(world.counts.scheduler_crashes, 1);
  EXPECT_EQ(world.counts.worker_crashes, 1);
  EXPECT_EQ(world.counts.stalls, 1);
  EXPECT_EQ(world.counts.lost_creates, 1);
  EXPECT_EQ(world.counts.lost_sends, 2);
  EXPECT_GT(CountJournal(world, JournalKind::kAdopted), 10);
  EXPECT_GT(CountJournal(world, JournalKind::kFreed), 10);
  EXPECT_GE(CountJournal(world, JournalKind::kSessionCleared), 1)
      << "nobody was fenced";
  // The lost create left an idle session beside the one that was used.
  EXPECT_GT(world.service->Sessions().size(), static_cast<size_t>(kTasks));
  return world.TraceHash();
}

TEST(SimSmoke, ANightOfFaultsEndsWellAndReplays) {
  std::string first = RunNight(7);
  std::string second = RunNight(7);
  EXPECT_EQ(first, second);
}

TEST(SimSmoke, AnotherSeedIsAnotherNight) {
  EXPECT_NE(RunNight(8), RunNight(9));
}

}  // namespace
}  // namespace midwatch::sim
