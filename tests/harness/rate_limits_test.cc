#include "harness/rate_limits.h"

#include <gtest/gtest.h>

#include <string>

namespace midwatch::harness {
namespace {

struct ClassCase {
  const char* method;
  const char* pattern;
  RequestClass want;
};

TEST(ClassOfTest, MatchesTable) {
  constexpr ClassCase kCases[] = {
      {"POST", "/v1/sessions", RequestClass::kCreate},
      {"POST", "/v1/agents", RequestClass::kCreate},
      {"POST", "/v1/environments", RequestClass::kCreate},
      {"GET", "/v1/sessions", RequestClass::kRead},
      {"GET", "/v1/sessions/{}/events/stream", RequestClass::kRead},
      {"POST", "/v1/sessions/{}", RequestClass::kWrite},
      {"POST", "/v1/sessions/{}/events", RequestClass::kWrite},
      {"POST", "/v1/sessions/{}/archive", RequestClass::kWrite},
      {"DELETE", "/v1/environments/{}", RequestClass::kWrite},
      {"POST", "/v1/files", RequestClass::kFiles},
      {"GET", "/v1/files/{}/content", RequestClass::kFiles},
  };
  for (const ClassCase& c : kCases) {
    EXPECT_EQ(ClassOf(c.method, c.pattern), c.want)
        << c.method << " " << c.pattern;
  }
}

absl::Duration At(double seconds) { return absl::Seconds(1000 + seconds); }

TEST(RateLimiterTest, NothingIsLimitedByDefault) {
  RateLimiter limiter({});
  for (RequestClass each : kRequestClasses) {
    EXPECT_FALSE(limiter.Take(each, At(0)).has_value()) << NameOf(each);
  }
}

TEST(RateLimiterTest, ABurstThenTheRate) {
  RateLimits limits;
  limits.create_per_minute = 120;
  limits.burst = 3;
  RateLimiter limiter(limits);
  for (int left : {2, 1, 0}) {
    auto room = limiter.Take(RequestClass::kCreate, At(0));
    ASSERT_TRUE(room.has_value());
    EXPECT_EQ(room->wait, absl::ZeroDuration());
    EXPECT_EQ(room->left, left);
    EXPECT_EQ(room->per_minute, 120);
  }
  EXPECT_EQ(limiter.Take(RequestClass::kCreate, At(0))->wait,
            absl::Milliseconds(500));
  EXPECT_EQ(limiter.Take(RequestClass::kCreate, At(0))->full_in,
            absl::Milliseconds(1500));
  EXPECT_GT(limiter.Take(RequestClass::kCreate, At(0.25))->wait,
            absl::ZeroDuration());
  EXPECT_EQ(limiter.Take(RequestClass::kCreate, At(0.5))->wait,
            absl::ZeroDuration())
      << "a refused request took nothing";
  EXPECT_EQ(limiter.Take(RequestClass::kCreate, At(3600))->left, 2)
      << "no more than the burst is saved up";
}

TEST(RateLimiterTest, WithoutABurstASecondsWorthOrOne) {
  RateLimits limits;
  limits.read_per_minute = 240;
  limits.files_per_minute = 6;
  RateLimiter limiter(limits);
  EXPECT_EQ(limiter.Take(RequestClass::kRead, At(0))->left, 3);
  EXPECT_EQ(limiter.Take(RequestClass::kFiles, At(0))->left, 0);
  EXPECT_EQ(limiter.Take(RequestClass::kFiles, At(0))->wait, absl::Seconds(10));
}

TEST(RateLimiterTest, WritesShareTheLimitOfCreatesUntilTheyHaveTheirs) {
  RateLimits limits;
  limits.create_per_minute = 60;
  RateLimiter shared(limits);
  EXPECT_EQ(shared.Take(RequestClass::kWrite, At(0))->wait,
            absl::ZeroDuration());
  EXPECT_EQ(shared.Take(RequestClass::kCreate, At(0))->wait, absl::Seconds(1));
  EXPECT_FALSE(shared.Take(RequestClass::kRead, At(0)).has_value());

  limits.write_per_minute = 60;
  RateLimiter own(limits);
  EXPECT_EQ(own.Take(RequestClass::kWrite, At(0))->wait, absl::ZeroDuration());
  EXPECT_EQ(own.Take(RequestClass::kCreate, At(0))->wait, absl::ZeroDuration());
}

}  // namespace
}  // namespace midwatch::harness
