#ifndef MIDWATCH_CLI_PACE_H_
#define MIDWATCH_CLI_PACE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "absl/time/time.h"

namespace midwatch::cli {

// How fast a batch's tasks end, and what one costs, judged by the last few
// hundred that were seen to end. Says nothing where that is too few to tell.
// Instants are of one steady clock.
class Pace {
 public:
  explicit Pace(absl::Duration begun) : begun_(begun) {}

  // `cost_usd_micros` unset: it was not seen whole.
  void Ended(absl::Duration at, std::optional<int64_t> cost_usd_micros);

  // Over the last minute, or since the beginning where that is less.
  std::optional<double> EndsPerMinute(absl::Duration now) const;

  // For `open` tasks to end, of which `running` run. Unset until as many have
  // ended as run at once: the first to end are the quick ones. Grows while
  // nothing ends.
  std::optional<absl::Duration> Left(absl::Duration now, int64_t open,
                                     int64_t running) const;

  std::optional<int64_t> MedianUsdMicros() const;

 private:
  struct End {
    absl::Duration at;
    std::optional<int64_t> cost_usd_micros;
  };
  // From when on ends_ has all of them.
  absl::Duration WindowBegin() const;

  const absl::Duration begun_;
  std::deque<End> ends_;
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_PACE_H_
