// What making and restoring backups have in common.
#ifndef MIDWATCH_SCHEDULER_BACKUP_FILES_H_
#define MIDWATCH_SCHEDULER_BACKUP_FILES_H_

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "artifacts/directory_store.h"
#include "midwatch/v1/admin_service.pb.h"

namespace midwatch {

inline constexpr int kBackupFormat = 1;
inline constexpr char kBackupFile[] = "backup.json";

struct ArtifactsCopied {
  int64_t count = 0, bytes = 0;
  int64_t missing = 0;        // not there, or not what their name says
  std::string first_missing;  // "": none
};

// Copies each artifact that the queue.db of `folder` refers to from the
// directory `from` to `to`, durably, unless it is there.
//   kCancelled  `stop` returned true
absl::StatusOr<ArtifactsCopied> CopyArtifacts(
    const std::string& folder, const std::string& from,
    const ArtifactDirectory& to, const std::function<bool()>& stop);

// Writes a new file, durably.
absl::Status WriteNewFile(const std::string& path, const std::string& bytes);

// What was written to the file, or was made in, renamed into or removed from
// the folder, survives a power loss.
absl::Status SyncPath(const std::string& path);

// By errno. kResourceExhausted: the disk is full.
absl::Status FileError(const std::string& doing, const std::string& path);

absl::StatusOr<int64_t> SizeOf(const std::string& path);

std::string ToManifest(const v1::Backup& backup);
//   kInvalidArgument     it is no manifest
//   kFailedPrecondition  of another format
absl::StatusOr<v1::Backup> FromManifest(const std::string& text,
                                        const std::string& path);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_BACKUP_FILES_H_
