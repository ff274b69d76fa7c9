#include "cli/api_key.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"

namespace midwatch::cli {
namespace {

constexpr int kKeyBytes = 32;

}  // namespace

absl::StatusOr<std::string> ReadApiKey(const std::string& path,
                                       const char* variable) {
  std::string key;
  std::string place = variable;
  if (path.empty()) {
    const char* value = std::getenv(variable);
    key = value != nullptr ? value : "";
  } else {
    place = path;
    std::ifstream file(path, std::ios::binary);
    if (!file.is_open()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "cannot read the key file ", path, ": ", std::strerror(errno)));
    }
    key.assign(std::istreambuf_iterator<char>(file),
               std::istreambuf_iterator<char>());
  }
  key = std::string(absl::StripAsciiWhitespace(key));
  if (key.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("no API key in ", place, "; set ", variable,
                     ", or name a file that holds it with --api-key-file"));
  }
  for (char c : key) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) {
      return absl::InvalidArgumentError(absl::StrCat(
          "what ", place, " holds is no API key; expected printable ASCII"));
    }
  }
  return key;
}

absl::StatusOr<std::string> ReadOrMakeApiKey(const std::string& path) {
  const int fd =
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd >= 0) {
    const std::string key = RealRandom().Hex(kKeyBytes);
    const std::string line = key + "\n";
    const bool written = write(fd, line.data(), line.size()) ==
                         static_cast<ssize_t>(line.size());
    close(fd);
    if (written) return key;
    unlink(path.c_str());
    return absl::FailedPreconditionError(
        absl::StrCat("cannot write the key file ", path));
  }
  if (errno != EEXIST) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot make the key file ", path, ": ", std::strerror(errno)));
  }
  return ReadApiKey(path, "ANTHROPIC_API_KEY");
}

}  // namespace midwatch::cli
