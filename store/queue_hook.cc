// Hooks: what is to be told of a batch, in the commit in which it happens.
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

// As in the proto: google.protobuf.Timestamp.
void SetTime(google::protobuf::Timestamp& time, int64_t micros) {
  time.set_seconds(micros / 1'000'000);
  time.set_nanos(static_cast<int32_t>(micros % 1'000'000) * 1000);
}

const char* WordOf(v1::HookEvent event) {
  return event == v1::HOOK_EVENT_FINISH    ? "on_finish"
         : event == v1::HOOK_EVENT_FAILURE ? "on_failure"
                                           : "on_risk";
}

}  // namespace

absl::Status QueueWriter::InsertHook(RowKey batch, v1::HookEvent event,
                                     const v1::Hook& hook) {
  if (hook.url().empty()) return absl::OkStatus();
  return db_.Run(
      "INSERT INTO hook(batch, batch_at, event, url, secret, state) "
      "VALUES (?,?,?,?,?,?)",
      batch.row, batch.unix_millis, static_cast<int>(event), hook.url(),
      hook.secret(), static_cast<int>(v1::HOOK_STATE_ARMED));
}

absl::Status QueueWriter::FireHook(int64_t batch, v1::HookEvent event) {
  int64_t hook = 0;
  {
    SqliteStatement row = db_.Query(
        "SELECT id FROM hook WHERE batch = ? AND event = ? AND state = ?",
        batch, static_cast<int>(event), static_cast<int>(v1::HOOK_STATE_ARMED));
    if (row.Step()) hook = row.Int(0);
    RETURN_IF_ERROR(row.status());
  }
  if (hook == 0) return absl::OkStatus();
  v1::HookNews news;
  news.set_event(event);
  const int64_t now = NowMicros();
  SetTime(*news.mutable_at(), now);
  RETURN_IF_ERROR(DescribeForHook(batch, *news.mutable_batch()));
  RowKey task;
  if (event == v1::HOOK_EVENT_FAILURE) {
    ASSIGN_OR_RETURN(task, FindFailed(batch, *news.mutable_task()));
  }
  if (event == v1::HOOK_EVENT_RISK) {
    SqliteStatement row =
        db_.Query("SELECT risk FROM batch WHERE id = ?", batch);
    if (row.Step()) news.mutable_risk()->ParseFromString(row.Text(0));
    RETURN_IF_ERROR(row.status());
  }
  RETURN_IF_ERROR(
      db_.Run("UPDATE hook SET state = ?, at = ?, due = ?, news = ?, task = ?, "
              "task_at = ? WHERE id = ?",
              static_cast<int>(v1::HOOK_STATE_DUE), now, now,
              SqliteBlob{news.SerializeAsString()},
              SqliteNullable<int64_t>{task.row != 0, task.row},
              task.unix_millis, hook));
  JournalEntry entry{
      .kind = JournalKind::kHookDue, .batch = batch, .why = WordOf(event)};
  RETURN_IF_ERROR(Journal(entry).status());
  needs_met_ = true;
  return AddTimer(absl::FromUnixMicros(now), kHookTimer, hook);
}

absl::Status QueueWriter::DescribeForHook(int64_t batch, v1::Batch& out) {
  SqliteStatement row = db_.Query(
      "SELECT b.name, t.name, q.name, a.name, b.state, b.at, b.ended_at, "
      "b.charged, b.blocked, b.queued, b.running, b.waiting, b.cancelling, "
      "b.succeeded, b.failed, b.cancelled, b.skipped FROM batch b "
      "JOIN label t ON t.id = b.tenant JOIN label q ON q.id = b.queue "
      "JOIN label a ON a.id = b.account WHERE b.id = ?",
      batch);
  if (!row.Step()) {
    RETURN_IF_ERROR(row.status());
    return absl::DataLossError("batch row vanished");
  }
  out.set_name(row.Text(0));
  out.set_tenant(row.Text(1));
  out.set_queue(row.Text(2));
  out.set_account(row.Text(3));
  out.set_state(static_cast<v1::BatchState>(row.Int(4)));
  SetTime(*out.mutable_submitted_at(), row.Int(5));
  if (!row.IsNull(6)) SetTime(*out.mutable_ended_at(), row.Int(6));
  out.set_charged_usd_micros(row.Int(7));
  v1::TaskCounts& counts = *out.mutable_counts();
  counts.set_blocked(row.Int(8));
  counts.set_queued(row.Int(9));
  counts.set_running(row.Int(10));
  counts.set_waiting(row.Int(11));
  counts.set_cancelling(row.Int(12));
  counts.set_succeeded(row.Int(13));
  counts.set_failed(row.Int(14));
  counts.set_cancelled(row.Int(15));
  counts.set_skipped(row.Int(16));
  return absl::OkStatus();
}

absl::StatusOr<RowKey> QueueWriter::FindFailed(int64_t batch,
                                               v1::TaskChange& out) {
  SqliteStatement row = db_.Query(
      "SELECT id, at, name, attempts, class, ifnull(why, ''), charged, "
      "ifnull(ended_at, 0) FROM task WHERE batch = ? AND state = ? "
      "ORDER BY id LIMIT 1",
      batch, static_cast<int>(v1::TASK_STATE_FAILED));
  if (!row.Step()) {
    RETURN_IF_ERROR(row.status());
    return absl::InternalError("no task of the batch has failed");
  }
  out.set_name(row.Text(2));
  out.set_state(v1::TASK_STATE_FAILED);
  SetTime(*out.mutable_at(), row.Int(7));
  out.set_attempt(static_cast<int32_t>(row.Int(3)));
  out.set_failure_class(static_cast<v1::FailureClass>(row.Int(4)));
  out.set_reason(row.Text(5));
  out.set_charged_usd_micros(row.Int(6));
  return RowKey{row.Int(0), row.Int(1) / 1000};
}

absl::StatusOr<Done> QueueWriter::Do(const NoteHookTry& write) {
  int64_t batch = 0, tries = 0;
  v1::HookEvent event{};
  v1::HookState state{};
  {
    SqliteStatement row = db_.Query(
        "SELECT batch, event, state, tries FROM hook WHERE id = ?", write.hook);
    if (!row.Step()) {
      RETURN_IF_ERROR(row.status());
      return absl::NotFoundError("no such hook");
    }
    batch = row.Int(0);
    event = static_cast<v1::HookEvent>(row.Int(1));
    state = static_cast<v1::HookState>(row.Int(2));
    tries = row.Int(3);
  }
  if (state != v1::HOOK_STATE_DUE || write.tries != tries + 1) return Done{};
  const bool again = write.end == HookEnd::kAgain;
  const bool delivered = write.end == HookEnd::kDelivered;
  const v1::HookState next = again       ? v1::HOOK_STATE_DUE
                             : delivered ? v1::HOOK_STATE_DELIVERED
                                         : v1::HOOK_STATE_GIVEN_UP;
  RETURN_IF_ERROR(db_.Run(
      "UPDATE hook SET state = ?, tries = ?, due = ?, why = ?, ended_at = ? "
      "WHERE id = ?",
      static_cast<int>(next), write.tries,
      SqliteNullable<int64_t>{again, absl::ToUnixMicros(write.due)}, write.why,
      SqliteNullable<int64_t>{!again, NowMicros()}, write.hook));
  if (again) {
    RETURN_IF_ERROR(AddTimer(write.due, kHookTimer, write.hook));
    return Done{};
  }
  JournalEntry entry{
      .kind =
          delivered ? JournalKind::kHookDelivered : JournalKind::kHookGivenUp,
      .batch = batch,
      .why = absl::StrCat(WordOf(event), delivered ? "" : ": ", write.why)};
  RETURN_IF_ERROR(Journal(entry).status());
  return Done{};
}

}  // namespace midwatch
