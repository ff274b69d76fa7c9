// Whether a write limit shows, at services that limit in one way or another.
#include "cli/write_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "agents/api_error.h"
#include "harness/rate_limits.h"
#include "tests/testing/fake_executor.h"

namespace midwatch::cli {
namespace {

using harness::RateLimiter;
using harness::RateLimits;
using harness::RequestClass;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::StartsWith;

class WriteLimitTest : public ::testing::Test {
 protected:
  ~WriteLimitTest() override { node_.Stop(); }

  static absl::Status Answer(int http_status,
                             std::optional<absl::Duration> retry_after = {}) {
    ApiError error;
    error.operation = "request";
    error.http_status = http_status;
    error.message = "no";
    error.retry_after = retry_after;
    return ToStatus(error);
  }

  // A service with these limits, a tenth of a second away.
  void Limit(const RateLimits& limits) {
    limiter_.emplace(limits);
    on_write_ = [this] { return Take(RequestClass::kWrite); };
    on_create_ = [this] { return Take(RequestClass::kCreate); };
  }
  absl::Status Take(RequestClass request_class) {
    std::optional<RateLimiter::Room> room =
        limiter_->Take(request_class, clock_.Steady());
    if (!room || room->wait == absl::ZeroDuration()) return absl::OkStatus();
    return Answer(429, absl::Ceil(room->wait, absl::Seconds(1)));
  }

  WriteLimit Find(WriteLimitOptions options = {}) {
    SendRequest write = [this] { return Ask(*this, on_write_, writes_); };
    SendRequest create = [this] { return Ask(*this, on_create_, creates_); };
    return testing::RunFake(
        time_, node_, FindWriteLimit(node_, clock_, write, create, options),
        absl::Minutes(10));
  }
  static Async<absl::Status> Ask(WriteLimitTest& self,
                                 std::function<absl::Status()>& on,
                                 int& count) {
    ++count;
    co_await Sleep(self.node_, absl::Milliseconds(50));
    const absl::Status status = on();
    co_await Sleep(self.node_, absl::Milliseconds(50));
    co_return status;
  }

  testing::VirtualTime time_;
  testing::FakeClock clock_{time_};
  testing::FakeExecutor node_{time_};
  std::optional<RateLimiter> limiter_;
  std::function<absl::Status()> on_write_ = [] { return absl::OkStatus(); };
  std::function<absl::Status()> on_create_ = [] { return absl::OkStatus(); };
  int writes_ = 0;
  int creates_ = 0;
};

constexpr char kShared[] =
    "so was a create right after it: events share the limit of creates";
constexpr char kOwn[] =
    "creates right after it were taken: events have a limit of their own";

TEST_F(WriteLimitTest, EventsThatShareTheLimitOfCreates) {
  for (const auto& [per_minute, burst] :
       {std::pair(300, 0), std::pair(300, 300), std::pair(60, 1)}) {
    RateLimits limits;
    limits.create_per_minute = per_minute;
    limits.burst = burst;
    Limit(limits);
    const WriteLimit found = Find();
    EXPECT_THAT(
        found.says,
        AllOf(StartsWith("after "), HasSubstr(" events in "),
              HasSubstr(" the service refused one, and "), EndsWith(kShared)));
    EXPECT_EQ(found.rest, absl::Seconds(1));
  }
}

TEST_F(WriteLimitTest, EventsThatHaveALimitOfTheirOwn) {
  for (double writes : {300, 600, 1'200}) {
    RateLimits limits;
    limits.create_per_minute = 60;
    limits.write_per_minute = writes;
    Limit(limits);
    EXPECT_THAT(Find().says, EndsWith(kOwn)) << writes;
  }
}

TEST_F(WriteLimitTest, SaysSoWhereNothingIsRefused) {
  EXPECT_EQ(Find().says,
            "not settled: of 1500 events in 18 s none was refused");
  EXPECT_EQ(writes_, 1'500);
  EXPECT_EQ(creates_, 0);
}

TEST_F(WriteLimitTest, EndsInTimeAndInNumber) {
  WriteLimitOptions options;
  options.time_max = absl::Seconds(5);
  EXPECT_THAT(Find(options).says, StartsWith("not settled: of "));
  EXPECT_THAT(writes_, Le(408));
  // Whatever happens after a refusal.
  options = {};
  options.more_max = 20;
  on_write_ = [] { return Answer(429, absl::Seconds(60)); };
  writes_ = 0;
  const WriteLimit found = Find(options);
  EXPECT_THAT(found.says, EndsWith(kOwn));
  EXPECT_EQ(found.rest, absl::Seconds(60));
  EXPECT_THAT(writes_, Le(1'520));
}

TEST_F(WriteLimitTest, ARefusalHereAndThereIsNoLimit) {
  on_write_ = [this] {
    return writes_ % 20 == 0 ? Answer(429, absl::Seconds(1)) : absl::OkStatus();
  };
  EXPECT_EQ(Find().says,
            "not settled: one event was refused and the next were taken");
}

TEST_F(WriteLimitTest, ASpendCapIsNoRate) {
  on_write_ = [] { return Answer(429); };
  EXPECT_THAT(Find().says,
              AllOf(StartsWith("not settled: "), HasSubstr("429")));
  EXPECT_THAT(writes_, Le(16));
  on_write_ = [] { return Answer(429, absl::Seconds(1)); };
  on_create_ = [] { return Answer(429); };
  EXPECT_THAT(Find().says,
              AllOf(StartsWith("not settled: "), HasSubstr("429")));
}

TEST_F(WriteLimitTest, AServiceThatTakesNoSuchWrite) {
  on_write_ = [] { return Answer(400); };
  EXPECT_THAT(Find().says,
              AllOf(StartsWith("not settled: "), HasSubstr("400")));
}

TEST_F(WriteLimitTest, AFewFailuresMayPass) {
  RateLimits limits;
  limits.create_per_minute = 300;
  limits.burst = 100;
  Limit(limits);
  int failures = 0;
  on_write_ = [&] {
    return ++failures <= 5 ? Answer(529) : Take(RequestClass::kWrite);
  };
  EXPECT_THAT(Find().says, EndsWith(kShared));
  on_write_ = [] { return Answer(529); };
  EXPECT_THAT(Find().says,
              AllOf(StartsWith("not settled: "), HasSubstr("529")));
  EXPECT_THAT(creates_, Gt(0));
}

}  // namespace
}  // namespace midwatch::cli
