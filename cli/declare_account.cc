#include "cli/declare.h"
#include "cli/declare_options.h"

namespace midwatch::cli {
namespace {

void AddSweep(CLI::App& command, AccountSweepOptions& options) {
  command.add_option("ACCOUNT", options.account, "Name")
      ->required()
      ->type_name("");
  command
      .add_option("--since", options.since,
                  "Only sessions created at this day or time, or later")
      ->type_name("TIME");
  AddService(command, options.service);
}

}  // namespace

void AddAccounts(CLI::App& app, Invocation& in) {
  CLI::App* account = app.add_subcommand(
      "account", "Whether tasks may start on an endpoint and its key");
  account->require_subcommand(1);
  CLI::App* list = account->add_subcommand(
      "list", "All, why any is shut, and how much of their rates is used");
  list->callback([&in] { in.exit_code = AccountList(in.global); });
  CLI::App* show = account->add_subcommand("show", "One, with its rates");
  show->add_option("ACCOUNT", in.id, "Name")->required()->type_name("");
  show->callback([&in] { in.exit_code = AccountShow(in.global, in.id); });
  CLI::App* pause = account->add_subcommand(
      "pause", "Start nothing more on it; what runs goes on");
  AddPause(*pause, "ACCOUNT", "Name", in.pause);
  pause->callback([&in] { in.exit_code = AccountPause(in.global, in.pause); });
  CLI::App* resume = account->add_subcommand(
      "resume", "Open it, or try at once one that refuses");
  resume->add_option("ACCOUNT", in.id, "Name")->required()->type_name("");
  resume->callback([&in] { in.exit_code = AccountResume(in.global, in.id); });
  CLI::App* set =
      account->add_subcommand("set", "Change its cap while tasks run");
  set->add_option("ACCOUNT", in.control.name, "Name")
      ->required()
      ->type_name("");
  AddMaxRunning(*set, in.control)->required();
  set->callback([&in] { in.exit_code = AccountSet(in.global, in.control); });

  CLI::App* sweep = account->add_subcommand(
      "sweep",
      "Look through the service's sessions for what the queue no longer needs");
  AddSweep(*sweep, in.account_sweep);
  sweep->add_flag("--end", in.account_sweep.end,
                  "Stop and archive what is over; workers do so by themselves "
                  "every ten minutes");
  sweep->callback(
      [&in] { in.exit_code = AccountSweep(in.global, in.account_sweep); });
  CLI::App* reconcile = account->add_subcommand(
      "reconcile", "Compare what was charged with what the service says");
  AddSweep(*reconcile, in.account_sweep);
  reconcile->callback(
      [&in] { in.exit_code = AccountReconcile(in.global, in.account_sweep); });
}

}  // namespace midwatch::cli
