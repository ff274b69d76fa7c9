// Agents and environments as clients define them, checked and brought into
// their resolved form: pure.
#ifndef MIDWATCH_HARNESS_AGENT_SPEC_H_
#define MIDWATCH_HARNESS_AGENT_SPEC_H_

#include <string>

#include "absl/status/statusor.h"
#include "harness/json.h"

namespace midwatch::harness {

inline constexpr char kRunbook[] = "runbook";

// What an agent may name as its model: `runbook`, and any other id where a
// server of the Messages API is behind this one. That one alone knows which
// models it has: it tells at the first request.
struct KnownModels {
  bool messages_api = false;

  bool Has(const std::string& id) const {
    return id == kRunbook || (messages_api && !id.empty());
  }
  // Why there is no such model, and what to do.
  std::string Refusal(const std::string& id) const;
};

// The body of an agent: name, description, model, system, tools, metadata.
absl::StatusOr<Json> ResolveAgent(const Json& params,
                                  const KnownModels& models);

// The same after an update of `current`: absent members are kept, `metadata` is
// merged.
absl::StatusOr<Json> ResolveAgentUpdate(const Json& current, const Json& params,
                                        const KnownModels& models);

// The body of an environment: name, description, config, metadata.
absl::StatusOr<Json> ResolveEnvironment(const Json& params);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_AGENT_SPEC_H_
