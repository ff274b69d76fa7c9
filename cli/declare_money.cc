#include "cli/declare.h"
#include "cli/declare_options.h"

namespace midwatch::cli {
namespace {

void AddBudgetKey(CLI::App& command, BudgetOptions& budget) {
  command.add_option("--tenant", budget.tenant, "Of this tenant")
      ->type_name("NAME");
  command.add_option("--queue", budget.queue, "Of this queue")
      ->type_name("NAME");
  command.add_option("--batch", budget.batch, "Of this batch (id or name)")
      ->type_name("BATCH");
  command
      .add_option("--window", budget.window,
                  "In total, or for each day or month of its time zone")
      ->capture_default_str()
      ->check(CLI::IsMember({"total", "day", "month"}))
      ->type_name("WINDOW");
}

}  // namespace

void AddBudgets(CLI::App& app, Invocation& in) {
  CLI::App* budget = app.add_subcommand(
      "budget", "What tenants, queues, batches and tasks may cost");
  budget->require_subcommand(1);
  CLI::App* set = budget->add_subcommand(
      "set", "Set a limit, or change it while tasks run");
  set->add_option("LIMIT", in.budget.limit, "Dollars, such as $20 or 0.50")
      ->required()
      ->type_name("");
  AddBudgetKey(*set, in.budget);
  set->add_option("--task", in.budget.task,
                  "Of this task: its max_cost, for all its attempts")
      ->type_name("TASK");
  set->add_option("--time-zone", in.budget.time_zone,
                  "Of its days and months, such as Europe/Vienna; else UTC")
      ->type_name("ZONE");
  set->callback([&in] { in.exit_code = BudgetSet(in.global, in.budget); });
  CLI::App* list = budget->add_subcommand(
      "list", "Limits, and what is charged and reserved");
  list->callback([&in] { in.exit_code = BudgetList(in.global); });
  CLI::App* remove = budget->add_subcommand("delete", "Take a limit away");
  AddBudgetKey(*remove, in.budget);
  remove->callback(
      [&in] { in.exit_code = BudgetDelete(in.global, in.budget); });
}

void AddJournal(CLI::App& app, Invocation& in) {
  CLI::App* journal = app.add_subcommand(
      "journal", "Every micro-dollar that was reserved, charged or released");
  journal->add_option("--batch", in.journal.batch, "Of this batch (id or name)")
      ->type_name("BATCH");
  journal->add_option("--task", in.journal.task, "Of this task")
      ->type_name("TASK");
  journal->add_option("--tenant", in.journal.tenant, "Of this tenant's tasks")
      ->type_name("NAME");
  journal->add_option("--queue", in.journal.queue, "Of this queue's tasks")
      ->type_name("NAME");
  journal
      ->add_option("--from", in.journal.from,
                   "From this day or time on: 2026-11-23, "
                   "2026-11-23T22:00:00Z")
      ->type_name("TIME");
  journal->add_option("--until", in.journal.until, "Before this day or time")
      ->type_name("TIME");
  journal
      ->add_option("--kind", in.journal.kinds,
                   "Only this kind: granted, settled, ... (may be repeated)")
      ->type_name("KIND")
      ->allow_extra_args(false);
  journal->add_flag("--all", in.journal.all,
                    "Also changes that moved no money");
  journal->add_flag("--csv", in.journal.csv, "As CSV, with a line of names");
  journal->callback([&in] { in.exit_code = Journal(in.global, in.journal); });
}

void AddPriceList(CLI::App& app, Invocation& in) {
  CLI::App* prices = app.add_subcommand(
      "prices", "What models cost; as JSON, a file for --prices");
  AddPrices(*prices, in.prices);
  prices->callback([&in] { in.exit_code = Prices(in.global, in.prices); });
}

}  // namespace midwatch::cli
