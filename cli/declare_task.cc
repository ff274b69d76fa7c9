#include <string>

#include "cli/declare.h"
#include "cli/declare_options.h"

namespace midwatch::cli {
namespace {

std::string IsLabelChange(const std::string& text) {
  const bool removes = text.size() > 1 && text.back() == '-' &&
                       text.find('=') == std::string::npos;
  return removes || IsPair(text).empty() ? "" : "expected KEY=VALUE or KEY-";
}

}  // namespace

void AddTasks(CLI::App& app, Invocation& in) {
  CLI::App* task = app.add_subcommand("task", "Look at tasks, or change one");
  task->require_subcommand(1);

  CLI::App* list = task->add_subcommand("list", "In the order of submission");
  list->add_option("--batch", in.task_list.batch, "Of this batch (id or name)")
      ->type_name("BATCH");
  list->add_option("--state", in.task_list.states,
                   "In this state (may be repeated)")
      ->type_name("STATE")
      ->allow_extra_args(false);
  list->add_option("--queue", in.task_list.queue, "Of this queue")
      ->type_name("NAME");
  list->add_option("--label", in.labels,
                   "With this label (repeated: with all of them)")
      ->type_name("KEY=VALUE")
      ->check(IsPair)
      ->allow_extra_args(false);
  AddLimit(*list, in.task_list.limit);
  list->callback([&in] {
    in.task_list.labels = ToLabels(in.labels);
    in.exit_code = TaskList(in.global, in.task_list);
  });

  CLI::App* get = task->add_subcommand("get", "One task and its attempts");
  get->add_option("TASK", in.id, "Id")->required()->type_name("");
  get->callback([&in] { in.exit_code = TaskGet(in.global, in.id); });

  CLI::App* why = task->add_subcommand(
      "why", "The one thing that it waits for, and about when it starts");
  why->add_option("TASK", in.id, "Id")->required()->type_name("");
  why->callback([&in] { in.exit_code = TaskWhy(in.global, in.id); });

  CLI::App* events =
      task->add_subcommand("events", "What happened in its session");
  events->add_option("TASK", in.id, "Id")->required()->type_name("");
  events->add_option("--attempt", in.attempt, "From 1; else the last one");
  events->callback(
      [&in] { in.exit_code = TaskEvents(in.global, in.id, in.attempt); });

  CLI::App* logs = task->add_subcommand(
      "logs", "What was said and done in its session, to be read");
  logs->add_option("TASK", in.task_logs.task, "Id")->required()->type_name("");
  logs->add_option("--attempt", in.task_logs.attempt,
                   "From 1; else the last one with events")
      ->check(CLI::Range(1, 1000))
      ->type_name("N");
  logs->add_flag("--follow,-f", in.task_logs.follow,
                 "Go on until the task is finished");
  logs->callback([&in] { in.exit_code = TaskLogs(in.global, in.task_logs); });

  CLI::App* output = task->add_subcommand(
      "output", "What the agent said last, or the files that it left");
  output->add_option("TASK", in.id, "Id")->required()->type_name("");
  output->add_option("--dir", in.out, "Write its output files here")
      ->type_name("DIR");
  output->callback(
      [&in] { in.exit_code = TaskOutput(in.global, in.id, in.out); });

  CLI::App* cancel = task->add_subcommand(
      "cancel", "Cancel tasks, or all unfinished ones with a label");
  cancel->add_option("TASK", in.task_cancel.tasks, "Ids")->type_name("");
  cancel
      ->add_option("--label", in.labels,
                   "Those with this label (repeated: with all of them)")
      ->type_name("KEY=VALUE")
      ->check(IsPair)
      ->allow_extra_args(false);
  cancel
      ->add_option("--batch", in.task_cancel.batch,
                   "With --label: only of this batch (id or name)")
      ->type_name("BATCH");
  cancel->add_option("--reason", in.task_cancel.reason, "For the record")
      ->type_name("TEXT");
  cancel->callback([&in] {
    in.task_cancel.labels = ToLabels(in.labels);
    in.exit_code = TaskCancel(in.global, in.task_cancel);
  });

  CLI::App* answer = task->add_subcommand(
      "answer", "Answer what a waiting task asks (see `task get`)");
  answer->add_option("TASK", in.answer.task, "Id")->required()->type_name("");
  answer
      ->add_option("--question", in.answer.question,
                   "Which, where it asks several")
      ->type_name("ID");
  answer->add_flag("--approve", in.answer.approve, "The tool may go on");
  answer->add_option("--deny", in.answer.deny, "It may not, and why")
      ->type_name("REASON");
  answer->add_option("--result", in.answer.result, "What a custom tool says")
      ->type_name("TEXT");
  answer->add_option("--result-file", in.answer.result_file, "The same")
      ->type_name("FILE");
  answer
      ->add_option("--raise", in.answer.raise,
                   "Its session may cost so many dollars in all")
      ->type_name("AMOUNT");
  answer->callback([&in] { in.exit_code = TaskAnswer(in.global, in.answer); });

  CLI::App* update =
      task->add_subcommand("update", "Change tasks that wait to start");
  TaskUpdateOptions& change = in.task_update;
  update->add_option("TASK", change.tasks, "Ids")->required()->type_name("");
  update->add_option("--priority", change.priority, "0 (last) to 9 (first)")
      ->type_name("N");
  update
      ->add_option("--max-cost", change.max_cost,
                   "What it may cost in all, in dollars")
      ->type_name("AMOUNT");
  AddTime(*update, "--start-after", change.start_after,
          "When it may start, or now");
  AddTime(*update, "--expires", change.expires,
          "When it fails if it has not begun, or never");
  update
      ->add_option("--deadline", change.deadline,
                   "How long after its submit it should be done (6h), or none")
      ->type_name("SPAN");
  update
      ->add_option("--label", change.labels,
                   "Sets this label (KEY=VALUE) or takes it off (KEY-); may be "
                   "repeated")
      ->type_name("LABEL")
      ->check(IsLabelChange)
      ->allow_extra_args(false);
  update->add_option("--reason", change.reason, "For the record")
      ->type_name("TEXT");
  update->callback(
      [&in] { in.exit_code = TaskUpdate(in.global, in.task_update); });

  CLI::App* retry = task->add_subcommand(
      "retry", "Submit finished tasks again, as new ones; print their ids");
  retry->add_option("TASK", in.ids, "Ids")->required()->type_name("");
  retry->callback([&in] { in.exit_code = TaskRetry(in.global, in.ids); });
}

void AddExport(CLI::App& app, Invocation& in) {
  CLI::App* command = app.add_subcommand(
      "export", "A line of JSON for each task of batches, and what they left");
  CLI::Option* batches = command->add_option(
      "BATCH", in.export_.batches, "Id, or name (the newest); several at will");
  batches->type_name("");
  command
      ->add_option("--since", in.export_.since,
                   "All batches submitted from this day or time on: "
                   "2026-11-23, 2026-11-23T22:00:00Z")
      ->type_name("TIME")
      ->excludes(batches);
  command->add_option("--out", in.export_.out, "File; else standard output")
      ->type_name("FILE");
  CLI::Option* artifacts =
      command
          ->add_option("--artifacts", in.export_.artifacts,
                       "Folder for output files, as BATCH/TASK/outputs/...; "
                       "those that are there are not fetched again")
          ->type_name("DIR");
  command
      ->add_flag("--events", in.export_.events,
                 "Transcripts too, as BATCH/TASK/attempt-N.jsonl there")
      ->needs(artifacts);
  command->callback([&in] { in.exit_code = Export(in.global, in.export_); });
}

}  // namespace midwatch::cli
