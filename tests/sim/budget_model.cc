#include "tests/sim/budget_model.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "midwatch/v1/budget_service.pb.h"
#include "tests/sim/violation.h"

namespace midwatch::sim {
namespace {

void Add(const JournalRow& row, JournalMoney& money) {
  money.reserved += row.reserved;
  money.charged += row.charged;
  money.over += row.over;
}

}  // namespace

void BudgetModel::Set(const JournalRow& row) {
  if (row.task != 0) return;  // its max_cost
  if (row.batch != 0) {
    // Of what it has already, as Committed finds it.
    beyond_.emplace(row.batch, journal_.MoneyOf(row.batch).charged +
                                   journal_.MoneyOf(row.batch).reserved);
    return;
  }
  Budget& budget = absl::StartsWith(row.why, "tenant ") ? tenant_ : queue_;
  if (!budget.is_there) budget = {.is_there = true, .since = row.seq};
}

void BudgetModel::Delete(const JournalRow& row) {
  counts_.Add("budgets deleted");
  if (row.batch != 0) {
    if (beyond_.erase(row.batch) > 0) return;
  } else {
    Budget& budget = absl::StartsWith(row.why, "tenant ") ? tenant_ : queue_;
    if (std::exchange(budget.is_there, false)) return;
  }
  report_(kBalances, absl::StrCat("journal ", row.seq, ": ", row.why,
                                  " is deleted, and was not there"));
}

void BudgetModel::Fold(const JournalRow& row) {
  if (row.kind == JournalKind::kBudgetSet) return Set(row);
  if (row.kind == JournalKind::kBudgetDeleted) return Delete(row);
  const std::pair<int64_t, int32_t> attempt(row.task, row.attempt);
  if (row.kind == JournalKind::kGranted) granted_[attempt] = row.seq;
  if (row.reserved == 0 && row.charged == 0 && row.over == 0) return;
  auto granted = granted_.find(attempt);
  if (granted == granted_.end()) {
    report_(kBalances, absl::StrCat("journal ", row.seq, ", task ", row.task,
                                    ": money of no attempt"));
    return;
  }
  for (Budget* budget : {&tenant_, &queue_}) {
    if (granted->second > budget->since) Add(row, budget->money);
  }
}

// It held when each of them was admitted, and only overshoot adds to it, but
// for what a batch had before it was set. (And for what a session did after its
// settle, moved by a message that had been on its way for minutes.)
void BudgetModel::CheckRoom(int64_t batch, int64_t limit,
                            const JournalMoney& held, int64_t came_late) {
  const int64_t over = held.charged + held.reserved - limit - held.over;
  int64_t before = 0;
  if (auto beyond = beyond_.find(batch); beyond != beyond_.end()) {
    beyond->second = std::clamp<int64_t>(over, 0, beyond->second);
    before = beyond->second;
  }
  if (over <= before + came_late) return;
  report_(kBudgets, absl::StrCat(batch == 0 ? "a" : "a batch's",
                                 " budget over ", limit, ": ", Describe(held)));
}

void BudgetModel::Committed(Sqlite& queue, int64_t came_late) {
  SqliteStatement row = queue.Query(
      "SELECT u.scope, u.ref, u.lim, ifnull(b.reserved, 0), "
      "ifnull(b.charged, 0), ifnull(b.over, 0), lane.id IS NOT NULL "
      "FROM budget u LEFT JOIN balance b ON b.budget = u.id "
      "LEFT JOIN lane ON lane.blocked & 4 != 0 LIMIT 100");
  bool any = false;
  while (row.Step()) {
    any = true;
    const JournalMoney held{row.Int(3), row.Int(4), row.Int(5)};
    const bool of_batch = row.Int(0) == v1::BUDGET_SCOPE_BATCH;
    const Budget& all =
        row.Int(0) == v1::BUDGET_SCOPE_TENANT ? tenant_ : queue_;
    const JournalMoney told =
        of_batch ? journal_.MoneyOf(row.Int(1)) : all.money;
    CheckRoom(of_batch ? row.Int(1) : 0, row.Int(2), held, came_late);
    if (held.reserved < 0 || held != told || !(of_batch || all.is_there)) {
      report_(kBalances,
              absl::StrCat("budget of scope ", row.Int(0), ": ", Describe(held),
                           "; the journal says ", Describe(told)));
    }
    if (row.Int(6)) counts_.Add("commits while a budget bound");
  }
  if (any) return;
  SqliteStatement lane =
      queue.Query("SELECT id FROM lane WHERE blocked & 4 != 0");
  if (lane.Step()) {
    report_(kBudgets, absl::StrCat("lane ", lane.Int(0),
                                   " is held by a budget, and there is none"));
  }
}

}  // namespace midwatch::sim
