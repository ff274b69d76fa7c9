#include "store/sqlite_store.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/mutex.h"
#include "base/sqlite.h"
#include "base/status_macros.h"
#include "store/dir_lock.h"
#include "store/event_log.h"
#include "store/event_retention.h"
#include "store/file_identity.h"
#include "store/group_commit.h"
#include "store/queue_reader.h"
#include "store/queue_writer.h"
#include "store/schema.h"

namespace midwatch {
namespace {

constexpr int64_t kFreeBytesMin = int64_t{1} << 30;
constexpr int64_t kLogBytesKept = int64_t{96} << 20;

bool NearlyFull(const std::string& dir) {
  struct statvfs info;
  if (statvfs(dir.c_str(), &info) != 0) return false;
  int64_t block = static_cast<int64_t>(info.f_frsize);
  int64_t free = static_cast<int64_t>(info.f_bavail) * block;
  int64_t total = static_cast<int64_t>(info.f_blocks) * block;
  return free < std::min(kFreeBytesMin, total / 20);
}

// Looks at the disk at most once a second: submissions come by the thousand.
class DiskWatch {
 public:
  DiskWatch(const Clock& clock, std::string dir, bool enabled)
      : clock_(clock), dir_(std::move(dir)), enabled_(enabled) {}

  bool NearlyFull() {
    if (!enabled_) return false;
    absl::Duration now = clock_.Steady();
    if (now >= next_look_) {
      next_look_ = now + absl::Seconds(1);
      full_ = midwatch::NearlyFull(dir_);
    }
    return full_;
  }

 private:
  const Clock& clock_;
  std::string dir_;
  bool enabled_;
  absl::Duration next_look_ = -absl::InfiniteDuration();
  bool full_ = false;
};

class SqliteStoreImpl final : public SqliteStore {
 public:
  SqliteStoreImpl(Executor& executor, BlockingPool& pool, const Clock& clock,
                  const SqliteStoreOptions& options)
      : executor_(executor),
        pool_(pool),
        options_(options),
        disk_(clock, options.dir, options.watch_disk_space) {}

  // Writers commit what waits and finish first; the members that they use go
  // after them.
  ~SqliteStoreImpl() override {
    closing_ = true;
    queue_ops_.reset();
    events_ops_.reset();
  }

  absl::Status Open(const Clock& clock, Random& random) {
    ASSIGN_OR_RETURN(lock_, DirLock::Take(options_.dir));
    SqliteOptions sqlite{.vfs = options_.vfs};
    ASSIGN_OR_RETURN(queue_db_, Sqlite::Open(QueuePath(), sqlite));
    RETURN_IF_ERROR(Migrate(*queue_db_, QueueSchema(), QueuePath()));
    ASSIGN_OR_RETURN(events_db_, Sqlite::Open(EventsPath(), sqlite));
    RETURN_IF_ERROR(Migrate(*events_db_, EventsSchema(), EventsPath()));
    RETURN_IF_ERROR(LoadCluster(random));
    FaultPoint("store.cluster.after");
    RETURN_IF_ERROR(CheckIsOriginal());
    FaultPoint("store.identity.after");
    // What a log that was held has grown to is given back.
    const std::string limit =
        absl::StrCat("PRAGMA journal_size_limit=", kLogBytesKept);
    RETURN_IF_ERROR(queue_db_->Script(limit));
    RETURN_IF_ERROR(events_db_->Script(limit));
    queue_.emplace(*queue_db_, clock, [this] { return disk_.NearlyFull(); });
    RETURN_IF_ERROR(queue_->Load());
    const WriterHooks hooks{.after_commit = [this] { NotifyCommit(); },
                            .between = [this] { return queue_->NextFiling(); }};
    if (options_.threads) {
      // They read the log and write pages, so they need no cache.
      const SqliteOptions folding{.cache_kib = 256, .vfs = options_.vfs};
      ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> queue_wal,
                       Sqlite::Open(QueuePath(), folding));
      ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> events_wal,
                       Sqlite::Open(EventsPath(), folding));
      queue_ops_ = MakeThreadWriter("queue-writer", *queue_db_,
                                    std::move(queue_wal), kQueueCommit, hooks);
      events_ops_ = MakeThreadWriter("events-writer", *events_db_,
                                     std::move(events_wal), kEventsCommit, {});
    } else {
      queue_ops_ =
          MakeExecutorWriter(executor_, *queue_db_, kQueueCommit, hooks);
      events_ops_ =
          MakeExecutorWriter(executor_, *events_db_, kEventsCommit, {});
    }
    return absl::OkStatus();
  }

  void AppendEvents(EventChunk chunk, Callback<int64_t> done) override {
    auto end = std::make_shared<int64_t>(0);
    events_ops_->Submit(WriteOp{
        .run = [this, chunk = std::move(chunk), end]() -> absl::Status {
          ASSIGN_OR_RETURN(*end, AppendEventChunk(*events_db_, chunk));
          return absl::OkStatus();
        },
        .finish =
            [this, end, done = std::move(done)](absl::Status status) mutable {
              PostHome([status = std::move(status), end,
                        done = std::move(done)]() mutable {
                if (!status.ok()) return done(std::move(status));
                done(*end);
              });
            }});
  }

  void CopyTo(
      const std::string& folder, std::function<bool()> stop,
      absl::AnyInvocable<void(absl::StatusOr<DatabaseCopy>)> done) override {
    queue_ops_->HoldLog();
    events_ops_->HoldLog();
    auto copy = [this, folder, stop = std::move(stop),
                 done = std::move(done)]() mutable {
      absl::StatusOr<DatabaseCopy> result =
          CopyDatabases(options_.dir, options_.vfs, folder, stop);
      queue_ops_->ReleaseLog();
      events_ops_->ReleaseLog();
      done(std::move(result));
    };
    // What was begun before may still wait for readers.
    AfterWriters([this, copy = std::move(copy)]() mutable {
      pool_.Run(std::move(copy));
    });
  }

  void DropEvents(
      absl::Time before,
      absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) override {
    pool_.Run([this, before, done = std::move(done)]() mutable {
      absl::StatusOr<OldEvents> old =
          FindOldEvents(options_.dir, options_.vfs, before);
      if (!old.ok()) return done(old.status());
      DropSome(*events_ops_, *old, std::move(done));
    });
  }

  void DropDeletedEvents(
      absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) override {
    pool_.Run([this, done = std::move(done)]() mutable {
      absl::StatusOr<DeletedEvents> deleted =
          FindDeletedEvents(options_.dir, options_.vfs);
      if (!deleted.ok()) return done(deleted.status());
      DropDeleted(*events_ops_,
                  std::make_shared<DeletedEvents>(*std::move(deleted)),
                  std::move(done));
    });
  }

  void SetCommitListener(
      std::function<void(const std::vector<int64_t>&)> listener) override {
    commit_listener_ = std::make_shared<
        const std::function<void(const std::vector<int64_t>&)>>(
        std::move(listener));
  }

  uint16_t cluster() const override { return cluster_; }

  std::string cluster_mark() const override {
    std::string mark = absl::StrCat(absl::Hex(cluster_, absl::kZeroPad4));
    if (life_ > 1) absl::StrAppend(&mark, ".", life_);
    return mark;
  }

 protected:
  void ApplyWrite(Write write, Callback<WriteResult> done) override {
    auto result = std::make_shared<absl::StatusOr<WriteResult>>(
        absl::UnknownError("not run"));
    queue_ops_->Submit(
        WriteOp{.run =
                    [this, write = std::move(write), result] {
                      *result = queue_->Apply(write);
                      return result->status();
                    },
                .finish =
                    [this, result,
                     done = std::move(done)](absl::Status status) mutable {
                      if (!status.ok()) {
                        // It may be the commit that failed.
                        queue_->Forget();
                        *result = std::move(status);
                      }
                      PostHome([result, done = std::move(done)]() mutable {
                        done(std::move(*result));
                      });
                    }});
  }

  void ReadWith(absl::AnyInvocable<void(StoreReader&)> work) override {
    pool_.Run([this, work = std::move(work)]() mutable {
      absl::StatusOr<std::unique_ptr<SqliteReader>> reader = TakeReader();
      absl::Status status = reader.status();
      if (reader.ok()) status = (*reader)->BeginMoment();
      // Opened once before, so a failure here is a machine out of files or
      // memory.
      if (!status.ok()) {
        BrokenReader broken(absl::UnavailableError(status.message()));
        work(broken);
        return;
      }
      work(**reader);
      (*reader)->EndMoment();
      MutexLock lock(readers_mutex_);
      idle_readers_.push_back(*std::move(reader));
    });
  }

  void PostHome(absl::AnyInvocable<void()> task) override {
    executor_.Post(std::move(task));
  }

 private:
  // Calls `then` once both writers are past all that was submitted before.
  void AfterWriters(absl::AnyInvocable<void()> then) {
    auto nothing = [] { return absl::OkStatus(); };
    queue_ops_->Submit(
        WriteOp{.run = nothing,
                .finish = [this, nothing,
                           then = std::move(then)](absl::Status) mutable {
                  events_ops_->Submit(WriteOp{
                      .run = nothing,
                      .finish = [then = std::move(then)](absl::Status) mutable {
                        then();
                      }});
                }});
  }

  // One step, which plans the next, as long as the store is open. `events` is
  // its writer, also while that ends.
  void DropSome(Writer& events, const OldEvents& old,
                absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) {
    if (closing_) return done(absl::CancelledError("the store closes"));
    auto next = std::make_shared<OldEvents>();
    events.Submit(WriteOp{.run =
                              [this, old, next] {
                                *next = old;
                                return DropOldEvents(*events_db_, *next);
                              },
                          .finish =
                              [this, &events, next, done = std::move(done)](
                                  absl::Status status) mutable {
                                if (!status.ok())
                                  return done(std::move(status));
                                if (next->more)
                                  return DropSome(events, *next,
                                                  std::move(done));
                                done(next->dropped);
                              }});
  }

  // As DropSome, an attempt's chunks at a time.
  void DropDeleted(Writer& events, std::shared_ptr<DeletedEvents> deleted,
                   absl::AnyInvocable<void(absl::StatusOr<int64_t>)> done) {
    if (closing_) return done(absl::CancelledError("the store closes"));
    if (deleted->grants.empty()) return done(deleted->dropped);
    auto next = std::make_shared<DeletedEvents>();
    events.Submit(
        WriteOp{.run =
                    [this, deleted, next] {
                      *next = {{deleted->grants.back()}, 0};
                      return midwatch::DropDeletedEvents(*events_db_, *next);
                    },
                .finish =
                    [this, &events, deleted, next,
                     done = std::move(done)](absl::Status status) mutable {
                      if (!status.ok()) return done(std::move(status));
                      deleted->dropped += next->dropped;
                      if (next->grants.empty()) deleted->grants.pop_back();
                      DropDeleted(events, std::move(deleted), std::move(done));
                    }});
  }

  // Answers every read with one failure.
  class BrokenReader final : public StoreReader {
   public:
    explicit BrokenReader(absl::Status status) : status_(std::move(status)) {}
    absl::StatusOr<TaskRecord> GetTask(RowKey) override { return status_; }
    absl::StatusOr<BatchRecord> GetBatch(RowKey) override { return status_; }
    absl::StatusOr<TaskStanding> ReadTaskStanding(RowKey, absl::Time) override {
      return status_;
    }
    absl::StatusOr<KindRecord> ReadKind(const std::string&) override {
      return status_;
    }
    absl::StatusOr<RowPage<TaskRecord>> ListTasks(const TaskFilter&, int64_t,
                                                  int) override {
      return status_;
    }
    absl::StatusOr<RowPage<BatchRecord>> ListBatches(const BatchFilter&,
                                                     int64_t, int) override {
      return status_;
    }
    absl::StatusOr<v1::TaskSpec> FindBatchSpec(const std::string&) override {
      return status_;
    }
    absl::StatusOr<std::vector<JournalRecord>> ListJournal(int64_t, int64_t,
                                                           int) override {
      return status_;
    }
    absl::StatusOr<int64_t> LastJournalSeq() override { return status_; }
    absl::StatusOr<RowPage<JournalRecord>> ListMoney(const MoneyFilter&,
                                                     int64_t, int) override {
      return status_;
    }
    absl::StatusOr<RowPage<BudgetRecord>> ListBudgets(absl::Time, int64_t,
                                                      int) override {
      return status_;
    }
    absl::StatusOr<ScheduleRecord> FindSchedule(const std::string&,
                                                int) override {
      return status_;
    }
    absl::StatusOr<RowPage<ScheduleRecord>> ListSchedules(int64_t,
                                                          int) override {
      return status_;
    }
    absl::StatusOr<v1::SubmitBatchRequest> ReadScheduleStep(int64_t, int64_t,
                                                            int64_t) override {
      return status_;
    }
    absl::StatusOr<std::vector<AccountRecord>> ListAccounts() override {
      return status_;
    }
    absl::StatusOr<std::vector<QueueRecord>> ListQueues(const std::string&,
                                                        int) override {
      return status_;
    }
    absl::StatusOr<std::vector<TenantRecord>> ListTenants(const std::string&,
                                                          int) override {
      return status_;
    }
    absl::StatusOr<std::vector<KeyRecord>> ListKeyCaps(
        const std::string&) override {
      return status_;
    }
    absl::StatusOr<QueueRecord> GetQueue(const std::string&) override {
      return status_;
    }
    absl::StatusOr<TenantRecord> GetTenant(const std::string&) override {
      return status_;
    }
    absl::StatusOr<std::vector<LiveRecord>> ListLive() override {
      return status_;
    }
    absl::StatusOr<std::vector<RowKey>> ListCancellingBatches() override {
      return status_;
    }
    absl::StatusOr<std::vector<RowKey>> ListDeletingBatches() override {
      return status_;
    }
    absl::StatusOr<RowPage<Ended>> ListEndedBatches(int64_t, int) override {
      return status_;
    }
    absl::StatusOr<RowPage<Ended>> ListEndedTasks(v1::TaskState, int64_t,
                                                  int) override {
      return status_;
    }
    absl::StatusOr<absl::Time> LastDeletion() override { return status_; }
    absl::StatusOr<absl::Time> NextTimer() override { return status_; }
    absl::StatusOr<std::vector<int64_t>> ListAwakeSchedules() override {
      return status_;
    }
    absl::StatusOr<std::vector<DueHook>> ListDueHooks(absl::Time,
                                                      int) override {
      return status_;
    }
    absl::StatusOr<std::vector<std::pair<std::string, std::string>>>
    FindRemoteIds(const std::string&,
                  const std::vector<std::string>&) override {
      return status_;
    }
    absl::StatusOr<std::vector<std::string>> ReadEvents(int64_t,
                                                        int64_t) override {
      return status_;
    }
    absl::StatusOr<int64_t> CountEvents(int64_t) override { return status_; }

   private:
    absl::Status status_;
  };

  std::string QueuePath() const { return options_.dir + "/queue.db"; }
  std::string EventsPath() const { return options_.dir + "/events.db"; }

  absl::Status LoadCluster(Random& random) {
    RETURN_IF_ERROR(
        queue_db_->Run("INSERT INTO meta(key, value) VALUES ('cluster', ?) "
                       "ON CONFLICT DO NOTHING",
                       static_cast<int64_t>(random.Next() & 0xffff)));
    SqliteStatement row =
        queue_db_->Query("SELECT value FROM meta WHERE key = 'cluster'");
    if (row.Step()) cluster_ = static_cast<uint16_t>(row.Int(0));
    return row.status();
  }

  absl::StatusOr<int64_t> ReadMeta(const char* key, int64_t otherwise) {
    SqliteStatement row =
        queue_db_->Query("SELECT value FROM meta WHERE key = ?", key);
    if (row.Step()) return row.Int(0);
    RETURN_IF_ERROR(row.status());
    return otherwise;
  }

  absl::Status CheckIsOriginal() {
    // Files of another VFS have no identity, and nobody copies them.
    if (!options_.vfs.empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(life_, ReadMeta("life", 0));
    ASSIGN_OR_RETURN(std::optional<FileIdentity> known, IdentityIn(*queue_db_));
    ASSIGN_OR_RETURN(FileIdentity found, IdentityOf(QueuePath()));
    if (known && IsSameFile(*known, found)) return absl::OkStatus();
    if (known && !options_.moved) {
      return absl::FailedPreconditionError(absl::StrCat(
          QueuePath(),
          " is a copy: it was made as another file. Two schedulers on copies "
          "of one queue would run its tasks twice. If nothing uses the "
          "original any more, start `midwatch scheduler` or `midwatch run` "
          "once with --moved"));
    }
    RETURN_IF_ERROR(BeginLife(*queue_db_, QueuePath()));
    ASSIGN_OR_RETURN(life_, ReadMeta("life", 0));
    return absl::OkStatus();
  }

  absl::StatusOr<std::unique_ptr<SqliteReader>> TakeReader() {
    {
      MutexLock lock(readers_mutex_);
      if (!idle_readers_.empty()) {
        std::unique_ptr<SqliteReader> reader = std::move(idle_readers_.back());
        idle_readers_.pop_back();
        return reader;
      }
    }
    SqliteOptions sqlite{
        .read_only = true, .cache_kib = 8 * 1024, .vfs = options_.vfs};
    ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> queue,
                     Sqlite::Open(QueuePath(), sqlite));
    ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> events,
                     Sqlite::Open(EventsPath(), sqlite));
    return std::make_unique<SqliteReader>(std::move(queue), std::move(events));
  }

  // On the writer's thread, after a commit.
  void NotifyCommit() {
    std::vector<int64_t> batches = queue_->TakeTouchedBatches();
    if (batches.empty() || commit_listener_ == nullptr) return;
    PostHome([listener = commit_listener_, batches = std::move(batches)] {
      (*listener)(batches);
    });
  }

  Executor& executor_;
  BlockingPool& pool_;
  const SqliteStoreOptions options_;
  DiskWatch disk_;
  std::unique_ptr<DirLock> lock_;
  std::unique_ptr<Sqlite> queue_db_, events_db_;
  std::optional<QueueWriter> queue_;
  uint16_t cluster_ = 0;
  int64_t life_ = 0;  // from 1
  std::atomic<bool> closing_ = false;
  // Set before the first write, read by the writer's thread.
  std::shared_ptr<const std::function<void(const std::vector<int64_t>&)>>
      commit_listener_;
  Mutex readers_mutex_;
  std::vector<std::unique_ptr<SqliteReader>> idle_readers_
      ABSL_GUARDED_BY(readers_mutex_);
  std::unique_ptr<Writer> queue_ops_, events_ops_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteStore>> OpenSqliteStore(
    Executor& executor, BlockingPool& pool, const Clock& clock, Random& random,
    const SqliteStoreOptions& options) {
  auto store =
      std::make_unique<SqliteStoreImpl>(executor, pool, clock, options);
  RETURN_IF_ERROR(store->Open(clock, random));
  return store;
}

}  // namespace midwatch
