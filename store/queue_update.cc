// Changing a task that waits for an attempt, or for what it needs.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "store/labels.h"
#include "store/proto_time.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

absl::Status CheckWaits(v1::TaskState state) {
  if (state == v1::TASK_STATE_QUEUED || state == v1::TASK_STATE_BLOCKED) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      IsFinal(state)
          ? "the task is finished; `task retry` makes a new one"
          : "the task runs; only its max_cost can be changed yet (`budget set "
            "--task`). Cancel it and submit another to change more");
}

std::string TimeWords(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
}

// For the journal: what was asked for.
std::string ChangeWords(const UpdateTask& write, int32_t old_priority) {
  std::vector<std::string> words;
  if (write.priority) {
    words.push_back(
        absl::StrCat("priority ", old_priority, " to ", *write.priority));
  }
  if (write.start_after) {
    words.push_back(
        *write.start_after == absl::InfinitePast()
            ? "may start now"
            : absl::StrCat("may start after ", TimeWords(*write.start_after)));
  }
  if (write.expires_at) {
    words.push_back(
        *write.expires_at == absl::InfiniteFuture()
            ? "never expires"
            : absl::StrCat("expires at ", TimeWords(*write.expires_at)));
  }
  if (write.deadline) {
    words.push_back(
        *write.deadline == absl::ZeroDuration()
            ? "no deadline"
            : absl::StrCat("deadline ", absl::FormatDuration(*write.deadline)));
  }
  if (write.max_cost) {
    words.push_back(
        absl::StrCat("max_cost ", *write.max_cost, " micro-dollars"));
  }
  for (const auto& [key, value] : write.set_labels) {
    words.push_back(absl::StrCat("label ", LabelLine(key, value)));
  }
  for (const std::string& key : write.remove_labels) {
    words.push_back(absl::StrCat("no label ", key));
  }
  return absl::StrCat(absl::StrJoin(words, ", "),
                      write.reason.empty() ? "" : ": ", write.reason);
}

}  // namespace

absl::StatusOr<Done> QueueWriter::Do(const UpdateTask& write) {
  ASSIGN_OR_RETURN(const TaskRow old, LoadTask(write.task));
  RETURN_IF_ERROR(CheckWaits(old.state));
  const int64_t now = NowMicros();
  int64_t start = std::max(now, old.not_before.value_or(now));
  if (write.start_after) {
    RETURN_IF_ERROR(CheckStart({.start_after = *write.start_after}, now));
    start = std::max(now, absl::ToUnixMicros(*write.start_after));
  }
  const absl::Time expires_at = write.expires_at ? *write.expires_at
                                : old.expires_at
                                    ? absl::FromUnixMicros(*old.expires_at)
                                    : absl::InfiniteFuture();
  if (expires_at < absl::InfiniteFuture() && old.attempts > 0) {
    return absl::FailedPreconditionError(
        "the task began once, so it cannot expire any more; cancel it instead");
  }
  if (expires_at <= absl::FromUnixMicros(start)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the task would expire at ", TimeWords(expires_at),
                     ", and may not start before ",
                     TimeWords(absl::FromUnixMicros(start)), "; change both"));
  }
  if (write.max_cost) {
    SetBudget budget;
    budget.scope = v1::BUDGET_SCOPE_TASK;
    budget.row = write.task;
    budget.limit = *write.max_cost;
    RETURN_IF_ERROR(SetMaxCost(budget).status());
  }
  RETURN_IF_ERROR(ChangeLabels(write));
  if (write.deadline) RETURN_IF_ERROR(ChangeDeadline(old, *write.deadline));
  if (write.expires_at) RETURN_IF_ERROR(ChangeExpiry(old, *write.expires_at));
  // It stands in its lane by what these two say.
  if (write.priority || write.deadline) {
    RETURN_IF_ERROR(ChangePriority(old, write.priority.value_or(old.priority)));
  }
  if (write.start_after) {
    ASSIGN_OR_RETURN(TaskRow task, LoadTask(old.id));
    RETURN_IF_ERROR(ChangeStart(task, start, now));
  }
  JournalEntry entry{.kind = JournalKind::kTaskChanged,
                     .batch = old.batch,
                     .task = old.id,
                     .state = old.state,
                     .why = ChangeWords(write, old.priority)};
  RETURN_IF_ERROR(Journal(entry).status());
  needs_met_ = false;  // timers are looked at after each change
  return Done{};
}

absl::Status QueueWriter::ChangeStart(const TaskRow& task, int64_t start,
                                      int64_t now) {
  const bool queued = task.state == v1::TASK_STATE_QUEUED;
  if (queued && task.not_before) {
    RETURN_IF_ERROR(ForgetTimer(*task.not_before, kReadyTimer, task.id));
  }
  if (start <= now) {
    // Ready already: stays where it stands.
    if (task.rank) return absl::OkStatus();
    if (queued) return BeginAnother(task, now);
    return db_.Run("UPDATE task SET not_before = NULL WHERE id = ?", task.id);
  }
  RETURN_IF_ERROR(RemoveReady(task));
  RETURN_IF_ERROR(
      db_.Run("UPDATE task SET rank = NULL, not_before = ? WHERE id = ?", start,
              task.id));
  if (!queued) return absl::OkStatus();
  return AddTimer(absl::FromUnixMicros(start), kReadyTimer, task.id);
}

absl::Status QueueWriter::ChangeExpiry(const TaskRow& task,
                                       absl::Time expires_at) {
  RETURN_IF_ERROR(ForgetExpiry(task));
  const bool expires = expires_at < absl::InfiniteFuture();
  RETURN_IF_ERROR(
      db_.Run("UPDATE task SET expires_at = ? WHERE id = ?",
              SqliteNullable<int64_t>{expires, absl::ToUnixMicros(expires_at)},
              task.id));
  if (!expires) return absl::OkStatus();
  return AddTimer(expires_at, kExpiryTimer, task.id);
}

absl::Status QueueWriter::ChangeDeadline(const TaskRow& task,
                                         absl::Duration deadline) {
  ASSIGN_OR_RETURN(v1::TaskSpec spec, LoadSpec(task.template_id));
  spec.clear_deadline();
  if (deadline > absl::ZeroDuration()) {
    *spec.mutable_deadline() = ToDuration(deadline);
  }
  // Of its own: others may have the one that it has.
  ASSIGN_OR_RETURN(int64_t own, InsertTemplate(spec));
  RETURN_IF_ERROR(
      db_.Run("UPDATE task SET template = ? WHERE id = ?", own, task.id));
  // Of a single task nobody else has the one before, but where it is a retry:
  // that has the one of what it tries again.
  return db_.Run(
      "DELETE FROM template WHERE id = ? AND EXISTS (SELECT 1 FROM task "
      "WHERE id = ? AND batch = 0 AND retry_of IS NULL)",
      task.template_id, task.id);
}

absl::Status QueueWriter::ChangeLabels(const UpdateTask& write) {
  if (write.set_labels.empty() && write.remove_labels.empty()) {
    return absl::OkStatus();
  }
  Labels old;
  {
    SqliteStatement row =
        db_.Query("SELECT labels FROM task WHERE id = ?", write.task.row);
    if (!row.Step()) return absl::DataLossError("task row vanished");
    old = LabelsFromLines(row.Text(0));
  }
  Labels labels = old;
  for (const std::string& key : write.remove_labels) labels.erase(key);
  for (const auto& [key, value] : write.set_labels) labels[key] = value;
  if (labels.size() > kTaskLabelsMax) {
    return absl::FailedPreconditionError(
        absl::StrCat("the task would have ", labels.size(), " labels; at most ",
                     kTaskLabelsMax));
  }
  for (const auto& each : old) {
    auto kept = labels.find(each.first);
    if (kept != labels.end() && kept->second == each.second) continue;
    ASSIGN_OR_RETURN(int64_t label,
                     LabelId(kTaskLabel, LabelLine(each.first, each.second)));
    RETURN_IF_ERROR(
        db_.Run("DELETE FROM task_label WHERE label = ? AND task = ?", label,
                write.task.row));
  }
  for (const auto& [key, value] : labels) {
    ASSIGN_OR_RETURN(int64_t label, LabelId(kTaskLabel, LabelLine(key, value)));
    RETURN_IF_ERROR(
        db_.Run("INSERT INTO task_label(label, task) VALUES (?,?) "
                "ON CONFLICT DO NOTHING",
                label, write.task.row));
  }
  return db_.Run(
      "UPDATE task SET labels = ? WHERE id = ?",
      SqliteNullable<std::string>{!labels.empty(), LabelLines(labels)},
      write.task.row);
}

absl::Status QueueWriter::ChangePriority(const TaskRow& old, int32_t priority) {
  RETURN_IF_ERROR(
      db_.Run("UPDATE task SET prio = ? WHERE id = ?", priority, old.id));
  if (!old.rank) return absl::OkStatus();
  RETURN_IF_ERROR(RemoveReady(old));
  ASSIGN_OR_RETURN(TaskRow task, LoadTask(old.id));
  // What it has waited counts on.
  const absl::Time since = std::max(ReadyAtOf(*old.rank, old.priority),
                                    absl::FromUnixMicros(old.at));
  return MakeReady(task, absl::ToUnixMicros(since));
}

}  // namespace midwatch
