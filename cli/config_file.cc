#include "cli/config_file.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace midwatch::cli {

constexpr int64_t kFileBytesMax = 64 << 20;

absl::StatusOr<std::string> ReadConfigFile(const std::string& path,
                                           const char* what) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is not a file; expected ", what));
  }
  if (info.st_size > kFileBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " has ", info.st_size,
                     " bytes; expected at most 64 MiB (large inputs belong in "
                     "files of their own)"));
  }
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file),
                   std::istreambuf_iterator<char>()};
  if (!file.is_open() || file.bad()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
  }
  return text;
}

}  // namespace midwatch::cli
