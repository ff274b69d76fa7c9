#ifndef MIDWATCH_NET_RETRY_AFTER_H_
#define MIDWATCH_NET_RETRY_AFTER_H_

#include <optional>

#include "absl/time/time.h"
#include "net/http.h"

namespace midwatch {

// retry-after-ms, else retry-after in seconds or as an HTTP date; nothing where
// there is none, it cannot be read, or it is negative. `now` turns a date into
// a delay.
std::optional<absl::Duration> RetryAfter(const HttpHeaders& headers,
                                         absl::Time now);

}  // namespace midwatch

#endif  // MIDWATCH_NET_RETRY_AFTER_H_
