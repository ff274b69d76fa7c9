#include "harness/definition_table.h"

#include "base/status_macros.h"
#include "harness/api_error.h"

namespace midwatch::harness {
namespace {

#define AGENT_SELECT                                            \
  "SELECT a.id, v.version, v.body, a.created_at, v.updated_at," \
  " a.archived_at FROM agent a JOIN agent_version v ON v.agent_id = a.id "
#define ENVIRONMENT_SELECT \
  "SELECT id, body, created_at, archived_at FROM environment "

std::optional<int64_t> IntOrNothing(const SqliteStatement& row, int column) {
  if (row.IsNull(column)) return std::nullopt;
  return row.Int(column);
}

Agent ReadAgent(const SqliteStatement& row) {
  Agent agent;
  agent.id = row.Text(0);
  agent.version = row.Int(1);
  agent.body = ParseJson(row.Text(2));
  agent.created_at = row.Int(3);
  agent.updated_at = row.Int(4);
  agent.archived_at = IntOrNothing(row, 5);
  return agent;
}

Environment ReadEnvironment(const SqliteStatement& row) {
  Environment environment;
  environment.id = row.Text(0);
  environment.body = ParseJson(row.Text(1));
  environment.created_at = row.Int(2);
  environment.archived_at = IntOrNothing(row, 3);
  return environment;
}

template <typename T>
absl::StatusOr<std::vector<T>> ReadAll(SqliteStatement row,
                                       T (*read)(const SqliteStatement&)) {
  std::vector<T> values;
  while (row.Step()) values.push_back(read(row));
  RETURN_IF_ERROR(row.status());
  return values;
}

}  // namespace

absl::StatusOr<Agent> DefinitionTable::GetAgent(const std::string& id,
                                                int64_t version) {
  SqliteStatement row =
      db_.sql().Query(AGENT_SELECT
                      "WHERE a.id = ?1 AND v.version ="
                      " CASE WHEN ?2 = 0 THEN a.version ELSE ?2 END",
                      id, version);
  if (row.Step()) return ReadAgent(row);
  RETURN_IF_ERROR(row.status());
  return NoSuch("agent", id);
}

absl::Status DefinitionTable::InsertAgent(const Agent& agent) {
  RETURN_IF_ERROR(db_.sql().Run(
      "INSERT INTO agent(id, version, created_at) VALUES (?, 0, ?)", agent.id,
      agent.created_at));
  return InsertAgentVersion(agent);
}

absl::Status DefinitionTable::InsertAgentVersion(const Agent& agent) {
  RETURN_IF_ERROR(db_.sql().Run(
      "INSERT INTO agent_version(agent_id, version, updated_at, body)"
      " VALUES (?, ?, ?, ?)",
      agent.id, agent.version, agent.updated_at, Dump(agent.body)));
  return db_.sql().Run("UPDATE agent SET version = ? WHERE id = ?",
                       agent.version, agent.id);
}

absl::Status DefinitionTable::ArchiveAgent(const std::string& id, int64_t at) {
  return db_.sql().Run("UPDATE agent SET archived_at = ? WHERE id = ?", at, id);
}

absl::StatusOr<std::vector<Agent>> DefinitionTable::ListAgents(
    const PageQuery& page, bool include_archived) {
  return ReadAll(
      db_.sql().Query(
          AGENT_SELECT
          "AND v.version = a.version WHERE a.created_at > ? AND a.created_at"
          " < ? AND (? OR a.archived_at IS NULL) ORDER BY a.created_at DESC"
          " LIMIT ?",
          page.after, page.before, include_archived ? 1 : 0, page.limit + 1),
      ReadAgent);
}

absl::StatusOr<std::vector<Agent>> DefinitionTable::ListVersions(
    const std::string& id, const PageQuery& page) {
  return ReadAll(
      db_.sql().Query(AGENT_SELECT
                      "WHERE a.id = ? AND v.updated_at > ? AND v.updated_at < ?"
                      " ORDER BY v.version DESC LIMIT ?",
                      id, page.after, page.before, page.limit + 1),
      ReadAgent);
}

absl::StatusOr<Environment> DefinitionTable::GetEnvironment(
    const std::string& id) {
  SqliteStatement row = db_.sql().Query(ENVIRONMENT_SELECT "WHERE id = ?", id);
  if (row.Step()) return ReadEnvironment(row);
  RETURN_IF_ERROR(row.status());
  return NoSuch("environment", id);
}

absl::Status DefinitionTable::InsertEnvironment(
    const Environment& environment) {
  return db_.sql().Run(
      "INSERT INTO environment(id, created_at, body) VALUES (?, ?, ?)",
      environment.id, environment.created_at, Dump(environment.body));
}

absl::Status DefinitionTable::ArchiveEnvironment(const std::string& id,
                                                 int64_t at) {
  return db_.sql().Run("UPDATE environment SET archived_at = ? WHERE id = ?",
                       at, id);
}

absl::Status DefinitionTable::DeleteEnvironment(const std::string& id) {
  return db_.sql().Run("DELETE FROM environment WHERE id = ?", id);
}

absl::StatusOr<std::vector<Environment>> DefinitionTable::ListEnvironments(
    const PageQuery& page, bool include_archived) {
  return ReadAll(
      db_.sql().Query(
          ENVIRONMENT_SELECT
          "WHERE created_at > ? AND created_at < ?"
          " AND (? OR archived_at IS NULL) ORDER BY created_at DESC LIMIT ?",
          page.after, page.before, include_archived ? 1 : 0, page.limit + 1),
      ReadEnvironment);
}

}  // namespace midwatch::harness
