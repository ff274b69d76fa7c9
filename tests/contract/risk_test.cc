// A batch whose forecast crosses its budget or its deadline.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using testing::ContractTest;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RiskTest : public ContractTest {
 protected:
  // Each reserves a dollar and costs three cents: forty need $1.20, and room
  // for the last one's dollar.
  RowKey SubmitForty(OpenBatch open) {
    open.on_risk.set_url("https://example.com/risk");
    auto batch = Apply(open);
    EXPECT_OK(batch);
    AddTasks add{.request_id = "batch-1", .first_line = 0, .tasks = {}};
    for (int i = 0; i < 40; ++i) {
      add.tasks.push_back(Line(absl::StrCat("t", i)));
    }
    EXPECT_OK(Apply(add));
    auto sealed = Apply(SealBatch{"batch-1", 40});
    EXPECT_OK(sealed);
    timer_is_set_ = sealed.ok() && sealed->needs_met;
    return batch->batch;
  }
  static OpenBatch WithBudget(int64_t budget) {
    OpenBatch open = Opening("batch-1");
    open.budget = budget;
    return open;
  }
  static OpenBatch WithDeadline(absl::Duration deadline) {
    OpenBatch open = Opening("batch-1");
    open.spec.mutable_deadline()->set_seconds(absl::ToInt64Seconds(deadline));
    return open;
  }
  void SetBatchBudget(RowKey batch, int64_t limit) {
    EXPECT_OK(Apply(SetBudget{.scope = v1::BUDGET_SCOPE_BATCH,
                              .name = "",
                              .row = batch,
                              .window = v1::BUDGET_WINDOW_TOTAL,
                              .zone = "",
                              .limit = limit}));
  }
  // So many tasks, one after the other, each ten minutes long.
  Settled SettleSome(int n, int64_t cost = 30'000) {
    Settled last;
    for (int i = 0; i < n; ++i) {
      const GrantRecord grant = GrantAndRecord(Register());
      time_.Advance(absl::Minutes(10));
      auto settled = SettleWith(grant.lease, Success(cost));
      EXPECT_OK(settled);
      if (settled.ok()) last = *settled;
    }
    return last;
  }
  std::vector<DueHook> Due() {
    auto due = Read<std::vector<DueHook>>([&](StoreReader& reader) {
      return reader.ListDueHooks(clock_.Now(), 100);
    });
    EXPECT_OK(due);
    return due.ok() ? *std::move(due) : std::vector<DueHook>();
  }
  int TimesAtRisk(RowKey batch) {
    auto rows = Read<std::vector<JournalRecord>>([&](StoreReader& reader) {
      return reader.ListJournal(batch.row, 0, 1000);
    });
    EXPECT_OK(rows);
    return static_cast<int>(std::count_if(
        rows->begin(), rows->end(),
        [](const auto& row) { return row.kind == JournalKind::kAtRisk; }));
  }

  bool timer_is_set_ = false;
};
TEST_P(RiskTest, ABatchSaysItsDeadline) {
  EXPECT_EQ(Batch(SubmitBatch(1)).deadline, absl::InfiniteFuture());
  OpenBatch open = Opening("late");
  open.spec.mutable_deadline()->set_seconds(3600);
  auto batch = Apply(open);
  ASSERT_OK(batch);
  const absl::Time deadline = clock_.Now() + absl::Hours(1);
  EXPECT_EQ(Batch(batch->batch).deadline, deadline);
  time_.Advance(absl::Hours(2));
  EXPECT_EQ(Batch(batch->batch).deadline, deadline);
}

MIDWATCH_ON_EVERY_STORE(RiskTest);

TEST_P(RiskTest, ABudgetThatWillNotDoIsToldOnce) {
  const RowKey batch = SubmitForty(WithBudget(2'000'000));
  EXPECT_FALSE(SettleSome(9).needs_met);
  EXPECT_FALSE(Batch(batch).risk.has_value());
  EXPECT_TRUE(SettleSome(1).needs_met);

  const std::vector<DueHook> due = Due();
  ASSERT_THAT(due, SizeIs(1));
  EXPECT_EQ(due[0].url, "https://example.com/risk");
  const v1::HookNews& news = due[0].news;
  EXPECT_EQ(news.event(), v1::HOOK_EVENT_RISK);
  EXPECT_EQ(news.batch().counts().succeeded(), 10);
  EXPECT_EQ(news.risk().reason(),
            "needs about $2.17, of a budget of $2.00; 30 tasks left");
  EXPECT_EQ(Batch(batch).risk->reason(), news.risk().reason());

  EXPECT_FALSE(SettleSome(2).needs_met);
  EXPECT_EQ(Batch(batch).risk->left(), 28);
  EXPECT_EQ(TimesAtRisk(batch), 1);
  EXPECT_THAT(Due(), SizeIs(1));
}

TEST_P(RiskTest, ARaisedBudgetEndsIt) {
  const RowKey batch = SubmitForty(WithBudget(2'000'000));
  SettleSome(10);
  SetBatchBudget(batch, 3'000'000);
  SettleSome(1);
  EXPECT_FALSE(Batch(batch).risk.has_value());
  // It is told no more; the journal knows of each time.
  SetBatchBudget(batch, 2'000'000);
  SettleSome(1);
  EXPECT_TRUE(Batch(batch).risk.has_value());
  EXPECT_EQ(TimesAtRisk(batch), 2);
  EXPECT_THAT(Due(), SizeIs(1));
}

// A batch without limits was remembered as one that nothing can happen to.
TEST_P(RiskTest, ABudgetThatComesLaterIsSeen) {
  const RowKey batch = SubmitForty(Opening("batch-1"));
  SettleSome(2);
  SetBatchBudget(batch, 2'000'000);
  SettleSome(10);
  EXPECT_TRUE(Batch(batch).risk.has_value());
}

// Of what ended without one, nothing was counted; half of it would have been.
TEST_P(RiskTest, ABudgetThatIsSetAgainCountsFromThenOn) {
  const RowKey batch = SubmitForty(WithBudget(2'000'000));
  SettleSome(5);
  EXPECT_OK(Apply(DeleteBudget{.scope = v1::BUDGET_SCOPE_BATCH,
                               .name = "",
                               .row = batch,
                               .window = v1::BUDGET_WINDOW_TOTAL}));
  SettleSome(3);
  SetBatchBudget(batch, 2'000'000);
  SettleSome(9);
  EXPECT_FALSE(Batch(batch).risk.has_value());
  SettleSome(1);
  EXPECT_TRUE(Batch(batch).risk.has_value());
}

TEST_P(RiskTest, ATaskThatIsTriedAgainIsNotCountedTwice) {
  const RowKey batch = SubmitForty(WithBudget(2'500'000));
  // $0.60 that come to nothing, of tasks whose second attempts cost little.
  for (int i = 0; i < 2; ++i) {
    const GrantRecord grant = GrantAndRecord(Register());
    v1::Ending ending = Success(300'000);
    ending.set_kind(v1::Ending::KIND_TIMED_OUT);
    auto settled = SettleWith(grant.lease, ending);
    ASSERT_OK(settled);
    EXPECT_EQ(settled->state, v1::TASK_STATE_QUEUED);
  }
  SettleSome(10);
  // $0.30 and thirty times three cents, and the last one's reservation.
  EXPECT_FALSE(Batch(batch).risk.has_value());
  SetBatchBudget(batch, 2'160'000);
  SettleSome(1);
  EXPECT_EQ(Batch(batch).risk->projected_usd_micros(), 2'170'000);
}

TEST_P(RiskTest, APaceThatIsTooSlowIsTold) {
  // Forty times ten minutes are six hours and 40 minutes.
  const RowKey batch = SubmitForty(WithDeadline(absl::Hours(5)));
  EXPECT_TRUE(timer_is_set_);
  SettleSome(9);
  EXPECT_THAT(Due(), IsEmpty());
  SettleSome(1);
  const BatchRecord record = Batch(batch);
  ASSERT_TRUE(record.risk.has_value());
  EXPECT_EQ(record.risk->reason(),
            "ends about 1h 35m after its deadline; 30 tasks left");
  EXPECT_THAT(Due(), SizeIs(1));
}

TEST_P(RiskTest, ADeadlineThatPassesIsTold) {
  const RowKey batch = SubmitForty(WithDeadline(absl::Hours(5)));
  time_.Advance(absl::Hours(5) - absl::Seconds(1));
  EXPECT_OK(Apply(FireTimers{}));
  EXPECT_FALSE(Batch(batch).risk.has_value());
  time_.Advance(absl::Seconds(1));
  EXPECT_OK(Apply(FireTimers{}));
  ASSERT_TRUE(Batch(batch).risk.has_value());
  EXPECT_EQ(Batch(batch).risk->reason(),
            "its deadline has passed; 40 tasks left");
  auto fired = Apply(FireTimers{});
  ASSERT_OK(fired);
  EXPECT_TRUE(fired->hooks_due);
  EXPECT_THAT(Due(), SizeIs(1));
}

TEST_P(RiskTest, ABatchThatIsDoneIsAtNoRisk) {
  const RowKey batch = SubmitForty(WithDeadline(absl::Hours(5)));
  EXPECT_OK(Apply(CancelBatch{batch, "no more"}));
  time_.Advance(absl::Hours(6));
  EXPECT_OK(Apply(FireTimers{}));
  EXPECT_FALSE(Batch(batch).risk.has_value());
  EXPECT_THAT(Due(), IsEmpty());
}

TEST_P(RiskTest, APauseBeginsTheCountAnew) {
  const RowKey batch = SubmitForty(WithBudget(2'000'000));
  SettleSome(9);
  EXPECT_OK(Apply(PauseBatch{.batch = batch, .reason = "lunch"}));
  EXPECT_OK(Apply(ResumeBatch{.batch = batch}));
  SettleSome(9);
  EXPECT_FALSE(Batch(batch).risk.has_value());
  SettleSome(1);
  EXPECT_TRUE(Batch(batch).risk.has_value());
}

TEST_P(RiskTest, ACanarysTasksDoNotCount) {
  OpenBatch open = WithBudget(2'000'000);
  open.canary = CanaryRule{5, 1'000'000, 0};
  const RowKey batch = SubmitForty(open);
  SettleSome(14);
  EXPECT_FALSE(Batch(batch).risk.has_value());
  SettleSome(1);
  EXPECT_TRUE(Batch(batch).risk.has_value());
}

TEST_P(RiskTest, TheHookIsPartOfWhatWasOpened) {
  OpenBatch open = Opening("batch-1");
  EXPECT_OK(Apply(open));
  open.on_risk.set_url("https://example.com/risk");
  EXPECT_THAT(Apply(open), testing::StatusIs(absl::StatusCode::kAlreadyExists));
}

}  // namespace
}  // namespace midwatch
