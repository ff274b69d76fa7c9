#include "tests/sim/risk_model.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "tests/sim/violation.h"

namespace midwatch::sim {
namespace {

// docs/hooks.md: so many must have ended before anything is foretold.
constexpr int64_t kForetoldFrom = 10;
// Of sums of doubles in another order, in micro-dollars.
constexpr double kRounding = 1000;
// A timer fires within this, where the disk takes it.
constexpr absl::Duration kTimerLateMax = absl::Seconds(30);

absl::Time TimeOfMicros(int64_t micros) { return absl::FromUnixMicros(micros); }

// What a look's own commit may say between the task's end and the risk.
bool IsWithinLook(JournalKind kind) {
  switch (kind) {
    case JournalKind::kCanaryPassed:
    case JournalKind::kCanaryFailed:
    case JournalKind::kStopped:
    case JournalKind::kPaused:
    case JournalKind::kBatchDone:
    case JournalKind::kHookDue:
    case JournalKind::kAtRisk:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool RiskModel::WasAtRisk(int64_t batch) const {
  auto it = batches_.find(batch);
  return it != batches_.end() && it->second.was;
}

void RiskModel::Open(int64_t id, Sqlite& queue) {
  Batch& batch = batches_[id];
  SqliteStatement row = queue.Query(
      "SELECT b.canary_tasks, b.at + t.deadline, "
      "(SELECT lim FROM budget WHERE scope = 3 AND ref = b.id AND win = 1) "
      "FROM batch b JOIN template t ON t.id = b.template WHERE b.id = ?",
      id);
  if (!row.Step()) return;
  batch.canary = row.Int(0);
  batch.canary_open = batch.canary > 0;
  if (!row.IsNull(1)) batch.deadline = TimeOfMicros(row.Int(1));
  if (!row.IsNull(2)) batch.budget_low = batch.budget_high = row.Int(2);
}

void RiskModel::Forget(Batch& batch) {
  batch.ended = batch.cost = batch.reserved = 0;
  batch.squares = 0;
  batch.time_low = batch.time_high = absl::ZeroDuration();
  batch.since = absl::InfiniteFuture();
}

void RiskModel::Unpark(TaskSums& task, absl::Time at) {
  if (task.parked_at == absl::InfiniteFuture()) return;
  task.parked_for += std::max(absl::ZeroDuration(), at - task.parked_at);
  task.parked_at = absl::InfiniteFuture();
}

void RiskModel::EndTask(const JournalRow& row, TaskSums& task, Batch& batch,
                        Sqlite& queue) {
  Unpark(task, row.at);
  const bool looked_at =
      row.kind == JournalKind::kSettled && row.attempt > 0 && task.runs;
  if (!task.over) ++batch.over;
  task.over = true;
  task.runs = false;
  if (!looked_at) return;
  batch.look = row.at;
  batch.says = false;
  looked_ = row.batch;
  if (row.state != v1::TASK_STATE_SUCCEEDED &&
      row.state != v1::TASK_STATE_FAILED) {
    return;
  }
  SqliteStatement line =
      queue.Query("SELECT line FROM task WHERE id = ?", row.task);
  if (!line.Step() || line.Int(0) < batch.canary) return;
  ++batch.ended;
  batch.cost += task.charged;
  batch.reserved -= row.reserved;
  const double dollars = static_cast<double>(task.charged) / 1e6;
  batch.squares += dollars * dollars;
  const absl::Duration time = std::max(
      absl::ZeroDuration(), row.at - task.granted_at - task.parked_for);
  batch.time_low += time;
  batch.time_high += time * task.attempts;
  batch.since = std::min(batch.since, task.granted_at);
}

void RiskModel::FoldTask(const JournalRow& row, Batch& batch, Sqlite& queue) {
  TaskSums& task = batch.tasks[row.task];
  task.charged += row.charged;
  switch (row.kind) {
    case JournalKind::kGranted:
      task.attempts = row.attempt;
      task.granted_at = row.at;
      task.parked_for = absl::ZeroDuration();
      task.held_at = absl::InfiniteFuture();
      task.runs = true;
      return;
    case JournalKind::kParked:
      task.parked_at = row.at;
      return;
    case JournalKind::kHeld:
      task.held_at = row.at;
      return;
    case JournalKind::kAdopted:
      if (task.held_at == absl::InfiniteFuture()) return;
      task.parked_for += std::max(absl::ZeroDuration(), row.at - task.held_at);
      task.held_at = absl::InfiniteFuture();
      return;
    case JournalKind::kCancelAsked:
      task.ends = true;
      [[fallthrough]];
    case JournalKind::kAnswered:
    case JournalKind::kUnanswered:
      if (row.state != v1::TASK_STATE_WAITING) Unpark(task, row.at);
      return;
    case JournalKind::kRetry:
      Unpark(task, row.at);
      task.runs = false;
      return;
    case JournalKind::kSettled:
    case JournalKind::kCancelled:
    case JournalKind::kSkipped:
    case JournalKind::kExpired:
      return EndTask(row, task, batch, queue);
    default:
      return;
  }
}

// What ended while it had neither budget nor deadline does not count.
void RiskModel::SetBudget(const JournalRow& row) {
  if (row.batch == 0 || row.task != 0) return;
  Batch& batch = batches_[row.batch];
  if (batch.budget_low || batch.deadline < absl::InfiniteFuture()) return;
  Forget(batch);
}

void RiskModel::Fold(const JournalRow& row, Sqlite& queue) {
  if (looked_ != 0 && !(row.batch == looked_ && IsWithinLook(row.kind))) {
    Judge(looked_, batches_[looked_]);
  }
  last_ = row.at;
  if (row.kind == JournalKind::kBudgetSet) {
    SetBudget(row);
    ReadBudgets(queue, /*in_commit=*/true);
  }
  if (row.batch == 0) return;
  if (row.kind == JournalKind::kBudgetDeleted) {
    batches_[row.batch].budget_low.reset();
    batches_[row.batch].budget_high.reset();
  }
  if (row.kind == JournalKind::kBatchOpened ||
      row.kind == JournalKind::kBatchRetried) {
    Open(row.batch, queue);
  }
  Batch& batch = batches_[row.batch];
  batch.charged += row.charged;
  if (row.task != 0) FoldTask(row, batch, queue);
  switch (row.kind) {
    case JournalKind::kBatchSealed: {
      SqliteStatement lines =
          queue.Query("SELECT lines FROM batch WHERE id = ?", row.batch);
      if (lines.Step()) batch.lines = lines.Int(0);
      batch.sealed = true;
      batch.sealed_at = row.at;
      break;
    }
    case JournalKind::kBatchDone:
    case JournalKind::kBatchCancelAsked:
      batch.sealed = false;
      break;
    case JournalKind::kPaused:
    case JournalKind::kStopped:
      batch.paused = true;
      break;
    case JournalKind::kCanaryFailed:
      batch.paused = true;
      batch.canary_open = false;
      break;
    case JournalKind::kCanaryPassed:
      batch.canary_open = false;
      break;
    case JournalKind::kResumed:
      batch.paused = false;
      Forget(batch);
      break;
    case JournalKind::kAtRisk:
      Say(row, batch);
      break;
    default:
      break;
  }
}

// It says so at a look, or at its deadline.
void RiskModel::Say(const JournalRow& row, Batch& batch) {
  counts_.Add("batches at risk");
  batch.was = true;
  if (batch.look) {
    batch.says = true;
    return;
  }
  if (!batch.sealed || batch.over >= batch.lines || row.at < batch.deadline) {
    report_(kRisk,
            absl::StrCat("journal ", row.seq, ", batch ", row.batch,
                         ": nothing has ended, and it says that it ", row.why));
  }
  if (batch.at_risk == Answer::kYes) {
    report_(kRisk, absl::StrCat("journal ", row.seq, ", batch ", row.batch,
                                ": said before"));
  }
  batch.at_risk = Answer::kYes;
}

void RiskModel::Judge(int64_t id, Batch& batch) {
  looked_ = 0;
  const absl::Time at = *batch.look;
  batch.look.reset();
  if (!batch.sealed) {
    if (batch.says)
      report_(kRisk, absl::StrCat("batch ", id, " is not sealed"));
    return;
  }
  const Answer answer = AtRisk(batch, at);
  if (batch.ended >= kForetoldFrom &&
      (batch.budget_low || batch.deadline < absl::InfiniteFuture())) {
    counts_.Add(answer == Answer::kUnknown ? "looks that may foretell either"
                                           : "looks that foretell");
  }
  const bool foretells = !batch.paused && !batch.canary_open;
  if (batch.says && (answer == Answer::kNo || batch.at_risk == Answer::kYes)) {
    report_(kRisk,
            absl::StrCat("batch ", id, " says that it is at risk ",
                         answer == Answer::kNo ? "and is not" : "once more"));
  }
  if (answer == Answer::kYes && !batch.says && batch.at_risk == Answer::kNo) {
    report_(kRisk, absl::StrCat("batch ", id, " is at risk and says nothing"));
  }
  if (batch.says || answer == Answer::kYes) {
    batch.at_risk = Answer::kYes;
  } else if (foretells && answer == Answer::kNo) {
    batch.at_risk = Answer::kNo;
  } else if (foretells && batch.at_risk == Answer::kYes) {
    batch.at_risk = Answer::kUnknown;
  }
}

RiskModel::Answer RiskModel::AtRisk(const Batch& batch, absl::Time now) {
  const int64_t left = batch.lines - batch.over;
  if (left <= 0) return Answer::kNo;
  if (now >= batch.deadline) return Answer::kYes;
  if (batch.paused || batch.canary_open || batch.ended < kForetoldFrom) {
    return Answer::kNo;
  }
  const Answer money = OverBudget(batch, left), time = Late(batch, left, now);
  if (money == Answer::kYes || time == Answer::kYes) return Answer::kYes;
  return money == Answer::kNo && time == Answer::kNo ? Answer::kNo
                                                     : Answer::kUnknown;
}

RiskModel::Answer RiskModel::OverBudget(const Batch& batch, int64_t left) {
  if (!batch.budget_low) return Answer::kNo;
  const auto n = static_cast<double>(batch.ended);
  const auto rest = static_cast<double>(left);
  const double mean = static_cast<double>(batch.cost) / n;
  // Of tasks that are not over: their next attempts cost what others did.
  int64_t unfinished = 0;
  for (const auto& [id, task] : batch.tasks) {
    if (!task.over) unfinished += task.charged;
  }
  const double total =
      std::max(static_cast<double>(batch.charged),
               static_cast<double>(batch.charged - unfinished) + mean * rest);
  const double last = static_cast<double>(batch.reserved) / n - mean;
  const double variance =
      std::max(0.0, batch.squares / n - (mean / 1e6) * (mean / 1e6)) * n /
      (n - 1);
  const double error = 1e6 * std::sqrt(variance * (rest + rest * rest / n));
  const double over = total + std::max(0.0, last) - 2 * error;
  if (over > static_cast<double>(*batch.budget_high) + kRounding) {
    return Answer::kYes;
  }
  return over < static_cast<double>(*batch.budget_low) - kRounding
             ? Answer::kNo
             : Answer::kUnknown;
}

RiskModel::Answer RiskModel::Late(const Batch& batch, int64_t left,
                                  absl::Time now) {
  if (batch.deadline == absl::InfiniteFuture()) return Answer::kNo;
  const auto n = static_cast<double>(batch.ended);
  const auto rest = static_cast<double>(left);
  const absl::Duration pace = (now - batch.since) / n * rest;
  int run_most = 1, run_least = 0;  // one more may be about to start
  for (const auto& [id, task] : batch.tasks) {
    if (!task.runs) continue;
    ++run_most;
    if (task.parked_at == absl::InfiniteFuture() && !task.ends) ++run_least;
  }
  const absl::Duration low =
      batch.time_low / n * std::max(0.0, rest / run_most - 0.5);
  const absl::Duration high =
      batch.time_high / n * std::max(0.0, rest / std::max(1, run_least) - 0.5);
  if (now + 0.9 * std::min(pace, low) > batch.deadline + absl::Seconds(1)) {
    return Answer::kYes;
  }
  return now + 0.9 * std::min(pace, high) < batch.deadline - absl::Seconds(1)
             ? Answer::kNo
             : Answer::kUnknown;
}

// A deadline that has passed is told, though nothing ends: by a timer, once the
// disk takes writes.
void RiskModel::CheckDeadlines(absl::Time now) {
  for (auto& [id, batch] : batches_) {
    if (!batch.sealed || batch.over >= batch.lines || batch.was ||
        now < std::max({batch.deadline, batch.sealed_at, opened_})) {
      continue;
    }
    // Set anew by each scheduler.
    if (batch.beyond_since < opened_) batch.beyond_since = now;
    if (now < batch.beyond_since + kTimerLateMax) continue;
    report_(kRisk, absl::StrCat("batch ", id, " is beyond its deadline since ",
                                absl::FormatDuration(now - batch.deadline),
                                ", and says nothing"));
    batch.was = true;
  }
}

void RiskModel::Committed(Sqlite& queue) {
  if (looked_ != 0) Judge(looked_, batches_[looked_]);
  ReadBudgets(queue, /*in_commit=*/false);
  CheckDeadlines(last_);
}

// In the middle of a commit it may be that another one bound before.
void RiskModel::ReadBudgets(Sqlite& queue, bool in_commit) {
  SqliteStatement row =
      queue.Query("SELECT ref, lim FROM budget WHERE scope = 3 AND win = 1");
  while (row.Step()) {
    auto it = batches_.find(row.Int(0));
    if (it == batches_.end()) continue;
    Batch& batch = it->second;
    const int64_t now = row.Int(1);
    const bool both = in_commit && batch.budget_low;
    batch.budget_low = both ? std::min(*batch.budget_low, now) : now;
    batch.budget_high = both ? std::max(*batch.budget_high, now) : now;
  }
}

}  // namespace midwatch::sim
