// Whether a queue's databases are whole, and what they refer to outside.
#ifndef MIDWATCH_STORE_DATABASE_CHECK_H_
#define MIDWATCH_STORE_DATABASE_CHECK_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"

namespace midwatch {

// What a copy of a queue holds.
struct QueueContent {
  int64_t batches = 0, tasks = 0;
  std::string cluster_mark;  // see Store::cluster_mark
};

// Reads queue.db and events.db of `folder`, which nobody writes, from end to
// end: that their pages are sound and that the money adds up: what batches,
// tasks and budgets say of it is what the journal, and the attempts that are
// on, say. Minutes for millions of tasks.
//   kDataLoss            what is wrong
//   kFailedPrecondition  a newer release wrote them
//   kCancelled           `stop` returned true
absl::StatusOr<QueueContent> CheckDatabases(const std::string& folder,
                                            const std::function<bool()>& stop);

// Calls `visit` with the name of each artifact that queue.db of `folder` refers
// to (inputs of tasks and of schedules, outputs, last messages), until it
// returns an error. Those that several tasks refer to come as often. The queue
// may be in use: each is visited that a row referred to from the beginning to
// the end of the call, or that another row has from such a one.
// `vfs` is how SQLite reaches its file, or "": as files are reached.
//   kDataLoss  a row cannot be read
absl::Status ForEachArtifact(
    const std::string& folder,
    absl::FunctionRef<absl::Status(const std::string& sha256)> visit,
    const std::string& vfs = "");

}  // namespace midwatch

#endif  // MIDWATCH_STORE_DATABASE_CHECK_H_
