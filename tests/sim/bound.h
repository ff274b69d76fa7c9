// The soonest at which tasks could be done by anybody who keeps the service's
// limits: what makespans are measured against. It shares nothing with what it
// measures, and knows neither latency nor fault.
//
// To start a task takes three requests, one after the other: its create, the
// opening of its stream (a read) and its first message (a write, which shares
// the bucket of creates). They go in the order of the tasks, each as soon as
// its class has a slot, and a task is done when its turn has lasted as long as
// it lasts. All else is left out, which only makes the bound stricter: what is
// made once for all tasks (an agent, an environment), what fetches outputs (of
// a class without a limit here), and archives, for which nobody waits.
#ifndef MIDWATCH_TESTS_SIM_BOUND_H_
#define MIDWATCH_TESTS_SIM_BOUND_H_

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/time/time.h"

namespace midwatch::sim {

// What the service accepts of one class: `burst` at once, then `per_minute`.
struct TrueLimit {
  double per_minute = 0;
  int burst = 1;

  // The soonest at which request `number`, from 0, can be accepted, however
  // those before it were spread.
  absl::Duration Slot(size_t number) const {
    const auto full = static_cast<size_t>(burst);
    if (number < full) return absl::ZeroDuration();
    return absl::Minutes(static_cast<double>(number - full + 1) / per_minute);
  }
};

// From the first request to the end of the last turn.
inline absl::Duration BestMakespan(const std::vector<absl::Duration>& turns,
                                   const TrueLimit& creates_and_writes,
                                   const TrueLimit& reads) {
  absl::Duration end;
  for (size_t task = 0; task < turns.size(); ++task) {
    // Of the shared class: two requests for each task before it.
    const absl::Duration created = creates_and_writes.Slot(2 * task);
    const absl::Duration opened = std::max(created, reads.Slot(task));
    const absl::Duration sent =
        std::max(opened, creates_and_writes.Slot(2 * task + 1));
    end = std::max(end, sent + turns[task]);
  }
  return end;
}

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_BOUND_H_
