#ifndef MIDWATCH_CLI_TASK_STREAM_H_
#define MIDWATCH_CLI_TASK_STREAM_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "midwatch/v1/task.pb.h"

namespace midwatch::cli {

// The tasks of a batch that are not held in memory, in their order. Reading on
// from where one left off is cheap; going back begins anew.
class TaskStream {
 public:
  virtual ~TaskStream() = default;
  virtual int64_t count() const = 0;
  // Tasks `first` (from 0), first + 1, ...: `tasks_max` at most, and no more
  // once they pass `bytes_max` together, but one at least. REQUIRES: first <
  // count().
  //   kAborted  they are not any more what they were
  virtual absl::StatusOr<std::vector<v1::TaskLine>> Read(int64_t first,
                                                         size_t tasks_max,
                                                         size_t bytes_max) = 0;
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_TASK_STREAM_H_
