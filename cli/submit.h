#ifndef MIDWATCH_CLI_SUBMIT_H_
#define MIDWATCH_CLI_SUBMIT_H_

#include <functional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/batch_file.h"
#include "cli/commands.h"
#include "cli/scheduler_connection.h"

namespace midwatch::cli {

struct SubmitRules {
  // As the command was given, for those that an error tells to type.
  GlobalOptions global;
  // Otherwise an unfinished batch of the same name and content is continued.
  bool always_new = false;
  // The request id of a batch of the same content, or "": that one is continued
  // also where it is done, unless a cancel ended it.
  std::string begun;
  // Told the batch's request id before anything is sent; its failure is the
  // submission's.
  std::function<absl::Status(const std::string&)> on_request_id;
};

struct Submitted {
  std::string batch_id;
  bool continued = false;  // the batch was there
};

// Sends the batch's inputs and lines, and seals it. A lost connection is taken
// up again from the last acknowledged line, for half a minute.
//   kCancelled  `stop` returned true; what was acknowledged stays
absl::StatusOr<Submitted> SubmitBatch(SchedulerConnection& scheduler,
                                      const BatchFile& file,
                                      const SubmitRules& rules,
                                      absl::FunctionRef<bool()> stop);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_SUBMIT_H_
