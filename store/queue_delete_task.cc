// Deleting tasks of no batch, some with each write, each of them whole.
//
// What they cost stays in the journal, in the hour in which it was charged: of
// the rows of one tenant's queue that moved money in the same hour the last one
// holds the sum. So the journal adds up to what it did before, in all and for
// each day. No number of it comes again: the row that tells of the deletion
// takes one before any is given up.
#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/guard.h"
#include "base/status_macros.h"
#include "store/labels.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

constexpr int64_t kHourMicros = 3'600'000'000;

// Bounds the time of one write; a task with a history like no other goes alone.
constexpr int64_t kJournalRowsMax = 1'000;

// What the journal holds of deleted tasks of one tenant's queue in one hour.
struct HourSum {
  int64_t seq = 0;  // the row that stays
  int64_t lane = 0, reserved = 0, charged = 0, over = 0;
  std::set<int64_t> tasks;
};

std::string TasksInWords(size_t tasks, const std::string& reason) {
  return absl::StrCat(tasks, tasks == 1 ? " task" : " tasks",
                      reason.empty() ? "" : ": ", reason);
}

}  // namespace

absl::StatusOr<TasksDeleted> QueueWriter::Do(const DeleteTasks& write) {
  if (write.tasks.size() > static_cast<size_t>(kDeletedTasksMax)) {
    return absl::InvalidArgumentError(absl::StrCat(
        write.tasks.size(), " tasks to delete with one write, and ",
        kDeletedTasksMax, " may be"));
  }
  TasksDeleted result;
  std::vector<SingleTask> going;
  int64_t rows = 0;
  for (RowKey key : write.tasks) {
    ASSIGN_OR_RETURN(std::optional<SingleTask> task, LoadSingle(key));
    std::string why;
    if (task && Stands(Guard::kSingleDeletionWaits)) {
      ASSIGN_OR_RETURN(why, WhyItStays(*task));
    }
    if (task && why.empty()) {
      ASSIGN_OR_RETURN(const int64_t more, JournalRowsOf(key.row));
      rows += more;
      if (rows > kJournalRowsMax && !going.empty()) break;
      going.push_back(*std::move(task));
    } else if (task) {
      if (result.kept.empty()) result.why = std::move(why);
      result.kept.push_back(key);
    }
    ++result.looked_at;
  }
  if (going.empty()) return result;
  RETURN_IF_ERROR(TellDeletion(going, write.reason));
  RETURN_IF_ERROR(SumUpJournal(going, write.reason));
  int64_t highest = 0;
  for (const SingleTask& task : going) {
    int room = std::numeric_limits<int>::max();
    RETURN_IF_ERROR(DeleteRowsOf(task.id, task.labels, room));
    // A retry's is that of what it tries again. Nothing tries this one again.
    if (!task.is_retry) {
      RETURN_IF_ERROR(
          db_.Run("DELETE FROM template WHERE id = ?", task.template_id));
    }
    RETURN_IF_ERROR(db_.Run("DELETE FROM task WHERE id = ?", task.id));
    highest = std::max(highest, task.id);
  }
  // Of the rows that are remembered some may be gone.
  known_ = {};
  RETURN_IF_ERROR(RaiseTaskFloor(highest));
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO meta(key, value) VALUES ('tasks_deleted_at', ?) "
      "ON CONFLICT(key) DO UPDATE SET value = max(value, excluded.value)",
      NowMicros()));
  return result;
}

absl::StatusOr<std::optional<QueueWriter::SingleTask>> QueueWriter::LoadSingle(
    RowKey key) {
  SqliteStatement row = db_.Query(
      "SELECT t.at, t.state, t.template, t.lane, l.tenant, t.queue, "
      "t.retry_of, t.labels, l.account FROM task t JOIN lane l ON l.id = "
      "t.lane "
      "WHERE t.id = ? AND t.batch = 0",
      key.row);
  std::optional<SingleTask> task;
  if (row.Step() && row.Int(0) / 1000 == key.unix_millis &&
      IsFinal(static_cast<v1::TaskState>(row.Int(1)))) {
    task = SingleTask{.id = key.row,
                      .template_id = row.Int(2),
                      .lane = row.Int(3),
                      .tenant = row.Int(4),
                      .queue = row.Int(5),
                      .account = row.Int(8),
                      .is_retry = !row.IsNull(6),
                      .labels = LabelsFromLines(row.Text(7))};
  }
  RETURN_IF_ERROR(row.status());
  return task;
}

absl::StatusOr<int64_t> QueueWriter::JournalRowsOf(int64_t task) {
  SqliteStatement row = db_.Query(
      "SELECT count(*) FROM (SELECT 1 FROM journal "
      "WHERE task = ? AND task > 0 AND batch = 0 LIMIT ?)",
      task, kJournalRowsMax + 1);
  const int64_t rows = row.Step() ? row.Int(0) : 0;
  RETURN_IF_ERROR(row.status());
  return rows;
}

absl::StatusOr<std::string> QueueWriter::WhyItStays(const SingleTask& single) {
  const int64_t task = single.id;
  {
    SqliteStatement row = db_.Query(
        "SELECT 1 FROM attempt a CROSS JOIN errand e ON e.account = ? "
        "AND e.session = a.session WHERE a.task = ? LIMIT 1",
        single.account, task);
    if (row.Step()) {
      return "a session of it is not archived, so what it cost may change";
    }
    RETURN_IF_ERROR(row.status());
  }
  struct Case {
    const char* why;
    const char* sql;
  };
  constexpr const char* kNeeded = "an unfinished task needs it";
  for (const Case& each : {
           Case{kNeeded,
                "SELECT 1 FROM need WHERE need = ? AND open = 1 AND "
                "need IS NOT NULL LIMIT 1"},
           Case{kNeeded,
                "SELECT 1 FROM need WHERE need = ? AND open = 2 AND "
                "need IS NOT NULL LIMIT 1"},
           // Finished or not: it has the spec of this one, and leads from what
           // this one may be a retry of to what came of it.
           Case{"a task that tries it again is there yet",
                "SELECT 1 FROM task WHERE retry_of = ? AND retry_of IS NOT "
                "NULL LIMIT 1"},
       }) {
    SqliteStatement row = db_.Query(each.sql, task);
    if (row.Step()) return each.why;
    RETURN_IF_ERROR(row.status());
  }
  {
    SqliteStatement row = db_.Query(
        "SELECT 1 FROM task t JOIN lane l ON l.id = t.lane JOIN unique_key u "
        "ON u.tenant = l.tenant AND u.key = t.ukey "
        "WHERE t.id = ? AND u.task = t.id AND u.until > ?",
        task, NowMicros());
    if (row.Step()) return "it holds its unique key for longer";
    RETURN_IF_ERROR(row.status());
  }
  // It stands in for a task of a batch there, which others may be given.
  ASSIGN_OR_RETURN(const int64_t batch, BatchItTriesAgain(task));
  if (batch == 0) return "";
  ASSIGN_OR_RETURN(const bool open, AnyOpenOf(batch));
  return open ? "it tries a task of a batch again, which is not done or is "
                "being tried again"
              : "";
}

absl::StatusOr<int64_t> QueueWriter::BatchItTriesAgain(int64_t task) {
  SqliteStatement row = db_.Query(
      "WITH RECURSIVE before(id) AS (SELECT ? UNION "
      "SELECT t.retry_of FROM before b CROSS JOIN task t ON t.id = b.id "
      "WHERE t.retry_of IS NOT NULL) "
      "SELECT t.batch FROM before b CROSS JOIN task t ON t.id = b.id "
      "WHERE t.batch > 0 LIMIT 1",
      task);
  const int64_t batch = row.Step() ? row.Int(0) : 0;
  RETURN_IF_ERROR(row.status());
  return batch;
}

absl::Status QueueWriter::TellDeletion(const std::vector<SingleTask>& going,
                                       const std::string& reason) {
  struct Told {
    int64_t lane = 0;
    size_t tasks = 0;
  };
  std::map<std::pair<int64_t, int64_t>, Told> queues;
  for (const SingleTask& task : going) {
    Told& told = queues[{task.tenant, task.queue}];
    told.lane = task.lane;
    ++told.tasks;
  }
  for (const auto& [queue, told] : queues) {
    JournalEntry entry{.kind = JournalKind::kTasksDeleted,
                       .who = told.lane,
                       .why = TasksInWords(told.tasks, reason)};
    RETURN_IF_ERROR(Journal(entry).status());
  }
  return absl::OkStatus();
}

absl::Status QueueWriter::SumUpJournal(const std::vector<SingleTask>& going,
                                       const std::string& reason) {
  // By tenant, queue and hour.
  std::map<std::tuple<int64_t, int64_t, int64_t>, HourSum> sums;
  for (const SingleTask& task : going) {
    SqliteStatement row = db_.Query(
        "SELECT seq, at, reserve_d, charge_d, over_d FROM journal "
        "WHERE task = ? AND task > 0 AND batch = 0",
        task.id);
    while (row.Step()) {
      if (row.Int(2) == 0 && row.Int(3) == 0 && row.Int(4) == 0) continue;
      HourSum& sum = sums[{task.tenant, task.queue, row.Int(1) / kHourMicros}];
      sum.seq = std::max(sum.seq, row.Int(0));
      sum.lane = task.lane;
      sum.reserved += row.Int(2);
      sum.charged += row.Int(3);
      sum.over += row.Int(4);
      sum.tasks.insert(task.id);
    }
    RETURN_IF_ERROR(row.status());
  }
  for (const auto& [hour, sum] : sums) {
    if (sum.reserved == 0 && sum.charged == 0 && sum.over == 0) continue;
    RETURN_IF_ERROR(db_.Run(
        "UPDATE journal SET kind = ?, task = 0, n = 0, state = 0, who = ?, "
        "reserve_d = ?, charge_d = ?, over_d = ?, class = 0, why = ? "
        "WHERE seq = ?",
        static_cast<int>(JournalKind::kTasksDeleted), sum.lane, sum.reserved,
        sum.charged, sum.over, TasksInWords(sum.tasks.size(), reason),
        sum.seq));
  }
  for (const SingleTask& task : going) {
    RETURN_IF_ERROR(
        db_.Run("DELETE FROM journal WHERE task = ? AND task > 0 AND batch = 0",
                task.id));
  }
  return absl::OkStatus();
}

}  // namespace midwatch
