// Trying again: a task alone, and what did not succeed of a batch.
//
// A retry is a new task with a retry_of. What a task of a batch needed that is
// tried again too, its retry needs in its place.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "store/labels.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

// Bounds the time of one write.
constexpr int kRetriesPerWrite = 200;

constexpr char kNeedsDeleted[] =
    "it needs a task that is deleted, so it cannot be tried again";

}  // namespace

absl::StatusOr<QueueWriter::Again> QueueWriter::DescribeAgain(
    const TaskRow& old) {
  Again again;
  again.place.template_id = old.template_id;
  NewTask& task = again.task;
  std::string key;
  {
    SqliteStatement row = db_.Query(
        "SELECT l.tenant, l.queue, l.account, l.ckey, t.line_blob, t.labels, "
        "t.ukey FROM task t JOIN lane l ON l.id = t.lane WHERE t.id = ?",
        old.id);
    if (!row.Step() || !task.line.ParseFromString(row.Text(4))) {
      return absl::DataLossError("task or lane row vanished");
    }
    again.place.tenant = row.Int(0);
    again.place.queue = row.Int(1);
    again.place.account = row.Int(2);
    task.concurrency_key = row.Text(3);
    task.labels = LabelsFromLines(row.Text(5));
    key = row.Text(6);
  }
  task.priority = old.priority;
  task.max_cost = old.max_cost;
  ASSIGN_OR_RETURN(v1::TaskSpec spec, LoadSpec(old.template_id));
  // Who tries it again wants it now.
  task.start.expires_after = StartRulesOf(spec, task.line).expires_after;
  task.unique = UniqueRuleOf(spec, std::move(key));
  ASSIGN_OR_RETURN(again.place.start_within, StartWithin(old.template_id));
  return again;
}

absl::StatusOr<TaskKey> QueueWriter::Do(const RetryTask& write) {
  std::string hash = absl::StrCat("retry:", write.task.row);
  ASSIGN_OR_RETURN(std::optional<TaskKey> known,
                   FindRequest(write.request_id, hash));
  if (known.has_value()) return *known;
  ASSIGN_OR_RETURN(TaskRow old, LoadTask(write.task));
  if (!IsFinal(old.state)) {
    return absl::FailedPreconditionError(
        "the task is not finished; cancel it first to try it anew");
  }
  RETURN_IF_ERROR(RefuseWhenFull());
  ASSIGN_OR_RETURN(Again again, DescribeAgain(old));
  int64_t now = NowMicros();
  ASSIGN_OR_RETURN(std::optional<TaskKey> holder,
                   FindHolder(again.place.tenant, again.task.unique.key, now));
  if (holder && holder->task.row != old.id) return *holder;
  ASSIGN_OR_RETURN(Inserted is,
                   InsertTask(again.place, again.task, -1, now, old.id));
  if (!again.task.line.needs().empty()) {
    RETURN_IF_ERROR(RetryNeeds(old, is.task));
  }
  RETURN_IF_ERROR(RememberRequest(write.request_id, hash, is.task, now));
  JournalEntry entry{.kind = JournalKind::kSubmitted,
                     .task = is.task,
                     .state = v1::TASK_STATE_QUEUED,
                     .why = absl::StrCat("retry of ", old.id)};
  RETURN_IF_ERROR(Journal(entry).status());
  return TaskKey{.task = {is.task, now / 1000}, .timer_at = TakeTimerAt()};
}

absl::StatusOr<BatchProgress> QueueWriter::FindRetry(const RetryBatch& write,
                                                     const std::string& hash) {
  ASSIGN_OR_RETURN(BatchProgress known, FindBatch(write.request_id));
  SqliteStatement row =
      db_.Query("SELECT open_hash FROM batch WHERE id = ?", known.batch.row);
  if (row.Step() && row.Text(0) == hash) return known;
  RETURN_IF_ERROR(row.status());
  return absl::AlreadyExistsError(
      absl::StrCat("request_id '", write.request_id,
                   "' came before with another batch; choose a new one"));
}

absl::StatusOr<BatchProgress> QueueWriter::OpenRetry(const RetryBatch& write,
                                                     const std::string& hash) {
  {
    SqliteStatement row = db_.Query(
        "SELECT at, state FROM batch WHERE id = ? "
        "AND deleted_at IS NULL",
        write.batch.row);
    const bool found = row.Step();
    RETURN_IF_ERROR(row.status());
    if (!found || row.Int(0) / 1000 != write.batch.unix_millis) {
      return absl::NotFoundError("no such batch");
    }
    if (row.Int(1) != v1::BATCH_STATE_DONE) {
      return absl::FailedPreconditionError(
          "the batch is not done; wait for it, or cancel it first, to try anew "
          "what did not succeed");
    }
  }
  ASSIGN_OR_RETURN(
      std::vector<int64_t> any,
      TasksToRetry(write.batch.row, write.cancelled_too, /*after=*/0, 1));
  if (any.empty()) {
    return absl::FailedPreconditionError(
        write.cancelled_too
            ? "all tasks of the batch succeeded: there is nothing to try again"
            : "no task of the batch failed or was skipped; those that were "
              "cancelled come along where that is asked for");
  }
  const int64_t now = NowMicros();
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO batch(at, tenant, queue, account, name, state, template, "
      "max_running, request_id, content_hash, open_hash, retry_of) "
      "SELECT ?, tenant, queue, account, name, ?, template, max_running, ?, "
      "'', ?, id FROM batch WHERE id = ?",
      now, static_cast<int>(v1::BATCH_STATE_OPEN), write.request_id, hash,
      write.batch.row));
  const RowKey batch{db_.last_insert_id(), now / 1000};
  JournalEntry entry{.kind = JournalKind::kBatchRetried,
                     .batch = batch.row,
                     .why = absl::StrCat("retry of batch ", write.batch.row)};
  RETURN_IF_ERROR(Journal(entry).status());
  int64_t limit = 0;
  {
    SqliteStatement row = db_.Query(
        "SELECT lim FROM budget WHERE scope = ? AND ref = ? AND win = ?",
        static_cast<int>(v1::BUDGET_SCOPE_BATCH), write.batch.row,
        static_cast<int>(v1::BUDGET_WINDOW_TOTAL));
    if (row.Step()) limit = row.Int(0);
    RETURN_IF_ERROR(row.status());
  }
  if (limit > 0) {
    SetBudget budget{.scope = v1::BUDGET_SCOPE_BATCH,
                     .name = "",
                     .row = batch,
                     .window = v1::BUDGET_WINDOW_TOTAL,
                     .zone = "",
                     .limit = limit};
    RETURN_IF_ERROR(Do(budget).status());
  }
  return BatchProgress{batch, v1::BATCH_STATE_OPEN, 0};
}

absl::StatusOr<std::vector<int64_t>> QueueWriter::TasksToRetry(
    int64_t batch, bool cancelled_too, int64_t after, int limit) {
  std::vector<int64_t> tasks;
  for (v1::TaskState state : {v1::TASK_STATE_FAILED, v1::TASK_STATE_SKIPPED,
                              v1::TASK_STATE_CANCELLED}) {
    if (state == v1::TASK_STATE_CANCELLED && !cancelled_too) continue;
    SqliteStatement row = db_.Query(
        "SELECT id FROM task WHERE batch = ? AND state = ? AND id > ? "
        "ORDER BY id LIMIT ?",
        batch, static_cast<int>(state), after, limit);
    while (row.Step()) tasks.push_back(row.Int(0));
    RETURN_IF_ERROR(row.status());
  }
  std::sort(tasks.begin(), tasks.end());
  if (tasks.size() > static_cast<size_t>(limit)) {
    tasks.resize(static_cast<size_t>(limit));
  }
  return tasks;
}

absl::StatusOr<int64_t> QueueWriter::FirstLeftOut(const TaskRow& old,
                                                  bool cancelled_too) {
  int64_t batch = old.batch, until = old.id;
  bool look = !cancelled_too;
  for (bool more = true; more;) {
    int64_t left_out = 0;
    if (std::exchange(look, true)) {
      ASSIGN_OR_RETURN(left_out,
                       FirstInState(batch, until, {v1::TASK_STATE_CANCELLED}));
    }
    if (left_out != 0) {
      ASSIGN_OR_RETURN(int64_t other, StandIn(left_out));
      if (other == left_out) return left_out;
    }
    ASSIGN_OR_RETURN(more, GoToRetried(batch, until));
  }
  return 0;
}

absl::StatusOr<int64_t> QueueWriter::NeededAgain(int64_t needed,
                                                 int64_t batch) {
  {
    SqliteStatement row = db_.Query(
        "SELECT id FROM task WHERE retry_of = ? AND batch = ? LIMIT 1", needed,
        batch);
    if (row.Step()) return row.Int(0);
    RETURN_IF_ERROR(row.status());
  }
  return StandIn(needed);
}

absl::StatusOr<NewNeed> QueueWriter::NeedOf(int64_t needed) {
  absl::StatusOr<TaskRow> found = LoadTask(needed);
  if (absl::IsNotFound(found.status())) {
    return NewNeed{.task = RowKey{.row = needed}, .is_deleted = true};
  }
  RETURN_IF_ERROR(found.status());
  NewNeed need{.task = RowKey{needed, found->at / 1000}};
  ASSIGN_OR_RETURN(need.is_deleted, IsDeleted(found->batch));
  return need;
}

absl::StatusOr<std::vector<NewNeed>> QueueWriter::NeedsAgain(
    const TaskRow& old, const v1::TaskLine& line, int64_t batch,
    bool cancelled_too) {
  struct Row {
    int64_t need = 0;
    int mentions = 0;
    bool anyway = false;
  };
  std::vector<Row> rows;
  {
    SqliteStatement row = db_.Query(
        "SELECT need, mentions, policy FROM need WHERE task = ? ORDER BY k",
        old.id);
    while (row.Step()) {
      rows.push_back({row.Int(0), static_cast<int>(row.Int(1)),
                      row.Int(2) == v1::NEED_POLICY_RUN_ANYWAY});
    }
    RETURN_IF_ERROR(row.status());
  }
  if (rows.size() != static_cast<size_t>(line.needs_size())) {
    return absl::DataLossError(absl::StrCat("needs of task ", old.id));
  }
  std::vector<NewNeed> needs;
  for (size_t k = 0; k < rows.size(); ++k) {
    NewNeed need;
    if (!line.needs(static_cast<int>(k)).all_earlier()) {
      ASSIGN_OR_RETURN(const int64_t needed, NeededAgain(rows[k].need, batch));
      ASSIGN_OR_RETURN(need, NeedOf(needed));
    } else if (!rows[k].anyway) {
      // All before it in the new batch, unless one was left out of that.
      absl::StatusOr<int64_t> left_out = FirstLeftOut(old, cancelled_too);
      need.is_deleted = absl::IsFailedPrecondition(left_out.status());
      if (!need.is_deleted) {
        RETURN_IF_ERROR(left_out.status());
        if (*left_out != 0) {
          ASSIGN_OR_RETURN(need, NeedOf(*left_out));
        }
      }
    }
    need.mentions = rows[k].mentions;
    needs.push_back(need);
  }
  return needs;
}

absl::StatusOr<QueueWriter::Inserted> QueueWriter::InsertAgain(
    const RetryBatch& write, int64_t batch, int64_t line, int64_t old_id) {
  ASSIGN_OR_RETURN(TaskRow old, LoadTask(old_id));
  ASSIGN_OR_RETURN(Again again, DescribeAgain(old));
  again.place.batch = batch;
  if (!again.task.line.needs().empty()) {
    ASSIGN_OR_RETURN(again.task.needs, NeedsAgain(old, again.task.line, batch,
                                                  write.cancelled_too));
    for (const NewNeed& need : again.task.needs) {
      if (need.is_deleted) again.task.skip_why = kNeedsDeleted;
    }
  }
  return InsertTask(again.place, again.task, line, NowMicros(), old_id);
}

absl::StatusOr<BatchRetried> QueueWriter::Do(const RetryBatch& write) {
  const std::string hash =
      absl::StrCat("retry:", write.batch.row, ":",
                   write.cancelled_too ? "cancelled too" : "failed");
  absl::StatusOr<BatchProgress> batch = FindRetry(write, hash);
  if (absl::IsNotFound(batch.status())) {
    RETURN_IF_ERROR(RefuseWhenFull());
    batch = OpenRetry(write, hash);
  }
  RETURN_IF_ERROR(batch.status());
  const int64_t id = batch->batch.row;
  BatchRetried result{.batch = batch->batch};
  if (batch->state != v1::BATCH_STATE_OPEN) return result;
  RETURN_IF_ERROR(RefuseWhenFull());
  int64_t after = 0;
  {
    SqliteStatement row = db_.Query(
        "SELECT retry_of FROM task WHERE batch = ? AND batch > 0 "
        "ORDER BY line DESC LIMIT 1",
        id);
    if (row.Step()) after = row.Int(0);
    RETURN_IF_ERROR(row.status());
  }
  ASSIGN_OR_RETURN(std::vector<int64_t> tasks,
                   TasksToRetry(write.batch.row, write.cancelled_too, after,
                                kRetriesPerWrite));
  std::map<v1::TaskState, int64_t> states;
  int64_t line = batch->lines;
  for (int64_t task : tasks) {
    ASSIGN_OR_RETURN(Inserted is, InsertAgain(write, id, line++, task));
    ++states[is.state];
  }
  RETURN_IF_ERROR(db_.Run(
      "UPDATE batch SET lines = ?, queued = queued + ?, "
      "blocked = blocked + ?, skipped = skipped + ? WHERE id = ?",
      line, states[v1::TASK_STATE_QUEUED], states[v1::TASK_STATE_BLOCKED],
      states[v1::TASK_STATE_SKIPPED], id));
  if (!tasks.empty()) {
    JournalEntry entry{
        .kind = JournalKind::kTasksAdded,
        .batch = id,
        .state = v1::TASK_STATE_QUEUED,
        .why = absl::StrCat("lines ", batch->lines, " to ", line - 1)};
    RETURN_IF_ERROR(Journal(entry).status());
  }
  result.more = tasks.size() == static_cast<size_t>(kRetriesPerWrite);
  if (!result.more) {
    ASSIGN_OR_RETURN(BatchProgress sealed,
                     Do(SealBatch{write.request_id, line}));
    needs_met_ = needs_met_ || sealed.needs_met;
  }
  result.needs_met = std::exchange(needs_met_, false);
  result.timer_at = TakeTimerAt();
  return result;
}

}  // namespace midwatch
