#include "net/retry_after.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"

namespace midwatch {

std::optional<absl::Duration> RetryAfter(const HttpHeaders& headers,
                                         absl::Time now) {
  double number = 0;
  absl::Duration delay;
  absl::string_view in_ms = HeaderValue(headers, "retry-after-ms");
  absl::string_view text = HeaderValue(headers, "retry-after");
  absl::Time date;
  if (absl::SimpleAtod(in_ms, &number)) {
    delay = absl::Milliseconds(number);
  } else if (absl::SimpleAtod(text, &number)) {
    delay = absl::Seconds(number);
  } else if (absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", text, &date,
                             nullptr)) {
    delay = std::max(date - now, absl::ZeroDuration());
  } else {
    return std::nullopt;
  }
  // Guards against "nan" and "inf", which SimpleAtod reads.
  if (delay < absl::ZeroDuration() || delay > absl::Hours(24 * 366)) {
    return std::nullopt;
  }
  return delay;
}

}  // namespace midwatch
