#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "base/fault_points.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/exit_code.h"

namespace midwatch::cli {
namespace {

// The chosen subcommand leaves here what it exits with.
struct Invocation {
  GlobalOptions global;
  InitOptions init;
  RunOptions run;
  SubmitOptions submit;
  SchedulerOptions scheduler;
  WorkerOptions worker;
  HarnessOptions harness;
  DoctorOptions doctor;
  std::vector<std::string> params;  // "name=value"
  std::vector<std::string> ids;
  BatchListOptions batch_list;
  TaskListOptions task_list;
  TaskLogsOptions task_logs;
  TaskCancelOptions task_cancel;
  BudgetOptions budget;
  JournalOptions journal;
  PauseOptions pause;
  ControlOptions control;
  ScheduleOptions schedule;
  AccountSweepOptions account_sweep;
  TaskAnswerOptions answer;
  std::vector<std::string> labels;  // "key=value"
  std::string id, reason, out, shell, prices;
  int attempt = 0;
  int exit_code = 0;
};

std::map<std::string, std::string> ToMap(
    const std::vector<std::string>& params) {
  std::map<std::string, std::string> map;
  for (const std::string& param : params) {
    const size_t equals = param.find('=');
    map[param.substr(0, equals)] = param.substr(equals + 1);
  }
  return map;
}

// Of labels, which a task has one value each of.
std::map<std::string, std::string> ToLabels(
    const std::vector<std::string>& labels) {
  std::map<std::string, std::string> map = ToMap(labels);
  for (const std::string& label : labels) {
    const std::string key = label.substr(0, label.find('='));
    if (label == absl::StrCat(key, "=", map[key])) continue;
    throw CLI::ValidationError("--label",
                               absl::StrCat("'", key,
                                            "' has two values, and no task has "
                                            "both; expected one"));
  }
  return map;
}

std::string IsPair(const std::string& text) {
  return text.find('=') == std::string::npos || text[0] == '='
             ? "expected NAME=VALUE"
             : "";
}

void AddLimit(CLI::App& command, int& limit) {
  command.add_option("--limit", limit, "How many")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000))
      ->type_name("N");
}

void AddBatchFile(CLI::App& command, std::string& file, bool& always_new,
                  bool& dry_run, Invocation& in) {
  command
      .add_option("FILE", file,
                  "The batch, in YAML, JSON or, a task a line, JSONL")
      ->required()
      ->type_name("");
  command
      .add_option("--param", in.params,
                  "Replaces a default of the file's params (may be repeated)")
      ->type_name("NAME=VALUE")
      ->check(IsPair)
      ->allow_extra_args(false);
  command.add_flag("--new", always_new,
                   "Start a new batch even where an unfinished one of the "
                   "same name and content could be continued");
  command.add_flag("--dry-run", dry_run,
                   "Read and check the file and its inputs, and tell what it "
                   "is and may cost; do nothing");
}

void AddService(CLI::App& command, ServiceOptions& service) {
  CLI::Option* base_url = command
                              .add_option("--base-url", service.base_url,
                                          "A Managed Agents service, such as "
                                          "https://api.anthropic.com")
                              ->type_name("URL");
  command
      .add_option("--proxy", service.proxy,
                  "HTTP proxy to reach it by; else HTTPS_PROXY and NO_PROXY "
                  "(the better place for a password)")
      ->needs(base_url)
      ->type_name("URL");
  command
      .add_option("--ca-file", service.ca_file,
                  "Certificates to trust, PEM, instead of the system's")
      ->needs(base_url)
      ->type_name("FILE");
  command
      .add_option("--api-key-file", service.api_key_file,
                  "File with its key; else ANTHROPIC_API_KEY")
      ->type_name("FILE");
}

void AddLimits(CLI::App& command, ServiceOptions& service) {
  command
      .add_option("--limits", service.limits,
                  "Requests a minute that the service accepts: documented "
                  "(300 creates, 1200 reads), classic (60, 600), none, or a "
                  "list such as create=120,read=600,burst=5; default: "
                  "documented, and none for a service on this machine")
      ->type_name("LIMITS");
  command
      .add_option("--limit-group", service.limit_group,
                  "Accounts that share these limits name the same group")
      ->type_name("NAME");
}

void AddModel(CLI::App& command, ModelOptions& model) {
  command
      .add_option("--model-url", model.url,
                  "A server of the Messages API, for all models but runbook; "
                  "else ANTHROPIC_BASE_URL, and with a key "
                  "https://api.anthropic.com")
      ->type_name("URL");
  command
      .add_option("--model-key-file", model.key_file,
                  "File with its key; else ANTHROPIC_API_KEY")
      ->type_name("FILE");
  command
      .add_option("--model-proxy", model.proxy,
                  "HTTP proxy to reach it by; else HTTPS_PROXY and NO_PROXY")
      ->type_name("URL");
  command
      .add_option("--model-ca-file", model.ca_file,
                  "Certificates to trust, PEM, instead of the system's")
      ->type_name("FILE");
  command
      .add_option("--model-max-tokens", model.max_tokens,
                  "Of one answer; else 16000")
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("N");
}

void AddPrices(CLI::App& command, std::string& prices) {
  command
      .add_option("--prices", prices,
                  "File with prices of models, to add to those of `midwatch "
                  "prices` or to stand in their place")
      ->type_name("FILE");
}

void AddTools(CLI::App& command, std::string& tools) {
  command
      .add_option("--tools", tools,
                  "File with what answers the calls of custom tools; else a "
                  "person does")
      ->type_name("FILE");
}

// `prefix` is "--" or, where the harness is but a part, "--harness-".
void AddRehearsal(CLI::App& command, const std::string& prefix,
                  RehearsalOptions& rehearsal) {
  command
      .add_option(prefix + "limits", rehearsal.limits,
                  "Requests a minute that the harness accepts: documented (300 "
                  "creates, 1200 reads), classic (60, 600), none, or a list "
                  "such as create=120,read=600,burst=5; else none")
      ->type_name("LIMITS");
  command
      .add_option(prefix + "faults", rehearsal.faults,
                  "What it breaks, to rehearse a bad night: a list of 429, "
                  "429-bare, 529, 500, lost, slow, double, overshoot "
                  "(=CHANCE), late-list, cut (=DURATION), such as "
                  "429=0.05,lost=0.02,cut=2m")
      ->type_name("LIST");
  command
      .add_option(prefix + "fault-seed", rehearsal.fault_seed,
                  "Another seed, other faults")
      ->capture_default_str()
      ->type_name("N");
  command
      .add_option(prefix + "spend-cap", rehearsal.spend_cap,
                  "Dollars, after which it starts nothing more")
      ->type_name("DOLLARS");
}

void AddMoved(CLI::App& command, bool& moved) {
  command.add_flag("--moved", moved,
                   "The state directory is a copy, and nothing uses the "
                   "original any more; needed once");
}

void AddRun(CLI::App& app, Invocation& in) {
  CLI::App* run = app.add_subcommand(
      "run", "Run a batch file to its end, all in this process");
  AddBatchFile(*run, in.run.file, in.run.always_new, in.run.dry_run, in);
  run->add_option("--results", in.run.results,
                  "Folder for results.jsonl and outputs/")
      ->type_name("DIR");
  run->add_option("--jobs", in.run.jobs, "Tasks at once")
      ->check(CLI::Range(1, 10000))
      ->type_name("N");
  AddService(*run, in.run.service);
  AddLimits(*run, in.run.service);
  AddModel(*run, in.run.model);
  AddRehearsal(*run, "--harness-", in.run.rehearsal);
  AddPrices(*run, in.run.prices);
  AddTools(*run, in.run.tools);
  AddMoved(*run, in.run.moved);
  run->add_flag("--unsafe-no-sandbox", in.run.unsafe_no_sandbox,
                "Run the agents' commands as you, without a sandbox");
  run->callback([&in] {
    in.run.params = ToMap(in.params);
    in.exit_code = RunBatch(in.global, in.run);
  });
}

void AddSubmit(CLI::App& app, Invocation& in) {
  CLI::App* submit = app.add_subcommand(
      "submit", "Give a batch file to the scheduler and print its id");
  AddBatchFile(*submit, in.submit.file, in.submit.always_new, in.submit.dry_run,
               in);
  submit->callback([&in] {
    in.submit.params = ToMap(in.params);
    in.exit_code = Submit(in.global, in.submit);
  });
}

void AddInit(CLI::App& app, Invocation& in) {
  CLI::App* init = app.add_subcommand(
      "init", "Write a batch file to begin with, which runs as it is");
  init->add_option("FILE", in.init.file,
                   "Where; - for standard output. batch.schema.json, by which "
                   "editors know its keys, goes beside it")
      ->capture_default_str()
      ->type_name("");
  init->add_flag("--force", in.init.force, "Replace files that are there");
  init->callback([&in] { in.exit_code = Init(in.global, in.init); });
}

CLI::Option* AddMaxRunning(CLI::App& command, ControlOptions& control) {
  return command
      .add_option("--max-running", control.max_running,
                  "At most so many tasks at once; 0: as many as there are")
      ->type_name("N");
}

// `what` is of the kind that `kind` names: "QUEUE".
void AddPause(CLI::App& command, const char* kind, const char* says,
              PauseOptions& pause) {
  command.add_option(kind, pause.what, says)->required()->type_name("");
  command.add_option("--reason", pause.reason, "For who asks")
      ->type_name("TEXT");
  command
      .add_option("--until", pause.until,
                  "Resumes by itself at this time, or after so long (12h); "
                  "else when it is resumed")
      ->type_name("TIME");
}

void AddBatch(CLI::App& app, Invocation& in) {
  CLI::App* batch = app.add_subcommand(
      "batch", "Look at batches, or pause, change or end one");
  batch->require_subcommand(1);
  constexpr char kId[] = "Id, or name (the newest)";

  CLI::App* list = batch->add_subcommand("list", "Newest first");
  list->add_option("--name", in.batch_list.name, "Only batches of this name")
      ->type_name("NAME");
  list->add_option("--state", in.batch_list.states,
                   "In this state (may be repeated)")
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
  CLI::App* resume =
      batch->add_subcommand("resume", "Let its tasks start again");
  resume->add_option("BATCH", in.id, kId)->required()->type_name("");
  resume->callback([&in] { in.exit_code = BatchResume(in.global, in.id); });

  CLI::App* cancel =
      batch->add_subcommand("cancel", "Cancel all its unfinished tasks");
  cancel->add_option("BATCH", in.id, kId)->required()->type_name("");
  cancel->add_option("--reason", in.reason, "For the record")
      ->type_name("TEXT");
  cancel->callback(
      [&in] { in.exit_code = BatchCancel(in.global, in.id, in.reason); });
}

void AddTask(CLI::App& app, Invocation& in) {
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

  CLI::App* retry = task->add_subcommand(
      "retry", "Submit finished tasks again, as new ones; print their ids");
  retry->add_option("TASK", in.ids, "Ids")->required()->type_name("");
  retry->callback([&in] { in.exit_code = TaskRetry(in.global, in.ids); });
}

void AddExport(CLI::App& app, Invocation& in) {
  CLI::App* command =
      app.add_subcommand("export", "A line of JSON for each task of a batch");
  command->add_option("BATCH", in.id, "Id, or name (the newest)")
      ->required()
      ->type_name("");
  command->add_option("--out", in.out, "File; else standard output")
      ->type_name("FILE");
  command->callback([&in] { in.exit_code = Export(in.global, in.id, in.out); });
}

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

void AddMoney(CLI::App& app, Invocation& in) {
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

constexpr char kScheduleFooter[] =
    R"(--cron takes five fields: minute (0-59), hour (0-23), day of month (1-31),
month (1-12 or JAN-DEC), day of week (0-7 or SUN-SAT; 0 and 7 are Sunday). Each
is * or a list of numbers and ranges, with steps: */15, 1-5, MON,WED, 8-18/2.
Where both days are restricted, one of them is enough. Or @hourly, @daily,
@weekly, @monthly, @yearly.

Where clocks change: a local time that is left out fires at the first moment
after the gap, once however many are; one that comes twice fires the first time.
Where the hour begins with *, elapsed time counts instead: each moment fires
whose local time matches, in an hour that comes twice both times.

A firing's batch is named after the schedule and its local time:
nightly-2026-11-28T02:00. The file and its inputs are read once, now.)";

void AddScheduleName(CLI::App& command, Invocation& in) {
  command.add_option("NAME", in.id, "Name")->required()->type_name("");
}

void AddScheduleCreate(CLI::App& schedule, Invocation& in) {
  CLI::App* create = schedule.add_subcommand(
      "create", "Submit a batch file at set times from now on");
  create->footer(kScheduleFooter);
  create->add_option("FILE", in.schedule.file, "The batch, in YAML or JSON")
      ->required()
      ->type_name("");
  create
      ->add_option("--cron", in.schedule.cron,
                   "When, such as '0 2 * * *' (02:00 each night)")
      ->required()
      ->type_name("FIELDS");
  create
      ->add_option("--zone", in.schedule.time_zone,
                   "Whose clocks, such as Europe/Berlin; else UTC")
      ->type_name("ZONE");
  create->add_option("--name", in.schedule.name, "Its name; else the batch's")
      ->type_name("NAME");
  create
      ->add_option("--missed", in.schedule.missed,
                   "Times at which no scheduler ran: passed over; the last one "
                   "fires late for all; each fires late, ten at most")
      ->capture_default_str()
      ->check(CLI::IsMember({"skip", "once", "all"}))
      ->type_name("POLICY");
  create
      ->add_option("--overlap", in.schedule.overlap,
                   "While an earlier batch of it is not done, the next one is "
                   "passed over; waits for it; ends it")
      ->capture_default_str()
      ->check(CLI::IsMember({"skip", "queue", "cancel-old"}))
      ->type_name("POLICY");
  create
      ->add_option("--jitter", in.schedule.jitter,
                   "Delay each firing by a part of this, such as 5m, 1h at "
                   "most; the same part for the same time")
      ->type_name("DURATION");
  create
      ->add_option("--param", in.params,
                   "Replaces a default of the file's params (may be repeated)")
      ->type_name("NAME=VALUE")
      ->check(IsPair)
      ->allow_extra_args(false);
  create->add_flag("--replace", in.schedule.replace,
                   "Change the schedule of that name, where there is one");
  create->callback([&in] {
    in.schedule.params = ToMap(in.params);
    in.exit_code = ScheduleCreate(in.global, in.schedule);
  });
}

void AddSchedules(CLI::App& app, Invocation& in) {
  CLI::App* schedule = app.add_subcommand(
      "schedule", "Submit batches at set times, such as every night");
  schedule->require_subcommand(1);
  AddScheduleCreate(*schedule, in);
  CLI::App* list = schedule->add_subcommand(
      "list", "All, when each fires next, and what became of the last time");
  list->callback([&in] { in.exit_code = ScheduleList(in.global); });
  CLI::App* get = schedule->add_subcommand(
      "get", "One: its next five times, and what became of its last ones");
  AddScheduleName(*get, in);
  get->callback([&in] { in.exit_code = ScheduleGet(in.global, in.id); });
  CLI::App* pause = schedule->add_subcommand(
      "pause", "Fire no more; batches that are there go on");
  AddScheduleName(*pause, in);
  pause->add_option("--reason", in.reason, "For who asks")->type_name("TEXT");
  pause->callback(
      [&in] { in.exit_code = SchedulePause(in.global, in.id, in.reason); });
  CLI::App* resume = schedule->add_subcommand(
      "resume", "Fire again from now on; times that passed stay passed");
  AddScheduleName(*resume, in);
  resume->callback([&in] { in.exit_code = ScheduleResume(in.global, in.id); });
  CLI::App* run = schedule->add_subcommand(
      "run", "Fire once, now, paused or not, and print the batch's id");
  AddScheduleName(*run, in);
  run->callback([&in] { in.exit_code = ScheduleRun(in.global, in.id); });
  CLI::App* remove =
      schedule->add_subcommand("delete", "Forget it; its batches stay");
  AddScheduleName(*remove, in);
  remove->callback([&in] { in.exit_code = ScheduleDelete(in.global, in.id); });
}

void AddPricesCommand(CLI::App& app, Invocation& in) {
  CLI::App* prices = app.add_subcommand(
      "prices", "What models cost; as JSON, a file for --prices");
  AddPrices(*prices, in.prices);
  prices->callback([&in] { in.exit_code = Prices(in.global, in.prices); });
}

void AddControls(CLI::App& command, ControlOptions& control) {
  AddMaxRunning(command, control);
  command
      .add_option("--weight", control.weight,
                  "Its part beside others that have something to start: one "
                  "of weight 2 spends twice as much as one of 1")
      ->type_name("N");
}

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

void AddNodes(CLI::App& app, Invocation& in) {
  CLI::App* scheduler =
      app.add_subcommand("scheduler", "Serve a queue on the state directory");
  scheduler
      ->add_option("--listen", in.scheduler.listen,
                   "gRPC address, 127.0.0.1:7410 by default; port 0: any "
                   "(may be repeated)")
      ->type_name("ADDRESS");
  scheduler
      ->add_option("--artifacts-dir", in.scheduler.artifacts_dir,
                   "Where inputs and outputs are kept")
      ->type_name("DIR");
  AddMoved(*scheduler, in.scheduler.moved);
  scheduler->callback(
      [&in] { in.exit_code = ServeScheduler(in.global, in.scheduler); });

  CLI::App* worker = app.add_subcommand(
      "worker", "Run the queue's tasks on a Managed Agents service");
  AddService(*worker, in.worker.service);
  AddLimits(*worker, in.worker.service);
  worker
      ->add_option("--account", in.worker.account,
                   "What tasks call that service: default")
      ->type_name("NAME");
  worker->add_option("--jobs", in.worker.capacity, "Tasks at once")
      ->check(CLI::Range(1, 100000))
      ->type_name("N");
  worker
      ->add_option("--artifacts-dir", in.worker.artifacts_dir,
                   "The scheduler's own, where it is shared")
      ->type_name("DIR");
  worker
      ->add_option("--cache-dir", in.worker.cache_dir,
                   "For artifacts, where it is not")
      ->type_name("DIR");
  AddPrices(*worker, in.worker.prices);
  AddTools(*worker, in.worker.tools);
  worker->callback([&in] { in.exit_code = ServeWorker(in.global, in.worker); });

  CLI::App* harness = app.add_subcommand(
      "harness", "Serve the Managed Agents API from this machine");
  in.harness.address = "127.0.0.1";
  in.harness.port = 8420;
  harness->add_option("--address", in.harness.address, "To listen on")
      ->capture_default_str()
      ->type_name("ADDRESS");
  harness->add_option("--port", in.harness.port, "0: any free one")
      ->capture_default_str()
      ->check(CLI::Range(0, 65535))
      ->type_name("N");
  harness
      ->add_option("--data-dir", in.harness.data_dir,
                   "Its sessions; else harness/ in the state directory")
      ->type_name("DIR");
  harness
      ->add_option("--api-key-file", in.harness.api_key_file,
                   "File with its key, made where it is missing, and read "
                   "with every request; else api-key in the data directory")
      ->type_name("FILE");
  AddModel(*harness, in.harness.model);
  AddRehearsal(*harness, "--", in.harness.rehearsal);
  AddPrices(*harness, in.harness.prices);
  harness->add_flag("--unsafe-no-sandbox", in.harness.unsafe_no_sandbox,
                    "Run the agents' commands as you, without a sandbox");
  harness->callback(
      [&in] { in.exit_code = ServeHarness(in.global, in.harness); });
}

void AddDoctor(CLI::App& app, Invocation& in) {
  CLI::App* doctor = app.add_subcommand(
      "doctor", "What this machine and its services are fit for");
  AddService(*doctor, in.doctor.service);
  doctor
      ->add_option("--jobs", in.doctor.streams,
                   "Tasks at once that it should stand")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000))
      ->type_name("N");
  in.doctor.model = "claude-haiku-5-5";
  CLI::Option* probe = doctor->add_flag(
      "--probe", in.doctor.probe,
      "Try at the service of --base-url what its documents leave open: costs "
      "cents");
  doctor
      ->add_option("--model", in.doctor.model,
                   "The probe's; runbook for `midwatch harness`")
      ->capture_default_str()
      ->type_name("MODEL");
  doctor
      ->add_flag("--limits", in.doctor.limits,
                 "The probe also settles whether events share the limit of "
                 "creates, by using it up: the account has no requests left "
                 "for a minute, so not while a batch runs")
      ->needs(probe);
  doctor
      ->add_option("--stream-age", in.doctor.stream_age,
                   "The probe also holds an idle session's event stream open "
                   "for so long, 24h at most, to see how long one may live; "
                   "Ctrl-C ends that sooner")
      ->needs(probe)
      ->type_name("DURATION");
  doctor->add_flag("--yes", in.doctor.yes, "Spend them without asking");
  doctor->callback([&in] { in.exit_code = Doctor(in.global, in.doctor); });
}

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
  AddBatch(app, in);
  AddTask(app, in);
  AddMoney(app, in);
  AddSchedules(app, in);
  AddPricesCommand(app, in);
  AddQueues(app, in);
  AddAccounts(app, in);
  AddExport(app, in);
  AddNodes(app, in);
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
