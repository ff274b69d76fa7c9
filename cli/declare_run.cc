#include "cli/declare.h"
#include "cli/declare_options.h"

namespace midwatch::cli {

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

}  // namespace midwatch::cli
