#ifndef MIDWATCH_NET_SPOOL_FILE_H_
#define MIDWATCH_NET_SPOOL_FILE_H_

#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace midwatch {

// A temporary file that is written once, then read by its path, and removed
// with the object, where it still has that path.
class SpoolFile {
 public:
  SpoolFile() = default;
  ~SpoolFile();
  SpoolFile(const SpoolFile&) = delete;
  SpoolFile& operator=(const SpoolFile&) = delete;

  // First of all, and once.
  absl::Status Create(const std::string& dir);
  absl::Status Append(absl::string_view bytes);
  // Nothing is appended after it.
  absl::Status Finish();
  // Empty before Create.
  const std::string& path() const { return path_; }

 private:
  absl::Status ToStatus() const;

  std::string path_;
  FILE* file_ = nullptr;
};

}  // namespace midwatch

#endif  // MIDWATCH_NET_SPOOL_FILE_H_
