// What people and programs read.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/batch_views.h"
#include "cli/export.h"
#include "cli/forecast_views.h"
#include "cli/json_views.h"
#include "cli/state_names.h"
#include "cli/summary.h"
#include "cli/table.h"
#include "cli/task_views.h"
#include "cli/times.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

TEST(FormatSpanTest, FitsTheLength) {
  EXPECT_EQ(FormatSpan(absl::ZeroDuration()), "0.0 s");
  EXPECT_EQ(FormatSpan(absl::Milliseconds(9940)), "9.9 s");
  EXPECT_EQ(FormatSpan(absl::Seconds(10)), "10 s");
  EXPECT_EQ(FormatSpan(absl::Seconds(65)), "1 m 05 s");
  EXPECT_EQ(FormatSpan(absl::Minutes(125)), "2 h 05 m");
}

TEST(NamesTest, AreWords) {
  EXPECT_EQ(NameOf(v1::TASK_STATE_SUCCEEDED), "succeeded");
  EXPECT_EQ(NameOf(v1::BATCH_STATE_OPEN), "open");
  EXPECT_EQ(NameOf(v1::FAILURE_CLASS_SPEND_CAP), "spend cap");
  EXPECT_EQ(TaskStateNamed("failed"), v1::TASK_STATE_FAILED);
  EXPECT_EQ(TaskStateNamed("lost"), v1::TASK_STATE_UNSPECIFIED);
}

TEST(FormatTableTest, LeavesColumnsOutBeforeItCutsTheLast) {
  const std::vector<Column> columns = {
      {"ID"}, {"TRIES", true, 2}, {"COST", true, 1}, {"TEXT"}};
  const std::vector<std::vector<std::string>> rows = {
      {"01", "1", "$0.10", "eighteen columns"}};
  EXPECT_EQ(FormatTable(columns, rows, 34),
            "ID  TRIES   COST  TEXT\n"
            "01      1  $0.10  eighteen columns\n");
  EXPECT_EQ(FormatTable(columns, rows, 33),
            "ID   COST  TEXT\n"
            "01  $0.10  eighteen columns\n");
  EXPECT_EQ(FormatTable(columns, rows, 16),
            "ID  TEXT\n"
            "01  eighteen co\u2026\n");
}

// An id is never cut, and a row is a line.
TEST(FormatTableTest, ListsFitEightyColumns) {
  v1::Task task;
  task.set_task_id("01M8JB4J8W0000000000000000");
  task.set_state(v1::TASK_STATE_CANCELLING);
  task.set_attempts(3);
  task.set_charged_usd_micros(1'234'560'000);
  task.mutable_run_time()->set_seconds(4'000);
  task.set_name("a name that is rather long, as names are");
  task.set_reason("a reason that is longer than the whole line has room for");
  v1::Batch batch;
  batch.set_batch_id(task.task_id());
  batch.set_state(v1::BATCH_STATE_CANCELLING);
  batch.mutable_counts()->set_succeeded(309'000);
  batch.mutable_counts()->set_cancelled(586);
  batch.set_charged_usd_micros(1'234'560'000);
  batch.set_name("nightly");
  for (const std::string& table :
       {TaskTable({task}, 80), BatchTable({batch}, 80)}) {
    EXPECT_THAT(table, ::testing::HasSubstr(task.task_id()));
    for (absl::string_view line : absl::StrSplit(table, '\n')) {
      EXPECT_LE(DisplayWidth(line), 80u) << table;
    }
  }
  EXPECT_THAT(TaskTable({task}, 200), ::testing::HasSubstr("1 h 06 m"));
}

TEST(BatchTableTest, WhatWasCancelledDidNotSucceed) {
  v1::Batch batch;
  batch.set_batch_id("B");
  batch.set_name("n");
  batch.set_state(v1::BATCH_STATE_DONE);
  batch.mutable_counts()->set_succeeded(2);
  EXPECT_EQ(BatchTable({batch}, 200),
            "BATCH  STATE  SUCCEEDED  FAILED   COST  SUBMITTED  NAME\n"
            "B      done         2/2       0  $0.00  -          n\n");
  batch.mutable_counts()->set_cancelled(6);
  batch.mutable_counts()->set_skipped(1);
  EXPECT_EQ(
      BatchTable({batch}, 200),
      "BATCH  STATE  SUCCEEDED  FAILED  LEFT OUT   COST  SUBMITTED  NAME\n"
      "B      done         2/9       0         7  $0.00  -          n\n");
}

TEST(BatchDetailsTest, SayTheDeadline) {
  v1::Batch batch;
  EXPECT_THAT(BatchDetails({}, batch),
              ::testing::Not(::testing::HasSubstr("deadline")));
  EXPECT_TRUE(ToJson(batch)["deadline"].is_null());
  batch.mutable_deadline()->set_seconds(1'800'000'000);
  EXPECT_THAT(BatchDetails({}, batch),
              ::testing::HasSubstr(absl::StrCat(
                  "deadline    ", FormatInstant(batch.deadline()), "\n")));
  EXPECT_EQ(ToJson(batch)["deadline"], "2027-01-15T08:00:00.000Z");
}

TEST(WrappedTest, BreaksBetweenWords) {
  EXPECT_EQ(Wrapped("", 5), "");
  EXPECT_EQ(Wrapped("one two", 7), "one two");
  EXPECT_EQ(Wrapped("one two three", 7), "one two\nthree");
  EXPECT_EQ(Wrapped("one\ntwo  three", 20), "one\ntwo  three");
  EXPECT_EQ(Wrapped("caf\u00e9 a", 6), "caf\u00e9 a");
  EXPECT_EQ(Wrapped("a longest b", 4), "a\nlongest\nb");
}

TEST(CalibrationTest, SaysHowWellForecastsHeld) {
  v1::Calibration held;
  held.set_foretold(292);
  held.set_cost_within_p90(292);
  held.set_time_within_p90(278);
  EXPECT_EQ(CalibrationWords(held),
            "cost 100 % within p90, time 95 % within p90 (292 tasks)");
}

TEST(FormatTableTest, AlignsAndCutsTheLastColumn) {
  EXPECT_EQ(FormatTable({{"A"}, {"N", true}, {"TEXT"}},
                        {{"caf\u00e9", "1", "short"},
                         {"b", "22", "this one is too long"}},
                        22),
            "A      N  TEXT\n"
            "caf\u00e9   1  short\n"
            "b     22  this one is\u2026\n");
}

v1::Task FinishedTask() {
  v1::Task task;
  task.set_task_id("T");
  task.set_name("name");
  task.set_state(v1::TASK_STATE_SUCCEEDED);
  task.set_attempts(2);
  task.set_failures(1);
  task.set_charged_usd_micros(1'230'000);
  task.set_final_message("\n  MIT\nand more");
  task.mutable_run_time()->set_seconds(3);
  task.mutable_run_time()->set_nanos(500'000'000);
  v1::Output& output = *task.add_outputs();
  output.set_path("a/b");
  output.set_sha256("hash");
  output.set_size_bytes(7);
  v1::Attempt& attempt = *task.add_attempt_list();
  attempt.set_number(1);
  attempt.set_session_id("sesn_1");
  return task;
}

TEST(ToJsonTest, TaskHasWhatAnExportPromises) {
  const Json json = ToJson(FinishedTask());
  EXPECT_EQ(json["task_id"], "T");
  EXPECT_EQ(json["state"], "succeeded");
  EXPECT_EQ(json["result"], "MIT");
  EXPECT_EQ(json["attempts"], 2);
  EXPECT_EQ(json["failures"], 1);
  EXPECT_EQ(json["cost_usd"], 1.23);
  EXPECT_EQ(json["charged_usd_micros"], 1'230'000);
  EXPECT_EQ(json["duration_seconds"], 3.5);
  EXPECT_EQ(json["final_message"], "\n  MIT\nand more");
  EXPECT_EQ(json["outputs"][0]["sha256"], "hash");
  EXPECT_EQ(json["attempt_list"][0]["session_id"], "sesn_1");
  EXPECT_TRUE(json["failure_class"].is_null());
}

TEST(ToJsonTest, BytesThatAreNotUtf8AreReplaced) {
  v1::Task task = FinishedTask();
  task.set_final_message("a\xff");
  EXPECT_THAT(ToLine(ToJson(task)), ::testing::HasSubstr("a\uFFFD"));
}

TEST(ResultLineTest, FailedTaskSaysWhy) {
  v1::Task task = FinishedTask();
  task.set_state(v1::TASK_STATE_FAILED);
  task.set_reason("exit status 1\nsecond line");
  EXPECT_EQ(ResultLine(task), "exit status 1");
  task.clear_reason();
  EXPECT_EQ(ResultLine(task), "MIT");
}

TEST(ResultLineTest, BlockedTaskSaysWhatItWaitsFor) {
  v1::Task task;
  task.set_state(v1::TASK_STATE_BLOCKED);
  task.add_waits_for("fetch");
  EXPECT_EQ(ResultLine(task), "waits for fetch");
  task.add_waits_for("build\x1b");
  task.set_waits_for_others(true);
  EXPECT_EQ(ResultLine(task), "waits for fetch, build? and others");
  EXPECT_THAT(TaskDetails(task, 80),
              ::testing::HasSubstr("waits for   fetch, build? and others\n"));
}

TEST(ResultLineTest, CancelledTaskSaysSo) {
  v1::Task task;
  task.set_state(v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(ResultLine(task), "cancelled");
  task.set_reason("enough");
  EXPECT_EQ(ResultLine(task), "enough");
}

TEST(TaskDetailsTest, AnAttemptThatSucceededSaysSo) {
  v1::Task task = FinishedTask();
  task.mutable_attempt_list(0)->set_ending("exit status 1");
  task.mutable_attempt_list(0)->mutable_ended_at()->set_seconds(1);
  v1::Attempt& last = *task.add_attempt_list();
  last.set_number(2);
  last.mutable_ended_at()->set_seconds(2);
  EXPECT_THAT(TaskDetails(task, 200),
              ::testing::ContainsRegex("exit status 1\n *2 .*  succeeded\n"));
  task.set_state(v1::TASK_STATE_CANCELLED);
  EXPECT_THAT(TaskDetails(task, 200),
              ::testing::ContainsRegex("exit status 1\n *2 .*  -\n"));
}

TEST(ResultLineTest, SkippedTaskSaysWhy) {
  v1::Task task;
  task.set_state(v1::TASK_STATE_SKIPPED);
  task.set_reason("needs 'fetch', which failed");
  EXPECT_EQ(ResultLine(task), "needs 'fetch', which failed");
}

TEST(FileNameOfTest, StaysInItsFolder) {
  EXPECT_EQ(FileNameOf("g++-12"), "g++-12");
  EXPECT_EQ(FileNameOf("a/b%c"), "a%2Fb%25c");
  EXPECT_EQ(FileNameOf(".."), "%2E.");
  EXPECT_EQ(FileNameOf(std::string(200, '/')).size(), 213u);
}

v1::Batch EndedBatch() {
  v1::Batch batch;
  batch.set_batch_id("B");
  batch.set_name("night\x1b[2J");
  batch.mutable_counts()->set_succeeded(7);
  batch.mutable_counts()->set_failed(3);
  batch.set_charged_usd_micros(300'000);
  return batch;
}

GlobalOptions Invoked() {
  GlobalOptions global;
  global.program = "midwatch";
  global.state_dir = "my state";
  return global;
}

Outcome::Failures Group(int64_t count, std::vector<std::string> examples,
                        std::string task_id, std::string look) {
  Outcome::Failures group;
  group.count = count;
  group.examples = std::move(examples);
  group.task_id = std::move(task_id);
  group.look = std::move(look);
  return group;
}

TEST(SummaryTest, GroupsFailuresByCauseLargestFirst) {
  Outcome outcome;
  outcome.attempts = 12;
  outcome.failures[{"spec", "no such agent"}] = Group(1, {"x"}, "T1", "get");
  outcome.failures[{"task", "exit status 1"}] =
      Group(2, {"a", "b"}, "T2", "logs");
  EXPECT_EQ(Summary(Invoked(), EndedBatch(), outcome, absl::Seconds(83),
                    "results in r"),
            "night?[2J: batch B\n"
            "\n"
            "  succeeded         7\n"
            "  failed            3\n"
            "  cost          $0.30\n"
            "  time       1 m 23 s\n"
            "  retries           2\n"
            "\n"
            "What failed\n"
            "          2  task  exit status 1\n"
            "             such as a, b\n"
            "             midwatch task logs T2 --state-dir 'my state'\n"
            "          1  spec  no such agent\n"
            "             x\n"
            "             midwatch task get T1 --state-dir 'my state'\n"
            "\n"
            "results in r");
}

TEST(SummaryTest, WhatWasSkippedComesAfterWhatItWasSkippedFor) {
  Outcome outcome;
  Outcome::Failures skipped = Group(5, {"x"}, "T1", "get");
  skipped.state = v1::TASK_STATE_SKIPPED;
  outcome.failures[{"skipped", "needs 'a', which failed"}] = skipped;
  Outcome::Failures cancelled = Group(2, {"y"}, "T2", "get");
  cancelled.state = v1::TASK_STATE_CANCELLED;
  outcome.failures[{"cancelled", "enough"}] = cancelled;
  outcome.failures[{"task", "exit status 1"}] = Group(1, {"a"}, "T3", "logs");
  const std::string text = Summary(Invoked(), EndedBatch(), outcome,
                                   absl::Seconds(1), "results in r");
  EXPECT_LT(text.find("exit status 1"), text.find("enough"));
  EXPECT_LT(text.find("enough"), text.find("needs 'a'"));
}

TEST(SummaryTest, ManyCausesAreCutAndTheRestIsACommandAway) {
  Outcome outcome;
  for (char c = 'a'; c <= 'z'; ++c) {
    outcome.failures[{"task", std::string(1, c)}] = Group(1, {"x"}, "T", "get");
  }
  const std::string text = Summary(Invoked(), EndedBatch(), outcome,
                                   absl::Seconds(1), "results in r");
  EXPECT_THAT(text, ::testing::HasSubstr("1  task  j\n"));
  EXPECT_THAT(text, ::testing::Not(::testing::HasSubstr("1  task  k\n")));
  EXPECT_THAT(text, ::testing::HasSubstr(
                        "and 16 other causes: midwatch task list --state "
                        "failed --state cancelled --state skipped --batch B "
                        "--state-dir 'my state'\n"));
}

}  // namespace
}  // namespace midwatch::cli
