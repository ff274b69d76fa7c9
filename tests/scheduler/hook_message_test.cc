#include "scheduler/hook_message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/escaping.h"
#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::StatusIs;

// The test vector that the libraries of the Standard Webhooks share.
TEST(HookMessageTest, SignsAsTheStandardWebhooksDo) {
  const absl::StatusOr<std::string> key =
      ParseHookSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
  ASSERT_OK(key);
  EXPECT_EQ(SignHook(*key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330,
                     R"({"test": 2432232314})"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

TEST(HookMessageTest, SecretsMayStandWithoutTheirPrefix) {
  const absl::StatusOr<std::string> key =
      ParseHookSecret(" MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
  ASSERT_OK(key);
  EXPECT_EQ(key->size(), 24);
}

TEST(HookMessageTest, SecretsThatAreNoneAreNotShown) {
  const std::string too_short = "whsec_" + absl::Base64Escape("too short");
  const std::string too_long =
      "whsec_" + absl::Base64Escape(std::string(65, 'x'));
  for (const std::string& text :
       {std::string(), too_short, too_long, std::string("whsec_no base64!")}) {
    const absl::Status status = ParseHookSecret(text).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(std::string(status.message()), HasSubstr("expected whsec_"));
    if (!text.empty()) {
      EXPECT_THAT(std::string(status.message()), Not(HasSubstr(text)));
    }
  }
}

TEST(HookMessageTest, OneMessageOfEachEvent) {
  EXPECT_EQ(HookMessageId("01B", v1::HOOK_EVENT_FINISH), "msg_01B_finish");
  EXPECT_EQ(HookMessageId("01B", v1::HOOK_EVENT_FAILURE), "msg_01B_failure");
  EXPECT_EQ(HookMessageId("01B", v1::HOOK_EVENT_RISK), "msg_01B_risk");
}

TEST(HookMessageTest, Bodies) {
  v1::HookNews news;
  news.set_event(v1::HOOK_EVENT_FINISH);
  news.mutable_at()->set_seconds(1'800'000'000);
  v1::Batch& batch = *news.mutable_batch();
  batch.set_batch_id("01B");
  batch.set_name("audit \"x\"");
  batch.set_tenant("t");
  batch.set_queue("q");
  batch.set_account("a");
  batch.set_state(v1::BATCH_STATE_DONE);
  batch.set_charged_usd_micros(1'234'567);
  batch.mutable_submitted_at()->set_seconds(1'799'990'000);
  batch.mutable_ended_at()->set_seconds(1'800'000'000);
  batch.mutable_counts()->set_succeeded(3);
  batch.mutable_counts()->set_failed(1);
  const std::string of_batch =
      R"("data":{"batch_id":"01B","name":"audit \"x\"","tenant":"t",)"
      R"("queue":"q","account":"a","state":"DONE","counts":{"blocked":0,)"
      R"("queued":0,"running":0,"waiting":0,"cancelling":0,"succeeded":3,)"
      R"("failed":1,"cancelled":0,"skipped":0},"charged_usd_micros":1234567,)"
      R"("submitted_at":"2027-01-15T05:13:20.000Z",)"
      R"("ended_at":"2027-01-15T08:00:00.000Z")";
  EXPECT_EQ(HookBody(news), R"({"type":"batch.finished",)"
                            R"("timestamp":"2027-01-15T08:00:00.000Z",)" +
                                of_batch + "}}");

  news.set_event(v1::HOOK_EVENT_FAILURE);
  v1::TaskChange& task = *news.mutable_task();
  task.set_task_id("01T");
  task.set_name("one");
  task.set_attempt(3);
  task.set_failure_class(v1::FAILURE_CLASS_TASK);
  task.set_reason("timed out");
  task.set_charged_usd_micros(10'000);
  EXPECT_EQ(HookBody(news),
            R"({"type":"batch.task_failed",)"
            R"("timestamp":"2027-01-15T08:00:00.000Z",)" +
                of_batch +
                R"(,"task":{"task_id":"01T","name":"one","attempt":3,)"
                R"("failure_class":"TASK","reason":"timed out",)"
                R"("charged_usd_micros":10000}}})");

  news.set_event(v1::HOOK_EVENT_RISK);
  news.clear_task();
  v1::Risk& risk = *news.mutable_risk();
  risk.set_over_budget(true);
  risk.set_budget_usd_micros(2'000'000);
  risk.set_projected_usd_micros(3'000'000);
  risk.set_ended(10);
  risk.set_left(20);
  risk.set_reason("needs more");
  const std::string ended = R"(,"tasks_ended":10,"tasks_left":20,)"
                            R"("reason":"needs more"}}})";
  EXPECT_EQ(
      HookBody(news),
      R"({"type":"batch.at_risk",)"
      R"("timestamp":"2027-01-15T08:00:00.000Z",)" +
          of_batch +
          R"(,"risk":{"over_budget":true,"over_deadline":false,)"
          R"("budget_usd_micros":2000000,"projected_usd_micros":3000000)" +
          ended);
  risk.set_over_budget(false);
  risk.set_over_deadline(true);
  risk.mutable_deadline()->set_seconds(1'800'000'000);
  risk.mutable_projected_end()->set_seconds(1'800'003'600);
  EXPECT_EQ(HookBody(news),
            R"({"type":"batch.at_risk",)"
            R"("timestamp":"2027-01-15T08:00:00.000Z",)" +
                of_batch +
                R"(,"risk":{"over_budget":false,"over_deadline":true,)"
                R"("deadline":"2027-01-15T08:00:00.000Z",)"
                R"("projected_end":"2027-01-15T09:00:00.000Z")" +
                ended);
}

}  // namespace
}  // namespace midwatch
