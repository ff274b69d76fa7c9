#include "cli/declare.h"

namespace midwatch::cli {

void AddBackup(CLI::App& app, Invocation& in) {
  CLI::App* backup = app.add_subcommand(
      "backup",
      "Copy queue, events and artifacts, as of one moment, while all goes on");
  backup
      ->add_option("DIR", in.out,
                   "New folder, on the scheduler's machine; it is checked "
                   "before the command ends")
      ->required()
      ->type_name("");
  backup->callback([&in] { in.exit_code = BackUp(in.global, in.out); });
}

void AddRestore(CLI::App& app, Invocation& in) {
  CLI::App* restore = app.add_subcommand(
      "restore", "Put a backup into an empty state directory");
  restore->add_option("DIR", in.out, "The backup's folder")
      ->required()
      ->type_name("");
  restore->footer(
      "For when the original is lost: start no worker on what was restored "
      "while anything uses the original. See docs/operations.md.");
  restore->callback([&in] { in.exit_code = Restore(in.global, in.out); });
}

}  // namespace midwatch::cli
