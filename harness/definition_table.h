// Agents (with their versions) and environments as rows.
#ifndef MIDWATCH_HARNESS_DEFINITION_TABLE_H_
#define MIDWATCH_HARNESS_DEFINITION_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "harness/database.h"
#include "harness/json.h"
#include "harness/page.h"

namespace midwatch::harness {

struct Agent {
  std::string id;
  int64_t version = 1;
  Json body;  // what may differ between versions (agent_spec.h)
  int64_t created_at = 0;
  int64_t updated_at = 0;  // when this version was made
  std::optional<int64_t> archived_at;
};

struct Environment {
  std::string id;
  Json body;  // name, description, config, metadata
  int64_t created_at = 0;
  std::optional<int64_t> archived_at;
};

class DefinitionTable {
 public:
  explicit DefinitionTable(Database& db) : db_(db) {}

  // Version 0 is the newest. kNotFound.
  absl::StatusOr<Agent> GetAgent(const std::string& id, int64_t version = 0);
  absl::Status InsertAgent(const Agent& agent);
  // Adds agent.version, which becomes the newest.
  absl::Status InsertAgentVersion(const Agent& agent);
  absl::Status ArchiveAgent(const std::string& id, int64_t at);
  // Newest first; at most page.limit + 1.
  absl::StatusOr<std::vector<Agent>> ListAgents(const PageQuery& page,
                                                bool include_archived);
  absl::StatusOr<std::vector<Agent>> ListVersions(const std::string& id,
                                                  const PageQuery& page);

  absl::StatusOr<Environment> GetEnvironment(const std::string& id);
  absl::Status InsertEnvironment(const Environment& environment);
  absl::Status ArchiveEnvironment(const std::string& id, int64_t at);
  absl::Status DeleteEnvironment(const std::string& id);
  absl::StatusOr<std::vector<Environment>> ListEnvironments(
      const PageQuery& page, bool include_archived);

 private:
  Database& db_;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_DEFINITION_TABLE_H_
