#ifndef MIDWATCH_CLI_MODEL_OPTIONS_H_
#define MIDWATCH_CLI_MODEL_OPTIONS_H_

#include "absl/status/statusor.h"
#include "cli/commands.h"
#include "harness/messages_options.h"

namespace midwatch::cli {

// Where the harness finds models other than `runbook`: the options, and what
// they leave open from ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY. A key alone
// means the hosted API, a URL alone a server that wants no key, and neither of
// them that there are none (an empty base_url).
//   kInvalidArgument  the URL is none, or a named file holds no key
absl::StatusOr<MessagesOptions> ReadModelOptions(const ModelOptions& options);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_MODEL_OPTIONS_H_
