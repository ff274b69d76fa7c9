#ifndef MIDWATCH_STORE_SQLITE_STORE_H_
#define MIDWATCH_STORE_SQLITE_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/blocking_pool.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/random.h"
#include "store/database_copy.h"
#include "store/store.h"

namespace midwatch {

struct SqliteStoreOptions {
  // Holds queue.db, events.db and midwatch.lock; made where it is missing.
  std::string dir;
  // Writers on threads of their own, reads on `pool`. Otherwise everything runs
  // in tasks of the executor, one group of writes at a time: the simulator.
  bool threads = true;
  // A registered SQLite VFS; empty: the system's.
  std::string vfs;
  // Submissions are refused while less than 1 GB of the disk is free, or less
  // than 5 % where that is smaller.
  bool watch_disk_space = true;
  // A database that is another file than the one it was made as begins another
  // life. Without this it does not open: two schedulers on copies of one queue
  // would run its tasks, and pay for them, twice.
  bool moved = false;
};

// What a store in files can do beside what every store can. As of Store, its
// calls are thread-safe and never block; their callbacks run on other threads
// than a Store's: those of the pool, and of the writers.
class SqliteStore : public Store {
 public:
  // CopyDatabases, beside everything else: nobody waits for it.
  virtual void CopyTo(
      const std::string& folder, std::function<bool()> stop,
      absl::AnyInvocable<void(absl::StatusOr<DatabaseCopy>)> done) = 0;

  // Deletes the events of attempts that began before `before` and are over, in
  // small steps between which events are stored; how many chunks of them there
  // were. The file keeps its size and has room for others. Again, or after a
  // crash in the middle: goes on with what is left.
  virtual void DropEvents(
      absl::Time before,
      absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) = 0;

  // As DropEvents, of attempts that are deleted: no journal row is their grant.
  virtual void DropDeletedEvents(
      absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) = 0;
};

// Opens the databases in `options.dir`, creating or migrating them as needed.
// Callbacks run on `executor`; `executor`, `pool` and `clock` outlive the
// store. The destructor commits what waits, and drops callbacks.
//   kFailedPrecondition  a newer release wrote it, another process holds it,
//                        the directory cannot be made or written, or it is a
//                        copy and `moved` does not say that it is the only one
//   kDataLoss            a file is no database of Midwatch's, or corrupt
absl::StatusOr<std::unique_ptr<SqliteStore>> OpenSqliteStore(
    Executor& executor, BlockingPool& pool, const Clock& clock, Random& random,
    const SqliteStoreOptions& options);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_SQLITE_STORE_H_
