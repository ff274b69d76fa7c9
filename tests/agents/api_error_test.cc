#include "agents/api_error.h"

#include <gtest/gtest.h>

#include "agents/http_errors.h"
#include "net/retry_after.h"
#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

struct AnswerCase {
  int status;
  absl::StatusCode want;
  bool maybe_executed;
};

TEST(ApiErrorTest, StatusDecidesCodeAndWhetherItMayHaveRun) {
  const AnswerCase kCases[] = {
      {400, absl::StatusCode::kInvalidArgument, false},
      {401, absl::StatusCode::kUnauthenticated, false},
      {402, absl::StatusCode::kPermissionDenied, false},
      {403, absl::StatusCode::kPermissionDenied, false},
      {404, absl::StatusCode::kNotFound, false},
      {408, absl::StatusCode::kUnavailable, true},
      {409, absl::StatusCode::kFailedPrecondition, false},
      {412, absl::StatusCode::kFailedPrecondition, false},
      {413, absl::StatusCode::kInvalidArgument, false},
      {422, absl::StatusCode::kInvalidArgument, false},
      {429, absl::StatusCode::kUnavailable, false},
      {500, absl::StatusCode::kUnavailable, true},
      {503, absl::StatusCode::kUnavailable, true},
      {504, absl::StatusCode::kUnavailable, true},
      {529, absl::StatusCode::kUnavailable, true},
      {302, absl::StatusCode::kUnavailable, true},
  };
  for (const AnswerCase& c : kCases) {
    HttpResponse response;
    response.status = c.status;
    ApiError error = ErrorOfAnswer("create_session", response, kNow);
    EXPECT_EQ(error.maybe_executed, c.maybe_executed) << c.status;
    EXPECT_THAT(ToStatus(error), StatusIs(c.want)) << c.status;
  }
}

TEST(ApiErrorTest, EnvelopeIsRead) {
  HttpResponse response;
  response.status = 429;
  response.headers = {{"Retry-After", "17"}, {"request-id", "req_header"}};
  response.body =
      R"({"type":"error","error":{"type":"rate_limit_error","message":"slow",)"
      R"("details":{"error_code":"ramp_limit_exceeded"}},)"
      R"("request_id":"req_body"})";
  ApiError want;
  want.operation = "send_events";
  want.http_status = 429;
  want.type = "rate_limit_error";
  want.error_code = "ramp_limit_exceeded";
  want.message = "slow";
  want.request_id = "req_body";
  want.retry_after = absl::Seconds(17);
  want.maybe_executed = false;
  EXPECT_EQ(ErrorOfAnswer("send_events", response, kNow), want);
  // And it survives its way through a Status.
  absl::Status status = ToStatus(want);
  EXPECT_EQ(GetApiError(status), want);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("send_events: status 429 "
                        "rate_limit_error/ramp_limit_exceeded: slow"));
}

TEST(ApiErrorTest, BodiesWithoutEnvelope) {
  for (const char* body : {"", "<html>Bad gateway</html>", "null", "[1]",
                           R"({"error":"text"})", "??"}) {
    HttpResponse response;
    response.status = 502;
    response.headers = {{"request-id", "req_1"}};
    // What is no UTF-8 would make a settle that names it unreadable.
    response.body = body == std::string("??") ? "\xff\xfe" : body;
    ApiError error = ErrorOfAnswer("get_session", response, kNow);
    EXPECT_EQ(error.type, "");
    EXPECT_EQ(error.request_id, "req_1");
    EXPECT_THAT(error.message, HasSubstr("502"));
    EXPECT_THAT(error.message, HasSubstr(body));
    EXPECT_TRUE(GetApiError(ToStatus(error)).has_value());
  }
  HttpResponse large;
  large.status = 500;
  large.body.assign(100'000, 'x');
  EXPECT_LT(ErrorOfAnswer("x", large, kNow).message.size(), 300u);
}

TEST(ApiErrorTest, LossesKnowWhetherTheRequestLeft) {
  absl::Status refused = absl::UnavailableError("connection refused");
  SetHttpExecuted(refused, HttpExecuted::kNo);
  ApiError error = ErrorOfLoss("create_session", refused);
  EXPECT_FALSE(error.maybe_executed);
  EXPECT_EQ(error.http_status, 0);
  EXPECT_EQ(error.message, "connection refused");
  EXPECT_THAT(ToStatus(error), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(ErrorOfLoss("create_session", absl::DeadlineExceededError("slow"))
                  .maybe_executed);
}

TEST(ApiErrorTest, ErrorFramesGetTheStatusOfTheirType) {
  ApiError error = ErrorOfFrame(
      "stream_events",
      R"({"type":"error","error":{"type":"overloaded_error","message":"m"}})");
  EXPECT_EQ(error.http_status, 529);
  EXPECT_THAT(ToStatus(error), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(
      ErrorOfFrame("s", R"({"error":{"type":"not_found_error"}})").http_status,
      404);
  EXPECT_EQ(ErrorOfFrame("s", "garbage").http_status, 500);
}

struct RetryAfterCase {
  HttpHeaders headers;
  std::optional<absl::Duration> want;
};

TEST(ApiErrorTest, RetryAfterForms) {
  const RetryAfterCase kCases[] = {
      {{}, std::nullopt},
      {{{"retry-after", "5"}}, absl::Seconds(5)},
      {{{"retry-after", "0.5"}}, absl::Milliseconds(500)},
      {{{"retry-after", "0"}}, absl::ZeroDuration()},
      {{{"retry-after-ms", "250"}, {"retry-after", "5"}},
       absl::Milliseconds(250)},
      // 1800000000 is 08:00:00.
      {{{"retry-after", "Fri, 15 Jan 2027 08:00:30 GMT"}}, absl::Seconds(30)},
      {{{"retry-after", "Fri, 15 Jan 2027 07:00:00 GMT"}},
       absl::ZeroDuration()},
      {{{"retry-after", "-3"}}, std::nullopt},
      {{{"retry-after", "inf"}}, std::nullopt},
      {{{"retry-after", "nan"}}, std::nullopt},
      {{{"retry-after", "soon"}}, std::nullopt},
  };
  for (const RetryAfterCase& c : kCases) {
    EXPECT_EQ(RetryAfter(c.headers, kNow), c.want)
        << (c.headers.empty() ? "" : c.headers[0].second);
  }
}

TEST(ApiErrorTest, OtherStatusesCarryNone) {
  EXPECT_EQ(GetApiError(absl::OkStatus()), std::nullopt);
  EXPECT_EQ(GetApiError(absl::UnavailableError("x")), std::nullopt);
}

TEST(ApiErrorTest, LongMessagesAreCut) {
  ApiError error;
  error.message.assign(5000, 'm');
  EXPECT_EQ(GetApiError(ToStatus(error))->message.size(), 2000u);
}

}  // namespace
}  // namespace midwatch
