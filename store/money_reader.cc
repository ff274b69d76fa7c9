// The journal as a ledger, and budgets with their balances.
#include <algorithm>

#include "base/status_macros.h"
#include "store/budget_window.h"
#include "store/queue_reader.h"

namespace midwatch {
namespace {

// How many rows of the journal one page looks at.
constexpr int kJournalRowsMax = 10'000;
// In the statements.
static_assert(static_cast<int>(JournalKind::kTasksDeleted) == 61);

#define MIDWATCH_LEDGER_COLUMNS                                               \
  "SELECT j.seq, j.at, j.kind, j.task, t.at, t.name, j.n, j.state, "          \
  "j.reserve_d, j.charge_d, j.over_d, j.class, j.why, j.who, j.batch, b.at, " \
  "tn.name, qn.name FROM journal j LEFT JOIN task t ON t.id = j.task "        \
  "LEFT JOIN batch b ON b.id = j.batch LEFT JOIN lane l ON "                  \
  "l.id = CASE j.kind WHEN 61 THEN j.who ELSE t.lane END "                    \
  "LEFT JOIN label tn ON tn.id = ifnull(l.tenant, b.tenant) "                 \
  "LEFT JOIN label qn ON qn.id = ifnull(l.queue, b.queue) "

JournalRecord ReadLedgerRow(const SqliteStatement& row) {
  JournalRecord entry = ReadJournalRow(row);
  entry.batch = row.Int(14);
  if (entry.batch != 0) {
    entry.batch_key = RowKey{entry.batch, row.Int(15) / 1000};
  }
  if (entry.kind == JournalKind::kTasksDeleted) entry.who = 0;  // a lane
  entry.tenant = row.Text(16);
  entry.queue = row.Text(17);
  return entry;
}

bool IsWanted(const MoneyFilter& filter, const JournalRecord& entry) {
  bool moved = entry.reserve_delta != 0 || entry.charge_delta != 0 ||
               entry.over_delta != 0;
  return (!filter.task.has_value() || entry.task == filter.task) &&
         (filter.tenant.empty() || entry.tenant == filter.tenant) &&
         (filter.queue.empty() || entry.queue == filter.queue) &&
         entry.at >= filter.from && entry.at < filter.until &&
         (!filter.money_only || moved) &&
         (filter.kinds.empty() ||
          std::count(filter.kinds.begin(), filter.kinds.end(), entry.kind) > 0);
}

}  // namespace

// The journal's times rise with its numbers, but for a clock that was set back:
// what it wrote twice may then be left out at the beginning of a span.
absl::StatusOr<int64_t> SqliteReader::SeqBefore(absl::Time at) {
  ASSIGN_OR_RETURN(int64_t high, LastJournalSeq());
  int64_t low = 0;
  while (low < high) {
    int64_t middle = low + (high - low) / 2;
    SqliteStatement row = queue_->Query(
        "SELECT at FROM journal WHERE seq > ? ORDER BY seq LIMIT 1", middle);
    bool before = row.Step() && absl::FromUnixMicros(row.Int(0)) < at;
    RETURN_IF_ERROR(row.status());
    if (before) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

absl::StatusOr<RowPage<JournalRecord>> SqliteReader::ListMoney(
    const MoneyFilter& filter, int64_t after_seq, int limit) {
  absl::Time from = filter.from;
  std::optional<RowKey> batch = filter.batch;
  if (batch.has_value()) {
    // Of one that is deleted, what is left says what became of it.
    const absl::Status there = GetBatch(*batch).status();
    if (!there.ok() && !absl::IsNotFound(there)) return there;
    SqliteStatement row =
        queue_->Query("SELECT 1 FROM batch WHERE id = ? AND at / 1000 = ?",
                      batch->row, batch->unix_millis);
    const bool was = row.Step();
    RETURN_IF_ERROR(row.status());
    if (!was) return there;
  }
  if (filter.task.has_value()) {
    ASSIGN_OR_RETURN(TaskRecord task, GetTask(*filter.task));
    from = std::max(from, task.at);
    if (!batch.has_value()) batch = task.batch;
  }
  if (after_seq == 0 && from > absl::UnixEpoch()) {
    ASSIGN_OR_RETURN(after_seq, SeqBefore(from));
  }
  SqliteStatement row =
      batch.has_value()
          ? queue_->Query(MIDWATCH_LEDGER_COLUMNS
                          "WHERE j.batch = ? AND j.batch > 0 AND j.seq > ? "
                          "ORDER BY j.seq LIMIT ?",
                          batch->row, after_seq, kJournalRowsMax)
      : filter.task.has_value()
          ? queue_->Query(MIDWATCH_LEDGER_COLUMNS
                          "WHERE j.batch = 0 AND j.task = ? AND j.task > 0 "
                          "AND j.seq > ? ORDER BY j.seq LIMIT ?",
                          filter.task->row, after_seq, kJournalRowsMax)
          : queue_->Query(MIDWATCH_LEDGER_COLUMNS
                          "WHERE j.seq > ? ORDER BY j.seq LIMIT ?",
                          after_seq, kJournalRowsMax);
  RowPage<JournalRecord> page;
  int examined = 0;
  while (row.Step()) {
    JournalRecord entry = ReadLedgerRow(row);
    int64_t seq = entry.seq;
    if (IsWanted(filter, entry)) page.rows.push_back(std::move(entry));
    if (++examined == kJournalRowsMax ||
        page.rows.size() == static_cast<size_t>(limit)) {
      page.next = seq;
      break;
    }
  }
  RETURN_IF_ERROR(row.status());
  return page;
}

absl::Status SqliteReader::ReadBalance(BudgetRecord& budget, int64_t ref,
                                       absl::Time at) {
  ASSIGN_OR_RETURN(TimeWindow window, WindowAt(budget.window, budget.zone, at));
  budget.window_start = window.start;
  budget.window_end = window.end;
  {
    SqliteStatement row = queue_->Query(
        "SELECT charged, reserved, over FROM balance "
        "WHERE budget = ? AND start <= ? AND until > ? "
        "ORDER BY start DESC LIMIT 1",
        budget.id, absl::ToUnixMicros(at), absl::ToUnixMicros(at));
    if (row.Step()) {
      budget.charged = row.Int(0);
      budget.reserved = row.Int(1);
      budget.over = row.Int(2);
    }
    RETURN_IF_ERROR(row.status());
  }
  // A lane may wait for another of its budgets.
  SqliteStatement row = queue_->Query(
      "SELECT 1 FROM lane l WHERE blocked & 4 != 0 AND head IS NOT NULL AND "
      "CASE ? WHEN 1 THEN tenant WHEN 2 THEN queue ELSE batch END = ? AND "
      "(SELECT t.max_cost - t.charged FROM ready r JOIN task t ON t.id = "
      "r.task "
      "WHERE r.lane = l.id ORDER BY r.rank LIMIT 1) > ? LIMIT 1",
      static_cast<int>(budget.scope), ref,
      budget.limit - budget.charged - budget.reserved);
  budget.tasks_wait = row.Step();
  return row.status();
}

absl::StatusOr<RowPage<BudgetRecord>> SqliteReader::ListBudgets(absl::Time at,
                                                                int64_t after,
                                                                int limit) {
  RowPage<BudgetRecord> page;
  std::vector<int64_t> refs;
  {
    SqliteStatement row = queue_->Query(
        "SELECT u.id, u.scope, u.ref, u.win, u.zone, u.lim, n.name, b.at "
        "FROM budget u LEFT JOIN label n ON n.id = u.ref AND u.scope < 3 "
        "LEFT JOIN batch b ON b.id = u.ref AND u.scope = 3 "
        "WHERE u.id > ? ORDER BY u.id LIMIT ?",
        after, limit);
    while (row.Step()) {
      BudgetRecord& budget = page.rows.emplace_back();
      budget.id = row.Int(0);
      budget.scope = static_cast<v1::BudgetScope>(row.Int(1));
      refs.push_back(row.Int(2));
      budget.window = static_cast<v1::BudgetWindow>(row.Int(3));
      budget.zone = row.Text(4);
      budget.limit = row.Int(5);
      budget.name = row.Text(6);
      if (budget.scope == v1::BUDGET_SCOPE_BATCH) {
        budget.batch = RowKey{refs.back(), row.Int(7) / 1000};
      }
    }
    RETURN_IF_ERROR(row.status());
  }
  for (size_t i = 0; i < page.rows.size(); ++i) {
    RETURN_IF_ERROR(ReadBalance(page.rows[i], refs[i], at));
  }
  if (page.rows.size() == static_cast<size_t>(limit)) {
    page.next = page.rows.back().id;
  }
  return page;
}

}  // namespace midwatch
