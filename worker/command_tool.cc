#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <memory>
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
  // Stops early once `*stop` is true.
  CommandRun(const Clock& clock, ToolLimits limits,
             std::shared_ptr<const std::atomic<bool>> stop)
      : clock_(clock), limits_(limits), stop_(std::move(stop)) {}

  ToolOutcome Run(const std::vector<std::string>& argv, const ToolCall& call) {
    absl::Status started = Start(argv, call);
    if (!started.ok()) return {std::string(started.message()), true};
    const absl::Status ended = Feed(call.input_json);
    // Whatever it left running goes with it. Before it is reaped: until then
    // its number is nobody else's.
    kill(-pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    if (!ended.ok()) return {std::string(ended.message()), true};
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
    until_ = clock_.Boot() + limits_.timeout;
    return absl::OkStatus();
  }

  // Milliseconds for poll: a second at most, -1 where the time is over.
  int PollFor() const {
    const absl::Duration left = until_ - clock_.Boot();
    if (left <= absl::ZeroDuration()) return -1;
    return static_cast<int>(
        std::min<int64_t>(absl::ToInt64Milliseconds(left) + 1, 1000));
  }

  absl::Status TooLate() const {
    return absl::DeadlineExceededError(
        absl::StrCat("the tool's command did not end within ",
                     absl::FormatDuration(limits_.timeout)));
  }

  // Writes the input and reads both outputs, until the command has ended: it
  // may close its outputs and go on, or leave them to a child that does.
  absl::Status Feed(absl::string_view input) {
    const OwnedFd process = OpenProcess(pid_);
    if (process.get() < 0) {
      return absl::ErrnoToStatus(errno, "cannot watch the tool's command");
    }
    std::array<bool, 2> open = {true, true};
    bool running = true;
    while (running) {
      const int millis = PollFor();
      if (millis < 0) return TooLate();
      if (*stop_) return absl::CancelledError("the worker stops");
      pollfd fds[4] = {{in_.get(), POLLOUT, 0},
                       {open[0] ? out_[0].get() : -1, POLLIN, 0},
                       {open[1] ? out_[1].get() : -1, POLLIN, 0},
                       {process.get(), POLLIN, 0}};
      if (poll(fds, 4, millis) < 0) {
        if (errno == EINTR) continue;
        return absl::ErrnoToStatus(errno, "cannot wait for the tool's command");
      }
      if (fds[0].revents != 0) Write(input);
      for (size_t i = 0; i < 2; ++i) {
        if (fds[i + 1].revents == 0) continue;
        ASSIGN_OR_RETURN(open[i], Read(i));
      }
      running = fds[3].revents == 0;
    }
    return ReadRest(open);
  }

  // What it printed last, without waiting for whom it left its outputs to.
  absl::Status ReadRest(std::array<bool, 2> open) {
    for (size_t i = 0; i < 2; ++i) {
      fcntl(out_[i].get(), F_SETFL, O_NONBLOCK);
      while (open[i]) {
        ASSIGN_OR_RETURN(open[i], Read(i));
      }
    }
    return absl::OkStatus();
  }

  // Closes it once all is written, or the command wants no more.
  void Write(absl::string_view& input) {
    const ssize_t n = write(in_.get(), input.data(), input.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n > 0) input.remove_prefix(static_cast<size_t>(n));
    if (n <= 0 || input.empty()) in_ = OwnedFd();
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
  const std::shared_ptr<const std::atomic<bool>> stop_;
  absl::Duration until_;
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
  // Nobody waits for what still runs.
  ~CommandToolHandler() override { *stop_ = true; }

  Async<ToolOutcome> Call(ToolCall call) override {
    absl::AnyInvocable<ToolOutcome()> work = [&clock = clock_, argv = argv_,
                                              limits = limits_, stop = stop_,
                                              call = std::move(call)] {
      return CommandRun(clock, limits, stop).Run(argv, call);
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
  const std::shared_ptr<std::atomic<bool>> stop_ =
      std::make_shared<std::atomic<bool>>(false);
};

}  // namespace

std::unique_ptr<ToolHandler> MakeCommandToolHandler(
    BlockingPool& pool, Executor& executor, const Clock& clock,
    std::vector<std::string> argv, ToolLimits limits) {
  return std::make_unique<CommandToolHandler>(pool, executor, clock,
                                              std::move(argv), limits);
}

}  // namespace midwatch
