#include "store/task_search.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "base/status_macros.h"
#include "store/labels.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

// Tasks of one label that a page may look at for those with all the rest.
constexpr int kExaminedMax = 10'000;

constexpr v1::TaskState kAllStates[] = {
    v1::TASK_STATE_BLOCKED, v1::TASK_STATE_QUEUED,     v1::TASK_STATE_RUNNING,
    v1::TASK_STATE_WAITING, v1::TASK_STATE_CANCELLING, v1::TASK_STATE_SUCCEEDED,
    v1::TASK_STATE_FAILED,  v1::TASK_STATE_CANCELLED,  v1::TASK_STATE_SKIPPED};

// A filter in the numbers of the tables.
struct Wanted {
  std::optional<int64_t> batch, queue;
  std::set<v1::TaskState> states;  // empty: any
  std::vector<int64_t> labels;
};

absl::StatusOr<std::optional<int64_t>> FindLabel(Sqlite& db, int kind,
                                                 const std::string& name) {
  SqliteStatement row =
      db.Query("SELECT id FROM label WHERE kind = ? AND name = ?", kind, name);
  if (row.Step()) return std::optional<int64_t>(row.Int(0));
  RETURN_IF_ERROR(row.status());
  return std::nullopt;
}

// Nothing where a name is one that no task has.
absl::StatusOr<std::optional<Wanted>> Resolve(Sqlite& db,
                                              const TaskFilter& filter) {
  Wanted wanted;
  wanted.batch = filter.batch;
  wanted.states = {filter.states.begin(), filter.states.end()};
  if (!filter.queue.empty()) {
    ASSIGN_OR_RETURN(wanted.queue, FindLabel(db, kQueueLabel, filter.queue));
    if (!wanted.queue.has_value()) return std::nullopt;
  }
  for (const auto& [key, value] : filter.labels) {
    ASSIGN_OR_RETURN(std::optional<int64_t> label,
                     FindLabel(db, kTaskLabel, LabelLine(key, value)));
    if (!label.has_value()) return std::nullopt;
    wanted.labels.push_back(*label);
  }
  return wanted;
}

absl::Status AddRows(SqliteStatement row, std::vector<int64_t>& rows) {
  while (row.Step()) rows.push_back(row.Int(0));
  return row.status();
}

// The first `limit` of several searches' rows, each of which gave that many
// where it had them.
RowPage<int64_t> FirstOf(std::vector<int64_t> rows, int limit) {
  std::sort(rows.begin(), rows.end());
  RowPage<int64_t> page;
  if (rows.size() >= static_cast<size_t>(limit)) {
    rows.resize(static_cast<size_t>(limit));
    page.next = rows.back();
  }
  page.rows = std::move(rows);
  return page;
}

// The rows between which a batch's tasks stand: they rise with its lines.
absl::StatusOr<std::pair<int64_t, int64_t>> RowsOfBatch(Sqlite& db,
                                                        int64_t batch) {
  std::vector<int64_t> ends;
  RETURN_IF_ERROR(
      AddRows(db.Query("SELECT id FROM task WHERE batch = ? AND batch > 0 "
                       "ORDER BY line LIMIT 1",
                       batch),
              ends));
  RETURN_IF_ERROR(
      AddRows(db.Query("SELECT id FROM task WHERE batch = ? AND batch > 0 "
                       "ORDER BY line DESC LIMIT 1",
                       batch),
              ends));
  if (ends.size() < 2) return std::pair<int64_t, int64_t>{1, 0};
  return std::pair<int64_t, int64_t>{ends[0], ends[1]};
}

absl::StatusOr<bool> HasLabels(Sqlite& db, int64_t task,
                               const std::vector<int64_t>& labels) {
  for (int64_t label : labels) {
    SqliteStatement row = db.Query(
        "SELECT 1 FROM task_label WHERE label = ? AND task = ?", label, task);
    if (row.Step()) continue;
    RETURN_IF_ERROR(row.status());
    return false;
  }
  return true;
}

// Walks the tasks of the first label.
absl::StatusOr<RowPage<int64_t>> FindLabelled(Sqlite& db, const Wanted& wanted,
                                              int64_t after, int limit) {
  int64_t last = std::numeric_limits<int64_t>::max();
  if (wanted.batch.has_value()) {
    ASSIGN_OR_RETURN(auto ends, RowsOfBatch(db, *wanted.batch));
    after = std::max(after, ends.first - 1);
    last = ends.second;
  }
  SqliteStatement row = db.Query(
      "SELECT t.id, t.batch, t.queue, t.state FROM task_label x "
      "CROSS JOIN task t ON t.id = x.task "
      "WHERE x.label = ? AND x.task > ? AND x.task <= ? "
      "ORDER BY x.task LIMIT ?",
      wanted.labels[0], after, last, kExaminedMax);
  RowPage<int64_t> page;
  int examined = 0;
  while (row.Step()) {
    int64_t task = row.Int(0);
    bool matches =
        (!wanted.batch.has_value() || row.Int(1) == *wanted.batch) &&
        (!wanted.queue.has_value() || row.Int(2) == *wanted.queue) &&
        (wanted.states.empty() ||
         wanted.states.contains(static_cast<v1::TaskState>(row.Int(3))));
    if (matches) {
      ASSIGN_OR_RETURN(matches, HasLabels(db, task, wanted.labels));
    }
    if (matches) page.rows.push_back(task);
    if (++examined == kExaminedMax ||
        page.rows.size() == static_cast<size_t>(limit)) {
      page.next = task;
      break;
    }
  }
  RETURN_IF_ERROR(row.status());
  return page;
}

absl::StatusOr<RowPage<int64_t>> FindInBatch(Sqlite& db, const Wanted& wanted,
                                             int64_t after, int limit) {
  std::vector<int64_t> rows;
  if (wanted.queue.has_value()) {  // all of a batch stands in one
    SqliteStatement row =
        db.Query("SELECT queue FROM batch WHERE id = ?", *wanted.batch);
    bool other = !row.Step() || row.Int(0) != *wanted.queue;
    RETURN_IF_ERROR(row.status());
    if (other) return RowPage<int64_t>();
  }
  if (wanted.states.empty()) {
    RETURN_IF_ERROR(AddRows(
        db.Query("SELECT id FROM task WHERE batch = ? AND batch > 0 AND "
                 "line > ifnull((SELECT line FROM task WHERE id = ?), -1) "
                 "ORDER BY line LIMIT ?",
                 *wanted.batch, after, limit),
        rows));
  }
  for (v1::TaskState state : wanted.states) {
    RETURN_IF_ERROR(AddRows(
        db.Query("SELECT id FROM task WHERE batch = ? AND state = ? AND "
                 "id > ? ORDER BY id LIMIT ?",
                 *wanted.batch, static_cast<int>(state), after, limit),
        rows));
  }
  return FirstOf(std::move(rows), limit);
}

absl::Status FindLiveRows(Sqlite& db, bool cancelling,
                          std::optional<int64_t> queue, int64_t after,
                          int limit, std::vector<int64_t>& rows) {
  if (!queue.has_value()) {
    return AddRows(db.Query("SELECT task FROM live WHERE task > ? AND "
                            "cancelling = ? ORDER BY task LIMIT ?",
                            after, cancelling ? 1 : 0, limit),
                   rows);
  }
  return AddRows(
      db.Query("SELECT l.task FROM live l CROSS JOIN task t ON t.id = l.task "
               "WHERE l.task > ? AND l.cancelling = ? AND t.queue = ? "
               "ORDER BY l.task LIMIT ?",
               after, cancelling ? 1 : 0, *queue, limit),
      rows);
}

// Across batches: a search for each queue and state.
absl::StatusOr<RowPage<int64_t>> FindByQueueAndState(Sqlite& db,
                                                     const Wanted& wanted,
                                                     int64_t after, int limit) {
  std::vector<int64_t> queues, rows;
  if (wanted.queue.has_value()) {
    queues.push_back(*wanted.queue);
  } else {
    RETURN_IF_ERROR(AddRows(
        db.Query("SELECT id FROM label WHERE kind = ?", kQueueLabel), queues));
  }
  for (v1::TaskState state : kAllStates) {
    if (!wanted.states.empty() && !wanted.states.contains(state)) continue;
    if (state == v1::TASK_STATE_RUNNING || state == v1::TASK_STATE_CANCELLING) {
      RETURN_IF_ERROR(FindLiveRows(db, state == v1::TASK_STATE_CANCELLING,
                                   wanted.queue, after, limit, rows));
      continue;
    }
    for (int64_t queue : queues) {
      // The index's own condition is repeated, or SQLite would not use it.
      RETURN_IF_ERROR(AddRows(
          db.Query("SELECT id FROM task WHERE queue = ? AND state = ? AND "
                   "state NOT IN (3, 5) AND id > ? ORDER BY id LIMIT ?",
                   queue, static_cast<int>(state), after, limit),
          rows));
    }
  }
  return FirstOf(std::move(rows), limit);
}

}  // namespace

absl::StatusOr<RowPage<int64_t>> FindTasks(Sqlite& db, const TaskFilter& filter,
                                           int64_t after, int limit) {
  ASSIGN_OR_RETURN(std::optional<Wanted> wanted, Resolve(db, filter));
  if (!wanted.has_value()) return RowPage<int64_t>();
  if (!wanted->labels.empty()) return FindLabelled(db, *wanted, after, limit);
  if (wanted->batch.has_value()) return FindInBatch(db, *wanted, after, limit);
  if (!wanted->states.empty() || wanted->queue.has_value()) {
    return FindByQueueAndState(db, *wanted, after, limit);
  }
  std::vector<int64_t> rows;
  RETURN_IF_ERROR(
      AddRows(db.Query("SELECT id FROM task WHERE id > ? ORDER BY id LIMIT ?",
                       after, limit),
              rows));
  return FirstOf(std::move(rows), limit);
}

}  // namespace midwatch
