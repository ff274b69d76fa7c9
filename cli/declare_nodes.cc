#include "cli/declare.h"
#include "cli/declare_options.h"

namespace midwatch::cli {

void AddScheduler(CLI::App& app, Invocation& in) {
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
  AddHooks(*scheduler, in.scheduler.hooks);
  AddMoved(*scheduler, in.scheduler.moved);
  scheduler
      ->add_option("--keep-transcripts", in.scheduler.keep_transcripts,
                   "Delete events of attempts that are over, so long after "
                   "they began: 720h; else never")
      ->type_name("DURATION");
  scheduler
      ->add_option("--keep-batches", in.scheduler.keep_batches,
                   "Delete batches so long after they are done, with their "
                   "tasks, results and transcripts: 720h; else never")
      ->type_name("DURATION");
  scheduler
      ->add_option("--keep-batches-count", in.scheduler.keep_batches_count,
                   "Keep no more than so many of each queue that are done, "
                   "those that ended last; else all")
      ->check(CLI::Range(0, 1'000'000))
      ->type_name("N");
  scheduler
      ->add_option("--keep-tasks", in.scheduler.keep_tasks,
                   "Delete tasks of no batch so long after they end, with "
                   "their results and transcripts: 720h; else never")
      ->type_name("DURATION");
  scheduler
      ->add_option("--keep-tasks-count", in.scheduler.keep_tasks_count,
                   "Keep no more than so many ended tasks of no batch of each "
                   "queue, those that ended last; else all")
      ->check(CLI::Range(0, 1'000'000))
      ->type_name("N");
  scheduler->callback(
      [&in] { in.exit_code = ServeScheduler(in.global, in.scheduler); });
}

void AddWorker(CLI::App& app, Invocation& in) {
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
}

void AddHarness(CLI::App& app, Invocation& in) {
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

}  // namespace midwatch::cli
