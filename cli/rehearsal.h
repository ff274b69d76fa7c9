#ifndef MIDWATCH_CLI_REHEARSAL_H_
#define MIDWATCH_CLI_REHEARSAL_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "cli/commands.h"
#include "node/harness_node.h"

namespace midwatch::cli {

// Limits, faults and spend cap for a harness; without options, none. Errors
// name options as they begin with `prefix`.
//   kInvalidArgument  which option is wrong, and where
absl::Status ReadRehearsal(const RehearsalOptions& options,
                           absl::string_view prefix, HarnessNodeOptions& node);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_REHEARSAL_H_
