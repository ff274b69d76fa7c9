// Budgets as stories: what is set aside, what is charged, and who waits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::StatusIs;

constexpr int64_t kDollar = 1'000'000;

class BudgetTest : public testing::ContractTest {
 protected:
  absl::Status Set(v1::BudgetScope scope, const std::string& name,
                   int64_t limit,
                   v1::BudgetWindow window = v1::BUDGET_WINDOW_TOTAL,
                   const std::string& zone = "") {
    return Apply(SetBudget{scope, name, {}, window, zone, limit}).status();
  }
  absl::Status SetForBatch(RowKey batch, int64_t limit) {
    return Apply(SetBudget{v1::BUDGET_SCOPE_BATCH, "", batch,
                           v1::BUDGET_WINDOW_TOTAL, "", limit})
        .status();
  }
  std::vector<BudgetRecord> Budgets() {
    auto page = Read<RowPage<BudgetRecord>>([&](StoreReader& reader) {
      return reader.ListBudgets(clock_.Now(), 0, 1000);
    });
    EXPECT_OK(page);
    return page.ok() ? std::move(page->rows) : std::vector<BudgetRecord>();
  }
  std::vector<JournalRecord> Ledger(const MoneyFilter& filter) {
    auto page = Read<RowPage<JournalRecord>>([&](StoreReader& reader) {
      return reader.ListMoney(filter, 0, 10'000);
    });
    EXPECT_OK(page);
    return page.ok() ? std::move(page->rows) : std::vector<JournalRecord>();
  }
  // A session of the grant has spent so much; what is done about it.
  absl::StatusOr<Parked> Spend(const GrantRecord& grant, int64_t spent,
                               BudgetAnswer answer = {}) {
    v1::Question question;
    question.set_question_id(absl::StrCat("idle-", spent));
    question.set_spent_usd_micros(spent);
    WaitPolicy policy{
        [](const v1::TaskSpec&, const v1::Question&) {
          return v1::SAY_KIND_UNSPECIFIED;
        },
        [&, answer](const v1::TaskSpec&, const BudgetSpent& view) {
          seen_ = view;
          return answer;
        },
        [](const v1::TaskSpec&) { return absl::Hours(1); }};
    return Apply(Park{grant.lease, {question}, std::move(policy)});
  }
  BudgetSpent seen_;
  void Settle(const GrantRecord& grant, int64_t cost) {
    EXPECT_OK(SettleWith(grant.lease, Success(cost)));
  }
};

TEST_P(BudgetTest, NothingStartsThatDoesNotFit) {
  SubmitBatch(5);
  ASSERT_OK(Set(v1::BUDGET_SCOPE_TENANT, "default", 2 * kDollar + 500'000));
  int64_t worker = Register();
  std::vector<GrantRecord> grants = AdmitTo(worker, 10);
  ASSERT_THAT(grants, SizeIs(2));
  EXPECT_EQ(Budgets().at(0).reserved, 2 * kDollar);
  EXPECT_TRUE(Budgets().at(0).tasks_wait);
  EXPECT_TRUE(Batch({1, grants[0].task.unix_millis}).waits_for_budget);

  // 0.5 unused and 0.7 given back: one more fits.
  Settle(grants[0], 300'000);
  EXPECT_FALSE(Budgets().at(0).tasks_wait);
  EXPECT_THAT(AdmitTo(worker, 10), SizeIs(1));
  BudgetRecord budget = Budgets().at(0);
  EXPECT_EQ(budget.charged, 300'000);
  EXPECT_EQ(budget.reserved, 2 * kDollar);
  EXPECT_THAT(AdmitTo(worker, 10), IsEmpty());
}

TEST_P(BudgetTest, EveryScopeBinds) {
  RowKey batch = SubmitBatch(9);
  ASSERT_OK(Set(v1::BUDGET_SCOPE_TENANT, "default", 7 * kDollar));
  ASSERT_OK(Set(v1::BUDGET_SCOPE_QUEUE, "default", 5 * kDollar));
  ASSERT_OK(SetForBatch(batch, 3 * kDollar));
  ASSERT_OK(Set(v1::BUDGET_SCOPE_TENANT, "somebody else", 0));
  int64_t worker = Register();
  EXPECT_THAT(AdmitTo(worker, 20), SizeIs(3));
  ASSERT_OK(SetForBatch(batch, 8 * kDollar));
  EXPECT_THAT(AdmitTo(worker, 20), SizeIs(2));
  ASSERT_OK(Set(v1::BUDGET_SCOPE_QUEUE, "default", 8 * kDollar));
  EXPECT_THAT(AdmitTo(worker, 20), SizeIs(2));
  for (const BudgetRecord& budget : Budgets()) {
    EXPECT_EQ(budget.reserved, budget.limit == 0 ? 0 : 7 * kDollar);
  }
}

TEST_P(BudgetTest, ALaneThatWaitsHoldsUpNoOther) {
  SubmitBatch(2, 0, "poor");
  RowKey rich = SubmitBatch(2, 0, "rich");
  ASSERT_OK(SetForBatch({1, rich.unix_millis}, 500'000));
  std::vector<GrantRecord> grants = AdmitTo(Register(), 10);
  ASSERT_THAT(grants, SizeIs(2));
  EXPECT_EQ(grants[0].batch, rich.row);
}

TEST_P(BudgetTest, ARaiseThatDoesNotFitABudgetChangesNothing) {
  RowKey batch = SubmitBatch(1);
  ASSERT_OK(SetForBatch(batch, kDollar + 40'000));
  int64_t worker = Register();
  GrantRecord grant = AdmitTo(worker, 1).at(0);
  ASSERT_OK(Spend(grant, grant.budget));
  AnswerTask raise{grant.task, "", v1::SAY_KIND_BUDGET,
                   absl::StrCat(grant.budget + 50'000)};
  EXPECT_THAT(Apply(raise), StatusIs(absl::StatusCode::kFailedPrecondition,
                                     HasSubstr("has room for")));
  EXPECT_EQ(Batch(batch).reserved, grant.budget);
  EXPECT_EQ(Task(grant.task).state, v1::TASK_STATE_WAITING);
  // No permission is asked for.
  raise.kind = v1::SAY_KIND_ALLOW;
  EXPECT_THAT(Apply(raise), StatusIs(absl::StatusCode::kFailedPrecondition,
                                     HasSubstr("raise it")));
}

TEST_P(BudgetTest, APolicyRaisesWhereThereIsRoom) {
  RowKey batch = SubmitBatch(1);
  ASSERT_OK(SetForBatch(batch, 3 * kDollar));
  int64_t worker = Register();
  GrantRecord grant = AdmitTo(worker, 1).at(0);
  const BudgetAnswer by_one{BudgetAnswer::kRaise, 2 * kDollar};
  absl::StatusOr<Parked> told = Spend(grant, kDollar + 10'000, by_one);
  ASSERT_OK(told);
  EXPECT_EQ(seen_.spent, kDollar + 10'000);
  EXPECT_EQ(seen_.budget, kDollar);
  EXPECT_EQ(seen_.earlier, 0);
  EXPECT_FALSE(told->parked);
  ASSERT_THAT(told->answers, SizeIs(1));
  EXPECT_EQ(told->answers[0].kind(), v1::SAY_KIND_BUDGET);
  EXPECT_EQ(told->answers[0].text(), "2000000");
  EXPECT_EQ(Batch(batch).reserved, 2 * kDollar);
  EXPECT_EQ(Budgets().at(0).reserved, 2 * kDollar);
  // Again, where its answer was lost: no second raise.
  told = Spend(grant, kDollar + 10'000, by_one);
  ASSERT_OK(told);
  EXPECT_THAT(told->answers, SizeIs(1));
  EXPECT_EQ(Batch(batch).reserved, 2 * kDollar);
  // The budget of its batch has no room for another two: a person's turn.
  told = Spend(grant, 2 * kDollar, {BudgetAnswer::kRaise, 4 * kDollar});
  ASSERT_OK(told);
  EXPECT_TRUE(told->parked);
  EXPECT_EQ(Batch(batch).reserved, 2 * kDollar);
  EXPECT_EQ(Task(grant.task).state, v1::TASK_STATE_WAITING);
}

TEST_P(BudgetTest, APolicyEndsWhatMayCostNoMore) {
  RowKey batch = SubmitBatch(1);
  GrantRecord grant = AdmitTo(Register(), 1).at(0);
  absl::StatusOr<Parked> told = Spend(grant, kDollar, {BudgetAnswer::kEnd});
  ASSERT_OK(told);
  EXPECT_TRUE(told->end);
  EXPECT_FALSE(told->parked);
  EXPECT_EQ(Task(grant.task).state, v1::TASK_STATE_RUNNING);
  Settle(grant, kDollar);
  EXPECT_EQ(Batch(batch).charged, kDollar);
}

TEST_P(BudgetTest, OvershootIsChargedAndShownApart) {
  RowKey batch = SubmitBatch(3);
  ASSERT_OK(SetForBatch(batch, 2 * kDollar));
  int64_t worker = Register();
  std::vector<GrantRecord> grants = AdmitTo(worker, 1);
  Settle(grants.at(0), 1'200'000);
  BudgetRecord budget = Budgets().at(0);
  EXPECT_EQ(budget.charged, 1'200'000);
  EXPECT_EQ(budget.reserved, 0);
  EXPECT_EQ(budget.over, 200'000);
  EXPECT_EQ(Batch(batch).over, 200'000);
  // It stops admission until it fits.
  EXPECT_THAT(AdmitTo(worker, 10), IsEmpty());
  ASSERT_OK(SetForBatch(batch, 2'200'000));
  EXPECT_THAT(AdmitTo(worker, 10), SizeIs(1));
}

TEST_P(BudgetTest, WhatOneRequestMayOvershootIsSetAsideOnceItIsKnown) {
  RowKey batch = SubmitBatch(4);
  ASSERT_OK(SetForBatch(batch, 4'200'000));
  int64_t worker = Register();
  v1::Ending ending = Success(500'000);
  ending.set_dearest_request_usd_micros(300'000);
  ASSERT_OK(SettleWith(AdmitTo(worker, 1).at(0).lease, ending));
  // 3.7 dollars are left: room for three tasks, and for the overshoot of two
  // and a bit.
  std::vector<GrantRecord> grants = AdmitTo(worker, 10);
  ASSERT_THAT(grants, SizeIs(3));
  for (const GrantRecord& grant : grants) EXPECT_EQ(grant.budget, kDollar);
  EXPECT_EQ(Budgets().at(0).reserved, 3'700'000);
  EXPECT_EQ(Batch(batch).reserved, 3'700'000);
  // It was foreseen, so it is no overshoot; and what was not used comes back.
  Settle(grants[0], 1'300'000);
  Settle(grants[1], 400'000);
  Settle(grants[2], 400'000);
  EXPECT_EQ(Budgets().at(0).over, 0);
  EXPECT_EQ(Budgets().at(0).charged, 2'600'000);
  EXPECT_EQ(Budgets().at(0).reserved, 0);
  EXPECT_EQ(Batch(batch).reserved, 0);
}

TEST_P(BudgetTest, ALimitBelowWhatIsSpentEndsNothingThatRuns) {
  RowKey batch = SubmitBatch(4);
  int64_t worker = Register();
  std::vector<GrantRecord> grants = AdmitTo(worker, 2);
  ASSERT_OK(SetForBatch(batch, 100));
  EXPECT_THAT(AdmitTo(worker, 10), IsEmpty());
  // A batch's total counts what ran before it was set.
  EXPECT_EQ(Budgets().at(0).reserved, 2 * kDollar);
  Settle(grants[0], 30'000);
  Settle(grants[1], 30'000);
  EXPECT_EQ(Budgets().at(0).charged, 60'000);
  EXPECT_EQ(Budgets().at(0).reserved, 0);
  EXPECT_THAT(AdmitTo(worker, 10), IsEmpty());
  ASSERT_OK(SetForBatch(batch, 10 * kDollar));
  EXPECT_THAT(AdmitTo(worker, 10), SizeIs(2));
}

TEST_P(BudgetTest, ALimitRaisedAndLoweredBetweenTwoPasses) {
  SubmitBatch(4);
  ASSERT_OK(Set(v1::BUDGET_SCOPE_QUEUE, "default", kDollar));
  int64_t worker = Register();
  EXPECT_THAT(AdmitTo(worker, 10), SizeIs(1));
  ASSERT_OK(Set(v1::BUDGET_SCOPE_QUEUE, "default", 9 * kDollar));
  ASSERT_OK(Set(v1::BUDGET_SCOPE_QUEUE, "default", kDollar));
  EXPECT_THAT(AdmitTo(worker, 10), IsEmpty());
  ASSERT_OK(Apply(DeleteBudget{
      v1::BUDGET_SCOPE_QUEUE, "default", {}, v1::BUDGET_WINDOW_TOTAL}));
  EXPECT_THAT(Budgets(), IsEmpty());
  EXPECT_THAT(AdmitTo(worker, 10), SizeIs(3));
  EXPECT_THAT(
      Apply(DeleteBudget{
          v1::BUDGET_SCOPE_QUEUE, "default", {}, v1::BUDGET_WINDOW_TOTAL}),
      StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(BudgetTest, MoneyBelongsToTheWindowOfItsReservation) {
  SubmitBatch(4);
  ASSERT_OK(Set(v1::BUDGET_SCOPE_TENANT, "default", 2 * kDollar,
                v1::BUDGET_WINDOW_DAY, "UTC"));
  int64_t worker = Register();
  std::vector<GrantRecord> grants = AdmitTo(worker, 10);
  ASSERT_THAT(grants, SizeIs(2));
  Settle(grants[0], kDollar);
  // The next day begins with nothing spent.
  BudgetRecord first = Budgets().at(0);
  time_.Advance(first.window_end - clock_.Now());
  auto fired = Apply(FireTimers{});
  ASSERT_OK(fired);
  EXPECT_EQ(fired->fired, 1);
  EXPECT_EQ(fired->next, first.window_end + absl::Hours(24));
  EXPECT_THAT(AdmitTo(worker, 10), SizeIs(2));
  Settle(grants[1], 900'000);  // yesterday's money
  BudgetRecord budget = Budgets().at(0);
  EXPECT_EQ(budget.window_start, first.window_end);
  EXPECT_EQ(budget.charged, 0);
  EXPECT_EQ(budget.reserved, 2 * kDollar);
}

TEST_P(BudgetTest, ABudgetCountsWhatIsGrantedAfterIt) {
  SubmitBatch(3);
  int64_t worker = Register();
  std::vector<GrantRecord> grants = AdmitTo(worker, 1);
  ASSERT_OK(Set(v1::BUDGET_SCOPE_TENANT, "default", kDollar));
  EXPECT_THAT(AdmitTo(worker, 10), SizeIs(1));
  Settle(grants[0], 1'500'000);
  EXPECT_EQ(Budgets().at(0).charged, 0);
  EXPECT_EQ(Budgets().at(0).reserved, kDollar);
}

TEST_P(BudgetTest, CancellingGivesTheReservationBack) {
  RowKey batch = SubmitBatch(2);
  ASSERT_OK(SetForBatch(batch, kDollar));
  int64_t worker = Register();
  std::vector<GrantRecord> grants = AdmitTo(worker, 10);
  ASSERT_THAT(grants, SizeIs(1));
  ASSERT_OK(Apply(CancelTask{grants[0].task, "not needed"}));
  EXPECT_EQ(Budgets().at(0).reserved, 0);
  EXPECT_THAT(AdmitTo(worker, 10), SizeIs(1));
}

TEST_P(BudgetTest, ACheaperTaskInFrontIsLookedAt) {
  ASSERT_OK(Set(v1::BUDGET_SCOPE_TENANT, "default", 500'000));
  SubmitOne("dear");
  int64_t worker = Register();
  EXPECT_THAT(AdmitTo(worker, 10), IsEmpty());
  SubmitTask submit{.request_id = "cheap",
                    .tenant = "default",
                    .queue = "default",
                    .account = "default",
                    .spec = Spec(),
                    .task = Line("cheap")};
  submit.task.priority = 9;
  submit.task.max_cost = 400'000;
  ASSERT_OK(Apply(submit));
  EXPECT_THAT(AdmitTo(worker, 10), SizeIs(1));
}

TEST_P(BudgetTest, ATasksBudgetIsItsMaxCost) {
  RowKey task = SubmitOne();
  auto set = [&](int64_t limit) {
    return Apply(SetBudget{v1::BUDGET_SCOPE_TASK, "", task,
                           v1::BUDGET_WINDOW_TOTAL, "", limit});
  };
  ASSERT_OK(set(200'000));
  int64_t worker = Register();
  GrantRecord grant = AdmitTo(worker, 1).at(0);
  EXPECT_EQ(grant.budget, 200'000);
  v1::Ending lost = Success(190'000);
  lost.set_kind(v1::Ending::KIND_DELETED);
  ASSERT_OK(set(300'000));  // while it runs: for what follows
  ASSERT_OK(SettleWith(grant.lease, lost));
  EXPECT_EQ(Task(task).state, v1::TASK_STATE_QUEUED);
  EXPECT_THAT(set(200'000), StatusIs(absl::StatusCode::kFailedPrecondition));
  time_.Advance(absl::Minutes(20));
  ASSERT_OK(Apply(FireTimers{}));
  grant = AdmitTo(worker, 1).at(0);
  EXPECT_EQ(grant.budget, 110'000);
  ASSERT_OK(SettleWith(grant.lease, lost));
  EXPECT_EQ(Task(task).state, v1::TASK_STATE_FAILED);
  EXPECT_THAT(Task(task).reason, HasSubstr("cost_exhausted"));
  EXPECT_THAT(set(kDollar), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(BudgetTest, AnotherTimeZoneIsAnotherBudget) {
  ASSERT_OK(Set(v1::BUDGET_SCOPE_QUEUE, "q", 1, v1::BUDGET_WINDOW_DAY, "UTC"));
  EXPECT_THAT(Set(v1::BUDGET_SCOPE_QUEUE, "q", 1, v1::BUDGET_WINDOW_DAY,
                  "Europe/Vienna"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Set(v1::BUDGET_SCOPE_QUEUE, "q", 1, v1::BUDGET_WINDOW_MONTH,
                  "/etc/passwd"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Budgets(), SizeIs(1));
}

// What a balance must be: the journal's sums over attempts granted after the
// budget was set.
TEST_P(BudgetTest, BalancesEqualTheJournal) {
  RowKey batch = SubmitBatch(30);
  ASSERT_OK(Set(v1::BUDGET_SCOPE_TENANT, "default", 20 * kDollar));
  ASSERT_OK(Set(v1::BUDGET_SCOPE_QUEUE, "default", 12 * kDollar));
  ASSERT_OK(SetForBatch(batch, 9 * kDollar));
  int64_t worker = Register();
  int64_t reserved_most = 0;
  for (int round = 0; round < 20; ++round) {
    std::vector<GrantRecord> grants = AdmitTo(worker, 1 + round % 6);
    for (const BudgetRecord& budget : Budgets()) {
      EXPECT_TRUE(grants.empty() ||
                  budget.charged + budget.reserved <= budget.limit);
      EXPECT_LE(budget.charged, budget.limit + budget.over);
      reserved_most = std::max(reserved_most, budget.reserved);
    }
    for (const GrantRecord& grant : grants) {
      v1::Ending ending =
          Success(grant.lease.task % 5 == 0 ? 1'300'000 : 90'000);
      if (grant.lease.task % 3 == 0) ending.set_kind(v1::Ending::KIND_DELETED);
      ASSERT_OK(SettleWith(grant.lease, ending));
    }
    if (round == 8) {
      ASSERT_OK(SetForBatch(batch, 11 * kDollar));
    }
    if (round == 12) Restart();
    time_.Advance(absl::Minutes(20));
    ASSERT_OK(Apply(FireTimers{}));
  }
  int64_t reserved = 0, charged = 0, over = 0;
  MoneyFilter filter{.batch = batch};
  filter.money_only = true;
  for (const JournalRecord& entry : Ledger(filter)) {
    reserved += entry.reserve_delta;
    charged += entry.charge_delta;
    over += entry.over_delta;
    EXPECT_EQ(entry.tenant, "default");
    EXPECT_EQ(entry.queue, "default");
  }
  EXPECT_GT(over, 0);
  EXPECT_GT(reserved_most, 0);
  ASSERT_THAT(Budgets(), SizeIs(3));
  for (const BudgetRecord& budget : Budgets()) {
    EXPECT_EQ(budget.reserved, reserved);
    EXPECT_EQ(budget.charged, charged);
    EXPECT_EQ(budget.over, over);
  }
}

TEST_P(BudgetTest, TheLedgerIsFiltered) {
  RowKey batch = SubmitBatch(3);
  int64_t worker = Register();
  GrantRecord grant = AdmitTo(worker, 1).at(0);
  time_.Advance(absl::Hours(1));
  absl::Time later = clock_.Now();
  Settle(grant, 30'000);
  MoneyFilter filter;
  filter.money_only = true;
  EXPECT_THAT(Ledger(filter), SizeIs(2));
  filter.from = later;
  ASSERT_THAT(Ledger(filter), SizeIs(1));
  EXPECT_EQ(Ledger(filter)[0].charge_delta, 30'000);
  EXPECT_EQ(Ledger(filter)[0].reserve_delta, -kDollar);
  EXPECT_EQ(Ledger(filter)[0].batch_key, batch);
  filter.until = later;
  EXPECT_THAT(Ledger(filter), IsEmpty());
  filter = {.task = grant.task};
  EXPECT_THAT(Ledger(filter), SizeIs(2));
  filter.kinds = {JournalKind::kGranted};
  EXPECT_THAT(Ledger(filter), SizeIs(1));
  filter = {.tenant = "another", .queue = ""};
  EXPECT_THAT(Ledger(filter), IsEmpty());
}

MIDWATCH_ON_EVERY_STORE(BudgetTest);

}  // namespace
}  // namespace midwatch
