// Hooks as clients and the scheduler read them.
#include "base/status_macros.h"
#include "store/queue_reader.h"

namespace midwatch {
namespace {

absl::Time TimeOr(const SqliteStatement& row, int column, absl::Time if_null) {
  return row.IsNull(column) ? if_null : absl::FromUnixMicros(row.Int(column));
}

}  // namespace

absl::Status SqliteReader::AddHooks(BatchRecord& batch) {
  SqliteStatement row = queue_->Query(
      "SELECT event, url, state, tries, at, due, ended_at, why FROM hook "
      "WHERE batch = ? ORDER BY event",
      batch.key.row);
  while (row.Step()) {
    HookRecord& hook = batch.hooks.emplace_back();
    hook.event = static_cast<v1::HookEvent>(row.Int(0));
    hook.url = row.Text(1);
    hook.state = static_cast<v1::HookState>(row.Int(2));
    hook.tries = static_cast<int32_t>(row.Int(3));
    hook.at = TimeOr(row, 4, absl::InfiniteFuture());
    hook.due = TimeOr(row, 5, absl::InfiniteFuture());
    hook.ended_at = TimeOr(row, 6, absl::InfiniteFuture());
    hook.why = row.Text(7);
  }
  return row.status();
}

absl::StatusOr<std::vector<DueHook>> SqliteReader::ListDueHooks(absl::Time at,
                                                                int limit) {
  SqliteStatement row = queue_->Query(
      "SELECT id, batch, batch_at, task, task_at, url, secret, tries, news "
      "FROM hook WHERE due <= ? ORDER BY due LIMIT ?",
      absl::ToUnixMicros(at), limit);
  std::vector<DueHook> due;
  while (row.Step()) {
    DueHook& hook = due.emplace_back();
    hook.id = row.Int(0);
    hook.batch = {row.Int(1), row.Int(2)};
    if (!row.IsNull(3)) hook.task = RowKey{row.Int(3), row.Int(4)};
    hook.url = row.Text(5);
    hook.secret = row.Text(6);
    hook.tries = static_cast<int32_t>(row.Int(7));
    if (!hook.news.ParseFromString(row.Text(8))) {
      return absl::DataLossError("a hook's news cannot be read");
    }
  }
  RETURN_IF_ERROR(row.status());
  return due;
}

}  // namespace midwatch
