// Deleting tasks of no batch, some with each write, each of them whole.
//
// What they cost stays in the journal: a row for each tenant's queue, so that
// the ledger of either adds up to what it did before.
#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "store/labels.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

struct SingleTask {
  int64_t template_id = 0, lane = 0, tenant = 0, queue = 0;
  bool is_retry = false;
  Labels labels;
};

absl::StatusOr<std::set<int64_t>> TasksWithErrands(Sqlite& db) {
  std::set<int64_t> tasks;
  SqliteStatement row = db.Query("SELECT DISTINCT task FROM errand");
  while (row.Step()) tasks.insert(row.Int(0));
  RETURN_IF_ERROR(row.status());
  return tasks;
}

// Nothing, where it is not there, has a batch or is not final.
absl::StatusOr<std::optional<SingleTask>> LoadSingle(Sqlite& db, RowKey key) {
  SqliteStatement row = db.Query(
      "SELECT t.at, t.state, t.template, t.lane, l.tenant, t.queue, "
      "t.retry_of, t.labels FROM task t JOIN lane l ON l.id = t.lane "
      "WHERE t.id = ? AND t.batch = 0",
      key.row);
  std::optional<SingleTask> task;
  if (row.Step() && row.Int(0) / 1000 == key.unix_millis &&
      IsFinal(static_cast<v1::TaskState>(row.Int(1)))) {
    task = SingleTask{.template_id = row.Int(2),
                      .lane = row.Int(3),
                      .tenant = row.Int(4),
                      .queue = row.Int(5),
                      .is_retry = !row.IsNull(6),
                      .labels = LabelsFromLines(row.Text(7))};
  }
  RETURN_IF_ERROR(row.status());
  return task;
}

}  // namespace

absl::StatusOr<TasksDeleted> QueueWriter::Do(const DeleteTasks& write) {
  if (write.tasks.size() > static_cast<size_t>(kDeletedTasksMax)) {
    return absl::InvalidArgumentError(absl::StrCat(
        write.tasks.size(), " tasks to delete with one write, and ",
        kDeletedTasksMax, " may be"));
  }
  TasksDeleted result;
  struct Sum {
    JournalEntry entry;
    int tasks = 0;
  };
  std::map<std::pair<int64_t, int64_t>, Sum> sums;  // by tenant and queue
  int64_t highest = 0;
  ASSIGN_OR_RETURN(const std::set<int64_t> errands, TasksWithErrands(db_));
  for (RowKey key : write.tasks) {
    ASSIGN_OR_RETURN(std::optional<SingleTask> task, LoadSingle(db_, key));
    if (!task) continue;
    std::string why =
        "a session of it is not archived, so what it cost may change";
    if (errands.count(key.row) == 0) {
      ASSIGN_OR_RETURN(why, WhyItStays(key.row));
    }
    if (!why.empty()) {
      if (result.kept.empty()) result.why = std::move(why);
      result.kept.push_back(key);
      continue;
    }
    Sum& sum = sums[{task->tenant, task->queue}];
    sum.entry.who = task->lane;
    ++sum.tasks;
    int room = std::numeric_limits<int>::max();
    RETURN_IF_ERROR(DeleteRowsOf(key.row, task->labels, room));
    RETURN_IF_ERROR(SumUpJournal(key.row, sum.entry));
    // Retries have the spec of what they try again.
    if (!task->is_retry) {
      RETURN_IF_ERROR(
          db_.Run("DELETE FROM template WHERE id = ? AND "
                  "NOT EXISTS (SELECT 1 FROM task WHERE retry_of = ?)",
                  task->template_id, key.row));
    }
    RETURN_IF_ERROR(db_.Run("DELETE FROM task WHERE id = ?", key.row));
    highest = std::max(highest, key.row);
  }
  if (highest == 0) return result;
  // Of the rows that are remembered some may be gone.
  known_ = {};
  for (auto& [scopes, sum] : sums) {
    sum.entry.kind = JournalKind::kTasksDeleted;
    sum.entry.why =
        absl::StrCat(sum.tasks, sum.tasks == 1 ? " task" : " tasks",
                     write.reason.empty() ? "" : ": ", write.reason);
    RETURN_IF_ERROR(Journal(sum.entry).status());
  }
  RETURN_IF_ERROR(RaiseTaskFloor(highest));
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO meta(key, value) VALUES ('tasks_deleted_at', ?) "
      "ON CONFLICT(key) DO UPDATE SET value = max(value, excluded.value)",
      NowMicros()));
  return result;
}

absl::StatusOr<std::string> QueueWriter::WhyItStays(int64_t task) {
  struct Case {
    const char* why;
    const char* sql;
  };
  constexpr const char* kNeeded = "an unfinished task needs it";
  static_assert(v1::TASK_STATE_SUCCEEDED == 6);  // final ones from here on
  for (const Case& each : {
           Case{kNeeded,
                "SELECT 1 FROM need WHERE need = ? AND open = 1 AND "
                "need IS NOT NULL LIMIT 1"},
           Case{kNeeded,
                "SELECT 1 FROM need WHERE need = ? AND open = 2 AND "
                "need IS NOT NULL LIMIT 1"},
           Case{"an unfinished task tries it again",
                "SELECT 1 FROM task WHERE retry_of = ? AND retry_of IS NOT "
                "NULL AND state < 6 LIMIT 1"},
       }) {
    SqliteStatement row = db_.Query(each.sql, task);
    if (row.Step()) return each.why;
    RETURN_IF_ERROR(row.status());
  }
  SqliteStatement row = db_.Query(
      "SELECT 1 FROM task t JOIN lane l ON l.id = t.lane JOIN unique_key u "
      "ON u.tenant = l.tenant AND u.key = t.ukey "
      "WHERE t.id = ? AND u.task = t.id AND u.until > ?",
      task, NowMicros());
  if (row.Step()) return "it holds its unique key for longer";
  RETURN_IF_ERROR(row.status());
  return "";
}

absl::Status QueueWriter::SumUpJournal(int64_t task, JournalEntry& sum) {
  {
    SqliteStatement row = db_.Query(
        "SELECT sum(reserve_d), sum(charge_d), sum(over_d) FROM journal "
        "WHERE task = ? AND task > 0 AND batch = 0",
        task);
    if (row.Step()) {
      sum.reserve_delta += row.Int(0);
      sum.charge_delta += row.Int(1);
      sum.over_delta += row.Int(2);
    }
    RETURN_IF_ERROR(row.status());
  }
  return db_.Run(
      "DELETE FROM journal WHERE task = ? AND task > 0 AND batch = 0", task);
}

}  // namespace midwatch
