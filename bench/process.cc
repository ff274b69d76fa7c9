#include "bench/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace midwatch::bench {

Usage UsageOf(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string stat((std::istreambuf_iterator<char>(file)), {});
  // The name, in parentheses, may hold anything.
  size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream fields(stat.substr(name_end + 1));
  std::string word;
  // From the state, the third field, on: utime and stime are the 14th and 15th,
  // rss (in pages) the 24th.
  int64_t ticks = 0, pages = 0;
  for (int field = 3; field <= 24 && fields >> word; ++field) {
    if (field == 14 || field == 15) ticks += std::stoll(word);
    if (field == 24) pages = std::stoll(word);
  }
  return {.cpu = absl::Seconds(ticks) / sysconf(_SC_CLK_TCK),
          .rss_mib =
              static_cast<double>(pages * sysconf(_SC_PAGESIZE)) / (1 << 20)};
}

int FilesMax() {
  struct rlimit limit {};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 20));
}

void Wait(absl::Duration duration) {
  poll(nullptr, 0, static_cast<int>(absl::ToInt64Milliseconds(duration)));
}

absl::StatusOr<std::unique_ptr<Process>> Process::Start(
    const std::vector<std::string>& command, const std::string& log) {
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
    return absl::InternalError(absl::StrCat("pipe: ", strerror(errno)));
  }
  std::vector<char*> argv;
  for (const std::string& word : command) {
    argv.push_back(const_cast<char*>(word.c_str()));
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  pid_t pid = 0;
  int error =
      posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(pipe_fds[1]);
  if (error != 0) {
    close(pipe_fds[0]);
    return absl::NotFoundError(
        absl::StrCat("cannot start ", command[0], ": ", strerror(error)));
  }
  return std::unique_ptr<Process>(new Process(pid, pipe_fds[0], log));
}

Process::~Process() {
  Kill();
  close(output_);
}

absl::StatusOr<std::string> Process::ReadLine() {
  std::string line;
  char c = 0;
  while (read(output_, &c, 1) == 1) {
    if (c == '\n') return line;
    line += c;
  }
  return absl::UnavailableError(
      absl::StrCat("process ", pid_, " ended; its log is ", log_));
}

void Process::Kill() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

}  // namespace midwatch::bench
