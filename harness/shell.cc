#include "harness/shell.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace midwatch::harness {
namespace {

namespace asio = boost::asio;
constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

// Commands come on descriptor 3, each ended by a NUL; the exit status of each
// goes back there as a line, after a first one that says "ready". The command
// itself does not have the descriptor. 4 and 5 were bubblewrap's.
constexpr char kDriver[] =
    "exec 4<&- 5<&-; builtin printf '0\\n' >&3; "
    "while IFS= builtin read -r -d '' -u 3 REPLY; do "
    "builtin eval \"$REPLY\" 3<&-; builtin printf '%d\\n' \"$?\" >&3; done";

// What was written before a command ended is in the pipe by then: so much at
// most.
constexpr int kPipeBytes = 64 << 10;
constexpr absl::Duration kStartTimeout = absl::Seconds(30);

struct Pipe {
  OwnedFd reader;
  OwnedFd writer;
};

absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make a pipe");
  }
  return Pipe{OwnedFd(fds[0]), OwnedFd(fds[1])};
}

}  // namespace

struct Shell::Impl {
  struct Signal {
    bool ended;  // all processes are gone; otherwise the command is done
    int status;
  };

  explicit Impl(Executor& e)
      : executor(e),
        output(e.asio()),
        info(e.asio()),
        process(e.asio()),
        control(e.asio()),
        signals(e) {}

  absl::Status Launch(const Sandbox& sandbox, const std::string& session_dir,
                      int64_t session_number);
  void Kill();
  void Drain();
  void TakeInfo();
  static Async<void> WatchOutput(std::shared_ptr<Impl> self);
  static Async<void> WatchInfo(std::shared_ptr<Impl> self);
  static Async<void> WatchControl(std::shared_ptr<Impl> self);
  static Async<void> WatchProcess(std::shared_ptr<Impl> self);
  void Reap(int options);
  void Close();

  Executor& executor;
  asio::posix::stream_descriptor output;
  asio::posix::stream_descriptor info;
  asio::posix::stream_descriptor process;  // a pidfd
  asio::local::stream_protocol::socket control;
  Mailbox<Signal> signals;  // two at most for each command
  pid_t pid = -1;           // until it is reaped
  bool has_init = false;
  OwnedFd init;  // pidfd of the namespace's first process
  std::string info_text;
  std::string status_line;
  std::string tail;
  int64_t tail_bytes_max = 64 << 10;
  int64_t output_bytes = 0;
};

absl::Status Shell::Impl::Launch(const Sandbox& sandbox,
                                 const std::string& session_dir,
                                 int64_t session_number) {
  ASSIGN_OR_RETURN(Pipe output_pipe, MakePipe());
  ASSIGN_OR_RETURN(Pipe info_pipe, MakePipe());
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make a socket pair");
  }
  OwnedFd ours(pair[0]), theirs(pair[1]);
  OwnedFd null(open("/dev/null", O_RDWR | O_CLOEXEC));
  Sandbox::Fds fds = {null.get(), output_pipe.writer.get(), theirs.get(),
                      info_pipe.writer.get()};
  has_init = sandbox.has_init();
  ASSIGN_OR_RETURN(
      pid, sandbox.Spawn(session_dir, session_number,
                         {"/bin/bash", "--noprofile", "--norc", "-c", kDriver},
                         fds));
  boost::system::error_code ignored;
  process.assign(OpenProcess(pid).Release(), ignored);
  output.assign(output_pipe.reader.Release(), ignored);
  output.non_blocking(true, ignored);
  info.assign(info_pipe.reader.Release(), ignored);
  info.non_blocking(true, ignored);
  control.assign(asio::local::stream_protocol(), ours.Release(), ignored);
  return absl::OkStatus();
}

// Killing the namespace's first process kills all others, and it is reaped by
// bubblewrap only when they are gone; so bubblewrap itself is left to end by
// itself.
void Shell::Impl::Kill() {
  if (pid <= 0) return;
  TakeInfo();
  if (init.get() >= 0) {
    KillProcess(init);
  } else {
    // Not that far yet (--die-with-parent does the rest), or no sandbox.
    kill(-pid, SIGKILL);
  }
}

void Shell::Impl::Drain() {
  char buffer[kPipeBytes];
  ssize_t count = read(output.native_handle(), buffer, sizeof buffer);
  if (count <= 0) return;
  output_bytes += count;
  tail.append(buffer, static_cast<size_t>(count));
  size_t keep = static_cast<size_t>(tail_bytes_max);
  if (tail.size() > 2 * keep + kPipeBytes) tail.erase(0, tail.size() - keep);
}

// Takes what bubblewrap has said about the namespace's first process.
void Shell::Impl::TakeInfo() {
  if (!info.is_open() || init.get() >= 0) return;
  char buffer[1024];
  ssize_t count = read(info.native_handle(), buffer, sizeof buffer);
  if (count <= 0) return;
  info_text.append(buffer, static_cast<size_t>(count));
  size_t at = info_text.find("\"child-pid\":");
  if (at == std::string::npos || info_text.find('}') == std::string::npos) {
    return;
  }
  // bubblewrap has not reaped it, or `pid` would be gone: no other process can
  // have its number.
  pid_t child = std::atoi(info_text.c_str() + at + sizeof "\"child-pid\":" - 1);
  init = OpenProcess(child);
}

Async<void> Shell::Impl::WatchInfo(std::shared_ptr<Impl> self) {
  while (self->init.get() < 0) {
    auto [error] = co_await self->info.async_wait(
        asio::posix::descriptor_base::wait_read, kAwait);
    if (error) co_return;
    size_t before = self->info_text.size();
    self->TakeInfo();
    if (self->info_text.size() == before) co_return;  // the end
  }
}

// Waits and then reads, instead of an asynchronous read: what a read that is
// under way has taken could not be counted to the command that wrote it.
Async<void> Shell::Impl::WatchOutput(std::shared_ptr<Impl> self) {
  while (true) {
    auto [error] = co_await self->output.async_wait(
        asio::posix::descriptor_base::wait_read, kAwait);
    if (error) co_return;
    int64_t before = self->output_bytes;
    self->Drain();
    if (self->output_bytes == before) co_return;  // the end
  }
}

Async<void> Shell::Impl::WatchControl(std::shared_ptr<Impl> self) {
  char buffer[256];
  while (true) {
    auto read_buffer = asio::buffer(buffer);
    auto [error, count] =
        co_await self->control.async_read_some(read_buffer, kAwait);
    if (error) co_return;
    for (size_t i = 0; i < count; ++i) {
      if (buffer[i] != '\n') {
        if (self->status_line.size() < 16) self->status_line += buffer[i];
        continue;
      }
      int status = 255;
      if (!absl::SimpleAtoi(self->status_line, &status)) status = 255;
      self->status_line.clear();
      self->signals.Push({false, status});
    }
  }
}

Async<void> Shell::Impl::WatchProcess(std::shared_ptr<Impl> self) {
  auto [error] = co_await self->process.async_wait(
      asio::posix::descriptor_base::wait_read, kAwait);
  if (error) co_return;
  self->Reap(WNOHANG);
}

void Shell::Impl::Reap(int options) {
  if (pid <= 0) return;
  int status = 0;
  if (waitpid(pid, &status, options) != pid) return;
  pid = -1;
  int exit_status =
      WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  signals.Push({true, exit_status});
}

void Shell::Impl::Close() {
  boost::system::error_code ignored;
  output.close(ignored);
  info.close(ignored);
  process.close(ignored);
  control.close(ignored);
}

Async<absl::StatusOr<std::unique_ptr<Shell>>> Shell::Start(
    Executor& executor, const Sandbox& sandbox, std::string session_dir,
    int64_t session_number) {
  auto impl = std::make_shared<Impl>(executor);
  CO_RETURN_IF_ERROR(impl->Launch(sandbox, session_dir, session_number));
  std::unique_ptr<Shell> shell(new Shell(impl));
  Spawn(executor, Impl::WatchOutput(impl));
  if (impl->has_init) Spawn(executor, Impl::WatchInfo(impl));
  Spawn(executor, Impl::WatchControl(impl));
  Spawn(executor, Impl::WatchProcess(impl));
  std::optional<Impl::Signal> ready = co_await impl->signals.Pop(kStartTimeout);
  if (!ready || ready->ended) {
    impl->Drain();
    co_return absl::UnavailableError(absl::StrCat(
        "the sandbox could not be started: ",
        ready ? absl::StrCat("exit status ", ready->status, ": ", impl->tail)
              : "no answer in time"));
  }
  co_return shell;
}

Shell::~Shell() {
  impl_->Kill();
  impl_->Reap(0);
  impl_->Close();
}

Async<ShellResult> Shell::Run(ShellCommand command) {
  std::shared_ptr<Impl> impl = impl_;
  impl->tail.clear();
  impl->output_bytes = 0;
  impl->tail_bytes_max = command.output_bytes_max;
  ShellResult result;
  command.text.push_back('\0');
  auto bytes = asio::buffer(command.text);
  // An error means that the shell has ended, which its process tells.
  co_await asio::async_write(impl->control, bytes, kAwait);
  std::optional<Impl::Signal> signal =
      co_await impl->signals.Pop(command.timeout);
  if (!signal) {
    result.timed_out = true;
    impl->Kill();
  }
  while (!signal || (result.timed_out && !signal->ended)) {
    signal = co_await impl->signals.Pop();
  }
  impl->Drain();
  result.exit_status = signal->status;
  result.output_bytes = impl->output_bytes;
  result.output = std::move(impl->tail);
  impl->tail.clear();
  if (static_cast<int64_t>(result.output.size()) > command.output_bytes_max) {
    result.output.erase(0, result.output.size() -
                               static_cast<size_t>(command.output_bytes_max));
  }
  co_return result;
}

void Shell::Kill() { impl_->Kill(); }

bool Shell::alive() const { return impl_->pid > 0; }

}  // namespace midwatch::harness
