#include "scheduler/plan_series.h"

#include <algorithm>

namespace midwatch {
namespace {

// The two as one of twice the length.
PlanSlice Joined(const PlanSlice& a, const PlanSlice& b) {
  PlanSlice both = b;
  for (size_t i = 0; i < kPlanLimits; ++i) both.bound[i] += a.bound[i];
  both.running_max = std::max(a.running_max, b.running_max);
  return both;
}

}  // namespace

PlanSlice& PlanSeries::At(absl::Duration time) {
  auto index = static_cast<size_t>(time / slice_);
  while (index >= kSlicesMax) {
    std::vector<PlanSlice> wider;
    for (size_t i = 0; i < slices_.size(); i += 2) {
      wider.push_back(i + 1 < slices_.size()
                          ? Joined(slices_[i], slices_[i + 1])
                          : slices_[i]);
    }
    slices_ = std::move(wider);
    slice_ *= 2;
    index /= 2;
  }
  // What is skipped is as it was at last.
  while (slices_.size() <= index) {
    slices_.emplace_back();
    slices_.back().running_max = running_;
    slices_.back().charged = charged_;
    slices_.back().reserved = reserved_;
  }
  return slices_[index];
}

void PlanSeries::Pass(absl::Duration until) {
  while (now_ < until) {
    PlanSlice& slice = At(now_);
    const absl::Duration end = std::min(until, slice_ * (now_ / slice_ + 1));
    slice.bound[static_cast<size_t>(limit_)] += end - now_;
    now_ = end;
  }
}

void PlanSeries::Note(absl::Duration now, PlanLimit limit, int running,
                      int64_t charged, int64_t reserved) {
  Pass(now);
  limit_ = limit;
  running_ = running;
  charged_ = charged;
  reserved_ = reserved;
  PlanSlice& slice = At(now);
  slice.running_max = std::max(slice.running_max, running);
  slice.charged = charged;
  slice.reserved = reserved;
}

absl::Duration PlanSeries::TimeOf(PlanLimit limit) const {
  absl::Duration sum;
  for (const PlanSlice& slice : slices_) {
    sum += slice.bound[static_cast<size_t>(limit)];
  }
  return sum;
}

std::vector<PlanInterval> PlanSeries::Intervals() const {
  std::vector<PlanInterval> intervals;
  for (size_t i = 0; i < slices_.size(); ++i) {
    const auto& bound = slices_[i].bound;
    const auto most = std::max_element(bound.begin(), bound.end());
    if (*most == absl::ZeroDuration()) continue;
    const auto limit = static_cast<PlanLimit>(most - bound.begin());
    const absl::Duration from = slice_ * static_cast<int64_t>(i);
    const absl::Duration until = std::min(from + slice_, now_);
    if (!intervals.empty() && intervals.back().limit == limit) {
      intervals.back().until = until;
    } else {
      intervals.push_back({from, until, limit});
    }
  }
  return intervals;
}

}  // namespace midwatch
