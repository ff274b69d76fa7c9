// `midwatch schedule ...`.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/random.h"
#include "base/real_clock.h"
#include "base/status_macros.h"
#include "cli/batch_file.h"
#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/json_views.h"
#include "cli/shell_words.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/times.h"
#include "cli/utf8.h"
#include "cli/when.h"

namespace midwatch::cli {
namespace {

constexpr int kRunIdBytes = 16;

// FIRING_STATE_MISSED -> "missed", OVERLAP_POLICY_CANCEL_OLD -> "cancel-old".
std::string WordOf(absl::string_view name, absl::string_view prefix) {
  absl::ConsumePrefix(&name, prefix);
  return absl::StrReplaceAll(absl::AsciiStrToLower(name), {{"_", "-"}});
}
std::string StateWord(v1::FiringState state) {
  return WordOf(v1::FiringState_Name(state), "FIRING_STATE_");
}
std::string MissedWord(v1::MissedPolicy policy) {
  return WordOf(v1::MissedPolicy_Name(policy), "MISSED_POLICY_");
}
std::string OverlapWord(v1::OverlapPolicy policy) {
  return WordOf(v1::OverlapPolicy_Name(policy), "OVERLAP_POLICY_");
}

// A time on the schedule's own clocks, with what they are ahead of UTC; on
// UTC's where this machine does not know the zone.
std::string ZonedInstant(const v1::Schedule& schedule,
                         const google::protobuf::Timestamp& at) {
  absl::TimeZone zone = absl::UTCTimeZone();
  (void)absl::LoadTimeZone(schedule.timing().time_zone(), &zone);
  return absl::FormatTime("%Y-%m-%dT%H:%M:%S%Ez", ToTime(at), zone);
}

Json ToJson(const v1::Firing& firing) {
  return {{"due_at", InstantToJson(firing.due_at())},
          {"state", StateWord(firing.state())},
          {"at", InstantToJson(firing.at())},
          {"by_hand", firing.by_hand()},
          {"batch_id", firing.batch_id()},
          {"batch_name", firing.batch_name()},
          {"reason", firing.reason()}};
}

Json ToJson(const v1::Schedule& schedule) {
  const v1::Timing& timing = schedule.timing();
  Json next = Json::array(), firings = Json::array();
  for (const auto& due : schedule.next_due_at()) {
    next.push_back(ZonedInstant(schedule, due));
  }
  for (const v1::Firing& firing : schedule.firings()) {
    firings.push_back(ToJson(firing));
  }
  return {
      {"schedule_id", schedule.schedule_id()},
      {"name", schedule.name()},
      {"cron", timing.cron()},
      {"time_zone", timing.time_zone()},
      {"missed", MissedWord(timing.missed())},
      {"overlap", OverlapWord(timing.overlap())},
      {"jitter_seconds", absl::ToDoubleSeconds(ToDuration(timing.jitter()))},
      {"tenant", schedule.tenant()},
      {"queue", schedule.queue()},
      {"account", schedule.account()},
      {"tasks", schedule.lines()},
      {"content_sha256", schedule.content_sha256()},
      {"paused", schedule.paused()},
      {"pause_reason", schedule.pause_reason()},
      {"pause_until", InstantToJson(schedule.pause_until())},
      {"created_at", InstantToJson(schedule.created_at())},
      {"changed_at", InstantToJson(schedule.changed_at())},
      {"next_due_at", std::move(next)},
      {"firings", std::move(firings)}};
}

std::string NextCell(const v1::Schedule& schedule) {
  if (schedule.paused()) {
    return schedule.has_pause_until()
               ? absl::StrCat("paused until ",
                              ZonedInstant(schedule, schedule.pause_until()))
               : "paused";
  }
  return schedule.next_due_at().empty()
             ? "-"
             : ZonedInstant(schedule, schedule.next_due_at(0));
}

// "fired nightly-2026-11-28T02:00".
std::string LastCell(const v1::Schedule& schedule) {
  if (schedule.firings().empty()) return "-";
  const v1::Firing& last = schedule.firings(0);
  return OneLine(absl::StrCat(StateWord(last.state()), " ", last.batch_name(),
                              last.reason().empty() ? "" : ": ",
                              last.reason()));
}

std::string ScheduleTable(const std::vector<v1::Schedule>& schedules,
                          int width) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Schedule& schedule : schedules) {
    rows.push_back({Printable(schedule.name()),
                    Printable(schedule.timing().cron()),
                    Printable(schedule.timing().time_zone()),
                    absl::StrCat(schedule.lines()), NextCell(schedule),
                    LastCell(schedule)});
  }
  return FormatTable(
      {{"SCHEDULE"}, {"CRON"}, {"ZONE"}, {"TASKS", true}, {"NEXT"}, {"LAST"}},
      rows, width);
}

std::string FiringTable(const v1::Schedule& schedule, int width) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Firing& firing : schedule.firings()) {
    rows.push_back({absl::StrCat("  ", ZonedInstant(schedule, firing.due_at())),
                    firing.by_hand() ? "by hand" : "",
                    StateWord(firing.state()),
                    firing.batch_id().empty() ? "-" : firing.batch_id(),
                    OneLine(firing.reason())});
  }
  return FormatTable({{"  DUE"}, {""}, {"STATE"}, {"BATCH"}, {"WHY"}}, rows,
                     width);
}

std::string ScheduleDetails(const v1::Schedule& schedule, int width) {
  const v1::Timing& timing = schedule.timing();
  const absl::Duration jitter = ToDuration(timing.jitter());
  std::string text = absl::StrCat(
      "schedule   ", Printable(schedule.name()), "\ncron       ",
      Printable(timing.cron()), "\nzone       ", Printable(timing.time_zone()),
      "\nmissed     ", MissedWord(timing.missed()), "\noverlap    ",
      OverlapWord(timing.overlap()), "\n");
  if (jitter > absl::ZeroDuration()) {
    absl::StrAppend(&text, "jitter     up to ", FormatSpan(jitter), "\n");
  }
  absl::StrAppend(&text, "tasks      ", schedule.lines(), "\ntenant     ",
                  Printable(schedule.tenant()), "\nqueue      ",
                  Printable(schedule.queue()), "\naccount    ",
                  Printable(schedule.account()), "\n");
  if (schedule.paused()) {
    absl::StrAppend(
        &text, "paused     ",
        schedule.pause_reason().empty() ? "yes"
                                        : OneLine(schedule.pause_reason()),
        schedule.has_pause_until()
            ? absl::StrCat("; until ",
                           ZonedInstant(schedule, schedule.pause_until()))
            : "",
        "\n");
  }
  const char* title = "next       ";
  for (const auto& due : schedule.next_due_at()) {
    absl::StrAppend(&text, title, ZonedInstant(schedule, due), "\n");
    title = "           ";
  }
  if (!schedule.firings().empty()) {
    absl::StrAppend(&text, "last\n", FiringTable(schedule, width));
  }
  return text;
}

void PrintSchedule(const GlobalOptions& global, const v1::Schedule& schedule) {
  std::fputs(global.json
                 ? (ToLine(ToJson(schedule)) + "\n").c_str()
                 : ScheduleDetails(schedule, Terminal().width()).c_str(),
             stdout);
}

absl::Status FillTiming(const ScheduleOptions& options, v1::Timing& timing) {
  timing.set_cron(options.cron);
  timing.set_time_zone(options.time_zone);
  timing.set_missed(options.missed == "skip"  ? v1::MISSED_POLICY_SKIP
                    : options.missed == "all" ? v1::MISSED_POLICY_ALL
                                              : v1::MISSED_POLICY_ONCE);
  timing.set_overlap(options.overlap == "queue" ? v1::OVERLAP_POLICY_QUEUE
                     : options.overlap == "cancel-old"
                         ? v1::OVERLAP_POLICY_CANCEL_OLD
                         : v1::OVERLAP_POLICY_SKIP);
  if (options.jitter.empty()) return absl::OkStatus();
  absl::Duration jitter;
  if (!absl::ParseDuration(options.jitter, &jitter) ||
      jitter < absl::ZeroDuration() || jitter > absl::Hours(1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--jitter: '", Printable(options.jitter),
                     "'; expected a duration of 1h at most, such as 5m"));
  }
  timing.mutable_jitter()->set_seconds(absl::ToInt64Seconds(jitter));
  return absl::OkStatus();
}

// A schedule holds the tasks of its batches, so they are few.
absl::Status FillLines(const BatchFile& file, v1::PutScheduleRequest& request) {
  constexpr int64_t kLinesMax = 10'000;
  constexpr size_t kBytesMax = 64 << 20;
  if (file.tasks() > kLinesMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the batch has ", file.tasks(), " tasks; expected at most ", kLinesMax,
        " for a schedule, which holds them all"));
  }
  if (file.stream == nullptr) {
    request.mutable_lines()->Add(file.lines.begin(), file.lines.end());
    return absl::OkStatus();
  }
  while (request.lines_size() < file.tasks()) {
    ASSIGN_OR_RETURN(
        std::vector<v1::TaskLine> tasks,
        file.stream->Read(request.lines_size(), kLinesMax, kBytesMax));
    for (v1::TaskLine& task : tasks) *request.add_lines() = std::move(task);
  }
  return absl::OkStatus();
}

}  // namespace

int ScheduleCreate(const GlobalOptions& global,
                   const ScheduleOptions& options) {
  absl::StatusOr<BatchFile> file = LoadBatchFile(options.file, options.params);
  if (!file.ok()) return Report(file.status());
  v1::PutScheduleRequest request;
  request.set_name(options.name.empty() ? file->open.name() : options.name);
  if (absl::Status status = FillTiming(options, *request.mutable_timing());
      !status.ok()) {
    return Report(status);
  }
  *request.mutable_batch() = file->open;
  if (absl::Status status = FillLines(*file, request); !status.ok()) {
    return Report(status);
  }
  request.set_replace(options.replace);
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        RETURN_IF_ERROR(
            scheduler.UploadMissing(file->input_paths, [] { return false; }));
        ASSIGN_OR_RETURN(v1::Schedule schedule, scheduler.PutSchedule(request));
        for (const std::string& note : file->notes) {
          std::fprintf(stderr, "midwatch: %s\n", note.c_str());
        }
        if (scheduler.is_embedded()) {
          std::fprintf(
              stderr,
              "midwatch: no scheduler runs on this state directory; schedules "
              "fire while one does: `%s`\n",
              CommandLine(global, "scheduler").c_str());
        }
        PrintSchedule(global, schedule);
        return kExitSucceeded;
      });
}

int ScheduleList(const GlobalOptions& global) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(std::vector<v1::Schedule> schedules,
                         scheduler.ListSchedules());
        if (!global.json) {
          std::fputs(ScheduleTable(schedules, Terminal().width()).c_str(),
                     stdout);
          return kExitSucceeded;
        }
        for (const v1::Schedule& schedule : schedules) {
          std::puts(ToLine(ToJson(schedule)).c_str());
        }
        return kExitSucceeded;
      });
}

int ScheduleGet(const GlobalOptions& global, const std::string& name) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Schedule schedule, scheduler.GetSchedule(name));
        PrintSchedule(global, schedule);
        return kExitSucceeded;
      });
}

int SchedulePause(const GlobalOptions& global, const PauseOptions& options) {
  v1::PauseScheduleRequest request;
  request.set_name(options.what);
  request.set_reason(options.reason);
  if (!options.until.empty()) {
    absl::Status status = ReadWhen("--until", options.until, RealClock().Now(),
                                   *request.mutable_until());
    if (!status.ok()) return Report(status);
  }
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Schedule schedule,
                         scheduler.PauseSchedule(request));
        PrintSchedule(global, schedule);
        return kExitSucceeded;
      });
}

int ScheduleResume(const GlobalOptions& global, const std::string& name) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Schedule schedule, scheduler.ResumeSchedule(name));
        PrintSchedule(global, schedule);
        return kExitSucceeded;
      });
}

int ScheduleRun(const GlobalOptions& global, const std::string& name) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(
            v1::Firing firing,
            scheduler.RunSchedule(name, RealRandom().Hex(kRunIdBytes)));
        std::puts(global.json ? ToLine(ToJson(firing)).c_str()
                              : firing.batch_id().c_str());
        return kExitSucceeded;
      });
}

int ScheduleDelete(const GlobalOptions& global, const std::string& name) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        RETURN_IF_ERROR(scheduler.DeleteSchedule(name));
        return kExitSucceeded;
      });
}

}  // namespace midwatch::cli
