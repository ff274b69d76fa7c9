#include "cli/declare.h"
#include "cli/declare_options.h"

namespace midwatch::cli {

void AddBatches(CLI::App& app, Invocation& in) {
  CLI::App* batch = app.add_subcommand(
      "batch", "Look at batches, or pause, change, end or delete them");
  batch->require_subcommand(1);
  constexpr char kId[] = "Id, or name (the newest)";

  CLI::App* list = batch->add_subcommand("list", "Newest first");
  list->add_option("--name", in.batch_list.name, "Only batches of this name")
      ->type_name("NAME");
  list->add_option(
          "--state", in.batch_list.states,
          "submitting, queued, running, waiting, paused, cancelling or "
          "done (may be repeated)")
      ->type_name("STATE")
      ->allow_extra_args(false);
  list->add_option("--queue", in.batch_list.queue, "Of this queue")
      ->type_name("NAME");
  AddLimit(*list, in.batch_list.limit);
  list->callback([&in] { in.exit_code = BatchList(in.global, in.batch_list); });

  CLI::App* get = batch->add_subcommand("get", "One batch");
  get->add_option("BATCH", in.id, kId)->required()->type_name("");
  get->callback([&in] { in.exit_code = BatchGet(in.global, in.id); });

  CLI::App* watch = batch->add_subcommand(
      "watch",
      "Follow it to its end, or until it is paused and nothing of it runs");
  watch->add_option("BATCH", in.id, kId)->required()->type_name("");
  watch->callback(
      [&in] { in.exit_code = BatchWatchCommand(in.global, in.id); });

  CLI::App* set = batch->add_subcommand("set", "Change it while its tasks run");
  set->add_option("BATCH", in.id, kId)->required()->type_name("");
  AddMaxRunning(*set, in.control)->required();
  set->callback([&in] {
    in.exit_code = BatchSet(in.global, in.id, *in.control.max_running);
  });
  CLI::App* pause = batch->add_subcommand(
      "pause", "Start nothing more of it; what runs goes on");
  AddPause(*pause, "BATCH", kId, in.pause);
  pause->callback([&in] { in.exit_code = BatchPause(in.global, in.pause); });
  CLI::App* resume = batch->add_subcommand(
      "resume",
      "Let its tasks start again, also after its canary failed or its stop "
      "rule was met");
  resume->add_option("BATCH", in.id, kId)->required()->type_name("");
  resume->callback([&in] { in.exit_code = BatchResume(in.global, in.id); });

  CLI::App* cancel =
      batch->add_subcommand("cancel", "Cancel all its unfinished tasks");
  cancel->add_option("BATCH", in.id, kId)->required()->type_name("");
  cancel->add_option("--reason", in.reason, "For the record")
      ->type_name("TEXT");
  cancel->callback(
      [&in] { in.exit_code = BatchCancel(in.global, in.id, in.reason); });

  CLI::App* remove = batch->add_subcommand(
      "delete",
      "Delete batches that are done, for good: tasks, results, transcripts");
  remove
      ->add_option("ID", in.batch_delete.ids,
                   "Ids; names are not taken, since one said again would be "
                   "the next batch's")
      ->required()
      ->type_name("");
  remove->add_flag("--yes", in.batch_delete.yes, "Without being asked");
  remove->add_option("--reason", in.batch_delete.reason, "For the journal")
      ->type_name("TEXT");
  remove->footer(
      "What they cost stays in the journal, as one sum for each, and in every "
      "budget but\ntheir own. See docs/operations.md.");
  remove->callback(
      [&in] { in.exit_code = BatchDelete(in.global, in.batch_delete); });

  CLI::App* retry = batch->add_subcommand(
      "retry",
      "Submit what did not succeed of one that is done as a new batch; print "
      "its id");
  retry->add_option("BATCH", in.id, kId)->required()->type_name("");
  retry->add_flag("--failed", in.failed,
                  "What failed, and what was skipped for that; so it is "
                  "without this flag too");
  retry->add_flag("--cancelled", in.cancelled, "What was cancelled too");
  retry->callback(
      [&in] { in.exit_code = BatchRetry(in.global, in.id, in.cancelled); });
}

}  // namespace midwatch::cli
