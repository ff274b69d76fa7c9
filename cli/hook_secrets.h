#ifndef MIDWATCH_CLI_HOOK_SECRETS_H_
#define MIDWATCH_CLI_HOOK_SECRETS_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"

namespace midwatch::cli {

// The keys that hooks are signed with, by name, from the file at `path`, YAML
// or JSON; none of a file where `path` is empty:
//
//   secrets:
//     default: whsec_...
//     nightly: whsec_...
//
// And `default` from the environment's MIDWATCH_HOOK_SECRET, where the file has
// none. Complaints show no secret. Warns of a file that everybody may read.
//   kInvalidArgument  every complaint, with its line and column
absl::StatusOr<std::map<std::string, std::string>> LoadHookSecrets(
    const std::string& path);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_HOOK_SECRETS_H_
