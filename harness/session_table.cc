#include "harness/session_table.h"

#include "base/status_macros.h"
#include "harness/api_error.h"

namespace midwatch::harness {
namespace {

#define SESSION_COLUMNS                                                    \
  "number, id, thread_id, agent, environment_id, title, metadata, status," \
  " stop_reason, budget_usd_cents, cost_usd_micros, active_micros,"        \
  " running_since, created_at, updated_at, archived_at, input_tokens,"     \
  " output_tokens, cache_read_tokens, cache_write_5m_tokens,"              \
  " cache_write_1h_tokens"
#define SESSION_LIST                                                   \
  "SELECT " SESSION_COLUMNS                                            \
  " FROM session WHERE deleted_at IS NULL"                             \
  " AND created_at > ?1 AND created_at < ?2"                           \
  " AND (?3 = '' OR agent_id = ?3) AND (?4 = 0 OR agent_version = ?4)" \
  " AND (?5 = '[]' OR status IN (SELECT value FROM json_each(?5)))"    \
  " AND (?6 OR archived_at IS NULL) ORDER BY created_at "

std::optional<int64_t> IntOrNothing(const SqliteStatement& row, int column) {
  if (row.IsNull(column)) return std::nullopt;
  return row.Int(column);
}

SqliteNullable<int64_t> Nullable(const std::optional<int64_t>& value) {
  return {value.has_value(), value.value_or(0)};
}

SqliteNullable<std::string> Nullable(const std::optional<std::string>& value) {
  return {value.has_value(), value.value_or("")};
}

Session ReadSession(const SqliteStatement& row) {
  Session session;
  session.number = row.Int(0);
  session.id = row.Text(1);
  session.thread_id = row.Text(2);
  session.agent = ParseJson(row.Text(3));
  session.environment_id = row.Text(4);
  if (!row.IsNull(5)) session.title = row.Text(5);
  session.metadata = ParseJson(row.Text(6));
  session.status = row.Text(7);
  session.stop_reason = row.Text(8);
  session.budget_usd_cents = IntOrNothing(row, 9);
  session.cost_usd_micros = row.Int(10);
  session.active_micros = row.Int(11);
  session.running_since = IntOrNothing(row, 12);
  session.created_at = row.Int(13);
  session.updated_at = row.Int(14);
  session.archived_at = IntOrNothing(row, 15);
  session.usage.input = row.Int(16);
  session.usage.output = row.Int(17);
  session.usage.cache_read = row.Int(18);
  session.usage.cache_write_5m = row.Int(19);
  session.usage.cache_write_1h = row.Int(20);
  return session;
}

absl::StatusOr<std::vector<std::string>> ReadIds(SqliteStatement row) {
  std::vector<std::string> ids;
  while (row.Step()) ids.push_back(row.Text(0));
  RETURN_IF_ERROR(row.status());
  return ids;
}

}  // namespace

absl::StatusOr<Session> SessionTable::Get(const std::string& id) {
  SqliteStatement row =
      db_.sql().Query("SELECT " SESSION_COLUMNS
                      " FROM session WHERE id = ? AND deleted_at IS NULL",
                      id);
  if (row.Step()) return ReadSession(row);
  RETURN_IF_ERROR(row.status());
  return NoSuch("session", id);
}

absl::Status SessionTable::Insert(Session& session) {
  const Json* version = Member(session.agent, "version");
  RETURN_IF_ERROR(db_.sql().Run(
      "INSERT INTO session(id, thread_id, agent_id, agent_version, agent,"
      " environment_id, title, metadata, status, budget_usd_cents, created_at,"
      " updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      session.id, session.thread_id, StringMember(session.agent, "id"),
      version->get<int64_t>(), Dump(session.agent), session.environment_id,
      Nullable(session.title), Dump(session.metadata), session.status,
      Nullable(session.budget_usd_cents), session.created_at,
      session.updated_at));
  session.number = db_.sql().last_insert_id();
  return absl::OkStatus();
}

absl::Status SessionTable::Update(const Session& session) {
  return db_.sql().Run(
      "UPDATE session SET title = ?, metadata = ?, budget_usd_cents = ?"
      " WHERE id = ?",
      Nullable(session.title), Dump(session.metadata),
      Nullable(session.budget_usd_cents), session.id);
}

absl::Status SessionTable::Archive(const std::string& id, int64_t at) {
  return db_.sql().Run("UPDATE session SET archived_at = ? WHERE id = ?", at,
                       id);
}

absl::Status SessionTable::Delete(const std::string& id, int64_t at) {
  RETURN_IF_ERROR(
      db_.sql().Run("UPDATE session SET deleted_at = ? WHERE id = ?", at, id));
  RETURN_IF_ERROR(db_.sql().Run("DELETE FROM event WHERE session_id = ?", id));
  return db_.sql().Run("DELETE FROM resource WHERE session_id = ?", id);
}

absl::StatusOr<std::vector<Session>> SessionTable::List(
    const SessionFilter& filter, const PageQuery& page) {
  SqliteStatement row =
      db_.sql().Query(page.descending() ? SESSION_LIST "DESC LIMIT ?7"
                                        : SESSION_LIST "ASC LIMIT ?7",
                      page.after, page.before, filter.agent_id,
                      filter.agent_version, Dump(Json(filter.statuses)),
                      filter.include_archived ? 1 : 0, page.limit + 1);
  std::vector<Session> sessions;
  while (row.Step()) sessions.push_back(ReadSession(row));
  RETURN_IF_ERROR(row.status());
  return sessions;
}

absl::StatusOr<std::vector<std::string>> SessionTable::IdsToWake() {
  return ReadIds(db_.sql().Query(
      "SELECT id FROM session WHERE status IN ('running', 'rescheduling')"
      " UNION ALL SELECT id FROM session s WHERE status = 'idle'"
      " AND archived_at IS NULL AND deleted_at IS NULL AND EXISTS"
      " (SELECT 1 FROM event e WHERE e.session_id = s.id"
      " AND e.processed_at IS NULL) ORDER BY id"));
}

absl::StatusOr<int64_t> SessionTable::TotalCostUsdMicros() {
  SqliteStatement row =
      db_.sql().Query("SELECT coalesce(sum(cost_usd_micros), 0) FROM session");
  if (row.Step()) return row.Int(0);
  return row.status();
}

absl::StatusOr<std::vector<std::string>> SessionTable::OpenIds() {
  return ReadIds(
      db_.sql().Query("SELECT id FROM session WHERE archived_at IS NULL"
                      " AND deleted_at IS NULL"));
}

absl::StatusOr<bool> SessionTable::AnyInEnvironment(
    const std::string& environment_id) {
  SqliteStatement row = db_.sql().Query(
      "SELECT 1 FROM session WHERE environment_id = ? AND deleted_at IS NULL"
      " LIMIT 1",
      environment_id);
  bool any = row.Step();
  RETURN_IF_ERROR(row.status());
  return any;
}

absl::Status SessionTable::InsertResource(const std::string& session_id,
                                          const Resource& resource) {
  return db_.sql().Run(
      "INSERT INTO resource(session_id, id, file_id, mount_path, created_at)"
      " VALUES (?, ?, ?, ?, ?)",
      session_id, resource.id, resource.file_id, resource.mount_path,
      resource.created_at);
}

absl::StatusOr<std::vector<SessionTable::Resource>> SessionTable::Resources(
    const std::string& session_id) {
  SqliteStatement row = db_.sql().Query(
      "SELECT id, file_id, mount_path, created_at FROM resource"
      " WHERE session_id = ? ORDER BY id",
      session_id);
  std::vector<Resource> resources;
  while (row.Step()) {
    Resource resource;
    resource.id = row.Text(0);
    resource.file_id = row.Text(1);
    resource.mount_path = row.Text(2);
    resource.created_at = row.Int(3);
    resources.push_back(std::move(resource));
  }
  RETURN_IF_ERROR(row.status());
  return resources;
}

}  // namespace midwatch::harness
