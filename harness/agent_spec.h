// Agents and environments as clients define them, checked and brought into
// their resolved form: pure.
#ifndef MIDWATCH_HARNESS_AGENT_SPEC_H_
#define MIDWATCH_HARNESS_AGENT_SPEC_H_

#include <set>
#include <string>

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

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_AGENT_SPEC_H_
