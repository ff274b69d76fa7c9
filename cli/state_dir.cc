#include "cli/state_dir.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace midwatch::cli {
namespace {

namespace fs = std::filesystem;

std::string EnvironmentOr(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

absl::StatusOr<std::string> StateDirPath(const std::string& given) {
  if (!given.empty()) return given;
  const std::string home = EnvironmentOr("HOME", "");
  const std::string states = EnvironmentOr(
      "XDG_STATE_HOME", home.empty() ? "" : home + "/.local/state");
  if (!states.empty()) return states + "/midwatch";
  return absl::InvalidArgumentError(
      "neither HOME nor XDG_STATE_HOME is set; name a directory with "
      "--state-dir");
}

}  // namespace

absl::StatusOr<std::string> FindStateDir(const std::string& given) {
  ASSIGN_OR_RETURN(const std::string path, StateDirPath(given));
  std::error_code error;
  if (!fs::exists(path + "/queue.db", error)) return "";
  return OpenStateDir(path);
}

absl::StatusOr<std::string> OpenStateDir(const std::string& given) {
  ASSIGN_OR_RETURN(const std::string path, StateDirPath(given));
  std::error_code error;
  const bool is_new = fs::create_directories(path, error);
  if (!error && is_new) {
    fs::permissions(path, fs::perms::owner_all, error);
  }
  fs::path absolute = error ? fs::path() : fs::absolute(path, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot use the state directory ", path, ": ",
                     error.message(), "; name another with --state-dir"));
  }
  return absolute.string();
}

std::string SocketAddress(const std::string& state_dir) {
  const std::string path = state_dir + "/midwatch.sock";
  return path.size() < sizeof(sockaddr_un::sun_path)
             ? absl::StrCat("unix:", path)
             : "";
}

bool IsServed(const std::string& address) {
  const absl::string_view path = absl::StripPrefix(address, "unix:");
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(name.sun_path)) return false;
  std::memcpy(name.sun_path, path.data(), path.size());
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool served =
      connect(fd, reinterpret_cast<const sockaddr*>(&name), sizeof(name)) == 0;
  close(fd);
  return served;
}

}  // namespace midwatch::cli
