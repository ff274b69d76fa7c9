// Schedules: what they submit, and what became of each of their times.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "store/queue_reader.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

// Of a schedule, beside those that are still open.
constexpr int kFiringsKept = 100;

// A change of one of these counts from the change on.
bool SameTimes(const v1::Timing& a, const v1::Timing& b) {
  return a.cron() == b.cron() && a.time_zone() == b.time_zone() &&
         a.jitter().seconds() == b.jitter().seconds() &&
         a.jitter().nanos() == b.jitter().nanos();
}

std::string ContentHash(const PutSchedule& write) {
  std::string bytes = DeterministicBytes(write.timing);
  for (const v1::SubmitBatchRequest& step : write.steps) {
    std::string each = DeterministicBytes(step);
    absl::StrAppend(&bytes, ":", each.size(), ":", each);
  }
  return Sha256Hex(bytes);
}

constexpr int64_t kPausedForGood = 1;

bool IsOpen(v1::FiringState state) {
  return state == v1::FIRING_STATE_OPENING || state == v1::FIRING_STATE_QUEUED;
}

}  // namespace

absl::Time PauseEndOf(int64_t paused) {
  return paused <= kPausedForGood ? absl::InfiniteFuture()
                                  : absl::FromUnixMicros(paused);
}

absl::StatusOr<QueueWriter::ScheduleRow> QueueWriter::LoadSchedule(
    const std::string& name) {
  int64_t id = 0;
  {
    SqliteStatement row =
        db_.Query("SELECT id FROM schedule WHERE name = ?", name);
    if (row.Step()) id = row.Int(0);
    RETURN_IF_ERROR(row.status());
  }
  if (id != 0) return LoadSchedule(id);
  return absl::NotFoundError(
      absl::StrCat("there is no schedule named '", name, "'"));
}

absl::StatusOr<QueueWriter::ScheduleRow> QueueWriter::LoadSchedule(int64_t id) {
  SqliteStatement row = db_.Query(
      "SELECT at, name, timing, hash, revision, since, paused, wake "
      "FROM schedule WHERE id = ?",
      id);
  if (!row.Step()) {
    RETURN_IF_ERROR(row.status());
    return absl::NotFoundError("no such schedule");
  }
  ScheduleRow schedule;
  schedule.key = {id, row.Int(0) / 1000};
  schedule.name = row.Text(1);
  if (!schedule.timing.ParseFromString(row.Text(2))) {
    return absl::DataLossError(absl::StrCat("schedule ", id, " is no timing"));
  }
  schedule.hash = row.Text(3);
  schedule.revision = row.Int(4);
  schedule.since = row.Int(5);
  schedule.paused = row.Int(6) != 0;
  schedule.pause_until = PauseEndOf(row.Int(6));
  if (!row.IsNull(7)) schedule.wake = row.Int(7);
  return schedule;
}

absl::Status QueueWriter::NoteSchedule(JournalKind kind, const std::string& why,
                                       int64_t batch) {
  JournalEntry entry{.kind = kind, .batch = batch, .why = why};
  return Journal(entry).status();
}

absl::Status QueueWriter::PutSteps(int64_t schedule, int64_t revision,
                                   const PutSchedule& write) {
  int64_t k = 0;
  for (const v1::SubmitBatchRequest& step : write.steps) {
    std::string bytes = step.SerializeAsString();
    RETURN_IF_ERROR(
        db_.Run("INSERT INTO schedule_step(schedule, revision, k, step) "
                "VALUES (?,?,?,?)",
                schedule, revision, k++, SqliteBlob{bytes}));
  }
  return absl::OkStatus();
}

absl::StatusOr<ScheduleSet> QueueWriter::Do(const PutSchedule& write) {
  const std::string hash = ContentHash(write);
  absl::StatusOr<ScheduleRow> known = LoadSchedule(write.name);
  if (known.ok()) {
    if (known->hash == hash) return ScheduleSet{known->key};
    if (!write.replace) {
      return absl::AlreadyExistsError(absl::StrCat(
          "there is a schedule named '", write.name,
          "' with other content; choose another name, or replace it"));
    }
  } else if (!absl::IsNotFound(known.status())) {
    return known.status();
  }
  RETURN_IF_ERROR(RefuseWhenFull());
  const int64_t now = NowMicros();
  const std::string timing = DeterministicBytes(write.timing);
  const v1::OpenBatch& open = write.steps.at(0).open();
  RowKey key{0, now / 1000};
  int64_t revision = 1;
  if (known.ok()) {
    key = known->key;
    revision = known->revision + 1;
    int64_t since = SameTimes(known->timing, write.timing) ? known->since : now;
    RETURN_IF_ERROR(
        db_.Run("UPDATE schedule SET timing = ?, hash = ?, revision = ?, "
                "changed_at = ?, since = ?, awake = 1, tenant = ?, queue = ?, "
                "account = ?, content_hash = ?, lines = ? WHERE id = ?",
                SqliteBlob{timing}, hash, revision, now, since, open.tenant(),
                open.queue(), open.account(), open.content_sha256(),
                write.lines, key.row));
  } else {
    SqliteStatement row = db_.Query("SELECT count(*) FROM schedule");
    if (row.Step() && row.Int(0) >= kSchedulesMax) {
      return absl::ResourceExhaustedError(
          absl::StrCat("there are ", kSchedulesMax,
                       " schedules already; delete one that is not needed"));
    }
    RETURN_IF_ERROR(row.status());
    RETURN_IF_ERROR(db_.Run(
        "INSERT INTO schedule(at, name, timing, hash, revision, changed_at, "
        "since, tenant, queue, account, content_hash, lines) "
        "VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        now, write.name, SqliteBlob{timing}, hash, revision, now, now,
        open.tenant(), open.queue(), open.account(), open.content_sha256(),
        write.lines));
    key.row = db_.last_insert_id();
  }
  RETURN_IF_ERROR(PutSteps(key.row, revision, write));
  RETURN_IF_ERROR(ForgetFirings(key.row));
  RETURN_IF_ERROR(NoteSchedule(
      JournalKind::kScheduleSet,
      absl::StrCat("schedule ", write.name, known.ok() ? ": changed" : "")));
  return ScheduleSet{key};
}

absl::Status QueueWriter::SetWake(const ScheduleRow& schedule,
                                  absl::Time wake) {
  if (schedule.wake.has_value()) {
    RETURN_IF_ERROR(
        db_.Run("DELETE FROM timer WHERE at = ? AND kind = ? AND ref = ?",
                *schedule.wake, kScheduleTimer, schedule.key.row));
  }
  const bool ever = wake < absl::InfiniteFuture();
  if (ever) {
    RETURN_IF_ERROR(
        db_.Run("INSERT INTO timer(at, kind, ref) VALUES (?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                absl::ToUnixMicros(wake), kScheduleTimer, schedule.key.row));
  }
  return db_.Run(
      "UPDATE schedule SET wake = ? WHERE id = ?",
      SqliteNullable<int64_t>{ever, ever ? absl::ToUnixMicros(wake) : 0},
      schedule.key.row);
}

absl::StatusOr<ScheduleSet> QueueWriter::Do(const DeleteSchedule& write) {
  ASSIGN_OR_RETURN(ScheduleRow schedule, LoadSchedule(write.name));
  {
    SqliteStatement row = db_.Query(
        "SELECT batch_name FROM firing WHERE schedule = ? AND state = ?",
        schedule.key.row, static_cast<int>(v1::FIRING_STATE_OPENING));
    if (row.Step()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "its batch ", row.Text(0),
          " is being submitted at this moment; try again, or pause the "
          "schedule and cancel that batch"));
    }
    RETURN_IF_ERROR(row.status());
  }
  RETURN_IF_ERROR(SetWake(schedule, absl::InfiniteFuture()));
  const int64_t id = schedule.key.row;
  RETURN_IF_ERROR(db_.Run("DELETE FROM firing WHERE schedule = ?", id));
  RETURN_IF_ERROR(db_.Run("DELETE FROM schedule_step WHERE schedule = ?", id));
  RETURN_IF_ERROR(db_.Run("DELETE FROM schedule WHERE id = ?", id));
  RETURN_IF_ERROR(NoteSchedule(JournalKind::kScheduleDeleted,
                               absl::StrCat("schedule ", write.name)));
  return ScheduleSet{schedule.key};
}

absl::StatusOr<ScheduleSet> QueueWriter::Do(const PauseSchedule& write) {
  ASSIGN_OR_RETURN(ScheduleRow schedule, LoadSchedule(write.name));
  if (!write.paused && !schedule.paused) return ScheduleSet{schedule.key};
  if (!write.paused) {
    RETURN_IF_ERROR(EndSchedulePause(
        schedule, absl::FromUnixMicros(NowMicros()), write.reason));
    return ScheduleSet{schedule.key};
  }
  const bool ends = write.until < absl::InfiniteFuture();
  RETURN_IF_ERROR(SetWake(schedule, write.until));
  RETURN_IF_ERROR(db_.Run(
      "UPDATE schedule SET paused = ?, pause_why = ? WHERE id = ?",
      ends ? std::max(absl::ToUnixMicros(write.until), kPausedForGood + 1)
           : kPausedForGood,
      write.reason, schedule.key.row));
  RETURN_IF_ERROR(NoteSchedule(
      JournalKind::kScheduleSet,
      absl::StrCat("schedule ", write.name, ": paused",
                   ends ? absl::FormatTime(" until %Y-%m-%dT%H:%M:%SZ",
                                           write.until, absl::UTCTimeZone())
                        : "",
                   write.reason.empty() ? "" : ": ", write.reason)));
  return ScheduleSet{schedule.key};
}

absl::Status QueueWriter::EndSchedulePause(const ScheduleRow& schedule,
                                           absl::Time since,
                                           const std::string& why) {
  RETURN_IF_ERROR(SetWake(schedule, absl::InfiniteFuture()));
  RETURN_IF_ERROR(
      db_.Run("UPDATE schedule SET paused = 0, pause_why = '', since = ?, "
              "awake = 1 WHERE id = ?",
              absl::ToUnixMicros(since), schedule.key.row));
  return NoteSchedule(JournalKind::kScheduleSet,
                      absl::StrCat("schedule ", schedule.name, ": resumed",
                                   why.empty() ? "" : ": ", why));
}

absl::Status QueueWriter::FireScheduleTimer(int64_t id, int64_t at) {
  absl::StatusOr<ScheduleRow> schedule = LoadSchedule(id);
  if (absl::IsNotFound(schedule.status())) return absl::OkStatus();
  RETURN_IF_ERROR(schedule.status());
  // By the timer's own time: the clock may be set back between two looks.
  if (schedule->paused && schedule->pause_until <= absl::FromUnixMicros(at)) {
    // A time that is due at that very moment is none that the pause held back.
    return EndSchedulePause(*schedule,
                            schedule->pause_until - absl::Microseconds(1),
                            "its time was over");
  }
  return db_.Run("UPDATE schedule SET awake = 1 WHERE id = ?", id);
}

absl::StatusOr<int64_t> QueueWriter::InsertFiring(const ScheduleRow& schedule,
                                                  const std::string& key,
                                                  const NewFiring& firing,
                                                  bool by_hand) {
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO firing(schedule, key, due, state, at, by_hand, batch_name, "
      "why, revision) VALUES (?,?,?,?,?,?,?,?,?) "
      "ON CONFLICT(schedule, key) DO NOTHING",
      schedule.key.row, key, absl::ToUnixMicros(firing.due),
      static_cast<int>(firing.state), NowMicros(), by_hand ? 1 : 0,
      firing.batch_name, firing.why, schedule.revision));
  // The clock was set back: that time is dealt with.
  if (db_.changes() == 0) return int64_t{0};
  const int64_t id = db_.last_insert_id();
  if (IsOpen(firing.state)) return id;
  RETURN_IF_ERROR(NoteSchedule(
      JournalKind::kNotFired,
      absl::StrCat(
          "schedule ", schedule.name, ": ", firing.batch_name, " ",
          firing.state == v1::FIRING_STATE_MISSED ? "missed" : "skipped", ": ",
          firing.why)));
  return id;
}

absl::StatusOr<std::string> QueueWriter::FreeBatchName(int64_t schedule,
                                                       std::string name) {
  std::string free = name;
  // As many firings are known as are kept of a schedule.
  for (int number = 2;; ++number) {
    SqliteStatement row =
        db_.Query("SELECT 1 FROM firing WHERE schedule = ? AND batch_name = ?",
                  schedule, free);
    const bool taken = row.Step();
    RETURN_IF_ERROR(row.status());
    if (!taken) return free;
    free = absl::StrCat(name, "-", number);
  }
}

absl::StatusOr<RunBegun> QueueWriter::Do(const BeginRun& write) {
  ASSIGN_OR_RETURN(ScheduleRow schedule, LoadSchedule(write.schedule));
  const std::string key = absl::StrCat("run:", write.request_id);
  for (int look = 0;; ++look) {
    SqliteStatement row = db_.Query("SELECT " MIDWATCH_FIRING_COLUMNS
                                    " FROM firing f "
                                    "LEFT JOIN batch b ON b.id = f.batch "
                                    "WHERE f.schedule = ? AND f.key = ?",
                                    schedule.key.row, key);
    if (row.Step()) return RunBegun{schedule.key.row, ReadFiringRow(row)};
    RETURN_IF_ERROR(row.status());
    if (look > 0) return absl::InternalError("firing row vanished");
    RETURN_IF_ERROR(RefuseWhenFull());
    const absl::Time now = absl::FromUnixMicros(NowMicros());
    FiringView view{.schedule = schedule.name,
                    .timing = schedule.timing,
                    .paused = schedule.paused,
                    .pause_until = schedule.pause_until,
                    .since = absl::FromUnixMicros(schedule.since)};
    NewFiring firing{.due = now,
                     .state = v1::FIRING_STATE_OPENING,
                     .batch_name = "",
                     .why = ""};
    ASSIGN_OR_RETURN(
        firing.batch_name,
        FreeBatchName(schedule.key.row, write.batch_name(view, now)));
    RETURN_IF_ERROR(
        InsertFiring(schedule, key, firing, /*by_hand=*/true).status());
    RETURN_IF_ERROR(db_.Run("UPDATE schedule SET awake = 1 WHERE id = ?",
                            schedule.key.row));
  }
}

absl::StatusOr<FiringView> QueueWriter::ViewFirings(
    const ScheduleRow& schedule, FiringPlan& plan,
    std::vector<int64_t>& queued) {
  FiringView view{.schedule = schedule.name,
                  .timing = schedule.timing,
                  .paused = schedule.paused,
                  .pause_until = schedule.pause_until,
                  .since = absl::FromUnixMicros(schedule.since)};
  plan.opening.clear();
  plan.unfinished.clear();
  queued.clear();
  SqliteStatement row = db_.Query(
      "SELECT " MIDWATCH_FIRING_COLUMNS
      ", b.state FROM firing f "
      "LEFT JOIN batch b ON b.id = f.batch WHERE f.schedule = ? ORDER BY f.id",
      schedule.key.row);
  while (row.Step()) {
    FiringRecord firing = ReadFiringRow(row);
    if (firing.state == v1::FIRING_STATE_QUEUED) queued.push_back(firing.id);
    if (firing.state == v1::FIRING_STATE_OPENING) {
      plan.opening.push_back(std::move(firing));
    } else if (firing.batch.has_value() &&
               row.Int(11) != static_cast<int>(v1::BATCH_STATE_DONE)) {
      plan.unfinished.push_back(*firing.batch);
    }
  }
  RETURN_IF_ERROR(row.status());
  view.unfinished =
      static_cast<int>(plan.unfinished.size() + plan.opening.size());
  view.queued = static_cast<int>(queued.size());
  return view;
}

absl::StatusOr<FiringPlan> QueueWriter::Do(const PlanFirings& write) {
  ASSIGN_OR_RETURN(ScheduleRow schedule, LoadSchedule(write.schedule));
  FiringPlan plan;
  plan.schedule = schedule.key;
  plan.name = schedule.name;
  plan.cancel_old = schedule.timing.overlap() == v1::OVERLAP_POLICY_CANCEL_OLD;
  std::vector<int64_t> queued;
  ASSIGN_OR_RETURN(FiringView view, ViewFirings(schedule, plan, queued));
  FiringDecision decision =
      write.decide(view, absl::FromUnixMicros(NowMicros()));
  if (decision.begin_queued && !queued.empty()) {
    RETURN_IF_ERROR(
        db_.Run("UPDATE firing SET state = ?, at = ?, revision = ? "
                "WHERE id = ?",
                static_cast<int>(v1::FIRING_STATE_OPENING), NowMicros(),
                schedule.revision, queued.front()));
  }
  for (const NewFiring& firing : decision.firings) {
    // Micro-seconds since the epoch: the same time is the same key, so it
    // cannot fire twice.
    std::string key = absl::StrCat("at:", absl::ToUnixMicros(firing.due));
    RETURN_IF_ERROR(
        InsertFiring(schedule, key, firing, /*by_hand=*/false).status());
  }
  if (!decision.undecided) {
    RETURN_IF_ERROR(SetWake(schedule, decision.wake));
    plan.wake = decision.wake;
  }
  RETURN_IF_ERROR(ViewFirings(schedule, plan, queued).status());
  plan.queued = !queued.empty();
  const bool awake = decision.undecided || !plan.opening.empty() || plan.queued;
  RETURN_IF_ERROR(db_.Run(
      "UPDATE schedule SET since = ?, awake = ? WHERE id = ?",
      absl::ToUnixMicros(decision.since), awake ? 1 : 0, schedule.key.row));
  RETURN_IF_ERROR(ForgetFirings(schedule.key.row));
  return plan;
}

absl::StatusOr<FiringEnded> QueueWriter::Do(const EndFiring& write) {
  for (int look = 0;; ++look) {
    FiringRecord firing;
    std::string name;
    {
      SqliteStatement row =
          db_.Query("SELECT " MIDWATCH_FIRING_COLUMNS
                    ", s.name FROM firing f JOIN schedule s ON "
                    "s.id = f.schedule "
                    "LEFT JOIN batch b ON b.id = f.batch WHERE f.id = ?",
                    write.firing);
      if (!row.Step()) {
        RETURN_IF_ERROR(row.status());
        return absl::NotFoundError("no such firing");
      }
      firing = ReadFiringRow(row);
      name = row.Text(11);
    }
    if (firing.state != v1::FIRING_STATE_OPENING || look > 0) {
      return FiringEnded{firing};
    }
    const bool fired = write.batch.has_value();
    RETURN_IF_ERROR(
        db_.Run("UPDATE firing SET state = ?, at = ?, batch = ?, "
                "why = CASE WHEN ? = '' THEN why ELSE ? END WHERE id = ?",
                static_cast<int>(fired ? v1::FIRING_STATE_FIRED
                                       : v1::FIRING_STATE_FAILED),
                NowMicros(),
                SqliteNullable<int64_t>{fired, fired ? write.batch->row : 0},
                write.why, write.why, firing.id));
    RETURN_IF_ERROR(
        NoteSchedule(fired ? JournalKind::kFired : JournalKind::kNotFired,
                     absl::StrCat("schedule ", name, ": ", firing.batch_name,
                                  fired ? "" : " failed",
                                  write.why.empty() ? "" : ": ", write.why),
                     fired ? write.batch->row : 0));
  }
}

absl::Status QueueWriter::ForgetFirings(int64_t schedule) {
  // One whose batch is not done is what later ones overlap.
  RETURN_IF_ERROR(db_.Run(
      "DELETE FROM firing WHERE schedule = ? AND state NOT IN (?, ?) "
      "AND id <= (SELECT id FROM firing WHERE schedule = ? "
      "ORDER BY id DESC LIMIT 1 OFFSET ?) AND NOT EXISTS "
      "(SELECT 1 FROM batch b WHERE b.id = firing.batch AND b.state != ?)",
      schedule, static_cast<int>(v1::FIRING_STATE_OPENING),
      static_cast<int>(v1::FIRING_STATE_QUEUED), schedule, kFiringsKept,
      static_cast<int>(v1::BATCH_STATE_DONE)));
  return db_.Run(
      "DELETE FROM schedule_step WHERE schedule = ? AND revision < min("
      "(SELECT revision FROM schedule WHERE id = ?), "
      "ifnull((SELECT min(revision) FROM firing WHERE schedule = ? "
      "AND state = ?), 9223372036854775807))",
      schedule, schedule, schedule, static_cast<int>(v1::FIRING_STATE_OPENING));
}

}  // namespace midwatch
