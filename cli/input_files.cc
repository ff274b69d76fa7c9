#include "cli/input_files.h"

#include <glob.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"

namespace midwatch::cli {
namespace {

constexpr int64_t kInputBytesMax = 500'000'000;

absl::StatusOr<InputFile> ReadInput(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read ", path, " (", std::strerror(errno), ")"));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, S_ISDIR(info.st_mode) ? " is a folder"
                                                 : " is not a regular file"));
  }
  if (info.st_size > kInputBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, " has ", info.st_size, " bytes, more than ", kInputBytesMax));
  }
  absl::StatusOr<std::string> sha256 = Sha256HexOfFile(path);
  if (!sha256.ok()) {
    return absl::InvalidArgumentError(sha256.status().message());
  }
  return InputFile{*std::move(sha256), info.st_size};
}

}  // namespace

absl::StatusOr<InputFile> InputFiles::Read(const std::string& path) {
  auto [entry, is_new] = read_.try_emplace(path, InputFile{});
  if (is_new) {
    entry->second = ReadInput(path);
    if (entry->second.ok() &&
        paths_.emplace(entry->second->sha256, path).second) {
      bytes_ += entry->second->size_bytes;
    }
  }
  return entry->second;
}

absl::StatusOr<GlobMatches> FindFiles(const std::string& pattern) {
  if (pattern.find("**") != std::string::npos) {
    return absl::InvalidArgumentError("'**' is not known in a glob");
  }
  // glob's own order is the locale's.
  glob_t found = {};
  std::unique_ptr<glob_t, void (*)(glob_t*)> freed(&found, globfree);
  const int error =
      glob(pattern.c_str(), GLOB_ERR | GLOB_NOSORT, nullptr, &found);
  if (error != 0 && error != GLOB_NOMATCH) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot read the folders of ", pattern, " (",
                     std::strerror(errno), ")"));
  }
  GlobMatches matches;
  for (size_t i = 0; i < found.gl_pathc; ++i) {
    struct stat info;
    if (stat(found.gl_pathv[i], &info) == 0 && S_ISREG(info.st_mode)) {
      matches.files.push_back(found.gl_pathv[i]);
    } else {
      ++matches.left_out;
    }
  }
  std::sort(matches.files.begin(), matches.files.end());
  return matches;
}

}  // namespace midwatch::cli
