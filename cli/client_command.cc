#include "cli/client_command.h"

#include <memory>
#include <string>

#include "base/log.h"
#include "cli/state_dir.h"

namespace midwatch::cli {

int WithScheduler(
    const GlobalOptions& global,
    absl::FunctionRef<absl::StatusOr<ExitCode>(SchedulerConnection&)> body) {
  // A scheduler of our own has nothing to tell the reader of a list.
  SetLogLevel(LogLevel::kWarning);
  std::string state_dir;
  if (global.server.empty()) {
    absl::StatusOr<std::string> opened = OpenStateDir(global.state_dir);
    if (!opened.ok()) return Report(opened.status());
    state_dir = *opened;
  }
  absl::StatusOr<std::unique_ptr<SchedulerConnection>> scheduler =
      SchedulerConnection::Open(global.server, state_dir);
  if (!scheduler.ok()) return Report(scheduler.status());
  absl::StatusOr<ExitCode> code = body(**scheduler);
  return code.ok() ? *code : Report(code.status());
}

}  // namespace midwatch::cli
