// What is taken in: once, whole, and for good.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scheduler/from_proto.h"
#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::StatusIs;
using testing::StoreTest;

TEST_P(StoreTest, WhatIsAcknowledgedSurvivesACrash) {
  RowKey batch = SubmitBatch(3);
  Restart();
  EXPECT_EQ(Batch(batch).counts[v1::TASK_STATE_QUEUED], 3);
  EXPECT_THAT(AdmitTo(Register(), 10), SizeIs(3));
}

TEST_P(StoreTest, WhatIsNotCommittedIsGoneAfterACrash) {
  store_->Apply(SubmitTask{.request_id = "r",
                           .tenant = "t",
                           .queue = "q",
                           .account = "a",
                           .spec = Spec(),
                           .task = Line("x")},
                [](absl::StatusOr<TaskKey>) { FAIL() << "acknowledged"; });
  Restart();
  std::vector<TaskRecord> tasks = Tasks();
  EXPECT_THAT(tasks, IsEmpty());
}

TEST_P(StoreTest, ARepeatedSubmitGivesTheSameTask) {
  RowKey first = SubmitOne();
  EXPECT_EQ(SubmitOne(), first);
  SubmitTask other{.request_id = "one",
                   .tenant = "default",
                   .queue = "default",
                   .account = "default",
                   .spec = Spec(),
                   .task = Line("another")};
  EXPECT_THAT(Apply(other), StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_P(StoreTest, ARequestIsRememberedForSevenDays) {
  RowKey first = SubmitOne("one");
  int others = 0;
  auto submit_others = [&] {
    for (int i = 0; i < 200; ++i) SubmitOne(absl::StrCat("other-", ++others));
  };
  time_.Advance(absl::Hours(7 * 24 - 1));
  submit_others();
  EXPECT_EQ(SubmitOne("one"), first);
  time_.Advance(absl::Hours(2 * 24));
  submit_others();
  EXPECT_NE(SubmitOne("one"), first);
  EXPECT_EQ(SubmitOne("other-1"), SubmitOne("other-1"));
}

TEST_P(StoreTest, LinesOfABatchAreTakenOnce) {
  OpenBatch open = Opening("r");
  ASSERT_OK(Apply(open));
  AddTasks two{"r", 0, {Line("a"), Line("b")}};
  EXPECT_EQ(Apply(two)->lines, 2);
  EXPECT_EQ(Apply(two)->lines, 2);
  // Overlapping: only the new line is added.
  EXPECT_EQ(Apply(AddTasks{"r", 1, {Line("b"), Line("c")}})->lines, 3);
  EXPECT_THAT(Apply(AddTasks{"r", 9, {Line("z")}}),
              StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(Apply(AddTasks{"r", 3, {Line("a")}}),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("'a'")));
  EXPECT_THAT(Apply(SealBatch{"r", 2}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Apply(SealBatch{"r", 3})->state, v1::BATCH_STATE_SEALED);
  EXPECT_THAT(Apply(AddTasks{"r", 3, {Line("d")}}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  // Opened again: the same batch, unless it is another.
  EXPECT_EQ(Apply(open)->lines, 3);
  open.name = "other";
  EXPECT_THAT(Apply(open), StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_P(StoreTest, ABadLineFailsItsChunkAlone) {
  OpenBatch open = Opening("r");
  ASSERT_OK(Apply(open));
  // All three wait for one group commit.
  std::vector<absl::Status> results;
  auto keep = [&](absl::StatusOr<BatchProgress> r) {
    results.push_back(r.status());
  };
  store_->Apply(AddTasks{"r", 0, {Line("a")}}, keep);
  store_->Apply(AddTasks{"r", 1, {Line("b"), Line("a")}}, keep);
  store_->Apply(AddTasks{"r", 1, {Line("c")}}, keep);
  time_.RunUntilIdle();
  EXPECT_THAT(results, ElementsAre(testing::IsOk(),
                                   StatusIs(absl::StatusCode::kAlreadyExists),
                                   testing::IsOk()));
  std::vector<TaskRecord> tasks = Tasks();
  ASSERT_THAT(tasks, SizeIs(2));
  EXPECT_EQ(tasks[1].name, "c");
}

// The lane that a failed chunk had made was remembered, and its tasks stood in
// a lane that does not exist.
TEST_P(StoreTest, WhatAFailedWriteMadeIsForgotten) {
  ASSERT_OK(Apply(OpenBatch{.request_id = "r",
                            .name = "b",
                            .tenant = "nobody's yet",
                            .queue = "default",
                            .account = "default",
                            .content_sha256 = "",
                            .spec = Spec(),
                            .max_running = 0}));
  NewTask keyed = Line("a");
  keyed.concurrency_key = "k";
  EXPECT_THAT(Apply(AddTasks{"r", 0, {keyed, keyed}}),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(Apply(AddTasks{"r", 0, {keyed}})->lines, 1);
  EXPECT_EQ(AdmitTo(Register(), 1).size(), 1u);
}

TEST_P(StoreTest, AnEmptyBatchIsDoneWhenSealed) {
  EXPECT_EQ(Batch(SubmitBatch(0)).state, v1::BATCH_STATE_DONE);
}

TEST_P(StoreTest, ARetriedTaskIsANewOne) {
  SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  EXPECT_THAT(Apply(RetryTask{grant.task, "again"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(SettleWith(grant.lease, Success()));
  auto retry = Apply(RetryTask{grant.task, "again"});
  ASSERT_OK(retry);
  EXPECT_EQ(Apply(RetryTask{grant.task, "again"})->task, retry->task);
  TaskRecord task = Task(retry->task);
  EXPECT_EQ(task.retry_of, grant.task);
  EXPECT_EQ(task.state, v1::TASK_STATE_QUEUED);
}

// Lines of a batch that say more than the batch's spec does.
class OwnLimitsTest : public testing::ContractTest {
 protected:
  // "plain" before "urgent", which has everything of its own.
  RowKey Submit() {
    v1::TaskSpec spec = Spec();
    OpenBatch open = Opening("batch-1");
    open.spec = spec;
    auto batch = Apply(open);
    EXPECT_OK(batch);
    v1::TaskChunk chunk;
    chunk.add_lines()->set_name("plain");
    v1::TaskLine& urgent = *chunk.add_lines();
    urgent.set_name("urgent");
    urgent.set_priority(9);
    urgent.set_max_cost_usd_micros(7'000'000);
    urgent.mutable_retry()->set_max_failures(1);
    urgent.mutable_timeouts()->mutable_total()->set_seconds(77);
    auto add = FromProto("batch-1", chunk, spec);
    EXPECT_OK(add);
    EXPECT_OK(Apply(*add));
    EXPECT_OK(Apply(SealBatch{"batch-1", 2}));
    return batch->batch;
  }
  GrantRecord GrantOne() {
    std::vector<GrantRecord> grants = AdmitTo(worker_, 1);
    EXPECT_THAT(grants, SizeIs(1));
    return grants.empty() ? GrantRecord() : grants[0];
  }
  static void ExpectUrgent(const GrantRecord& grant) {
    EXPECT_EQ(grant.name, "urgent");
    EXPECT_EQ(grant.budget, 7'000'000);
    EXPECT_EQ(grant.spec.retry().max_failures(), 1);
    EXPECT_EQ(grant.spec.timeouts().total().seconds(), 77);
    // Kept once.
    EXPECT_FALSE(grant.line.has_retry() || grant.line.has_timeouts() ||
                 grant.line.has_priority());
    EXPECT_EQ(grant.line.max_cost_usd_micros(), 0);
  }
  void FailAndEnd(const GrantRecord& grant) {
    v1::Ending ending;
    ending.set_kind(v1::Ending::KIND_LOOPED);
    ending.set_charged(true);
    ending.set_list_cost_usd_micros(10'000);
    ASSERT_OK(SettleWith(grant.lease, ending));
  }

  int64_t worker_ = Register();
};

TEST_P(OwnLimitsTest, DecideRankReservationAndRetries) {
  Submit();
  const GrantRecord urgent = GrantOne();
  ExpectUrgent(urgent);
  EXPECT_EQ(Task(urgent.task).max_cost, 7'000'000);
  FailAndEnd(urgent);
  // Of its own fault once, which is all that it has.
  EXPECT_EQ(Task(urgent.task).state, v1::TASK_STATE_FAILED);
  const GrantRecord plain = GrantOne();
  EXPECT_EQ(plain.name, "plain");
  EXPECT_EQ(plain.budget, 1'000'000);
  FailAndEnd(plain);
  EXPECT_EQ(Task(plain.task).state, v1::TASK_STATE_QUEUED);
}

TEST_P(OwnLimitsTest, CanBeChangedWhileATaskWaits) {
  Submit();
  RowKey urgent, plain;
  for (const TaskRecord& task : Tasks()) {
    (task.name == "urgent" ? urgent : plain) = task.key;
  }
  EXPECT_EQ(Task(urgent).priority, 9);
  EXPECT_EQ(Task(plain).priority, 5);
  UpdateTask update;
  update.task = urgent;
  update.priority = 0;
  update.max_cost = 3'000'000;
  ASSERT_OK(Apply(update));
  EXPECT_EQ(GrantOne().name, "plain");
  const GrantRecord grant = GrantOne();
  EXPECT_EQ(grant.name, "urgent");
  EXPECT_EQ(grant.budget, 3'000'000);
}

TEST_P(OwnLimitsTest, AreThoseOfARetryToo) {
  const RowKey batch = Submit();
  FailAndEnd(GrantOne());
  ASSERT_OK(SettleWith(GrantOne().lease, Success()));
  auto retried = Apply(RetryBatch{batch, "retry", false});
  ASSERT_OK(retried);
  EXPECT_EQ(Batch(retried->batch).counts[v1::TASK_STATE_QUEUED], 1);
  const GrantRecord again = GrantOne();
  ExpectUrgent(again);
  EXPECT_EQ(Task(again.task).priority, 9);
}

TEST_P(StoreTest, AnIdOfAnotherMomentNamesNothing) {
  RowKey task = SubmitOne();
  ++task.unix_millis;
  EXPECT_THAT(Apply(CancelTask{task, ""}),
              StatusIs(absl::StatusCode::kNotFound));
}

MIDWATCH_ON_EVERY_STORE(StoreTest);
MIDWATCH_ON_EVERY_STORE(OwnLimitsTest);

}  // namespace
}  // namespace midwatch
