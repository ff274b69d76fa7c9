#include "store/prediction.h"

#include <algorithm>
#include <bit>

#include "base/random.h"
#include "base/sha256.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

// `sorted` is not empty.
int64_t NearestRank(const std::vector<int64_t>& sorted, size_t percent) {
  const size_t rank = (sorted.size() * percent + 99) / 100;  // from 1
  return sorted[std::max<size_t>(rank, 1) - 1];
}

}  // namespace

std::string KindOf(const v1::TaskSpec& spec) {
  v1::TaskSpec kind;
  *kind.mutable_agent() = spec.agent();
  if (spec.has_environment()) {
    *kind.mutable_environment() = spec.environment();
  }
  kind.set_prompt(spec.prompt());
  if (spec.has_expect()) *kind.mutable_expect() = spec.expect();
  return Sha256Hex(DeterministicBytes(kind));
}

Forecast Predict(std::vector<Sample> samples) {
  Forecast forecast;
  forecast.samples = static_cast<int32_t>(samples.size());
  if (samples.empty()) return forecast;
  std::vector<int64_t> costs, times;
  for (const Sample& sample : samples) {
    costs.push_back(sample.cost);
    times.push_back(sample.time_micros);
  }
  std::sort(costs.begin(), costs.end());
  std::sort(times.begin(), times.end());
  forecast.cost_p50 = NearestRank(costs, 50);
  forecast.cost_p90 = NearestRank(costs, 90);
  forecast.time_p50 = absl::Microseconds(NearestRank(times, 50));
  forecast.time_p90 = absl::Microseconds(NearestRank(times, 90));
  return forecast;
}

Calibration HowItHeld(const Forecast& forecast, const Sample& came) {
  if (forecast.samples == 0) return {};
  const absl::Duration took = absl::Microseconds(came.time_micros);
  return {.foretold = 1,
          .cost_in_p50 = came.cost <= forecast.cost_p50 ? 1 : 0,
          .cost_in_p90 = came.cost <= forecast.cost_p90 ? 1 : 0,
          .time_in_p50 = took <= forecast.time_p50 ? 1 : 0,
          .time_in_p90 = took <= forecast.time_p90 ? 1 : 0};
}

std::optional<int> PlaceOfSample(int64_t kind, int64_t n) {
  if (n <= kSamplesMax) return static_cast<int>(n - 1);
  const auto number = static_cast<uint64_t>(n);
  // Multiples of the golden ratio, modulo 1, are spread evenly: so of every
  // stretch of samples the right part is kept, as of the slow ones that end
  // last. Independent draws keep half or twice of a few now and then.
  constexpr uint64_t kGoldenRatio = 0x9e3779b97f4a7c15;  // less 1, times 2^64
  const uint64_t spread =
      kGoldenRatio * number + SeededRandom(static_cast<uint64_t>(kind)).Next();
  const auto among = static_cast<uint64_t>(std::min<int64_t>(n, kSampleMemory));
  constexpr uint64_t kPlaces = kSamplesMax;
  if ((spread >> 32) * among >= kPlaces << 32) return std::nullopt;
  // The odd factor keeps kinds apart: without it one would go to the places of
  // its neighbour, a sample later.
  SeededRandom place(static_cast<uint64_t>(kind) * 0xd6e8feb86659fd93 + number);
  return static_cast<int>(place.Next() % kPlaces);
}

bool PredictsAnew(int64_t n) {
  constexpr uint64_t kEachMax = 32;
  const uint64_t each = std::clamp<uint64_t>(
      std::bit_floor(static_cast<uint64_t>(n)) / 8, 1, kEachMax);
  return static_cast<uint64_t>(n) % each == 0;
}

}  // namespace midwatch
