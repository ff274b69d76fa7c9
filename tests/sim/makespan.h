// How long a batch takes where the service's limits are what binds, against the
// soonest that they allow (tests/sim/bound.h), in virtual time.
#ifndef MIDWATCH_TESTS_SIM_MAKESPAN_H_
#define MIDWATCH_TESTS_SIM_MAKESPAN_H_

#include <cstdint>
#include <ostream>

#include "absl/time/time.h"

namespace midwatch::sim {

// One batch of tasks whose turns last one to three minutes, two workers, and a
// service that accepts `allowed_per_minute` creates and writes, and 1,200
// reads; of each class `burst` at once.
struct MakespanCell {
  int tasks = 1'000;
  double allowed_per_minute = 300;
  // What the workers say that it accepts; their word about reads and bursts is
  // right.
  double told_per_minute = 300;
  int burst = 5;
  // With each refusal.
  absl::Duration retry_after = absl::Seconds(5);
  uint64_t seed = 1;  // of the turns, and of all that the nodes roll
};

struct Makespan {
  // From the workers' start until the last task has succeeded.
  absl::Duration took;
  absl::Duration bound;
  int refused = 0;  // requests answered with 429

  double ratio() const { return absl::FDivDuration(took, bound); }
};

// Reports with EXPECT what is not as it must be: a task that did not succeed.
Makespan MeasureMakespan(const MakespanCell& cell);

// All of {1,000, 10,000} tasks, retry-after {1, 5, 15, 60} s, burst {5, 30,
// 150}, where the workers are told what is true and where it is half of that:
// minutes of work.
void PrintMakespanGrid(std::ostream& out);

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_MAKESPAN_H_
