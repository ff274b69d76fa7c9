// One database file's writer: operations that wait are committed together, so
// that one fsync serves many callers.
#ifndef MIDWATCH_STORE_GROUP_COMMIT_H_
#define MIDWATCH_STORE_GROUP_COMMIT_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "base/sqlite.h"
#include "base/thread.h"

namespace midwatch {

struct WriteOp {
  // Runs inside the group's transaction. Where it fails, what it wrote is
  // rolled back, alone. May run a second time, after all that it did in the
  // database was taken back: the last run counts.
  absl::AnyInvocable<absl::Status()> run;
  // Told once how it went: OK after the commit, `run`'s failure, or the
  // commit's.
  absl::AnyInvocable<void(absl::Status)> finish;
};

// Where a test may kill the process, of each file.
struct CommitPoints {
  const char* before;  // a group is written, not yet durable
  const char* after;   // durable, nobody told
};
inline constexpr CommitPoints kQueueCommit = {"store.commit.before",
                                              "store.commit.after"};
inline constexpr CommitPoints kEventsCommit = {"store.events.before",
                                               "store.events.after"};

// At most this many operations share a transaction: bounds how long the first
// of them waits.
inline constexpr size_t kGroupOpsMax = 512;

// Commits `ops` as one transaction and finishes each. A function of one batch:
// no thread, no queue, no clock.
//
// `after_commit` runs once between the commit and the first finish.
void CommitGroup(Sqlite& db, const CommitPoints& points,
                 std::vector<WriteOp>& ops,
                 const std::function<void()>& after_commit);

// Folds the write-ahead log back into the database, between groups: tried
// every 16 MB without waiting for readers, and past 64 MB with waiting, so that
// it stays bounded beside readers that never pause.
class WalKeeper {
 public:
  explicit WalKeeper(Sqlite& db);
  void Keep();

 private:
  Sqlite& db_;
  // Written by SQLite's hook within commits; on the heap, since the hook keeps
  // its address.
  std::unique_ptr<int64_t> wal_pages_;
  int64_t next_try_pages_;
};

// Feeds CommitGroup. Thread-safe, in the order of the calls.
class Writer {
 public:
  virtual ~Writer() = default;
  virtual void Submit(WriteOp op) = 0;
};

// On a thread of its own. The destructor commits what waits.
std::unique_ptr<Writer> MakeThreadWriter(const std::string& name, Sqlite& db,
                                         const CommitPoints& points,
                                         std::function<void()> after_commit);

// In tasks of `executor`: what was submitted since the last such task is one
// group. For the simulator, where a crash drops what waits.
std::unique_ptr<Writer> MakeExecutorWriter(Executor& executor, Sqlite& db,
                                           const CommitPoints& points,
                                           std::function<void()> after_commit);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_GROUP_COMMIT_H_
