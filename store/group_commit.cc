#include "store/group_commit.h"

#include <sqlite3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/end_process.h"
#include "base/fault_points.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

constexpr int64_t kPageBytes = 4096;
constexpr int64_t kPassivePages = (16 << 20) / kPageBytes;
constexpr int64_t kRestartPages = (64 << 20) / kPageBytes;
// Of what was written while a folder was at work: some milliseconds' work.
constexpr int64_t kFoldHerePages = (1 << 20) / kPageBytes;
// Each pass folds what was written during the one before, hot pages again.
constexpr int kPassesMax = 2;
// The same of a log that was held.
constexpr int kLongPassesMax = 16;

// How a group's operations went.
enum class Ran {
  kAll,
  // One that failed has written something, which is to be taken back alone.
  kHalf,
  // The whole transaction was rolled back, which fails the group: SQLite did so
  // by itself, or what a failed operation wrote could not be taken back alone.
  kNone,
};

// Runs the operations without a savepoint for each, under which SQLite keeps a
// copy of every page that changes: hardly one fails, and those that do mostly
// refuse before they write.
Ran RunTogether(Sqlite& db, std::vector<WriteOp>& ops,
                std::vector<absl::Status>& results) {
  for (WriteOp& op : ops) {
    const int64_t changes = db.total_changes();
    absl::Status status = op.run();
    const bool clean = status.ok() || db.total_changes() == changes;
    results.push_back(std::move(status));
    if (db.autocommit()) return Ran::kNone;
    if (!clean) return Ran::kHalf;
  }
  return Ran::kAll;
}

// Runs each operation in a savepoint.
Ran RunApart(Sqlite& db, std::vector<WriteOp>& ops,
             std::vector<absl::Status>& results) {
  for (WriteOp& op : ops) {
    absl::Status status = db.Run("SAVEPOINT op");
    if (status.ok()) {
      status = op.run();
      if (db.autocommit()) {
        results.push_back(status);
        return Ran::kNone;
      }
      bool kept_apart = status.ok() || db.Run("ROLLBACK TO op").ok();
      if (!kept_apart || !db.Run("RELEASE op").ok()) {
        (void)db.Run("ROLLBACK");
        results.push_back(status);
        return Ran::kNone;
      }
    }
    results.push_back(std::move(status));
  }
  return Ran::kAll;
}

absl::Status Commit(Sqlite& db, const CommitPoints& points) {
  FaultPoint(points.before);
  absl::Status status = db.Run("COMMIT");
  if (status.ok()) {
    FaultPoint(points.after);
    return status;
  }
  if (absl::IsDataLoss(status)) {
    // After a failed fsync nobody knows what the disk holds, and trying again
    // would report success for pages that the kernel has dropped.
    EndProcess(absl::StrCat("commit failed: ", status.message()));
  }
  if (!db.autocommit()) (void)db.Run("ROLLBACK");
  return status;
}

// One transaction around `ops`, each of whose results it adds.
absl::Status RunGroup(Sqlite& db, const CommitPoints& points,
                      std::vector<WriteOp>& ops,
                      std::vector<absl::Status>& results) {
  RETURN_IF_ERROR(db.Run("BEGIN IMMEDIATE"));
  Ran ran = RunTogether(db, ops, results);
  if (ran == Ran::kHalf) {
    results.clear();
    RETURN_IF_ERROR(db.Run("ROLLBACK"));
    RETURN_IF_ERROR(db.Run("BEGIN IMMEDIATE"));
    ran = RunApart(db, ops, results);
  }
  if (ran == Ran::kAll) return Commit(db, points);
  return absl::UnavailableError(
      "the database rolled a group of writes back; try again");
}

}  // namespace

void CommitGroup(Sqlite& db, const CommitPoints& points,
                 std::vector<WriteOp>& ops,
                 const std::function<void()>& after_commit) {
  std::vector<absl::Status> results;
  absl::Status group = RunGroup(db, points, ops, results);
  if (group.ok() && after_commit) after_commit();
  results.resize(ops.size());
  for (size_t i = 0; i < ops.size(); ++i) {
    absl::Status result = std::move(results[i]);
    if (!group.ok() && result.ok()) result = group;
    std::move(ops[i].finish)(std::move(result));
  }
}

namespace {

// After a failed write or sync nobody knows what the disk holds, and another
// sync would report success for pages that the kernel has dropped. A new
// process folds the whole log again.
void EndIfDiskFailed(int code) {
  if ((code & 0xff) == SQLITE_IOERR) {
    EndProcess(absl::StrCat("checkpoint failed: ", sqlite3_errstr(code)));
  }
}

// Returns how many of the log's pages are folded.
int64_t Fold(Sqlite& db, int mode) {
  int in_log = 0, folded = 0;
  FaultPoint("store.checkpoint.before");
  // One that has no room, or meets a reader, has lost nothing: the log is still
  // there.
  EndIfDiskFailed(
      sqlite3_wal_checkpoint_v2(db.raw(), nullptr, mode, &in_log, &folded));
  FaultPoint("store.checkpoint.after");
  return folded;
}

}  // namespace

namespace {

// SQLite syncs the database only where the whole log is folded, which beside a
// busy writer it never is: the writer would wait for all that was written here.
void SyncDatabase(Sqlite& db) {
  sqlite3_file* file = nullptr;
  if (sqlite3_file_control(db.raw(), "main", SQLITE_FCNTL_FILE_POINTER,
                           &file) == SQLITE_OK &&
      file != nullptr && file->pMethods != nullptr) {
    EndIfDiskFailed(file->pMethods->xSync(file, SQLITE_SYNC_NORMAL));
  }
}

}  // namespace

WalFolder::WalFolder(const std::string& name, std::unique_ptr<Sqlite> db)
    : db_(std::move(db)), thread_(name, [this] { Serve(); }) {}

WalFolder::~WalFolder() {
  {
    MutexLock lock(mutex_);
    step_ = Step::kStopping;
  }
  wake_.Signal();
  thread_.Join();
}

void WalFolder::Start() {
  {
    MutexLock lock(mutex_);
    step_ = Step::kAsked;
  }
  wake_.Signal();
}

std::optional<int64_t> WalFolder::TakeFolded() {
  MutexLock lock(mutex_);
  if (step_ != Step::kDone) return std::nullopt;
  step_ = Step::kIdle;
  return folded_;
}

bool WalFolder::busy() {
  MutexLock lock(mutex_);
  return step_ != Step::kIdle;
}

void WalFolder::Wait() {
  MutexLock lock(mutex_);
  while (step_ == Step::kAsked) wake_.Wait(mutex_);
}

void WalFolder::Serve() {
  while (true) {
    {
      MutexLock lock(mutex_);
      while (step_ != Step::kAsked && step_ != Step::kStopping) {
        wake_.Wait(mutex_);
      }
      if (step_ == Step::kStopping) return;
    }
    const int64_t folded = Fold(*db_, SQLITE_CHECKPOINT_PASSIVE);
    SyncDatabase(*db_);
    MutexLock lock(mutex_);
    if (step_ == Step::kStopping) return;
    folded_ = folded;
    step_ = Step::kDone;
    wake_.Signal();
  }
}

WalKeeper::WalKeeper(Sqlite& db, std::unique_ptr<WalFolder> folder)
    : db_(db),
      folder_(std::move(folder)),
      wal_pages_(std::make_unique<int64_t>(0)),
      next_try_pages_(kPassivePages) {
  sqlite3_wal_hook(
      db.raw(),
      [](void* pages, sqlite3*, const char*, int n) {
        *static_cast<int64_t*>(pages) = n;
        return SQLITE_OK;
      },
      wal_pages_.get());
}

void WalKeeper::Keep() {
  const int64_t pages = *wal_pages_;
  const bool held = holds_.load() > 0;
  if (held) long_ = true;
  // A log that was held is folded by the folder, however long it is: it would
  // be a second's work here.
  const bool bounded = pages >= kRestartPages && !long_;
  if (folder_ != nullptr) {
    if (std::optional<int64_t> folded = folder_->TakeFolded()) {
      // What is held cannot be folded; the next try is soon enough.
      if (held) return;
      const bool little = pages - *folded <= kFoldHerePages;
      const int passes_max = long_ ? kLongPassesMax : kPassesMax;
      if (!little && !bounded && ++passes_ < passes_max) {
        folder_->Start();
      } else {
        // With all of it folded, the next commit begins the log anew.
        Fold(db_, pages >= kRestartPages ? SQLITE_CHECKPOINT_RESTART
                                         : SQLITE_CHECKPOINT_PASSIVE);
        long_ = false;
      }
      return;
    }
    if (folder_->busy()) {
      // A slow disk holds the writer back: the log is bounded, and so is how
      // long the writer takes for the rest of it.
      if (bounded) folder_->Wait();
      return;
    }
  }
  if (pages < next_try_pages_) {
    // The log was begun anew, so the next try is due at 16 MB again.
    if (pages < kPassivePages) next_try_pages_ = kPassivePages;
    return;
  }
  next_try_pages_ = pages + kPassivePages;
  if (bounded) {
    Fold(db_, SQLITE_CHECKPOINT_RESTART);
  } else if (folder_ != nullptr) {
    passes_ = 0;
    folder_->Start();
  } else {
    Fold(db_, !held && pages >= kRestartPages ? SQLITE_CHECKPOINT_RESTART
                                              : SQLITE_CHECKPOINT_PASSIVE);
    long_ = held;
  }
}

namespace {

// A group, and what is due behind it.
class Groups {
 public:
  Groups(Sqlite& db, const CommitPoints& points,
         std::unique_ptr<WalFolder> folder, WriterHooks hooks)
      : db_(db),
        points_(points),
        wal_(db, std::move(folder)),
        hooks_(std::move(hooks)) {}

  void Write(std::vector<WriteOp>& group) {
    CommitGroup(db_, points_, group, hooks_.after_commit);
    wal_.Keep();
    if (!hooks_.between) return;
    if (std::optional<WriteOp> op = hooks_.between()) {
      std::vector<WriteOp> alone;
      alone.push_back(*std::move(op));
      CommitGroup(db_, points_, alone, nullptr);
    }
  }

  void HoldLog() { wal_.Hold(); }
  void ReleaseLog() { wal_.Release(); }

 private:
  Sqlite& db_;
  const CommitPoints points_;
  WalKeeper wal_;
  const WriterHooks hooks_;
};

class ThreadWriter final : public Writer {
 public:
  ThreadWriter(const std::string& name, Sqlite& db,
               std::unique_ptr<Sqlite> beside, const CommitPoints& points,
               WriterHooks hooks)
      : groups_(db, points,
                std::make_unique<WalFolder>(name + "-wal", std::move(beside)),
                std::move(hooks)),
        thread_(name, [this] { Serve(); }) {}

  ~ThreadWriter() override {
    {
      MutexLock lock(mutex_);
      stopping_ = true;
    }
    wake_.Signal();
    thread_.Join();
  }

  void Submit(WriteOp op) override {
    {
      MutexLock lock(mutex_);
      waiting_.push_back(std::move(op));
    }
    wake_.Signal();
  }

  void HoldLog() override { groups_.HoldLog(); }
  void ReleaseLog() override { groups_.ReleaseLog(); }

 private:
  void Serve() {
    while (true) {
      std::vector<WriteOp> group;
      {
        MutexLock lock(mutex_);
        while (waiting_.empty() && !stopping_) wake_.Wait(mutex_);
        if (waiting_.empty()) return;
        while (!waiting_.empty() && group.size() < kGroupOpsMax) {
          group.push_back(std::move(waiting_.front()));
          waiting_.pop_front();
        }
      }
      groups_.Write(group);
    }
  }

  Groups groups_;
  Mutex mutex_;
  CondVar wake_;
  std::deque<WriteOp> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Thread thread_;
};

class ExecutorWriter final : public Writer {
 public:
  ExecutorWriter(Executor& executor, Sqlite& db, const CommitPoints& points,
                 WriterHooks hooks)
      : executor_(executor), groups_(db, points, nullptr, std::move(hooks)) {}

  void Submit(WriteOp op) override {
    waiting_.push_back(std::move(op));
    if (waiting_.size() > 1) return;
    executor_.Post([this] {
      std::vector<WriteOp> group = std::exchange(waiting_, {});
      groups_.Write(group);
    });
  }

  void HoldLog() override { groups_.HoldLog(); }
  void ReleaseLog() override { groups_.ReleaseLog(); }

 private:
  Executor& executor_;
  Groups groups_;
  std::vector<WriteOp> waiting_;
};

}  // namespace

std::unique_ptr<Writer> MakeThreadWriter(const std::string& name, Sqlite& db,
                                         std::unique_ptr<Sqlite> beside,
                                         const CommitPoints& points,
                                         WriterHooks hooks) {
  return std::make_unique<ThreadWriter>(name, db, std::move(beside), points,
                                        std::move(hooks));
}

std::unique_ptr<Writer> MakeExecutorWriter(Executor& executor, Sqlite& db,
                                           const CommitPoints& points,
                                           WriterHooks hooks) {
  return std::make_unique<ExecutorWriter>(executor, db, points,
                                          std::move(hooks));
}

}  // namespace midwatch
