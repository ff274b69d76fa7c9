#include "cli/pace.h"

#include <algorithm>
#include <vector>

namespace midwatch::cli {
namespace {

constexpr size_t kEndsMax = 512;
constexpr size_t kEndsMin = 5;
constexpr absl::Duration kSpanMin = absl::Seconds(1);
constexpr absl::Duration kRateSpan = absl::Minutes(1);

}  // namespace

void Pace::Ended(absl::Duration at, std::optional<int64_t> cost_usd_micros) {
  ends_.push_back({at, cost_usd_micros});
  // The one before the oldest kept marks where the window begins.
  if (ends_.size() > kEndsMax + 1) ends_.pop_front();
}

absl::Duration Pace::WindowBegin() const {
  return ends_.size() > kEndsMax ? ends_.front().at : begun_;
}

std::optional<double> Pace::EndsPerMinute(absl::Duration now) const {
  const absl::Duration from = std::max(WindowBegin(), now - kRateSpan);
  if (ends_.size() < kEndsMin || now - from < kSpanMin) return std::nullopt;
  const auto count = std::count_if(ends_.begin(), ends_.end(),
                                   [&](const End& e) { return e.at > from; });
  return static_cast<double>(count) * absl::FDivDuration(kRateSpan, now - from);
}

std::optional<absl::Duration> Pace::Left(absl::Duration now, int64_t open,
                                         int64_t running) const {
  const size_t basis =
      std::min(kEndsMax, std::max(kEndsMin, static_cast<size_t>(running)));
  const absl::Duration span = now - WindowBegin();
  if (ends_.size() < basis || open <= 0 || span < kSpanMin) return std::nullopt;
  const size_t ended = std::min(ends_.size(), kEndsMax);
  return span * (static_cast<double>(open) / static_cast<double>(ended));
}

std::optional<int64_t> Pace::MedianUsdMicros() const {
  std::vector<int64_t> costs;
  for (const End& end : ends_) {
    if (end.cost_usd_micros) costs.push_back(*end.cost_usd_micros);
  }
  if (costs.size() < kEndsMin) return std::nullopt;
  const auto middle = costs.begin() + static_cast<int64_t>(costs.size() / 2);
  std::nth_element(costs.begin(), middle, costs.end());
  return *middle;
}

}  // namespace midwatch::cli
