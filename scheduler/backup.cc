#include "scheduler/backup.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "scheduler/backup_files.h"
#include "store/database_check.h"

namespace midwatch {
namespace {

namespace fs = std::filesystem;

// Where a backup stands until it is whole. What is there of an earlier one
// goes, so nobody else may call a folder so.
std::string PartialOf(const std::string& path) {
  return path + ".midwatch-partial";
}

absl::Status CheckPath(const std::string& path) {
  if (!absl::StartsWith(path, "/") || absl::EndsWith(path, "/")) {
    return absl::InvalidArgumentError(
        "path: an absolute one is wanted, without a slash at its end");
  }
  std::error_code error;
  if (fs::exists(fs::symlink_status(path, error))) {
    return absl::AlreadyExistsError(
        absl::StrCat(path, " is there already; name a new folder"));
  }
  if (!fs::is_directory(fs::path(path).parent_path(), error)) {
    return absl::FailedPreconditionError(
        absl::StrCat(fs::path(path).parent_path().string(),
                     " is no folder of the scheduler's machine; make it, or "
                     "name another"));
  }
  return absl::OkStatus();
}

absl::Status Describe(const std::string& folder, v1::Backup& backup) {
  const std::string queue = folder + "/queue.db";
  const std::string events = folder + "/events.db";
  ASSIGN_OR_RETURN(*backup.mutable_queue_sha256(), Sha256HexOfFile(queue));
  ASSIGN_OR_RETURN(*backup.mutable_events_sha256(), Sha256HexOfFile(events));
  ASSIGN_OR_RETURN(int64_t queue_bytes, SizeOf(queue));
  ASSIGN_OR_RETURN(int64_t events_bytes, SizeOf(events));
  backup.set_queue_bytes(queue_bytes);
  backup.set_events_bytes(events_bytes);
  RETURN_IF_ERROR(
      WriteNewFile(absl::StrCat(folder, "/", kBackupFile), ToManifest(backup)));
  return SyncPath(folder);
}

}  // namespace

absl::Status Backups::Begin(const std::string& path) {
  RETURN_IF_ERROR(CheckPath(path));
  {
    MutexLock lock(mutex_);
    if (under_way_) {
      return absl::FailedPreconditionError(
          "another backup is under way; wait for its end");
    }
    under_way_ = true;
  }
  // Of one that ended with its process.
  const std::string partial = PartialOf(path);
  std::error_code ignored;
  fs::remove_all(partial, ignored);
  if (mkdir(partial.c_str(), 0700) == 0) return absl::OkStatus();
  absl::Status status = FileError("make", partial);
  End();
  return status;
}

void Backups::End() {
  MutexLock lock(mutex_);
  under_way_ = false;
}

void Backups::Create(const std::string& path, std::function<bool()> stop,
                     Done done) {
  pool_.Run([this, path, stop = std::move(stop),
             done = std::move(done)]() mutable {
    if (absl::Status status = Begin(path); !status.ok()) {
      return done(std::move(status));
    }
    v1::Backup begun;
    begun.set_format(kBackupFormat);
    const absl::Time now = clock_.Now();
    begun.mutable_at()->set_seconds(absl::ToUnixSeconds(now));
    store_.CopyTo(
        PartialOf(path), stop,
        [this, path, stop, begun,
         done = std::move(done)](absl::StatusOr<DatabaseCopy> copy) mutable {
          absl::StatusOr<v1::Backup> result =
              copy.ok() ? Finish(path, begun, *copy, stop) : copy.status();
          if (!result.ok()) {
            std::error_code ignored;
            fs::remove_all(PartialOf(path), ignored);
            LogWarning("backup failed",
                       {{"path", path}, {"why", result.status().message()}});
          }
          End();
          done(std::move(result));
        });
  });
}

absl::StatusOr<v1::Backup> Backups::Finish(const std::string& path,
                                           const v1::Backup& begun,
                                           const DatabaseCopy& copy,
                                           const std::function<bool()>& stop) {
  const std::string folder = PartialOf(path);
  v1::Backup backup = begun;
  backup.set_last_sequence(copy.last_seq);
  ASSIGN_OR_RETURN(QueueContent content, CheckDatabases(folder, stop));
  backup.set_cluster(content.cluster_mark);
  backup.set_batches(content.batches);
  backup.set_tasks(content.tasks);
  ASSIGN_OR_RETURN(ArtifactDirectory to,
                   ArtifactDirectory::Open(folder + "/artifacts"));
  // Those that the queue's rows name were there before the rows.
  ASSIGN_OR_RETURN(ArtifactsCopied artifacts,
                   CopyArtifacts(folder, artifacts_.root(), to, stop));
  backup.set_artifacts(artifacts.count);
  backup.set_artifact_bytes(artifacts.bytes);
  backup.set_missing_artifacts(artifacts.missing);
  backup.set_missing_sha256(artifacts.first_missing);
  RETURN_IF_ERROR(Describe(folder, backup));
  if (stop()) return absl::CancelledError("the backup was given up");
  if (std::rename(folder.c_str(), path.c_str()) != 0) {
    return FileError("make", path);
  }
  RETURN_IF_ERROR(SyncPath(fs::path(path).parent_path().string()));
  LogInfo("backup made", {{"path", path},
                          {"tasks", backup.tasks()},
                          {"artifacts", backup.artifacts()},
                          {"missing", backup.missing_artifacts()}});
  return backup;
}

}  // namespace midwatch
