#ifndef MIDWATCH_HARNESS_MODEL_RETRY_H_
#define MIDWATCH_HARNESS_MODEL_RETRY_H_

#include <optional>

#include "absl/time/time.h"
#include "base/random.h"
#include "harness/model.h"

namespace midwatch::harness {

inline constexpr int kModelRetriesMax = 10;
// A server that wants a longer pause than this is not waited for.
inline constexpr absl::Duration kRetryAfterMax = absl::Minutes(15);

// When to make a model request again that failed for the n-th time in a row, or
// nothing where it is not to be made again: what the server asked for and up to
// a tenth more, else half a second, doubling up to a minute, less up to a
// quarter.
std::optional<absl::Duration> ModelRetryDelay(const ModelFailure& failure,
                                              int failures, Random& random);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_MODEL_RETRY_H_
