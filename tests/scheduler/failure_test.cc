#include "scheduler/failure.h"

#include <gtest/gtest.h>

namespace midwatch {
namespace {

struct FailureCase {
  const char* name;
  const char* operation;
  int http_status;
  const char* error_type;
  const char* error_code;
  const char* retry_status;
  const char* message;
  bool retry_after;
  v1::FailureClass want;
};

class ClassifyFailureTest : public ::testing::TestWithParam<FailureCase> {};

TEST_P(ClassifyFailureTest, MatchesTable) {
  const FailureCase& c = GetParam();
  v1::Failure failure;
  failure.set_operation(c.operation);
  failure.set_http_status(c.http_status);
  failure.set_error_type(c.error_type);
  failure.set_error_code(c.error_code);
  failure.set_retry_status(c.retry_status);
  failure.set_message(c.message);
  if (c.retry_after) failure.mutable_retry_after()->set_seconds(7);
  EXPECT_EQ(ClassifyFailure(failure), c.want);
}

constexpr v1::FailureClass kService = v1::FAILURE_CLASS_SERVICE;
constexpr v1::FailureClass kSpendCap = v1::FAILURE_CLASS_SPEND_CAP;
constexpr v1::FailureClass kAccount = v1::FAILURE_CLASS_ACCOUNT;
constexpr v1::FailureClass kTask = v1::FAILURE_CLASS_TASK;
constexpr v1::FailureClass kSpec = v1::FAILURE_CLASS_SPEC;

INSTANTIATE_TEST_SUITE_P(
    Table, ClassifyFailureTest,
    ::testing::ValuesIn<FailureCase>({
        {"ConnectionLost", "create_session", 0, "", "", "", "", false,
         kService},
        {"RequestTimeout", "send_events", 408, "", "", "", "", false, kService},
        {"ConflictThatStayed", "send_events", 409, "conflict_error", "", "", "",
         false, kService},
        {"ArchivedMeanwhile", "send_answer", 400, "session_archived", "", "",
         "the session takes no more events", false, kService},
        {"RateLimited", "create_session", 429, "rate_limit_error", "", "", "",
         true, kService},
        {"RampLimitNamesItself", "create_session", 429, "rate_limit_error",
         "ramp_limit_exceeded", "", "", false, kService},
        {"RateLimitWithoutATimeIsACap", "create_session", 429,
         "rate_limit_error", "", "", "", false, kSpendCap},
        {"CodeGoesBeforeRetryAfter", "create_session", 429, "rate_limit_error",
         "enforced_spend_limit_reached", "", "", true, kSpendCap},
        {"Overloaded", "create_session", 529, "overloaded_error", "", "", "",
         false, kService},
        {"GatewayTimeout", "create_session", 504, "timeout_error", "", "", "",
         false, kService},
        {"PaymentRequired", "create_session", 402, "billing_error", "", "", "",
         false, kSpendCap},
        {"OwnLimitComesAs400", "create_session", 400, "invalid_request_error",
         "", "", "You have reached your specified API usage limits. ...", false,
         kSpendCap},
        {"OwnWorkspaceLimit", "create_session", 400, "invalid_request_error",
         "", "", "You have reached your specified workspace API usage limits.",
         false, kSpendCap},
        {"RevokedKey", "create_session", 401, "authentication_error", "", "",
         "", false, kAccount},
        {"Forbidden", "create_session", 403, "permission_error", "", "", "",
         false, kAccount},
        {"OnHold", "create_session", 400, "invalid_request_error",
         "organization_on_hold", "", "", false, kAccount},
        {"BadBody", "create_session", 400, "invalid_request_error", "", "",
         "model: unknown", false, kSpec},
        {"TooLarge", "create_session", 413, "request_too_large", "", "", "",
         false, kSpec},
        {"NoSuchAgent", "create_session", 404, "not_found_error", "", "", "",
         false, kSpec},
        {"NoSuchPath", "create_environment", 404, "not_found_error", "", "", "",
         false, kAccount},
        {"AnotherServer", "create_session", 404, "", "", "",
         "HTTP 404 without an error object: <html>", false, kAccount},
        {"NoSuchName", "create_session", 0, "unresolved_host", "", "", "",
         false, kAccount},
        {"NotTrusted", "create_session", 0, "untrusted_certificate", "", "", "",
         false, kAccount},
        {"ModelOverloaded", "session", 0, "model_overloaded_error", "",
         "exhausted", "", false, kService},
        {"ModelRateLimited", "session", 0, "model_rate_limited_error", "",
         "exhausted", "", false, kService},
        {"OutOfCredit", "session", 0, "billing_error", "", "terminal", "",
         false, kSpendCap},
        {"TooManyToolRounds", "session", 0, "tool_use_limit_reached_error", "",
         "exhausted", "", false, kTask},
        {"UnknownErrorThatIsRetried", "session", 0, "brand_new_error", "",
         "retrying", "", false, kService},
        {"UnknownErrorThatIsNot", "session", 0, "brand_new_error", "",
         "terminal", "", false, kTask},
    }),
    [](const auto& test) { return std::string(test.param.name); });

struct EndingCase {
  const char* name;
  v1::Ending::Kind kind;
  const char* stop_reason;
  const char* error_type;  // of a session error, "" for none
  v1::FailureClass want;
};

class ClassifyEndingTest : public ::testing::TestWithParam<EndingCase> {};

TEST_P(ClassifyEndingTest, MatchesTable) {
  const EndingCase& c = GetParam();
  v1::Ending ending;
  ending.set_kind(c.kind);
  ending.set_stop_reason(c.stop_reason);
  if (*c.error_type != '\0') {
    ending.mutable_failure()->set_operation("session");
    ending.mutable_failure()->set_error_type(c.error_type);
    ending.mutable_failure()->set_retry_status("exhausted");
  }
  EXPECT_EQ(ClassifyEnding(ending), c.want);
  EXPECT_EQ(DescribeEnding(ending).empty(),
            c.want == v1::FAILURE_CLASS_UNSPECIFIED);
}

INSTANTIATE_TEST_SUITE_P(
    Table, ClassifyEndingTest,
    ::testing::ValuesIn<EndingCase>({
        {"EndTurn", v1::Ending::KIND_IDLE, "end_turn", "",
         v1::FAILURE_CLASS_UNSPECIFIED},
        {"Refusal", v1::Ending::KIND_IDLE, "refusal", "",
         v1::FAILURE_CLASS_REFUSAL},
        {"Budget", v1::Ending::KIND_IDLE, "budget_reached", "", kTask},
        {"AsksForAnAnswer", v1::Ending::KIND_IDLE, "requires_action", "",
         kSpec},
        {"NotKnownYet", v1::Ending::KIND_IDLE, "brand_new", "", kTask},
        {"ExhaustedByOverload", v1::Ending::KIND_IDLE, "retries_exhausted",
         "model_overloaded_error", kService},
        {"ExhaustedByTheTask", v1::Ending::KIND_IDLE, "retries_exhausted",
         "tool_use_limit_reached_error", kTask},
        {"Terminated", v1::Ending::KIND_TERMINATED, "", "", kTask},
        {"TerminatedWithoutCredit", v1::Ending::KIND_TERMINATED, "",
         "billing_error", kSpendCap},
        {"Deleted", v1::Ending::KIND_DELETED, "", "", kTask},
        {"TimedOut", v1::Ending::KIND_TIMED_OUT, "", "", kTask},
        {"CheckFailed", v1::Ending::KIND_CHECK_FAILED, "end_turn", "", kTask},
        {"NoCheck", v1::Ending::KIND_NO_CHECK, "end_turn", "", kSpec},
        {"OutputMissing", v1::Ending::KIND_OUTPUT_MISSING, "end_turn", "",
         kTask},
        {"Broken", v1::Ending::KIND_BROKEN, "", "model_overloaded_error",
         kService},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(DescribeEndingTest, ACheckThatFailedIsTheReason) {
  v1::Ending ending;
  ending.set_kind(v1::Ending::KIND_CHECK_FAILED);
  ending.set_stop_reason("end_turn");
  ending.set_failed_check("a.json does not fit its JSON Schema: at /b: no");
  EXPECT_EQ(DescribeEnding(ending),
            "check failed: a.json does not fit its JSON Schema: at /b: no");
}

TEST(DescribeEndingTest, ACheckThatIsNotThereIsTheReason) {
  v1::Ending ending;
  ending.set_kind(v1::Ending::KIND_NO_CHECK);
  ending.set_failed_check("'x' is none of the worker's checks");
  EXPECT_EQ(DescribeEnding(ending),
            "check cannot be made: 'x' is none of the worker's checks");
}

TEST(DescribeEndingTest, IsOneBoundedLine) {
  v1::Ending ending;
  ending.set_kind(v1::Ending::KIND_NOT_STARTED);
  ending.mutable_failure()->set_operation("create_session");
  ending.mutable_failure()->set_http_status(400);
  ending.mutable_failure()->set_message("a\nb" + std::string(9000, 'x'));
  std::string text = DescribeEnding(ending);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_LE(text.size(), 500u);
  EXPECT_EQ(text.substr(0, 38),
            "not started: create_session 400: a b"
            "xx");
}

// Half a character at the end made lists of tasks unreadable to clients.
TEST(DescribeEndingTest, IsNotCutWithinACharacter) {
  v1::Ending ending;
  ending.set_kind(v1::Ending::KIND_BROKEN);
  for (const char* character : {"\u00e9", "\u65e5", "\U0001f319"}) {
    for (int shift = 0; shift < 4; ++shift) {
      std::string message(static_cast<size_t>(shift), 'x');
      while (message.size() < 1000) message += character;
      ending.mutable_failure()->set_message(message);
      std::string text = DescribeEnding(ending);
      EXPECT_LE(text.size(), 500u);
      EXPECT_GT(text.size(), 490u);
      std::string last(character);
      EXPECT_EQ(text.substr(text.size() - last.size()), last);
    }
  }
}

}  // namespace
}  // namespace midwatch
