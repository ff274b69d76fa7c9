// A copy of a store's two databases as of one moment, taken beside its writers.
#ifndef MIDWATCH_STORE_DATABASE_COPY_H_
#define MIDWATCH_STORE_DATABASE_COPY_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace midwatch {

struct DatabaseCopy {
  // The journal's last number in the copy.
  int64_t last_seq = 0;
};

// Copies queue.db and events.db of `dir` into `folder`, where neither is, as
// files that nothing has to be folded into: a reader needs no right to write.
//
// The queue is as it stood at one moment. Of the attempts that it knows, at
// least the events are there that it relies on; those of attempts, and of
// sessions, that came after that moment are left out, since a queue that goes
// on from the copy gives their numbers to others.
//
// Two read transactions last for the whole of it, so whoever writes the
// databases does not wait for readers meanwhile. `stop` is asked again and
// again. `vfs` as in SqliteOptions.
//   kCancelled          `stop` returned true
//   kResourceExhausted  the disk of `folder` is full
absl::StatusOr<DatabaseCopy> CopyDatabases(const std::string& dir,
                                           const std::string& vfs,
                                           const std::string& folder,
                                           const std::function<bool()>& stop);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_DATABASE_COPY_H_
