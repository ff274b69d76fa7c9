// What a person sets of queues, tenants, accounts and batches while their tasks
// run: weights, caps and pauses.
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/guard.h"
#include "base/status_macros.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

constexpr int kQueuePausedBit = static_cast<int>(LaneBlock::kQueuePaused);
constexpr int kBatchPausedBit = static_cast<int>(LaneBlock::kBatchPaused);

SqliteNullable<int64_t> UntilMicros(absl::Time until) {
  const bool ends = until < absl::InfiniteFuture();
  return {ends, ends ? absl::ToUnixMicros(until) : 0};
}

const char* WordFor(Controlled of) {
  return of == Controlled::kTenant  ? "tenant "
         : of == Controlled::kQueue ? "queue "
                                    : "account ";
}

}  // namespace

absl::StatusOr<bool> QueueWriter::HasControls() {
  if (!known_.has_controls.has_value()) {
    SqliteStatement row = db_.Query("SELECT 1 FROM control LIMIT 1");
    bool any = row.Step();
    RETURN_IF_ERROR(row.status());
    known_.has_controls = any;
  }
  return *known_.has_controls;
}

absl::StatusOr<bool> QueueWriter::HasKeyCaps() {
  if (!known_.has_key_caps.has_value()) {
    SqliteStatement row = db_.Query("SELECT 1 FROM key_cap LIMIT 1");
    bool any = row.Step();
    RETURN_IF_ERROR(row.status());
    known_.has_key_caps = any;
  }
  return *known_.has_key_caps;
}

absl::StatusOr<int64_t> QueueWriter::KeyRoom(int64_t tenant,
                                             const std::string& key) {
  int64_t room = 1;
  ASSIGN_OR_RETURN(bool any, HasKeyCaps());
  if (any) {
    SqliteStatement row = db_.Query(
        "SELECT max_running FROM key_cap WHERE tenant = ? AND ckey = ?", tenant,
        key);
    if (row.Step()) room = row.Int(0);
    RETURN_IF_ERROR(row.status());
  }
  SqliteStatement row = db_.Query(
      "SELECT sum(running) FROM lane "
      "WHERE tenant = ? AND ckey = ? AND ckey != ''",
      tenant, key);
  if (row.Step()) room -= row.Int(0);
  RETURN_IF_ERROR(row.status());
  return room;
}

absl::Status QueueWriter::UnblockKey(int64_t tenant, const std::string& key) {
  return db_.Run(
      "UPDATE lane SET blocked = blocked & ~? "
      "WHERE tenant = ? AND ckey = ? AND ckey != ''",
      static_cast<int>(LaneBlock::kKeyBusy), tenant, key);
}

absl::StatusOr<QueueWriter::Control> QueueWriter::LoadControl(int64_t label) {
  Control control;
  SqliteStatement row = db_.Query(
      "SELECT weight, max_running, running, paused_at, pause_until "
      "FROM control WHERE label = ?",
      label);
  if (row.Step()) {
    control.weight = row.Int(0);
    control.max_running = row.Int(1);
    control.running = row.Int(2);
    if (!row.IsNull(3)) control.paused_at = row.Int(3);
    if (!row.IsNull(4)) control.pause_until = row.Int(4);
  }
  RETURN_IF_ERROR(row.status());
  return control;
}

absl::Status QueueWriter::CountRunning(int64_t lane, int by) {
  ASSIGN_OR_RETURN(bool any, HasControls());
  if (!any) return absl::OkStatus();
  std::vector<int64_t> capped;
  {
    SqliteStatement row = db_.Query(
        "SELECT c.label FROM lane l JOIN control c "
        "ON c.label IN (l.tenant, l.queue, l.account) "
        "WHERE l.id = ? AND c.max_running > 0",
        lane);
    while (row.Step()) capped.push_back(row.Int(0));
    RETURN_IF_ERROR(row.status());
  }
  for (int64_t label : capped) {
    RETURN_IF_ERROR(db_.Run(
        "UPDATE control SET running = running + ? WHERE label = ?", by, label));
    if (by > 0) continue;
    // One that is over its cap still has room for none.
    ASSIGN_OR_RETURN(Control control, LoadControl(label));
    if (control.running < control.max_running) {
      RETURN_IF_ERROR(UnblockCap(label));
    }
  }
  return absl::OkStatus();
}

absl::Status QueueWriter::UnblockCap(int64_t label) {
  static_assert(static_cast<int>(LaneBlock::kCap) == 8,
                "the bit is in the statement and in an index");
  return db_.Run(
      "UPDATE lane SET blocked = blocked & ~8 "
      "WHERE blocked & 8 != 0 AND ? IN (queue, tenant, account)",
      label);
}

absl::Status QueueWriter::ViewCaps(int64_t account, LaneView& lane,
                                   std::map<int64_t, bool>& is_capped,
                                   AdmissionView& view) {
  for (int64_t label : {lane.tenant, lane.queue, account}) {
    auto [capped, is_new] = is_capped.try_emplace(label);
    if (is_new) {
      ASSIGN_OR_RETURN(Control control, LoadControl(label));
      capped->second = control.max_running > 0;
      if (capped->second) {
        view.caps.push_back({label, control.running, control.max_running});
      }
    }
    if (capped->second) lane.caps.push_back(label);
  }
  return absl::OkStatus();
}

absl::StatusOr<int> QueueWriter::HoldsOf(const Place& place) {
  ASSIGN_OR_RETURN(Control control, LoadControl(place.queue));
  int bits = control.paused_at ? kQueuePausedBit : 0;
  SqliteStatement row =
      db_.Query("SELECT paused_at IS NOT NULL, canary FROM batch WHERE id = ?",
                place.batch);
  if (row.Step()) {
    if (row.Int(0) != 0) bits |= kBatchPausedBit;
    if (row.Int(1) == v1::CANARY_VERDICT_UNDECIDED && !place.canary &&
        Stands(Guard::kCanary)) {
      bits |= static_cast<int>(LaneBlock::kCanary);
    }
  }
  RETURN_IF_ERROR(row.status());
  return bits;
}

absl::Status QueueWriter::TouchBatchesOf(int64_t label) {
  SqliteStatement row = db_.Query(
      "SELECT DISTINCT batch FROM lane WHERE batch > 0 "
      "AND ? IN (queue, tenant, account) "
      "AND (head IS NOT NULL OR running > 0)",
      label);
  while (row.Step()) touched_batches_.insert(row.Int(0));
  return row.status();
}

absl::StatusOr<Done> QueueWriter::Do(const SetControl& write) {
  int64_t label = 0;
  if (write.of == Controlled::kAccount) {
    ASSIGN_OR_RETURN(label, FindAccount(write.name));
  } else {
    ASSIGN_OR_RETURN(
        label,
        LabelId(write.of == Controlled::kTenant ? kTenantLabel : kQueueLabel,
                write.name));
  }
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO control(label) VALUES (?) ON CONFLICT DO NOTHING", label));
  known_.has_controls = true;
  std::string what;
  if (write.weight) {
    RETURN_IF_ERROR(db_.Run("UPDATE control SET weight = ? WHERE label = ?",
                            *write.weight, label));
    absl::StrAppend(&what, ": weight ", *write.weight);
  }
  if (write.max_running) {
    // Counted anew: while there was no cap, nobody did.
    RETURN_IF_ERROR(
        db_.Run("UPDATE control SET max_running = ?, running = "
                "(SELECT count(*) FROM live v JOIN task t ON t.id = v.task "
                "JOIN lane l ON l.id = t.lane WHERE v.parked_at IS NULL "
                "AND control.label IN (l.tenant, l.queue, l.account)) "
                "WHERE label = ?",
                *write.max_running, label));
    RETURN_IF_ERROR(UnblockCap(label));
    absl::StrAppend(&what, what.empty() ? ": " : ", ", "max_running ",
                    *write.max_running);
  }
  JournalEntry entry{.kind = JournalKind::kControlSet,
                     .why = absl::StrCat(WordFor(write.of), write.name, what)};
  RETURN_IF_ERROR(Journal(entry).status());
  RETURN_IF_ERROR(TouchBatchesOf(label));
  return Done{};
}

absl::StatusOr<Done> QueueWriter::Do(const SetKeyCap& write) {
  ASSIGN_OR_RETURN(int64_t tenant, LabelId(kTenantLabel, write.tenant));
  if (write.max_running == 1) {
    RETURN_IF_ERROR(db_.Run("DELETE FROM key_cap WHERE tenant = ? AND ckey = ?",
                            tenant, write.key));
  } else {
    SqliteStatement row = db_.Query(
        "SELECT count(*) FROM key_cap WHERE NOT (tenant = ? AND ckey = ?)",
        tenant, write.key);
    const int64_t caps = row.Step() ? row.Int(0) : 0;
    RETURN_IF_ERROR(row.status());
    if (caps >= kKeyCapsMax) {
      return absl::ResourceExhaustedError(absl::StrCat(
          kKeyCapsMax,
          " concurrency keys have a cap of their own; set those that are not "
          "used any more to 1 first"));
    }
    RETURN_IF_ERROR(db_.Run(
        "INSERT INTO key_cap(tenant, ckey, max_running) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET max_running = excluded.max_running",
        tenant, write.key, write.max_running));
    known_.has_key_caps = true;
  }
  RETURN_IF_ERROR(UnblockKey(tenant, write.key));
  JournalEntry entry{
      .kind = JournalKind::kControlSet,
      .why = absl::StrCat("concurrency key ", write.key, " of tenant ",
                          write.tenant, ": max_running ", write.max_running)};
  RETURN_IF_ERROR(Journal(entry).status());
  return Done{};
}

absl::StatusOr<std::optional<int64_t>> QueueWriter::FindPause(RowKey batch) {
  SqliteStatement row = db_.Query(
      "SELECT at, state, pause_until FROM batch WHERE id = ? "
      "AND deleted_at IS NULL",
      batch.row);
  const bool found = row.Step() && row.Int(0) / 1000 == batch.unix_millis;
  RETURN_IF_ERROR(row.status());
  if (!found) return absl::NotFoundError("no such batch");
  const auto state = static_cast<v1::BatchState>(row.Int(1));
  if (state != v1::BATCH_STATE_OPEN && state != v1::BATCH_STATE_SEALED) {
    return absl::FailedPreconditionError(
        state == v1::BATCH_STATE_DONE
            ? "the batch is done: nothing of it is left to start"
            : "the batch is being cancelled: nothing of it starts any more");
  }
  if (row.IsNull(2)) return std::nullopt;
  return row.Int(2);
}

absl::StatusOr<Done> QueueWriter::Do(const SetBatchCap& write) {
  RETURN_IF_ERROR(FindPause(write.batch).status());
  RETURN_IF_ERROR(db_.Run("UPDATE batch SET max_running = ? WHERE id = ?",
                          write.max_running, write.batch.row));
  RETURN_IF_ERROR(UnblockBatch(write.batch.row));
  JournalEntry entry{.kind = JournalKind::kControlSet,
                     .batch = write.batch.row,
                     .why = absl::StrCat("max_running ", write.max_running)};
  RETURN_IF_ERROR(Journal(entry).status());
  return Done{};
}

absl::StatusOr<Done> QueueWriter::Do(const PauseQueue& write) {
  ASSIGN_OR_RETURN(int64_t queue, LabelId(kQueueLabel, write.queue));
  ASSIGN_OR_RETURN(Control before, LoadControl(queue));
  if (before.pause_until) {
    RETURN_IF_ERROR(ForgetTimer(*before.pause_until, kQueueTimer, queue));
  }
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO control(label, paused_at, pause_why, pause_until) "
      "VALUES (?,?,?,?) ON CONFLICT(label) DO UPDATE SET "
      "paused_at = ifnull(paused_at, excluded.paused_at), "
      "pause_why = excluded.pause_why, pause_until = excluded.pause_until",
      queue, NowMicros(), write.reason, UntilMicros(write.until)));
  known_.has_controls = true;
  if (write.until < absl::InfiniteFuture()) {
    RETURN_IF_ERROR(AddTimer(write.until, kQueueTimer, queue));
  }
  if (!before.paused_at) {
    RETURN_IF_ERROR(
        db_.Run("UPDATE lane SET blocked = blocked | ? WHERE queue = ?",
                kQueuePausedBit, queue));
  }
  JournalEntry entry{
      .kind = JournalKind::kPaused,
      .why = absl::StrCat("queue ", write.queue,
                          write.reason.empty() ? "" : ": ", write.reason)};
  RETURN_IF_ERROR(Journal(entry).status());
  RETURN_IF_ERROR(TouchBatchesOf(queue));
  return Done{};
}

absl::Status QueueWriter::EndQueuePause(int64_t queue) {
  ASSIGN_OR_RETURN(Control before, LoadControl(queue));
  if (!before.paused_at) return absl::OkStatus();
  if (before.pause_until) {
    RETURN_IF_ERROR(ForgetTimer(*before.pause_until, kQueueTimer, queue));
  }
  RETURN_IF_ERROR(
      db_.Run("UPDATE control SET paused_at = NULL, pause_why = NULL, "
              "pause_until = NULL WHERE label = ?",
              queue));
  RETURN_IF_ERROR(
      db_.Run("UPDATE lane SET blocked = blocked & ~? WHERE queue = ?",
              kQueuePausedBit, queue));
  ASSIGN_OR_RETURN(std::string name, LabelName(queue));
  JournalEntry entry{.kind = JournalKind::kResumed,
                     .why = absl::StrCat("queue ", name)};
  RETURN_IF_ERROR(Journal(entry).status());
  return TouchBatchesOf(queue);
}

absl::StatusOr<Done> QueueWriter::Do(const ResumeQueue& write) {
  int64_t queue = 0;
  {
    SqliteStatement row =
        db_.Query("SELECT id FROM label WHERE kind = ? AND name = ?",
                  kQueueLabel, write.queue);
    if (row.Step()) queue = row.Int(0);
    RETURN_IF_ERROR(row.status());
  }
  if (queue == 0) {
    return absl::NotFoundError(
        "no such queue: no task, no budget and no call has named it");
  }
  RETURN_IF_ERROR(EndQueuePause(queue));
  return Done{};
}

absl::Status QueueWriter::FireQueueTimer(int64_t queue, int64_t at) {
  ASSIGN_OR_RETURN(Control control, LoadControl(queue));
  // By the timer's own time: the clock may be set back between two looks.
  const bool over = control.pause_until && *control.pause_until <= at;
  return over ? EndQueuePause(queue) : absl::OkStatus();
}

absl::StatusOr<Done> QueueWriter::Do(const PauseBatch& write) {
  const int64_t batch = write.batch.row;
  ASSIGN_OR_RETURN(std::optional<int64_t> until, FindPause(write.batch));
  RETURN_IF_ERROR(BeginBatchPause(batch, until, write.reason, write.until));
  return Done{};
}

absl::Status QueueWriter::BeginBatchPause(int64_t batch,
                                          std::optional<int64_t> old_until,
                                          const std::string& reason,
                                          absl::Time until) {
  if (old_until) RETURN_IF_ERROR(ForgetTimer(*old_until, kBatchTimer, batch));
  RETURN_IF_ERROR(
      db_.Run("UPDATE batch SET paused_at = ifnull(paused_at, ?), "
              "pause_why = ?, pause_until = ? WHERE id = ?",
              NowMicros(), reason, UntilMicros(until), batch));
  if (until < absl::InfiniteFuture()) {
    RETURN_IF_ERROR(AddTimer(until, kBatchTimer, batch));
  }
  RETURN_IF_ERROR(db_.Run(
      "UPDATE lane SET blocked = blocked | ? WHERE batch = ? AND batch > 0",
      kBatchPausedBit, batch));
  JournalEntry entry{
      .kind = JournalKind::kPaused, .batch = batch, .why = reason};
  return Journal(entry).status();
}

absl::Status QueueWriter::EndBatchPause(int64_t batch) {
  RETURN_IF_ERROR(
      db_.Run("UPDATE batch SET paused_at = NULL, pause_why = NULL, "
              "pause_until = NULL WHERE id = ? AND paused_at IS NOT NULL",
              batch));
  if (db_.changes() == 0) return absl::OkStatus();
  RETURN_IF_ERROR(GoOnAllTheSame(batch));
  RETURN_IF_ERROR(ForgetPace(batch));
  RETURN_IF_ERROR(db_.Run(
      "UPDATE lane SET blocked = blocked & ~? WHERE batch = ? AND batch > 0",
      kBatchPausedBit, batch));
  JournalEntry entry{.kind = JournalKind::kResumed, .batch = batch};
  return Journal(entry).status();
}

absl::StatusOr<Done> QueueWriter::Do(const ResumeBatch& write) {
  const int64_t batch = write.batch.row;
  ASSIGN_OR_RETURN(std::optional<int64_t> until, FindPause(write.batch));
  if (until) RETURN_IF_ERROR(ForgetTimer(*until, kBatchTimer, batch));
  RETURN_IF_ERROR(EndBatchPause(batch));
  return Done{};
}

// A batch that ended meanwhile is left alone.
absl::Status QueueWriter::FireBatchTimer(int64_t batch, int64_t at) {
  bool over = false;
  {
    SqliteStatement row = db_.Query(
        "SELECT 1 FROM batch WHERE id = ? AND pause_until <= ? "
        "AND state IN (?, ?)",
        batch, at, static_cast<int>(v1::BATCH_STATE_OPEN),
        static_cast<int>(v1::BATCH_STATE_SEALED));
    over = row.Step();
    RETURN_IF_ERROR(row.status());
  }
  return over ? EndBatchPause(batch) : absl::OkStatus();
}

absl::Status QueueWriter::AddTimer(absl::Time at, int kind, int64_t ref) {
  return db_.Run(
      "INSERT INTO timer(at, kind, ref) VALUES (?, ?, ?) "
      "ON CONFLICT DO NOTHING",
      absl::ToUnixMicros(at), kind, ref);
}

absl::Status QueueWriter::ForgetTimer(int64_t at, int kind, int64_t ref) {
  return db_.Run("DELETE FROM timer WHERE at = ? AND kind = ? AND ref = ?", at,
                 kind, ref);
}

}  // namespace midwatch
