// Sweeps: which sessions of an account nobody remembers, and from when on they
// are looked for.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

// In microseconds.
constexpr int64_t kSweepEvery = 600'000'000;
constexpr int64_t kSweepLease = 300'000'000;
// How far the service's clock may be behind ours, and for how long a create
// that was begun may take to show.
constexpr int64_t kSweepMargin = 600'000'000;

}  // namespace

absl::Status QueueWriter::WantSweep(int64_t account) {
  const int64_t now = NowMicros();
  return db_.Run(
      "INSERT INTO sweep(account, from_at, last_at, due) VALUES (?,?,?,?) "
      "ON CONFLICT(account) DO UPDATE SET last_at = excluded.last_at, "
      "from_at = min(from_at, excluded.from_at)",
      account, now - kSweepMargin, now, now + kSweepEvery);
}

absl::StatusOr<std::optional<absl::Time>> QueueWriter::LeaseSweep(
    int64_t account) {
  const int64_t now = NowMicros();
  int64_t from = 0;
  {
    SqliteStatement row =
        db_.Query("SELECT from_at FROM sweep WHERE account = ? AND due <= ?",
                  account, now);
    if (!row.Step()) {
      RETURN_IF_ERROR(row.status());
      return std::nullopt;
    }
    from = row.Int(0);
  }
  RETURN_IF_ERROR(
      // Of two that overlap, because the first takes long, the first counts:
      // what was created since need not be in its list.
      db_.Run("UPDATE sweep SET due = ?, "
              "began = CASE WHEN began > 0 THEN began ELSE ? END "
              "WHERE account = ?",
              now + kSweepLease, now, account));
  return absl::FromUnixMicros(from);
}

absl::StatusOr<ExplainedSessions> QueueWriter::Do(
    const ExplainSessions& write) {
  ASSIGN_OR_RETURN(int64_t account, FindAccount(write.account));
  ExplainedSessions result;
  for (const SessionClaim& claim : write.claims) {
    ASSIGN_OR_RETURN(ExplainedSession explained, Explain(claim, write.decide));
    result.sessions.push_back(explained);
  }
  const int64_t now = NowMicros();
  RETURN_IF_ERROR(db_.Run(
      "UPDATE sweep SET due = ? WHERE account = ? AND due > ? AND due < ?",
      now + kSweepLease, account, now, now + kSweepLease));
  return result;
}

absl::StatusOr<bool> QueueWriter::IsOursOrGone(RowKey task) {
  SqliteStatement row = db_.Query("SELECT at FROM task WHERE id = ?", task.row);
  const bool there = row.Step();
  RETURN_IF_ERROR(row.status());
  return !there || row.Int(0) / 1000 == task.unix_millis;
}

absl::StatusOr<ExplainedSession> QueueWriter::Explain(
    const SessionClaim& claim,
    const std::function<v1::SessionFate(const SessionFacts&)>& decide) {
  SessionFacts facts{.cluster = claim.cluster};
  ExplainedSession explained;
  if (claim.task) {
    absl::StatusOr<TaskRow> task = LoadTask(*claim.task);
    if (!task.ok() && !absl::IsNotFound(task.status())) return task.status();
    if (task.ok()) {
      const int64_t id = claim.task->row;
      ASSIGN_OR_RETURN(std::optional<LiveRow> live, FindLive(id));
      if (live && live->lease.attempt == claim.attempt) {
        facts.attempt_live = true;
        facts.recorded = live->session == claim.session;
        if (live->session.empty()) {
          ASSIGN_OR_RETURN(v1::TaskSpec spec, LoadSpec(task->template_id));
          facts.awaited = spec.start() == v1::START_MODE_ONE_CALL;
        }
      }
      SqliteStatement closed = db_.Query(
          "SELECT charged, unknown_cost FROM attempt "
          "WHERE task = ? AND n = ? AND session = ?",
          id, claim.attempt, claim.session);
      if (closed.Step()) {
        facts.recorded = true;
        if (closed.Int(1) == 0) explained.charged = closed.Int(0);
      }
      RETURN_IF_ERROR(closed.status());
    }
    // What a deleted task has begun is ours as well.
    ASSIGN_OR_RETURN(const bool ours, IsOursOrGone(*claim.task));
    if (ours) {
      SqliteStatement begun = db_.Query(
          "SELECT at FROM create_try WHERE task = ? AND n = ? AND nonce = ? "
          "AND disowned != 2",
          claim.task->row, claim.attempt, claim.nonce);
      if (begun.Step()) facts.begun_at = absl::FromUnixMicros(begun.Int(0));
      RETURN_IF_ERROR(begun.status());
    }
  }
  explained.fate = decide(facts);
  if (explained.fate == v1::SESSION_FATE_SUPERSEDED) {
    RETURN_IF_ERROR(
        db_.Run("UPDATE create_try SET disowned = 1 "
                "WHERE task = ? AND n = ? AND nonce = ?",
                claim.task->row, claim.attempt, claim.nonce));
  }
  return explained;
}

absl::StatusOr<Done> QueueWriter::Do(const CompleteSweep& write) {
  ASSIGN_OR_RETURN(int64_t account, FindAccount(write.account));
  if (!write.summary.empty()) {
    ASSIGN_OR_RETURN(std::string name, LabelName(account));
    JournalEntry entry{
        .kind = JournalKind::kSwept,
        .why = absl::StrCat("account ", name, ": ", write.summary)};
    RETURN_IF_ERROR(Journal(entry).status());
  }
  if (!write.sweep_from) return Done{};
  const int64_t from = absl::ToUnixMicros(*write.sweep_from);
  int64_t last_at = 0, began = 0;
  {
    SqliteStatement row = db_.Query(
        "SELECT last_at, began FROM sweep WHERE account = ? AND from_at = ?",
        account, from);
    if (!row.Step()) {
      // Somebody else has completed it.
      RETURN_IF_ERROR(row.status());
      return Done{};
    }
    last_at = row.Int(0);
    began = row.Int(1);
  }
  const bool open = write.oldest_open < absl::InfiniteFuture();
  bool live = false;
  if (!open) {
    // A scan of some thousand rows, every ten minutes.
    SqliteStatement row =
        db_.Query("SELECT 1 FROM live WHERE account = ? LIMIT 1", account);
    live = row.Step();
    RETURN_IF_ERROR(row.status());
  }
  const int64_t now = NowMicros();
  if (!open && !live && last_at + kSweepMargin < began) {
    RETURN_IF_ERROR(db_.Run("DELETE FROM sweep WHERE account = ?", account));
    return Done{};
  }
  int64_t next_from = began;
  if (open) {
    next_from = std::min(began, absl::ToUnixMicros(write.oldest_open));
  }
  RETURN_IF_ERROR(db_.Run(
      "UPDATE sweep SET from_at = ?, due = ?, began = 0 WHERE account = ?",
      std::max(from, next_from - kSweepMargin), now + kSweepEvery, account));
  return Done{};
}

}  // namespace midwatch
