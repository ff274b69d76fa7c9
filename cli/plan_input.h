// A batch file as a plan sees it. Pure but for the file's own lines, which may
// be read again.
#ifndef MIDWATCH_CLI_PLAN_INPUT_H_
#define MIDWATCH_CLI_PLAN_INPUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/batch_file.h"
#include "midwatch/v1/task.pb.h"
#include "midwatch/v1/worker_service.pb.h"
#include "scheduler/plan.h"

namespace midwatch::cli {

struct BatchToPlan {
  // With its tasks, its cap and its budget; its kinds have no samples yet.
  PlanInput input;
  // Of each kind, what its tasks are made of.
  std::vector<v1::TaskSpec> specs;
  // Tasks of each kind.
  std::vector<int64_t> tasks_of_kind;
  // Concurrency keys, in the order of their numbers.
  std::vector<std::string> keys;
  // Needs of tasks that are not in the file: taken for done.
  int64_t outside_needs = 0;
};

// Of a batch that is submitted at `start`.
//
//   kInvalidArgument  more than kPlannedTasksMax tasks
//   kAborted          the file was changed meanwhile
absl::StatusOr<BatchToPlan> ToPlanInput(const BatchFile& file,
                                        absl::Time start);

PlanRates ToPlanRates(const v1::AccountLimits& limits);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_PLAN_INPUT_H_
