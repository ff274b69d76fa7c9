#ifndef MIDWATCH_CLI_TASK_FILES_H_
#define MIDWATCH_CLI_TASK_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "cli/export.h"
#include "cli/scheduler_connection.h"

namespace midwatch::cli {

// What tasks left, as files below a folder:
//
//   BATCH/TASK/outputs/...       its output files
//   BATCH/TASK/attempt-N.jsonl   with `events`: what its N-th session said, an
//                                event a line
//
// BATCH is an id, TASK a name as FileNameOf writes it. A file appears whole or
// not at all, and one that is there already is not fetched again: an export
// that was interrupted goes on.
class TaskFiles {
 public:
  // `folder` is made where it is missing.
  TaskFiles(SchedulerConnection& scheduler, std::string folder, bool events);
  TaskFiles(const TaskFiles&) = delete;
  ~TaskFiles();

  // `task` has its attempts, and is of a batch.
  absl::Status Write(const v1::Task& task);
  // Of the tasks so far.
  const MissingFiles& missing() const { return missing_; }

 private:
  // Below `folder`.
  //   kDataLoss  its path leads elsewhere, or its content is damaged
  //   kNotFound  the scheduler has it no longer
  absl::Status WriteOutput(const v1::Output& output, const std::string& folder);
  absl::Status WriteEvents(const v1::Task& task, int attempt,
                           const std::string& path);
  // The file that was just written, to its name.
  absl::Status Rename(const std::string& path);

  SchedulerConnection& scheduler_;
  const std::string folder_;
  const std::string partial_;  // what is being written
  const bool events_;
  MissingFiles missing_;
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_TASK_FILES_H_
