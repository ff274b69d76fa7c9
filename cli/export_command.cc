// `midwatch export`.
#include <cstdio>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/export.h"
#include "cli/task_files.h"
#include "cli/times.h"

namespace midwatch::cli {
namespace {

// Submitted at `since` or later, oldest first.
absl::StatusOr<std::vector<std::string>> FindSince(
    SchedulerConnection& scheduler, const std::string& since) {
  google::protobuf::Timestamp from;
  RETURN_IF_ERROR(ReadInstant("--since", since, from));
  std::vector<std::string> found;
  RETURN_IF_ERROR(scheduler.ForEachBatch([&](const v1::Batch& batch) {
    // Newest first: those that follow are older still.
    if (ToTime(batch.submitted_at()) < ToTime(from)) return false;
    found.push_back(batch.batch_id());
    return true;
  }));
  return std::vector<std::string>(found.rbegin(), found.rend());
}

absl::StatusOr<std::vector<std::string>> FindBatches(
    SchedulerConnection& scheduler, const ExportOptions& options) {
  if (options.batches.empty() == options.since.empty()) {
    return absl::InvalidArgumentError(
        "name batches, or those since a time with --since");
  }
  if (!options.since.empty()) return FindSince(scheduler, options.since);
  std::vector<std::string> found;
  std::set<std::string> seen;
  for (const std::string& each : options.batches) {
    ASSIGN_OR_RETURN(v1::Batch batch, scheduler.FindBatch(each));
    if (seen.insert(batch.batch_id()).second) found.push_back(batch.batch_id());
  }
  return found;
}

absl::Status MakeExportFolder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("cannot make ", folder, ": ", error.message()));
}

}  // namespace

int Export(const GlobalOptions& global, const ExportOptions& options) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(std::vector<std::string> batches,
                         FindBatches(scheduler, options));
        std::optional<TaskFiles> files;
        if (!options.artifacts.empty()) {
          RETURN_IF_ERROR(MakeExportFolder(options.artifacts));
          files.emplace(scheduler, options.artifacts, options.events);
        }
        auto also = [&](const v1::Task& task) {
          return files ? files->Write(task) : absl::OkStatus();
        };
        const bool to_stdout = options.out.empty() || options.out == "-";
        RETURN_IF_ERROR(
            to_stdout
                ? ExportTasks(scheduler, batches, stdout, also)
                : ExportTasksToFile(scheduler, batches, options.out, also));
        return files ? TellMissing(files->missing()) : kExitSucceeded;
      });
}

}  // namespace midwatch::cli
