#ifndef MIDWATCH_CLI_EXPORT_H_
#define MIDWATCH_CLI_EXPORT_H_

#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "cli/exit_code.h"
#include "cli/json_views.h"
#include "cli/scheduler_connection.h"

namespace midwatch::cli {

// Every task of the batch with its attempts, in the order of submission.
absl::Status ForEachFullTask(
    SchedulerConnection& scheduler, const std::string& batch_id,
    absl::FunctionRef<absl::Status(const v1::Task&)> visit);

// Output files that are named and cannot be had, because the scheduler has them
// no longer or what it has is damaged. Whoever meets one goes on without it.
struct MissingFiles {
  int64_t count = 0;
  // "task NAME (ID), PATH: why" of the first, ten at most.
  std::vector<std::string> first;
  // Takes the file in, where `why` says that it is such a one (kNotFound,
  // kDataLoss); otherwise returns `why`, also where that is OK: of what is
  // wrong on this machine nothing else would fare better.
  absl::Status Take(const v1::Task& task, const v1::Output& output,
                    const absl::Status& why);
};
// Names them on standard error: kExitFailed where there are any.
ExitCode TellMissing(const MissingFiles& missing);

// Writes a line of JSON for each task of the batches to `out`, after `also` is
// called with it, until that returns an error.
absl::Status ExportTasks(SchedulerConnection& scheduler,
                         const std::vector<std::string>& batch_ids,
                         std::FILE* out,
                         absl::FunctionRef<absl::Status(const v1::Task&)> also);
// The same into a file at `path`, which appears whole or not at all.
absl::Status ExportTasksToFile(
    SchedulerConnection& scheduler, const std::vector<std::string>& batch_ids,
    const std::string& path,
    absl::FunctionRef<absl::Status(const v1::Task&)> also);

// What became of a batch, task by task.
struct Outcome {
  struct Failures {
    int64_t count = 0;
    size_t place = 0;                   // among all, by the first task of each
    std::vector<std::string> examples;  // names, three at most
    std::string task_id;                // of the first example
    v1::TaskState state = v1::TASK_STATE_FAILED;
    // The subcommand of `midwatch task` that says most about it.
    std::string look;
  };
  // By what went wrong: (class or state, reason).
  std::map<std::pair<std::string, std::string>, Failures> failures;
  // Tasks that wait for a person, ten at most.
  struct Waiting {
    std::string task_id, name, question;
    std::string answer;  // the options that answer it
  };
  std::vector<Waiting> waiting;
  MissingFiles missing;
  int64_t attempts = 0;  // of the tasks looked at
};

// [{"cause", "reason", "count", "examples"}], by the first task of each, in the
// order of submission.
Json ToJson(const Outcome& outcome);

// Makes the folder where it is missing.
//   kFailedPrecondition  it cannot be made, or written to
absl::Status PrepareFolder(const std::string& folder);

// Writes results.jsonl, and each task's output files below
// outputs/<task name>/, into `folder`, which is made where it is missing.
absl::StatusOr<Outcome> WriteResults(SchedulerConnection& scheduler,
                                     const std::string& batch_id,
                                     const std::string& folder);

// Of the tasks that did not succeed alone.
absl::StatusOr<Outcome> FindFailures(SchedulerConnection& scheduler,
                                     const std::string& batch_id);

// Writes one task's output files below `folder`: those of its last attempt.
// Each appears whole or not at all. The paths of those that were written; what
// another call left there is none of them.
absl::StatusOr<std::vector<std::string>> WriteOutputs(
    SchedulerConnection& scheduler, const v1::Task& task,
    const std::string& folder, MissingFiles& missing);

// `name` as one part of a path: '/' and '%' and a leading '.' as %XX, cut and
// marked with its hash where it would be too long.
std::string FileNameOf(const std::string& name);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_EXPORT_H_
