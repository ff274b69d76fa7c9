#ifndef MIDWATCH_CLI_SUBMIT_H_
#define MIDWATCH_CLI_SUBMIT_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "cli/batch_file.h"
#include "cli/scheduler_connection.h"

namespace midwatch::cli {

struct Submitted {
  std::string batch_id;
  // The batch was there, not done, with the same name and content.
  bool continued = false;
};

// Sends the batch's inputs and lines, and seals it. An unfinished batch of the
// same name and content is continued, unless `always_new`. A lost connection is
// taken up again from the last acknowledged line, for half a minute.
//   kCancelled  `stop` returned true; what was acknowledged stays
absl::StatusOr<Submitted> SubmitBatch(SchedulerConnection& scheduler,
                                      const BatchFile& file, bool always_new,
                                      absl::FunctionRef<bool()> stop);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_SUBMIT_H_
