#include "cli/whole_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/random.h"

namespace midwatch::cli {
namespace {

bool WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return fsync(fd) == 0;
}

// Best effort: some file systems refuse.
void SyncFolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int fd = open(folder.empty() ? "." : folder.c_str(),
                      O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  (void)fsync(fd);
  close(fd);
}

}  // namespace

absl::Status WriteWholeFile(const std::string& path, absl::string_view bytes,
                            bool replace) {
  const std::string partial = absl::StrCat(path, ".", RealRandom().Hex(4));
  const int fd =
      open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  bool done = fd >= 0;
  if (done) {
    done = WriteAll(fd, bytes);
    const int error = errno;
    close(fd);
    errno = error;
  }
  if (done) {
    FaultPoint("client.file.before");
    done = replace ? std::rename(partial.c_str(), path.c_str()) == 0
                   : link(partial.c_str(), path.c_str()) == 0;
  }
  const int error = done ? 0 : errno;
  unlink(partial.c_str());  // gone already where it was renamed
  if (done) {
    SyncFolderOf(path);
    return absl::OkStatus();
  }
  if (error == EEXIST) {
    return absl::AlreadyExistsError(absl::StrCat(path, " is there"));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("cannot write ", path, ": ", std::strerror(error)));
}

}  // namespace midwatch::cli
