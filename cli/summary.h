#ifndef MIDWATCH_CLI_SUMMARY_H_
#define MIDWATCH_CLI_SUMMARY_H_

#include <string>

#include "absl/time/time.h"
#include "cli/commands.h"
#include "cli/export.h"
#include "midwatch/v1/batch_service.pb.h"

namespace midwatch::cli {

// What is said at the end, for people to keep and to pass on: plain text
// without control codes. Counts, cost, time, and failures by cause, the most
// frequent first (of as many, that of the first task), each with an example and
// the command that shows more of it. `results` is where they are, or how to get
// them.
std::string Summary(const GlobalOptions& global, const v1::Batch& batch,
                    const Outcome& outcome, absl::Duration elapsed,
                    const std::string& results);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_SUMMARY_H_
