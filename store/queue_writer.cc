#include "store/queue_writer.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/guard.h"
#include "base/status_macros.h"

namespace midwatch {

namespace {

constexpr absl::Duration kAgeing = absl::Minutes(30);

}  // namespace

int64_t RankOf(absl::Time ready_at, int priority, absl::Time latest_start) {
  return absl::ToUnixMillis(
      std::min(ready_at + (9 - priority) * kAgeing, latest_start));
}

absl::Time ReadyAtOf(int64_t rank, int priority) {
  return absl::FromUnixMillis(rank) - (9 - priority) * kAgeing;
}

Forecast ReadForecast(const SqliteStatement& row, int column) {
  Forecast forecast;
  forecast.samples = static_cast<int32_t>(row.Int(column));
  forecast.cost_p50 = row.Int(column + 1);
  forecast.cost_p90 = row.Int(column + 2);
  forecast.time_p50 = absl::Microseconds(row.Int(column + 3));
  forecast.time_p90 = absl::Microseconds(row.Int(column + 4));
  return forecast;
}

std::string DeterministicBytes(const google::protobuf::Message& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

absl::StatusOr<WriteResult> QueueWriter::Apply(const Write& write) {
  return std::visit(
      [this](const auto& w) -> absl::StatusOr<WriteResult> {
        auto result = Do(w);
        if (result.ok()) return WriteResult(*std::move(result));
        Forget();
        return result.status();
      },
      write);
}

std::vector<int64_t> QueueWriter::TakeTouchedBatches() {
  std::set<int64_t> touched = std::exchange(touched_batches_, {});
  return std::vector<int64_t>(touched.begin(), touched.end());
}

absl::StatusOr<int64_t> QueueWriter::Journal(const JournalEntry& e) {
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO journal(at, kind, batch, task, n, state, who, reserve_d, "
      "charge_d, over_d, class, why) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
      NowMicros(), static_cast<int>(e.kind), e.batch, e.task, e.attempt,
      static_cast<int>(e.state), e.who, e.reserve_delta, e.charge_delta,
      e.over_delta, static_cast<int>(e.failure_class),
      SqliteNullable<std::string>{!e.why.empty(), e.why}));
  if (e.batch != 0) touched_batches_.insert(e.batch);
  return db_.last_insert_id();
}

absl::StatusOr<int64_t> QueueWriter::LabelId(int kind,
                                             const std::string& name) {
  if (auto known = known_.labels.find({kind, name});
      known != known_.labels.end()) {
    return known->second;
  }
  int64_t id = 0;
  {
    SqliteStatement row = db_.Query(
        "SELECT id FROM label WHERE kind = ? AND name = ?", kind, name);
    if (row.Step()) id = row.Int(0);
    RETURN_IF_ERROR(row.status());
  }
  if (id == 0) {
    RETURN_IF_ERROR(
        db_.Run("INSERT INTO label(kind, name) VALUES (?, ?)", kind, name));
    id = db_.last_insert_id();
  }
  if (known_.labels.size() >= kKnownLabelsMax) known_.labels.clear();
  known_.labels[{kind, name}] = id;
  return id;
}

absl::StatusOr<std::string> QueueWriter::LabelName(int64_t id) {
  SqliteStatement row = db_.Query("SELECT name FROM label WHERE id = ?", id);
  if (row.Step()) return row.Text(0);
  RETURN_IF_ERROR(row.status());
  return absl::DataLossError(absl::StrCat("label ", id, " is missing"));
}

absl::StatusOr<QueueWriter::TaskRow> QueueWriter::LoadTask(int64_t id) {
  SqliteStatement row = db_.Query(
      "SELECT at, lane, batch, template, state, prio, attempts, failures, "
      "max_cost, charged, rank, not_before, excused, expires_at, line FROM "
      "task "
      "WHERE id = ?",
      id);
  if (!row.Step()) {
    RETURN_IF_ERROR(row.status());
    return absl::NotFoundError("no such task");
  }
  TaskRow task;
  task.id = id;
  task.at = row.Int(0);
  task.lane = row.Int(1);
  task.batch = row.Int(2);
  task.template_id = row.Int(3);
  task.state = static_cast<v1::TaskState>(row.Int(4));
  task.priority = static_cast<int32_t>(row.Int(5));
  task.attempts = static_cast<int32_t>(row.Int(6));
  task.failures = static_cast<int32_t>(row.Int(7));
  task.max_cost = row.Int(8);
  task.charged = row.Int(9);
  if (!row.IsNull(10)) task.rank = row.Int(10);
  if (!row.IsNull(11)) task.not_before = row.Int(11);
  task.excused = static_cast<int32_t>(row.Int(12));
  if (!row.IsNull(13)) task.expires_at = row.Int(13);
  task.line = row.Int(14);
  return task;
}

absl::StatusOr<QueueWriter::TaskRow> QueueWriter::LoadTask(RowKey key) {
  ASSIGN_OR_RETURN(TaskRow task, LoadTask(key.row));
  ASSIGN_OR_RETURN(bool deleted, IsDeleted(task.batch));
  if (deleted || task.at / 1000 != key.unix_millis) {
    return absl::NotFoundError("no such task");
  }
  return task;
}

absl::StatusOr<std::optional<QueueWriter::LiveRow>> QueueWriter::FindLive(
    int64_t task) {
  SqliteStatement row = db_.Query(
      "SELECT attempt, epoch, worker, account, batch, phase, session, "
      "reserved, grant_seq, granted_at, cancelling, parked_at, answer_by, "
      "parked_for, unanswered, held_at, samples, cost_p50, cost_p90, "
      "time_p50, time_p90, overshoot, counted FROM live WHERE task = ?",
      task);
  if (!row.Step()) {
    RETURN_IF_ERROR(row.status());
    return std::nullopt;
  }
  LiveRow live;
  live.lease.task = task;
  live.lease.attempt = static_cast<int32_t>(row.Int(0));
  live.lease.epoch = row.Int(1);
  live.lease.worker = row.Int(2);  // 0 where NULL: free
  live.account = row.Int(3);
  live.batch = row.Int(4);
  live.phase = static_cast<v1::AttemptPhase>(row.Int(5));
  live.session = row.Text(6);
  live.reserved = row.Int(7);
  live.grant_seq = row.Int(8);
  live.granted_at = row.Int(9);
  live.cancelling = row.Int(10) != 0;
  if (!row.IsNull(11)) live.parked_at = row.Int(11);
  if (!row.IsNull(12)) live.answer_by = row.Int(12);
  live.parked_for = row.Int(13);
  live.unanswered = row.Int(14) != 0;
  if (!row.IsNull(15)) live.held_at = row.Int(15);
  live.forecast = ReadForecast(row, 16);
  live.overshoot = row.Int(21);
  live.counted = row.Int(22);
  return live;
}

absl::StatusOr<QueueWriter::LiveRow> QueueWriter::LoadLive(
    const LeaseKey& lease) {
  ASSIGN_OR_RETURN(std::optional<LiveRow> live, FindLive(lease.task));
  const bool held = live.has_value() && lease.worker != 0 &&
                    (live->lease == lease || !Stands(Guard::kLeaseCheck));
  if (!held || live->lease.attempt != lease.attempt) {
    return absl::AbortedError("the lease is lost");
  }
  return *std::move(live);
}

absl::StatusOr<v1::TaskSpec> QueueWriter::LoadSpec(int64_t template_id) {
  if (known_.template_id == template_id) return known_.spec;
  SqliteStatement row =
      db_.Query("SELECT spec FROM template WHERE id = ?", template_id);
  v1::TaskSpec spec;
  if (row.Step() && spec.ParseFromString(row.Text(0))) {
    known_.template_id = template_id;
    known_.spec = spec;
    return spec;
  }
  RETURN_IF_ERROR(row.status());
  return absl::DataLossError(absl::StrCat("template ", template_id));
}

absl::Status QueueWriter::Count(int64_t batch, v1::TaskState from,
                                v1::TaskState to, int64_t charge_delta,
                                int64_t reserve_delta, int64_t over_delta,
                                const Calibration& held) {
  if (batch == 0) return absl::OkStatus();
  auto delta = [&](v1::TaskState state) {
    return (to == state ? 1 : 0) - (from == state ? 1 : 0);
  };
  RETURN_IF_ERROR(db_.Run(
      "UPDATE batch SET blocked = blocked + ?, queued = queued + ?, "
      "running = running + ?, waiting = waiting + ?, "
      "cancelling = cancelling + ?, succeeded = succeeded + ?, "
      "failed = failed + ?, cancelled = cancelled + ?, skipped = skipped + ?, "
      "charged = charged + ?, reserved = reserved + ?, over = over + ?, "
      "foretold = foretold + ?, cost_in_p50 = cost_in_p50 + ?, "
      "cost_in_p90 = cost_in_p90 + ?, time_in_p50 = time_in_p50 + ?, "
      "time_in_p90 = time_in_p90 + ? WHERE id = ?",
      delta(v1::TASK_STATE_BLOCKED), delta(v1::TASK_STATE_QUEUED),
      delta(v1::TASK_STATE_RUNNING), delta(v1::TASK_STATE_WAITING),
      delta(v1::TASK_STATE_CANCELLING), delta(v1::TASK_STATE_SUCCEEDED),
      delta(v1::TASK_STATE_FAILED), delta(v1::TASK_STATE_CANCELLED),
      delta(v1::TASK_STATE_SKIPPED), charge_delta, reserve_delta, over_delta,
      held.foretold, held.cost_in_p50, held.cost_in_p90, held.time_in_p50,
      held.time_in_p90, batch));
  // Before the batch ends, which is told after it.
  if (to == v1::TASK_STATE_FAILED) {
    RETURN_IF_ERROR(FireHook(batch, v1::HOOK_EVENT_FAILURE));
  }
  return IsFinal(to) ? EndBatchIfDone(batch) : absl::OkStatus();
}

absl::Status QueueWriter::EndBatchIfDone(int64_t batch) {
  RETURN_IF_ERROR(db_.Run(
      "UPDATE batch SET state = ?, ended_at = ? WHERE id = ? AND state IN "
      "(?, ?) AND blocked + queued + running + waiting + cancelling = 0",
      static_cast<int>(v1::BATCH_STATE_DONE), NowMicros(), batch,
      static_cast<int>(v1::BATCH_STATE_SEALED),
      static_cast<int>(v1::BATCH_STATE_CANCELLING)));
  if (db_.changes() == 0) return absl::OkStatus();
  JournalEntry entry{.kind = JournalKind::kBatchDone, .batch = batch};
  RETURN_IF_ERROR(Journal(entry).status());
  return FireHook(batch, v1::HOOK_EVENT_FINISH);
}

absl::Status QueueWriter::MakeReady(const TaskRow& task, int64_t at_micros) {
  ASSIGN_OR_RETURN(absl::Duration within, StartWithin(task.template_id));
  int64_t rank = RankOf(absl::FromUnixMicros(at_micros), task.priority,
                        absl::FromUnixMicros(task.at) + within);
  RETURN_IF_ERROR(
      db_.Run("UPDATE task SET rank = ?, not_before = NULL WHERE id = ?", rank,
              task.id));
  return PutReady(task.lane, rank, task.id);
}

absl::Status QueueWriter::PutReady(int64_t lane, int64_t rank, int64_t task) {
  RETURN_IF_ERROR(db_.Run("INSERT INTO ready(lane, rank, task) VALUES (?,?,?)",
                          lane, rank, task));
  return db_.Run(
      "UPDATE lane SET head = ?, blocked = blocked & ~4 "
      "WHERE id = ? AND (head IS NULL OR head > ?)",
      rank, lane, rank);
}

absl::Status QueueWriter::RemoveReady(const TaskRow& task) {
  if (!task.rank.has_value()) return absl::OkStatus();
  RETURN_IF_ERROR(
      db_.Run("DELETE FROM ready WHERE lane = ? AND rank = ? AND task = ?",
              task.lane, *task.rank, task.id));
  return UpdateLaneHead(task.lane);
}

absl::Status QueueWriter::UpdateLaneHead(int64_t lane) {
  return db_.Run(
      "UPDATE lane SET head = (SELECT rank FROM ready WHERE lane = ? "
      "ORDER BY rank LIMIT 1), blocked = blocked & ~4 WHERE id = ?",
      lane, lane);
}

absl::StatusOr<QueueWriter::LaneIdentity> QueueWriter::IdentityOf(
    int64_t lane) {
  LaneIdentity& known = known_.lane_identity;
  if (known.lane == lane) return known;
  SqliteStatement row = db_.Query(
      "SELECT tenant, queue, batch, account, ckey FROM lane WHERE id = ?",
      lane);
  if (row.Step()) {
    known = {.lane = lane,
             .tenant = row.Int(0),
             .queue = row.Int(1),
             .batch = row.Int(2),
             .account = row.Int(3),
             .key = row.Text(4)};
    return known;
  }
  RETURN_IF_ERROR(row.status());
  return absl::DataLossError(absl::StrCat("lane ", lane, " is missing"));
}

absl::Status QueueWriter::LeaveLane(int64_t lane, int64_t batch) {
  ASSIGN_OR_RETURN(const LaneIdentity is, IdentityOf(lane));
  RETURN_IF_ERROR(
      db_.Run("UPDATE lane SET running = running - 1 WHERE id = ?", lane));
  if (!is.key.empty()) {
    RETURN_IF_ERROR(UnblockKey(is.tenant, is.key));
  }
  RETURN_IF_ERROR(CountRunning(lane, -1));
  return UnblockBatch(batch);
}

absl::Status QueueWriter::UnblockBatch(int64_t batch) {
  if (batch == 0) return absl::OkStatus();
  static_assert(static_cast<int>(LaneBlock::kBatchCap) == 2,
                "the bit is in the statement");
  return db_.Run(
      "UPDATE lane SET blocked = blocked & ~2 "
      "WHERE batch = ? AND batch > 0 AND blocked & 2 != 0",
      batch);
}

absl::StatusOr<RemoteId> QueueWriter::Do(const RecordRemoteId& write) {
  ASSIGN_OR_RETURN(int64_t account, LabelId(kAccountLabel, write.account));
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO remote_id(account, key, id) VALUES (?, ?, ?) "
      "ON CONFLICT(account, key) DO UPDATE SET id = excluded.id WHERE id = ?",
      account, write.key, write.id, write.replaces));
  SqliteStatement row =
      db_.Query("SELECT id FROM remote_id WHERE account = ? AND key = ?",
                account, write.key);
  if (row.Step()) return RemoteId{row.Text(0)};
  RETURN_IF_ERROR(row.status());
  return absl::InternalError("remote_id vanished");
}

}  // namespace midwatch
