// Running a command of somebody's configuration to its end: its input, its
// time, what it prints.
#ifndef MIDWATCH_BASE_COMMAND_H_
#define MIDWATCH_BASE_COMMAND_H_

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"

namespace midwatch {

struct Command {
  std::string name;               // what errors call it: "the tool's command"
  std::vector<std::string> argv;  // argv[0] is a path
  std::vector<std::string> environment;  // all of it: see PlainEnvironment
  std::string directory;                 // "": this process's
  std::string input;                     // its standard input; it need not read
  absl::Duration timeout;
  // Of both outputs together.
  size_t output_bytes_max = 0;
  // What it prints is of use at its end only: `output` has the last
  // output_bytes_max bytes of both, as they came. Else more is an error.
  bool only_end = false;
};

struct CommandEnd {
  int exit_code = 0;  // -1: a signal ended it
  std::string how;    // "exited with 3", "was ended by signal 9"
  std::string output;
  std::string errors;  // what it printed on standard error; not with only_end
};

// PATH, HOME and LANG of this process and `more` (NAME=VALUE): no keys.
std::vector<std::string> PlainEnvironment(std::vector<std::string> more);

// Blocks until the command has ended, its time is over, or `stop` is set (a
// second later at most). What it left running is killed with it, being of its
// process group.
//   kDeadlineExceeded   its time is over
//   kResourceExhausted  it printed more than it may
//   kCancelled          `stop`
//   others              it could not be started
absl::StatusOr<CommandEnd> RunCommand(const Clock& clock,
                                      const Command& command,
                                      const std::atomic<bool>& stop);

}  // namespace midwatch

#endif  // MIDWATCH_BASE_COMMAND_H_
