#include "harness/model_retry.h"

#include <algorithm>

namespace midwatch::harness {
namespace {

constexpr absl::Duration kFirstDelay = absl::Milliseconds(500);
constexpr absl::Duration kDelayMax = absl::Minutes(1);

}  // namespace

std::optional<absl::Duration> ModelRetryDelay(const ModelFailure& failure,
                                              int failures, Random& random) {
  if (!failure.retry || failures > kModelRetriesMax) return std::nullopt;
  const double fraction = random.Fraction();
  if (failure.retry_after) {
    if (*failure.retry_after > kRetryAfterMax) return std::nullopt;
    return *failure.retry_after * (1 + fraction / 10);
  }
  const absl::Duration delay =
      std::min(kFirstDelay * (1 << (failures - 1)), kDelayMax);
  return delay * (1 - fraction / 4);
}

}  // namespace midwatch::harness
