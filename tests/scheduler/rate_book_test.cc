// What the book tells of an account, from what workers tell it.
#include "scheduler/rate_book.h"

#include <gtest/gtest.h>

#include "tests/testing/fake_executor.h"

namespace midwatch {
namespace {

class RateBookTest : public ::testing::Test {
 protected:
  RateBookTest() {
    v1::AccountLimits limits;
    limits.set_account("a");
    limits.set_limit_group("us");
    limits.mutable_create()->set_per_minute(300);
    book_.SetLimits(limits);
    limits.set_account("b");
    book_.SetLimits(limits);
  }
  void Report(const std::string& account, v1::RequestReport report) {
    v1::AskSlotsRequest request;
    request.set_account(account);
    *request.add_reports() = std::move(report);
    book_.AskSlots(request, [](absl::StatusOr<v1::AskSlotsResponse> response) {
      EXPECT_TRUE(response.ok()) << response.status();
    });
  }
  void Accept(const std::string& account, v1::RequestClass request_class,
              int count) {
    v1::RequestReport report;
    report.set_request_class(request_class);
    report.set_accepted(count);
    Report(account, std::move(report));
  }
  std::vector<v1::RequestRate> RatesOf(const std::string& name) {
    v1::Account account;
    account.set_name(name);
    book_.Describe(account);
    return {account.rates().begin(), account.rates().end()};
  }

  testing::VirtualTime time_;
  testing::FakeClock clock_{time_};
  RateBook book_{clock_};
};

TEST_F(RateBookTest, AGroupsAccountsShareItsRates) {
  Accept("a", v1::REQUEST_CLASS_CREATE, 3);
  Accept("b", v1::REQUEST_CLASS_WRITE, 4);  // counts as a create
  for (const char* name : {"a", "b"}) {
    std::vector<v1::RequestRate> rates = RatesOf(name);
    ASSERT_EQ(rates.size(), 1u) << "neither limited nor used: not named";
    EXPECT_EQ(rates[0].request_class(), v1::REQUEST_CLASS_CREATE);
    EXPECT_EQ(rates[0].limit_per_minute(), 300);
    EXPECT_EQ(rates[0].allowed_per_minute(), 300);
    EXPECT_EQ(rates[0].accepted(), 7);
    EXPECT_EQ(rates[0].refused(), 0);
    EXPECT_FALSE(rates[0].has_resting_until());
  }
  EXPECT_TRUE(RatesOf("stranger").empty());
  time_.Advance(absl::Minutes(2));
  EXPECT_EQ(RatesOf("a")[0].accepted(), 0);
}

TEST_F(RateBookTest, ARefusalShowsAndPasses) {
  v1::RequestReport report;
  report.set_request_class(v1::REQUEST_CLASS_CREATE);
  report.set_refused(2);
  report.mutable_retry_after()->set_seconds(9);
  Report("a", report);
  v1::RequestRate rate = RatesOf("b")[0];
  EXPECT_EQ(rate.refused(), 2);
  EXPECT_LT(rate.allowed_per_minute(), 300);
  EXPECT_EQ(absl::FromUnixSeconds(rate.resting_until().seconds()) +
                absl::Nanoseconds(rate.resting_until().nanos()),
            clock_.Now() + absl::Seconds(9));
  time_.Advance(absl::Seconds(10));
  EXPECT_FALSE(RatesOf("b")[0].has_resting_until());
}

}  // namespace
}  // namespace midwatch
