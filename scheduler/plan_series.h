// What a plan shows over time, in a bounded number of equal slices, however
// long it is.
#ifndef MIDWATCH_SCHEDULER_PLAN_SERIES_H_
#define MIDWATCH_SCHEDULER_PLAN_SERIES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"

namespace midwatch {

// What keeps tasks that have not started from starting.
enum class PlanLimit {
  kNone,    // all have started
  kPause,   // the plan begins with one
  kNeeds,   // those that are left need others
  kCreate,  // the rate of creates, and of writes that share it
  kRead,    // the rate of reads
  kFiles,   // the rate of file requests
  kPlaces,  // the workers' places
  kCap,     // a cap on what runs
  kKey,     // their concurrency keys
  kBudget,  // a budget
  kCanary,  // the canary's verdict
  kDelay,   // those that are left are to start later
};
inline constexpr size_t kPlanLimits = 12;

struct PlanSlice {
  // For how long in it each limit bound.
  std::array<absl::Duration, kPlanLimits> bound{};
  int running_max = 0;
  // At its end, micro-dollars.
  int64_t charged = 0, reserved = 0;
};

struct PlanInterval {
  absl::Duration from, until;
  PlanLimit limit{};

  friend bool operator==(const PlanInterval&, const PlanInterval&) = default;
};

class PlanSeries {
 public:
  static constexpr size_t kSlicesMax = 400;

  // What holds from now on; `now` never falls.
  void Note(absl::Duration now, PlanLimit limit, int running, int64_t charged,
            int64_t reserved);
  absl::Duration slice() const { return slice_; }
  const std::vector<PlanSlice>& slices() const { return slices_; }
  absl::Duration TimeOf(PlanLimit limit) const;
  // Which limit bound most, slice for slice, equal neighbours as one.
  std::vector<PlanInterval> Intervals() const;

 private:
  PlanSlice& At(absl::Duration time);
  void Pass(absl::Duration until);

  absl::Duration slice_ = absl::Seconds(1);
  std::vector<PlanSlice> slices_;
  absl::Duration now_;
  PlanLimit limit_ = PlanLimit::kNone;
  int running_ = 0;
  int64_t charged_ = 0, reserved_ = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_PLAN_SERIES_H_
