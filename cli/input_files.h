// The local files that a batch names.
#ifndef MIDWATCH_CLI_INPUT_FILES_H_
#define MIDWATCH_CLI_INPUT_FILES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace midwatch::cli {

// Of one task: the service's own bound for a session.
inline constexpr size_t kInputsMax = 500;

struct InputFile {
  std::string sha256;
  int64_t size_bytes = 0;
};

// Reads each file once, however often it is named.
class InputFiles {
 public:
  // Symbolic links are followed.
  //   kInvalidArgument  missing, not a regular file, unreadable, or larger than
  //                     the 500 MB that the service takes; says which
  absl::StatusOr<InputFile> Read(const std::string& path);

  // A path for each content read so far.
  const std::map<std::string, std::string>& paths() const { return paths_; }
  // Of all these contents together.
  int64_t bytes() const { return bytes_; }

 private:
  std::map<std::string, absl::StatusOr<InputFile>> read_;
  std::map<std::string, std::string> paths_;
  int64_t bytes_ = 0;
};

struct GlobMatches {
  std::vector<std::string> files;  // sorted by bytes
  int left_out = 0;                // folders, devices, links to nothing
};

// The files that `pattern` matches (glob(7), without `**`), whatever the
// locale.
//   kInvalidArgument  the pattern holds `**`, or a folder cannot be read
absl::StatusOr<GlobMatches> FindFiles(const std::string& pattern);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_INPUT_FILES_H_
