#include "harness/rate_limits.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"

namespace midwatch::harness {

const char* NameOf(RequestClass request_class) {
  switch (request_class) {
    case RequestClass::kCreate:
      return "create";
    case RequestClass::kWrite:
      return "write";
    case RequestClass::kRead:
      return "read";
    case RequestClass::kFiles:
      break;
  }
  return "files";
}

RequestClass ClassOf(absl::string_view method, absl::string_view pattern) {
  if (absl::StartsWith(pattern, "/v1/files")) return RequestClass::kFiles;
  if (method == "GET") return RequestClass::kRead;
  const bool creates = pattern == "/v1/agents" ||
                       pattern == "/v1/environments" ||
                       pattern == "/v1/sessions";
  return method == "POST" && creates ? RequestClass::kCreate
                                     : RequestClass::kWrite;
}

RateLimiter::RateLimiter(const RateLimits& limits)
    : buckets_{MakeBucket(limits.create_per_minute, limits.burst),
               MakeBucket(limits.write_per_minute, limits.burst),
               MakeBucket(limits.read_per_minute, limits.burst),
               MakeBucket(limits.files_per_minute, limits.burst)} {}

RateLimiter::Bucket RateLimiter::MakeBucket(double per_minute, int burst) {
  Bucket bucket;
  bucket.per_second = per_minute / 60;
  bucket.size = std::max(1.0, burst > 0 ? burst : bucket.per_second);
  bucket.tokens = bucket.size;
  return bucket;
}

RateLimiter::Bucket& RateLimiter::BucketOf(RequestClass request_class) {
  Bucket& own = buckets_[static_cast<size_t>(request_class)];
  if (request_class == RequestClass::kWrite && own.per_second == 0) {
    return buckets_[static_cast<size_t>(RequestClass::kCreate)];
  }
  return own;
}

std::optional<RateLimiter::Room> RateLimiter::Take(RequestClass request_class,
                                                   absl::Duration now) {
  Bucket& bucket = BucketOf(request_class);
  if (bucket.per_second == 0) return std::nullopt;
  const double since = absl::ToDoubleSeconds(now - bucket.at);
  bucket.tokens =
      std::min(bucket.size, bucket.tokens + since * bucket.per_second);
  bucket.at = now;
  Room room;
  if (bucket.tokens >= 1) {
    bucket.tokens -= 1;
  } else {
    room.wait = absl::Seconds((1 - bucket.tokens) / bucket.per_second);
  }
  room.per_minute = std::llround(bucket.per_second * 60);
  room.left = static_cast<int64_t>(bucket.tokens);
  room.full_in =
      absl::Seconds((bucket.size - bucket.tokens) / bucket.per_second);
  return room;
}

}  // namespace midwatch::harness
