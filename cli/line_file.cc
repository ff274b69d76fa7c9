#include "cli/line_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace midwatch::cli {
namespace {

constexpr size_t kReadBytes = 1 << 20;
constexpr absl::string_view kByteOrderMark = "\xEF\xBB\xBF";

}  // namespace

absl::StatusOr<std::unique_ptr<LineFile>> LineFile::Open(
    const std::string& path, const char* what) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info = {};
  if (fd < 0 || fstat(fd, &info) != 0) {
    const int error = errno;
    if (fd >= 0) close(fd);
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read ", path, ": ", std::strerror(error)));
  }
  // Others, such as pipes, cannot be read twice.
  if (!S_ISREG(info.st_mode)) {
    close(fd);
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is not a regular file; expected ", what));
  }
  return std::unique_ptr<LineFile>(new LineFile(path, fd, info));
}

LineFile::~LineFile() { close(fd_); }

absl::Status LineFile::IsUnchanged() const {
  struct stat now = {};
  if (fstat(fd_, &now) == 0 && now.st_size == opened_.st_size &&
      now.st_mtim.tv_sec == opened_.st_mtim.tv_sec &&
      now.st_mtim.tv_nsec == opened_.st_mtim.tv_nsec) {
    return absl::OkStatus();
  }
  return absl::AbortedError(
      absl::StrCat(path_,
                   " was changed while it was read; leave it as it is "
                   "and start again"));
}

absl::StatusOr<bool> LineFile::ReadMore() {
  if (begin_ > 0) {
    std::memmove(&buffer_[0], buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_.size() < end_ + kReadBytes) buffer_.resize(end_ + kReadBytes);
  RETURN_IF_ERROR(IsUnchanged());
  ssize_t bytes = 0;
  do {
    bytes = pread(fd_, &buffer_[end_], kReadBytes, offset_);
  } while (bytes < 0 && errno == EINTR);
  if (bytes < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read ", path_, ": ", std::strerror(errno)));
  }
  end_ += static_cast<size_t>(bytes);
  offset_ += bytes;
  return bytes > 0;
}

absl::StatusOr<std::optional<absl::string_view>> LineFile::Next() {
  size_t seen = 0;  // of what is read and not given: no end of line in there
  while (true) {
    const absl::string_view rest(buffer_.data() + begin_, end_ - begin_);
    const size_t end = rest.find('\n', seen);
    const bool found = end != absl::string_view::npos;
    // One more: the CR before the LF.
    if ((found ? end : rest.size()) > kLineBytesMax + 1) {
      return absl::InvalidArgumentError(absl::StrCat(
          path_, ":", line_ + 1, ":1: the line has more than ", kLineBytesMax,
          " bytes; expected at most so many (large inputs belong in files of "
          "their own)"));
    }
    bool more = false;
    if (!found) {
      seen = rest.size();
      ASSIGN_OR_RETURN(more, ReadMore());
      if (more) continue;
    }
    if (!found && begin_ == end_) return std::nullopt;
    absl::string_view line(buffer_.data() + begin_,
                           found ? end : end_ - begin_);
    begin_ += line.size() + (found ? 1 : 0);
    if (++line_ == 1) line = absl::StripPrefix(line, kByteOrderMark);
    has_end_ = found;
    return absl::StripSuffix(line, "\r");
  }
}

void LineFile::Rewind() {
  begin_ = end_ = 0;
  offset_ = 0;
  line_ = 0;
  has_end_ = true;
}

}  // namespace midwatch::cli
