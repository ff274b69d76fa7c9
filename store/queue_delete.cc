// Deleting a batch that is done, with all that hangs on it, step by step.
//
// Its own row stays: with its request_id, so that a submission said again does
// not run, and cost, a second time; and with its tenant and queue, for what the
// journal still says of its money. That is one sum in the row of its end, so
// that the whole journal adds up to what it did before.
#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/guard.h"
#include "base/status_macros.h"
#include "store/labels.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

// What hangs on a task. Each statement takes the task twice, then how many rows
// may go. A new table of tasks' rows has its line here.
constexpr const char* kRowsOfTask[] = {
    "DELETE FROM attempt WHERE task = ? AND n IN "
    "(SELECT n FROM attempt WHERE task = ? LIMIT ?)",
    "DELETE FROM say WHERE task = ? AND (n, k) IN "
    "(SELECT n, k FROM say WHERE task = ? LIMIT ?)",
    "DELETE FROM question WHERE task = ? AND id IN "
    "(SELECT id FROM question WHERE task = ? LIMIT ?)",
    "DELETE FROM need WHERE task = ? AND k IN "
    "(SELECT k FROM need WHERE task = ? LIMIT ?)",
};
// The same for what hangs on a batch and on none of its tasks.
constexpr const char* kRowsOfBatch[] = {
    "DELETE FROM lane WHERE batch = ? AND batch > 0 AND id IN "
    "(SELECT id FROM lane WHERE batch = ? AND batch > 0 LIMIT ?)",
    "DELETE FROM hook WHERE batch = ? AND id IN "
    "(SELECT id FROM hook WHERE batch = ? LIMIT ?)",
};

absl::Status HasToStay(absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("the batch cannot be deleted yet: ", why));
}

absl::StatusOr<bool> Any(SqliteStatement row) {
  const bool any = row.Step();
  RETURN_IF_ERROR(row.status());
  return any;
}

absl::StatusOr<int64_t> ReadOr(SqliteStatement row, int64_t otherwise) {
  if (row.Step() && !row.IsNull(0)) return row.Int(0);
  RETURN_IF_ERROR(row.status());
  return otherwise;
}

}  // namespace

absl::StatusOr<BatchDeleted> QueueWriter::Do(const DeleteBatch& write) {
  const int64_t id = write.batch.row;
  BatchDeleted result;
  bool marked = false, done = false;
  {
    SqliteStatement row = db_.Query(
        "SELECT at, state, lines, deleted_at, deleting FROM batch "
        "WHERE id = ?",
        id);
    const bool found = row.Step();
    RETURN_IF_ERROR(row.status());
    if (!found || row.Int(0) / 1000 != write.batch.unix_millis) {
      return absl::NotFoundError("no such batch");
    }
    done = row.Int(1) == v1::BATCH_STATE_DONE;
    result.tasks = row.Int(2);
    marked = !row.IsNull(3);
    if (marked && row.Int(4) == 0) {
      return absl::NotFoundError("the batch is deleted");
    }
  }
  if (!done) {
    return absl::FailedPreconditionError(
        "the batch is not done; cancel it first, or wait for its end, to "
        "delete it");
  }
  if (!marked) {
    // Its tasks' rows stand between these two, others' may too.
    ASSIGN_OR_RETURN(
        const int64_t first,
        ReadOr(db_.Query("SELECT id FROM task WHERE batch = ? AND batch > 0 "
                         "ORDER BY line LIMIT 1",
                         id),
               1));
    ASSIGN_OR_RETURN(
        const int64_t last,
        ReadOr(db_.Query("SELECT id FROM task WHERE batch = ? AND batch > 0 "
                         "ORDER BY line DESC LIMIT 1",
                         id),
               0));
    if (Stands(Guard::kDeletionWaits)) {
      RETURN_IF_ERROR(CheckDeletable(id, first, last));
    }
    RETURN_IF_ERROR(MarkDeleted(id, first, last, write.reason));
    result.more = true;
    return result;
  }
  int room = kDeletedRowsMax;
  RETURN_IF_ERROR(DeleteTasksOf(id, room));
  if (room > 0) RETURN_IF_ERROR(DeleteJournal(id, room));
  if (room > 0) RETURN_IF_ERROR(DeleteLanes(id, room));
  if (room > 0) RETURN_IF_ERROR(EndDeletion(id));
  result.rows = kDeletedRowsMax - room;
  result.more = room <= 0;
  // Of the rows that are remembered some may be gone.
  known_ = {};
  return result;
}

absl::Status QueueWriter::CheckDeletable(int64_t batch, int64_t first,
                                         int64_t last) {
  for (const char* sql :
       {"SELECT 1 FROM need n CROSS JOIN task t ON t.id = n.need "
        "WHERE n.open = 1 AND n.need IS NOT NULL "
        "AND n.need >= ? AND n.need <= ? AND t.batch = ? LIMIT 1",
        // Met, and not given yet.
        "SELECT 1 FROM need n CROSS JOIN task t ON t.id = n.need "
        "WHERE n.open = 2 AND n.need IS NOT NULL "
        "AND n.need >= ? AND n.need <= ? AND t.batch = ? LIMIT 1"}) {
    ASSIGN_OR_RETURN(bool needed, Any(db_.Query(sql, first, last, batch)));
    if (needed) {
      return HasToStay("an unfinished task elsewhere needs a task of it");
    }
  }
  ASSIGN_OR_RETURN(
      bool any,
      Any(db_.Query(
          "SELECT 1 FROM task r CROSS JOIN task t ON t.id = r.retry_of "
          "WHERE r.retry_of IS NOT NULL AND r.retry_of >= ? "
          "AND r.retry_of <= ? AND t.batch = ? AND r.state < ? LIMIT 1",
          first, last, batch, static_cast<int>(v1::TASK_STATE_SUCCEEDED))));
  if (any) return HasToStay("an unfinished task is a retry of one of it");
  // What is given to a retry may be left by any batch before it.
  ASSIGN_OR_RETURN(any, AnyOpenOf(batch));
  if (any) return HasToStay("a batch that tries it again is not done");
  // Of all errands: they are of the last minutes, but where a service does not
  // answer.
  ASSIGN_OR_RETURN(
      any, Any(db_.Query("SELECT 1 FROM errand e CROSS JOIN task t ON t.id = "
                         "e.task WHERE t.batch = ? LIMIT 1",
                         batch)));
  if (any) {
    return HasToStay(
        "a session of it is not archived, so what it cost may change; a worker "
        "does that within minutes");
  }
  ASSIGN_OR_RETURN(
      any, Any(db_.Query("SELECT 1 FROM hook WHERE batch = ? AND state = ?",
                         batch, static_cast<int>(v1::HOOK_STATE_DUE))));
  if (any) {
    return HasToStay(
        "a hook of it is not delivered yet; `midwatch batch get` says why");
  }
  ASSIGN_OR_RETURN(bool keys, HasUniqueKeys());
  if (!keys) return absl::OkStatus();
  ASSIGN_OR_RETURN(
      any,
      Any(db_.Query("SELECT 1 FROM unique_key u CROSS JOIN task t ON t.id = "
                    "u.task WHERE u.until IS NOT NULL AND u.until > ? "
                    "AND t.batch = ? LIMIT 1",
                    NowMicros(), batch)));
  if (any) return HasToStay("a task of it holds its unique key for longer");
  return absl::OkStatus();
}

absl::Status QueueWriter::MarkDeleted(int64_t batch, int64_t first,
                                      int64_t last, const std::string& reason) {
  // A retry has the spec of what it tries again, so then that one stays.
  ASSIGN_OR_RETURN(
      const bool keeps_spec,
      Any(db_.Query("SELECT 1 FROM task WHERE retry_of IS NOT NULL AND "
                    "retry_of >= ? AND retry_of <= ? UNION ALL "
                    "SELECT 1 FROM batch WHERE retry_of = ? UNION ALL "
                    "SELECT 1 FROM batch WHERE id = ? AND retry_of IS NOT NULL "
                    "LIMIT 1",
                    first, last, batch, batch)));
  RETURN_IF_ERROR(db_.Run(
      "UPDATE batch SET deleted_at = ?, deleting = ? WHERE id = ?", NowMicros(),
      keeps_spec && Stands(Guard::kSharedSpec) ? 2 : 1, batch));
  RETURN_IF_ERROR(
      db_.Run("DELETE FROM balance WHERE budget IN "
              "(SELECT id FROM budget WHERE scope = 3 AND ref = ?)",
              batch));
  RETURN_IF_ERROR(
      db_.Run("DELETE FROM budget WHERE scope = 3 AND ref = ?", batch));
  known_.has_budgets.reset();
  JournalEntry entry{
      .kind = JournalKind::kBatchDeleted, .batch = batch, .why = reason};
  return Journal(entry).status();
}

absl::Status QueueWriter::DeleteTasksOf(int64_t batch, int& room) {
  int64_t shared_template = 0;
  bool keeps_specs = true;  // others that try it again have them
  {
    SqliteStatement row =
        db_.Query("SELECT template, deleting FROM batch WHERE id = ?", batch);
    if (row.Step()) {
      shared_template = row.Int(0);
      keeps_specs = row.Int(1) != 1;
    }
    RETURN_IF_ERROR(row.status());
  }
  int64_t floor = 0;
  while (room > 0) {
    int64_t task = 0, template_id = 0;
    bool retries = false;
    Labels labels;
    {
      SqliteStatement row = db_.Query(
          "SELECT id, template, retry_of, labels FROM task "
          "WHERE batch = ? AND batch > 0 ORDER BY line LIMIT 1",
          batch);
      if (!row.Step()) {
        RETURN_IF_ERROR(row.status());
        break;
      }
      task = row.Int(0);
      template_id = row.Int(1);
      retries = !row.IsNull(2);
      labels = LabelsFromLines(row.Text(3));
    }
    RETURN_IF_ERROR(DeleteRowsOf(task, labels, room));
    if (room <= 0) break;
    if (template_id != shared_template && !retries && !keeps_specs) {
      RETURN_IF_ERROR(
          db_.Run("DELETE FROM template WHERE id = ? AND "
                  "NOT EXISTS (SELECT 1 FROM task WHERE retry_of = ?)",
                  template_id, task));
    }
    RETURN_IF_ERROR(db_.Run("DELETE FROM task WHERE id = ?", task));
    --room;
    floor = std::max(floor, task);
  }
  return floor == 0 ? absl::OkStatus() : RaiseTaskFloor(floor);
}

absl::Status QueueWriter::DeleteRowsOf(int64_t task, const Labels& labels,
                                       int& room) {
  for (const char* sql : kRowsOfTask) {
    RETURN_IF_ERROR(db_.Run(sql, task, task, room));
    room -= static_cast<int>(db_.changes());
    if (room <= 0) return absl::OkStatus();
  }
  // A create whose answer was lost may show yet. Whoever sweeps ends it then,
  // by its nonce. What was created before is not looked for any more.
  ASSIGN_OR_RETURN(const int64_t swept,
                   ReadOr(db_.Query("SELECT min(from_at) FROM sweep"),
                          std::numeric_limits<int64_t>::max()));
  RETURN_IF_ERROR(db_.Run(
      "DELETE FROM create_try WHERE task = ? AND (n, nonce) IN "
      "(SELECT n, nonce FROM create_try WHERE task = ? AND at < ? LIMIT ?)",
      task, task, swept, room));
  room -= static_cast<int>(db_.changes());
  if (room <= 0) return absl::OkStatus();
  for (const auto& [key, value] : labels) {
    ASSIGN_OR_RETURN(int64_t label, LabelId(kTaskLabel, LabelLine(key, value)));
    RETURN_IF_ERROR(db_.Run(
        "DELETE FROM task_label WHERE label = ? AND task = ?", label, task));
    --room;
  }
  // What is due of it is nothing any more; a timer's task has to be there.
  return db_.Run(
      "DELETE FROM timer WHERE at = 0 AND kind IN (?, ?) AND ref = ?",
      kNeedTimer, kBlockedTimer, task);
}

absl::Status QueueWriter::RaiseTaskFloor(int64_t highest) {
  return db_.Run(
      "INSERT INTO meta(key, value) VALUES ('tasks_deleted', ?) "
      "ON CONFLICT(key) DO UPDATE SET value = max(value, excluded.value)",
      highest);
}

absl::Status QueueWriter::DeleteJournal(int64_t batch, int& room) {
  const int end = static_cast<int>(JournalKind::kBatchDone);
  const int mark = static_cast<int>(JournalKind::kBatchDeleted);
  std::vector<int64_t> seqs;
  int64_t reserved = 0, charged = 0, over = 0;
  {
    SqliteStatement row = db_.Query(
        "SELECT seq, reserve_d, charge_d, over_d FROM journal "
        "WHERE batch = ? AND batch > 0 AND kind NOT IN (?, ?) "
        "ORDER BY seq LIMIT ?",
        batch, end, mark, room);
    while (row.Step()) {
      seqs.push_back(row.Int(0));
      reserved += row.Int(1);
      charged += row.Int(2);
      over += row.Int(3);
    }
    RETURN_IF_ERROR(row.status());
  }
  if (seqs.empty()) return absl::OkStatus();
  for (int64_t seq : seqs) {
    RETURN_IF_ERROR(db_.Run("DELETE FROM journal WHERE seq = ?", seq));
  }
  room -= static_cast<int>(seqs.size());
  return db_.Run(
      "UPDATE journal SET reserve_d = reserve_d + ?, charge_d = charge_d + ?, "
      "over_d = over_d + ? WHERE seq = (SELECT seq FROM journal "
      "WHERE batch = ? AND batch > 0 AND kind IN (?, ?) "
      "ORDER BY seq LIMIT 1)",
      reserved, charged, over, batch, end, mark);
}

absl::Status QueueWriter::DeleteLanes(int64_t batch, int& room) {
  for (const char* sql : kRowsOfBatch) {
    RETURN_IF_ERROR(db_.Run(sql, batch, batch, room));
    room -= static_cast<int>(db_.changes());
    if (room <= 0) break;
  }
  return absl::OkStatus();
}

absl::Status QueueWriter::EndDeletion(int64_t batch) {
  RETURN_IF_ERROR(
      db_.Run("DELETE FROM template WHERE id = "
              "(SELECT template FROM batch WHERE id = ? AND deleting = 1)",
              batch));
  return db_.Run("UPDATE batch SET deleting = 0, template = NULL WHERE id = ?",
                 batch);
}

absl::StatusOr<bool> QueueWriter::AnyOpenOf(int64_t batch) {
  return Any(db_.Query(
      "WITH RECURSIVE again(id) AS (SELECT ? UNION "
      "SELECT b.id FROM again a CROSS JOIN batch b ON b.retry_of = a.id "
      "WHERE b.retry_of IS NOT NULL) "
      "SELECT 1 FROM again a CROSS JOIN batch b ON b.id = a.id "
      "WHERE b.state != ? LIMIT 1",
      batch, static_cast<int>(v1::BATCH_STATE_DONE)));
}

absl::StatusOr<bool> QueueWriter::IsDeleted(int64_t batch) {
  if (batch == 0) return false;
  return Any(db_.Query(
      "SELECT 1 FROM batch WHERE id = ? AND deleted_at IS NOT NULL", batch));
}

absl::StatusOr<int64_t> QueueWriter::TaskFloor() {
  if (!known_.task_floor) {
    ASSIGN_OR_RETURN(
        known_.task_floor,
        ReadOr(db_.Query("SELECT value FROM meta WHERE key = 'tasks_deleted'"),
               0));
  }
  return *known_.task_floor;
}

}  // namespace midwatch
