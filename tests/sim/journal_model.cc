#include "tests/sim/journal_model.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/sim/violation.h"

namespace midwatch::sim {

namespace {

const char* KindName(JournalKind kind) {
  constexpr const char* kNames[] = {"",
                                    "batch opened",
                                    "tasks added",
                                    "sealed",
                                    "submitted",
                                    "granted",
                                    "adopted",
                                    "recorded",
                                    "cleared",
                                    "started",
                                    "handed back",
                                    "freed",
                                    "retry",
                                    "settled",
                                    "cancel asked",
                                    "cancelled",
                                    "batch cancel asked",
                                    "batch done",
                                    "said",
                                    "budget set",
                                    "budget deleted",
                                    "parked",
                                    "answered",
                                    "unanswered",
                                    "account shut",
                                    "account opened",
                                    "held",
                                    "adjusted",
                                    "swept",
                                    "paused",
                                    "resumed",
                                    "control set",
                                    "schedule set",
                                    "schedule deleted",
                                    "fired",
                                    "not fired",
                                    "unblocked",
                                    "skipped"};
  switch (kind) {
    case JournalKind::kCanaryPassed:
      return "canary passed";
    case JournalKind::kCanaryFailed:
      return "canary failed";
    case JournalKind::kStopped:
      return "stopped";
    default:
      break;
  }
  const auto number = static_cast<size_t>(kind);
  if (kind == JournalKind::kHookDue) return "hook due";
  if (kind == JournalKind::kHookDelivered) return "hook delivered";
  if (kind == JournalKind::kHookGivenUp) return "hook given up";
  if (kind == JournalKind::kAtRisk) return "at risk";
  if (kind == JournalKind::kBatchRetried) return "batch retried";
  if (kind == JournalKind::kBatchDeleted) return "batch deleted";
  if (kind == JournalKind::kTasksDeleted) return "tasks deleted";
  if (kind == JournalKind::kTaskChanged) return "task changed";
  return number < std::size(kNames) ? kNames[number] : "?";
}

}  // namespace

std::string Describe(const JournalRow& row) {
  std::string text =
      absl::StrCat("  journal ", row.seq, " ", KindName(row.kind));
  if (row.batch > 1) absl::StrAppend(&text, " batch ", row.batch);
  if (row.task != 0) {
    absl::StrAppend(&text, " task ", row.task, " attempt ", row.attempt);
  }
  if (row.who != 0) absl::StrAppend(&text, " by ", row.who);
  if (row.reserved != 0) absl::StrAppend(&text, " reserved ", row.reserved);
  if (row.charged != 0) absl::StrAppend(&text, " charged ", row.charged);
  if (row.over != 0) absl::StrAppend(&text, " over ", row.over);
  if (!row.why.empty()) absl::StrAppend(&text, ": ", row.why);
  return text;
}

std::string Describe(const JournalMoney& money) {
  return absl::StrCat("charged ", money.charged, ", reserved ", money.reserved,
                      ", overshot ", money.over);
}

const TaskStory* JournalModel::Holding(const std::string& session,
                                       int64_t* task) const {
  auto it = by_session_.find(session);
  if (it == by_session_.end()) return nullptr;
  *task = it->second;
  return &tasks_.at(it->second);
}

JournalMoney JournalModel::MoneyOf(int64_t batch) const {
  auto it = by_batch_.find(batch);
  return it == by_batch_.end() ? JournalMoney() : it->second;
}

void JournalModel::Fold(const JournalRow& row) {
  if (row.seq != last_.seq + 1) {
    report_(kKept, absl::StrCat("journal ", row.seq, " follows ", last_.seq));
  }
  last_ = row;
  for (JournalMoney* money : {&money_, &by_batch_[row.batch]}) {
    money->reserved += row.reserved;
    money->charged += row.charged;
    money->over += row.over;
  }
  if (row.task != 0) FoldTask(row);
}

// A client's, a timer's and the service's doings have no writer.
void JournalModel::CheckWriter(const JournalRow& row, const TaskStory& task) {
  const std::string where =
      absl::StrCat("journal ", row.seq, ", kind ", static_cast<int>(row.kind),
                   ", task ", row.task, ", attempt ", row.attempt);
  switch (row.kind) {
    case JournalKind::kSubmitted:
    case JournalKind::kCancelAsked:
    case JournalKind::kCancelled:
    case JournalKind::kAnswered:
    case JournalKind::kUnanswered:
      return;
    case JournalKind::kTaskChanged:
      if (row.who != 0 || task.on || task.over) {
        report_(kLeases, absl::StrCat(where,
                                      ": changed while it runs, or is "
                                      "over"));
      }
      return;
    case JournalKind::kAdjusted:
      // Of an attempt that is over; another may be on.
      if (row.who != 0 || row.attempt > task.attempt) {
        report_(kLeases, absl::StrCat(where, ": adjusted by a worker"));
      }
      return;
    case JournalKind::kUnblocked:
    case JournalKind::kSkipped:
    case JournalKind::kExpired:
      if (row.who != 0 || task.attempt != 0 || task.over) {
        report_(kLeases, absl::StrCat(where, ": after it began"));
      }
      return;
    case JournalKind::kGranted:
      if (row.attempt != task.attempt + 1 || task.on || task.over) {
        report_(kLeases, absl::StrCat(where, ": granted while attempt ",
                                      task.attempt, " is on, or after it"));
      }
      return;
    case JournalKind::kAdopted:
      if (task.holder != 0 || !task.on || row.attempt != task.attempt) {
        report_(kLeases, absl::StrCat(where, ": adopted while it is held by ",
                                      task.holder));
      }
      return;
    case JournalKind::kSettled:
      // Between attempts: what was left for another turned out too little.
      if (row.attempt == 0 && row.who == 0 && !task.on && !task.over) return;
      [[fallthrough]];
    default:
      if (row.who != task.holder || !task.on || row.attempt != task.attempt) {
        report_(kLeases, absl::StrCat(where, ": written by ", row.who,
                                      ", the lease is ", task.holder, "'s"));
      }
  }
}

void JournalModel::EndAttempt(TaskStory& task) {
  by_session_.erase(task.session);
  task.holder = 0;
  task.on = false;
}

void JournalModel::FoldTask(const JournalRow& row) {
  TaskStory& task = tasks_[row.task];
  CheckWriter(row, task);
  switch (row.kind) {
    case JournalKind::kGranted:
      task.holder = row.who;
      task.attempt = row.attempt;
      task.on = true;
      task.started = false;
      task.session.clear();
      task.cleared.clear();
      break;
    case JournalKind::kAdopted:
      task.holder = row.who;
      break;
    case JournalKind::kSessionRecorded:
      if ((!task.session.empty() && task.session != row.why) ||
          task.cleared.contains(row.why)) {
        report_(kSessions,
                absl::StrCat("task ", row.task, ": ", row.why, " in place of ",
                             task.session.empty() ? "one that was cleared"
                                                  : task.session));
      }
      by_session_.erase(task.session);
      task.session = row.why;
      by_session_[row.why] = row.task;
      break;
    case JournalKind::kSessionCleared:
      by_session_.erase(task.session);
      task.session.clear();
      task.cleared.insert(row.why);
      break;
    case JournalKind::kStarted:
      task.started = true;
      break;
    case JournalKind::kHandedBack:
    case JournalKind::kFreed:
    case JournalKind::kHeld:
    case JournalKind::kParked:
      task.holder = 0;
      break;
    case JournalKind::kCancelAsked:
      task.cancel_asked = true;
      break;
    case JournalKind::kRetry:
    case JournalKind::kSettled:
      task.failures += row.failure == v1::FAILURE_CLASS_TASK ||
                       row.failure == v1::FAILURE_CLASS_REFUSAL;
      EndAttempt(task);
      if (task.over) {
        report_(kLeases, absl::StrCat("task ", row.task, " settled twice"));
      }
      task.over = row.kind == JournalKind::kSettled;
      task.succeeded = row.state == v1::TASK_STATE_SUCCEEDED;
      break;
    case JournalKind::kSkipped:
      task.over = true;
      break;
    case JournalKind::kExpired:
      task.over = task.expired = true;
      break;
    case JournalKind::kCancelled:
      task.cancel_asked = true;
      EndAttempt(task);
      task.over = true;
      break;
    default:
      break;
  }
}

}  // namespace midwatch::sim
