// What follows from an attempt's end, and from a failure that may pass: pure
// functions, with the jitter drawn by the caller.
#ifndef MIDWATCH_SCHEDULER_RETRY_H_
#define MIDWATCH_SCHEDULER_RETRY_H_

#include "absl/time/time.h"
#include "midwatch/v1/worker_service.pb.h"
#include "store/writes.h"

namespace midwatch {

inline constexpr int32_t kMaxFailuresDefault = 3;
inline constexpr int32_t kMaxStartsDefault = 10;

inline constexpr absl::Duration kBackoffFirst = absl::Seconds(10);
inline constexpr absl::Duration kBackoffMax = absl::Minutes(15);

// Full jitter (a uniform share of the whole), so that tasks which failed
// together do not come back together: `jitter` in [0, 1] times `first` doubled
// with each earlier attempt, `max` at most.
absl::Duration Backoff(int earlier, double jitter,
                       absl::Duration first = kBackoffFirst,
                       absl::Duration max = kBackoffMax);

// A charged attempt costs what the service reports, or its reservation where
// it reports nothing. Failures of the service never count against the task. An
// attempt needs at least a tenth of the task's max_cost to begin; where that is
// not left because a cost is unknown, the task waits for it. What the spec's
// retry policy says of the class of the failure goes before what it says of
// all.
Disposition Decide(const Tally& tally, const v1::Ending& ending, double jitter);

struct Advice {
  v1::AdviseResponse::Action action = v1::AdviseResponse::ACTION_END;
  absl::Duration delay = absl::ZeroDuration();

  friend bool operator==(const Advice&, const Advice&) = default;
};

// About a failure inside an attempt: only the service's are worth waiting for,
// six times at most; an address that does not resolve, three times. An idle
// session is nudged, so that it goes on where it stopped.
Advice DecideAdvice(const v1::AdviseRequest& request, double jitter);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_RETRY_H_
