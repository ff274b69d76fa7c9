#ifndef MIDWATCH_CLI_CLIENT_COMMAND_H_
#define MIDWATCH_CLI_CLIENT_COMMAND_H_

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/scheduler_connection.h"

namespace midwatch::cli {

// Reaches the scheduler that `global` names, does `body` with it, and returns
// what to exit with; errors are reported.
int WithScheduler(
    const GlobalOptions& global,
    absl::FunctionRef<absl::StatusOr<ExitCode>(SchedulerConnection&)> body);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_CLIENT_COMMAND_H_
