// What deleted batches leave beside the queue's rows: files that nothing refers
// to any more.
#ifndef MIDWATCH_SCHEDULER_DELETED_SWEEP_H_
#define MIDWATCH_SCHEDULER_DELETED_SWEEP_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "artifacts/directory_store.h"

namespace midwatch {

// A file is stored before the row that names it: who stores one, or is told
// that it is there, has so long to submit or to settle what refers to it.
inline constexpr absl::Duration kArtifactGrace = absl::Hours(24);

// Removes the artifacts that no task and no schedule of the queue.db in `dir`
// refers to and that nobody has stored or asked for since kArtifactGrace before
// `now`; how many. Blocks: minutes for millions of tasks. The queue may be in
// use. Again, or after a crash in the middle: goes on with what is left. `vfs`:
// see ForEachArtifact.
//   kCancelled  `stop` returned true
//   kDataLoss   a row cannot be read; nothing is removed
absl::StatusOr<int64_t> SweepArtifacts(const std::string& dir,
                                       const ArtifactDirectory& artifacts,
                                       absl::Time now,
                                       const std::function<bool()>& stop,
                                       const std::string& vfs = "");

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_DELETED_SWEEP_H_
