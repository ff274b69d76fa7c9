// When an account is shut, for how long, and what never shuts it.
#include "scheduler/account_state.h"

#include <gtest/gtest.h>

#include "scheduler/failure.h"

namespace midwatch {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'795'478'400);  // 2026-11-24
const absl::Time kDecember = absl::FromUnixSeconds(1'796'083'200);

struct AccountCase {
  const char* name;
  v1::AccountState before;
  int http_status;
  const char* error_code;
  bool retry_after;
  // UNSPECIFIED: stays what it is.
  v1::AccountState want;
  absl::Time until = absl::InfiniteFuture();
  absl::Time next_probe = absl::InfiniteFuture();
};

AccountEvidence Evidence(int http_status, const char* error_code,
                         bool retry_after) {
  AccountEvidence evidence;
  evidence.failure.set_operation("create_session");
  evidence.failure.set_http_status(http_status);
  evidence.failure.set_error_code(error_code);
  if (retry_after) evidence.failure.mutable_retry_after()->set_seconds(7);
  evidence.failure_class = ClassifyFailure(evidence.failure);
  evidence.reason = "the service's words";
  return evidence;
}

class DecideAccountTest : public ::testing::TestWithParam<AccountCase> {};

TEST_P(DecideAccountTest, MatchesTable) {
  const AccountCase& c = GetParam();
  AccountStanding before;
  before.state = c.before;
  std::optional<AccountStanding> after = DecideAccount(
      before, Evidence(c.http_status, c.error_code, c.retry_after), kNow);
  ASSERT_EQ(after.has_value(), c.want != v1::ACCOUNT_STATE_UNSPECIFIED);
  if (!after) return;
  EXPECT_EQ(after->state, c.want);
  EXPECT_EQ(after->why, "the service's words");
  EXPECT_EQ(after->since, c.before == c.want ? absl::InfinitePast() : kNow);
  EXPECT_EQ(after->until, c.until);
  EXPECT_EQ(after->next_probe, c.next_probe);
}

constexpr v1::AccountState kOpen = v1::ACCOUNT_STATE_OPEN;
constexpr v1::AccountState kPaused = v1::ACCOUNT_STATE_PAUSED;
constexpr v1::AccountState kRefused = v1::ACCOUNT_STATE_REFUSED;
constexpr v1::AccountState kCapped = v1::ACCOUNT_STATE_SPEND_CAP;
constexpr v1::AccountState kSame = v1::ACCOUNT_STATE_UNSPECIFIED;
const absl::Time kNever = absl::InfiniteFuture();

INSTANTIATE_TEST_SUITE_P(
    Table, DecideAccountTest,
    ::testing::ValuesIn<AccountCase>({
        {"WrongKey", kOpen, 401, "", false, kRefused, kNever,
         kNow + absl::Minutes(5)},
        {"Forbidden", kOpen, 403, "", false, kRefused, kNever,
         kNow + absl::Minutes(5)},
        {"OnHold", kOpen, 400, "organization_on_hold", false, kRefused, kNever,
         kNow + absl::Minutes(5)},
        {"MonthlyCapEndsWithTheMonth", kOpen, 429,
         "enforced_spend_limit_reached", false, kCapped, kDecember, kDecember},
        {"ItsRetryAfterIsNotBelieved", kOpen, 429,
         "enforced_spend_limit_reached", true, kCapped, kDecember, kDecember},
        {"ContractCapIsTriedHourly", kOpen, 429, "contract_spend_limit_reached",
         false, kCapped, kNever, kNow + absl::Hours(1)},
        {"BareLimitIsACap", kOpen, 429, "", false, kCapped, kNever,
         kNow + absl::Hours(1)},
        {"Payment", kOpen, 402, "", false, kCapped, kNever,
         kNow + absl::Hours(1)},
        {"RateLimitIsNone", kOpen, 429, "", true, kSame},
        {"OutageIsNone", kOpen, 503, "", false, kSame},
        {"RefusedAgainStays", kRefused, 401, "", false, kSame},
        {"CappedAgainStays", kCapped, 402, "", false, kSame},
        {"TheKeyWorksButTheCapBinds", kRefused, 402, "", false, kCapped, kNever,
         kNow + absl::Hours(1)},
        // A session that met the cap first had no code to tell its end by.
        {"TheDateOfACapThatIsKnownComesLater", kCapped, 429,
         "enforced_spend_limit_reached", false, kCapped, kDecember, kDecember},
        {"APersonsPauseStays", kPaused, 401, "", false, kSame},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(AccountStateTest, WhatCannotBeReachedIsLookedUpEveryMinute) {
  AccountEvidence evidence = Evidence(0, "", false);
  evidence.failure.set_error_type("unresolved_host");
  evidence.failure_class = ClassifyFailure(evidence.failure);
  std::optional<AccountStanding> after =
      DecideAccount(AccountStanding(), evidence, kNow);
  ASSERT_TRUE(after.has_value());
  EXPECT_EQ(after->state, kRefused);
  EXPECT_EQ(after->next_probe, kNow + absl::Minutes(1));
  // A connection that is merely lost is an outage.
  EXPECT_FALSE(DecideAccount(AccountStanding(), Evidence(0, "", false), kNow));
}

// Its attempt had begun when somebody opened the account again.
TEST(AccountStateTest, ALateRefusalShutsAnOpenedAccountForAnHourAtMost) {
  AccountStanding opened;
  opened.since = kNow - absl::Minutes(1);
  AccountEvidence late = Evidence(429, "enforced_spend_limit_reached", false);
  late.granted_at = kNow - absl::Minutes(2);
  std::optional<AccountStanding> after = DecideAccount(opened, late, kNow);
  ASSERT_TRUE(after.has_value());
  EXPECT_EQ(after->state, kCapped);
  EXPECT_EQ(after->next_probe, kNow + absl::Hours(1));
}

AccountStanding After(AccountStanding standing, AccountEvidence evidence,
                      int64_t template_id) {
  evidence.template_id = template_id;
  return DecideAccount(standing, evidence, kNow).value_or(standing);
}

TEST(AccountBreakerTest, FiveTemplatesInARowPauseIt) {
  AccountEvidence bad = Evidence(400, "", false);
  AccountStanding standing;
  for (int64_t id : {1, 2, 3, 4, 4, 3}) standing = After(standing, bad, id);
  EXPECT_EQ(standing.state, v1::ACCOUNT_STATE_OPEN);
  standing = After(standing, bad, 5);
  EXPECT_EQ(standing.state, v1::ACCOUNT_STATE_PAUSED);
  EXPECT_EQ(standing.until, absl::InfiniteFuture());
}

TEST(AccountBreakerTest, ASuccessBeginsTheRowAnew) {
  AccountEvidence bad = Evidence(400, "", false);
  AccountStanding standing;
  for (int64_t id : {1, 2, 3, 4}) standing = After(standing, bad, id);
  standing = After(standing, AccountEvidence(), 9);
  EXPECT_TRUE(standing.bad_templates.empty());
  EXPECT_EQ(After(standing, bad, 5).state, v1::ACCOUNT_STATE_OPEN);
}

TEST(KeepsSessionTest, OnlyWhereTheSessionIsAsItWas) {
  constexpr v1::FailureClass kClass = v1::FAILURE_CLASS_ACCOUNT;
  v1::Ending ending;
  ending.set_kind(v1::Ending::KIND_BROKEN);
  ending.mutable_failure()->set_operation("stream_events");
  EXPECT_TRUE(KeepsSession(ending, kClass, true));
  EXPECT_FALSE(KeepsSession(ending, kClass, false));
  EXPECT_FALSE(KeepsSession(ending, v1::FAILURE_CLASS_SERVICE, true));
  ending.mutable_failure()->set_operation("session");
  EXPECT_FALSE(KeepsSession(ending, kClass, true));
  ending.mutable_failure()->set_operation("stream_events");
  ending.set_kind(v1::Ending::KIND_IDLE);
  EXPECT_FALSE(KeepsSession(ending, kClass, true));
}

// What sessions had met before a resume shut the account again, for an hour.
TEST(AccountStateTest, WhatASessionMetBeforeTheAccountOpenedIsOldNews) {
  AccountStanding opened;
  opened.since = kNow - absl::Minutes(1);
  AccountEvidence evidence;
  evidence.failure_class = v1::FAILURE_CLASS_SPEND_CAP;
  evidence.failure.set_operation("session");
  evidence.failure.set_error_type("billing_error");
  evidence.granted_at = kNow - absl::Minutes(2);
  EXPECT_FALSE(DecideAccount(opened, evidence, kNow).has_value());
  evidence.granted_at = kNow - absl::Seconds(30);
  EXPECT_TRUE(DecideAccount(opened, evidence, kNow).has_value());
  // The service's answer to a request is of now, whoever asked.
  evidence.granted_at = kNow - absl::Minutes(2);
  evidence.failure.set_operation("create_session");
  EXPECT_TRUE(DecideAccount(opened, evidence, kNow).has_value());
}

}  // namespace
}  // namespace midwatch
