#include "base/command.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/process.h"
#include "base/status_macros.h"

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

// One run of a command, on a thread that may block.
class CommandRun {
 public:
  CommandRun(const Clock& clock, const Command& command,
             const std::atomic<bool>& stop)
      : clock_(clock), command_(command), stop_(stop) {}

  absl::StatusOr<CommandEnd> Run() {
    RETURN_IF_ERROR(Start());
    const absl::Status ended = Feed(command_.input);
    // Whatever it left running goes with it. Before it is reaped: until then
    // its number is nobody else's.
    kill(-pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    RETURN_IF_ERROR(ended);
    CommandEnd end;
    end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    end.how = WIFEXITED(status)
                  ? absl::StrCat("exited with ", end.exit_code)
                  : absl::StrCat("was ended by signal ", WTERMSIG(status));
    end.output = std::move(output_[0]);
    end.errors = std::move(output_[1]);
    return end;
  }

 private:
  absl::Status Start() {
    ASSIGN_OR_RETURN(Pipe in, MakePipe());
    ASSIGN_OR_RETURN(Pipe out, MakePipe());
    ASSIGN_OR_RETURN(Pipe err, MakePipe());
    SpawnRequest request;
    request.argv = command_.argv;
    request.environment = command_.environment;
    request.directory = command_.directory;
    // One pipe keeps the order of what came on both.
    request.fds = {in.read.get(), out.write.get(),
                   command_.only_end ? out.write.get() : err.write.get()};
    ASSIGN_OR_RETURN(pid_, SpawnProcess(request));
    in_ = std::move(in.write);
    out_ = {std::move(out.read), std::move(err.read)};
    fcntl(in_.get(), F_SETFL, O_NONBLOCK);
    until_ = clock_.Boot() + command_.timeout;
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
        absl::StrCat(command_.name, " did not end within ",
                     absl::FormatDuration(command_.timeout)));
  }

  // Writes the input and reads both outputs, until the command has ended: it
  // may close its outputs and go on, or leave them to a child that does.
  absl::Status Feed(absl::string_view input) {
    const OwnedFd process = OpenProcess(pid_);
    if (process.get() < 0) {
      return absl::ErrnoToStatus(errno,
                                 absl::StrCat("cannot watch ", command_.name));
    }
    if (input.empty()) in_ = OwnedFd();
    std::array<bool, 2> open = {true, true};
    bool running = true;
    while (running) {
      const int millis = PollFor();
      if (millis < 0) return TooLate();
      if (stop_) return absl::CancelledError("the worker stops");
      pollfd fds[4] = {{in_.get(), POLLOUT, 0},
                       {open[0] ? out_[0].get() : -1, POLLIN, 0},
                       {open[1] ? out_[1].get() : -1, POLLIN, 0},
                       {process.get(), POLLIN, 0}};
      if (poll(fds, 4, millis) < 0) {
        if (errno == EINTR) continue;
        return absl::ErrnoToStatus(
            errno, absl::StrCat("cannot wait for ", command_.name));
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

  // What it printed last, without waiting for whom it left its outputs to; nor
  // for one that never stops printing.
  absl::Status ReadRest(std::array<bool, 2> open) {
    constexpr int kReadsMax = 128;  // of 16 KiB; a pipe may hold 1 MiB
    for (size_t i = 0; i < 2; ++i) {
      fcntl(out_[i].get(), F_SETFL, O_NONBLOCK);
      for (int reads = 0; open[i] && reads < kReadsMax; ++reads) {
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
    if (output_[0].size() + output_[1].size() <= command_.output_bytes_max) {
      return true;
    }
    if (command_.only_end) {
      output_[0].erase(0, output_[0].size() - command_.output_bytes_max);
      return true;
    }
    return absl::ResourceExhaustedError(
        absl::StrCat(command_.name, " printed more than ",
                     command_.output_bytes_max, " bytes"));
  }

  const Clock& clock_;
  const Command& command_;
  const std::atomic<bool>& stop_;
  absl::Duration until_;
  pid_t pid_ = -1;
  OwnedFd in_;
  std::array<OwnedFd, 2> out_;
  std::array<std::string, 2> output_;
};

}  // namespace

std::vector<std::string> PlainEnvironment(std::vector<std::string> more) {
  for (const char* name : {"PATH", "HOME", "LANG"}) {
    if (const char* value = std::getenv(name)) {
      more.push_back(absl::StrCat(name, "=", value));
    }
  }
  return more;
}

absl::StatusOr<CommandEnd> RunCommand(const Clock& clock,
                                      const Command& command,
                                      const std::atomic<bool>& stop) {
  return CommandRun(clock, command, stop).Run();
}

}  // namespace midwatch
