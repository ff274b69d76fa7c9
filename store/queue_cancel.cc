// Cancelling: of a task, and of a batch step by step.
#include <utility>

#include "base/status_macros.h"
#include "store/queue_writer.h"

namespace midwatch {

// Whichever of cancel and settle commits first wins. A task without a session
// ends here; one with a session is told to stop, and its settle ends it.
absl::Status QueueWriter::CancelOne(const TaskRow& task,
                                    const std::string& reason,
                                    CancelResult& result) {
  result.state = task.state;
  if (IsFinal(task.state) || task.state == v1::TASK_STATE_CANCELLING) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(std::optional<LiveRow> live, FindLive(task.id));
  bool begun = false;
  if (live.has_value()) {
    ASSIGN_OR_RETURN(begun, MayHaveBegun(task, *live));
  }
  if (begun) {
    RETURN_IF_ERROR(
        db_.Run("UPDATE live SET cancelling = 1 WHERE task = ?", task.id));
    // Whoever adopts it says the interrupt and settles.
    if (live->parked_at) RETURN_IF_ERROR(Unpark(*live));
    ASSIGN_OR_RETURN(v1::Say say, PutInterrupt(live->lease));
    RETURN_IF_ERROR(db_.Run("UPDATE task SET state = ?, why = ? WHERE id = ?",
                            static_cast<int>(v1::TASK_STATE_CANCELLING), reason,
                            task.id));
    RETURN_IF_ERROR(Count(task.batch, task.state, v1::TASK_STATE_CANCELLING));
    JournalEntry entry{.kind = JournalKind::kCancelAsked,
                       .batch = task.batch,
                       .task = task.id,
                       .attempt = live->lease.attempt,
                       .state = v1::TASK_STATE_CANCELLING,
                       .why = reason};
    RETURN_IF_ERROR(Journal(entry).status());
    result.notices.push_back({live->lease, std::move(say)});
    result.state = v1::TASK_STATE_CANCELLING;
    return absl::OkStatus();
  }

  int64_t released = 0;
  if (live.has_value()) {
    released = live->reserved;
    if (live->parked_at) RETURN_IF_ERROR(Unpark(*live));
    Disposition nothing{.state = v1::TASK_STATE_CANCELLED,
                        .reason = "cancelled before its session began"};
    RETURN_IF_ERROR(CloseAttempt(task, *live, nothing, ""));
    RETURN_IF_ERROR(LeaveLane(task.lane, task.batch));
    RETURN_IF_ERROR(Release(task.lane, *live, 0));
    RETURN_IF_ERROR(CorrectShare(task.lane, *live, 0));
    result.notices.push_back({live->lease, std::nullopt});
  } else {
    if (task.state == v1::TASK_STATE_BLOCKED) {
      RETURN_IF_ERROR(CloseNeeds(task.id));
    }
    RETURN_IF_ERROR(RemoveReady(task));
    RETURN_IF_ERROR(ForgetExpiry(task));
    if (task.not_before.has_value()) {
      RETURN_IF_ERROR(
          db_.Run("DELETE FROM timer WHERE at = ? AND kind = ? AND ref = ?",
                  *task.not_before, kReadyTimer, task.id));
    }
  }
  RETURN_IF_ERROR(
      db_.Run("UPDATE task SET state = ?, why = ?, ended_at = ?, reserved = 0, "
              "rank = NULL, not_before = NULL WHERE id = ?",
              static_cast<int>(v1::TASK_STATE_CANCELLED), reason, NowMicros(),
              task.id));
  // Before the counts, which may end the batch with a row of its own.
  JournalEntry entry{.kind = JournalKind::kCancelled,
                     .batch = task.batch,
                     .task = task.id,
                     .attempt = live.has_value() ? live->lease.attempt : 0,
                     .state = v1::TASK_STATE_CANCELLED,
                     .reserve_delta = -released,
                     .why = reason};
  RETURN_IF_ERROR(Journal(entry).status());
  result.state = v1::TASK_STATE_CANCELLED;
  RETURN_IF_ERROR(AddSunk(task.batch, -task.charged));
  RETURN_IF_ERROR(NoteOutcome(task, v1::TASK_STATE_CANCELLED, 0));
  RETURN_IF_ERROR(
      Count(task.batch, task.state, v1::TASK_STATE_CANCELLED, 0, -released));
  return WakeNeedy(task.id, task.batch, v1::TASK_STATE_CANCELLED);
}

absl::StatusOr<bool> QueueWriter::MayHaveBegun(const TaskRow& task,
                                               const LiveRow& live) {
  if (live.phase != v1::ATTEMPT_PHASE_GRANTED) return true;
  // A session that was created with its message runs before it is recorded.
  ASSIGN_OR_RETURN(v1::TaskSpec spec, LoadSpec(task.template_id));
  if (spec.start() != v1::START_MODE_ONE_CALL) return false;
  SqliteStatement row = db_.Query(
      "SELECT 1 FROM create_try WHERE task = ? AND n = ? "
      "AND disowned != 2 LIMIT 1",
      task.id, live.lease.attempt);
  const bool begun = row.Step();
  RETURN_IF_ERROR(row.status());
  return begun;
}

absl::StatusOr<v1::Say> QueueWriter::PutInterrupt(const LeaseKey& lease) {
  return PutSay(lease.task, lease.attempt, v1::SAY_KIND_INTERRUPT, "cancel",
                "");
}

absl::StatusOr<CancelResult> QueueWriter::Do(const CancelTask& write) {
  ASSIGN_OR_RETURN(TaskRow task, LoadTask(write.task));
  CancelResult result;
  RETURN_IF_ERROR(CancelOne(task, write.reason, result));
  result.needs_met = std::exchange(needs_met_, false);
  return result;
}

absl::StatusOr<CancelBatchResult> QueueWriter::Do(const CancelBatch& write) {
  // Bounds the time of one write.
  constexpr int kTasksPerWrite = 200;
  std::string reason = write.reason;
  v1::BatchState state;
  {
    SqliteStatement row = db_.Query(
        "SELECT at, state, cancel_why FROM batch WHERE id = ? "
        "AND deleted_at IS NULL",
        write.batch.row);
    bool found = row.Step();
    RETURN_IF_ERROR(row.status());
    if (!found || row.Int(0) / 1000 != write.batch.unix_millis) {
      return absl::NotFoundError("no such batch");
    }
    state = static_cast<v1::BatchState>(row.Int(1));
    if (state == v1::BATCH_STATE_CANCELLING) reason = row.Text(2);
  }
  CancelBatchResult result;
  if (state == v1::BATCH_STATE_DONE) return result;
  if (state != v1::BATCH_STATE_CANCELLING) {
    RETURN_IF_ERROR(db_.Run(
        "UPDATE batch SET state = ?, cancel_why = ? WHERE id = ?",
        static_cast<int>(v1::BATCH_STATE_CANCELLING), reason, write.batch.row));
    JournalEntry entry{.kind = JournalKind::kBatchCancelAsked,
                       .batch = write.batch.row,
                       .why = reason};
    RETURN_IF_ERROR(Journal(entry).status());
  }
  std::vector<int64_t> tasks;
  for (v1::TaskState each : {v1::TASK_STATE_BLOCKED, v1::TASK_STATE_QUEUED,
                             v1::TASK_STATE_RUNNING, v1::TASK_STATE_WAITING}) {
    SqliteStatement row = db_.Query(
        "SELECT id FROM task WHERE batch = ? AND state = ? ORDER BY id "
        "LIMIT ?",
        write.batch.row, static_cast<int>(each),
        kTasksPerWrite - static_cast<int>(tasks.size()));
    while (row.Step()) tasks.push_back(row.Int(0));
    RETURN_IF_ERROR(row.status());
  }
  for (int64_t id : tasks) {
    ASSIGN_OR_RETURN(TaskRow task, LoadTask(id));
    CancelResult one;
    RETURN_IF_ERROR(CancelOne(task, reason, one));
    for (auto& notice : one.notices) {
      result.notices.push_back(std::move(notice));
    }
  }
  result.more = tasks.size() == static_cast<size_t>(kTasksPerWrite);
  if (!result.more) RETURN_IF_ERROR(EndBatchIfDone(write.batch.row));
  result.needs_met = std::exchange(needs_met_, false);
  return result;
}

}  // namespace midwatch
