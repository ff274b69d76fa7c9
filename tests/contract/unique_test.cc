// Unique keys.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using testing::ContractTest;
using ::testing::HasSubstr;

class UniqueTest : public ContractTest {
 protected:
  static SubmitTask Keyed(const std::string& request, const std::string& key,
                          absl::Duration held_for = absl::InfiniteDuration()) {
    SubmitTask submit = Single(request);
    submit.task.unique = {key, held_for};
    return submit;
  }
  static NewTask KeyedLine(const std::string& name, const std::string& key) {
    NewTask task = Line(name);
    task.unique.key = key;
    return task;
  }
  // The task that was made, or none where the key is held.
  std::optional<RowKey> Submit(const SubmitTask& submit) {
    auto task = Apply(submit);
    EXPECT_OK(task);
    if (task->key_held) return std::nullopt;
    return task->task;
  }

  int64_t worker_ = Register();
};

TEST_P(UniqueTest, AKeyIsHeldUntilItsTaskIsFinal) {
  std::optional<RowKey> first = Submit(Keyed("1", "k"));
  ASSERT_TRUE(first);
  EXPECT_EQ(Task(*first).unique_key, "k");
  auto second = Apply(Keyed("2", "k"));
  ASSERT_OK(second);
  EXPECT_TRUE(second->key_held);
  EXPECT_EQ(second->task, *first);
  EXPECT_EQ(Tasks().size(), 1u);
  // The same request is no second task.
  EXPECT_EQ(Submit(Keyed("1", "k")), first);
  Restart();
  EXPECT_FALSE(Submit(Keyed("2", "k")));
  GrantRecord grant = AdmitTo(worker_, 1).at(0);
  EXPECT_FALSE(Submit(Keyed("2", "k")));
  ASSERT_OK(SettleWith(grant.lease, Success()));
  EXPECT_TRUE(Submit(Keyed("2", "k")));
}

TEST_P(UniqueTest, AKeyIsATenants) {
  ASSERT_TRUE(Submit(Keyed("1", "k")));
  SubmitTask other = Keyed("2", "k");
  other.tenant = "other";
  EXPECT_TRUE(Submit(other));
  EXPECT_TRUE(Submit(Keyed("3", "l")));
}

TEST_P(UniqueTest, EveryEndReleasesIt) {
  std::optional<RowKey> task = Submit(Keyed("1", "k"));
  ASSERT_OK(Apply(CancelTask{*task, ""}));
  SubmitTask brief = Keyed("2", "k");
  brief.task.start.expires_after = absl::Minutes(1);
  ASSERT_TRUE(Submit(brief));
  time_.Advance(absl::Minutes(1));
  ASSERT_OK(Apply(FireTimers{}));
  EXPECT_TRUE(Submit(Keyed("3", "k")));
}

TEST_P(UniqueTest, AKeyIsHeldForATime) {
  ASSERT_TRUE(Submit(Keyed("1", "k", absl::Hours(24))));
  GrantRecord grant = AdmitTo(worker_, 1).at(0);
  ASSERT_OK(SettleWith(grant.lease, Success()));
  time_.Advance(absl::Hours(24) - absl::Seconds(1));
  EXPECT_FALSE(Submit(Keyed("2", "k")));
  time_.Advance(absl::Seconds(1));
  std::optional<RowKey> second = Submit(Keyed("2", "k", absl::Hours(24)));
  ASSERT_TRUE(second);
  // Its holder is another now, whose time has just begun.
  time_.Advance(absl::Hours(1));
  EXPECT_EQ(Apply(Keyed("3", "k"))->task, *second);
}

TEST_P(UniqueTest, KeysWhoseTimeIsPastAreForgotten) {
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(
        Submit(Keyed(absl::StrCat(i), absl::StrCat("k", i), absl::Hours(1))));
  }
  time_.Advance(absl::Hours(1));
  for (int i = 20; i < 30; ++i) {
    ASSERT_TRUE(
        Submit(Keyed(absl::StrCat(i), absl::StrCat("k", i), absl::Hours(1))));
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(Submit(Keyed(absl::StrCat("again", i), absl::StrCat("k", i))));
  }
}

TEST_P(UniqueTest, ALineWhoseKeyIsHeldIsSkipped) {
  ASSERT_TRUE(Submit(Keyed("1", "k")));
  ASSERT_OK(Apply(Opening("batch-1")));
  NewTask needing = Line("c");
  needing.line.add_needs()->set_name("a");
  needing.needs.emplace_back();
  auto added = Apply(AddTasks{"batch-1",
                              0,
                              {KeyedLine("a", "k"), KeyedLine("b", "l"),
                               KeyedLine("b2", "l"), needing}});
  ASSERT_OK(added);
  EXPECT_TRUE(added->needs_met);
  ASSERT_OK(Apply(FireTimers{}));
  auto sealed = Apply(SealBatch{"batch-1", 4});
  ASSERT_OK(sealed);
  EXPECT_EQ(Batch(sealed->batch).counts[v1::TASK_STATE_SKIPPED], 3);
  EXPECT_EQ(Batch(sealed->batch).counts[v1::TASK_STATE_QUEUED], 1);
  EXPECT_EQ(Batch(sealed->batch).counts[v1::TASK_STATE_BLOCKED], 0);
  std::vector<TaskRecord> tasks = Tasks({.batch = sealed->batch.row});
  EXPECT_THAT(tasks[0].reason, HasSubstr("unique key 'k' is held by task "));
  EXPECT_EQ(tasks[0].state, v1::TASK_STATE_SKIPPED);
  EXPECT_EQ(tasks[1].state, v1::TASK_STATE_QUEUED);
  EXPECT_EQ(tasks[2].state, v1::TASK_STATE_SKIPPED);
  EXPECT_EQ(tasks[3].state, v1::TASK_STATE_SKIPPED);
}

TEST_P(UniqueTest, ABatchOfHeldKeysAloneIsDone) {
  ASSERT_TRUE(Submit(Keyed("1", "k")));
  ASSERT_OK(Apply(Opening("batch-1")));
  ASSERT_OK(Apply(AddTasks{"batch-1", 0, {KeyedLine("a", "k")}}));
  EXPECT_EQ(Apply(SealBatch{"batch-1", 1})->state, v1::BATCH_STATE_DONE);
}

TEST_P(UniqueTest, ARetryTakesTheKeyItsTaskHolds) {
  std::optional<RowKey> task = Submit(Keyed("1", "k", absl::Hours(24)));
  ASSERT_OK(Apply(CancelTask{*task, ""}));
  auto again = Apply(RetryTask{*task, "again"});
  ASSERT_OK(again);
  EXPECT_FALSE(again->key_held);
  auto other = Apply(RetryTask{*task, "other"});
  ASSERT_OK(other);
  EXPECT_TRUE(other->key_held);
  EXPECT_EQ(other->task, again->task);
}

MIDWATCH_ON_EVERY_STORE(UniqueTest);

}  // namespace
}  // namespace midwatch
