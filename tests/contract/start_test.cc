// When tasks may start, and until when they wait for it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using testing::ContractTest;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::StatusIs;

class StartTest : public ContractTest {
 protected:
  static SubmitTask Delayed(const std::string& name, absl::Duration delay) {
    SubmitTask submit = Single(name);
    submit.task.line.set_name(name);
    submit.task.start.delay = delay;
    return submit;
  }
  static SubmitTask Expiring(const std::string& name, absl::Duration after) {
    SubmitTask submit = Delayed(name, absl::ZeroDuration());
    submit.task.start.expires_after = after;
    return submit;
  }
  RowKey Submit(SubmitTask submit) {
    auto task = Apply(std::move(submit));
    EXPECT_OK(task);
    return task->task;
  }
  TimersFired Fire() {
    auto fired = Apply(FireTimers{});
    EXPECT_OK(fired);
    return *fired;
  }
  TimersFired FireAfter(absl::Duration wait) {
    time_.Advance(wait);
    return Fire();
  }
  // What a task that needs another fires.
  void FireAll() {
    while (Fire().next <= clock_.Now()) {
    }
  }

  int64_t worker_ = Register();
};

// A pass that would have granted it takes its key for busy.
TEST_P(StartTest, AnExpiredTaskHoldsNoKey) {
  SubmitTask first = Expiring("first", absl::Seconds(1));
  SubmitTask second = Delayed("second", absl::ZeroDuration());
  first.task.concurrency_key = second.task.concurrency_key = "key";
  Submit(first);
  const RowKey waits = Submit(second);
  time_.Advance(absl::Seconds(2));
  EXPECT_THAT(AdmitTo(worker_, 2), IsEmpty());
  Fire();
  const std::vector<GrantRecord> grants = AdmitTo(worker_, 2);
  ASSERT_THAT(grants, SizeIs(1));
  EXPECT_EQ(grants[0].task, waits);
}

TEST_P(StartTest, ADelayedTaskStartsOnceItsTimeIsThere) {
  auto submitted = Apply(Delayed("late", absl::Hours(1)));
  ASSERT_OK(submitted);
  EXPECT_EQ(submitted->timer_at, clock_.Now() + absl::Hours(1));
  EXPECT_EQ(Task(submitted->task).state, v1::TASK_STATE_QUEUED);
  EXPECT_EQ(Task(submitted->task).not_before, clock_.Now() + absl::Hours(1));
  EXPECT_THAT(AdmitTo(worker_, 1), IsEmpty());
  Restart();
  EXPECT_EQ(FireAfter(absl::Minutes(59)).fired, 0);
  EXPECT_THAT(AdmitTo(worker_, 1), IsEmpty());
  EXPECT_EQ(FireAfter(absl::Minutes(1)).fired, 1);
  EXPECT_EQ(Task(submitted->task).not_before, absl::InfinitePast());
  EXPECT_THAT(AdmitTo(worker_, 1), SizeIs(1));
}

TEST_P(StartTest, AStartAfterInThePastIsNow) {
  SubmitTask submit = Single("past");
  submit.task.start.start_after = clock_.Now() - absl::Hours(1);
  EXPECT_EQ(Apply(submit)->timer_at, absl::InfiniteFuture());
  EXPECT_THAT(AdmitTo(worker_, 1), SizeIs(1));
}

TEST_P(StartTest, AStartAfterIsBounded) {
  SubmitTask submit = Single("far");
  submit.task.start.start_after = clock_.Now() + kStartAheadMax;
  EXPECT_OK(Apply(submit));
  submit.request_id = "farther";
  submit.task.start.start_after += absl::Seconds(1);
  EXPECT_THAT(Apply(submit), StatusIs(absl::StatusCode::kInvalidArgument,
                                      HasSubstr("at most 366 days ahead")));
  ASSERT_OK(Apply(Opening("batch-1")));
  EXPECT_THAT(Apply(AddTasks{"batch-1", 0, {submit.task}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("line 0: task 'one' has a start_after")));
}

TEST_P(StartTest, ADelayAndANeedMustBothHold) {
  RowKey first = SubmitOne("first");
  SubmitTask submit = Delayed("second", absl::Hours(1));
  submit.task.line.add_needs()->set_task_id("T");
  submit.task.needs.push_back({.task = first});
  RowKey second = Submit(submit);
  // The delay ends first.
  RowKey third = Submit([&] {
    SubmitTask other = submit;
    other.request_id = "third";
    other.task.start.delay = absl::Minutes(1);
    return other;
  }());
  FireAfter(absl::Minutes(2));
  EXPECT_EQ(Task(third).state, v1::TASK_STATE_BLOCKED);
  GrantRecord grant = AdmitTo(worker_, 1).at(0);
  ASSERT_OK(SettleWith(grant.lease, Success()));
  FireAll();
  EXPECT_EQ(Task(third).state, v1::TASK_STATE_QUEUED);
  EXPECT_EQ(Task(third).not_before, absl::InfinitePast());
  EXPECT_EQ(AdmitTo(worker_, 5).at(0).task, third);
  EXPECT_EQ(Task(second).state, v1::TASK_STATE_QUEUED);
  EXPECT_THAT(AdmitTo(worker_, 5), IsEmpty());
  FireAfter(absl::Hours(1));
  EXPECT_EQ(AdmitTo(worker_, 5).at(0).task, second);
}

TEST_P(StartTest, ADelayedTaskIsCancelledWithItsTimer) {
  RowKey task = Submit(Delayed("late", absl::Hours(1)));
  ASSERT_OK(Apply(CancelTask{task, "not wanted"}));
  EXPECT_EQ(FireAfter(absl::Hours(2)).fired, 0);
  EXPECT_EQ(Task(task).state, v1::TASK_STATE_CANCELLED);
}

TEST_P(StartTest, ATaskThatDoesNotBeginInTimeFails) {
  RowKey task = Submit(Expiring("brief", absl::Hours(1)));
  EXPECT_EQ(Task(task).expires_at, clock_.Now() + absl::Hours(1));
  Restart();
  FireAfter(absl::Minutes(59));
  EXPECT_EQ(Task(task).state, v1::TASK_STATE_QUEUED);
  EXPECT_EQ(FireAfter(absl::Minutes(1)).ended, std::vector<int64_t>{task.row});
  EXPECT_EQ(Task(task).state, v1::TASK_STATE_FAILED);
  EXPECT_EQ(Task(task).failure_class, v1::FAILURE_CLASS_UNSPECIFIED);
  EXPECT_EQ(Task(task).reason, "expired: it was not started in time");
  EXPECT_THAT(AdmitTo(worker_, 1), IsEmpty());
}

TEST_P(StartTest, WhatBeganDoesNotExpire) {
  RowKey task = Submit(Expiring("brief", absl::Hours(1)));
  GrantRecord grant = AdmitTo(worker_, 1).at(0);
  EXPECT_EQ(Task(task).expires_at, absl::InfiniteFuture());
  EXPECT_EQ(FireAfter(absl::Hours(2)).fired, 0);
  EXPECT_EQ(Task(task).state, v1::TASK_STATE_RUNNING);
  ASSERT_OK(SettleWith(grant.lease, Success()));
  EXPECT_EQ(Task(task).state, v1::TASK_STATE_SUCCEEDED);
}

// A scheduler that was down grants before it fires what fell due meanwhile.
TEST_P(StartTest, NothingStartsAfterItsExpiryThoughTheTimerIsLate) {
  RowKey late = Submit(Expiring("late", absl::Hours(1)));
  RowKey other = SubmitOne("other");
  time_.Advance(absl::Hours(1));
  std::vector<GrantRecord> grants = AdmitTo(worker_, 2);
  ASSERT_THAT(grants, SizeIs(1));
  EXPECT_EQ(grants[0].task, other);
  Fire();
  EXPECT_EQ(Task(late).state, v1::TASK_STATE_FAILED);
}

TEST_P(StartTest, TheTimeInTheQueueBeginsWithTheStart) {
  SubmitTask submit = Expiring("both", absl::Hours(1));
  submit.task.start.delay = absl::Hours(3);
  RowKey task = Submit(submit);
  EXPECT_EQ(Task(task).expires_at, clock_.Now() + absl::Hours(4));
  FireAfter(absl::Hours(3));
  EXPECT_EQ(Task(task).state, v1::TASK_STATE_QUEUED);
  FireAfter(absl::Hours(1));
  EXPECT_EQ(Task(task).state, v1::TASK_STATE_FAILED);
}

TEST_P(StartTest, ABlockedTaskExpiresWithWhatNeedsIt) {
  ASSERT_OK(Apply(Opening("batch-1")));
  NewTask blocked = Line("b"), last = Line("c");
  blocked.start.expires_after = absl::Hours(1);
  blocked.line.add_needs()->set_name("a");
  last.line.add_needs()->set_name("b");
  blocked.needs.emplace_back();
  last.needs.emplace_back();
  ASSERT_OK(Apply(AddTasks{"batch-1", 0, {Line("a"), blocked, last}}));
  auto sealed = Apply(SealBatch{"batch-1", 3});
  ASSERT_OK(sealed);
  AdmitTo(worker_, 1);
  time_.Advance(absl::Hours(1));
  FireAll();
  EXPECT_EQ(Batch(sealed->batch).counts[v1::TASK_STATE_FAILED], 1);
  EXPECT_EQ(Batch(sealed->batch).counts[v1::TASK_STATE_SKIPPED], 1);
  EXPECT_EQ(Batch(sealed->batch).counts[v1::TASK_STATE_RUNNING], 1);
  EXPECT_EQ(Tasks()[1].reason, "expired: what it needs was not done in time");
}

TEST_P(StartTest, ARetryWaitsForNoDelayAndExpiresAnew) {
  SubmitTask submit = Delayed("late", absl::Hours(1));
  submit.spec.mutable_delay()->set_seconds(3600);
  submit.spec.mutable_expires_after()->set_seconds(60);
  submit.task.start = StartRulesOf(submit.spec, submit.task.line);
  RowKey task = Submit(submit);
  FireAfter(absl::Hours(1) + absl::Minutes(1));
  ASSERT_EQ(Task(task).state, v1::TASK_STATE_FAILED);
  auto again = Apply(RetryTask{task, "again"});
  ASSERT_OK(again);
  EXPECT_EQ(Task(again->task).not_before, absl::InfinitePast());
  EXPECT_EQ(Task(again->task).expires_at, clock_.Now() + absl::Minutes(1));
  EXPECT_EQ(again->timer_at, clock_.Now() + absl::Minutes(1));
}

TEST_P(StartTest, APriorityIsChangedWhereTheTaskStands) {
  RowKey first = SubmitOne("first");
  time_.Advance(absl::Minutes(1));
  RowKey second = SubmitOne("second");
  ASSERT_OK(Apply(UpdateTask{.task = second, .priority = 9}));
  EXPECT_EQ(Task(second).priority, 9);
  EXPECT_EQ(AdmitTo(worker_, 1).at(0).task, second);
  EXPECT_EQ(AdmitTo(worker_, 1).at(0).task, first);
}

TEST_P(StartTest, ADeadlineIsChangedWhereTheTaskStands) {
  RowKey first = SubmitOne("first");
  RowKey second = SubmitOne("second");
  ASSERT_OK(Apply(UpdateTask{.task = second, .deadline = absl::Minutes(1)}));
  EXPECT_EQ(Task(first).deadline, absl::InfiniteFuture());
  EXPECT_EQ(Task(second).deadline, Task(second).at + absl::Minutes(1));
  EXPECT_EQ(AdmitTo(worker_, 1).at(0).task, second);
  EXPECT_EQ(AdmitTo(worker_, 1).at(0).task, first);
}

TEST_P(StartTest, AStartIsPutOffAndBroughtForward) {
  RowKey task = SubmitOne();
  UpdateTask later{.task = task, .start_after = clock_.Now() + absl::Hours(2)};
  ASSERT_OK(Apply(later));
  EXPECT_EQ(Task(task).not_before, *later.start_after);
  EXPECT_THAT(AdmitTo(worker_, 1), IsEmpty());
  later.start_after = clock_.Now() + absl::Hours(1);
  ASSERT_OK(Apply(later));
  ASSERT_OK(Apply(later));
  EXPECT_EQ(FireAfter(absl::Hours(1)).fired, 1);
  ASSERT_OK(Apply(
      UpdateTask{.task = task, .start_after = clock_.Now() + absl::Hours(1)}));
  EXPECT_THAT(AdmitTo(worker_, 1), IsEmpty());
  ASSERT_OK(
      Apply(UpdateTask{.task = task, .start_after = absl::InfinitePast()}));
  EXPECT_EQ(AdmitTo(worker_, 1).at(0).task, task);
  EXPECT_EQ(FireAfter(absl::Hours(3)).fired, 0);
}

TEST_P(StartTest, AnExpiryIsSetMovedAndTakenAway) {
  RowKey task = SubmitOne();
  UpdateTask write{.task = task, .expires_at = clock_.Now() + absl::Hours(1)};
  ASSERT_OK(Apply(write));
  write.expires_at = clock_.Now() + absl::Hours(2);
  ASSERT_OK(Apply(write));
  EXPECT_EQ(FireAfter(absl::Hours(1)).fired, 0);
  write.expires_at = absl::InfiniteFuture();
  ASSERT_OK(Apply(write));
  EXPECT_EQ(FireAfter(absl::Hours(2)).fired, 0);
  EXPECT_EQ(Task(task).state, v1::TASK_STATE_QUEUED);
  write.expires_at = clock_.Now() + absl::Minutes(1);
  ASSERT_OK(Apply(write));
  FireAfter(absl::Minutes(1));
  EXPECT_EQ(Task(task).state, v1::TASK_STATE_FAILED);
}

TEST_P(StartTest, LabelsAreSetReplacedAndTakenOff) {
  SubmitTask submit = Single("labelled");
  submit.task.labels = {{"team", "a"}, {"kind", "x"}};
  RowKey task = Submit(submit);
  UpdateTask write{.task = task};
  write.set_labels = {{"team", "b"}, {"new", "1"}};
  write.remove_labels = {"kind", "never-was"};
  ASSERT_OK(Apply(write));
  ASSERT_OK(Apply(write));
  const Labels wanted = {{"new", "1"}, {"team", "b"}};
  EXPECT_EQ(Task(task).labels, wanted);
  EXPECT_EQ(Tasks({.labels = {{"team", "b"}}}).size(), 1u);
  EXPECT_THAT(Tasks({.labels = {{"team", "a"}}}), IsEmpty());
  EXPECT_THAT(Tasks({.labels = {{"kind", "x"}}}), IsEmpty());
  write = {.task = task};
  for (int i = 0; i < 15; ++i) write.set_labels[absl::StrCat("l", i)] = "";
  EXPECT_THAT(Apply(write), StatusIs(absl::StatusCode::kFailedPrecondition,
                                     HasSubstr("17 labels")));
  EXPECT_EQ(Task(task).labels, wanted);
  write.remove_labels = {"new"};
  ASSERT_OK(Apply(write));
  EXPECT_EQ(Task(task).labels.size(), 16u);
  // Its retry has them as they are then.
  ASSERT_OK(Apply(CancelTask{task, ""}));
  auto again = Apply(RetryTask{task, "again"});
  ASSERT_OK(again);
  EXPECT_EQ(Task(again->task).labels, Task(task).labels);
}

TEST_P(StartTest, AChangeIsRefusedWhole) {
  RowKey task = Submit(Expiring("brief", absl::Hours(1)));
  UpdateTask write{.task = task,
                   .priority = 9,
                   .start_after = clock_.Now() + absl::Hours(2)};
  EXPECT_THAT(Apply(write), StatusIs(absl::StatusCode::kFailedPrecondition,
                                     HasSubstr("would expire at")));
  EXPECT_EQ(Task(task).priority, 5);
  write.expires_at = clock_.Now() + absl::Hours(3);
  ASSERT_OK(Apply(write));
  EXPECT_EQ(Task(task).priority, 9);
  write.start_after = clock_.Now() + absl::Hours(400 * 24);
  EXPECT_THAT(Apply(write), StatusIs(absl::StatusCode::kInvalidArgument));
  ++write.task.unix_millis;
  EXPECT_THAT(Apply(write), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(StartTest, WhatRunsOrIsOverIsNotChanged) {
  RowKey task = SubmitOne();
  GrantRecord grant = AdmitTo(worker_, 1).at(0);
  EXPECT_THAT(Apply(UpdateTask{.task = task, .priority = 9}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("`budget set --task`")));
  ASSERT_OK(SettleWith(grant.lease, Success()));
  EXPECT_THAT(Apply(UpdateTask{.task = task, .priority = 9}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("`task retry`")));
}

// Between two attempts it waits for a delay too, and has begun.
TEST_P(StartTest, ATaskThatIsTriedAgainMayStartNowButNotExpire) {
  RowKey task = SubmitOne();
  GrantRecord grant = GrantAndRecord(worker_);
  v1::Ending ending;
  ending.set_kind(v1::Ending::KIND_TERMINATED);
  ending.set_charged(true);
  ending.set_list_cost_usd_micros(10'000);
  ASSERT_OK(SettleWith(grant.lease, ending));
  ASSERT_EQ(Task(task).state, v1::TASK_STATE_QUEUED);
  ASSERT_GT(Task(task).not_before, clock_.Now());
  EXPECT_THAT(
      Apply(UpdateTask{.task = task,
                       .expires_at = clock_.Now() + absl::Hours(1)}),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("began once")));
  ASSERT_OK(
      Apply(UpdateTask{.task = task, .start_after = absl::InfinitePast()}));
  EXPECT_EQ(AdmitTo(worker_, 1).at(0).lease.attempt, 2);
}

MIDWATCH_ON_EVERY_STORE(StartTest);

}  // namespace
}  // namespace midwatch
