// Batch files: YAML or JSON, read whole and checked whole before anything is
// submitted. docs: examples/license-audit/batch.yaml shows every part.
//
//   name       the batch's name
//   params     names with defaults; {{name}} in any text of the file stands for
//              the value, which --param replaces
//   defaults   the task spec that all tasks share
//   tasks      the tasks one by one: name, parameters, inputs
//   foreach    tasks made from the files that match a glob; {{path}},
//              {{dirname}} (its last folder), {{basename}}, {{stem}} and
//              {{index}} (from 0) describe the file
//   queue, tenant, account, max_running
//   budget     what all its tasks may cost together
//
// A task's own parameters are filled into the prompt by the scheduler.
#ifndef MIDWATCH_CLI_BATCH_FILE_H_
#define MIDWATCH_CLI_BATCH_FILE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "midwatch/v1/batch_service.pb.h"

namespace midwatch::cli {

struct BatchFile {
  // With content_sha256 over everything below it and the lines, so that equal
  // files with equal inputs and parameters have equal hashes.
  v1::OpenBatch open;
  std::vector<v1::TaskLine> lines;
  // Where the bytes of each input are: by the SHA-256 that the lines name.
  std::map<std::string, std::string> input_paths;
  // For people: what was left out, and why that is no error.
  std::vector<std::string> notes;
};

// Reads the file at `path`, and every input that it names. `params` come from
// the command line.
//   kInvalidArgument  a line "FILE:LINE:COL: what; expected ..." for each thing
//                     wrong, 20 at most
absl::StatusOr<BatchFile> LoadBatchFile(
    const std::string& path, const std::map<std::string, std::string>& params);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_BATCH_FILE_H_
