// Which events are old, and their end.
#ifndef MIDWATCH_STORE_EVENT_RETENTION_H_
#define MIDWATCH_STORE_EVENT_RETENTION_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/sqlite.h"

namespace midwatch {

// Attempts are known by the journal's numbers of their grants, which rise with
// time: those below one of them are old, but for those that are on.
struct OldEvents {
  int64_t below = 0;
  std::set<int64_t> kept;
  // How far the deleting has come.
  int64_t after = 0;
  int64_t dropped = 0;  // chunks
  bool more = true;
};

// Attempts that are deleted: the journal has no row of their grant.
struct DeletedEvents {
  std::vector<int64_t> grants;  // rising
  int64_t dropped = 0;          // chunks
};

// By the two files of `dir`. Minutes for millions of attempts.
absl::StatusOr<DeletedEvents> FindDeletedEvents(const std::string& dir,
                                                const std::string& vfs);

// One step: deletes some chunks of the last of `grants`, and drops that from
// them once it has none.
absl::Status DropDeletedEvents(Sqlite& events, DeletedEvents& deleted);

// Of attempts that began before `before`, by the queue.db of `dir`.
absl::StatusOr<OldEvents> FindOldEvents(const std::string& dir,
                                        const std::string& vfs,
                                        absl::Time before);

// One step: deletes some chunks of one attempt at most, the oldest ones.
absl::Status DropOldEvents(Sqlite& events, OldEvents& old);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_EVENT_RETENTION_H_
