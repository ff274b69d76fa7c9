#include "scheduler/backup_files.h"

#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "store/database_check.h"

namespace midwatch {
namespace {

// A file descriptor that is closed when it goes.
class OpenFile {
 public:
  OpenFile(const std::string& path, int flags)
      : fd_(open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~OpenFile() {
    if (fd_ >= 0) close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace

absl::Status FileError(const std::string& doing, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", doing, " ", path));
}

absl::Status SyncPath(const std::string& path) {
  OpenFile file(path, O_RDONLY);
  if (file.fd() < 0 || fsync(file.fd()) != 0) return FileError("sync", path);
  return absl::OkStatus();
}

absl::Status WriteNewFile(const std::string& path, const std::string& bytes) {
  OpenFile file(path, O_WRONLY | O_CREAT | O_EXCL);
  if (file.fd() < 0) return FileError("create", path);
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t n = write(file.fd(), bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno != EINTR) return FileError("write", path);
    if (n > 0) at += static_cast<size_t>(n);
  }
  if (fsync(file.fd()) != 0) return FileError("sync", path);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> SizeOf(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return FileError("look at", path);
  return int64_t{info.st_size};
}

absl::StatusOr<ArtifactsCopied> CopyArtifacts(
    const std::string& folder, const std::string& from,
    const ArtifactDirectory& to, const std::function<bool()>& stop) {
  ArtifactsCopied copied;
  std::set<std::string> missing;  // few, or the store is lost anyway
  auto copy = [&](const std::string& sha256) -> absl::Status {
    if (stop()) return absl::CancelledError("the copy was given up");
    if (!IsArtifactName(sha256)) {
      return absl::DataLossError(
          absl::StrCat("'", sha256, "' is no artifact's name"));
    }
    // By another task that refers to it.
    if (to.PathOf(sha256).ok() || missing.count(sha256) > 0) {
      return absl::OkStatus();
    }
    const std::string path =
        absl::StrCat(from, "/", sha256.substr(0, 2), "/", sha256.substr(2));
    absl::StatusOr<ArtifactRef> ref = to.PutFile(path);
    if (ref.ok() && ref->sha256 == sha256) {
      ++copied.count;
      copied.bytes += ref->size_bytes;
      return absl::OkStatus();
    }
    if (absl::IsResourceExhausted(ref.status())) return ref.status();
    // Of others, all but this one can still be saved.
    missing.insert(sha256);
    ++copied.missing;
    if (copied.first_missing.empty()) copied.first_missing = sha256;
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(ForEachArtifact(folder, copy));
  return copied;
}

std::string ToManifest(const v1::Backup& backup) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string text;
  // Fails for messages that are no JSON, such as Any; none is in it.
  (void)google::protobuf::util::MessageToJsonString(backup, &text, options);
  return text;
}

absl::StatusOr<v1::Backup> FromManifest(const std::string& text,
                                        const std::string& path) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  v1::Backup backup;
  if (!google::protobuf::util::JsonStringToMessage(text, &backup, options)
           .ok() ||
      backup.format() < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " does not describe a backup"));
  }
  if (backup.format() > kBackupFormat) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": a newer release made this backup; restore it with that one"));
  }
  return backup;
}

}  // namespace midwatch
