// Canaries and stop rules: what is kept of them, and what is done where they
// say so. What they say is decided in batch_rules.h, in the transaction that
// ends a task or learns its cost.
#include <optional>
#include <utility>

#include "base/status_macros.h"
#include "store/batch_rules.h"
#include "store/queue_writer.h"

namespace midwatch {

absl::Status QueueWriter::PutRules(int64_t batch, const OpenBatch& write) {
  if (write.canary) {
    RETURN_IF_ERROR(db_.Run(
        "UPDATE batch SET canary = ?, canary_tasks = ?, canary_min = ?, "
        "canary_cost = ? WHERE id = ?",
        static_cast<int>(v1::CANARY_VERDICT_UNDECIDED), write.canary->tasks,
        write.canary->min_success, write.canary->max_cost, batch));
  }
  if (write.stop_when) {
    RETURN_IF_ERROR(
        db_.Run("UPDATE batch SET stop_failed = ?, stop_ratio = ?, "
                "stop_after = ? WHERE id = ?",
                write.stop_when->failed, write.stop_when->failed_ratio,
                write.stop_when->after, batch));
  }
  return absl::OkStatus();
}

absl::StatusOr<QueueWriter::Rules> QueueWriter::LoadRules(int64_t batch) {
  SqliteStatement row = db_.Query(
      "SELECT state, lines, "
      "blocked + queued + running + waiting + cancelling, pause_until, canary, "
      "canary_tasks, canary_min, canary_cost, canary_good, canary_bad, "
      "canary_out, canary_charged, stop_failed, stop_ratio, stop_after, "
      "stop_bad, stop_ended, stopped FROM batch WHERE id = ?",
      batch);
  if (!row.Step()) {
    RETURN_IF_ERROR(row.status());
    return absl::DataLossError("batch row vanished");
  }
  Rules rules;
  rules.state = static_cast<v1::BatchState>(row.Int(0));
  rules.unfinished = row.Int(2);
  if (!row.IsNull(3)) rules.pause_until = row.Int(3);
  rules.verdict = static_cast<v1::CanaryVerdict>(row.Int(4));
  rules.canary = {row.Int(5), row.Int(6), row.Int(7)};
  rules.tally = {.lines = row.Int(1),
                 .sealed = rules.state != v1::BATCH_STATE_OPEN,
                 .succeeded = row.Int(8),
                 .failed = row.Int(9),
                 .left_out = row.Int(10),
                 .charged = row.Int(11)};
  rules.stop = {row.Int(12), row.Int(13), row.Int(14)};
  rules.failed = row.Int(15);
  rules.ended = row.Int(16);
  rules.stopped = row.Int(17) != 0;
  return rules;
}

absl::Status QueueWriter::NoteOutcome(const TaskRow& task, v1::TaskState ended,
                                      int64_t charged) {
  if (task.batch == 0 || task.batch == known_.ruleless) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Rules rules, LoadRules(task.batch));
  if (rules.canary.tasks == 0 && rules.stop == StopRule()) {
    known_.ruleless = task.batch;
    return absl::OkStatus();
  }
  const int good = ended == v1::TASK_STATE_SUCCEEDED ? 1 : 0;
  const int bad = ended == v1::TASK_STATE_FAILED ? 1 : 0;
  const int all = IsFinal(ended) ? 1 : 0;
  const int of_canary = task.line < rules.canary.tasks ? 1 : 0;
  RETURN_IF_ERROR(db_.Run(
      "UPDATE batch SET stop_bad = stop_bad + ?, stop_ended = stop_ended + ?, "
      "canary_good = canary_good + ?, canary_bad = canary_bad + ?, "
      "canary_out = canary_out + ?, canary_charged = canary_charged + ? "
      "WHERE id = ?",
      bad, good + bad, of_canary * good, of_canary * bad,
      of_canary * (all - good - bad), of_canary * charged, task.batch));
  return JudgeBatch(task.batch, all);
}

absl::Status QueueWriter::NoteLeftOut(int64_t batch, int64_t tasks) {
  RETURN_IF_ERROR(
      db_.Run("UPDATE batch SET canary_out = canary_out + ? WHERE id = ?",
              tasks, batch));
  return JudgeBatch(batch, 0);
}

absl::Status QueueWriter::JudgeBatch(int64_t batch, int64_t ending) {
  ASSIGN_OR_RETURN(const Rules rules, LoadRules(batch));
  const bool open = rules.state == v1::BATCH_STATE_OPEN;
  if (!open && rules.state != v1::BATCH_STATE_SEALED) return absl::OkStatus();
  // Nothing of it is left to be held back.
  const bool over = !open && rules.unfinished <= ending;
  if (rules.verdict == v1::CANARY_VERDICT_UNDECIDED) {
    const CanaryOutcome outcome = JudgeCanary(rules.canary, rules.tally);
    if (outcome.verdict != v1::CANARY_VERDICT_UNDECIDED) {
      RETURN_IF_ERROR(DecideCanary(batch, outcome));
    }
    if (outcome.verdict == v1::CANARY_VERDICT_FAILED) {
      return over ? absl::OkStatus()
                  : BeginBatchPause(batch, rules.pause_until, outcome.why);
    }
  }
  // Paused by a rule already: until it is resumed, what still runs may fail as
  // it likes.
  const bool held = rules.stopped || rules.verdict == v1::CANARY_VERDICT_FAILED;
  if (held || over) return absl::OkStatus();
  const std::string why = WhyStop(rules.stop, rules.failed, rules.ended);
  if (why.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(db_.Run("UPDATE batch SET stopped = 1 WHERE id = ?", batch));
  JournalEntry entry{.kind = JournalKind::kStopped, .batch = batch, .why = why};
  RETURN_IF_ERROR(Journal(entry).status());
  return BeginBatchPause(batch, rules.pause_until, why);
}

absl::Status QueueWriter::DecideCanary(int64_t batch,
                                       const CanaryOutcome& outcome) {
  static_assert(static_cast<int>(LaneBlock::kCanary) == 64,
                "the bit is in the statement");
  RETURN_IF_ERROR(
      db_.Run("UPDATE batch SET canary = ?, canary_why = ? WHERE id = ?",
              static_cast<int>(outcome.verdict), outcome.why, batch));
  RETURN_IF_ERROR(
      db_.Run("UPDATE lane SET blocked = blocked & ~64 "
              "WHERE batch = ? AND batch > 0",
              batch));
  const bool passed = outcome.verdict == v1::CANARY_VERDICT_PASSED;
  JournalEntry entry{
      .kind = passed ? JournalKind::kCanaryPassed : JournalKind::kCanaryFailed,
      .batch = batch,
      .why = outcome.why};
  return Journal(entry).status();
}

absl::Status QueueWriter::GoOnAllTheSame(int64_t batch) {
  return db_.Run(
      "UPDATE batch SET stopped = 0, stop_bad = 0, stop_ended = 0, "
      "canary = CASE canary WHEN ? THEN ? ELSE canary END "
      "WHERE id = ? AND (stopped = 1 OR canary = ?)",
      static_cast<int>(v1::CANARY_VERDICT_FAILED),
      static_cast<int>(v1::CANARY_VERDICT_OVERRULED), batch,
      static_cast<int>(v1::CANARY_VERDICT_FAILED));
}

}  // namespace midwatch
