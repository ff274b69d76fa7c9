#ifndef MIDWATCH_TESTS_SIM_SHRINK_H_
#define MIDWATCH_TESTS_SIM_SHRINK_H_

#include <functional>

#include "tests/sim/story.h"

namespace midwatch::sim {

// A smaller story of which `fails` is true too: faults taken out one by one,
// then tasks, workers and quirks, until nothing more can go. `fails` is true of
// `story`.
Story Shrink(Story story, const std::function<bool(const Story&)>& fails);

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_SHRINK_H_
