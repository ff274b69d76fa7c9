// `midwatch backup` and `midwatch restore`.
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/counts.h"
#include "cli/json_views.h"
#include "cli/state_dir.h"
#include "cli/times.h"
#include "scheduler/backup.h"

namespace midwatch::cli {
namespace {

std::string BackupContents(const v1::Backup& backup) {
  return absl::StrCat(CountOf(backup.tasks(), "task"), " of ",
                      backup.batches() == 1
                          ? "1 batch"
                          : absl::StrCat(backup.batches(), " batches"),
                      " and ", CountOf(backup.artifacts(), "artifact"));
}

Json BackupJson(const v1::Backup& backup, const std::string& path) {
  return {{"path", path},
          {"at", InstantToJson(backup.at())},
          {"cluster", backup.cluster()},
          {"last_sequence", backup.last_sequence()},
          {"batches", backup.batches()},
          {"tasks", backup.tasks()},
          {"artifacts", backup.artifacts()},
          {"artifact_bytes", backup.artifact_bytes()},
          {"missing_artifacts", backup.missing_artifacts()},
          {"queue_bytes", backup.queue_bytes()},
          {"events_bytes", backup.events_bytes()}};
}

ExitCode TellMissingArtifacts(const v1::Backup& backup) {
  if (backup.missing_artifacts() == 0) return kExitSucceeded;
  std::fputs(absl::StrCat(
                 "midwatch: ", CountOf(backup.missing_artifacts(), "artifact"),
                 " that tasks refer to cannot be read, such as ",
                 backup.missing_sha256(), "; everything else is there\n")
                 .c_str(),
             stderr);
  return kExitFailed;
}

absl::StatusOr<std::string> AbsolutePath(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute =
      std::filesystem::absolute(path, error).lexically_normal();
  if (error || path.empty()) {
    return absl::InvalidArgumentError("name a folder for the backup");
  }
  return std::string(absl::StripSuffix(absolute.string(), "/"));
}

absl::StatusOr<ExitCode> RestoreInto(const GlobalOptions& global,
                                     const std::string& path) {
  SetLogLevel(LogLevel::kWarning);
  ASSIGN_OR_RETURN(std::string from, AbsolutePath(path));
  ASSIGN_OR_RETURN(std::string state_dir, OpenStateDir(global.state_dir));
  ASSIGN_OR_RETURN(v1::Backup backup, RestoreBackup(from, state_dir));
  if (global.json) {
    std::puts(ToLine(BackupJson(backup, state_dir)).c_str());
  } else {
    std::puts(absl::StrCat(
                  "restored ", BackupContents(backup), " into ", state_dir,
                  ", as of ", FormatInstant(backup.at()),
                  "\nOnly where nothing uses the original any more, start a "
                  "worker on it: sessions of the original that ran at that "
                  "time are gone on with, and tasks that it started later are "
                  "started, and paid, again (docs/operations.md)")
                  .c_str());
  }
  return TellMissingArtifacts(backup);
}

}  // namespace

int BackUp(const GlobalOptions& global, const std::string& path) {
  // Of a folder that is none a backup would be empty, and look well.
  if (global.server.empty()) {
    const absl::StatusOr<std::string> queue = FindStateDir(global.state_dir);
    if (!queue.ok()) return Report(queue.status());
    if (queue->empty()) {
      return Report(absl::InvalidArgumentError(absl::StrCat(
          "there is no queue in ",
          global.state_dir.empty() ? "the state directory" : global.state_dir,
          "; name its state directory with --state-dir, or its scheduler with "
          "--server")));
    }
  }
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(std::string absolute, AbsolutePath(path));
        ASSIGN_OR_RETURN(v1::Backup backup, scheduler.CreateBackup(absolute));
        if (global.json) {
          std::puts(ToLine(BackupJson(backup, absolute)).c_str());
        } else {
          std::puts(absl::StrCat("backed up ", BackupContents(backup), " to ",
                                 absolute, ", and checked it")
                        .c_str());
        }
        return TellMissingArtifacts(backup);
      });
}

int Restore(const GlobalOptions& global, const std::string& path) {
  absl::StatusOr<ExitCode> code = RestoreInto(global, path);
  return code.ok() ? *code : Report(code.status());
}

}  // namespace midwatch::cli
