// Who passes when, on virtual time.
#include "worker/slot_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/testing/fake_executor.h"
#include "tests/testing/fake_scheduler.h"
#include "worker/attempt.h"

namespace midwatch::testing {
namespace {

using ::testing::ElementsAre;

class SlotPoolTest : public ::testing::Test {
 protected:
  // A slot every second, at most two seconds ahead.
  SlotPoolTest() {
    scheduler_.slots = [this](const v1::AskSlotsRequest& request) {
      v1::AskSlotsResponse response;
      for (const v1::RequestReport& report : request.reports()) {
        reports_.push_back(report);
        if (report.has_retry_after()) last_ = absl::ZeroDuration();
      }
      for (const v1::SlotWish& wish : request.wishes()) {
        v1::SlotGrant& grant = *response.add_grants();
        absl::Duration now = time_.Elapsed();
        for (int i = 0; i < wish.count(); ++i) {
          absl::Duration next = std::max(last_, now) + absl::Seconds(1);
          if (next > now + absl::Seconds(2)) {
            grant.mutable_ask_again()->set_seconds(1);
            break;
          }
          last_ = next;
          *grant.add_offsets() = OffsetOf(next - now);
        }
      }
      return response;
    };
  }
  ~SlotPoolTest() override { node_.Stop(); }

  static google::protobuf::Duration OffsetOf(absl::Duration offset) {
    google::protobuf::Duration proto;
    proto.set_seconds(absl::IDivDuration(offset, absl::Seconds(1), &offset));
    proto.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(offset)));
    return proto;
  }
  static Async<void> Go(SlotPoolTest& self, RequestClass request_class,
                        absl::Duration within) {
    absl::Status passed = co_await self.pool_.Pass(
        request_class, RequestPurpose::kNormal, within);
    (passed.ok() ? self.passed_ : self.gave_up_)
        .push_back(absl::ToInt64Seconds(self.time_.Elapsed()));
  }
  void Start(RequestClass request_class,
             absl::Duration within = absl::InfiniteDuration()) {
    Spawn(node_, Go(*this, request_class, within));
  }

  VirtualTime time_;
  FakeClock clock_{time_};
  FakeExecutor node_{time_};
  FakeScheduler scheduler_{clock_};
  FakeSchedulerClient client_{scheduler_, node_};
  SlotPool pool_{node_, clock_, client_, "default"};
  std::vector<v1::RequestReport> reports_;
  absl::Duration last_;                    // slot that was given
  std::vector<int64_t> passed_, gave_up_;  // in seconds
};

TEST_F(SlotPoolTest, EachPassesWhenItsSlotIsDue) {
  for (int i = 0; i < 4; ++i) Start(RequestClass::kRead);
  time_.Advance(absl::Seconds(10));
  EXPECT_THAT(passed_, ElementsAre(1, 2, 3, 4));
}

TEST_F(SlotPoolTest, WhoCannotWaitGivesUp) {
  for (int i = 0; i < 3; ++i) Start(RequestClass::kWrite, absl::Seconds(2));
  time_.Advance(absl::Seconds(10));
  EXPECT_THAT(passed_, ElementsAre(1));
  EXPECT_THAT(gave_up_, ElementsAre(2, 2));
}

TEST_F(SlotPoolTest, AGrantsSlotServesTheNextCreate) {
  pool_.AddCreate(absl::Milliseconds(300));
  Start(RequestClass::kCreate);
  Start(RequestClass::kCreate);
  time_.Advance(absl::Seconds(10));
  EXPECT_THAT(passed_, ElementsAre(0, 1));
}

TEST_F(SlotPoolTest, AGrantsSlotIsVoidWhenItIsLate) {
  pool_.AddCreate(absl::ZeroDuration());
  time_.Advance(absl::Seconds(6));
  Start(RequestClass::kCreate);
  time_.Advance(absl::Seconds(10));
  EXPECT_THAT(passed_, ElementsAre(7));
}

TEST_F(SlotPoolTest, ARefusalVoidsWhatWasHandedOutAndIsReported) {
  Start(RequestClass::kRead);
  Start(RequestClass::kRead);
  time_.Advance(absl::Milliseconds(500));
  pool_.Note(RequestClass::kRead, 200, std::nullopt);
  pool_.Note(RequestClass::kRead, 503, std::nullopt);
  pool_.Note(RequestClass::kRead, 429, absl::Seconds(7));
  time_.Advance(absl::Milliseconds(900));
  EXPECT_THAT(passed_, ElementsAre()) << "it was void";
  time_.Advance(absl::Seconds(10));
  EXPECT_THAT(passed_, ElementsAre(1, 2)) << "asked for again at 0.5 s";
  ASSERT_EQ(reports_.size(), 1u);
  EXPECT_EQ(reports_[0].request_class(), v1::REQUEST_CLASS_READ);
  EXPECT_EQ(reports_[0].accepted(), 1);
  EXPECT_EQ(reports_[0].troubled(), 1);
  EXPECT_EQ(FromProto(reports_[0].retry_after()), absl::Seconds(7));
}

TEST_F(SlotPoolTest, WithoutALimitNobodyWaits) {
  scheduler_.slots = nullptr;
  for (int i = 0; i < 100; ++i) Start(RequestClass::kFiles);
  time_.Advance(absl::Milliseconds(100));
  EXPECT_EQ(passed_.size(), 100u);
  Start(RequestClass::kFiles);
  time_.RunUntilIdle();
  EXPECT_EQ(passed_.size(), 101u) << "asks no more for a while";
}

}  // namespace
}  // namespace midwatch::testing
