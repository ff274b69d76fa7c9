// Trying what did not succeed of a batch again.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using testing::ContractTest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using testing::StatusIs;

class BatchRetryTest : public ContractTest {
 protected:
  static NewTask Needing(const std::string& name, const std::string& need) {
    NewTask task = Line(name);
    task.line.add_needs()->set_name(need);
    task.needs.emplace_back();
    return task;
  }
  static NewTask Merging(const std::string& name) {
    NewTask task = Line(name);
    task.line.add_needs()->set_all_earlier(true);
    task.needs.push_back({.mentions = 1});
    v1::TaskSpec own = Spec();
    own.set_prompt("{{tasks.all.messages}}");
    task.own_spec = own;
    return task;
  }
  RowKey Submit(std::vector<NewTask> tasks, OpenBatch open) {
    auto batch = Apply(open);
    EXPECT_OK(batch);
    const auto lines = static_cast<int64_t>(tasks.size());
    EXPECT_OK(Apply(AddTasks{open.request_id, 0, std::move(tasks)}));
    EXPECT_OK(Apply(SealBatch{open.request_id, lines}));
    return batch->batch;
  }
  RowKey Submit(std::vector<NewTask> tasks) {
    return Submit(std::move(tasks), Opening("batch-1"));
  }
  void FireAll() {
    for (int i = 0; i < 100; ++i) {
      auto fired = Apply(FireTimers{});
      ASSERT_OK(fired);
      if (fired->next > clock_.Now()) break;
    }
  }
  // Runs all that can, each to what `fails` says of its name.
  void RunAll(const std::vector<std::string>& fails) {
    for (int i = 0; i < 1000; ++i) {
      FireAll();
      std::vector<GrantRecord> grants = AdmitTo(worker_, 1);
      if (grants.empty()) return;
      v1::Ending ending = Success();
      ending.set_final_message(absl::StrCat(grants[0].name, " said"));
      if (absl::c_linear_search(fails, grants[0].name)) {
        ending = v1::Ending();
        ending.set_kind(v1::Ending::KIND_LOOPED);
      }
      ASSERT_OK(Apply(Settle{grants[0].lease, ending,
                             [&](const Tally& tally, const v1::Ending& e) {
                               if (e.kind() == v1::Ending::KIND_IDLE)
                                 return Decide(tally, e, 1.0);
                               return Disposition{
                                   .state = v1::TASK_STATE_FAILED,
                                   .failure_class = v1::FAILURE_CLASS_TASK,
                                   .reason = "it failed"};
                             }}));
    }
  }
  RowKey Retry(RowKey batch, const std::string& request = "retry",
               bool cancelled_too = false) {
    for (int i = 0; i < 1000; ++i) {
      auto retried = Apply(RetryBatch{batch, request, cancelled_too});
      EXPECT_OK(retried);
      if (!retried.ok() || !retried->more) return retried->batch;
    }
    ADD_FAILURE() << "a retry without an end";
    return {};
  }
  std::vector<TaskRecord> Of(RowKey batch) {
    return Tasks({.batch = batch.row}, 10'000);
  }
  std::vector<std::string> Names(RowKey batch) {
    std::vector<std::string> names;
    for (const TaskRecord& task : Of(batch)) names.push_back(task.name);
    return names;
  }
  std::vector<v1::TaskState> States(RowKey batch) {
    std::vector<v1::TaskState> states;
    for (const TaskRecord& task : Of(batch)) states.push_back(task.state);
    return states;
  }

  int64_t worker_ = Register();
};

TEST_P(BatchRetryTest, OneThatMergesWhatIsDeletedFails) {
  NewTask merge = Merging("merge");
  merge.line.set_on_need_failure(v1::NEED_POLICY_RUN_ANYWAY);
  const RowKey first = Submit({Line("a"), merge});
  RunAll({"merge"});
  auto second = Apply(RetryBatch{first, "second", false});
  ASSERT_OK(second);
  RunAll({"merge"});
  for (bool more = true; more;) {
    auto deleted = Apply(DeleteBatch{first, ""});
    ASSERT_OK(deleted);
    more = deleted->more;
  }
  auto third = Apply(RetryBatch{second->batch, "third", false});
  ASSERT_OK(third);
  RunAll({});
  const std::vector<TaskRecord> tasks = Tasks({.batch = third->batch.row});
  ASSERT_THAT(tasks, SizeIs(1));
  EXPECT_EQ(tasks[0].state, v1::TASK_STATE_FAILED);
  EXPECT_THAT(tasks[0].reason, HasSubstr("tasks that are deleted"));
}

// Whoever carries it out has to look at timers: they make it ready.
TEST_P(BatchRetryTest, SaysThatWhatItsTasksNeedIsDone) {
  const RowKey batch = Submit({Line("a"), Needing("b", "a")});
  RunAll({"b"});
  auto again = Apply(RetryBatch{batch, "again", false});
  ASSERT_OK(again);
  EXPECT_FALSE(again->more);
  EXPECT_TRUE(again->needs_met);
}

TEST_P(BatchRetryTest, WhatFailedIsTriedAgainWithWhatWasSkippedForIt) {
  OpenBatch open = Opening("batch-1", 3);
  open.budget = 5'000'000;
  NewTask labelled = Line("a");
  labelled.labels = {{"team", "x"}};
  labelled.priority = 7;
  labelled.max_cost = 2'000'000;
  RowKey old = Submit({labelled, Line("b"), Needing("c", "a"),
                       Needing("d", "b"), Needing("e", "c")},
                      open);
  RunAll({"a"});
  ASSERT_EQ(Batch(old).state, v1::BATCH_STATE_DONE);
  RowKey again = Retry(old);
  BatchRecord batch = Batch(again);
  EXPECT_EQ(batch.state, v1::BATCH_STATE_SEALED);
  EXPECT_EQ(batch.name, "b");
  EXPECT_EQ(batch.max_running, 3);
  EXPECT_EQ(batch.budget, 5'000'000);
  EXPECT_EQ(batch.lines, 3);
  EXPECT_THAT(Names(again), ElementsAre("a", "c", "e"));
  EXPECT_THAT(States(again),
              ElementsAre(v1::TASK_STATE_QUEUED, v1::TASK_STATE_BLOCKED,
                          v1::TASK_STATE_BLOCKED));
  EXPECT_THAT(Of(again)[1].waits_for, ElementsAre("a"));
  TaskRecord first = Of(again)[0];
  EXPECT_EQ(first.retry_of, Of(old)[0].key);
  EXPECT_EQ(first.labels, labelled.labels);
  EXPECT_EQ(first.priority, 7);
  EXPECT_EQ(first.max_cost, 2'000'000);
  RunAll({});
  EXPECT_EQ(Batch(again).state, v1::BATCH_STATE_DONE);
  EXPECT_EQ(Batch(again).counts[v1::TASK_STATE_SUCCEEDED], 3);
}

TEST_P(BatchRetryTest, AgainIsTheSameBatch) {
  RowKey old = Submit({Line("a"), Line("b")});
  RunAll({"a"});
  RowKey again = Retry(old);
  EXPECT_EQ(Retry(old), again);
  RunAll({});
  EXPECT_EQ(Retry(old), again);
  EXPECT_THAT(Names(again), ElementsAre("a"));
  EXPECT_NE(Retry(old, "another"), again);
  EXPECT_THAT(Apply(RetryBatch{old, "retry", true}),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(Apply(RetryBatch{old, "batch-1", false}),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_P(BatchRetryTest, AKillInTheMiddleIsGoneOnWith) {
  constexpr int kTasks = 450;
  std::vector<NewTask> lines;
  for (int i = 0; i < kTasks; ++i) lines.push_back(Line(absl::StrCat("t", i)));
  lines.push_back(Merging("last"));
  RowKey old = Submit(lines);
  auto failing = Apply(CancelBatch{old, "enough"});
  while (failing.ok() && failing->more) {
    failing = Apply(CancelBatch{old, "enough"});
  }
  ASSERT_EQ(Batch(old).state, v1::BATCH_STATE_DONE);
  auto first = Apply(RetryBatch{old, "retry", true});
  ASSERT_OK(first);
  EXPECT_TRUE(first->more);
  EXPECT_EQ(Batch(first->batch).state, v1::BATCH_STATE_OPEN);
  Restart();
  EXPECT_EQ(Retry(old, "retry", true), first->batch);
  EXPECT_EQ(Batch(first->batch).state, v1::BATCH_STATE_SEALED);
  EXPECT_EQ(Batch(first->batch).lines, kTasks + 1);
  std::vector<TaskRecord> tasks = Of(first->batch);
  ASSERT_THAT(tasks, SizeIs(kTasks + 1));
  for (int i = 0; i < kTasks; ++i) {
    EXPECT_EQ(tasks[static_cast<size_t>(i)].name, absl::StrCat("t", i));
  }
  EXPECT_EQ(tasks.back().state, v1::TASK_STATE_BLOCKED);
}

TEST_P(BatchRetryTest, OnlyWhatIsDoneAndDidNotSucceed) {
  RowKey old = Submit({Line("a"), Line("b")});
  EXPECT_THAT(
      Apply(RetryBatch{old, "retry", false}),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not done")));
  ASSERT_OK(Apply(CancelTask{Of(old)[0].key, ""}));
  RunAll({});
  EXPECT_THAT(Apply(RetryBatch{old, "retry", false}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("no task of the batch failed")));
  EXPECT_THAT(Names(Retry(old, "retry", true)), ElementsAre("a"));
  ++old.unix_millis;
  EXPECT_THAT(Apply(RetryBatch{old, "other", true}),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(BatchRetryTest, WhatNeedsACancelledTaskThatStaysSoIsSkippedAgain) {
  RowKey old = Submit({Line("a"), Line("b"), Needing("c", "a"), Merging("d")});
  ASSERT_OK(Apply(CancelTask{Of(old)[0].key, ""}));
  RunAll({"b"});
  RowKey again = Retry(old);
  EXPECT_THAT(Names(again), ElementsAre("b", "c", "d"));
  RunAll({});
  EXPECT_THAT(States(again),
              ElementsAre(v1::TASK_STATE_SUCCEEDED, v1::TASK_STATE_SKIPPED,
                          v1::TASK_STATE_SKIPPED));
  EXPECT_THAT(Of(again)[1].reason, HasSubstr("needs 'a', which was cancelled"));
  // And not where that one was tried again meanwhile.
  ASSERT_OK(Apply(RetryTask{Of(old)[0].key, "retry-a"}));
  RunAll({});
  RowKey third = Retry(again, "third");
  EXPECT_THAT(Names(third), ElementsAre("c", "d"));
  RunAll({});
  EXPECT_EQ(Batch(third).counts[v1::TASK_STATE_SUCCEEDED], 2);
}

TEST_P(BatchRetryTest, TheRetryOfAMergeIsGivenWhatSucceededAtFirstToo) {
  RowKey old = Submit({Line("a"), Line("b"), Line("c"), Merging("d")});
  RunAll({"b"});
  RowKey again = Retry(old);
  EXPECT_THAT(Names(again), ElementsAre("b", "d"));
  RunAll({"d"});
  // A retry of a retry goes back to the first batch.
  RowKey third = Retry(again, "third");
  EXPECT_THAT(Names(third), ElementsAre("d"));
  FireAll();
  GrantRecord grant = AdmitTo(worker_, 1).at(0);
  EXPECT_EQ(grant.line.parameters().at("tasks.all.messages"),
            "a: a said\nb: b said\nc: c said\n");
}

MIDWATCH_ON_EVERY_STORE(BatchRetryTest);

}  // namespace
}  // namespace midwatch
