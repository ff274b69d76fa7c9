// Which tasks a filter means.
#ifndef MIDWATCH_STORE_TASK_SEARCH_H_
#define MIDWATCH_STORE_TASK_SEARCH_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "base/sqlite.h"
#include "store/store.h"

namespace midwatch {

// Rows after `after`, rising. Each statement searches an index from where the
// page before ended, so a page costs the same wherever it stands, and a task
// that changes its state meanwhile moves no other.
absl::StatusOr<RowPage<int64_t>> FindTasks(Sqlite& db, const TaskFilter& filter,
                                           int64_t after, int limit);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_TASK_SEARCH_H_
