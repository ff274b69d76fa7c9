// When tasks begin to wait for their turn, and for how long: delays, and
// expiries. Both are timers, set in the transaction that makes the task.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "store/queue_writer.h"

namespace midwatch {

absl::Status QueueWriter::CheckStart(const StartRules& rules, int64_t now) {
  const absl::Time at = absl::FromUnixMicros(now);
  if (rules.StartOf(at) - at <= kStartAheadMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("has a start_after of ",
                   absl::FormatTime(absl::RFC3339_sec, rules.start_after,
                                    absl::UTCTimeZone()),
                   "; expected a time at most 366 days ahead"));
}

absl::Status QueueWriter::SetTimer(absl::Time at, int kind, int64_t ref) {
  timer_at_ = std::min(timer_at_, at);
  return AddTimer(at, kind, ref);
}

absl::Status QueueWriter::ForgetExpiry(const TaskRow& task) {
  if (!task.expires_at) return absl::OkStatus();
  return ForgetTimer(*task.expires_at, kExpiryTimer, task.id);
}

absl::Status QueueWriter::Expire(int64_t id, int64_t at, TimersFired& result) {
  absl::StatusOr<TaskRow> found = LoadTask(id);
  if (absl::IsNotFound(found.status())) return absl::OkStatus();  // deleted
  RETURN_IF_ERROR(found.status());
  const TaskRow& task = *found;
  const bool waits = task.state == v1::TASK_STATE_QUEUED ||
                     task.state == v1::TASK_STATE_BLOCKED;
  // The timer may have been put off, but an expiry that is later has its own.
  if (!waits || !task.expires_at || *task.expires_at > at) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(RemoveReady(task));
  if (task.not_before) {
    RETURN_IF_ERROR(ForgetTimer(*task.not_before, kReadyTimer, id));
  }
  if (task.state == v1::TASK_STATE_BLOCKED) {
    RETURN_IF_ERROR(CloseNeeds(id));
  }
  // The same words for all, so that they are one cause.
  const std::string why = task.state == v1::TASK_STATE_BLOCKED
                              ? "expired: what it needs was not done in time"
                              : "expired: it was not started in time";
  RETURN_IF_ERROR(
      db_.Run("UPDATE task SET state = ?, why = ?, ended_at = ?, rank = NULL, "
              "not_before = NULL WHERE id = ?",
              static_cast<int>(v1::TASK_STATE_FAILED), why, NowMicros(), id));
  // Before the counts, which may end the batch with a row of its own.
  JournalEntry entry{.kind = JournalKind::kExpired,
                     .batch = task.batch,
                     .task = id,
                     .state = v1::TASK_STATE_FAILED,
                     .why = why};
  RETURN_IF_ERROR(Journal(entry).status());
  RETURN_IF_ERROR(NoteOutcome(task, v1::TASK_STATE_FAILED, 0));
  RETURN_IF_ERROR(Count(task.batch, task.state, v1::TASK_STATE_FAILED));
  result.ended.push_back(id);
  return WakeNeedy(id, task.batch, v1::TASK_STATE_FAILED);
}

}  // namespace midwatch
