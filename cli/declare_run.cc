#include "cli/declare.h"
#include "cli/declare_options.h"

namespace midwatch::cli {
namespace {

void AddHookCommands(CLI::App& run, HookCommands& commands) {
  run.add_option("--on-finish", commands.on_finish,
                 "Run once the batch is done, with the JSON of docs/hooks.md "
                 "on standard input; what becomes of it changes nothing")
      ->type_name("COMMAND");
  run.add_option("--on-failure", commands.on_failure,
                 "Likewise, when the first of its tasks has failed for good")
      ->type_name("COMMAND");
  run.add_option("--on-risk", commands.on_risk,
                 "Likewise, when it is likely to need more than its budget or "
                 "to end after its deadline")
      ->type_name("COMMAND");
}

}  // namespace

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
  AddHooks(*run, in.run.hooks);
  AddHookCommands(*run, in.run.hook_commands);
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

void AddPlan(CLI::App& app, Invocation& in) {
  CLI::App* plan = app.add_subcommand(
      "plan",
      "Play a batch file on a clock that nobody waits for: when it ends, what "
      "it costs, which limit binds when; nothing is submitted");
  plan->add_option("FILE", in.plan.file,
                   "The batch, in YAML, JSON or, a task a line, JSONL")
      ->required()
      ->type_name("");
  plan->add_option("--param", in.params,
                   "Replaces a default of the file's params (may be repeated)")
      ->type_name("NAME=VALUE")
      ->check(IsPair)
      ->allow_extra_args(false);
  AddTime(*plan, "--start", in.plan.start, "When it is submitted; else now");
  plan->add_option("--jobs", in.plan.jobs,
                   "Tasks at once; else what the connected workers take, or 32")
      ->check(CLI::Range(1, 100'000))
      ->type_name("N");
  plan->add_option("--limits", in.plan.limits,
                   "Requests a minute that the service accepts: documented "
                   "(300 creates, 1200 reads, 500 of files), classic (60, 600, "
                   "500), none, or a list such as create=120,read=600,burst=5; "
                   "else as the account's workers say, or documented")
      ->type_name("LIMITS");
  plan->add_option("--assume-duration", in.plan.assume_duration,
                   "Of a task whose kind has never succeeded")
      ->capture_default_str()
      ->type_name("SPAN");
  plan->add_option("--assume-cost", in.plan.assume_cost,
                   "Of such a task, in dollars; else its max_cost")
      ->type_name("AMOUNT");
  plan->add_option("--stream-age", in.plan.stream_age,
                   "After how long the service cuts a stream (see `doctor "
                   "--stream-age`); else never")
      ->type_name("SPAN");
  plan->add_option("--svg", in.plan.svg,
                   "Also draw it: spend, tasks at once, limits")
      ->type_name("FILE");
  plan->callback([&in] {
    in.plan.params = ToMap(in.params);
    in.exit_code = PlanFile(in.global, in.plan);
  });
}

}  // namespace midwatch::cli
