#include "net/spool_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"

namespace midwatch {

SpoolFile::~SpoolFile() {
  if (file_ != nullptr) std::fclose(file_);
  if (!path_.empty()) unlink(path_.c_str());
}

absl::Status SpoolFile::Create(const std::string& dir) {
  std::string path = dir + "/midwatch-body-XXXXXX";
  int fd = mkostemp(path.data(), O_CLOEXEC);
  if (fd < 0) {
    return absl::ErrnoToStatus(errno,
                               absl::StrCat("cannot make a file in ", dir));
  }
  path_ = std::move(path);
  file_ = fdopen(fd, "wb");
  if (file_ != nullptr) return absl::OkStatus();
  absl::Status status = ToStatus();
  close(fd);
  return status;
}

absl::Status SpoolFile::Append(absl::string_view bytes) {
  bool whole =
      std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size();
  return whole ? absl::OkStatus() : ToStatus();
}

absl::Status SpoolFile::Finish() {
  bool whole = std::fclose(std::exchange(file_, nullptr)) == 0;
  return whole ? absl::OkStatus() : ToStatus();
}

absl::Status SpoolFile::ToStatus() const {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
}

}  // namespace midwatch
