#include "cli/api_key.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "cli/secret_file.h"
#include "cli/whole_file.h"

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
    WarnIfOpenToAll(path);
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
  if (access(path.c_str(), F_OK) != 0) {
    const std::string key = RealRandom().Hex(kKeyBytes);
    absl::Status made = WriteWholeFile(path, key + "\n", /*replace=*/false);
    if (made.ok()) return key;
    if (!absl::IsAlreadyExists(made)) return made;
  }
  return ReadApiKey(path, "ANTHROPIC_API_KEY");
}

}  // namespace midwatch::cli
