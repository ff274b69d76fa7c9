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

// Not that of releases which locked nothing.
constexpr char kFolderPrefix[] = "midwatch-checking-";
// Each time that a sweep takes it for left, in the moment before it is locked.
constexpr int kTriesMax = 100;

OwnedFd OpenFolder(const std::string& path) {
  return OwnedFd(
      open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

bool Lock(const OwnedFd& folder) {
  return flock(folder.get(), LOCK_EX | LOCK_NB) == 0;
}

// No sweep has removed it meanwhile.
bool IsAt(const std::string& path, const OwnedFd& folder) {
  struct stat there {};
  struct stat opened {};
  return stat(path.c_str(), &there) == 0 && fstat(folder.get(), &opened) == 0 &&
         there.st_ino == opened.st_ino && there.st_dev == opened.st_dev;
}

bool IsOurs(const OwnedFd& folder) {
  struct stat info {};
  return fstat(folder.get(), &info) == 0 && info.st_uid == geteuid();
}

}  // namespace

absl::StatusOr<CheckFolder> CheckFolder::Make() {
  std::error_code error;
  const fs::path parent = fs::temp_directory_path(error);
  if (error) {
    return absl::InternalError(
        absl::StrCat("no directory for temporary files: ", error.message()));
  }
  for (int tries = 0; tries < kTriesMax; ++tries) {
    std::string path = parent / absl::StrCat(kFolderPrefix, "XXXXXX");
    if (mkdtemp(path.data()) == nullptr) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", path));
    }
    OwnedFd folder = OpenFolder(path);
    if (folder.get() < 0 && errno != ENOENT) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
    }
    if (folder.get() < 0 || (!Lock(folder) && errno == EWOULDBLOCK)) continue;
    // Where there are no locks it is had without, and no sweep gets one either.
    if (IsAt(path, folder)) {
      return CheckFolder(std::move(path), std::move(folder));
    }
  }
  return absl::UnavailableError(
      absl::StrCat("new directories in ", parent.string(), " vanish at once"));
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

void RemoveLeftCheckFolders() {
  std::error_code error;
  const fs::path parent = fs::temp_directory_path(error);
  for (fs::directory_iterator it(parent, error), end; !error && it != end;
       it.increment(error)) {
    const fs::path& path = it->path();
    if (!absl::StartsWith(path.filename().string(), kFolderPrefix)) continue;
    const OwnedFd folder = OpenFolder(path);
    std::error_code ignored;
    if (Lock(folder) && IsOurs(folder)) fs::remove_all(path, ignored);
  }
}

}  // namespace midwatch
