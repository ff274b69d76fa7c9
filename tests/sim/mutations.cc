#include "tests/sim/mutations.h"

#include <algorithm>

namespace midwatch::sim {

const std::vector<NamedMutation>& AllMutations() {
  static const auto* all = new std::vector<NamedMutation>{
      {"compare-and-set of the session",
       {.guard = Guard::kSessionCompareAndSet},
       {kSessions, kPaidOnce}},
      {"archive fence", {.guard = Guard::kArchiveFence}, {kPaidOnce}},
      {"epoch check", {.guard = Guard::kLeaseCheck}, {kLeases}},
      {"reservation", {.guard = Guard::kReservation}, {kBudgets}},
      {"outbox", {.guard = Guard::kOutbox}, {kOutbox}},
      {"event dedupe", {.guard = Guard::kEventDedupe}, {kEvents}},
      {"canary", {.guard = Guard::kCanary}, {kRules}},
      {"shared spec", {.guard = Guard::kSharedSpec}, {kDeletes}},
      {"what keeps a batch", {.guard = Guard::kDeletionWaits}, {kDeletes}},
      {"what keeps a single task",
       {.guard = Guard::kSingleDeletionWaits},
       {kDeletes}},
      {"risk once", {.guard = Guard::kRiskOnce}, {kRisk}},
      {"fsync", {.disk_lies = true}, {kKept}},
  };
  return *all;
}

std::optional<Caught> Catch(const NamedMutation& mutation, uint64_t first,
                            int seeds) {
  for (int played = 1; played <= seeds; ++played) {
    const uint64_t seed = first + static_cast<uint64_t>(played) - 1;
    PlayOptions options;
    options.without = mutation.without;
    Outcome outcome = Play(MakeStory(seed), options);
    for (const Violation& violation : outcome.violations) {
      if (std::any_of(mutation.guarded.begin(), mutation.guarded.end(),
                      [&](const char* invariant) {
                        return violation.invariant == invariant;
                      })) {
        return Caught{seed, played, violation};
      }
    }
  }
  return std::nullopt;
}

}  // namespace midwatch::sim
