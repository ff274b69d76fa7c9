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

WalKeeper::WalKeeper(Sqlite& db)
    : db_(db),
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
  int64_t pages = *wal_pages_;
  if (pages < next_try_pages_) {
    // The log was begun anew, so the next try is due at 16 MB again.
    if (pages < kPassivePages) next_try_pages_ = kPassivePages;
    return;
  }
  next_try_pages_ = pages + kPassivePages;
  FaultPoint("store.checkpoint.before");
  sqlite3_wal_checkpoint_v2(db_.raw(), nullptr,
                            pages >= kRestartPages ? SQLITE_CHECKPOINT_RESTART
                                                   : SQLITE_CHECKPOINT_PASSIVE,
                            nullptr, nullptr);
  FaultPoint("store.checkpoint.after");
}

namespace {

class ThreadWriter final : public Writer {
 public:
  ThreadWriter(const std::string& name, Sqlite& db, const CommitPoints& points,
               std::function<void()> after_commit)
      : db_(db),
        points_(points),
        wal_(db),
        after_commit_(std::move(after_commit)),
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
      CommitGroup(db_, points_, group, after_commit_);
      wal_.Keep();
    }
  }

  Sqlite& db_;
  const CommitPoints points_;
  WalKeeper wal_;
  std::function<void()> after_commit_;
  Mutex mutex_;
  CondVar wake_;
  std::deque<WriteOp> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  Thread thread_;
};

class ExecutorWriter final : public Writer {
 public:
  ExecutorWriter(Executor& executor, Sqlite& db, const CommitPoints& points,
                 std::function<void()> after_commit)
      : executor_(executor),
        db_(db),
        points_(points),
        wal_(db),
        after_commit_(std::move(after_commit)) {}

  void Submit(WriteOp op) override {
    waiting_.push_back(std::move(op));
    if (waiting_.size() > 1) return;
    executor_.Post([this] {
      std::vector<WriteOp> group = std::exchange(waiting_, {});
      CommitGroup(db_, points_, group, after_commit_);
      wal_.Keep();
    });
  }

 private:
  Executor& executor_;
  Sqlite& db_;
  const CommitPoints points_;
  WalKeeper wal_;
  std::function<void()> after_commit_;
  std::vector<WriteOp> waiting_;
};

}  // namespace

std::unique_ptr<Writer> MakeThreadWriter(const std::string& name, Sqlite& db,
                                         const CommitPoints& points,
                                         std::function<void()> after_commit) {
  return std::make_unique<ThreadWriter>(name, db, points,
                                        std::move(after_commit));
}

std::unique_ptr<Writer> MakeExecutorWriter(Executor& executor, Sqlite& db,
                                           const CommitPoints& points,
                                           std::function<void()> after_commit) {
  return std::make_unique<ExecutorWriter>(executor, db, points,
                                          std::move(after_commit));
}

}  // namespace midwatch
