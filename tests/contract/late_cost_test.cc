// What sessions cost where that is known only after their settle, and the tasks
// that wait for it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class LateCostTest : public testing::ContractTest {};

// A service that had not counted yet when its session was archived made what
// was charged too little.
TEST_P(LateCostTest, ACostThatIsLessThanTheOneKnownIsAnOlderOne) {
  RowKey batch = SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  ASSERT_OK(SettleWith(grant.lease, Success(70'000)));
  EXPECT_OK(Apply(CompleteErrands{"default", {{"sesn_1", 0}}}));
  EXPECT_EQ(Batch(batch).charged, 70'000);
}

// What a session cost in the end left its task's next attempt less than
// nothing, which was reserved: room for others out of nowhere.
TEST_P(LateCostTest, AnAttemptForWhichNothingIsLeftReservesACent) {
  RowKey batch = SubmitBatch(1);
  ASSERT_OK(Apply(SetBudget{v1::BUDGET_SCOPE_BATCH, "", batch,
                            v1::BUDGET_WINDOW_TOTAL, "", 5'000'000}));
  const int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  v1::Ending failed = Success(70'000);
  failed.set_kind(v1::Ending::KIND_TERMINATED);
  ASSERT_OK(SettleWith(grant.lease, failed));
  time_.Advance(absl::Minutes(1));
  ASSERT_OK(Apply(FireTimers{}));
  EXPECT_OK(Apply(CompleteErrands{"default", {{"sesn_1", 1'500'000}}}));
  std::vector<GrantRecord> again = AdmitTo(worker, 1);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].budget, 10'000);
  EXPECT_EQ(Batch(batch).reserved, 10'000);
}

// It had found no room in a budget, and nobody looked again whether what was
// left of its max_cost fitted now.
TEST_P(LateCostTest, ATaskThatNeedsLessThanBeforeMayFitItsBudget) {
  SubmitOne();
  const int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  v1::Ending failed = Success(70'000);
  failed.set_kind(v1::Ending::KIND_TERMINATED);
  ASSERT_OK(SettleWith(grant.lease, failed));
  ASSERT_OK(Apply(SetBudget{v1::BUDGET_SCOPE_TENANT,
                            "default",
                            {},
                            v1::BUDGET_WINDOW_TOTAL,
                            "",
                            500'000}));
  time_.Advance(absl::Minutes(1));
  ASSERT_OK(Apply(FireTimers{}));
  EXPECT_THAT(AdmitTo(worker, 1), IsEmpty()) << "it needs 930,000";
  EXPECT_OK(Apply(CompleteErrands{"default", {{"sesn_1", 600'000}}}));
  std::vector<GrantRecord> again = AdmitTo(worker, 1);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].budget, 400'000);
}

TEST_P(LateCostTest, ATaskWhoseDelayEndsWithNothingLeftFails) {
  SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  v1::Ending failed = Success(70'000);
  failed.set_kind(v1::Ending::KIND_TERMINATED);
  ASSERT_OK(SettleWith(grant.lease, failed));
  EXPECT_OK(Apply(CompleteErrands{"default", {{"sesn_1", 1'500'000}}}));
  time_.Advance(absl::Minutes(1));
  ASSERT_OK(Apply(FireTimers{}));
  EXPECT_EQ(Task(grant.task).state, v1::TASK_STATE_FAILED);
  EXPECT_THAT(Task(grant.task).reason, HasSubstr("cost_exhausted"));
}

TEST_P(LateCostTest, ACostThatComesLateIsChargedInsteadOfTheReservation) {
  RowKey batch = SubmitBatch(1);
  ASSERT_OK(Apply(SetBudget{v1::BUDGET_SCOPE_BATCH, "", batch,
                            v1::BUDGET_WINDOW_TOTAL, "", 5'000'000}));
  GrantRecord grant = GrantAndRecord(Register());
  ASSERT_OK(SettleWith(grant.lease, SuccessAtUnknownCost()));
  EXPECT_EQ(Batch(batch).charged, grant.budget);
  EXPECT_TRUE(Task(grant.task).attempt_list.at(0).cost_unknown);
  // Archived, and it does not say yet: asked again.
  const CompleteErrands silent{"default", {{"sesn_1", std::nullopt}}};
  EXPECT_OK(Apply(silent));
  time_.Advance(absl::Minutes(10));
  const LeaseErrands lease{"default", 10};
  EXPECT_THAT(Apply(lease)->sessions, ElementsAre("sesn_1"));
  const CompleteErrands says{"default", {{"sesn_1", 70'000}}};
  EXPECT_OK(Apply(says));
  EXPECT_OK(Apply(says));
  EXPECT_EQ(Batch(batch).charged, 70'000);
  EXPECT_EQ(Task(grant.task).charged, 70'000);
  AttemptRecord attempt = Task(grant.task).attempt_list.at(0);
  EXPECT_EQ(attempt.charged, 70'000);
  EXPECT_FALSE(attempt.cost_unknown);
  auto budgets = Read<RowPage<BudgetRecord>>([&](StoreReader& reader) {
    return reader.ListBudgets(clock_.Now(), 0, 10);
  });
  ASSERT_OK(budgets);
  EXPECT_EQ(budgets->rows.at(0).charged, 70'000);
  EXPECT_EQ(budgets->rows.at(0).reserved, 0);
  time_.Advance(absl::Minutes(10));
  EXPECT_THAT(Apply(lease)->sessions, IsEmpty());
}

TEST_P(LateCostTest, WhatASessionCostInTheEndCountsAlsoWhereItIsMore) {
  RowKey batch = SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  ASSERT_OK(SettleWith(grant.lease, Success()));
  const int64_t cost = grant.budget + 20'000;
  EXPECT_OK(Apply(CompleteErrands{"default", {{"sesn_1", cost}}}));
  EXPECT_EQ(Batch(batch).charged, cost);
  EXPECT_EQ(Batch(batch).over, 20'000);
}

TEST_P(LateCostTest, ACostThatNeverComesStaysAtTheReservation) {
  RowKey batch = SubmitBatch(2);
  const int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  ASSERT_OK(SettleWith(grant.lease, SuccessAtUnknownCost()));
  const LeaseErrands lease{"default", 10};
  const CompleteErrands silent{"default", {{"sesn_1", std::nullopt}}};
  time_.Advance(absl::Hours(47));
  EXPECT_OK(Apply(silent));
  time_.Advance(absl::Hours(1));
  EXPECT_THAT(Apply(lease)->sessions, ElementsAre("sesn_1"));
  EXPECT_OK(Apply(silent));
  time_.Advance(absl::Hours(1));
  EXPECT_THAT(Apply(lease)->sessions, IsEmpty());
  EXPECT_EQ(Batch(batch).charged, grant.budget);
  EXPECT_TRUE(Task(grant.task).attempt_list.at(0).cost_unknown);
}

class CostPendingTest : public LateCostTest {
 protected:
  // An attempt that the service broke, at a cost that it does not say.
  void SetUp() override {
    LateCostTest::SetUp();
    batch_ = SubmitBatch(1);
    worker_ = Register();
    grant_ = GrantAndRecord(worker_);
    v1::Ending broken = SuccessAtUnknownCost();
    broken.set_kind(v1::Ending::KIND_BROKEN);
    broken.mutable_failure()->set_operation("list_events");
    broken.mutable_failure()->set_http_status(500);
    ASSERT_OK(SettleWith(grant_.lease, broken));
    ASSERT_EQ(Task(grant_.task).state, v1::TASK_STATE_QUEUED);
    ASSERT_EQ(Batch(batch_).charged, grant_.budget);
  }

  RowKey batch_;
  int64_t worker_ = 0;
  GrantRecord grant_;
};

TEST_P(CostPendingTest, TheNextAttemptBeginsOnceTheCostIsKnown) {
  time_.Advance(absl::Minutes(15));
  EXPECT_OK(Apply(FireTimers{}));
  EXPECT_THAT(AdmitTo(worker_, 1), IsEmpty());
  EXPECT_OK(Apply(CompleteErrands{"default", {{"sesn_1", 70'000}}}));
  time_.Advance(absl::Minutes(10));
  EXPECT_OK(Apply(FireTimers{}));
  std::vector<GrantRecord> grants = AdmitTo(worker_, 1);
  ASSERT_EQ(grants.size(), 1u);
  EXPECT_EQ(grants[0].lease.attempt, 2);
  EXPECT_EQ(grants[0].budget, grant_.budget - 70'000);
  time_.Advance(absl::Hours(1));
  EXPECT_EQ(Apply(FireTimers{})->fired, 0);
}

TEST_P(CostPendingTest, NothingAtAllIsBelievedAnHourLater) {
  const CompleteErrands nothing{"default", {{"sesn_1", 0}}};
  time_.Advance(absl::Minutes(50));
  EXPECT_OK(Apply(nothing));
  EXPECT_EQ(Batch(batch_).charged, grant_.budget);
  time_.Advance(absl::Minutes(20));
  EXPECT_OK(Apply(nothing));
  EXPECT_EQ(Batch(batch_).charged, 0);
  EXPECT_OK(Apply(FireTimers{}));
  EXPECT_EQ(AdmitTo(worker_, 1).size(), 1u);
}

// A session that refuses to be archived never says what it cost.
TEST_P(CostPendingTest, ATaskDoesNotWaitForEver) {
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(Task(grant_.task).state, v1::TASK_STATE_QUEUED);
    time_.Advance(absl::Minutes(10));
    EXPECT_OK(Apply(FireTimers{}));
  }
  EXPECT_EQ(Task(grant_.task).state, v1::TASK_STATE_FAILED);
}

TEST_P(CostPendingTest, ATaskFailsWhereNobodyWillSayWhatItsAttemptCost) {
  time_.Advance(absl::Minutes(15));
  EXPECT_OK(Apply(FireTimers{}));
  EXPECT_EQ(Task(grant_.task).state, v1::TASK_STATE_QUEUED);
  EXPECT_OK(
      Apply(CompleteErrands{"default", {{"sesn_1", std::nullopt, true}}}));
  EXPECT_EQ(Task(grant_.task).state, v1::TASK_STATE_QUEUED);
  time_.Advance(absl::Minutes(15));
  EXPECT_OK(Apply(FireTimers{}));
  EXPECT_EQ(Task(grant_.task).state, v1::TASK_STATE_FAILED);
  EXPECT_THAT(Task(grant_.task).reason, HasSubstr("cost_exhausted"));
  EXPECT_EQ(Batch(batch_).state, v1::BATCH_STATE_DONE);
  EXPECT_EQ(Batch(batch_).charged, grant_.budget);
}

TEST_P(LateCostTest, ASessionThatIsGoneHasNoMoreToSay) {
  SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  ASSERT_OK(SettleWith(grant.lease, SuccessAtUnknownCost()));
  EXPECT_OK(
      Apply(CompleteErrands{"default", {{"sesn_1", std::nullopt, true}}}));
  time_.Advance(absl::Minutes(10));
  EXPECT_THAT(Apply(LeaseErrands{"default", 10})->sessions, IsEmpty());
}

MIDWATCH_ON_EVERY_STORE(LateCostTest);
MIDWATCH_ON_EVERY_STORE(CostPendingTest);

}  // namespace
}  // namespace midwatch
