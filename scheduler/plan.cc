#include "scheduler/plan.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

#include "base/random.h"
#include "scheduler/plan_night.h"

namespace midwatch {
namespace {

// Nine of ten normal variables are no more than so many deviations above their
// mean.
constexpr double kP90 = 1.2816;
// The same file has the same plan.
constexpr uint64_t kSeed = 20'241;
// Which tasks are the long ones is a matter of luck, and with it how long the
// last ones go on. So several such orders are played: fewer of many tasks,
// where it matters less, so that it stays a matter of a second.
constexpr size_t kDraws = 15;
constexpr size_t kPlayedTasks = 150'000;

// For each task one of its kind's samples: each sample as often as another, and
// of fewer tasks than there are samples those that lie evenly among them; then
// in an order of their own, so that no long ones come together.
std::vector<Sample> Draw(const PlanInput& input, uint64_t seed) {
  std::vector<std::vector<size_t>> of_kind(input.kinds.size());
  for (size_t i = 0; i < input.tasks.size(); ++i) {
    of_kind[static_cast<size_t>(input.tasks[i].kind)].push_back(i);
  }
  std::vector<Sample> goes(input.tasks.size());
  SeededRandom random(seed);
  for (size_t kind = 0; kind < of_kind.size(); ++kind) {
    std::vector<size_t>& tasks = of_kind[kind];
    std::vector<Sample> samples = input.kinds[kind].samples;
    std::sort(samples.begin(), samples.end(),
              [](const Sample& a, const Sample& b) {
                return std::pair(a.time_micros, a.cost) <
                       std::pair(b.time_micros, b.cost);
              });
    for (size_t i = tasks.size(); i > 1; --i) {
      std::swap(tasks[i - 1], tasks[random.Next() % i]);
    }
    for (size_t i = 0; i < tasks.size(); ++i) {
      // The middle of the i-th of so many equal parts.
      const size_t place = (2 * i + 1) * samples.size() / (2 * tasks.size());
      goes[tasks[i]] = samples[place];
      if (!input.kinds[kind].assumed) continue;
      int64_t& cost = goes[tasks[i]].cost;
      const int64_t most = MaxCostOf(input, input.tasks[tasks[i]]);
      cost = input.kinds[kind].costs_all ? most : std::min(cost, most);
    }
  }
  return goes;
}

// By how much the mean of `tasks` of a kind is above that of its samples, one
// time in ten: few samples say little about the kind, and few tasks may be
// anything.
template <typename Field>
double HighMean(const std::vector<Sample>& samples, size_t tasks, Field field) {
  double sum = 0, squares = 0;
  const auto n = static_cast<double>(samples.size());
  for (const Sample& sample : samples)
    sum += static_cast<double>(field(sample));
  const double mean = sum / n;
  if (samples.size() < 2 || mean <= 0 || tasks == 0) return 1;
  for (const Sample& sample : samples) {
    const double off = static_cast<double>(field(sample)) - mean;
    squares += off * off;
  }
  const double deviation = std::sqrt(squares / (n - 1));
  return 1 + kP90 * deviation / mean *
                 std::sqrt(1 / n + 1 / static_cast<double>(tasks));
}

std::vector<Sample> Slower(const PlanInput& input, std::vector<Sample> goes) {
  std::vector<size_t> tasks(input.kinds.size());
  for (const PlanTask& task : input.tasks) {
    ++tasks[static_cast<size_t>(task.kind)];
  }
  std::vector<double> cost, time;
  for (size_t kind = 0; kind < input.kinds.size(); ++kind) {
    const std::vector<Sample>& samples = input.kinds[kind].samples;
    cost.push_back(
        HighMean(samples, tasks[kind], [](const Sample& s) { return s.cost; }));
    time.push_back(HighMean(samples, tasks[kind],
                            [](const Sample& s) { return s.time_micros; }));
  }
  for (size_t i = 0; i < goes.size(); ++i) {
    const auto kind = static_cast<size_t>(input.tasks[i].kind);
    goes[i].cost = std::llround(static_cast<double>(goes[i].cost) * cost[kind]);
    goes[i].time_micros =
        std::llround(static_cast<double>(goes[i].time_micros) * time[kind]);
  }
  return goes;
}

// An odd number, so that one is in the middle.
size_t DrawsOf(size_t tasks) {
  const size_t most = kPlayedTasks / std::max<size_t>(tasks, 1);
  return (std::clamp<size_t>(most, 1, kDraws) - 1) | 1;
}

// The seed of the draw whose night is neither good nor bad: as many nights run
// more tasks, or end earlier, as the other way round.
uint64_t MiddleSeed(const PlanInput& input) {
  const size_t draws = DrawsOf(input.tasks.size());
  if (draws == 1) return kSeed;
  std::vector<std::tuple<int64_t, absl::Duration, uint64_t>> nights;
  for (uint64_t seed = kSeed; nights.size() < draws; ++seed) {
    const PlannedNight night = PlayNight(input, Draw(input, seed));
    nights.emplace_back(-night.run, night.end, seed);
  }
  std::sort(nights.begin(), nights.end());
  return std::get<uint64_t>(nights[draws / 2]);
}

}  // namespace

int64_t MaxCostOf(const PlanInput& input, const PlanTask& task) {
  return task.max_cost.value_or(input.max_cost);
}

bool HasOneMaxCost(const PlanInput& input) {
  return std::all_of(
      input.tasks.begin(), input.tasks.end(), [&](const PlanTask& task) {
        return MaxCostOf(input, task) == MaxCostOf(input, input.tasks[0]);
      });
}

Plan PlanBatch(const PlanInput& input) {
  std::vector<Sample> goes = Draw(input, MiddleSeed(input));
  Plan plan;
  plan.typical = PlayNight(input, goes);
  plan.slow = PlayNight(input, Slower(input, std::move(goes)));
  return plan;
}

}  // namespace midwatch
