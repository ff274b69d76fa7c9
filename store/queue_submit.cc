// Submission: batches, their lines, and tasks alone.
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "store/labels.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

// Requests of single tasks are remembered so long.
constexpr int64_t kRequestDays = 7;
constexpr int64_t kForgetEvery = 64;

int64_t DayOf(int64_t micros) {
  return micros / absl::ToInt64Microseconds(absl::Hours(24));
}

// "" of none: hashes that were stored before there were hooks stay as they are.
std::string HookText(const char* what, const v1::Hook& hook) {
  if (hook.url().empty()) return "";
  return absl::StrCat(what, hook.url().size(), ":", hook.url(),
                      hook.secret().size(), ":", hook.secret());
}

std::string HashOf(const OpenBatch& batch) {
  return Sha256Hex(absl::StrCat(
      batch.name.size(), ":", batch.name, batch.tenant.size(), ":",
      batch.tenant, batch.queue.size(), ":", batch.queue, batch.account.size(),
      ":", batch.account, batch.max_running, ":", batch.content_sha256, ":",
      DeterministicBytes(batch.spec),
      batch.budget == 0 ? "" : absl::StrCat("budget:", batch.budget),
      batch.canary
          ? absl::StrCat("canary:", batch.canary->tasks, ":",
                         batch.canary->min_success, ":", batch.canary->max_cost)
          : "",
      batch.stop_when ? absl::StrCat("stop:", batch.stop_when->failed, ":",
                                     batch.stop_when->failed_ratio, ":",
                                     batch.stop_when->after)
                      : "",
      HookText("on_finish:", batch.on_finish),
      HookText("on_failure:", batch.on_failure),
      HookText("on_risk:", batch.on_risk)));
}

std::string HashOf(const SubmitTask& submit) {
  return Sha256Hex(absl::StrCat(
      submit.tenant.size(), ":", submit.tenant, submit.queue.size(), ":",
      submit.queue, submit.account.size(), ":", submit.account,
      submit.task.priority, ":", submit.task.max_cost, ":",
      DeterministicBytes(submit.task.line), DeterministicBytes(submit.spec)));
}

// Without what its template and its row have.
std::string LineAsKept(const NewTask& task) {
  const v1::TaskLine& given = task.line;
  if (!task.own_spec && !given.has_priority() &&
      given.max_cost_usd_micros() == 0) {
    return given.SerializeAsString();
  }
  v1::TaskLine line = given;
  line.clear_prompt();
  line.clear_expect();
  line.clear_retry();
  line.clear_timeouts();
  line.clear_priority();
  line.clear_max_cost_usd_micros();
  return line.SerializeAsString();
}

}  // namespace

absl::Status QueueWriter::RefuseWhenFull() const {
  if (!disk_nearly_full_()) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      "the disk of the queue's database is nearly full, so no more work is "
      "taken; running tasks go on. Make room and submit again");
}

absl::StatusOr<BatchProgress> QueueWriter::FindBatch(
    const std::string& request_id) {
  SqliteStatement row = db_.Query(
      "SELECT id, at, state, lines, deleted_at FROM batch WHERE request_id = ?",
      request_id);
  if (!row.Step()) {
    RETURN_IF_ERROR(row.status());
    return absl::NotFoundError(
        absl::StrCat("no batch was opened with request_id '", request_id, "'"));
  }
  if (!row.IsNull(4)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the batch that was opened with request_id '", request_id,
                     "' is deleted; choose a new one to run it again"));
  }
  return BatchProgress{{row.Int(0), row.Int(1) / 1000},
                       static_cast<v1::BatchState>(row.Int(2)),
                       row.Int(3)};
}

absl::StatusOr<BatchProgress> QueueWriter::Do(const OpenBatch& write) {
  std::string hash = HashOf(write);
  absl::StatusOr<BatchProgress> known = FindBatch(write.request_id);
  if (known.ok()) {
    SqliteStatement row =
        db_.Query("SELECT open_hash FROM batch WHERE id = ?", known->batch.row);
    if (row.Step() && row.Text(0) == hash) return known;
    RETURN_IF_ERROR(row.status());
    return absl::AlreadyExistsError(
        absl::StrCat("request_id '", write.request_id,
                     "' came before with another batch; choose a new one"));
  }
  if (!absl::IsNotFound(known.status())) return known;
  RETURN_IF_ERROR(RefuseWhenFull());
  ASSIGN_OR_RETURN(int64_t tenant, LabelId(kTenantLabel, write.tenant));
  ASSIGN_OR_RETURN(int64_t queue, LabelId(kQueueLabel, write.queue));
  ASSIGN_OR_RETURN(int64_t account, LabelId(kAccountLabel, write.account));
  ASSIGN_OR_RETURN(int64_t template_id, InsertTemplate(write.spec));
  int64_t now = NowMicros();
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO batch(at, tenant, queue, account, name, state, template, "
      "max_running, request_id, content_hash, open_hash) "
      "VALUES (?,?,?,?,?,?,?,?,?,?,?)",
      now, tenant, queue, account, write.name,
      static_cast<int>(v1::BATCH_STATE_OPEN), template_id, write.max_running,
      write.request_id, write.content_sha256, hash));
  int64_t id = db_.last_insert_id();
  RETURN_IF_ERROR(PutRules(id, write));
  const RowKey key{id, now / 1000};
  RETURN_IF_ERROR(InsertHook(key, v1::HOOK_EVENT_FINISH, write.on_finish));
  RETURN_IF_ERROR(InsertHook(key, v1::HOOK_EVENT_FAILURE, write.on_failure));
  RETURN_IF_ERROR(InsertHook(key, v1::HOOK_EVENT_RISK, write.on_risk));
  JournalEntry entry{.kind = JournalKind::kBatchOpened, .batch = id};
  RETURN_IF_ERROR(Journal(entry).status());
  if (write.budget > 0) {
    SetBudget budget{.scope = v1::BUDGET_SCOPE_BATCH,
                     .name = "",
                     .row = {id, now / 1000},
                     .window = v1::BUDGET_WINDOW_TOTAL,
                     .zone = "",
                     .limit = write.budget};
    RETURN_IF_ERROR(Do(budget).status());
  }
  return BatchProgress{{id, now / 1000}, v1::BATCH_STATE_OPEN, 0};
}

absl::StatusOr<BatchProgress> QueueWriter::Do(const AddTasks& write) {
  ASSIGN_OR_RETURN(BatchProgress batch, FindBatch(write.request_id));
  int64_t end = write.first_line + static_cast<int64_t>(write.tasks.size());
  if (end <= batch.lines) return batch;
  if (write.first_line > batch.lines) {
    return absl::OutOfRangeError(absl::StrCat("lines ", batch.lines, " to ",
                                              write.first_line - 1,
                                              " are missing; send them first"));
  }
  if (batch.state != v1::BATCH_STATE_OPEN) {
    return absl::FailedPreconditionError(
        "the batch takes no more lines: it is sealed or cancelled");
  }
  RETURN_IF_ERROR(RefuseWhenFull());
  Place place{.batch = batch.batch.row};
  int64_t canary_tasks = 0;
  {
    SqliteStatement row = db_.Query(
        "SELECT tenant, queue, account, template, canary_tasks FROM batch "
        "WHERE id = ?",
        place.batch);
    if (!row.Step()) return absl::DataLossError("batch row vanished");
    place.tenant = row.Int(0);
    place.queue = row.Int(1);
    place.account = row.Int(2);
    place.template_id = row.Int(3);
    canary_tasks = row.Int(4);
  }
  ASSIGN_OR_RETURN(place.start_within, StartWithin(place.template_id));
  int64_t now = NowMicros();
  int64_t added = end - batch.lines, blocked = 0, skipped = 0, left_out = 0;
  for (int64_t line = batch.lines; line < end; ++line) {
    const NewTask& task =
        write.tasks[static_cast<size_t>(line - write.first_line)];
    place.canary = line < canary_tasks;
    absl::StatusOr<Inserted> is = InsertTask(place, task, line, now, 0);
    if (absl::IsAlreadyExists(is.status())) {
      return absl::AlreadyExistsError(
          absl::StrCat("line ", line, ": the batch has a task named '",
                       task.line.name(), "' already"));
    }
    if (absl::IsInvalidArgument(is.status())) {
      return absl::InvalidArgumentError(absl::StrCat("line ", line, ": task '",
                                                     task.line.name(), "' ",
                                                     is.status().message()));
    }
    RETURN_IF_ERROR(is.status());
    if (is->state == v1::TASK_STATE_BLOCKED) ++blocked;
    if (is->state != v1::TASK_STATE_SKIPPED) continue;
    ++skipped;
    if (place.canary) ++left_out;
  }
  RETURN_IF_ERROR(
      db_.Run("UPDATE batch SET lines = ?, queued = queued + ?, "
              "blocked = blocked + ?, skipped = skipped + ? WHERE id = ?",
              end, added - blocked - skipped, blocked, skipped, place.batch));
  if (left_out > 0) RETURN_IF_ERROR(NoteLeftOut(place.batch, left_out));
  JournalEntry entry{
      .kind = JournalKind::kTasksAdded,
      .batch = place.batch,
      .state = v1::TASK_STATE_QUEUED,
      .why = absl::StrCat("lines ", batch.lines, " to ", end - 1)};
  RETURN_IF_ERROR(Journal(entry).status());
  batch.lines = end;
  batch.needs_met = std::exchange(needs_met_, false);
  batch.timer_at = TakeTimerAt();
  return batch;
}

absl::StatusOr<BatchProgress> QueueWriter::Do(const SealBatch& write) {
  ASSIGN_OR_RETURN(BatchProgress batch, FindBatch(write.request_id));
  if (batch.lines != write.lines) {
    return absl::FailedPreconditionError(
        absl::StrCat("the batch has ", batch.lines, " lines, not ", write.lines,
                     "; send the missing ones first"));
  }
  if (batch.state != v1::BATCH_STATE_OPEN) return batch;
  RETURN_IF_ERROR(db_.Run("UPDATE batch SET state = ? WHERE id = ?",
                          static_cast<int>(v1::BATCH_STATE_SEALED),
                          batch.batch.row));
  JournalEntry entry{.kind = JournalKind::kBatchSealed,
                     .batch = batch.batch.row};
  RETURN_IF_ERROR(Journal(entry).status());
  RETURN_IF_ERROR(JudgeBatch(batch.batch.row, 0));
  RETURN_IF_ERROR(EndBatchIfDone(batch.batch.row));
  RETURN_IF_ERROR(PlanRisk(batch.batch.row));
  ASSIGN_OR_RETURN(batch, FindBatch(write.request_id));
  batch.needs_met = std::exchange(needs_met_, false);
  return batch;
}

absl::StatusOr<std::optional<TaskKey>> QueueWriter::FindRequest(
    const std::string& key, const std::string& hash) {
  ASSIGN_OR_RETURN(std::optional<KnownRequest> known, requests_.Find(key));
  if (!known) return std::nullopt;
  if (known->hash != hash) {
    return absl::AlreadyExistsError(
        absl::StrCat("request_id '", key,
                     "' came before with another task; choose a new one"));
  }
  absl::StatusOr<TaskRow> task = LoadTask(known->task);
  if (absl::IsNotFound(task.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat("the task of request_id '", key,
                     "' is deleted; choose a new one to run it again"));
  }
  RETURN_IF_ERROR(task.status());
  return TaskKey{{task->id, task->at / 1000}};
}

absl::StatusOr<TaskKey> QueueWriter::Do(const SubmitTask& write) {
  std::string hash = HashOf(write);
  ASSIGN_OR_RETURN(std::optional<TaskKey> known,
                   FindRequest(write.request_id, hash));
  if (known.has_value()) return *known;
  RETURN_IF_ERROR(RefuseWhenFull());
  Place place;
  int64_t now = NowMicros();
  ASSIGN_OR_RETURN(place.tenant, LabelId(kTenantLabel, write.tenant));
  ASSIGN_OR_RETURN(std::optional<TaskKey> holder,
                   FindHolder(place.tenant, write.task.unique.key, now));
  if (holder) return *holder;
  ASSIGN_OR_RETURN(place.queue, LabelId(kQueueLabel, write.queue));
  ASSIGN_OR_RETURN(place.account, LabelId(kAccountLabel, write.account));
  if (!write.task.own_spec) {
    ASSIGN_OR_RETURN(place.template_id, InsertTemplate(write.spec));
    if (write.spec.has_deadline()) {
      ASSIGN_OR_RETURN(place.start_within, StartWithin(place.template_id));
    }
  }
  absl::StatusOr<Inserted> is = InsertTask(place, write.task, -1, now, 0);
  if (absl::IsInvalidArgument(is.status())) {
    return absl::InvalidArgumentError(
        absl::StrCat("line: the task ", is.status().message()));
  }
  RETURN_IF_ERROR(is.status());
  RETURN_IF_ERROR(RememberRequest(write.request_id, hash, is->task, now));
  JournalEntry entry{
      .kind = JournalKind::kSubmitted, .task = is->task, .state = is->state};
  RETURN_IF_ERROR(Journal(entry).status());
  return TaskKey{
      {is->task, now / 1000}, std::exchange(needs_met_, false), TakeTimerAt()};
}

absl::Status QueueWriter::RememberRequest(const std::string& key,
                                          const std::string& hash, int64_t task,
                                          int64_t now) {
  RETURN_IF_ERROR(requests_.Add(key, hash, task, DayOf(now)));
  // More go than come, and not with every one.
  if (task % kForgetEvery != 0) return absl::OkStatus();
  return requests_.Forget(DayOf(now) - kRequestDays);
}

absl::StatusOr<int64_t> QueueWriter::LaneFor(const Place& place,
                                             const std::string& ckey) {
  if (known_.lane != 0 && known_.lane_key == ckey &&
      known_.lane_place.SameLanes(place)) {
    return known_.lane;
  }
  int64_t lane = 0;
  {
    SqliteStatement row = db_.Query(
        "SELECT id FROM lane WHERE batch = ? AND tenant = ? AND queue = ? "
        "AND ckey = ? AND account = ? AND canary = ?",
        place.batch, place.tenant, place.queue, ckey, place.account,
        place.canary ? 1 : 0);
    if (row.Step()) lane = row.Int(0);
    RETURN_IF_ERROR(row.status());
  }
  if (lane == 0) {
    ASSIGN_OR_RETURN(int holds, HoldsOf(place));
    RETURN_IF_ERROR(db_.Run(
        "INSERT INTO lane(tenant, queue, batch, ckey, account, blocked, "
        "canary) VALUES (?,?,?,?,?,?,?)",
        place.tenant, place.queue, place.batch, ckey, place.account, holds,
        place.canary ? 1 : 0));
    lane = db_.last_insert_id();
  }
  known_.lane_place = place;
  known_.lane_key = ckey;
  known_.lane = lane;
  return lane;
}

absl::StatusOr<QueueWriter::Inserted> QueueWriter::InsertTask(
    const Place& place, const NewTask& task, int64_t line, int64_t now,
    int64_t retry_of) {
  RETURN_IF_ERROR(CheckStart(task.start, now));
  ASSIGN_OR_RETURN(std::optional<TaskKey> holder,
                   FindHolder(place.tenant, task.unique.key, now));
  if (holder && holder->task.row == retry_of) holder.reset();
  std::string skip_why = task.skip_why;
  if (skip_why.empty() && holder) {
    ASSIGN_OR_RETURN(skip_why, HeldBy(task.unique.key, holder->task));
  }
  const bool skipped = !skip_why.empty();
  ASSIGN_OR_RETURN(int64_t lane, LaneFor(place, task.concurrency_key));
  int64_t template_id = place.template_id;
  absl::Duration start_within = place.start_within;
  if (task.own_spec) {
    ASSIGN_OR_RETURN(template_id, InsertTemplate(*task.own_spec));
    ASSIGN_OR_RETURN(start_within, StartWithin(template_id));
  }
  Inserted is{.state = skipped              ? v1::TASK_STATE_SKIPPED
                       : task.needs.empty() ? v1::TASK_STATE_QUEUED
                                            : v1::TASK_STATE_BLOCKED};
  const absl::Time at = absl::FromUnixMicros(now);
  const absl::Time start = task.start.StartOf(at);
  const absl::Time expiry = task.start.ExpiryOf(at);
  const bool ready = is.state == v1::TASK_STATE_QUEUED && start <= at;
  int64_t rank = RankOf(at, task.priority, at + start_within);
  ASSIGN_OR_RETURN(const int64_t floor, TaskFloor());
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO task(id, at, lane, batch, line, name, state, template, "
      "line_blob, prio, max_cost, rank, retry_of, queue, labels, not_before, "
      "expires_at, ukey, ended_at) "
      "VALUES (CASE WHEN ? THEN max(?, (SELECT ifnull(max(id), 0) FROM task)) "
      "+ 1 END,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
      floor > 0 ? 1 : 0, floor, now, lane, place.batch,
      SqliteNullable<int64_t>{line >= 0, line}, task.line.name(),
      static_cast<int>(is.state), template_id, SqliteBlob{LineAsKept(task)},
      task.priority, task.max_cost, SqliteNullable<int64_t>{ready, rank},
      SqliteNullable<int64_t>{retry_of != 0, retry_of}, place.queue,
      SqliteNullable<std::string>{!task.labels.empty(),
                                  LabelLines(task.labels)},
      SqliteNullable<int64_t>{!skipped && start > at,
                              absl::ToUnixMicros(start)},
      SqliteNullable<int64_t>{!skipped && expiry < absl::InfiniteFuture(),
                              absl::ToUnixMicros(expiry)},
      SqliteNullable<std::string>{!task.unique.key.empty(), task.unique.key},
      SqliteNullable<int64_t>{skipped, now}));
  is.task = db_.last_insert_id();
  for (const auto& [key, value] : task.labels) {
    ASSIGN_OR_RETURN(int64_t label, LabelId(kTaskLabel, LabelLine(key, value)));
    RETURN_IF_ERROR(db_.Run("INSERT INTO task_label(label, task) VALUES (?,?)",
                            label, is.task));
  }
  if (!task.needs.empty()) {
    RETURN_IF_ERROR(InsertNeeds(place, is.task, task));
  }
  if (skipped) {
    RETURN_IF_ERROR(EndSkipped(place, is.task, skip_why));
    return is;
  }
  if (!task.unique.key.empty()) {
    RETURN_IF_ERROR(HoldKey(place.tenant, task.unique, is.task, now));
  }
  if (ready) RETURN_IF_ERROR(PutReady(lane, rank, is.task));
  if (is.state == v1::TASK_STATE_QUEUED && !ready) {
    RETURN_IF_ERROR(SetTimer(start, kReadyTimer, is.task));
  }
  if (expiry < absl::InfiniteFuture()) {
    RETURN_IF_ERROR(SetTimer(expiry, kExpiryTimer, is.task));
  }
  return is;
}

}  // namespace midwatch
