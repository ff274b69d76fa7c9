#ifndef MIDWATCH_CLI_DRY_RUN_H_
#define MIDWATCH_CLI_DRY_RUN_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/batch_file.h"
#include "cli/commands.h"
#include "cli/json_views.h"

namespace midwatch::cli {

// What a submission of a batch file would be.
struct DryRun {
  v1::OpenBatch open;
  int64_t tasks = 0;
  std::vector<std::string> first_names;  // of five tasks at most
  // What one task may cost, with all its attempts and raises that need no
  // person, the least and the most of them; what all may cost together, or the
  // batch's budget, where that is less. One model request under way may come on
  // top of a task's.
  int64_t task_least_usd_micros = 0, task_usd_micros = 0;
  int64_t batch_usd_micros = 0;
  bool by_budget = false;               // the budget is less
  int64_t inputs = 0, input_bytes = 0;  // contents that differ
  std::vector<std::string> notes;
};

// Errors are those of reading the file.
absl::StatusOr<DryRun> DescribeBatch(const BatchFile& file);

// Lines to be read.
std::string DryRunText(const DryRun& dry_run);
Json ToJson(const DryRun& dry_run);

// `--dry-run`: prints it, and returns what the process exits with.
int PrintDryRun(const GlobalOptions& global, const BatchFile& file);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_DRY_RUN_H_
