#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/sqlite.h"
#include "base/status_macros.h"
#include "scheduler/backup.h"
#include "scheduler/backup_files.h"
#include "store/database_check.h"
#include "store/dir_lock.h"
#include "store/file_identity.h"
#include "store/schema.h"

namespace midwatch {
namespace {

namespace fs = std::filesystem;

// What is restored stands in this folder of the state directory until it is
// whole: the same file system, wherever that is mounted.
constexpr char kStage[] = "restoring";
// In this order: a directory without a queue holds nothing yet.
constexpr const char* kParts[] = {"artifacts", "events.db", "queue.db"};

absl::StatusOr<v1::Backup> ReadManifest(const std::string& backup) {
  const std::string path = absl::StrCat(backup, "/", kBackupFile);
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file) {
    return absl::InvalidArgumentError(absl::StrCat(
        backup, " is no backup, or one that was not finished: it has no ",
        kBackupFile));
  }
  return FromManifest(text.str(), path);
}

// Nothing but what is left of a restore that was not finished.
absl::Status CheckEmpty(const std::string& state_dir) {
  std::error_code error;
  const bool unfinished =
      fs::exists(absl::StrCat(state_dir, "/", kStage), error) &&
      !fs::exists(state_dir + "/queue.db", error);
  for (const auto& entry : fs::directory_iterator(state_dir, error)) {
    const std::string name = entry.path().filename().string();
    if (name == "midwatch.lock" || name == "lost+found") continue;
    if (unfinished &&
        (name == kStage || name == "artifacts" || name == "events.db")) {
      continue;
    }
    return absl::FailedPreconditionError(absl::StrCat(
        state_dir, " is not empty: ", name,
        " is there; nothing is restored over it. Name another with "
        "--state-dir, or move it away"));
  }
  if (!error) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("cannot read ", state_dir, ": ", error.message()));
}

absl::Status CopyDatabase(const std::string& from, const std::string& to,
                          const std::string& sha256) {
  std::error_code error;
  fs::copy_file(from, to, error);
  if (error == std::errc::no_space_on_device) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot write ", to, ": the disk is full"));
  }
  if (error) {
    return absl::DataLossError(
        absl::StrCat("cannot copy ", from, ": ", error.message()));
  }
  RETURN_IF_ERROR(SyncPath(to));
  ASSIGN_OR_RETURN(std::string found, Sha256HexOfFile(to));
  if (found == sha256) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(from, " is not what it was when the backup was made"));
}

// Brings it to this release's schema.
absl::Status Update(const std::string& path, const SchemaSteps& steps) {
  ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> db, Sqlite::Open(path));
  return Migrate(*db, steps, path);
}

absl::Status CopyAll(const std::string& backup, const v1::Backup& manifest,
                     const std::string& stage) {
  const std::string queue = stage + "/queue.db", events = stage + "/events.db";
  RETURN_IF_ERROR(
      CopyDatabase(backup + "/queue.db", queue, manifest.queue_sha256()));
  RETURN_IF_ERROR(
      CopyDatabase(backup + "/events.db", events, manifest.events_sha256()));
  RETURN_IF_ERROR(Update(queue, QueueSchema()));
  RETURN_IF_ERROR(Update(events, EventsSchema()));
  const auto never = [] { return false; };
  RETURN_IF_ERROR(CheckDatabases(stage, never).status());
  ASSIGN_OR_RETURN(ArtifactDirectory to,
                   ArtifactDirectory::Open(stage + "/artifacts"));
  ASSIGN_OR_RETURN(ArtifactsCopied artifacts,
                   CopyArtifacts(stage, backup + "/artifacts", to, never));
  if (artifacts.missing > manifest.missing_artifacts()) {
    return absl::DataLossError(absl::StrCat(
        backup, " has lost ", artifacts.missing - manifest.missing_artifacts(),
        " artifacts, or they are damaged, such as ", artifacts.first_missing));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> db, Sqlite::Open(queue));
  return BeginLife(*db, queue);
}

absl::Status MoveIn(const std::string& stage, const std::string& state_dir) {
  RETURN_IF_ERROR(SyncPath(stage));
  for (const char* part : kParts) {
    const std::string from = absl::StrCat(stage, "/", part);
    const std::string to = absl::StrCat(state_dir, "/", part);
    if (std::rename(from.c_str(), to.c_str()) != 0) {
      return FileError("make", to);
    }
    RETURN_IF_ERROR(SyncPath(state_dir));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::Backup> RestoreBackup(const std::string& path,
                                         const std::string& state_dir) {
  ASSIGN_OR_RETURN(v1::Backup manifest, ReadManifest(path));
  ASSIGN_OR_RETURN(std::unique_ptr<DirLock> lock, DirLock::Take(state_dir));
  RETURN_IF_ERROR(CheckEmpty(state_dir));
  const std::string stage = absl::StrCat(state_dir, "/", kStage);
  std::error_code error;
  fs::remove_all(state_dir + "/artifacts", error);
  fs::remove(state_dir + "/events.db", error);
  fs::remove_all(stage, error);
  if (!fs::create_directory(stage, error)) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot make ", stage, ": ", error.message()));
  }
  absl::Status status = CopyAll(path, manifest, stage);
  if (status.ok()) status = MoveIn(stage, state_dir);
  fs::remove_all(stage, error);
  RETURN_IF_ERROR(status);
  return manifest;
}

}  // namespace midwatch
