#ifndef MIDWATCH_TESTS_SIM_PLAY_H_
#define MIDWATCH_TESTS_SIM_PLAY_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/guard.h"
#include "tests/sim/counts.h"
#include "tests/sim/story.h"
#include "tests/sim/violation.h"

namespace midwatch::sim {

// What is taken away for a night, to see that it is missed.
struct Mutation {
  Guard guard = Guard::kNone;
  bool disk_lies = false;  // its syncs do nothing
};

struct PlayOptions {
  Mutation without;
  // Gets each line of the night as it happens.
  std::function<void(absl::Duration, absl::string_view)> on_trace;
};

struct Outcome {
  std::vector<Violation> violations;
  Counts counts;
  std::string trace_hash;  // equal for the same story, always
  absl::Duration night;    // until the last task was final
};

// Plays the story to its end, on the real scheduler, store and workers.
Outcome Play(const Story& story, const PlayOptions& options = {});

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_PLAY_H_
