// Starting other programs: no more of this process goes along than what is
// named.
#ifndef MIDWATCH_BASE_PROCESS_H_
#define MIDWATCH_BASE_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace midwatch {

// A file descriptor, closed when it goes.
class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept;
  ~OwnedFd();

  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

struct SpawnRequest {
  std::vector<std::string> argv;  // argv[0] is a path
  std::vector<std::string> environment;
  std::string directory;  // "": this process's
  // The child's descriptors 0, 1, ... in order; all others are closed. They
  // stay open here.
  std::vector<int> fds;
};

// Starts a program in a session and process group of its own. The caller reaps
// it. Linux signals a child that asked for it (bwrap --die-with-parent) when
// the thread that called this ends.
absl::StatusOr<pid_t> SpawnProcess(const SpawnRequest& request);

// A descriptor that becomes readable when the process ends, and that never
// means another process. Invalid where there is none.
OwnedFd OpenProcess(pid_t pid);
// SIGKILL; no effect where it has ended.
void KillProcess(const OwnedFd& process);

// A memory file that holds `bytes`, read from its beginning.
absl::StatusOr<OwnedFd> MemoryFile(const char* name, absl::string_view bytes);

}  // namespace midwatch

#endif  // MIDWATCH_BASE_PROCESS_H_
