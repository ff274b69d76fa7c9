#include "cli/control_views.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "cli/batch_states.h"
#include "cli/batch_views.h"
#include "cli/json_views.h"
#include "cli/rule_views.h"
#include "cli/times.h"
#include "cli/when.h"

namespace midwatch::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

GlobalOptions Typed() {
  GlobalOptions global;
  global.program = "midwatch";
  return global;
}

v1::Batch PausedBatch() {
  v1::Batch batch;
  batch.set_batch_id("B");
  batch.set_queue("nightly");
  batch.set_state(v1::BATCH_STATE_SEALED);
  batch.mutable_counts()->set_queued(3);
  batch.mutable_pause()->set_reason("look\nfirst");
  batch.mutable_pause()->mutable_since()->set_seconds(1'000'000);
  return batch;
}

TEST(ControlViewsTest, APauseSaysWhyAndWhatToDo) {
  v1::Batch batch = PausedBatch();
  const std::string since = FormatInstant(batch.pause().since());
  EXPECT_EQ(BatchPauseLine(Typed(), batch),
            "the batch is paused: look first; since " + since +
                "; `midwatch batch resume B` resumes it");
  EXPECT_EQ(QueuePauseLine(Typed(), batch), "");
  *batch.mutable_queue_pause() = batch.pause();
  batch.mutable_queue_pause()->clear_reason();
  batch.mutable_queue_pause()->mutable_until()->set_seconds(1'000'060);
  EXPECT_EQ(QueuePauseLine(Typed(), batch),
            "queue nightly is paused; since " + since + ", until " +
                FormatInstant(batch.queue_pause().until()) +
                "; `midwatch queue resume nightly` resumes it now");
  EXPECT_THAT(BatchDetails(Typed(), batch),
              HasSubstr("waits       the batch is paused"));
  EXPECT_THAT(BatchDetails(Typed(), batch),
              HasSubstr("waits       queue nightly is paused"));
  EXPECT_THAT(BatchTable({batch}, 200), HasSubstr("paused"));
}

TEST(BatchStatesTest, AWordSaysWhatABatchDoes) {
  v1::Batch batch;
  auto word = [&] { return BatchStateWord(batch); };
  batch.set_state(v1::BATCH_STATE_OPEN);
  EXPECT_EQ(word(), "submitting");
  batch.set_state(v1::BATCH_STATE_SEALED);
  EXPECT_EQ(word(), "queued");
  batch.mutable_counts()->set_waiting(1);
  EXPECT_EQ(word(), "waiting");
  batch.mutable_counts()->set_queued(1);
  EXPECT_EQ(word(), "queued");
  batch.mutable_counts()->set_running(1);
  EXPECT_EQ(word(), "running");
  batch.mutable_queue_pause();
  EXPECT_EQ(word(), "paused");
  EXPECT_THAT(BatchDetails(Typed(), batch), HasSubstr("state       paused\n"));
  EXPECT_EQ(ToJson(batch)["state"], "sealed");
  batch.set_state(v1::BATCH_STATE_CANCELLING);
  EXPECT_EQ(word(), "cancelling");
  batch.set_state(v1::BATCH_STATE_DONE);
  EXPECT_EQ(word(), "done");
}

TEST(BatchStatesTest, AreFilteredByWordsAndByTheApisNames) {
  v1::Batch batch = PausedBatch();
  auto takes = [&](const std::vector<std::string>& words) {
    return BatchStateFilter::Read(words).value().Takes(batch);
  };
  EXPECT_TRUE(takes({}));
  EXPECT_TRUE(takes({"paused"}));
  EXPECT_TRUE(takes({"sealed"}));
  EXPECT_TRUE(takes({"done", "paused"}));
  EXPECT_FALSE(takes({"queued"}));
  EXPECT_FALSE(takes({"open", "running", "cancelling"}));
  EXPECT_THAT(
      BatchStateFilter::Read({"paused", "done"})->asked(),
      ::testing::ElementsAre(v1::BATCH_STATE_OPEN, v1::BATCH_STATE_SEALED,
                             v1::BATCH_STATE_DONE));
  EXPECT_THAT(BatchStateFilter::Read({"lost"}).status().message(),
              HasSubstr("expected submitting, queued, running, waiting"));
}

TEST(ControlViewsTest, AFullCapSaysWhoseItIs) {
  v1::Batch batch = PausedBatch();
  batch.clear_pause();
  EXPECT_EQ(FullCapLine(batch), "");
  batch.set_max_running(4);
  batch.set_full_cap(v1::CAP_SCOPE_BATCH);
  EXPECT_EQ(FullCapLine(batch), "as many run as its max_running allows (4)");
  batch.set_full_cap(v1::CAP_SCOPE_QUEUE);
  EXPECT_EQ(FullCapLine(batch),
            "as many run as max_running of queue nightly allows");
  EXPECT_EQ(ToJson(batch)["full_cap"], "queue");
  EXPECT_THAT(BatchDetails(Typed(), batch), HasSubstr("queue nightly allows"));
}

// What follows by itself is waited for.
TEST(ControlViewsTest, ABatchStandsPausedOnceNothingOfItRuns) {
  v1::Batch batch = PausedBatch();
  EXPECT_TRUE(StandsPaused(batch));
  batch.mutable_counts()->set_running(1);
  EXPECT_FALSE(StandsPaused(batch));
  batch.mutable_counts()->set_running(0);
  batch.set_state(v1::BATCH_STATE_OPEN);
  EXPECT_FALSE(StandsPaused(batch));
  batch.set_state(v1::BATCH_STATE_SEALED);
  batch.mutable_pause()->mutable_until()->set_seconds(1);
  EXPECT_FALSE(StandsPaused(batch));
  batch.mutable_queue_pause();
  EXPECT_TRUE(StandsPaused(batch));
}

v1::Batch BatchWithCanary() {
  v1::Batch batch;
  batch.set_state(v1::BATCH_STATE_SEALED);
  batch.mutable_counts()->set_queued(7);
  v1::CanaryState& canary = *batch.mutable_canary();
  canary.mutable_rule()->set_tasks(5);
  canary.mutable_rule()->set_min_success(0.8);
  canary.mutable_rule()->set_max_cost_usd_micros(3'000'000);
  canary.set_tasks(5);
  canary.set_succeeded(2);
  canary.set_failed(1);
  canary.set_verdict(v1::CANARY_VERDICT_UNDECIDED);
  return batch;
}

TEST(ControlViewsTest, ACanarySaysHowFarItHasCome) {
  v1::Batch batch = BatchWithCanary();
  EXPECT_EQ(CanaryLine(batch),
            "3 of 5 done, 1 failed; the other tasks wait for it");
  EXPECT_EQ(CanaryHoldLine(batch), "canary: " + CanaryLine(batch));
  EXPECT_THAT(BatchDetails(Typed(), batch),
              HasSubstr("canary      3 of 5 done"));
  v1::CanaryState& canary = *batch.mutable_canary();
  canary.set_left_out(1);
  batch.set_state(v1::BATCH_STATE_DONE);
  EXPECT_EQ(CanaryLine(batch),
            "4 of 5 done, 1 failed, 1 cancelled or skipped; not decided before "
            "the batch was cancelled");
  canary.set_verdict(v1::CANARY_VERDICT_PASSED);
  canary.set_left_out(0);
  canary.set_succeeded(4);
  EXPECT_EQ(CanaryLine(batch), "passed: 5 of 5 done, 1 failed");
  EXPECT_EQ(CanaryHoldLine(batch), "");
  canary.set_verdict(v1::CANARY_VERDICT_FAILED);
  canary.set_reason("the canary failed: it has cost $4.00, more than ...");
  EXPECT_EQ(CanaryLine(batch), "failed: it has cost $4.00, more than ...");
  canary.set_verdict(v1::CANARY_VERDICT_OVERRULED);
  EXPECT_EQ(CanaryLine(batch),
            "failed: it has cost $4.00, more than ...; resumed all the same");
  const Json json = ToJson(batch)["canary"];
  EXPECT_EQ(json["verdict"], "overruled");
  EXPECT_EQ(json["rule"]["min_success"], 0.8);
  EXPECT_EQ(json["rule"]["max_cost_usd_micros"], 3'000'000);
  EXPECT_EQ(json["succeeded"], 4);
  EXPECT_TRUE(ToJson(v1::Batch())["canary"].is_null());
}

TEST(ControlViewsTest, AStopRuleSaysHowNearItIs) {
  v1::Batch batch = BatchWithCanary();
  v1::StopState& stop = *batch.mutable_stop();
  stop.mutable_rule()->set_failed(20);
  stop.set_failed(3);
  stop.set_ended(12);
  EXPECT_THAT(BatchDetails(Typed(), batch),
              HasSubstr("stop when   once 20 failed; so far 3 of 12"));
  stop.mutable_rule()->set_failed_ratio(0.3);
  stop.mutable_rule()->set_after(50);
  EXPECT_EQ(StopLine(stop),
            "once 20 failed, or once 0.3 of those done failed, after 50; so "
            "far 3 of 12");
  EXPECT_EQ(ToJson(batch)["stop_when"]["rule"]["after"], 50);
  EXPECT_EQ(ToJson(batch)["stop_when"]["failed"], 3);
  EXPECT_TRUE(ToJson(v1::Batch())["stop_when"].is_null());
}

TEST(ControlViewsTest, ACanaryOfWhichAllWaitWaitsForAPerson) {
  v1::Batch batch = BatchWithCanary();
  batch.mutable_counts()->set_waiting(1);
  EXPECT_FALSE(OnlyCanaryWaits(batch)) << "another of it is queued";
  batch.mutable_counts()->set_waiting(2);
  EXPECT_TRUE(OnlyCanaryWaits(batch));
  batch.mutable_counts()->set_running(1);
  EXPECT_FALSE(OnlyCanaryWaits(batch));
  batch.mutable_counts()->set_running(0);
  batch.mutable_canary()->set_verdict(v1::CANARY_VERDICT_PASSED);
  EXPECT_FALSE(OnlyCanaryWaits(batch));
}

TEST(ControlViewsTest, AQueueIsShownWithAllThatIsSetOfIt) {
  v1::Queue queue;
  queue.set_name("nightly");
  queue.set_weight(3);
  queue.set_max_running(20);
  queue.mutable_counts()->set_running(4);
  queue.mutable_counts()->set_cancelling(1);
  queue.mutable_counts()->set_queued(10'000);
  queue.set_more_queued(true);
  queue.set_waiting_lanes(2);
  EXPECT_EQ(QueueDetails(Typed(), queue),
            "queue       nightly\n"
            "state       open\n"
            "weight      3\n"
            "cap         20\n"
            "running     5\n"
            "queued      over 10000 in 2 lanes\n"
            "waiting     0\n");
  EXPECT_EQ(QueueTable({queue}, 200),
            "QUEUE    STATE  WEIGHT  CAP  RUNNING      QUEUED  WAITING  UNTIL  "
            "WHY\n"
            "nightly  open        3   20        5  over 10000        0  -\n");
  queue.mutable_pause()->set_reason("moving");
  EXPECT_THAT(QueueDetails(Typed(), queue),
              HasSubstr("state       paused: moving; "));
  EXPECT_THAT(QueueDetails(Typed(), queue),
              HasSubstr("`midwatch queue resume nightly` resumes it"));
  EXPECT_EQ(ToJson(queue)["pause"]["reason"], "moving");
}

TEST(WhenTest, IsATimeOrASpan) {
  const absl::Time now = absl::FromUnixSeconds(1'000'000);
  google::protobuf::Timestamp until;
  ASSERT_TRUE(ReadWhen("--until", "90m", now, until).ok());
  EXPECT_EQ(until.seconds(), 1'000'000 + 90 * 60);
  ASSERT_TRUE(ReadWhen("--until", "2026-11-23T22:00:00Z", now, until).ok());
  EXPECT_EQ(until.seconds(), 1'795'471'200);
  ASSERT_TRUE(ReadWhen("--until", "06:30", now, until).ok());
  EXPECT_EQ(absl::FromUnixSeconds(until.seconds()),
            NextClockTime("06:30", now, absl::LocalTimeZone()));
  for (const char* bad : {"tomorrow", "0s", "-1h", "0", "1969-11-23", "inf",
                          "24:00", "22:60", "22:0", ":30", "1:2:3", "022:00"}) {
    const absl::Status status = ReadWhen("--until", bad, now, until);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--until is")) << bad;
  }
  EXPECT_THAT(
      std::string(ReadWhen("--start", "tomorrow", now, until).message()),
      AllOf(HasSubstr("--start is 'tomorrow'"),
            HasSubstr("or how long from now, such as 90m or 12h")));
}

// `task update` once had a grammar of its own, which took times that are over.
TEST(WhenTest, ItsOwnWordIsNamed) {
  const absl::Time now = absl::FromUnixSeconds(1'000'000);
  google::protobuf::Timestamp out;
  EXPECT_THAT(
      std::string(ReadWhen("--expires", "soon", now, out, "never").message()),
      AllOf(HasSubstr("--expires is 'soon'"), HasSubstr("12h; or never")));
  EXPECT_THAT(
      std::string(ReadWhen("--expires", "1970-01-01T00:00:00Z", now, out, "")
                      .message()),
      HasSubstr("which is over"));
}

struct ClockCase {
  const char* text;
  const char* now;
  const char* next;
};
class NextClockTimeTest : public ::testing::TestWithParam<ClockCase> {};
TEST_P(NextClockTimeTest, IsTheNextOne) {
  absl::TimeZone berlin;
  ASSERT_TRUE(absl::LoadTimeZone("Europe/Berlin", &berlin));
  const ClockCase& c = GetParam();
  absl::Time now, next;
  ASSERT_TRUE(absl::ParseTime(absl::RFC3339_sec, c.now, &now, nullptr));
  ASSERT_TRUE(absl::ParseTime(absl::RFC3339_sec, c.next, &next, nullptr));
  EXPECT_EQ(NextClockTime(c.text, now, berlin), next);
}
INSTANTIATE_TEST_SUITE_P(
    Table, NextClockTimeTest,
    ::testing::ValuesIn<ClockCase>({
        {"22:00", "2026-11-23T12:00:00+01:00", "2026-11-23T22:00:00+01:00"},
        {"6:30", "2026-11-23T12:00:00+01:00", "2026-11-24T06:30:00+01:00"},
        {"12:00", "2026-11-23T12:00:00+01:00", "2026-11-24T12:00:00+01:00"},
        {"00:00", "2026-12-31T23:59:59+01:00", "2027-01-01T00:00:00+01:00"},
        // The clocks go forward at two, and back at three.
        {"02:30", "2026-03-28T12:00:00+01:00", "2026-03-29T03:00:00+02:00"},
        {"02:30", "2026-10-24T12:00:00+02:00", "2026-10-25T02:30:00+02:00"},
        {"03:00", "2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+01:00"},
    }));

}  // namespace
}  // namespace midwatch::cli
