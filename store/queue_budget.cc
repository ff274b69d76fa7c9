// Budgets: what may be spent in a scope, and what is set aside and charged.
#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/guard.h"
#include "base/status_macros.h"
#include "store/budget_window.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

constexpr int64_t kNeverGranted = std::numeric_limits<int64_t>::max();

const char* ScopeWord(v1::BudgetScope scope) {
  return scope == v1::BUDGET_SCOPE_TENANT  ? "tenant"
         : scope == v1::BUDGET_SCOPE_QUEUE ? "queue"
                                           : "batch";
}

// For the journal: "tenant acme, a day in Europe/Vienna".
template <typename W>
std::string Words(const W& write) {
  const char* scope = write.scope == v1::BUDGET_SCOPE_TENANT  ? "tenant "
                      : write.scope == v1::BUDGET_SCOPE_QUEUE ? "queue "
                                                              : "batch";
  const char* window = write.window == v1::BUDGET_WINDOW_DAY     ? "a day"
                       : write.window == v1::BUDGET_WINDOW_MONTH ? "a month"
                                                                 : "in total";
  return absl::StrCat(scope, write.name, ", ", window);
}

}  // namespace

absl::StatusOr<bool> QueueWriter::HasBudgets() {
  if (!known_.has_budgets.has_value()) {
    SqliteStatement row = db_.Query("SELECT 1 FROM budget LIMIT 1");
    bool any = row.Step();
    RETURN_IF_ERROR(row.status());
    known_.has_budgets = any;
  }
  return *known_.has_budgets;
}

absl::StatusOr<QueueWriter::Scopes> QueueWriter::ScopesOf(int64_t lane) {
  ASSIGN_OR_RETURN(const LaneIdentity is, IdentityOf(lane));
  return Scopes{is.tenant, is.queue, is.batch};
}

absl::StatusOr<QueueWriter::Balance> QueueWriter::BalanceOf(
    const BudgetRecord& budget, int64_t ref, int64_t at) {
  Balance balance{.budget = budget.id,
                  .ref = ref,
                  .start = 0,
                  .room = budget.limit,
                  .scope = budget.scope};
  {
    SqliteStatement row = db_.Query(
        "SELECT start, charged + reserved FROM balance "
        "WHERE budget = ? AND start <= ? AND until > ? "
        "ORDER BY start DESC LIMIT 1",
        budget.id, at, at);
    if (row.Step()) {
      balance.start = row.Int(0);
      balance.room -= row.Int(1);
      return balance;
    }
    RETURN_IF_ERROR(row.status());
  }
  ASSIGN_OR_RETURN(TimeWindow window, WindowAt(budget.window, budget.zone,
                                               absl::FromUnixMicros(at)));
  balance.start = absl::ToUnixMicros(window.start);
  RETURN_IF_ERROR(
      db_.Run("INSERT INTO balance(budget, start, until) VALUES (?, ?, ?)",
              budget.id, balance.start, absl::ToUnixMicros(window.end)));
  return balance;
}

absl::StatusOr<std::vector<QueueWriter::Balance>> QueueWriter::BalancesAt(
    const Scopes& scopes, int64_t at, int64_t grant_seq) {
  std::vector<std::pair<BudgetRecord, int64_t>> budgets;
  {
    SqliteStatement row = db_.Query(
        "SELECT id, scope, ref, win, zone, lim FROM budget WHERE since < ? AND "
        "((scope = 1 AND ref = ?) OR (scope = 2 AND ref = ?) OR "
        "(scope = 3 AND ref = ?)) ORDER BY id",
        grant_seq, scopes.tenant, scopes.queue, scopes.batch);
    while (row.Step()) {
      BudgetRecord budget;
      budget.id = row.Int(0);
      budget.scope = static_cast<v1::BudgetScope>(row.Int(1));
      budget.window = static_cast<v1::BudgetWindow>(row.Int(3));
      budget.zone = row.Text(4);
      budget.limit = row.Int(5);
      budgets.emplace_back(std::move(budget), row.Int(2));
    }
    RETURN_IF_ERROR(row.status());
  }
  std::vector<Balance> balances;
  for (const auto& [budget, ref] : budgets) {
    ASSIGN_OR_RETURN(Balance balance, BalanceOf(budget, ref, at));
    balances.push_back(balance);
  }
  return balances;
}

absl::Status QueueWriter::ViewBudgets(const Scopes& scopes, LaneView& lane,
                                      AdmissionView& view) {
  ASSIGN_OR_RETURN(std::vector<Balance> balances,
                   BalancesAt(scopes, NowMicros(), kNeverGranted));
  for (const Balance& balance : balances) {
    lane.budgets.push_back(balance.budget);
    bool seen = std::any_of(view.budgets.begin(), view.budgets.end(),
                            [&](const BudgetRoomView& other) {
                              return other.budget == balance.budget;
                            });
    if (!seen) view.budgets.push_back({balance.budget, balance.room});
  }
  return absl::OkStatus();
}

absl::Status QueueWriter::Reserve(const Scopes& scopes, const LiveRow& live) {
  ASSIGN_OR_RETURN(bool any, HasBudgets());
  if (!any) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::vector<Balance> balances,
                   BalancesAt(scopes, live.granted_at, live.grant_seq));
  for (const Balance& balance : balances) {
    if (Stands(Guard::kReservation) && balance.room < live.reserved) {
      return absl::InternalError(
          absl::StrCat("admission granted task ", live.lease.task, " ",
                       live.reserved, " micro-dollars, and budget ",
                       balance.budget, " has ", balance.room, " left"));
    }
    RETURN_IF_ERROR(
        db_.Run("UPDATE balance SET reserved = reserved + ? "
                "WHERE budget = ? AND start = ?",
                live.reserved, balance.budget, balance.start));
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> QueueWriter::RaiseReservation(const TaskRow& task,
                                                      const LiveRow& live,
                                                      int64_t to) {
  const int64_t reserve = to + live.overshoot;
  const int64_t more = reserve - live.reserved;
  // It may be as high already.
  if (more <= 0) return 0;
  ASSIGN_OR_RETURN(Scopes scopes, ScopesOf(task.lane));
  ASSIGN_OR_RETURN(std::vector<Balance> balances,
                   BalancesAt(scopes, live.granted_at, live.grant_seq));
  for (const Balance& balance : balances) {
    if (balance.room >= more) continue;
    return absl::FailedPreconditionError(absl::StrCat(
        "a budget of the task's ", ScopeWord(balance.scope), " has room for ",
        std::max<int64_t>(0, balance.room), " micro-dollars, and this takes ",
        more, " more; raise that budget first, or raise by less"));
  }
  for (const Balance& balance : balances) {
    RETURN_IF_ERROR(
        db_.Run("UPDATE balance SET reserved = reserved + ? "
                "WHERE budget = ? AND start = ?",
                more, balance.budget, balance.start));
  }
  RETURN_IF_ERROR(
      db_.Run("UPDATE live SET reserved = ? WHERE task = ?", reserve, task.id));
  RETURN_IF_ERROR(db_.Run(
      "UPDATE task SET reserved = ?, max_cost = max(max_cost, charged + ?) "
      "WHERE id = ?",
      reserve, to, task.id));
  return more;
}

absl::Status QueueWriter::Release(int64_t lane, const LiveRow& live,
                                  int64_t charged) {
  ASSIGN_OR_RETURN(bool any, HasBudgets());
  if (!any) return absl::OkStatus();
  ASSIGN_OR_RETURN(Scopes scopes, ScopesOf(lane));
  ASSIGN_OR_RETURN(std::vector<Balance> balances,
                   BalancesAt(scopes, live.granted_at, live.grant_seq));
  for (const Balance& balance : balances) {
    RETURN_IF_ERROR(db_.Run(
        "UPDATE balance SET reserved = reserved - ?, charged = charged + ?, "
        "over = over + ? WHERE budget = ? AND start = ?",
        live.reserved, charged, std::max<int64_t>(0, charged - live.reserved),
        balance.budget, balance.start));
    if (charged < live.reserved) {
      RETURN_IF_ERROR(UnblockScope(balance.scope, balance.ref));
    }
  }
  return absl::OkStatus();
}

absl::Status QueueWriter::AdjustBalances(int64_t lane, int64_t granted_at,
                                         int64_t grant_seq,
                                         int64_t charge_delta,
                                         int64_t over_delta) {
  ASSIGN_OR_RETURN(bool any, HasBudgets());
  if (!any) return absl::OkStatus();
  ASSIGN_OR_RETURN(Scopes scopes, ScopesOf(lane));
  ASSIGN_OR_RETURN(std::vector<Balance> balances,
                   BalancesAt(scopes, granted_at, grant_seq));
  for (const Balance& balance : balances) {
    RETURN_IF_ERROR(
        db_.Run("UPDATE balance SET charged = charged + ?, over = over + ? "
                "WHERE budget = ? AND start = ?",
                charge_delta, over_delta, balance.budget, balance.start));
    if (charge_delta < 0) {
      RETURN_IF_ERROR(UnblockScope(balance.scope, balance.ref));
    }
  }
  return absl::OkStatus();
}

absl::Status QueueWriter::UnblockScope(v1::BudgetScope scope, int64_t ref) {
  static_assert(static_cast<int>(LaneBlock::kBudget) == 4,
                "the bit is in the statements and in an index");
  switch (scope) {
    case v1::BUDGET_SCOPE_TENANT:
      return db_.Run(
          "UPDATE lane SET blocked = blocked & ~4 "
          "WHERE tenant = ? AND blocked & 4 != 0",
          ref);
    case v1::BUDGET_SCOPE_QUEUE:
      return db_.Run(
          "UPDATE lane SET blocked = blocked & ~4 "
          "WHERE queue = ? AND blocked & 4 != 0",
          ref);
    default:
      return db_.Run(
          "UPDATE lane SET blocked = blocked & ~4 "
          "WHERE batch = ? AND batch > 0 AND blocked & 4 != 0",
          ref);
  }
}

absl::StatusOr<int64_t> QueueWriter::RefOf(v1::BudgetScope scope,
                                           const std::string& name,
                                           RowKey row) {
  if (scope == v1::BUDGET_SCOPE_TENANT) return LabelId(kTenantLabel, name);
  if (scope == v1::BUDGET_SCOPE_QUEUE) return LabelId(kQueueLabel, name);
  SqliteStatement batch = db_.Query(
      "SELECT at FROM batch WHERE id = ? AND deleted_at IS NULL", row.row);
  bool found = batch.Step() && batch.Int(0) / 1000 == row.unix_millis;
  RETURN_IF_ERROR(batch.status());
  if (!found) return absl::NotFoundError("no such batch");
  return row.row;
}

absl::StatusOr<int64_t> QueueWriter::InsertBudget(const SetBudget& write,
                                                  int64_t ref) {
  bool counts_all = write.scope == v1::BUDGET_SCOPE_BATCH &&
                    write.window == v1::BUDGET_WINDOW_TOTAL;
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO budget(scope, ref, win, zone, lim, since) VALUES "
      "(?, ?, ?, ?, ?, CASE WHEN ? THEN 0 ELSE "
      "(SELECT ifnull(max(seq), 0) FROM journal) END)",
      static_cast<int>(write.scope), ref, static_cast<int>(write.window),
      write.zone, write.limit, counts_all ? 1 : 0));
  int64_t id = db_.last_insert_id();
  known_.has_budgets = true;
  if (counts_all) {
    RETURN_IF_ERROR(db_.Run(
        "INSERT INTO balance(budget, start, until, charged, reserved, over) "
        "SELECT ?, ?, ?, charged, reserved, over FROM batch WHERE id = ?",
        id, absl::ToUnixMicros(absl::InfinitePast()),
        absl::ToUnixMicros(absl::InfiniteFuture()), ref));
    RETURN_IF_ERROR(BeginForecast(ref));
  }
  if (write.window != v1::BUDGET_WINDOW_TOTAL) {
    RETURN_IF_ERROR(BeginWindow(id));
  }
  return id;
}

// Plans its end, too.
absl::Status QueueWriter::BeginWindow(int64_t id) {
  BudgetRecord budget;
  int64_t ref = 0;
  {
    SqliteStatement row =
        db_.Query("SELECT scope, ref, win, zone FROM budget WHERE id = ?", id);
    if (!row.Step()) return row.status();  // deleted since
    budget.scope = static_cast<v1::BudgetScope>(row.Int(0));
    ref = row.Int(1);
    budget.window = static_cast<v1::BudgetWindow>(row.Int(2));
    budget.zone = row.Text(3);
  }
  ASSIGN_OR_RETURN(TimeWindow window,
                   WindowAt(budget.window, budget.zone, clock_.Now()));
  RETURN_IF_ERROR(
      db_.Run("INSERT INTO timer(at, kind, ref) VALUES (?, ?, ?) "
              "ON CONFLICT DO NOTHING",
              absl::ToUnixMicros(window.end), kWindowTimer, id));
  return UnblockScope(budget.scope, ref);
}

// A task's budget is its max_cost: what its next attempt may reserve follows
// from it.
absl::StatusOr<BudgetSet> QueueWriter::SetMaxCost(const SetBudget& write) {
  ASSIGN_OR_RETURN(TaskRow task, LoadTask(write.row));
  if (IsFinal(task.state)) {
    return absl::FailedPreconditionError(
        "the task is finished; `task retry` makes a new one");
  }
  if (task.state == v1::TASK_STATE_QUEUED &&
      !IsEnoughLeft(write.limit, task.charged)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the task has cost ", task.charged,
        " micro-dollars, and less than a tenth of the limit would be left for "
        "its next attempt; choose a higher one, or cancel it"));
  }
  RETURN_IF_ERROR(db_.Run("UPDATE task SET max_cost = ? WHERE id = ?",
                          write.limit, task.id));
  RETURN_IF_ERROR(db_.Run("UPDATE lane SET blocked = blocked & ~4 WHERE id = ?",
                          task.lane));
  JournalEntry entry{
      .kind = JournalKind::kBudgetSet,
      .batch = task.batch,
      .task = task.id,
      .state = task.state,
      .why = absl::StrCat("max_cost ", write.limit, " micro-dollars")};
  RETURN_IF_ERROR(Journal(entry).status());
  return BudgetSet{};
}

absl::StatusOr<BudgetSet> QueueWriter::Do(const SetBudget& write) {
  if (write.scope == v1::BUDGET_SCOPE_TASK) return SetMaxCost(write);
  ASSIGN_OR_RETURN(int64_t ref, RefOf(write.scope, write.name, write.row));
  int64_t id = 0;
  std::string zone;
  {
    SqliteStatement row = db_.Query(
        "SELECT id, zone FROM budget WHERE scope = ? AND ref = ? AND win = ?",
        static_cast<int>(write.scope), ref, static_cast<int>(write.window));
    if (row.Step()) {
      id = row.Int(0);
      zone = row.Text(1);
    }
    RETURN_IF_ERROR(row.status());
  }
  if (id == 0) {
    ASSIGN_OR_RETURN(id, InsertBudget(write, ref));
  } else if (zone != write.zone) {
    return absl::FailedPreconditionError(
        absl::StrCat("the budget is of ", zone,
                     "; delete it to set one of another time zone"));
  } else {
    RETURN_IF_ERROR(
        db_.Run("UPDATE budget SET lim = ? WHERE id = ?", write.limit, id));
  }
  known_.riskless = 0;
  RETURN_IF_ERROR(UnblockScope(write.scope, ref));
  JournalEntry entry{
      .kind = JournalKind::kBudgetSet,
      .batch = write.scope == v1::BUDGET_SCOPE_BATCH ? ref : 0,
      .why = absl::StrCat(Words(write), write.zone.empty() ? "" : " in ",
                          write.zone, ": ", write.limit, " micro-dollars")};
  RETURN_IF_ERROR(Journal(entry).status());
  return BudgetSet{id};
}

absl::StatusOr<BudgetSet> QueueWriter::Do(const DeleteBudget& write) {
  ASSIGN_OR_RETURN(int64_t ref, RefOf(write.scope, write.name, write.row));
  int64_t id = 0;
  {
    SqliteStatement row = db_.Query(
        "SELECT id FROM budget WHERE scope = ? AND ref = ? AND win = ?",
        static_cast<int>(write.scope), ref, static_cast<int>(write.window));
    if (row.Step()) id = row.Int(0);
    RETURN_IF_ERROR(row.status());
  }
  if (id == 0) return absl::NotFoundError("no such budget");
  RETURN_IF_ERROR(db_.Run("DELETE FROM balance WHERE budget = ?", id));
  RETURN_IF_ERROR(db_.Run("DELETE FROM budget WHERE id = ?", id));
  known_.has_budgets.reset();
  RETURN_IF_ERROR(UnblockScope(write.scope, ref));
  JournalEntry entry{.kind = JournalKind::kBudgetDeleted,
                     .batch = write.scope == v1::BUDGET_SCOPE_BATCH ? ref : 0,
                     .why = Words(write)};
  RETURN_IF_ERROR(Journal(entry).status());
  return BudgetSet{id};
}

}  // namespace midwatch
