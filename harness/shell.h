// One bash in a session's sandbox that runs one command after the other, so
// that the working directory and variables last from call to call.
#ifndef MIDWATCH_HARNESS_SHELL_H_
#define MIDWATCH_HARNESS_SHELL_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/coro.h"
#include "base/executor.h"
#include "harness/sandbox.h"

namespace midwatch::harness {

struct ShellCommand {
  std::string text;
  absl::Duration timeout = absl::Seconds(120);
  int64_t output_bytes_max = 100 << 10;
};

struct ShellResult {
  int exit_status = 0;
  bool timed_out = false;
  // Standard output and errors as they came: the last output_bytes_max bytes of
  // output_bytes in all.
  std::string output;
  int64_t output_bytes = 0;
};

// All on one executor's thread. `sandbox` must outlive the shell.
//
// A command runs until the shell is ready for the next one; processes that it
// left in the background live on, and what they write later belongs to the
// command that runs then.
class Shell {
 public:
  // Starts it in the directory made by Sandbox::Prepare. Returns when it is
  // ready.
  //   kUnavailable  it could not be started, with what bubblewrap said
  static Async<absl::StatusOr<std::unique_ptr<Shell>>> Start(
      Executor& executor, const Sandbox& sandbox, std::string session_dir,
      int64_t session_number);
  // Kills every process of the shell, in the background too, and waits for that
  // (milliseconds).
  ~Shell();

  // Runs a command; one at a time. REQUIRES: alive(), and no NUL in the text.
  // Where it takes too long, or ends the shell (`exit 3`), or Kill is called,
  // the shell is not alive afterwards, and no process of it is left.
  Async<ShellResult> Run(ShellCommand command);

  // Ends the command that runs, at once.
  void Kill();
  bool alive() const;

 private:
  struct Impl;
  explicit Shell(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

  // Shared with the coroutines that watch the shell's descriptors: they end
  // when these are closed, which may be after the shell is gone.
  std::shared_ptr<Impl> impl_;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_SHELL_H_
