#include "scheduler/control_proto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

const absl::Time kAsked = absl::FromUnixSeconds(1'000'000);

v1::UpdateQueueRequest Update(const std::string& name) {
  v1::UpdateQueueRequest request;
  request.set_name(name);
  return request;
}

TEST(ControlProtoTest, OnlyWhatIsSetChanges) {
  v1::UpdateQueueRequest request = Update("nightly");
  request.set_max_running(0);
  auto write = FromProto(request);
  ASSERT_OK(write);
  EXPECT_EQ(write->of, Controlled::kQueue);
  EXPECT_EQ(write->name, "nightly");
  EXPECT_EQ(write->max_running, 0);
  EXPECT_FALSE(write->weight.has_value());
}

struct RefusedCase {
  const char* name;
  void (*spoil)(v1::UpdateQueueRequest&);
  const char* says;
};
class RefusedControlTest : public ::testing::TestWithParam<RefusedCase> {};

TEST_P(RefusedControlTest, SaysWhatWasExpected) {
  v1::UpdateQueueRequest request = Update("nightly");
  GetParam().spoil(request);
  absl::Status status = FromProto(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), GetParam().says);
}

INSTANTIATE_TEST_SUITE_P(
    Table, RefusedControlTest,
    ::testing::ValuesIn<RefusedCase>({
        {"Nothing", [](v1::UpdateQueueRequest&) {},
         "weight: set it, or max_running: there is nothing to change"},
        {"NoWeight", [](v1::UpdateQueueRequest& r) { r.set_weight(0); },
         "weight: 0; expected 1 to 1000"},
        {"TooHeavy", [](v1::UpdateQueueRequest& r) { r.set_weight(1001); },
         "weight: 1001; expected 1 to 1000"},
        {"Negative", [](v1::UpdateQueueRequest& r) { r.set_max_running(-1); },
         "max_running: -1; expected 0 (no cap) to 100000"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(ControlProtoTest, APauseEndsInTimeToCome) {
  v1::PauseQueueRequest request;
  request.set_name("nightly");
  auto forever = FromProto(request, kAsked);
  ASSERT_OK(forever);
  EXPECT_EQ(forever->until, absl::InfiniteFuture());
  request.mutable_until()->set_seconds(1'000'000);
  EXPECT_EQ(FromProto(request, kAsked).status().message(),
            "until: expected a time to come, up to the year 9999");
  request.mutable_until()->set_seconds(1'000'001);
  EXPECT_EQ(FromProto(request, kAsked)->until, kAsked + absl::Seconds(1));
  request.set_reason(std::string(501, 'x'));
  EXPECT_EQ(FromProto(request, kAsked).status().message(),
            "reason: expected at most 500 bytes");
}

}  // namespace
}  // namespace midwatch
