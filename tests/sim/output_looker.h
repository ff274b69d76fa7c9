// A worker's own check of outputs, which takes its time.
#ifndef MIDWATCH_TESTS_SIM_OUTPUT_LOOKER_H_
#define MIDWATCH_TESTS_SIM_OUTPUT_LOOKER_H_

#include <memory>

#include "base/executor.h"
#include "base/random.h"
#include "worker/output_check.h"

namespace midwatch::sim {

// Its name in specs, and what it says where it fails.
inline constexpr char kOutputLooker[] = "looker";
inline constexpr char kLookerSays[] = "the result says that it is bad";

// Fails outputs with the word "bad" in one of them. Both outlive it.
std::unique_ptr<OutputCheck> MakeOutputLooker(Executor& executor,
                                              SeededRandom& dice);

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_OUTPUT_LOOKER_H_
