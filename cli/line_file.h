// A file of lines that is read from the beginning to the end, as often as need
// be, and never held in memory.
#ifndef MIDWATCH_CLI_LINE_FILE_H_
#define MIDWATCH_CLI_LINE_FILE_H_

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace midwatch::cli {

class LineFile {
 public:
  static constexpr size_t kLineBytesMax = 16 << 20;

  // `what` it should be: "a file with a task a line".
  //   kInvalidArgument  missing, not a regular file, or unreadable; says which
  static absl::StatusOr<std::unique_ptr<LineFile>> Open(const std::string& path,
                                                        const char* what);
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;

  // The next line without its end (LF or CR LF), until the next call; nothing
  // at the end of the file. A byte order mark before the first is left out.
  //   kInvalidArgument  "FILE:LINE:1: ...": longer than kLineBytesMax, or the
  //                     file cannot be read
  //   kAborted          the file is not any more what it was when it was opened
  absl::StatusOr<std::optional<absl::string_view>> Next();

  // From the first line again.
  void Rewind();

  const std::string& path() const { return path_; }
  // Of the line that Next gave last, from 1; 0 before the first.
  int64_t line() const { return line_; }
  // The last line that Next gave has an end.
  bool has_end() const { return has_end_; }

 private:
  LineFile(std::string path, int fd, const struct stat& opened)
      : path_(std::move(path)), fd_(fd), opened_(opened) {}

  // Makes room and reads more; false at the end of the file.
  absl::StatusOr<bool> ReadMore();
  absl::Status IsUnchanged() const;

  const std::string path_;
  const int fd_;
  const struct stat opened_;
  std::string buffer_;
  size_t begin_ = 0, end_ = 0;  // what is read and not given yet
  int64_t offset_ = 0;          // in the file, of the end of it
  int64_t line_ = 0;
  bool has_end_ = true;
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_LINE_FILE_H_
