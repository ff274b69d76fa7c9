#include "store/queue_reader.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "store/batch_rules.h"
#include "store/event_log.h"
#include "store/labels.h"
#include "store/queue_writer.h"
#include "store/task_search.h"

namespace midwatch {
namespace {

absl::Time TimeAt(const SqliteStatement& row, int column, absl::Time if_null) {
  return row.IsNull(column) ? if_null : absl::FromUnixMicros(row.Int(column));
}

// Literals, so that each statement is prepared once.
#define MIDWATCH_TASK_COLUMNS                                                 \
  "SELECT t.id, t.at, t.batch, b.at, t.line, t.name, t.state, t.granted_at, " \
  "t.ended_at, t.not_before, t.attempts, t.failures, t.charged, t.reserved, " \
  "t.max_cost, t.class, t.why, t.retry_of, o.at, t.session, t.ending, "       \
  "t.labels, q.name, k.samples, k.cost_p50, k.cost_p90, k.time_p50, "         \
  "k.time_p90, t.expires_at, t.prio, t.ukey, t.at + m.deadline "              \
  "FROM task t LEFT JOIN batch b ON b.id = t.batch "                          \
  "LEFT JOIN template m ON m.id = t.template "                                \
  "LEFT JOIN kind k ON k.id = m.kind "                                        \
  "LEFT JOIN label q ON q.id = t.queue "                                      \
  "LEFT JOIN task o ON o.id = t.retry_of "

TaskRecord ReadTask(const SqliteStatement& row) {
  TaskRecord task;
  task.key = {row.Int(0), row.Int(1) / 1000};
  task.at = absl::FromUnixMicros(row.Int(1));
  if (row.Int(2) != 0) task.batch = RowKey{row.Int(2), row.Int(3) / 1000};
  task.line = row.IsNull(4) ? -1 : row.Int(4);
  task.name = row.Text(5);
  task.state = static_cast<v1::TaskState>(row.Int(6));
  task.first_granted_at = TimeAt(row, 7, absl::InfiniteFuture());
  task.ended_at = TimeAt(row, 8, absl::InfiniteFuture());
  task.not_before = TimeAt(row, 9, absl::InfinitePast());
  task.attempts = static_cast<int32_t>(row.Int(10));
  task.failures = static_cast<int32_t>(row.Int(11));
  task.charged = row.Int(12);
  task.reserved = row.Int(13);
  task.max_cost = row.Int(14);
  task.failure_class = static_cast<v1::FailureClass>(row.Int(15));
  task.reason = row.Text(16);
  // Where what it retries is deleted it has no id any more.
  if (!row.IsNull(18)) task.retry_of = RowKey{row.Int(17), row.Int(18) / 1000};
  task.session_id = row.Text(19);
  task.ending.ParseFromString(row.Text(20));
  task.labels = LabelsFromLines(row.Text(21));
  task.queue = row.Text(22);
  task.forecast = ReadForecast(row, 23);
  task.expires_at = TimeAt(row, 28, absl::InfiniteFuture());
  task.priority = static_cast<int32_t>(row.Int(29));
  task.unique_key = row.Text(30);
  task.deadline = TimeAt(row, 31, absl::InfiniteFuture());
  return task;
}

#define MIDWATCH_BATCH_COLUMNS                                             \
  "SELECT b.id, b.at, b.name, b.state, b.blocked, b.queued, b.running, "   \
  "b.waiting, b.cancelling, b.succeeded, b.failed, b.cancelled, "          \
  "b.skipped, b.lines, b.charged, b.reserved, b.max_running, b.ended_at, " \
  "b.request_id, b.content_hash, t.name, q.name, a.name, b.over, "         \
  "(SELECT lim FROM budget WHERE scope = 3 AND ref = b.id AND win = 1), "  \
  "EXISTS (SELECT 1 FROM lane l WHERE l.batch = b.id AND l.batch > 0 "     \
  "AND l.blocked & 4 != 0 AND l.head IS NOT NULL), "                       \
  "s.state, s.why, s.since, s.until, s.next_probe, k.samples, "            \
  "k.cost_p50, k.cost_p90, k.time_p50, k.time_p90, b.foretold, "           \
  "b.cost_in_p50, b.cost_in_p90, b.time_in_p50, b.time_in_p90, "           \
  "b.paused_at, b.pause_why, b.pause_until, cq.paused_at, cq.pause_why, "  \
  "cq.pause_until, cq.max_running, cq.running, ct.max_running, "           \
  "ct.running, ca.max_running, ca.running, b.canary, b.canary_tasks, "     \
  "b.canary_min, b.canary_cost, b.canary_good, b.canary_bad, "             \
  "b.canary_out, b.canary_charged, b.canary_why, b.stop_failed, "          \
  "b.stop_ratio, b.stop_after, b.stop_bad, b.stop_ended, b.stopped, "      \
  "b.risk, b.at + m.deadline "                                             \
  "FROM batch b LEFT JOIN template m ON m.id = b.template "                \
  "LEFT JOIN kind k ON k.id = m.kind "                                     \
  "LEFT JOIN account s ON s.label = b.account "                            \
  "LEFT JOIN control cq ON cq.label = b.queue "                            \
  "LEFT JOIN control ct ON ct.label = b.tenant "                           \
  "LEFT JOIN control ca ON ca.label = b.account "                          \
  "JOIN label t ON t.id = b.tenant JOIN label q ON q.id = b.queue "        \
  "JOIN label a ON a.id = b.account "

AccountRecord ReadAccount(const SqliteStatement& row) {
  return {row.Text(0), ReadStanding(row, 1), static_cast<int32_t>(row.Int(6)),
          row.Int(7)};
}

// Six columns from `column` on: caps, each with what runs under it.
v1::CapScope ReadFullCap(const SqliteStatement& row, int column,
                         const BatchRecord& batch) {
  if (batch.counts[v1::TASK_STATE_QUEUED] == 0)
    return v1::CAP_SCOPE_UNSPECIFIED;
  if (batch.max_running > 0 &&
      batch.counts[v1::TASK_STATE_RUNNING] +
              batch.counts[v1::TASK_STATE_CANCELLING] >=
          batch.max_running) {
    return v1::CAP_SCOPE_BATCH;
  }
  for (v1::CapScope scope :
       {v1::CAP_SCOPE_QUEUE, v1::CAP_SCOPE_TENANT, v1::CAP_SCOPE_ACCOUNT}) {
    const int64_t max = row.Int(column), running = row.Int(column + 1);
    if (max > 0 && running >= max) return scope;
    column += 2;
  }
  return v1::CAP_SCOPE_UNSPECIFIED;
}

// Fifteen columns from `column` on.
void ReadRules(const SqliteStatement& row, int column, BatchRecord& batch) {
  if (row.Int(column + 1) > 0) {
    CanaryRecord& canary = batch.canary.emplace();
    canary.verdict = static_cast<v1::CanaryVerdict>(row.Int(column));
    canary.rule = {row.Int(column + 1), row.Int(column + 2),
                   row.Int(column + 3)};
    canary.tasks = CanarySize(canary.rule, batch.lines,
                              batch.state != v1::BATCH_STATE_OPEN);
    canary.succeeded = row.Int(column + 4);
    canary.failed = row.Int(column + 5);
    canary.left_out = row.Int(column + 6);
    canary.charged = row.Int(column + 7);
    canary.why = row.Text(column + 8);
  }
  const StopRule stop = {row.Int(column + 9), row.Int(column + 10),
                         row.Int(column + 11)};
  if (stop == StopRule()) return;
  batch.stop = {stop, row.Int(column + 12), row.Int(column + 13),
                row.Int(column + 14) != 0};
}

BatchRecord ReadBatch(const SqliteStatement& row) {
  BatchRecord batch;
  batch.key = {row.Int(0), row.Int(1) / 1000};
  batch.at = absl::FromUnixMicros(row.Int(1));
  batch.name = row.Text(2);
  batch.state = static_cast<v1::BatchState>(row.Int(3));
  static constexpr v1::TaskState kStates[] = {
      v1::TASK_STATE_BLOCKED,    v1::TASK_STATE_QUEUED,
      v1::TASK_STATE_RUNNING,    v1::TASK_STATE_WAITING,
      v1::TASK_STATE_CANCELLING, v1::TASK_STATE_SUCCEEDED,
      v1::TASK_STATE_FAILED,     v1::TASK_STATE_CANCELLED,
      v1::TASK_STATE_SKIPPED};
  for (int i = 0; i < 9; ++i) {
    batch.counts[static_cast<size_t>(kStates[i])] = row.Int(4 + i);
  }
  batch.lines = row.Int(13);
  batch.charged = row.Int(14);
  batch.reserved = row.Int(15);
  batch.max_running = static_cast<int32_t>(row.Int(16));
  batch.ended_at = TimeAt(row, 17, absl::InfiniteFuture());
  batch.request_id = row.Text(18);
  batch.content_sha256 = row.Text(19);
  batch.tenant = row.Text(20);
  batch.queue = row.Text(21);
  batch.account = row.Text(22);
  batch.over = row.Int(23);
  if (!row.IsNull(24)) batch.budget = row.Int(24);
  batch.waits_for_budget = row.Int(25) != 0;
  batch.account_standing = ReadStanding(row, 26);
  batch.forecast = ReadForecast(row, 31);
  batch.calibration = {row.Int(36), row.Int(37), row.Int(38), row.Int(39),
                       row.Int(40)};
  ReadRules(row, 53, batch);
  // It says nothing of one that is done.
  if (batch.state == v1::BATCH_STATE_SEALED && !row.IsNull(68)) {
    batch.risk.emplace().ParseFromString(row.Text(68));
  }
  batch.deadline = TimeAt(row, 69, absl::InfiniteFuture());
  // Nothing of it is to start any more, otherwise.
  if (batch.state == v1::BATCH_STATE_OPEN ||
      batch.state == v1::BATCH_STATE_SEALED) {
    batch.pause = ReadPause(row, 41);
    batch.queue_pause = ReadPause(row, 44);
    batch.full_cap = ReadFullCap(row, 47, batch);
  }
  return batch;
}

template <typename T>
absl::StatusOr<std::vector<T>> ReadAll(SqliteStatement row,
                                       T (*read)(const SqliteStatement&)) {
  std::vector<T> result;
  while (row.Step()) result.push_back(read(row));
  RETURN_IF_ERROR(row.status());
  return result;
}

}  // namespace

AccountStanding ReadStanding(const SqliteStatement& row, int column) {
  AccountStanding standing;
  if (row.IsNull(column)) return standing;
  standing.state = static_cast<v1::AccountState>(row.Int(column));
  standing.why = row.Text(column + 1);
  standing.since = TimeAt(row, column + 2, absl::InfinitePast());
  standing.until = TimeAt(row, column + 3, absl::InfiniteFuture());
  standing.next_probe = TimeAt(row, column + 4, absl::InfiniteFuture());
  return standing;
}

absl::StatusOr<std::vector<AccountRecord>> SqliteReader::ListAccounts() {
  return ReadAll(
      queue_->Query(
          "SELECT a.name, s.state, s.why, s.since, s.until, s.next_probe, "
          "c.max_running, (SELECT count(*) FROM live v WHERE v.account = a.id "
          "AND v.parked_at IS NULL) "
          "FROM label a LEFT JOIN account s ON s.label = a.id "
          "LEFT JOIN control c ON c.label = a.id "
          "WHERE a.kind = 3 ORDER BY a.name"),
      ReadAccount);
}

absl::StatusOr<TaskRecord> SqliteReader::GetTask(RowKey key) {
  ASSIGN_OR_RETURN(
      std::vector<TaskRecord> found,
      ReadAll(queue_->Query(MIDWATCH_TASK_COLUMNS
                            "WHERE t.id = ? AND b.deleted_at IS NULL",
                            key.row),
              ReadTask));
  if (found.empty() || found[0].key != key) {
    return absl::NotFoundError("no such task");
  }
  RETURN_IF_ERROR(AddQuestions(found[0]));
  RETURN_IF_ERROR(AddWaits(found[0]));
  ASSIGN_OR_RETURN(found[0].attempt_list, ListAttempts(key.row));
  return std::move(found[0]);
}

absl::Status SqliteReader::AddQuestions(TaskRecord& task) {
  if (task.state != v1::TASK_STATE_WAITING) return absl::OkStatus();
  SqliteStatement row = queue_->Query(
      "SELECT q.id, q.tool, q.input, q.wants_result, l.answer_by, q.spent "
      "FROM question q JOIN live l ON l.task = q.task WHERE q.task = ?",
      task.key.row);
  while (row.Step()) {
    v1::Question& question = task.questions.emplace_back();
    question.set_question_id(row.Text(0));
    question.set_tool(row.Text(1));
    question.set_input_json(row.Text(2));
    question.set_wants_result(row.Int(3) != 0);
    task.answer_by = TimeAt(row, 4, absl::InfiniteFuture());
    if (!row.IsNull(5)) question.set_spent_usd_micros(row.Int(5));
  }
  return row.status();
}

absl::Status SqliteReader::AddWaits(TaskRecord& task) {
  constexpr size_t kNamesMax = 10;
  if (task.state != v1::TASK_STATE_BLOCKED) return absl::OkStatus();
  auto add = [&](SqliteStatement row) {
    while (row.Step()) task.waits_for.push_back(row.Text(0));
    return row.status();
  };
  constexpr int kOneMore = kNamesMax + 1;
  RETURN_IF_ERROR(add(
      queue_->Query("SELECT t.name FROM need n JOIN task t ON t.id = n.need "
                    "WHERE n.task = ? AND n.open = 1 ORDER BY n.k LIMIT ?",
                    task.key.row, kOneMore)));
  int64_t batch = 0, until = 0;
  {
    SqliteStatement row = queue_->Query(
        "SELECT batch, until FROM need WHERE task = ? AND open = 1 "
        "AND batch IS NOT NULL",
        task.key.row);
    if (row.Step()) {
      batch = row.Int(0);
      until = row.Int(1);
    }
    RETURN_IF_ERROR(row.status());
  }
  for (v1::TaskState state : {v1::TASK_STATE_RUNNING, v1::TASK_STATE_WAITING,
                              v1::TASK_STATE_CANCELLING, v1::TASK_STATE_QUEUED,
                              v1::TASK_STATE_BLOCKED}) {
    if (batch == 0 || task.waits_for.size() > kNamesMax) break;
    RETURN_IF_ERROR(add(queue_->Query(
        "SELECT name FROM task WHERE batch = ? AND state = ? AND id < ? "
        "ORDER BY id LIMIT ?",
        batch, static_cast<int>(state), until, kOneMore)));
  }
  task.waits_for_others = task.waits_for.size() > kNamesMax;
  if (task.waits_for_others) task.waits_for.resize(kNamesMax);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<AttemptRecord>> SqliteReader::ListAttempts(
    int64_t task) {
  // The live one last: its number is the highest.
  SqliteStatement row = queue_->Query(
      "SELECT n, session, granted_at, ended_at, reserved, charged, class, why, "
      "grant_seq, unknown_cost FROM attempt WHERE task = ? UNION ALL "
      "SELECT attempt, session, granted_at, NULL, reserved, 0, 0, '', "
      "grant_seq, 0 FROM live WHERE task = ? ORDER BY 1",
      task, task);
  std::vector<AttemptRecord> result;
  while (row.Step()) {
    AttemptRecord& attempt = result.emplace_back();
    attempt.number = static_cast<int32_t>(row.Int(0));
    attempt.session_id = row.Text(1);
    attempt.granted_at = absl::FromUnixMicros(row.Int(2));
    attempt.ended_at = TimeAt(row, 3, absl::InfiniteFuture());
    attempt.reserved = row.Int(4);
    attempt.charged = row.Int(5);
    attempt.failure_class = static_cast<v1::FailureClass>(row.Int(6));
    attempt.ending = row.Text(7);
    attempt.grant_seq = row.Int(8);
    attempt.cost_unknown = row.Int(9) != 0;
  }
  RETURN_IF_ERROR(row.status());
  return result;
}

absl::StatusOr<BatchRecord> SqliteReader::GetBatch(RowKey key) {
  ASSIGN_OR_RETURN(
      std::vector<BatchRecord> found,
      ReadAll(queue_->Query(MIDWATCH_BATCH_COLUMNS
                            "WHERE b.id = ? AND b.deleted_at IS NULL",
                            key.row),
              ReadBatch));
  if (found.empty() || found[0].key != key) {
    SqliteStatement row = queue_->Query(
        "SELECT 1 FROM batch WHERE id = ? AND at / 1000 = ? "
        "AND deleted_at IS NOT NULL",
        key.row, key.unix_millis);
    const bool deleted = row.Step();
    RETURN_IF_ERROR(row.status());
    return absl::NotFoundError(deleted ? "the batch is deleted"
                                       : "no such batch");
  }
  RETURN_IF_ERROR(AddHooks(found[0]));
  return std::move(found[0]);
}

absl::StatusOr<RowPage<TaskRecord>> SqliteReader::ListTasks(
    const TaskFilter& filter, int64_t after, int limit) {
  ASSIGN_OR_RETURN(RowPage<int64_t> found,
                   FindTasks(*queue_, filter, after, limit));
  RowPage<TaskRecord> page{.rows = {}, .next = found.next};
  for (int64_t id : found.rows) {
    SqliteStatement row = queue_->Query(
        MIDWATCH_TASK_COLUMNS "WHERE t.id = ? AND b.deleted_at IS NULL", id);
    if (!row.Step()) {
      RETURN_IF_ERROR(row.status());
      continue;
    }
    page.rows.push_back(ReadTask(row));
    RETURN_IF_ERROR(AddQuestions(page.rows.back()));
    RETURN_IF_ERROR(AddWaits(page.rows.back()));
  }
  return page;
}

// Batches are few beside tasks: what the name leaves is walked, so far and no
// further.
absl::StatusOr<RowPage<BatchRecord>> SqliteReader::ListBatches(
    const BatchFilter& filter, int64_t before, int limit) {
  constexpr int kExaminedMax = 10'000;
  SqliteStatement row =
      filter.name.empty()
          ? queue_->Query(MIDWATCH_BATCH_COLUMNS
                          "WHERE b.id < ? AND b.deleted_at IS NULL "
                          "ORDER BY b.id DESC LIMIT ?",
                          before, kExaminedMax)
          : queue_->Query(
                MIDWATCH_BATCH_COLUMNS
                "WHERE b.name = ? AND b.id < ? AND b.deleted_at IS NULL "
                "ORDER BY b.id DESC LIMIT ?",
                filter.name, before, kExaminedMax);
  RowPage<BatchRecord> page;
  int examined = 0;
  while (row.Step()) {
    BatchRecord batch = ReadBatch(row);
    int64_t id = batch.key.row;
    bool wanted =
        (filter.queue.empty() || batch.queue == filter.queue) &&
        (filter.states.empty() ||
         std::count(filter.states.begin(), filter.states.end(), batch.state));
    if (wanted) page.rows.push_back(std::move(batch));
    if (++examined == kExaminedMax ||
        page.rows.size() == static_cast<size_t>(limit)) {
      page.next = id;
      break;
    }
  }
  RETURN_IF_ERROR(row.status());
  return page;
}

absl::StatusOr<v1::TaskSpec> SqliteReader::FindBatchSpec(
    const std::string& request_id) {
  SqliteStatement row = queue_->Query(
      "SELECT t.spec FROM batch b JOIN template t ON t.id = b.template "
      "WHERE b.request_id = ?",
      request_id);
  v1::TaskSpec spec;
  if (row.Step() && spec.ParseFromString(row.Text(0))) return spec;
  RETURN_IF_ERROR(row.status());
  return absl::NotFoundError(
      absl::StrCat("no batch was opened with request_id '", request_id, "'"));
}

JournalRecord ReadJournalRow(const SqliteStatement& row) {
  JournalRecord entry;
  entry.seq = row.Int(0);
  entry.at = absl::FromUnixMicros(row.Int(1));
  entry.kind = static_cast<JournalKind>(row.Int(2));
  if (row.Int(3) != 0) entry.task = RowKey{row.Int(3), row.Int(4) / 1000};
  entry.task_name = row.Text(5);
  entry.attempt = static_cast<int32_t>(row.Int(6));
  entry.state = static_cast<v1::TaskState>(row.Int(7));
  entry.reserve_delta = row.Int(8);
  entry.charge_delta = row.Int(9);
  entry.over_delta = row.Int(10);
  entry.failure_class = static_cast<v1::FailureClass>(row.Int(11));
  entry.why = row.Text(12);
  entry.who = row.Int(13);
  return entry;
}

absl::StatusOr<std::vector<JournalRecord>> SqliteReader::ListJournal(
    int64_t batch, int64_t after_seq, int limit) {
  SqliteStatement row = queue_->Query(
      "SELECT j.seq, j.at, j.kind, j.task, t.at, t.name, j.n, j.state, "
      "j.reserve_d, j.charge_d, j.over_d, j.class, j.why, j.who "
      "FROM journal j "
      "LEFT JOIN task t ON t.id = j.task "
      "WHERE j.batch = ? AND j.batch > 0 AND j.seq > ? ORDER BY j.seq LIMIT ?",
      batch, after_seq, limit);
  std::vector<JournalRecord> result;
  while (row.Step()) {
    result.push_back(ReadJournalRow(row));
    result.back().batch = batch;
  }
  RETURN_IF_ERROR(row.status());
  return result;
}

absl::StatusOr<int64_t> SqliteReader::LastJournalSeq() {
  SqliteStatement row =
      queue_->Query("SELECT ifnull(max(seq), 0) FROM journal");
  if (row.Step()) return row.Int(0);
  RETURN_IF_ERROR(row.status());
  return int64_t{0};
}

absl::StatusOr<std::vector<LiveRecord>> SqliteReader::ListLive() {
  SqliteStatement row = queue_->Query(
      "SELECT l.task, l.attempt, l.epoch, l.worker, l.batch, l.grant_seq, "
      "t.at, a.name FROM live l JOIN task t ON t.id = l.task "
      "JOIN label a ON a.id = l.account ORDER BY l.task");
  std::vector<LiveRecord> result;
  while (row.Step()) {
    LiveRecord& live = result.emplace_back();
    live.lease = {row.Int(3), row.Int(0), static_cast<int32_t>(row.Int(1)),
                  row.Int(2)};
    live.task = {row.Int(0), row.Int(6) / 1000};
    live.batch = row.Int(4);
    live.grant_seq = row.Int(5);
    live.account = row.Text(7);
  }
  RETURN_IF_ERROR(row.status());
  return result;
}

absl::StatusOr<std::vector<RowKey>> SqliteReader::ListCancellingBatches() {
  SqliteStatement row =
      queue_->Query("SELECT id, at FROM batch WHERE state = 3 ORDER BY id");
  std::vector<RowKey> result;
  while (row.Step()) result.push_back({row.Int(0), row.Int(1) / 1000});
  RETURN_IF_ERROR(row.status());
  return result;
}

absl::StatusOr<std::vector<RowKey>> SqliteReader::ListDeletingBatches() {
  SqliteStatement row =
      queue_->Query("SELECT id, at FROM batch WHERE deleting != 0 ORDER BY id");
  std::vector<RowKey> result;
  while (row.Step()) result.push_back({row.Int(0), row.Int(1) / 1000});
  RETURN_IF_ERROR(row.status());
  return result;
}

namespace {

// Of rows of four columns.
absl::StatusOr<RowPage<Ended>> ReadEnded(SqliteStatement row, int limit) {
  RowPage<Ended> page;
  while (row.Step()) {
    page.rows.push_back({.key = {row.Int(0), row.Int(1) / 1000},
                         .queue = row.Int(2),
                         .ended_at = absl::FromUnixMicros(row.Int(3))});
  }
  RETURN_IF_ERROR(row.status());
  if (page.rows.size() == static_cast<size_t>(limit)) {
    page.next = page.rows.back().key.row;
  }
  return page;
}

}  // namespace

absl::StatusOr<RowPage<Ended>> SqliteReader::ListEndedBatches(int64_t after,
                                                              int limit) {
  return ReadEnded(
      queue_->Query(
          "SELECT id, at, queue, ended_at FROM batch WHERE id > ? AND "
          "state = ? AND deleted_at IS NULL ORDER BY id LIMIT ?",
          after, static_cast<int>(v1::BATCH_STATE_DONE), limit),
      limit);
}

absl::StatusOr<RowPage<Ended>> SqliteReader::ListEndedTasks(v1::TaskState state,
                                                            int64_t after,
                                                            int limit) {
  return ReadEnded(
      queue_->Query("SELECT id, at, queue, ended_at FROM task WHERE batch = 0 "
                    "AND state = ? AND id > ? ORDER BY id LIMIT ?",
                    static_cast<int>(state), after, limit),
      limit);
}

absl::StatusOr<absl::Time> SqliteReader::LastDeletion() {
  SqliteStatement row = queue_->Query(
      "SELECT max(at) FROM ("
      "SELECT max(deleted_at) AS at FROM batch WHERE deleted_at IS NOT NULL "
      "UNION ALL SELECT value FROM meta WHERE key = 'tasks_deleted_at')");
  absl::Time last = absl::InfinitePast();
  if (row.Step() && !row.IsNull(0)) last = absl::FromUnixMicros(row.Int(0));
  RETURN_IF_ERROR(row.status());
  return last;
}

absl::StatusOr<absl::Time> SqliteReader::NextTimer() {
  SqliteStatement row =
      queue_->Query("SELECT at FROM timer ORDER BY at LIMIT 1");
  if (row.Step()) return absl::FromUnixMicros(row.Int(0));
  RETURN_IF_ERROR(row.status());
  return absl::InfiniteFuture();
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>>
SqliteReader::FindRemoteIds(const std::string& account,
                            const std::vector<std::string>& keys) {
  std::vector<std::pair<std::string, std::string>> result;
  for (const std::string& key : keys) {
    SqliteStatement row = queue_->Query(
        "SELECT r.id FROM remote_id r JOIN label l ON l.id = r.account "
        "WHERE l.kind = ? AND l.name = ? AND r.key = ?",
        kAccountLabel, account, key);
    if (row.Step()) result.emplace_back(key, row.Text(0));
    RETURN_IF_ERROR(row.status());
  }
  return result;
}

absl::StatusOr<std::vector<std::string>> SqliteReader::ReadEvents(
    int64_t grant_seq, int64_t from) {
  return ReadStoredEvents(*events_, grant_seq, from);
}

absl::StatusOr<int64_t> SqliteReader::CountEvents(int64_t grant_seq) {
  return CountStoredEvents(*events_, grant_seq);
}

}  // namespace midwatch
