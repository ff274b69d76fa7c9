#ifndef MIDWATCH_TESTS_SIM_FLAKY_CLIENT_H_
#define MIDWATCH_TESTS_SIM_FLAKY_CLIENT_H_

#include <memory>

#include "base/executor.h"
#include "base/random.h"
#include "tests/sim/counts.h"
#include "worker/scheduler_client.h"

namespace midwatch::sim {

// How bad the network between workers and scheduler is; may change at any time.
struct Flakiness {
  double lost_answers = 0;   // calls that are carried out, unheard
  double doubled_calls = 0;  // calls that arrive again, up to a minute later
};

// A worker's way to the scheduler. Everything outlives it; `executor` is the
// worker's.
std::unique_ptr<SchedulerClient> MakeFlakyClient(
    Executor& executor, Random& random, const Flakiness& flakiness,
    Counts& counts, std::unique_ptr<SchedulerClient> inner);

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_FLAKY_CLIENT_H_
