// The steps of an attempt, from the nonce of its first create to its end.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/guard.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "store/queue_writer.h"

namespace midwatch {

absl::StatusOr<Done> QueueWriter::Do(const BeginCreate& write) {
  ASSIGN_OR_RETURN(LiveRow live, LoadLive(write.lease));
  RETURN_IF_ERROR(
      db_.Run("INSERT INTO create_try(task, n, nonce, at) VALUES (?,?,?,?) "
              "ON CONFLICT DO UPDATE SET at = excluded.at",
              write.lease.task, write.lease.attempt, write.nonce, NowMicros()));
  RETURN_IF_ERROR(WantSweep(live.account));
  return Done{};
}

absl::StatusOr<RecordedSession> QueueWriter::Do(const RecordSession& write) {
  ASSIGN_OR_RETURN(LiveRow live, LoadLive(write.lease));
  // The first one recorded stays: only that one is ever sent to, so any other
  // is idle for good and costs nothing. (Not where it was created with its
  // message: worker/one_call.cc.)
  const bool guarded = Stands(Guard::kSessionCompareAndSet);
  if (guarded && !live.session.empty()) return RecordedSession{live.session};
  // A nonce records one session, once: the repetition of a call whose session
  // was cleared since would put an archived session in another's place, also
  // where the repetition of its BeginCreate came before it. And not one that a
  // sweep has given up.
  RETURN_IF_ERROR(
      db_.Run("UPDATE create_try SET disowned = 2 WHERE task = ? AND n = ? "
              "AND nonce = ? AND disowned = 0",
              write.lease.task, write.lease.attempt, write.nonce));
  if (guarded && db_.changes() == 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "session ", write.session_id,
        ": its create was not begun, or was given up, or it was recorded "
        "and cleared"));
  }
  RETURN_IF_ERROR(db_.Run(
      "UPDATE live SET session = ?, phase = ? WHERE task = ?", write.session_id,
      static_cast<int>(v1::ATTEMPT_PHASE_SENDING), write.lease.task));
  RETURN_IF_ERROR(db_.Run("UPDATE task SET session = ? WHERE id = ?",
                          write.session_id, write.lease.task));
  JournalEntry entry{.kind = JournalKind::kSessionRecorded,
                     .batch = live.batch,
                     .task = write.lease.task,
                     .attempt = write.lease.attempt,
                     .state = StateOf(live),
                     .who = write.lease.worker,
                     .why = write.session_id};
  RETURN_IF_ERROR(Journal(entry).status());
  ASSIGN_OR_RETURN(bool opened, OpenIfProbe(live.account, live.lease.task));
  return RecordedSession{write.session_id, opened};
}

absl::StatusOr<Done> QueueWriter::Do(const ClearSession& write) {
  ASSIGN_OR_RETURN(LiveRow live, LoadLive(write.lease));
  if (live.session.empty()) return Done{};
  if (live.session != write.session_id ||
      live.phase != v1::ATTEMPT_PHASE_SENDING) {
    return absl::FailedPreconditionError(
        absl::StrCat("the attempt's session is ", live.session,
                     live.phase == v1::ATTEMPT_PHASE_RUNNING
                         ? ", and its first message was seen"
                         : ""));
  }
  RETURN_IF_ERROR(
      db_.Run("UPDATE live SET session = NULL, phase = ? WHERE task = ?",
              static_cast<int>(v1::ATTEMPT_PHASE_GRANTED), write.lease.task));
  RETURN_IF_ERROR(
      db_.Run("UPDATE task SET session = NULL WHERE id = ?", write.lease.task));
  JournalEntry entry{.kind = JournalKind::kSessionCleared,
                     .batch = live.batch,
                     .task = write.lease.task,
                     .attempt = write.lease.attempt,
                     .state = StateOf(live),
                     .who = write.lease.worker,
                     .why = write.session_id};
  RETURN_IF_ERROR(Journal(entry).status());
  return Done{};
}

absl::StatusOr<Done> QueueWriter::Do(const MarkStarted& write) {
  ASSIGN_OR_RETURN(LiveRow live, LoadLive(write.lease));
  if (live.phase != v1::ATTEMPT_PHASE_SENDING) return Done{};
  RETURN_IF_ERROR(db_.Run("UPDATE live SET phase = ? WHERE task = ?",
                          static_cast<int>(v1::ATTEMPT_PHASE_RUNNING),
                          write.lease.task));
  JournalEntry entry{.kind = JournalKind::kStarted,
                     .batch = live.batch,
                     .task = write.lease.task,
                     .attempt = write.lease.attempt,
                     .state = StateOf(live),
                     .who = write.lease.worker};
  RETURN_IF_ERROR(Journal(entry).status());
  return Done{};
}

absl::StatusOr<std::optional<v1::Say>> QueueWriter::FindSay(
    int64_t task, int32_t attempt, const std::string& key) {
  SqliteStatement row = db_.Query(
      "SELECT k, kind, body, said FROM say "
      "WHERE task = ? AND n = ? AND key = ?",
      task, attempt, key);
  if (!row.Step()) {
    RETURN_IF_ERROR(row.status());
    return std::nullopt;
  }
  v1::Say say;
  say.set_number(static_cast<int32_t>(row.Int(0)));
  say.set_kind(static_cast<v1::SayKind>(row.Int(1)));
  say.set_key(key);
  say.set_text(row.Text(2));
  say.set_said(row.Int(3) != 0);
  return say;
}

absl::StatusOr<v1::Say> QueueWriter::PutSay(int64_t task, int32_t attempt,
                                            v1::SayKind kind,
                                            const std::string& key,
                                            const std::string& text) {
  ASSIGN_OR_RETURN(std::optional<v1::Say> known, FindSay(task, attempt, key));
  if (known) return *std::move(known);
  v1::Say say;
  say.set_kind(kind);
  say.set_key(key);
  say.set_text(text);
  {
    SqliteStatement row =
        db_.Query("SELECT ifnull(max(k), 0) FROM say WHERE task = ? AND n = ?",
                  task, attempt);
    if (row.Step()) say.set_number(static_cast<int32_t>(row.Int(0)) + 1);
    RETURN_IF_ERROR(row.status());
  }
  if (!Stands(Guard::kOutbox)) return say;
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO say(task, n, k, kind, key, body) VALUES (?,?,?,?,?,?)", task,
      attempt, say.number(), static_cast<int>(kind), key, text));
  return say;
}

absl::StatusOr<SayAdded> QueueWriter::Do(const AddSay& write) {
  RETURN_IF_ERROR(LoadLive(write.lease).status());
  ASSIGN_OR_RETURN(v1::Say say, PutSay(write.lease.task, write.lease.attempt,
                                       write.kind, write.key, write.text));
  return SayAdded{std::move(say)};
}

absl::StatusOr<Done> QueueWriter::Do(const MarkSaid& write) {
  ASSIGN_OR_RETURN(LiveRow live, LoadLive(write.lease));
  RETURN_IF_ERROR(db_.Run(
      "UPDATE say SET said = 1 WHERE task = ? AND n = ? AND k = ? AND said = 0",
      write.lease.task, write.lease.attempt, write.number));
  if (db_.changes() == 0) return Done{};
  JournalEntry entry{.kind = JournalKind::kSaid,
                     .batch = live.batch,
                     .task = write.lease.task,
                     .attempt = write.lease.attempt,
                     .state = StateOf(live),
                     .who = write.lease.worker,
                     .why = absl::StrCat("outbox ", write.number)};
  RETURN_IF_ERROR(Journal(entry).status());
  return Done{};
}

absl::Status QueueWriter::CloseAttempt(const TaskRow& task, const LiveRow& live,
                                       const Disposition& disposition,
                                       const std::string& outcome_hash) {
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO attempt(task, n, session, epoch, outcome_hash, state, "
      "reserved, charged, class, why, granted_at, ended_at, grant_seq, "
      "unknown_cost) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
      task.id, live.lease.attempt, live.session, live.lease.epoch, outcome_hash,
      static_cast<int>(disposition.state), live.reserved, disposition.charged,
      static_cast<int>(disposition.failure_class), disposition.reason,
      live.granted_at, NowMicros(), live.grant_seq,
      disposition.cost_unknown ? 1 : 0));
  RETURN_IF_ERROR(db_.Run("DELETE FROM say WHERE task = ? AND n = ?", task.id,
                          live.lease.attempt));
  // Without the lease no call of the attempt is repeated.
  RETURN_IF_ERROR(db_.Run(
      "DELETE FROM create_try WHERE task = ? AND n = ? AND disowned = 2",
      task.id, live.lease.attempt));
  if (!live.session.empty()) {
    RETURN_IF_ERROR(AddErrand(live));
  }
  return db_.Run("DELETE FROM live WHERE task = ?", task.id);
}

absl::Status QueueWriter::CountFailures(int64_t task, Tally& tally) {
  // Excused ones had no session and cost nothing.
  SqliteStatement row = db_.Query(
      "SELECT class FROM attempt WHERE task = ? "
      "AND (session != '' OR charged > 0)",
      task);
  while (row.Step()) {
    const auto failure = static_cast<size_t>(row.Int(0));
    if (failure < tally.failed_as.size()) ++tally.failed_as[failure];
  }
  return row.status();
}

absl::StatusOr<Settled> QueueWriter::Do(const Settle& write) {
  std::string hash = Sha256Hex(DeterministicBytes(write.ending));
  absl::StatusOr<LiveRow> found = LoadLive(write.lease);
  if (absl::IsAborted(found.status())) {
    SqliteStatement row = db_.Query(
        "SELECT state, epoch, outcome_hash FROM attempt "
        "WHERE task = ? AND n = ?",
        write.lease.task, write.lease.attempt);
    bool same =
        row.Step() && row.Int(1) == write.lease.epoch && row.Text(2) == hash;
    RETURN_IF_ERROR(row.status());
    if (same) return Settled{static_cast<v1::TaskState>(row.Int(0))};
    return found.status();
  }
  RETURN_IF_ERROR(found.status());
  const LiveRow& live = *found;
  ASSIGN_OR_RETURN(TaskRow task, LoadTask(write.lease.task));
  Tally tally{.starts = task.attempts - task.excused,
              .attempts = task.attempts,
              .failures = task.failures,
              .charged = task.charged,
              .max_cost = task.max_cost,
              .reserved = live.reserved,
              .cancelling = live.cancelling,
              .spec = {},
              .has_session = !live.session.empty(),
              .cost_pending = false,
              .template_id = task.template_id,
              .account = {},
              .granted_at = absl::FromUnixMicros(live.granted_at),
              .now = clock_.Now()};
  if (task.attempts > 1) {
    ASSIGN_OR_RETURN(tally.cost_pending, IsCostPending(task.id));
  }
  ASSIGN_OR_RETURN(tally.spec, LoadSpec(task.template_id));
  if (task.attempts > 1 && !tally.spec.retry().classes().empty()) {
    RETURN_IF_ERROR(CountFailures(task.id, tally));
  }
  if (task.batch > 0) {
    // Tasks with prompts of their own have templates of their own, and are no
    // more than one witness against an account.
    SqliteStatement row =
        db_.Query("SELECT template FROM batch WHERE id = ?", task.batch);
    if (row.Step()) tally.template_id = row.Int(0);
    RETURN_IF_ERROR(row.status());
  }
  ASSIGN_OR_RETURN(tally.account, LoadStanding(live.account));
  Disposition next = write.decide(tally, write.ending);
  Settled settled{next.state, next.account.has_value()};
  if (next.account) {
    RETURN_IF_ERROR(PutStanding(live.account, *next.account));
  } else if (tally.account.state != v1::ACCOUNT_STATE_OPEN &&
             next.failure_class != v1::FAILURE_CLASS_ACCOUNT &&
             next.failure_class != v1::FAILURE_CLASS_SPEND_CAP &&
             next.failure_class != v1::FAILURE_CLASS_SERVICE) {
    ASSIGN_OR_RETURN(settled.account_changed,
                     OpenIfProbe(live.account, task.id));
  }
  if (next.state == v1::TASK_STATE_RUNNING) {
    RETURN_IF_ERROR(KeepForAccount(live, next));
    return settled;
  }

  RETURN_IF_ERROR(CloseAttempt(task, live, next, hash));
  RETURN_IF_ERROR(NoteDearestRequest(
      task, std::max(write.ending.dearest_request_usd_micros(),
                     next.charged - (live.reserved - live.overshoot))));
  // What was charged for want of a figure says nothing of others.
  Calibration held;
  if (next.state == v1::TASK_STATE_SUCCEEDED && !next.cost_unknown) {
    ASSIGN_OR_RETURN(held, AddSample(task, live, next.charged));
  }
  RETURN_IF_ERROR(LeaveLane(task.lane, task.batch));
  RETURN_IF_ERROR(Release(task.lane, live, next.charged));
  RETURN_IF_ERROR(CorrectShare(task.lane, live, next.charged));
  int64_t now = NowMicros();
  int64_t due = now + absl::ToInt64Microseconds(next.delay);
  bool again = next.state == v1::TASK_STATE_QUEUED;
  // A cancelled task keeps the reason that was given for it.
  RETURN_IF_ERROR(db_.Run(
      "UPDATE task SET state = ?, failures = failures + ?, "
      "excused = excused + ?, "
      "charged = charged + ?, reserved = 0, class = ?, "
      "why = CASE WHEN ? AND why IS NOT NULL THEN why ELSE ? END, "
      "ended_at = ?, not_before = ?, ending = ? WHERE id = ?",
      static_cast<int>(next.state), next.counts_as_failure ? 1 : 0,
      next.excused ? 1 : 0, next.charged, static_cast<int>(next.failure_class),
      live.cancelling ? 1 : 0, next.reason,
      SqliteNullable<int64_t>{!again, now}, SqliteNullable<int64_t>{again, due},
      SqliteBlob{write.ending.SerializeAsString()}, task.id));
  if (again) {
    RETURN_IF_ERROR(db_.Run("INSERT INTO timer(at, kind, ref) VALUES (?, ?, ?)",
                            due, kReadyTimer, task.id));
  }
  JournalEntry entry{
      .kind = again ? JournalKind::kRetry : JournalKind::kSettled,
      .batch = task.batch,
      .task = task.id,
      .attempt = live.lease.attempt,
      .state = next.state,
      .who = live.lease.worker,
      .reserve_delta = -live.reserved,
      .charge_delta = next.charged,
      .over_delta = std::max<int64_t>(0, next.charged - live.reserved),
      .failure_class = next.failure_class,
      .why = next.reason};
  RETURN_IF_ERROR(Journal(entry).status());
  RETURN_IF_ERROR(NoteOutcome(task, next.state, next.charged));
  RETURN_IF_ERROR(Count(task.batch, StateOf(live), next.state, next.charged,
                        -live.reserved, entry.over_delta, held));
  RETURN_IF_ERROR(NoteForForecast(task, live, next, tally.starts));
  if (!again) RETURN_IF_ERROR(WakeNeedy(task.id, task.batch, next.state));
  settled.needs_met = std::exchange(needs_met_, false);
  return settled;
}

}  // namespace midwatch
