#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/process.h"
#include "base/status_macros.h"
#include "worker/tool_handler.h"

namespace midwatch {
namespace {

struct Pipe {
  OwnedFd read, write;
};

absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make a pipe");
  }
  return Pipe{OwnedFd(fds[0]), OwnedFd(fds[1])};
}

std::vector<std::string> EnvironmentOf(const ToolCall& call) {
  std::vector<std::string> environment;
  for (const char* name : {"PATH", "HOME", "LANG"}) {
    if (const char* value = std::getenv(name)) {
      environment.push_back(absl::StrCat(name, "=", value));
    }
  }
  environment.push_back(absl::StrCat("MIDWATCH_TOOL=", call.tool));
  environment.push_back(absl::StrCat("MIDWATCH_CALL_ID=", call.call_id));
  environment.push_back(absl::StrCat("MIDWATCH_TASK_ID=", call.task_id));
  return environment;
}

// One run of a command, on a thread that may block.
class CommandRun {
 public:
  CommandRun(const Clock& clock, ToolLimits limits)
      : clock_(clock), limits_(limits) {}

  ToolOutcome Run(const std::vector<std::string>& argv, const ToolCall& call) {
    absl::Status started = Start(argv, call);
    if (!started.ok()) return {std::string(started.message()), true};
    const absl::Status fed = Feed(call.input_json);
    if (!fed.ok()) kill(-pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    // Whatever it left running in its group goes with it.
    kill(-pid_, SIGKILL);
    if (!fed.ok()) return {std::string(fed.message()), true};
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
      return {std::move(output_[0]), false};
    }
    const std::string how =
        WIFEXITED(status)
            ? absl::StrCat("exited with ", WEXITSTATUS(status))
            : absl::StrCat("was ended by signal ", WTERMSIG(status));
    return {
        absl::StrCat("the tool's command ", how, "\n", output_[1], output_[0]),
        true};
  }

 private:
  absl::Status Start(const std::vector<std::string>& argv,
                     const ToolCall& call) {
    ASSIGN_OR_RETURN(Pipe in, MakePipe());
    ASSIGN_OR_RETURN(Pipe out, MakePipe());
    ASSIGN_OR_RETURN(Pipe err, MakePipe());
    SpawnRequest request;
    request.argv = argv;
    request.environment = EnvironmentOf(call);
    request.fds = {in.read.get(), out.write.get(), err.write.get()};
    ASSIGN_OR_RETURN(pid_, SpawnProcess(request));
    in_ = std::move(in.write);
    out_ = {std::move(out.read), std::move(err.read)};
    fcntl(in_.get(), F_SETFL, O_NONBLOCK);
    return absl::OkStatus();
  }

  // Writes the input and reads both outputs, to their ends.
  absl::Status Feed(absl::string_view input) {
    const absl::Duration until = clock_.Boot() + limits_.timeout;
    std::array<bool, 2> open = {true, true};
    bool writing = true;
    while (open[0] || open[1]) {
      const absl::Duration left = until - clock_.Boot();
      if (left <= absl::ZeroDuration()) {
        return absl::DeadlineExceededError(
            absl::StrCat("the tool's command did not end within ",
                         absl::FormatDuration(limits_.timeout)));
      }
      pollfd fds[3] = {{writing ? in_.get() : -1, POLLOUT, 0},
                       {open[0] ? out_[0].get() : -1, POLLIN, 0},
                       {open[1] ? out_[1].get() : -1, POLLIN, 0}};
      const int millis = static_cast<int>(
          std::min<int64_t>(absl::ToInt64Milliseconds(left) + 1, 1000));
      if (poll(fds, 3, millis) < 0 && errno != EINTR) {
        return absl::ErrnoToStatus(errno, "cannot wait for the tool's command");
      }
      if (fds[0].revents != 0) writing = Write(input);
      for (size_t i = 0; i < 2; ++i) {
        if (fds[i + 1].revents == 0) continue;
        ASSIGN_OR_RETURN(open[i], Read(i));
      }
    }
    return absl::OkStatus();
  }

  // False once all is written, or the command wants no more.
  bool Write(absl::string_view& input) {
    const ssize_t n = write(in_.get(), input.data(), input.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (n > 0) input.remove_prefix(static_cast<size_t>(n));
    if (n > 0 && !input.empty()) return true;
    in_ = OwnedFd();
    return false;
  }

  // False at the end.
  absl::StatusOr<bool> Read(size_t which) {
    char buffer[16 << 10];
    const ssize_t n = read(out_[which].get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) return true;
    if (n <= 0) return false;
    output_[which].append(buffer, static_cast<size_t>(n));
    if (output_[0].size() + output_[1].size() > limits_.answer_bytes_max) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the tool's command printed more than ",
                       limits_.answer_bytes_max, " bytes"));
    }
    return true;
  }

  const Clock& clock_;
  const ToolLimits limits_;
  pid_t pid_ = -1;
  OwnedFd in_;
  std::array<OwnedFd, 2> out_;
  std::array<std::string, 2> output_;
};

class CommandToolHandler final : public ToolHandler {
 public:
  CommandToolHandler(BlockingPool& pool, Executor& executor, const Clock& clock,
                     std::vector<std::string> argv, ToolLimits limits)
      : pool_(pool),
        executor_(executor),
        clock_(clock),
        argv_(std::move(argv)),
        limits_(limits) {}

  Async<ToolOutcome> Call(ToolCall call) override {
    absl::AnyInvocable<ToolOutcome()> work = [&clock = clock_, argv = argv_,
                                              limits = limits_,
                                              call = std::move(call)] {
      return CommandRun(clock, limits).Run(argv, call);
    };
    co_return co_await RunBlocking<ToolOutcome>(pool_, executor_,
                                                std::move(work));
  }

 private:
  BlockingPool& pool_;
  Executor& executor_;
  const Clock& clock_;
  const std::vector<std::string> argv_;
  const ToolLimits limits_;
};

}  // namespace

std::unique_ptr<ToolHandler> MakeCommandToolHandler(
    BlockingPool& pool, Executor& executor, const Clock& clock,
    std::vector<std::string> argv, ToolLimits limits) {
  return std::make_unique<CommandToolHandler>(pool, executor, clock,
                                              std::move(argv), limits);
}

}  // namespace midwatch
