#ifndef MIDWATCH_WORKER_BACKOFF_H_
#define MIDWATCH_WORKER_BACKOFF_H_

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"
#include "base/random.h"

namespace midwatch {

// Delays with full jitter: uniform in [0, first × 2^n), at most `max`, so that
// many who failed together do not come back together.
class Backoff {
 public:
  // `random` outlives it.
  Backoff(Random& random, absl::Duration first, absl::Duration max)
      : random_(random), first_(first), max_(max) {}

  absl::Duration Next() {
    absl::Duration ceiling =
        std::min(max_, first_ * (int64_t{1} << doublings_));
    doublings_ = std::min(doublings_ + 1, 20);
    return ceiling * random_.Fraction();
  }
  void Reset() { doublings_ = 0; }

 private:
  Random& random_;
  absl::Duration first_;
  absl::Duration max_;
  int doublings_ = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_BACKOFF_H_
