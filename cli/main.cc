#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <string>

#include "absl/synchronization/mutex.h"
#include "base/fault_points.h"
#include "cli/completion.h"
#include "cli/declare.h"
#include "cli/exit_code.h"

namespace midwatch::cli {
namespace {

void AddCompletion(CLI::App& app, Invocation& in) {
  CLI::App* completion = app.add_subcommand(
      "completion", "Print a shell's completion of this program");
  completion->add_option("SHELL", in.shell, "Its name")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->callback([&in, &app] {
    const CommandTree tree = ReadCommandTree(app);
    const std::string script = in.shell == "bash"  ? BashCompletion(tree)
                               : in.shell == "zsh" ? ZshCompletion(tree)
                                                   : FishCompletion(tree);
    std::fputs(script.c_str(), stdout);
  });
}

int Main(int argc, char** argv) {
  Invocation in;
  in.global.program = argv[0];
  CLI::App app("Midwatch: a queue for agent tasks that run long", "midwatch");
  SetUsage(app);
  app.set_version_flag("--version", "midwatch " MIDWATCH_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--server", in.global.server,
                 "A scheduler's gRPC address; else what serves the state "
                 "directory, or nothing but its files")
      ->envname("MIDWATCH_SERVER")
      ->type_name("ADDRESS");
  app.add_option("--state-dir", in.global.state_dir,
                 "Where state is kept; else $XDG_STATE_HOME/midwatch or "
                 "~/.local/state/midwatch")
      ->type_name("DIR");
  std::string output = "text";
  app.add_option("--output", output, "text or json")
      ->check(CLI::IsMember({"text", "json"}));
  app.parse_complete_callback([&] { in.global.json = output == "json"; });
  AddInit(app, in);
  AddRun(app, in);
  AddSubmit(app, in);
  AddPlan(app, in);
  AddBatches(app, in);
  AddTasks(app, in);
  AddBudgets(app, in);
  AddJournal(app, in);
  AddSchedules(app, in);
  AddPriceList(app, in);
  AddQueues(app, in);
  AddTenants(app, in);
  AddKeys(app, in);
  AddAccounts(app, in);
  AddExport(app, in);
  AddBackup(app, in);
  AddRestore(app, in);
  AddScheduler(app, in);
  AddWorker(app, in);
  AddHarness(app, in);
  AddDoctor(app, in);
  AddCompletion(app, in);
  app.footer(
      "Exit codes: 0 all succeeded, 1 some failed, 2 bad input, 3 paused or "
      "waiting,\n4 unreachable or unauthorized, 130 interrupted.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kExitSucceeded : kExitBadInput;
  }
  return in.exit_code;
}

}  // namespace
}  // namespace midwatch::cli

int main(int argc, char** argv) {
  // Debian builds abseil with the detector on; it costs four times the lock.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  midwatch::EnableFaultPointsFromEnvironment();
  // A reader that went away must not end a batch.
  std::signal(SIGPIPE, SIG_IGN);
  return midwatch::cli::Main(argc, argv);
}
