#include "cli/secret_file.h"

#include <sys/stat.h>

#include <cstdio>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/mutex.h"
#include "cli/shell_words.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

// Whether `path` is seen for the first time.
bool IsFirst(const std::string& path) {
  static auto& mutex = *new Mutex();
  static auto& seen = *new std::set<std::string>();
  MutexLock lock(mutex);
  return seen.insert(path).second;
}

}  // namespace

void WarnIfOpenToAll(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return;
  const bool readable = (info.st_mode & S_IROTH) != 0;
  const bool writable = (info.st_mode & S_IWOTH) != 0;
  if ((!readable && !writable) || !IsFirst(path)) return;
  std::fputs(
      absl::StrCat("midwatch: warning: everybody on this machine may ",
                   readable ? "read " : "", readable && writable ? "and " : "",
                   writable ? "write " : "", Printable(path),
                   ", which holds secrets; `chmod 600 ",
                   Quoted(Printable(path)), "` mends that\n")
          .c_str(),
      stderr);
}

}  // namespace midwatch::cli
