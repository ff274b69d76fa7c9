// Cancelling, with a session and without.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::StatusIs;
using testing::StoreTest;

TEST_P(StoreTest, CancellingAQueuedTaskEndsItAtOnce) {
  RowKey batch = SubmitBatch(1);
  std::vector<TaskRecord> tasks = Tasks();
  auto result = Apply(CancelTask{tasks.at(0).key, "not needed"});
  EXPECT_EQ(result->state, v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(Task(tasks.at(0).key).reason, "not needed");
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
  EXPECT_THAT(AdmitTo(Register(), 1), IsEmpty());
}

TEST_P(StoreTest, CancellingBeforeASessionRevokesTheLease) {
  SubmitBatch(1);
  GrantRecord grant = AdmitTo(Register(), 1).at(0);
  auto result = Apply(CancelTask{grant.task, ""});
  EXPECT_EQ(result->state, v1::TASK_STATE_CANCELLED);
  ASSERT_THAT(result->notices, SizeIs(1));
  EXPECT_FALSE(result->notices[0].say.has_value());
  EXPECT_THAT(Apply(RecordSession{grant.lease, "nonce-0123456789", "sesn_1"}),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(Task(grant.task).reserved, 0);
}

TEST_P(StoreTest, CancellingWithASessionWaitsForItsSettle) {
  RowKey batch = SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  auto result = Apply(CancelTask{grant.task, "too slow"});
  EXPECT_EQ(result->state, v1::TASK_STATE_CANCELLING);
  ASSERT_THAT(result->notices, SizeIs(1));
  EXPECT_EQ(result->notices[0].say->kind(), v1::SAY_KIND_INTERRUPT);
  EXPECT_EQ(SettleWith(grant.lease, Success())->state,
            v1::TASK_STATE_CANCELLED);
  TaskRecord task = Task(grant.task);
  EXPECT_EQ(task.charged, 30'000);
  EXPECT_EQ(task.reason, "too slow");
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
}

TEST_P(StoreTest, ACancelDoesNotForgetASessionThatMayRunUnheard) {
  SubmitTask submit = Single("one");
  submit.spec.set_start(v1::START_MODE_ONE_CALL);
  ASSERT_OK(Apply(submit));
  GrantRecord grant = AdmitTo(Register(), 1).at(0);
  ASSERT_OK(Apply(BeginCreate{grant.lease, "nonce-0123456789"}));
  auto cancelled = Apply(CancelTask{grant.task, "enough"});
  ASSERT_OK(cancelled);
  EXPECT_EQ(cancelled->state, v1::TASK_STATE_CANCELLING);
  EXPECT_OK(Apply(RecordSession{grant.lease, "nonce-0123456789", "sesn_1"}));
}

TEST_P(StoreTest, AKeptLeaseOfACancelledTaskIsNamedAgain) {
  SubmitBatch(1);
  int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  auto kept = Apply(FreeLeases{worker, {grant.lease}});
  EXPECT_THAT(kept->notices, IsEmpty());
  auto cancelled = Apply(CancelTask{grant.task, ""});
  for (int again = 0; again < 2; ++again) {
    kept = Apply(FreeLeases{worker, {grant.lease}});
    EXPECT_THAT(kept->leases, IsEmpty());
    ASSERT_THAT(kept->notices, SizeIs(1));
    EXPECT_EQ(kept->notices[0].lease, grant.lease);
    EXPECT_EQ(kept->notices[0].say->number(),
              cancelled->notices.at(0).say->number());
  }
}

TEST_P(StoreTest, ABatchIsCancelledInSteps) {
  RowKey batch = SubmitBatch(450);
  GrantAndRecord(Register());
  int steps = 0;
  bool more = true;
  while (more) {
    auto result = Apply(CancelBatch{batch, "enough"});
    ASSERT_OK(result);
    more = result->more;
    ++steps;
  }
  EXPECT_EQ(steps, 3);
  BatchRecord record = Batch(batch);
  EXPECT_EQ(record.counts[v1::TASK_STATE_CANCELLED], 449);
  EXPECT_EQ(record.counts[v1::TASK_STATE_CANCELLING], 1);
  EXPECT_EQ(record.state, v1::BATCH_STATE_CANCELLING);
}

}  // namespace
}  // namespace midwatch
