#include "cli/declare.h"
#include "cli/declare_options.h"

namespace midwatch::cli {

void AddQueues(CLI::App& app, Invocation& in) {
  CLI::App* queue = app.add_subcommand(
      "queue", "Weights, caps and pauses of queues, while their tasks run");
  queue->require_subcommand(1);
  CLI::App* list = queue->add_subcommand("list", "All, by name");
  list->callback([&in] { in.exit_code = QueueList(in.global); });
  CLI::App* get = queue->add_subcommand("get", "One queue");
  get->add_option("QUEUE", in.id, "Name")->required()->type_name("");
  get->callback([&in] { in.exit_code = QueueGet(in.global, in.id); });
  CLI::App* set = queue->add_subcommand(
      "set", "Change its weight or its cap; nothing that runs is stopped");
  set->add_option("QUEUE", in.control.name, "Name")->required()->type_name("");
  AddControls(*set, in.control);
  set->callback([&in] { in.exit_code = QueueSet(in.global, in.control); });
  CLI::App* pause = queue->add_subcommand(
      "pause", "Start nothing more of it; what runs goes on");
  AddPause(*pause, "QUEUE", "Name", in.pause);
  pause->callback([&in] { in.exit_code = QueuePause(in.global, in.pause); });
  CLI::App* resume =
      queue->add_subcommand("resume", "Let its tasks start again");
  resume->add_option("QUEUE", in.id, "Name")->required()->type_name("");
  resume->callback([&in] { in.exit_code = QueueResume(in.global, in.id); });
}

void AddTenants(CLI::App& app, Invocation& in) {
  CLI::App* tenant = app.add_subcommand(
      "tenant", "Weights and caps of tenants, while their tasks run");
  tenant->require_subcommand(1);
  CLI::App* tenants = tenant->add_subcommand("list", "All, by name");
  tenants->callback([&in] { in.exit_code = TenantList(in.global); });
  CLI::App* one = tenant->add_subcommand("get", "One tenant");
  one->add_option("TENANT", in.id, "Name")->required()->type_name("");
  one->callback([&in] { in.exit_code = TenantGet(in.global, in.id); });
  CLI::App* change = tenant->add_subcommand(
      "set", "Change its weight or its cap; nothing that runs is stopped");
  change->add_option("TENANT", in.control.name, "Name")
      ->required()
      ->type_name("");
  AddControls(*change, in.control);
  change->callback([&in] { in.exit_code = TenantSet(in.global, in.control); });
}

void AddKeys(CLI::App& app, Invocation& in) {
  CLI::App* key = app.add_subcommand(
      "key",
      "How many tasks of a concurrency_key run at once: one, unless it is set");
  key->require_subcommand(1);
  CLI::App* list =
      key->add_subcommand("list", "Those whose cap was set to other than 1");
  CLI::App* set = key->add_subcommand(
      "set",
      "Change its cap, to 1 for what it was at first; nothing that runs "
      "is stopped");
  for (CLI::App* each : {list, set}) {
    each->add_option("--tenant", in.key.tenant, "Whose tasks (default)");
  }
  list->callback([&in] { in.exit_code = KeyList(in.global, in.key); });
  set->add_option("KEY", in.key.key,
                  "As its tasks have it once their parameters are filled in")
      ->required()
      ->type_name("");
  set->add_option("--max-running", in.key.max_running,
                  "So many run at once, 1 to 100,000")
      ->required()
      ->type_name("N");
  set->callback([&in] { in.exit_code = KeySet(in.global, in.key); });
}

}  // namespace midwatch::cli
