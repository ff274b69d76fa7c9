// One database file's writer: operations that wait are committed together, so
// that one fsync serves many callers.
#ifndef MIDWATCH_STORE_GROUP_COMMIT_H_
#define MIDWATCH_STORE_GROUP_COMMIT_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
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

// Folds a write-ahead log back into its database beside the writer: on a
// connection and a thread of its own.
class WalFolder {
 public:
  WalFolder(const std::string& name, std::unique_ptr<Sqlite> db);
  ~WalFolder();

  // Folds what is in the log now and no reader still needs. REQUIRES: no
  // folding is under way.
  void Start();
  // Since the last Start: nothing while that is under way, then, once, how many
  // of the log's pages are folded.
  std::optional<int64_t> TakeFolded();
  bool busy();
  // Until what is under way is done.
  void Wait();

 private:
  enum class Step { kIdle, kAsked, kDone, kStopping };
  void Serve();

  const std::unique_ptr<Sqlite> db_;
  Mutex mutex_;
  CondVar wake_;  // of either side
  Step step_ ABSL_GUARDED_BY(mutex_) = Step::kIdle;
  int64_t folded_ ABSL_GUARDED_BY(mutex_) = 0;
  Thread thread_;
};

// Keeps the log short, between groups. Every 16 MB it is folded back without
// waiting for readers: by `folder` but for the little that is written
// meanwhile, since a writer that folds all of it stands still for 40 ms. Past
// 64 MB the writer folds and waits, so that the log stays bounded beside
// readers that never pause.
class WalKeeper {
 public:
  // Without a `folder`, the writer folds all of it.
  explicit WalKeeper(Sqlite& db, std::unique_ptr<WalFolder> folder = nullptr);
  void Keep();

  // Between the two, which may nest, nobody waits for a reader, and the log
  // grows. Thread-safe.
  void Hold() { ++holds_; }
  void Release() { --holds_; }

 private:
  Sqlite& db_;
  const std::unique_ptr<WalFolder> folder_;
  // Written by SQLite's hook within commits; on the heap, since the hook keeps
  // its address.
  std::unique_ptr<int64_t> wal_pages_;
  int64_t next_try_pages_;
  int passes_ = 0;  // of `folder_`, since a try was due
  std::atomic<int> holds_ = 0;
  bool long_ = false;  // it was held, and has not been begun anew since
};

// Feeds CommitGroup. Thread-safe, in the order of the calls.
class Writer {
 public:
  virtual ~Writer() = default;
  virtual void Submit(WriteOp op) = 0;
  // For a reader that lasts: see WalKeeper. Once an operation that was
  // submitted after HoldLog is finished, the writer waits for no reader.
  virtual void HoldLog() = 0;
  virtual void ReleaseLog() = 0;
};

// What a writer does beside carrying operations out. May be empty.
struct WriterHooks {
  // See CommitGroup.
  std::function<void()> after_commit;
  // Asked after each group: something to be done in a transaction of its own.
  std::function<std::optional<WriteOp>()> between;
};

// On a thread of its own. The destructor commits what waits. `beside` is
// another connection to the same database.
std::unique_ptr<Writer> MakeThreadWriter(const std::string& name, Sqlite& db,
                                         std::unique_ptr<Sqlite> beside,
                                         const CommitPoints& points,
                                         WriterHooks hooks);

// In tasks of `executor`: what was submitted since the last such task is one
// group. For the simulator, where a crash drops what waits.
std::unique_ptr<Writer> MakeExecutorWriter(Executor& executor, Sqlite& db,
                                           const CommitPoints& points,
                                           WriterHooks hooks);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_GROUP_COMMIT_H_
