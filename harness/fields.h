// Checks that all bodies share.
#ifndef MIDWATCH_HARNESS_FIELDS_H_
#define MIDWATCH_HARNESS_FIELDS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "harness/json.h"

namespace midwatch::harness {

// Checks that `params` is an object with members among `known`, of which those
// in `unsupported` are null, false or empty: what the API has and this server
// lacks is refused, never ignored, and so is what the API does not have.
absl::Status CheckMembers(const Json& params,
                          const std::vector<const char*>& known,
                          const std::vector<const char*>& unsupported);

// An optional string member of at most `characters_max` characters; null where
// it is absent or null.
absl::StatusOr<Json> TextOrNull(const Json& params, const char* key,
                                size_t characters_max);

// The member `name`: 1 to 256 characters.
absl::StatusOr<Json> RequiredName(const Json& params);

// At most 16 pairs of strings; keys up to 64, values up to 512 characters. Null
// stands for none.
absl::StatusOr<Json> ResolveMetadata(const Json* params);

// `current` with the strings of `patch` set and its nulls removed.
absl::StatusOr<Json> MergeMetadata(Json current, const Json& patch);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_FIELDS_H_
