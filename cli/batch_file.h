// Batch files: YAML, JSON or JSONL, checked whole before anything is submitted:
// nothing of a bad file is. docs/batch.md describes them for people, and
// docs/batch.schema.json for editors.
//
//   name       the batch's name
//   params     names with defaults; {{name}} in any text of the file stands for
//              the value, which --param replaces
//   defaults   the task spec that all tasks share; without a prompt where each
//              has its own
//   tasks      the tasks one by one: name, parameters, inputs, labels; prompt,
//              expect, priority, max_cost, retry, timeouts, delay, start_after
//              and expires_after in place of those of defaults; needs and
//              on_need_failure
//   foreach    tasks made from the files that match a glob; {{path}},
//              {{dirname}} (its last folder), {{basename}}, {{stem}} and
//              {{index}} (from 0) describe the file; or from the rows of a
//              table, CSV or JSONL, of which {{column}} is a value
//   queue, tenant, account, max_running
//   budget     what all its tasks may cost together
//   canary     its first tasks, which run before the others: tasks (how many),
//              min_success, max_cost
//   stop_when  pauses it: failed (so many), or failed_ratio once `after` ended
//   on_finish, on_failure, on_risk
//              where it is told that the batch is done, that the first of its
//              tasks has failed, and that it is likely to need more than its
//              budget or to be late: {url: https://..., secret: NAME}
//
// A task's own parameters are filled into the prompt by the scheduler.
//
// needs: what has to succeed before the task starts: the name of a task or
// {task: ID} for one that was submitted before, a list of these, or `all` for
// every task that does not need this one. on_need_failure says what becomes of
// it otherwise: skip (if unset), run_anyway, or fail_batch. What they leave
// comes as inputs, {from: NAME, path: report.md, mount: in/report.md} (without
// a path all outputs, below mount; from all those of each task below
// mount/NAME), and in the prompt: {{tasks.NAME.message}} is a task's last
// message, {{tasks.all.messages}} has a line for each. The lines are submitted
// in an order in which each task is behind those that it needs.
//
// In JSONL the first line is {"batch": {...}}, with all of these but tasks and
// foreach; each line behind it is a task, and {{...}} in it is text, but for
// prompt, expect, retry and timeouts. Its tasks stay in the file: it is read
// once to be checked and once to be sent, and may be of any size.
#ifndef MIDWATCH_CLI_BATCH_FILE_H_
#define MIDWATCH_CLI_BATCH_FILE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/task_stream.h"
#include "midwatch/v1/batch_service.pb.h"

namespace midwatch::cli {

struct BatchFile {
  std::string path;  // as it was given
  // With content_sha256 over everything below it and the tasks, so that equal
  // files with equal inputs and parameters have equal hashes.
  v1::OpenBatch open;
  // The tasks; empty where they stream.
  std::vector<v1::TaskLine> lines;
  // Set where the tasks stay in their file (JSONL). Copies share it.
  std::shared_ptr<TaskStream> stream;
  // Where the bytes of each input are: by the SHA-256 that the lines name.
  std::map<std::string, std::string> input_paths;
  int64_t input_bytes = 0;  // of these together
  // What a task may cost, with all its attempts and raises that need no person:
  // the least and the most of them, and all together, as far as a number can
  // say.
  int64_t least_usd_micros = 0, most_usd_micros = 0, all_usd_micros = 0;
  // The checks that tasks have of their own, each with the first such task.
  std::map<std::string, std::string> own_checks;
  // For people: what was left out, and why that is no error.
  std::vector<std::string> notes;

  int64_t tasks() const {
    return stream != nullptr ? stream->count()
                             : static_cast<int64_t>(lines.size());
  }
};

// Reads the file at `path`, and every input that it names. `params` come from
// the command line.
//   kInvalidArgument  a line "FILE:LINE:COL: what; expected ..." for each thing
//                     wrong, 20 at most
absl::StatusOr<BatchFile> LoadBatchFile(
    const std::string& path, const std::map<std::string, std::string>& params);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_BATCH_FILE_H_
