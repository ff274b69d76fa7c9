// Whether a batch may go on, by what became of its tasks. Pure.
//
//   canary     the first tasks of a batch; the others wait for its verdict
//   stop rule  how many failures are too many
//   left out   cancelled, skipped: says nothing of how the work goes, and
//   counts
//              neither as a success nor as a failure
#ifndef MIDWATCH_STORE_BATCH_RULES_H_
#define MIDWATCH_STORE_BATCH_RULES_H_

#include <cstdint>
#include <string>

#include "midwatch/v1/batch_service.pb.h"
#include "store/records.h"

namespace midwatch {

// Parts of a whole are counted in millionths: a sum of doubles is not exact.
inline constexpr int64_t kWhole = 1'000'000;

// What became of a canary's tasks so far.
struct CanaryTally {
  int64_t lines = 0;    // of the batch
  bool sealed = false;  // no more of them come
  int64_t succeeded = 0, failed = 0, left_out = 0;
  int64_t charged = 0;  // by all their attempts
};

struct CanaryOutcome {
  v1::CanaryVerdict verdict = v1::CANARY_VERDICT_UNDECIDED;
  std::string why;  // it failed: one line

  friend bool operator==(const CanaryOutcome&, const CanaryOutcome&) = default;
};

// How many tasks the canary has: fewer than the rule names where the batch is
// shorter, which shows once it is sealed.
int64_t CanarySize(const CanaryRule& rule, int64_t lines, bool sealed);

// PASSED or FAILED as soon as nothing that is still to come can change it:
//   - FAILED once it has cost more than its max_cost, once so many have failed
//     that min_success is out of reach, and where each of its tasks was left
//     out;
//   - PASSED once min_success is reached; with a max_cost once all have ended.
// A batch without tasks has passed.
CanaryOutcome JudgeCanary(const CanaryRule& rule, const CanaryTally& tally);

// Why a batch stops of whose tasks `ended` have ended by themselves and
// `failed` of these failed: one line. "": it does not.
std::string WhyStop(const StopRule& rule, int64_t failed, int64_t ended);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_BATCH_RULES_H_
