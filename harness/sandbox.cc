#include "harness/sandbox.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "harness/seccomp.h"

namespace midwatch::harness {
namespace {

namespace fs = std::filesystem;

// Inside, every session is this user.
constexpr char kPasswd[] = "user:x:1000:1000::/workspace:/bin/bash\n";
constexpr char kGroup[] = "user:x:1000:\n";

// What a command gets at these descriptors besides 0 to 3.
constexpr char kSeccompFd[] = "4";
constexpr char kInfoFd[] = "5";

// A root harness binds the session's directory here, in a mount namespace that
// only the sandbox is in: the session's user may not be able to walk to the
// directory itself (below /root, say).
constexpr char kRootView[] = "/mnt";

void Append(std::vector<std::string>& to, std::vector<std::string> more) {
  for (std::string& word : more) to.push_back(std::move(word));
}

std::vector<std::string> Words(absl::string_view text) {
  return absl::StrSplit(text, ' ');
}

// /bin and its like are links into /usr on a merged system.
void AppendSystemDirs(std::vector<std::string>& argv) {
  Append(argv, {"--ro-bind", "/usr", "/usr", "--ro-bind-try", "/opt", "/opt"});
  for (const char* dir : {"/bin", "/sbin", "/lib", "/lib32", "/lib64"}) {
    std::error_code error;
    fs::path target = fs::read_symlink(dir, error);
    if (!error) {
      Append(argv, {"--symlink", target.string(), dir});
    } else {
      Append(argv, {"--ro-bind-try", dir, dir});
    }
  }
  for (const char* file :
       {"/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf",
        "/etc/ld.so.conf.d", "/etc/localtime", "/etc/ssl/certs"}) {
    Append(argv, {"--ro-bind-try", file, file});
  }
}

absl::Status MakeDir(const std::string& path, mode_t mode, int64_t owner) {
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", path));
  }
  if (owner >= 0 && chown(path.c_str(), static_cast<uid_t>(owner),
                          static_cast<gid_t>(owner)) != 0) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("cannot give ", path, " to uid ", owner));
  }
  return absl::OkStatus();
}

absl::Status WriteOnce(const std::string& path, const char* text) {
  std::error_code error;
  if (fs::exists(path, error)) return absl::OkStatus();
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) return absl::UnavailableError(absl::StrCat("cannot write ", path));
  return absl::OkStatus();
}

// Reads what the probe wrote and waits for its end, ten seconds at most.
absl::Status AwaitProbe(pid_t pid, int output) {
  std::string said;
  OwnedFd process = OpenProcess(pid);
  pollfd ended = {process.get(), POLLIN, 0};
  bool in_time = poll(&ended, 1, 10'000) == 1;
  if (!in_time) kill(pid, SIGKILL);
  int status = 0;
  waitpid(pid, &status, 0);
  char buffer[4096];
  ssize_t count = read(output, buffer, sizeof buffer);
  if (count > 0) said.assign(buffer, static_cast<size_t>(count));
  if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "the sandbox does not work on this machine: ",
      in_time ? said : "bubblewrap did not answer within 10 s",
      "\nIt needs bubblewrap 0.8 or later, util-linux and user namespaces: "
      "look at `sysctl user.max_user_namespaces` (must be above 0) and "
      "`kernel.unprivileged_userns_clone` (where it exists, must be 1); in a "
      "container, allow CAP_SYS_ADMIN or an unconfined seccomp profile"));
}

}  // namespace

std::string WorkspaceDir(const std::string& session_dir) {
  return session_dir + "/workspace";
}
std::string OutputsDir(const std::string& session_dir) {
  return session_dir + "/outputs";
}
std::string UploadsDir(const std::string& session_dir) {
  return session_dir + "/uploads";
}

Sandbox::Sandbox(SandboxOptions options)
    : options_(std::move(options)), as_root_(geteuid() == 0) {}

int64_t Sandbox::UidOf(int64_t session_number) const {
  return options_.first_uid + session_number % options_.uid_count;
}

absl::Status Sandbox::Probe(const std::string& scratch_dir) const {
  if (options_.unsafe_none) return absl::OkStatus();
  if (access("/usr/bin/bwrap", X_OK) != 0) {
    return absl::FailedPreconditionError(
        "there is no /usr/bin/bwrap, and sessions run in its sandbox only: "
        "install it (apt-get install bubblewrap)");
  }
  RETURN_IF_ERROR(Prepare(scratch_dir, 0));
  int output[2];
  if (pipe2(output, O_CLOEXEC | O_NONBLOCK) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make a pipe");
  }
  OwnedFd reader(output[0]), writer(output[1]);
  OwnedFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  Fds fds = {null.get(), writer.get(), null.get(), null.get()};
  ASSIGN_OR_RETURN(
      pid_t pid,
      Spawn(scratch_dir, 0, {"/bin/bash", "-c", "test -w /mnt/session/outputs"},
            fds));
  return AwaitProbe(pid, reader.get());
}

absl::Status Sandbox::Prepare(const std::string& session_dir,
                              int64_t session_number) const {
  const bool own_user = as_root_ && !options_.unsafe_none;
  const int64_t owner = own_user ? UidOf(session_number) : -1;
  RETURN_IF_ERROR(MakeDir(session_dir, 0700, owner));
  RETURN_IF_ERROR(MakeDir(WorkspaceDir(session_dir), 0700, owner));
  RETURN_IF_ERROR(MakeDir(OutputsDir(session_dir), 0700, owner));
  RETURN_IF_ERROR(MakeDir(session_dir + "/tmp", 0700, owner));
  // The harness's: what is mounted read-only is not the session's to change.
  RETURN_IF_ERROR(MakeDir(UploadsDir(session_dir), 0755, -1));
  RETURN_IF_ERROR(WriteOnce(session_dir + "/passwd", kPasswd));
  return WriteOnce(session_dir + "/group", kGroup);
}

std::vector<std::string> Sandbox::CommandLine(const std::string& session_dir,
                                              int64_t session_number) const {
  const SandboxLimits& limits = options_.limits;
  std::vector<std::string> argv;
  std::string dir = session_dir;
  if (as_root_) {
    const std::string uid = absl::StrCat(UidOf(session_number));
    Append(argv, {"/usr/bin/unshare", "--mount", "--", "/bin/sh", "-c",
                  "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\"", "sh",
                  dir, kRootView, "/usr/bin/setpriv", "--reuid=" + uid,
                  "--regid=" + uid, "--clear-groups"});
    dir = kRootView;
  }
  Append(argv,
         {"/usr/bin/prlimit", absl::StrCat("--as=", limits.address_space_bytes),
          absl::StrCat("--cpu=", absl::ToInt64Seconds(limits.cpu_time)),
          absl::StrCat("--fsize=", limits.file_bytes), "--core=0"});
  if (as_root_) argv.push_back(absl::StrCat("--nproc=", limits.processes));
  Append(argv, Words("-- /usr/bin/bwrap --die-with-parent --new-session"
                     " --unshare-user --disable-userns --unshare-pid"
                     " --unshare-net --unshare-ipc --unshare-uts"
                     " --unshare-cgroup-try --hostname midwatch --cap-drop ALL"
                     " --uid 1000 --gid 1000"));
  Append(argv, {"--seccomp", kSeccompFd, "--info-fd", kInfoFd});
  AppendSystemDirs(argv);
  Append(argv, {"--ro-bind", dir + "/passwd", "/etc/passwd"});
  Append(argv, {"--ro-bind", dir + "/group", "/etc/group"});
  Append(argv, Words("--proc /proc --dev /dev"
                     " --size 67108864 --tmpfs /dev/shm"));
  Append(argv, {"--bind", dir + "/tmp", "/tmp"});
  Append(argv, {"--bind", WorkspaceDir(dir), "/workspace"});
  Append(argv, {"--ro-bind", UploadsDir(dir), "/mnt/session/uploads"});
  Append(argv, {"--bind", OutputsDir(dir), "/mnt/session/outputs"});
  Append(argv, Words("--remount-ro / --chdir /workspace --"));
  return argv;
}

absl::StatusOr<pid_t> Sandbox::Spawn(const std::string& session_dir,
                                     int64_t session_number,
                                     const std::vector<std::string>& command,
                                     const Fds& fds) const {
  const bool none = options_.unsafe_none;
  const std::string home = none ? WorkspaceDir(session_dir) : "/workspace";
  const std::string uploads =
      none ? UploadsDir(session_dir) : "/mnt/session/uploads";
  const std::string outputs =
      none ? OutputsDir(session_dir) : "/mnt/session/outputs";
  SpawnRequest request;
  request.fds = {fds.input, fds.output, fds.output, fds.control};
  // None of the harness's own: it may hold keys.
  request.environment = {
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      "HOME=" + home,
      "USER=user",
      "LANG=C.UTF-8",
      "TERM=dumb",
      "SESSION_UPLOADS_DIR=" + uploads,
      "SESSION_OUTPUTS_DIR=" + outputs};
  if (none) {
    request.directory = home;
    request.argv = command;
    return SpawnProcess(request);
  }
  ASSIGN_OR_RETURN(std::string program, SeccompFilter());
  ASSIGN_OR_RETURN(OwnedFd filter, MemoryFile("seccomp", program));
  request.fds.push_back(filter.get());
  request.fds.push_back(fds.info);
  request.argv = CommandLine(session_dir, session_number);
  Append(request.argv, command);
  return SpawnProcess(request);
}

}  // namespace midwatch::harness
