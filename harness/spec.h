// What clients send, checked and brought into its resolved form: pure. What the
// API has and this server lacks is refused with a 400 that says so, never
// ignored; so are fields that the API does not have.
#ifndef MIDWATCH_HARNESS_SPEC_H_
#define MIDWATCH_HARNESS_SPEC_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "harness/json.h"

namespace midwatch::harness {

// The body of an agent: name, description, model, system, tools, metadata.
// `models` are the ids that this server has.
absl::StatusOr<Json> ResolveAgent(const Json& params,
                                  const std::set<std::string>& models);

// The same after an update of `current`: absent members are kept, `metadata` is
// merged.
absl::StatusOr<Json> ResolveAgentUpdate(const Json& current, const Json& params,
                                        const std::set<std::string>& models);

// The body of an environment: name, description, config, metadata.
absl::StatusOr<Json> ResolveEnvironment(const Json& params);

// At most 16 pairs of strings; keys up to 64, values up to 512 characters.
absl::StatusOr<Json> ResolveMetadata(const Json* params);
// `current` with the strings of `patch` set and its nulls removed.
absl::StatusOr<Json> MergeMetadata(Json current, const Json& patch);

// {"type":"limit","max_list_cost":{"amount":"200","currency":"USD"}} as cents.
absl::StatusOr<int64_t> ResolveBudget(const Json& params);

struct FileMount {
  std::string file_id;
  std::string path;  // relative to /mnt/session/uploads
};

struct SessionSpec {
  std::string agent_id;
  int64_t agent_version = 0;  // 0: the newest
  std::string environment_id;
  std::optional<std::string> title;
  Json metadata;
  std::optional<int64_t> budget_usd_cents;
  std::vector<FileMount> mounts;
  std::vector<Json> initial_events;
};
absl::StatusOr<SessionSpec> ResolveSession(const Json& params);

// The events of POST /v1/sessions/{id}/events, without ids.
absl::StatusOr<std::vector<Json>> ResolveEvents(const Json& params,
                                                const std::string& thread_id);

// Checks that `params` is an object with members among `known`, of which those
// in `unsupported` are null or empty.
absl::Status CheckMembers(const Json& params,
                          const std::vector<const char*>& known,
                          const std::vector<const char*>& unsupported);

// An optional string member of at most `characters_max` characters; null where
// it is absent or null.
absl::StatusOr<Json> TextOrNull(const Json& params, const char* key,
                                size_t characters_max);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_SPEC_H_
