// Backups of a scheduler's data, and what is made of them again. A backup is a
// folder:
//
//   queue.db, events.db   as of one moment
//   artifacts/            every artifact that queue.db refers to
//   backup.json           a v1::Backup; written last
#ifndef MIDWATCH_SCHEDULER_BACKUP_H_
#define MIDWATCH_SCHEDULER_BACKUP_H_

#include <functional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "artifacts/directory_store.h"
#include "base/blocking_pool.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "midwatch/v1/admin_service.pb.h"
#include "store/sqlite_store.h"

namespace midwatch {

// Makes backups of a running scheduler, one at a time. Thread-safe. Everything
// outlives it, and it outlives what it has begun.
class Backups {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<v1::Backup>)>;

  Backups(SqliteStore& store, const ArtifactDirectory& artifacts,
          BlockingPool& pool, const Clock& clock)
      : store_(store), artifacts_(artifacts), pool_(pool), clock_(clock) {}

  // As AdminService.CreateBackup says. `stop` is asked again and again; once it
  // returns true, the backup is given up (kCancelled). Never blocks; both are
  // called on threads of the pool.
  void Create(const std::string& path, std::function<bool()> stop, Done done);

 private:
  absl::Status Begin(const std::string& path);
  absl::StatusOr<v1::Backup> Finish(const std::string& path,
                                    const v1::Backup& begun,
                                    const DatabaseCopy& copy,
                                    const std::function<bool()>& stop);
  void End();

  SqliteStore& store_;
  const ArtifactDirectory& artifacts_;
  BlockingPool& pool_;
  const Clock& clock_;
  Mutex mutex_;
  bool under_way_ ABSL_GUARDED_BY(mutex_) = false;
};

// Puts the backup at `path` into `state_dir`, where no queue may be, once it is
// checked: every byte of it is as it was when the backup was made. The queue
// appears there last. What it becomes is another life of its cluster (see
// SqliteStoreOptions::moved). Again after a crash: goes on from the beginning.
//   kInvalidArgument     no backup is at `path`, or it was not finished
//   kFailedPrecondition  there is something in `state_dir`, another process
//                        holds it, or a newer release made the backup
//   kDataLoss            the backup is damaged
absl::StatusOr<v1::Backup> RestoreBackup(const std::string& path,
                                         const std::string& state_dir);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_BACKUP_H_
