// What the shell is told (docs and design: 0 to 4, and 130).
#ifndef MIDWATCH_CLI_EXIT_CODE_H_
#define MIDWATCH_CLI_EXIT_CODE_H_

#include "absl/status/status.h"

namespace midwatch::cli {

enum ExitCode : int {
  kExitSucceeded = 0,
  // Some task did not succeed, or the command itself failed.
  kExitFailed = 1,
  kExitBadInput = 2,
  // Paused, or waiting for a person.
  kExitWaiting = 3,
  // The scheduler or the service cannot be reached or refuses us.
  kExitUnreachable = 4,
  kExitInterrupted = 130,
};

// Prints `status` to standard error and returns what it means for the shell.
// REQUIRES: !status.ok()
ExitCode Report(const absl::Status& status);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_EXIT_CODE_H_
