// What tasks need: waiting for it, and what follows once it is done or did not
// succeed.
//
// The end of a task plans a timer, in its own transaction, where somebody needs
// it; FireTimers goes on from there, so many tasks with each write. Whichever
// commit is the last one, what is left to do is in `timer` and in `need`.
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

// Of those that a retry of a task with all_earlier needs.
constexpr int kUnsuccessfulMax = 1'000;

const char* WhatBecameOf(v1::TaskState state) {
  switch (state) {
    case v1::TASK_STATE_FAILED:
      return "failed";
    case v1::TASK_STATE_CANCELLED:
      return "was cancelled";
    default:
      return "was skipped";
  }
}

v1::NeedPolicy PolicyOf(const v1::TaskLine& line) {
  return line.on_need_failure() == v1::NEED_POLICY_UNSPECIFIED
             ? v1::NEED_POLICY_SKIP
             : line.on_need_failure();
}

}  // namespace

absl::StatusOr<int64_t> QueueWriter::FindNeeded(const Place& place,
                                                const v1::Need& need,
                                                const NewNeed& is) {
  // A retry needs another than its line names.
  if (is.task) {
    absl::StatusOr<TaskRow> task = LoadTask(*is.task);
    if (absl::IsNotFound(task.status())) {
      return absl::InvalidArgumentError(
          absl::StrCat("needs '", need.task_id(), "': there is no such task"));
    }
    RETURN_IF_ERROR(task.status());
    return task->id;
  }
  SqliteStatement row = db_.Query(
      "SELECT id FROM task WHERE batch = ? AND name = ? AND batch > 0",
      place.batch, need.name());
  if (row.Step()) return row.Int(0);
  RETURN_IF_ERROR(row.status());
  return absl::InvalidArgumentError(absl::StrCat(
      "needs '", need.name(), "', which is on no earlier line of the batch"));
}

absl::Status QueueWriter::InsertNeeds(const Place& place, int64_t task,
                                      const NewTask& is) {
  const int policy = PolicyOf(is.line);
  for (int k = 0; k < is.line.needs_size(); ++k) {
    const v1::Need& need = is.line.needs(k);
    const NewNeed& more = is.needs[static_cast<size_t>(k)];
    const bool all = need.all_earlier() && !more.task;
    int64_t needed = 0;
    if (more.is_deleted && !all) {
      needed = more.task->row;
    } else if (!all) {
      ASSIGN_OR_RETURN(needed, FindNeeded(place, need, more));
      if (needed == task) return absl::InvalidArgumentError("needs itself");
    }
    RETURN_IF_ERROR(db_.Run(
        "INSERT INTO need(task, k, need, batch, until, policy, mentions, open) "
        "VALUES (?,?,?,?,?,?,?,1)",
        task, k, SqliteNullable<int64_t>{!all, needed},
        SqliteNullable<int64_t>{all, place.batch},
        SqliteNullable<int64_t>{all, task}, policy, more.mentions));
    // It is skipped.
    if (more.is_deleted) continue;
    if (all) {
      RETURN_IF_ERROR(PlanNeed(kBlockedTimer, task));
      continue;
    }
    ASSIGN_OR_RETURN(TaskRow there, LoadTask(needed));
    if (IsFinal(there.state)) RETURN_IF_ERROR(PlanNeed(kNeedTimer, needed));
  }
  return absl::OkStatus();
}

absl::Status QueueWriter::PlanNeed(int kind, int64_t ref) {
  // Due whatever the wall clock says, which may step back.
  constexpr int64_t kAtOnce = 0;
  needs_met_ = true;
  return db_.Run(
      "INSERT INTO timer(at, kind, ref) VALUES (?, ?, ?) "
      "ON CONFLICT DO NOTHING",
      kAtOnce, kind, ref);
}

absl::Status QueueWriter::WakeNeedy(int64_t task, int64_t batch,
                                    v1::TaskState state) {
  RETURN_IF_ERROR(ReleaseKey(task));
  bool needed = false;
  {
    SqliteStatement row = db_.Query(
        "SELECT 1 FROM need WHERE need = ? AND open = 1 LIMIT 1", task);
    needed = row.Step();
    RETURN_IF_ERROR(row.status());
  }
  if (needed) RETURN_IF_ERROR(PlanNeed(kNeedTimer, task));
  if (batch == 0) return absl::OkStatus();
  // The first of those that need all before them: the others need that one too.
  int64_t first = 0, until = 0;
  {
    SqliteStatement row = db_.Query(
        "SELECT task, until FROM need WHERE batch = ? AND open = 1 "
        "ORDER BY task LIMIT 1",
        batch);
    if (row.Step()) {
      first = row.Int(0);
      until = row.Int(1);
    }
    RETURN_IF_ERROR(row.status());
  }
  if (first == 0) return absl::OkStatus();
  if (state == v1::TASK_STATE_SUCCEEDED) {
    ASSIGN_OR_RETURN(int64_t open, FirstUnfinished(batch, until));
    if (open != 0) return absl::OkStatus();
  }
  return PlanNeed(kBlockedTimer, first);
}

absl::StatusOr<int64_t> QueueWriter::FirstInState(
    int64_t batch, int64_t until, std::initializer_list<v1::TaskState> states) {
  int64_t first = 0;
  for (v1::TaskState state : states) {
    SqliteStatement row = db_.Query(
        "SELECT id FROM task WHERE batch = ? AND state = ? AND id < ? "
        "ORDER BY id LIMIT 1",
        batch, static_cast<int>(state), until);
    if (row.Step() && (first == 0 || row.Int(0) < first)) first = row.Int(0);
    RETURN_IF_ERROR(row.status());
  }
  return first;
}

absl::StatusOr<int64_t> QueueWriter::FirstUnfinished(int64_t batch,
                                                     int64_t until) {
  return FirstInState(
      batch, until,
      {v1::TASK_STATE_BLOCKED, v1::TASK_STATE_QUEUED, v1::TASK_STATE_RUNNING,
       v1::TASK_STATE_WAITING, v1::TASK_STATE_CANCELLING});
}

absl::StatusOr<int64_t> QueueWriter::FirstUnsuccessful(int64_t batch,
                                                       int64_t until) {
  return FirstInState(batch, until,
                      {v1::TASK_STATE_FAILED, v1::TASK_STATE_CANCELLED,
                       v1::TASK_STATE_SKIPPED});
}

absl::StatusOr<bool> QueueWriter::MeetNeeds(int64_t needed, int& room,
                                            TimersFired& result) {
  absl::StatusOr<TaskRow> found = LoadTask(needed);
  if (absl::IsNotFound(found.status())) return true;  // deleted
  RETURN_IF_ERROR(found.status());
  const TaskRow& done = *found;
  if (!IsFinal(done.state)) return true;
  struct Row {
    int64_t task = 0, k = 0;
    v1::NeedPolicy policy = v1::NEED_POLICY_SKIP;
  };
  std::vector<Row> rows;
  {
    SqliteStatement row = db_.Query(
        "SELECT task, k, policy FROM need WHERE need = ? AND open = 1 "
        "ORDER BY task LIMIT ?",
        needed, room);
    while (row.Step()) {
      rows.push_back(
          {row.Int(0), row.Int(1), static_cast<v1::NeedPolicy>(row.Int(2))});
    }
    RETURN_IF_ERROR(row.status());
  }
  const bool all = static_cast<int>(rows.size()) < room;
  room -= static_cast<int>(rows.size());
  for (const Row& row : rows) {
    RETURN_IF_ERROR(db_.Run(
        "UPDATE need SET open = 2 WHERE task = ? AND k = ? AND open = 1",
        row.task, row.k));
    // Another need of the same task has ended that one.
    if (db_.changes() == 0) continue;
    if (done.state == v1::TASK_STATE_SUCCEEDED ||
        row.policy == v1::NEED_POLICY_RUN_ANYWAY) {
      RETURN_IF_ERROR(LookAtBlocked(row.task, result));
      continue;
    }
    ASSIGN_OR_RETURN(TaskRow task, LoadTask(row.task));
    RETURN_IF_ERROR(FailNeed(task, row.policy, needed, result));
  }
  return all;
}

absl::StatusOr<bool> QueueWriter::IsBeingCancelled(int64_t batch) {
  SqliteStatement row =
      db_.Query("SELECT 1 FROM batch WHERE id = ? AND state = ?", batch,
                static_cast<int>(v1::BATCH_STATE_CANCELLING));
  const bool is = row.Step();
  RETURN_IF_ERROR(row.status());
  return is;
}

absl::Status QueueWriter::LookAtBlocked(int64_t id, TimersFired& result) {
  ASSIGN_OR_RETURN(TaskRow task, LoadTask(id));
  if (task.state != v1::TASK_STATE_BLOCKED) return absl::OkStatus();
  // The cancel of its batch ends it: perhaps it is one of its needs that asked
  // for that, and counts as met no more than as missed.
  ASSIGN_OR_RETURN(bool ends, IsBeingCancelled(task.batch));
  if (ends) return absl::OkStatus();
  struct Row {
    int64_t k = 0, batch = 0, until = 0;
    v1::NeedPolicy policy = v1::NEED_POLICY_SKIP;
  };
  std::vector<Row> open;
  {
    SqliteStatement row = db_.Query(
        "SELECT k, batch, until, policy FROM need WHERE task = ? AND open = 1",
        id);
    while (row.Step()) {
      open.push_back({row.Int(0), row.Int(1), row.Int(2),
                      static_cast<v1::NeedPolicy>(row.Int(3))});
    }
    RETURN_IF_ERROR(row.status());
  }
  size_t met = 0;
  for (const Row& row : open) {
    if (row.batch == 0) continue;  // one task, which will say when it is done
    ASSIGN_OR_RETURN(bool is_met,
                     IsAllMet(task, row.batch, row.until, row.policy, result));
    if (!is_met) continue;
    RETURN_IF_ERROR(db_.Run("UPDATE need SET open = 0 WHERE task = ? AND k = ?",
                            id, row.k));
    ++met;
  }
  return met == open.size() ? Unblock(task, result) : absl::OkStatus();
}

absl::StatusOr<bool> QueueWriter::IsAllMet(const TaskRow& task, int64_t batch,
                                           int64_t until, v1::NeedPolicy policy,
                                           TimersFired& result) {
  if (policy != v1::NEED_POLICY_RUN_ANYWAY) {
    ASSIGN_OR_RETURN(int64_t bad, FirstUnsuccessful(batch, until));
    if (bad != 0) {
      RETURN_IF_ERROR(FailNeed(task, policy, bad, result));
      return false;
    }
  }
  ASSIGN_OR_RETURN(int64_t open, FirstUnfinished(batch, until));
  return open == 0;
}

// Ready from now on, whenever it was submitted: what it waited for is nobody's
// delay but its own. Or once its delay is over.
absl::Status QueueWriter::Unblock(const TaskRow& task, TimersFired& result) {
  ASSIGN_OR_RETURN(Given given, GiveNeeds(task.id));
  if (!given.trouble.empty()) {
    return EndBlocked(task, v1::TASK_STATE_FAILED, given.trouble, result);
  }
  const std::string bytes = given.line.SerializeAsString();
  RETURN_IF_ERROR(db_.Run("UPDATE task SET state = ?, given = ? WHERE id = ?",
                          static_cast<int>(v1::TASK_STATE_QUEUED),
                          SqliteBlob{bytes}, task.id));
  JournalEntry entry{.kind = JournalKind::kUnblocked,
                     .batch = task.batch,
                     .task = task.id,
                     .state = v1::TASK_STATE_QUEUED};
  RETURN_IF_ERROR(Journal(entry).status());
  RETURN_IF_ERROR(CloseNeeds(task.id));
  RETURN_IF_ERROR(
      Count(task.batch, v1::TASK_STATE_BLOCKED, v1::TASK_STATE_QUEUED));
  const int64_t now = NowMicros();
  if (task.not_before && *task.not_before > now) {
    return AddTimer(absl::FromUnixMicros(*task.not_before), kReadyTimer,
                    task.id);
  }
  return MakeReady(task, now);
}

absl::Status QueueWriter::FailNeed(const TaskRow& task, v1::NeedPolicy policy,
                                   int64_t needed, TimersFired& result) {
  if (task.state != v1::TASK_STATE_BLOCKED) return absl::OkStatus();
  std::string why;
  {
    SqliteStatement row =
        db_.Query("SELECT name, state FROM task WHERE id = ?", needed);
    if (row.Step()) {
      why = absl::StrCat("needs '", row.Text(0), "', which ",
                         WhatBecameOf(static_cast<v1::TaskState>(row.Int(1))));
    }
    RETURN_IF_ERROR(row.status());
  }
  if (policy == v1::NEED_POLICY_FAIL_BATCH) {
    return CancelForNeed(task, why, result);
  }
  return EndBlocked(task, v1::TASK_STATE_SKIPPED, why, result);
}

// Its tasks, this one with them, are cancelled by CancelBatch, step by step.
absl::Status QueueWriter::CancelForNeed(const TaskRow& task,
                                        const std::string& why,
                                        TimersFired& result) {
  std::string reason;
  RowKey batch{task.batch, 0};
  {
    SqliteStatement row = db_.Query(
        "SELECT t.name, b.at FROM task t JOIN batch b ON b.id = t.batch "
        "WHERE t.id = ?",
        task.id);
    if (!row.Step()) return absl::DataLossError("batch row vanished");
    reason = absl::StrCat("task '", row.Text(0), "' ", why);
    batch.unix_millis = row.Int(1) / 1000;
  }
  RETURN_IF_ERROR(
      db_.Run("UPDATE batch SET state = ?, cancel_why = ? WHERE id = ? "
              "AND state IN (?, ?)",
              static_cast<int>(v1::BATCH_STATE_CANCELLING), reason, task.batch,
              static_cast<int>(v1::BATCH_STATE_OPEN),
              static_cast<int>(v1::BATCH_STATE_SEALED)));
  // Somebody has cancelled it already, and is at it.
  if (db_.changes() == 0) return absl::OkStatus();
  JournalEntry entry{.kind = JournalKind::kBatchCancelAsked,
                     .batch = task.batch,
                     .why = reason};
  RETURN_IF_ERROR(Journal(entry).status());
  result.cancelling.push_back(batch);
  return absl::OkStatus();
}

absl::Status QueueWriter::EndBlocked(const TaskRow& task, v1::TaskState state,
                                     const std::string& why,
                                     TimersFired& result) {
  const bool skipped = state == v1::TASK_STATE_SKIPPED;
  const v1::FailureClass failure =
      skipped ? v1::FAILURE_CLASS_UNSPECIFIED : v1::FAILURE_CLASS_SPEC;
  RETURN_IF_ERROR(
      db_.Run("UPDATE task SET state = ?, why = ?, class = ?, ended_at = ?, "
              "not_before = NULL WHERE id = ?",
              static_cast<int>(state), why, static_cast<int>(failure),
              NowMicros(), task.id));
  RETURN_IF_ERROR(CloseNeeds(task.id));
  RETURN_IF_ERROR(ForgetExpiry(task));
  // Before the counts, which may end the batch with a row of its own.
  JournalEntry entry{
      .kind = skipped ? JournalKind::kSkipped : JournalKind::kSettled,
      .batch = task.batch,
      .task = task.id,
      .state = state,
      .failure_class = failure,
      .why = why};
  RETURN_IF_ERROR(Journal(entry).status());
  RETURN_IF_ERROR(NoteOutcome(task, state, 0));
  RETURN_IF_ERROR(Count(task.batch, v1::TASK_STATE_BLOCKED, state));
  result.ended.push_back(task.id);
  return WakeNeedy(task.id, task.batch, state);
}

absl::Status QueueWriter::CheckDone(int64_t task, bool anyway) {
  SqliteStatement row =
      db_.Query("SELECT name, state FROM task WHERE id = ?", task);
  if (!row.Step()) {
    RETURN_IF_ERROR(row.status());
    return absl::FailedPreconditionError("it needs a task that is deleted");
  }
  const auto state = static_cast<v1::TaskState>(row.Int(1));
  if (state == v1::TASK_STATE_SUCCEEDED || (anyway && IsFinal(state))) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      IsFinal(state)
          ? absl::StrCat("it needs '", row.Text(0), "', which ",
                         WhatBecameOf(state), "; try that one again first")
          : absl::StrCat("it needs '", row.Text(0),
                         "', which is not finished; wait for it"));
}

absl::Status QueueWriter::CheckAllDone(int64_t batch, int64_t until,
                                       bool anyway) {
  ASSIGN_OR_RETURN(int64_t open, FirstUnfinished(batch, until));
  if (open != 0) return CheckDone(open, anyway);
  if (anyway) return absl::OkStatus();
  std::vector<int64_t> bad;
  for (v1::TaskState state : {v1::TASK_STATE_FAILED, v1::TASK_STATE_CANCELLED,
                              v1::TASK_STATE_SKIPPED}) {
    SqliteStatement row = db_.Query(
        "SELECT id FROM task WHERE batch = ? AND state = ? AND id < ? "
        "ORDER BY id LIMIT ?",
        batch, static_cast<int>(state), until, kUnsuccessfulMax);
    while (row.Step()) bad.push_back(row.Int(0));
    RETURN_IF_ERROR(row.status());
  }
  if (bad.size() >= kUnsuccessfulMax) {
    return absl::FailedPreconditionError(
        absl::StrCat("it needs all tasks before it, of which ",
                     kUnsuccessfulMax, " or more did not succeed"));
  }
  for (int64_t task : bad) {
    ASSIGN_OR_RETURN(int64_t other, StandIn(task));
    RETURN_IF_ERROR(CheckDone(other, anyway));
  }
  return absl::OkStatus();
}

absl::Status QueueWriter::CloseNeeds(int64_t task) {
  return db_.Run("UPDATE need SET open = 0 WHERE task = ? AND open != 0", task);
}

}  // namespace midwatch
