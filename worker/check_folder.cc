#include "worker/check_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace midwatch {
namespace {

namespace fs = std::filesystem;

constexpr char kFolderPrefix[] = "midwatch-check-";
constexpr absl::Duration kLockedWithin = absl::Minutes(1);

// Nobody's, where somebody else has it.
OwnedFd LockFolder(const std::string& path) {
  OwnedFd fd(
      open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (fd.get() >= 0 && flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  return OwnedFd();
}

bool IsLeft(const OwnedFd& lock, absl::Time now) {
  struct stat info {};
  return lock.get() >= 0 && fstat(lock.get(), &info) == 0 &&
         info.st_uid == geteuid() &&
         absl::TimeFromTimespec(info.st_ctim) < now - kLockedWithin;
}

}  // namespace

absl::StatusOr<CheckFolder> CheckFolder::Make() {
  std::error_code error;
  std::string path =
      fs::temp_directory_path(error) / absl::StrCat(kFolderPrefix, "XXXXXX");
  if (error || mkdtemp(path.data()) == nullptr) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", path));
  }
  OwnedFd lock = LockFolder(path);
  return CheckFolder(std::move(path), std::move(lock));
}

CheckFolder::CheckFolder(std::string path, OwnedFd lock)
    : path_(std::move(path)), lock_(std::move(lock)) {}

CheckFolder::CheckFolder(CheckFolder&& other) noexcept
    : path_(std::exchange(other.path_, "")), lock_(std::move(other.lock_)) {}

CheckFolder::~CheckFolder() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

absl::Status CheckFolder::Add(const std::string& name,
                              const std::string& from) {
  std::error_code error;
  const fs::path to = fs::path(path_) / name;
  fs::create_directories(to.parent_path(), error);
  if (!error) fs::copy_file(from, to, error);
  // The artifact may be read-only; the copy is the check's.
  if (!error) {
    fs::permissions(to, fs::perms::owner_read | fs::perms::owner_write, error);
  }
  if (!error) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("cannot copy to ", to.string(), ": ", error.message()));
}

void RemoveLeftCheckFolders(absl::Time now) {
  std::error_code error;
  const fs::path parent = fs::temp_directory_path(error);
  for (fs::directory_iterator it(parent, error), end; !error && it != end;
       it.increment(error)) {
    const fs::path& path = it->path();
    if (!absl::StartsWith(path.filename().string(), kFolderPrefix)) continue;
    const OwnedFd lock = LockFolder(path);
    std::error_code ignored;
    if (IsLeft(lock, now)) fs::remove_all(path, ignored);
  }
}

}  // namespace midwatch
