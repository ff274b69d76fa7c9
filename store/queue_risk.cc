// What a batch's forecast is made from, and what is done where it crosses the
// budget or the deadline. Decided in batch_risk.h, in the transaction that ends
// a task; no task is read.
#include <algorithm>
#include <optional>
#include <utility>

#include "base/guard.h"
#include "base/status_macros.h"
#include "store/batch_risk.h"
#include "store/queue_writer.h"

namespace midwatch {

absl::Status QueueWriter::NoteForForecast(const TaskRow& task,
                                          const LiveRow& live,
                                          const Disposition& end,
                                          int64_t starts) {
  const bool again = end.state == v1::TASK_STATE_QUEUED;
  RETURN_IF_ERROR(AddSunk(task.batch, again ? end.charged : -task.charged));
  if (again || task.batch == 0 || task.batch == known_.riskless) {
    return absl::OkStatus();
  }
  // Cancelled ones say nothing of how others go.
  if (end.state == v1::TASK_STATE_SUCCEEDED ||
      end.state == v1::TASK_STATE_FAILED) {
    const int64_t cost = task.charged + end.charged;
    const double dollars = static_cast<double>(cost) / 1e6;
    // The wall clock may have stepped back. Attempts before this one are taken
    // to have been about as long.
    const int64_t time =
        std::max<int64_t>(0, NowMicros() - live.granted_at - live.parked_for) *
        std::max<int64_t>(1, starts);
    RETURN_IF_ERROR(
        db_.Run("UPDATE batch SET risk_ended = risk_ended + 1, "
                "risk_cost = risk_cost + ?, risk_squares = risk_squares + ?, "
                "risk_reserved = risk_reserved + ?, risk_time = risk_time + ?, "
                "risk_since = min(ifnull(risk_since, ?), ?) "
                "WHERE id = ? AND canary_tasks <= ?",
                cost, dollars * dollars, live.reserved, time, live.granted_at,
                live.granted_at, task.batch, task.line));
  }
  return LookForRisk(task.batch);
}

absl::Status QueueWriter::AddSunk(int64_t batch, int64_t by) {
  if (batch == 0 || by == 0) return absl::OkStatus();
  return db_.Run("UPDATE batch SET risk_sunk = risk_sunk + ? WHERE id = ?", by,
                 batch);
}

absl::Status QueueWriter::LookForRisk(int64_t batch) {
  RiskView view;
  bool sealed = false, was_at_risk = false;
  {
    SqliteStatement row = db_.Query(
        "SELECT b.state, b.paused_at, b.canary, b.at, b.charged, b.running, "
        "b.queued, "
        "b.blocked + b.queued + b.running + b.waiting + b.cancelling, "
        "b.risk_ended, b.risk_cost, b.risk_squares, b.risk_reserved, "
        "b.risk_time, b.risk_since, b.risk_sunk, b.risk IS NOT NULL, "
        "(SELECT lim FROM budget WHERE scope = ? AND ref = b.id AND win = ?), "
        "(SELECT deadline FROM template WHERE id = b.template) "
        "FROM batch b WHERE b.id = ?",
        static_cast<int>(v1::BUDGET_SCOPE_BATCH),
        static_cast<int>(v1::BUDGET_WINDOW_TOTAL), batch);
    if (!row.Step()) return row.status();
    sealed = row.Int(0) == v1::BATCH_STATE_SEALED;
    view.foretells =
        row.IsNull(1) && row.Int(2) != v1::CANARY_VERDICT_UNDECIDED;
    view.charged = row.Int(4);
    view.running = row.Int(5);
    view.queued = row.Int(6);
    view.left = row.Int(7);
    view.tally = {.ended = row.Int(8),
                  .cost = row.Int(9),
                  .squares = row.Real(10),
                  .reserved = row.Int(11),
                  .time = absl::Microseconds(row.Int(12)),
                  .since = absl::FromUnixMicros(row.Int(13))};
    view.sunk = row.Int(14);
    was_at_risk = row.Int(15) != 0;
    if (!row.IsNull(16)) view.budget = row.Int(16);
    if (!row.IsNull(17)) {
      view.deadline = absl::FromUnixMicros(row.Int(3) + row.Int(17));
    }
  }
  if (!view.budget && view.deadline == absl::InfiniteFuture()) {
    known_.riskless = batch;
  }
  // More lines may come, or nothing of it is to start any more.
  if (!sealed) return absl::OkStatus();
  const std::optional<v1::Risk> risk = JudgeRisk(view, clock_.Now());
  if (!risk) {
    // While it is paused, what was foretold stands.
    return was_at_risk && view.foretells
               ? db_.Run("UPDATE batch SET risk = NULL WHERE id = ?", batch)
               : absl::OkStatus();
  }
  RETURN_IF_ERROR(db_.Run("UPDATE batch SET risk = ? WHERE id = ?",
                          SqliteBlob{risk->SerializeAsString()}, batch));
  if (was_at_risk && Stands(Guard::kRiskOnce)) return absl::OkStatus();
  JournalEntry entry{
      .kind = JournalKind::kAtRisk, .batch = batch, .why = risk->reason()};
  RETURN_IF_ERROR(Journal(entry).status());
  return FireHook(batch, v1::HOOK_EVENT_RISK);
}

absl::Status QueueWriter::PlanRisk(int64_t batch) {
  int64_t deadline = 0;
  {
    SqliteStatement row = db_.Query(
        "SELECT b.at + t.deadline FROM batch b "
        "JOIN template t ON t.id = b.template WHERE b.id = ? AND b.state = ? "
        "AND t.deadline IS NOT NULL",
        batch, static_cast<int>(v1::BATCH_STATE_SEALED));
    if (row.Step()) deadline = row.Int(0);
    RETURN_IF_ERROR(row.status());
  }
  if (deadline == 0) return absl::OkStatus();
  needs_met_ = true;  // so that the timer is known
  return AddTimer(absl::FromUnixMicros(deadline), kRiskTimer, batch);
}

absl::Status QueueWriter::BeginForecast(int64_t batch) {
  {
    SqliteStatement row = db_.Query(
        "SELECT 1 FROM batch b JOIN template t ON t.id = b.template "
        "WHERE b.id = ? AND t.deadline IS NOT NULL",
        batch);
    if (row.Step()) return absl::OkStatus();
    RETURN_IF_ERROR(row.status());
  }
  return ForgetPace(batch);
}

absl::Status QueueWriter::ForgetPace(int64_t batch) {
  return db_.Run(
      "UPDATE batch SET risk_ended = 0, risk_cost = 0, risk_squares = 0, "
      "risk_reserved = 0, risk_time = 0, risk_since = NULL WHERE id = ?",
      batch);
}

}  // namespace midwatch
