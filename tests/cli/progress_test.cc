// What the live view knows, from the changes as they come.
#include "cli/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "cli/event_words.h"
#include "tests/testing/fake_executor.h"

namespace midwatch::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::Optional;
using ::testing::SizeIs;

class ProgressTest : public ::testing::Test {
 protected:
  v1::TaskChange Change(const std::string& id, v1::TaskState state,
                        int64_t charge = 0) {
    v1::TaskChange change;
    change.set_task_id(id);
    change.set_name(absl::StrCat("name of ", id));
    change.set_state(state);
    change.set_attempt(1);
    change.set_charged_usd_micros(charge);
    return change;
  }
  void Add(const v1::TaskChange& change) {
    v1::WatchBatchResponse message;
    *message.mutable_change() = change;
    progress_.Add(message);
  }
  void AddCounts(int64_t running, int64_t queued, int64_t succeeded) {
    v1::WatchBatchResponse message;
    message.mutable_batch()->set_batch_id("B");
    v1::TaskCounts& counts = *message.mutable_batch()->mutable_counts();
    counts.set_running(running);
    counts.set_queued(queued);
    counts.set_succeeded(succeeded);
    progress_.Add(message);
  }
  static GlobalOptions ForJson() {
    GlobalOptions global;
    global.json = true;
    return global;
  }
  void Run(const std::string& id, absl::Duration time, int64_t cost) {
    Add(Change(id, v1::TASK_STATE_RUNNING));
    time_.Advance(time);
    Add(Change(id, v1::TASK_STATE_SUCCEEDED, cost));
  }

  testing::VirtualTime time_;
  testing::FakeClock clock_{time_};
  Terminal terminal_;  // a test's output is none
  GlobalOptions global_ = ForJson();
  Progress progress_{terminal_, clock_, global_};
};

TEST_F(ProgressTest, ShowsTheLongestRunningFirst) {
  Add(Change("b", v1::TASK_STATE_RUNNING));
  time_.Advance(absl::Seconds(2));
  Add(Change("a", v1::TASK_STATE_RUNNING));
  progress_.SetDoing("b", "bash: make");
  progress_.SetDoing("gone", "nothing");
  time_.Advance(absl::Seconds(1));
  LiveMoment moment = progress_.Moment(10);
  ASSERT_THAT(moment.running, SizeIs(2));
  EXPECT_EQ(moment.running[0].name, "name of b");
  EXPECT_EQ(moment.running[0].time, absl::Seconds(3));
  EXPECT_EQ(moment.running[0].doing, "bash: make");
  EXPECT_EQ(moment.running[1].time, absl::Seconds(1));
  EXPECT_THAT(progress_.Moment(1).running, SizeIs(1));

  Add(Change("b", v1::TASK_STATE_SUCCEEDED));
  EXPECT_THAT(progress_.ShownTasks(), ElementsAre("a"));
}

TEST_F(ProgressTest, ATaskThatWaitsSaysWhatItAsks) {
  Add(Change("a", v1::TASK_STATE_RUNNING));
  v1::TaskChange asks = Change("a", v1::TASK_STATE_WAITING);
  asks.set_reason("asks: bash");
  Add(asks);
  EXPECT_EQ(progress_.Moment(10).running.at(0).doing, "asks: bash");
}

TEST_F(ProgressTest, ATaskThatIsTriedAgainIsATroubleAndRunsNoMore) {
  Add(Change("a", v1::TASK_STATE_RUNNING));
  v1::TaskChange again = Change("a", v1::TASK_STATE_QUEUED, 5);
  again.set_failure_class(v1::FAILURE_CLASS_SERVICE);
  again.set_reason("529\noverloaded");
  Add(again);
  LiveMoment moment = progress_.Moment(10);
  EXPECT_THAT(moment.running, IsEmpty());
  ASSERT_THAT(moment.troubles, SizeIs(1));
  EXPECT_EQ(moment.troubles[0].retried, 1);
  EXPECT_EQ(moment.troubles[0].failed, 0);
  EXPECT_EQ(moment.troubles[0].cause, "service: 529 overloaded");
}

TEST_F(ProgressTest, TroublesAreGroupedTheLatestFirst) {
  for (const char* reason : {"x", "y", "x"}) {
    v1::TaskChange failed = Change("a", v1::TASK_STATE_FAILED);
    failed.set_failure_class(v1::FAILURE_CLASS_TASK);
    failed.set_reason(reason);
    Add(failed);
  }
  LiveMoment moment = progress_.Moment(10);
  ASSERT_THAT(moment.troubles, SizeIs(2));
  EXPECT_EQ(moment.troubles[0].cause, "task: x");
  EXPECT_EQ(moment.troubles[0].failed, 2);
  EXPECT_EQ(moment.troubles[1].cause, "task: y");
}

TEST_F(ProgressTest, CausesThatAllDifferAreBounded) {
  for (int i = 0; i < 1000; ++i) {
    v1::TaskChange failed = Change("a", v1::TASK_STATE_FAILED);
    failed.set_reason(absl::StrCat("reason ", i));
    Add(failed);
  }
  LiveMoment moment = progress_.Moment(10);
  EXPECT_THAT(moment.troubles, SizeIs(Le(201u)));
  EXPECT_EQ(moment.troubles[0].cause, "other causes");
  EXPECT_EQ(moment.troubles[0].failed, 800);
}

TEST_F(ProgressTest, EstimatesOnlyOnceThereIsABasis) {
  AddCounts(/*running=*/2, /*queued=*/20, /*succeeded=*/0);
  for (int i = 0; i < 4; ++i) Run(absl::StrCat(i), absl::Seconds(6), 10'000);
  EXPECT_EQ(progress_.Moment(10).left, std::nullopt);
  EXPECT_EQ(progress_.Moment(10).ends_per_minute, std::nullopt);
  EXPECT_EQ(progress_.Moment(10).median_usd_micros, std::nullopt);
  Run("4", absl::Seconds(6), 70'000);
  AddCounts(2, 15, 5);
  // Five in 30 s: 17 more take 102 s.
  EXPECT_THAT(progress_.Moment(10).left, Optional(Eq(absl::Seconds(102))));
  EXPECT_THAT(progress_.Moment(10).ends_per_minute, Optional(Eq(10.0)));
  EXPECT_THAT(progress_.Moment(10).median_usd_micros, Optional(Eq(10'000)));

  // As many as run at once must have ended.
  AddCounts(6, 11, 5);
  EXPECT_EQ(progress_.Moment(10).left, std::nullopt);

  // Nothing ends: the estimate grows, and the rate falls.
  AddCounts(2, 15, 5);
  time_.Advance(absl::Seconds(60));
  EXPECT_THAT(progress_.Moment(10).left, Optional(Eq(absl::Seconds(306))));
  EXPECT_THAT(progress_.Moment(10).ends_per_minute, Optional(Eq(0.0)));
}

TEST_F(ProgressTest, AnAttemptThatWasNotSeenHasNoCost) {
  AddCounts(1, 10, 0);
  for (int i = 0; i < 6; ++i) {
    v1::TaskChange end =
        Change(absl::StrCat(i), v1::TASK_STATE_SUCCEEDED, 10'000);
    end.set_attempt(2);
    Add(end);
  }
  EXPECT_EQ(progress_.Moment(10).median_usd_micros, std::nullopt);
}

TEST_F(ProgressTest, WhatRanBeforeIsShownWithItsTime) {
  v1::Task task;
  task.set_task_id("a");
  task.set_name("old");
  task.set_state(v1::TASK_STATE_RUNNING);
  task.mutable_run_time()->set_seconds(90);
  progress_.AddKnown(task);
  time_.Advance(absl::Seconds(1));
  LiveMoment moment = progress_.Moment(10);
  ASSERT_THAT(moment.running, SizeIs(1));
  EXPECT_EQ(moment.running[0].time, absl::Seconds(91));
  Add(Change("a", v1::TASK_STATE_FAILED));
  EXPECT_THAT(progress_.Moment(10).running, IsEmpty());
}

struct WordsCase {
  const char* json;
  const char* words;
};
class EventInWordsTest : public ::testing::TestWithParam<WordsCase> {};
TEST_P(EventInWordsTest, IsOnePrintableLine) {
  EXPECT_EQ(EventInWords(GetParam().json), GetParam().words);
}
INSTANTIATE_TEST_SUITE_P(
    Table, EventInWordsTest,
    ::testing::ValuesIn<WordsCase>({
        {R"({"type":"agent.tool_use","name":"bash",
             "input":{"timeout":3,"command":"make\n test\u001b"}})",
         "bash: make test?"},
        {R"({"type":"agent.mcp_tool_use","name":"search"})", "search"},
        {R"({"type":"agent.tool_result","content":[{"type":"image"},
             {"type":"text","text":"ok\nmore"}]})",
         "result: ok more"},
        {R"({"type":"agent.message","content":[{"text":"Done."}]})",
         "says: Done."},
        {R"({"type":"agent.message","content":"Done."})", "says"},
        {R"({"type":"session.error","error":{"message":"busy"}})",
         "error: busy"},
        {R"({"type":"session.error","error":3})", "error"},
        {R"({"type":"span.model_request_start"})", "thinks"},
        {R"({"type":"session.status_rescheduled"})", "waits for the service"},
        {R"({"type":"span.model_request_end"})", ""},
        {R"({"type":"session.usage"})", ""},
        {R"({"type":"agent.new_thing"})", "agent new thing"},
        {R"({"type":7})", ""},
        {"[]", ""},
        {"not json", ""},
        {"", ""},
    }));

TEST_F(ProgressTest, ShowsTheRatesOfClassesThatAreLimited) {
  v1::Account account;
  v1::RequestRate& creates = *account.add_rates();
  creates.set_request_class(v1::REQUEST_CLASS_CREATE);
  creates.set_limit_per_minute(300);
  creates.set_allowed_per_minute(240);
  creates.set_accepted(31);
  creates.mutable_resting_until()->set_seconds(
      absl::ToUnixSeconds(clock_.Now() + absl::Seconds(9)));
  v1::RequestRate& reads = *account.add_rates();
  reads.set_request_class(v1::REQUEST_CLASS_READ);
  reads.set_accepted(5);
  progress_.SetAccount(account);

  std::vector<LiveMoment::Rate> rates = progress_.Moment(10).rates;
  ASSERT_THAT(rates, SizeIs(1));
  EXPECT_EQ(rates[0].what, "creates");
  EXPECT_EQ(rates[0].accepted, 31);
  EXPECT_EQ(rates[0].allowed_per_minute, 240);
  EXPECT_TRUE(rates[0].lowered);
  ASSERT_TRUE(rates[0].rests_for.has_value());
  EXPECT_GT(*rates[0].rests_for, absl::Seconds(8));

  time_.Advance(absl::Seconds(10));
  EXPECT_EQ(progress_.Moment(10).rates[0].rests_for, std::nullopt);
  // What nobody has told for a while is not shown as if it were so.
  time_.Advance(absl::Seconds(10));
  EXPECT_THAT(progress_.Moment(10).rates, IsEmpty());
}

}  // namespace
}  // namespace midwatch::cli
