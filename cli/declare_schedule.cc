#include "cli/declare.h"
#include "cli/declare_options.h"

namespace midwatch::cli {
namespace {

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

}  // namespace

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
  AddPause(*pause, "NAME", "Name", in.pause);
  pause->callback([&in] { in.exit_code = SchedulePause(in.global, in.pause); });
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

}  // namespace midwatch::cli
