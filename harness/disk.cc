#include "harness/disk.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/status_macros.h"

namespace midwatch::harness {
namespace {

namespace fs = std::filesystem;

absl::Status Failed(absl::string_view what, absl::string_view path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
}

absl::Status WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, "cannot write");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

absl::Status SyncDir(const std::string& dir) {
  OwnedFd fd(open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || fsync(fd.get()) != 0) return Failed("sync", dir);
  return absl::OkStatus();
}

absl::StatusOr<OwnedFd> CreateFile(const std::string& path) {
  OwnedFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444));
  if (fd.get() < 0) return Failed("make", path);
  return fd;
}

// Makes the bytes durable, and the entry that names them.
absl::Status Finish(const OwnedFd& fd, const std::string& path) {
  if (fsync(fd.get()) != 0) return Failed("sync", path);
  return SyncDir(fs::path(path).parent_path().string());
}

// Opens a regular file without following a link in its last part; no process
// that could exchange the parts before it is alive.
absl::StatusOr<OwnedFd> OpenRegular(const std::string& path) {
  OwnedFd fd(
      open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat info;
  if (fd.get() < 0 || fstat(fd.get(), &info) != 0) return Failed("open", path);
  if (!S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is no regular file"));
  }
  return fd;
}

// Hashes `from` and copies it to `to`, where that is a descriptor.
absl::StatusOr<StoredFile> HashAndCopy(int from, int to) {
  Sha256 hash;
  StoredFile stored;
  std::string buffer(1 << 20, '\0');
  if (lseek(from, 0, SEEK_SET) != 0) return Failed("rewind", "a file");
  while (true) {
    ssize_t count = read(from, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return absl::ErrnoToStatus(errno, "cannot read");
    if (count == 0) break;
    absl::string_view piece(buffer.data(), static_cast<size_t>(count));
    hash.Update(piece);
    stored.size_bytes += count;
    if (to >= 0) RETURN_IF_ERROR(WriteAll(to, piece));
  }
  stored.sha256 = hash.FinishHex();
  return stored;
}

}  // namespace

absl::StatusOr<OwnedFd> LockDataDir(const DataDir& dir) {
  for (const std::string& path :
       {dir.root, dir.files(), dir.sessions(), dir.spool()}) {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot make ", path, ": ", error.message()));
    }
  }
  // Uploads and transcripts may be anything: they are the owner's alone.
  if (chmod(dir.root.c_str(), 0700) != 0) return Failed("protect", dir.root);
  std::string path = dir.root + "/lock";
  OwnedFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd.get() < 0) return Failed("open", path);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(dir.root,
                     " is in use by another harness; stop it, or use another "
                     "data directory"));
  }
  return fd;
}

absl::Status RemoveOthers(const std::string& dir,
                          const std::set<std::string>& keep) {
  std::vector<std::string> others;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(dir, error)) {
    if (keep.count(entry.path().filename().string()) == 0) {
      others.push_back(entry.path().string());
    }
  }
  for (const std::string& path : others) RETURN_IF_ERROR(RemoveTree(path));
  return absl::OkStatus();
}

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  // Another may be removing it too.
  if (error && error != std::errc::no_such_file_or_directory) {
    return absl::UnavailableError(
        absl::StrCat("cannot remove ", path, ": ", error.message()));
  }
  return absl::OkStatus();
}

absl::StatusOr<StoredFile> StoreBytes(absl::string_view bytes,
                                      const std::string& path) {
  ASSIGN_OR_RETURN(OwnedFd fd, CreateFile(path));
  RETURN_IF_ERROR(WriteAll(fd.get(), bytes));
  RETURN_IF_ERROR(Finish(fd, path));
  return StoredFile{Sha256Hex(bytes), static_cast<int64_t>(bytes.size())};
}

absl::Status StoreLinks(
    const std::string& dir,
    const std::vector<std::pair<std::string, std::string>>& copies) {
  for (const auto& [from, to] : copies) {
    if (link(from.c_str(), to.c_str()) != 0) return Failed("link", from);
  }
  return copies.empty() ? absl::OkStatus() : SyncDir(dir);
}

absl::Status MountUploads(
    const std::string& uploads_dir,
    const std::vector<std::pair<std::string, std::string>>& mounts) {
  for (const auto& [from, name] : mounts) {
    fs::path to = fs::path(uploads_dir) / name;
    std::error_code error;
    fs::create_directories(to.parent_path(), error);
    if (error) {
      return absl::UnavailableError(absl::StrCat(
          "cannot make ", to.parent_path().string(), ": ", error.message()));
    }
    if (link(from.c_str(), to.c_str()) != 0 && errno != EEXIST) {
      return Failed("link", to.string());
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<OutputFile>> CollectOutputs(
    const std::string& outputs_dir,
    const std::map<std::string, std::string>& known,
    const std::string& store_prefix, const OutputLimits& limits, int& skipped) {
  std::vector<std::string> names;
  std::error_code error;
  // Does not walk into links.
  for (auto it = fs::recursive_directory_iterator(
           outputs_dir, fs::directory_options::skip_permission_denied, error);
       !error && it != fs::recursive_directory_iterator();
       it.increment(error)) {
    if (it->symlink_status(error).type() == fs::file_type::regular) {
      names.push_back(
          it->path().lexically_relative(outputs_dir).generic_string());
    }
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return absl::UnavailableError(
        absl::StrCat("cannot list ", outputs_dir, ": ", error.message()));
  }
  std::sort(names.begin(), names.end());

  std::vector<OutputFile> outputs;
  int taken = 0;
  for (const std::string& name : names) {
    const std::string path = outputs_dir + "/" + name;
    absl::StatusOr<OwnedFd> from = OpenRegular(path);
    struct stat info;
    if (!from.ok() || fstat(from->get(), &info) != 0 ||
        taken == limits.files_max || info.st_size > limits.bytes_max) {
      ++skipped;
      continue;
    }
    ++taken;
    ASSIGN_OR_RETURN(StoredFile found, HashAndCopy(from->get(), -1));
    auto it = known.find(name);
    if (it != known.end() && it->second == found.sha256) continue;
    OutputFile output{name, absl::StrCat(store_prefix, outputs.size()), {}};
    ASSIGN_OR_RETURN(OwnedFd to, CreateFile(output.path));
    ASSIGN_OR_RETURN(output.stored, HashAndCopy(from->get(), to.get()));
    RETURN_IF_ERROR(Finish(to, output.path));
    outputs.push_back(std::move(output));
  }
  return outputs;
}

}  // namespace midwatch::harness
