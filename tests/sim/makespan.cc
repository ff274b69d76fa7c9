#include "tests/sim/makespan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "base/random.h"
#include "tests/sim/bound.h"
#include "tests/sim/sim_world.h"

namespace midwatch::sim {
namespace {

using testing::FakeCall;
using testing::FakeFault;
using testing::FakePrompt;
using testing::FakeTurn;

constexpr double kReadsPerMinute = 1'200;
constexpr absl::Duration kShortestTurn = absl::Minutes(1);
constexpr absl::Duration kLongestTurn = absl::Minutes(3);
constexpr int kCapacity = 1'000;  // of each of two workers
// Between looks at whether the batch is done.
constexpr absl::Duration kLookEvery = absl::Seconds(10);
constexpr int kSlowest = 10;  // times the bound; a test would not end otherwise

// What the service accepts, as it counts: tokens that come back.
class TokenBucket {
 public:
  explicit TokenBucket(const TrueLimit& limit)
      : limit_(limit), tokens_(limit.burst) {}

  bool Accepts(absl::Duration now) {
    tokens_ += limit_.per_minute * absl::ToDoubleMinutes(now - at_);
    tokens_ = std::min<double>(limit_.burst, tokens_);
    at_ = now;
    // Sums of fractions are a little short of one.
    if (tokens_ < 1 - 1e-6) return false;
    --tokens_;
    return true;
  }

 private:
  TrueLimit limit_;
  double tokens_;
  absl::Duration at_;
};

enum class Limited { kNot, kCreatesAndWrites, kReads };

Limited ClassOf(const std::string& operation) {
  if (absl::StrContains(operation, "file")) return Limited::kNot;
  for (const char* read : {"get_", "list_", "stream_"}) {
    if (absl::StartsWith(operation, read)) return Limited::kReads;
  }
  return Limited::kCreatesAndWrites;
}

// Of the task whose prompt is "Do number N."
size_t NumberOf(const FakePrompt& prompt) {
  absl::string_view text = prompt.text;
  size_t number = 0;
  EXPECT_TRUE(absl::ConsumePrefix(&text, "Do number ") &&
              absl::ConsumeSuffix(&text, ".") &&
              absl::SimpleAtoi(text, &number))
      << prompt.text;
  return number;
}

std::vector<absl::Duration> RollTurns(const MakespanCell& cell) {
  SeededRandom random(cell.seed);
  std::vector<absl::Duration> turns;
  for (int i = 0; i < cell.tasks; ++i) {
    turns.push_back(kShortestTurn +
                    (kLongestTurn - kShortestTurn) * random.Fraction());
  }
  return turns;
}

}  // namespace

Makespan MeasureMakespan(const MakespanCell& cell) {
  const std::vector<absl::Duration> turns = RollTurns(cell);
  const TrueLimit writes_limit{cell.allowed_per_minute, cell.burst};
  const TrueLimit reads_limit{kReadsPerMinute, cell.burst};
  Makespan result;
  result.bound = BestMakespan(turns, writes_limit, reads_limit);

  World world(cell.seed);
  v1::AccountLimits limits;
  limits.set_account("default");
  limits.mutable_create()->set_per_minute(cell.told_per_minute);
  limits.mutable_create()->set_burst(cell.burst);
  limits.mutable_read()->set_per_minute(kReadsPerMinute);
  limits.mutable_read()->set_burst(cell.burst);
  world.limits = {limits};
  world.service->hooks.script = [&](const FakePrompt& prompt) {
    FakeTurn turn;
    turn.duration = turns.at(NumberOf(prompt));
    turn.tool_calls = 0;
    turn.files = {{"result.json", "{}"}};
    return turn;
  };
  TokenBucket writes(writes_limit), reads(reads_limit);
  world.service->hooks.on_call = [&](const FakeCall& call) {
    FakeFault fault;
    const Limited limited = ClassOf(call.operation);
    if (limited == Limited::kNot) return fault;
    TokenBucket& bucket = limited == Limited::kReads ? reads : writes;
    if (bucket.Accepts(world.time.Elapsed())) return fault;
    fault.kind = FakeFault::Kind::kRefuse;
    fault.status = 429;
    fault.error_type = "rate_limit_error";
    fault.retry_after = cell.retry_after;
    ++result.refused;
    return fault;
  };

  world.StartScheduler();
  world.SubmitBatch({.tasks = cell.tasks});
  const absl::Time begin = world.ClockOf("scheduler").Now();
  world.StartWorker("w1", kCapacity);
  world.StartWorker("w2", kCapacity);
  while (world.Batch().state != v1::BATCH_STATE_DONE) {
    if (world.ClockOf("scheduler").Now() - begin > kSlowest * result.bound)
      break;
    world.time.Advance(kLookEvery);
  }
  EXPECT_EQ(world.Batch().counts[v1::TASK_STATE_SUCCEEDED], cell.tasks);
  for (const JournalRecord& entry : world.Journal()) {
    if (entry.kind != JournalKind::kSettled) continue;
    result.took = std::max(result.took, entry.at - begin);
  }
  return result;
}

namespace {

constexpr int kTaskCounts[] = {1'000, 10'000};
constexpr int kBursts[] = {5, 30, 150};
constexpr int kRetryAfterSeconds[] = {1, 5, 15, 60};

void PrintRow(std::ostream& out, const char* limits, MakespanCell cell) {
  for (int burst : kBursts) {
    cell.burst = burst;
    out << absl::StreamFormat("%-6s  %6d  %5d", limits, cell.tasks, burst);
    std::optional<Makespan> unrefused;
    for (int seconds : kRetryAfterSeconds) {
      cell.retry_after = absl::Seconds(seconds);
      // Where nothing is refused, retry-after is never said.
      const Makespan each = unrefused ? *unrefused : MeasureMakespan(cell);
      if (each.refused == 0) unrefused = each;
      out << absl::StreamFormat("  %6.3f (%4d)", each.ratio(), each.refused)
          << std::flush;
    }
    out << "\n";
  }
}

}  // namespace

void PrintMakespanGrid(std::ostream& out) {
  out << "Makespan over its bound, and (requests refused), by retry-after\n"
      << "limits   tasks  burst";
  for (int seconds : kRetryAfterSeconds) {
    out << absl::StreamFormat("  %11d s", seconds);
  }
  out << "\n";
  for (int tasks : kTaskCounts) {
    MakespanCell right;
    right.tasks = tasks;
    PrintRow(out, "right", right);
    MakespanCell half = right;
    half.allowed_per_minute = half.told_per_minute / 2;
    PrintRow(out, "half", half);
  }
}

}  // namespace midwatch::sim
