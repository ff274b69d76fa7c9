// Where a session's commands run: bubblewrap with namespaces of its own (user,
// process, network, mount, IPC, host name), a seccomp filter and limits.
//
//   /workspace              the session's directory, where commands start
//   /mnt/session/uploads    its mounted files, read-only
//   /mnt/session/outputs    what becomes files of the session at idle
//   /tmp                    its own
//   /usr, /bin, /lib, ...   the machine's, read-only; of /etc a few files
//
// There is no network, and nothing else of the machine. A harness that runs as
// root gives each session a host uid of its own first, since bubblewrap alone
// would leave the files and the process limit to root.
#ifndef MIDWATCH_HARNESS_SANDBOX_H_
#define MIDWATCH_HARNESS_SANDBOX_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/process.h"

namespace midwatch::harness {

// Each holds for every single process, except the number of processes.
struct SandboxLimits {
  int64_t address_space_bytes = int64_t{8} << 30;
  absl::Duration cpu_time = absl::Hours(4);
  int64_t file_bytes = int64_t{4} << 30;
  // Of the session. Kept only where the harness runs as root: the kernel counts
  // by user, and another user's processes would count too.
  int64_t processes = 512;
};

struct SandboxOptions {
  SandboxLimits limits;
  // The session numbered n runs as uid (and gid) first_uid + n modulo
  // uid_count, where the harness runs as root.
  int64_t first_uid = 200'000;
  int64_t uid_count = 65'536;
  // No sandbox at all: commands run as the harness's user, see all its files
  // and the network, and find their directories in $SESSION_UPLOADS_DIR and
  // $SESSION_OUTPUTS_DIR.
  bool unsafe_none = false;
};

// The parts of a session's own directory, as the harness sees them.
std::string WorkspaceDir(const std::string& session_dir);
std::string OutputsDir(const std::string& session_dir);
std::string UploadsDir(const std::string& session_dir);

class Sandbox {
 public:
  explicit Sandbox(SandboxOptions options);

  // Whether the machine can do it, tried for real in the empty directory
  // `scratch_dir`, which is left filled. Blocks up to ten seconds.
  //   kFailedPrecondition  with the cause and its cure
  absl::Status Probe(const std::string& scratch_dir) const;

  // Makes the directories of a session at `session_dir` where they are missing,
  // and gives them to its user. Blocks.
  absl::Status Prepare(const std::string& session_dir,
                       int64_t session_number) const;

  // The descriptors that a command gets: its descriptor 3 is `control`. `info`
  // is written by bubblewrap and not passed on.
  struct Fds {
    int input;
    int output;  // and errors
    int control;
    int info;
  };
  // Starts `command` in the session's sandbox. The caller reaps the process.
  absl::StatusOr<pid_t> Spawn(const std::string& session_dir,
                              int64_t session_number,
                              const std::vector<std::string>& command,
                              const Fds& fds) const;

  // Whether bubblewrap writes the pid of the namespace's init to `info`.
  bool has_init() const { return !options_.unsafe_none; }

 private:
  int64_t UidOf(int64_t session_number) const;
  std::vector<std::string> CommandLine(const std::string& session_dir,
                                       int64_t session_number) const;

  SandboxOptions options_;
  bool as_root_;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_SANDBOX_H_
