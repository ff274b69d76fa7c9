// Whether a batch is likely to need more than its budget, or to end after its
// deadline, by how its tasks went so far. Pure.
//
// A warning that was none is worse than one that comes a little later, so it
// errs on that side:
//   - nothing is foretold from fewer than kRiskSamplesMin tasks, nor while the
//     batch is open, is paused or waits for its canary, nor from the canary's
//     tasks or from those before a pause, whose pace was another;
//   - the money must be over by more than two standard errors of the forecast;
//   - the time left is the lesser of two estimates, less a tenth. By pace (how
//     fast tasks have ended) is too long while the first ones still run; by
//     work (their mean time, as many at once as run now) is too long while
//     something holds them up. Means, not medians: it is sums that are
//     foretold. The tasks that end first are the short and cheap ones.
// A deadline that has passed needs no forecast.
#ifndef MIDWATCH_STORE_BATCH_RISK_H_
#define MIDWATCH_STORE_BATCH_RISK_H_

#include <cstdint>
#include <optional>

#include "absl/time/time.h"
#include "midwatch/v1/batch_service.pb.h"

namespace midwatch {

inline constexpr int64_t kRiskSamplesMin = 10;

// Sums over the tasks that have succeeded or failed, of those that count.
struct RiskTally {
  int64_t ended = 0;
  int64_t cost = 0;      // micro-dollars, by all their attempts
  double squares = 0;    // of the same, each in dollars
  int64_t reserved = 0;  // micro-dollars, for their last attempts
  absl::Duration time;   // in which they ran, about
  absl::Time since = absl::InfiniteFuture();  // the first of them was granted
};

struct RiskView {
  RiskTally tally;
  bool foretells = true;  // not open, paused or waiting for its canary
  int64_t left = 0;       // tasks that have not ended
  int64_t running = 0, queued = 0;  // of these
  int64_t charged = 0;              // by the whole batch
  int64_t sunk = 0;  // part of it, by tasks that are to be tried again
  std::optional<int64_t> budget;
  absl::Time deadline = absl::InfiniteFuture();
};

// Nothing: it is not at risk, as far as anybody can tell.
std::optional<v1::Risk> JudgeRisk(const RiskView& view, absl::Time now);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_BATCH_RISK_H_
