// Tests of the tests: what keeps the promises is taken away, one at a time, and
// the invariant that it guards must break.
#ifndef MIDWATCH_TESTS_SIM_MUTATIONS_H_
#define MIDWATCH_TESTS_SIM_MUTATIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/play.h"

namespace midwatch::sim {

struct NamedMutation {
  const char* name;
  Mutation without;
  // One of these breaks: names of violation.h.
  std::vector<const char*> guarded;
};

const std::vector<NamedMutation>& AllMutations();

struct Caught {
  uint64_t seed = 0;
  int seeds = 0;  // that were played until then
  Violation violation;
};

// Plays seeds from `first` on; nothing where `seeds` of them notice nothing.
std::optional<Caught> Catch(const NamedMutation& mutation, uint64_t first,
                            int seeds);

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_MUTATIONS_H_
