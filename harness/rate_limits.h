// How many requests the harness takes: a token bucket for each class, as the
// hosted service has them (managed-agents-api.md section 6.1). Pure; time is
// passed in.
#ifndef MIDWATCH_HARNESS_RATE_LIMITS_H_
#define MIDWATCH_HARNESS_RATE_LIMITS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace midwatch::harness {

enum class RequestClass { kCreate, kWrite, kRead, kFiles };
inline constexpr std::array kRequestClasses = {
    RequestClass::kCreate, RequestClass::kWrite, RequestClass::kRead,
    RequestClass::kFiles};

const char* NameOf(RequestClass request_class);  // "create", ...

// `pattern` is a path with {} for each id: /v1/sessions/{}/events.
RequestClass ClassOf(absl::string_view method, absl::string_view pattern);

// Requests a minute; 0: without limit, but for writes, which then share the
// limit of creates.
struct RateLimits {
  double create_per_minute = 0;
  double write_per_minute = 0;
  double read_per_minute = 0;
  double files_per_minute = 0;
  // Of each class, how many at one moment after a pause. 0: a second's worth.
  int burst = 0;
};

class RateLimiter {
 public:
  explicit RateLimiter(const RateLimits& limits);

  // How a limited class stands after a request.
  struct Room {
    absl::Duration wait;  // zero: taken; else refused, and when to come again
    int64_t per_minute = 0;
    int64_t left = 0;        // what may be sent at once
    absl::Duration full_in;  // until no past request counts any more
  };
  // Nothing where the class has no limit. `now` is steady and never falls.
  std::optional<Room> Take(RequestClass request_class, absl::Duration now);

 private:
  struct Bucket {
    double per_second = 0;  // 0: no limit
    double size = 0;
    double tokens = 0;
    absl::Duration at;
  };
  static Bucket MakeBucket(double per_minute, int burst);
  Bucket& BucketOf(RequestClass request_class);

  std::array<Bucket, kRequestClasses.size()> buckets_;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_RATE_LIMITS_H_
