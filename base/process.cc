#include "base/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace midwatch {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& s : strings) {
    pointers.push_back(const_cast<char*>(s.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

OwnedFd& OwnedFd::operator=(OwnedFd&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

OwnedFd::~OwnedFd() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<pid_t> SpawnProcess(const SpawnRequest& request) {
  const int count = static_cast<int>(request.fds.size());
  // Above all targets, so that no dup2 in the child overwrites a source.
  std::vector<OwnedFd> sources;
  for (int fd : request.fds) {
    sources.emplace_back(fcntl(fd, F_DUPFD_CLOEXEC, count));
    if (sources.back().get() < 0) {
      return absl::ErrnoToStatus(errno, "cannot duplicate a descriptor");
    }
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int target = 0; target < count; ++target) {
    posix_spawn_file_actions_adddup2(&actions, sources[target].get(), target);
  }
  // Not everything in the process is opened close-on-exec (Asio's sockets).
  posix_spawn_file_actions_addclosefrom_np(&actions, count);
  if (!request.directory.empty()) {
    posix_spawn_file_actions_addchdir_np(&actions, request.directory.c_str());
  }

  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK |
                                            POSIX_SPAWN_SETSIGDEF |
                                            POSIX_SPAWN_SETSID);

  std::vector<char*> argv = Pointers(request.argv);
  std::vector<char*> environment = Pointers(request.environment);
  pid_t pid = -1;
  int error = posix_spawn(&pid, argv[0], &actions, &attributes, argv.data(),
                          environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    return absl::ErrnoToStatus(error,
                               absl::StrCat("cannot start ", request.argv[0]));
  }
  return pid;
}

// By number: glibc 2.36's header for these does not work in C++.
OwnedFd OpenProcess(pid_t pid) {
  return OwnedFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

void KillProcess(const OwnedFd& process) {
  syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0);
}

absl::StatusOr<OwnedFd> MemoryFile(const char* name, absl::string_view bytes) {
  OwnedFd fd(memfd_create(name, MFD_CLOEXEC));
  if (fd.get() < 0 ||
      write(fd.get(), bytes.data(), bytes.size()) !=
          static_cast<ssize_t>(bytes.size()) ||
      lseek(fd.get(), 0, SEEK_SET) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", name));
  }
  return fd;
}

}  // namespace midwatch
