// Unique keys: which task of a tenant holds one.
//
// A key with an `until` is not held any more once that is past; its row is
// there until another takes the key, or until it is cleaned up with others.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/external_id.h"
#include "base/status_macros.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

// With each key that is held for a time, at most so many of those whose time is
// past are forgotten: more go than come.
constexpr int kForgetKeys = 8;

}  // namespace

absl::StatusOr<bool> QueueWriter::HasUniqueKeys() {
  if (!known_.has_unique_keys.has_value()) {
    SqliteStatement row = db_.Query("SELECT 1 FROM unique_key LIMIT 1");
    const bool any = row.Step();
    RETURN_IF_ERROR(row.status());
    known_.has_unique_keys = any;
  }
  return *known_.has_unique_keys;
}

absl::StatusOr<std::optional<TaskKey>> QueueWriter::FindHolder(
    int64_t tenant, const std::string& key, int64_t now) {
  if (key.empty()) return std::nullopt;
  SqliteStatement row = db_.Query(
      "SELECT t.id, t.at, u.until FROM unique_key u JOIN task t ON t.id = "
      "u.task "
      "WHERE u.tenant = ? AND u.key = ?",
      tenant, key);
  if (!row.Step()) {
    RETURN_IF_ERROR(row.status());
    return std::nullopt;
  }
  if (!row.IsNull(2) && row.Int(2) <= now) return std::nullopt;
  return TaskKey{.task = {row.Int(0), row.Int(1) / 1000}, .key_held = true};
}

absl::Status QueueWriter::HoldKey(int64_t tenant, const UniqueRule& rule,
                                  int64_t task, int64_t now) {
  const bool timed = rule.held_for < absl::InfiniteDuration();
  RETURN_IF_ERROR(db_.Run(
      "INSERT INTO unique_key(tenant, key, task, until) VALUES (?,?,?,?) "
      "ON CONFLICT(tenant, key) DO UPDATE SET task = excluded.task, "
      "until = excluded.until",
      tenant, rule.key, task,
      SqliteNullable<int64_t>{
          timed, now + absl::ToInt64Microseconds(timed ? rule.held_for
                                                       : absl::Duration())}));
  known_.has_unique_keys = true;
  if (!timed) return absl::OkStatus();
  std::vector<std::pair<int64_t, std::string>> past;
  {
    SqliteStatement row = db_.Query(
        "SELECT tenant, key FROM unique_key WHERE until <= ? ORDER BY until "
        "LIMIT ?",
        now, kForgetKeys);
    while (row.Step()) past.emplace_back(row.Int(0), row.Text(1));
    RETURN_IF_ERROR(row.status());
  }
  for (const auto& [of, key] : past) {
    RETURN_IF_ERROR(db_.Run(
        "DELETE FROM unique_key WHERE tenant = ? AND key = ?", of, key));
  }
  return absl::OkStatus();
}

absl::Status QueueWriter::ReleaseKey(int64_t task) {
  ASSIGN_OR_RETURN(bool any, HasUniqueKeys());
  if (!any) return absl::OkStatus();
  return db_.Run("DELETE FROM unique_key WHERE task = ? AND until IS NULL",
                 task);
}

absl::StatusOr<std::string> QueueWriter::HeldBy(const std::string& key,
                                                RowKey holder) {
  ExternalId id{.unix_millis = holder.unix_millis, .row = holder.row};
  {
    SqliteStatement row =
        db_.Query("SELECT value FROM meta WHERE key = 'cluster'");
    if (row.Step()) id.cluster = static_cast<uint16_t>(row.Int(0));
    RETURN_IF_ERROR(row.status());
  }
  return absl::StrCat("unique key '", key, "' is held by task ",
                      FormatExternalId(id));
}

absl::Status QueueWriter::EndSkipped(const Place& place, int64_t task,
                                     const std::string& why) {
  RETURN_IF_ERROR(db_.Run("UPDATE task SET why = ? WHERE id = ?", why, task));
  RETURN_IF_ERROR(CloseNeeds(task));
  JournalEntry entry{.kind = JournalKind::kSkipped,
                     .batch = place.batch,
                     .task = task,
                     .state = v1::TASK_STATE_SKIPPED,
                     .why = why};
  return Journal(entry).status();
}

}  // namespace midwatch
