// What the start of a task depends on, and how tasks of a kind went.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/batch_rules.h"
#include "store/prediction.h"
#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

class StandingTest : public testing::ContractTest {
 protected:
  TaskStanding Standing(RowKey task) {
    auto standing = Read<TaskStanding>([&](StoreReader& reader) {
      return reader.ReadTaskStanding(task, clock_.Now());
    });
    EXPECT_OK(standing);
    return standing.ok() ? *std::move(standing) : TaskStanding();
  }
  RowKey InBatch(int number) {
    return Tasks({.batch = 1}).at(static_cast<size_t>(number)).key;
  }
};

TEST_P(StandingTest, ThoseBeforeItAreCounted) {
  SubmitBatch(3);
  EXPECT_EQ(Standing(InBatch(0)).before, 0);
  const TaskStanding last = Standing(InBatch(2));
  EXPECT_EQ(last.before, 2);
  EXPECT_FALSE(last.more_before);
  EXPECT_TRUE(last.ready);
  EXPECT_FALSE(last.is_first);
  EXPECT_EQ(last.lane_wants, 1'000'000);
  EXPECT_EQ(last.other_queues, 0);
  EXPECT_EQ(last.tenant, "default");
  EXPECT_EQ(last.account, "default");
  EXPECT_EQ(last.batch_name, "b");

  // Of another lane of the queue, and one of another queue.
  const RowKey later = SubmitOne();
  EXPECT_EQ(Standing(later).before, 3);
  SubmitTask other = Single("two");
  other.queue = "other";
  const RowKey beside = Apply(other)->task;
  EXPECT_EQ(Standing(beside).before, 0);
  EXPECT_EQ(Standing(beside).other_queues, 1);
  AdmitTo(Register(), 4);  // the batch's, and the one of the other queue
  EXPECT_EQ(Standing(later).task.state, v1::TASK_STATE_QUEUED);
  EXPECT_EQ(Standing(later).before, 0);
  EXPECT_EQ(Standing(later).other_queues, 0);
}

TEST_P(StandingTest, WhoHoldsItIsNamed) {
  SubmitBatch(1);
  GrantAndRecord(Register());
  const TaskStanding running = Standing(InBatch(0));
  EXPECT_EQ(running.task.state, v1::TASK_STATE_RUNNING);
  EXPECT_EQ(running.worker, "test");
  EXPECT_EQ(running.task.session_id, "sesn_1");
  EXPECT_EQ(running.granted_at, clock_.Now());
  EXPECT_FALSE(running.held);
}

TEST_P(StandingTest, CapsAndPausesAndBudgetsAreThere) {
  const RowKey batch = SubmitBatch(2, /*max_running=*/1);
  AdmitTo(Register(), 1);
  ASSERT_OK(Apply(SetControl{.of = Controlled::kQueue,
                             .name = "default",
                             .weight = {},
                             .max_running = 7}));
  ASSERT_OK(Apply(PauseQueue{"default", "moving"}));
  ASSERT_OK(Apply(PauseBatch{batch, "look first"}));
  ASSERT_OK(Apply(SetBudget{.scope = v1::BUDGET_SCOPE_BATCH,
                            .name = "",
                            .row = batch,
                            .window = v1::BUDGET_WINDOW_TOTAL,
                            .zone = "",
                            .limit = 1'500'000}));
  const TaskStanding is = Standing(InBatch(1));
  ASSERT_THAT(is.caps, SizeIs(2));
  EXPECT_EQ(is.caps[0].scope, v1::CAP_SCOPE_BATCH);
  EXPECT_EQ(is.caps[0].running, 1);
  EXPECT_EQ(is.caps[0].max, 1);
  EXPECT_EQ(is.caps[1].scope, v1::CAP_SCOPE_QUEUE);
  EXPECT_EQ(is.caps[1].name, "default");
  EXPECT_EQ(is.caps[1].max, 7);
  ASSERT_TRUE(is.queue_pause.has_value());
  EXPECT_EQ(is.queue_pause->why, "moving");
  ASSERT_TRUE(is.batch_pause.has_value());
  EXPECT_EQ(is.batch_pause->why, "look first");
  ASSERT_THAT(is.budgets, SizeIs(1));
  EXPECT_EQ(is.budgets[0].name, "b");
  EXPECT_EQ(is.budgets[0].limit, 1'500'000);
  EXPECT_EQ(is.budgets[0].reserved, 1'000'000);
  EXPECT_TRUE(is.is_first);
}

TEST_P(StandingTest, TheHolderOfItsKeyIsNamed) {
  for (const char* name : {"one", "two"}) {
    SubmitTask task = Single(name);
    task.task = Line(name);
    task.task.concurrency_key = "deploy";
    ASSERT_OK(Apply(task));
  }
  const RowKey second = Tasks().at(1).key;
  EXPECT_EQ(Standing(second).key_holder, "");
  AdmitTo(Register(), 2);
  EXPECT_EQ(Standing(second).concurrency_key, "deploy");
  EXPECT_EQ(Standing(second).key_holder, "one");
  ASSERT_OK(Apply(SetKeyCap{"default", "deploy", 2}));
  EXPECT_EQ(Standing(second).key_holder, "");
  EXPECT_EQ(Standing(second).key_max, 2);
}

TEST_P(StandingTest, ItsCanaryIsThereUntilItsVerdict) {
  OpenBatch open = Opening("ruled");
  open.canary = {.tasks = 1, .min_success = kWhole, .max_cost = 0};
  ASSERT_OK(Apply(open));
  ASSERT_OK(Apply(AddTasks{.request_id = "ruled",
                           .first_line = 0,
                           .tasks = {Line("a"), Line("b")}}));
  ASSERT_OK(Apply(SealBatch{"ruled", 2}));
  EXPECT_EQ(Standing(InBatch(0)).canary_tasks, 0);
  EXPECT_EQ(Standing(InBatch(1)).canary_tasks, 1);
  EXPECT_EQ(Standing(InBatch(1)).canary_over, 0);
  const GrantRecord grant = GrantAndRecord(Register());
  ASSERT_OK(SettleWith(grant.lease, Success()));
  EXPECT_EQ(Standing(InBatch(1)).canary_tasks, 0);
}

TEST_P(StandingTest, ATaskThatIsTriedAgainHasNoPlaceYet) {
  const RowKey task = SubmitOne();
  const GrantRecord grant = GrantAndRecord(Register());
  v1::Ending ending;
  ending.set_kind(v1::Ending::KIND_TERMINATED);
  ending.set_charged(true);
  ending.set_list_cost_usd_micros(10'000);
  ASSERT_OK(SettleWith(grant.lease, ending));
  const TaskStanding is = Standing(task);
  EXPECT_EQ(is.task.state, v1::TASK_STATE_QUEUED);
  EXPECT_FALSE(is.ready);
  EXPECT_GT(is.task.not_before, clock_.Now());
  EXPECT_EQ(is.before, 0);
}

TEST_P(StandingTest, AKindIsTheSamplesOfItsTasks) {
  auto kind = [&](const std::string& hash) {
    auto record = Read<KindRecord>(
        [&](StoreReader& reader) { return reader.ReadKind(hash); });
    EXPECT_OK(record);
    return *std::move(record);
  };
  EXPECT_THAT(kind(KindOf(Spec())).samples, IsEmpty());
  SubmitBatch(2);
  const int64_t worker = Register();
  for (int64_t cost : {30'000, 50'000}) {
    const GrantRecord grant = AdmitTo(worker, 1).at(0);
    time_.Advance(absl::Minutes(2));
    v1::Ending ending = Success(cost);
    ending.set_dearest_request_usd_micros(4'000);
    ASSERT_OK(SettleWith(grant.lease, ending));
  }
  const KindRecord record = kind(KindOf(Spec()));
  ASSERT_THAT(record.samples, SizeIs(2));
  EXPECT_EQ(record.samples[0].cost + record.samples[1].cost, 80'000);
  EXPECT_EQ(record.samples[0].time_micros, 120'000'000);
  EXPECT_EQ(record.forecast.samples, 2);
  EXPECT_EQ(record.forecast.cost_p90, 50'000);
  EXPECT_EQ(record.dearest, 4'000);
  v1::TaskSpec other = Spec();
  other.set_prompt("something else");
  EXPECT_THAT(kind(KindOf(other)).samples, IsEmpty());
}

MIDWATCH_ON_EVERY_STORE(StandingTest);

}  // namespace
}  // namespace midwatch
