#include "store/dir_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace midwatch {

namespace {

// What was just made outlives a power loss only once the directories above it
// are on the disk. Best effort: some file systems refuse.
void SyncParents(const std::string& dir) {
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(dir, error);
  while (!error && path.has_relative_path()) {
    path = path.parent_path();
    int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) continue;
    (void)fsync(fd);
    close(fd);
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<DirLock>> DirLock::Take(const std::string& dir) {
  std::error_code error;
  if (std::filesystem::create_directories(dir, error)) {
    std::filesystem::permissions(dir, std::filesystem::perms::owner_all, error);
  }
  if (error) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot make ", dir, ": ", error.message()));
  }
  SyncParents(dir);
  std::string path = dir + "/midwatch.lock";
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot open ", path, ": ", std::strerror(errno)));
  }
  std::unique_ptr<DirLock> lock(new DirLock(fd));
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char holder[32] = {};
    (void)!read(fd, holder, sizeof holder - 1);
    return absl::FailedPreconditionError(
        absl::StrCat(dir, " is in use by process ",
                     absl::StripAsciiWhitespace(absl::string_view(holder)),
                     "; stop it, or name another directory"));
  }
  std::string pid = absl::StrCat(getpid(), "\n");
  // For people only: the lock is what counts.
  (void)!ftruncate(fd, 0);
  (void)!pwrite(fd, pid.data(), pid.size(), 0);
  return lock;
}

DirLock::~DirLock() { close(fd_); }

}  // namespace midwatch
