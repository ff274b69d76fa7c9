// Sessions and events as clients send them, checked: pure.
#ifndef MIDWATCH_HARNESS_SESSION_SPEC_H_
#define MIDWATCH_HARNESS_SESSION_SPEC_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "harness/json.h"

namespace midwatch::harness {

// {"type":"limit","max_list_cost":{"amount":"200","currency":"USD"}} as cents.
absl::StatusOr<int64_t> ResolveBudget(const Json& params);

struct FileMount {
  std::string file_id;
  std::string path;  // relative to /mnt/session/uploads
};

struct SessionSpec {
  std::string agent_id;
  int64_t agent_version = 0;  // 0: the newest
  // What the session has otherwise than its agent, as in an update of one.
  Json agent_overrides = Json::object();
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

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_SESSION_SPEC_H_
