// Where state is kept, and whether somebody serves it.
#ifndef MIDWATCH_CLI_STATE_DIR_H_
#define MIDWATCH_CLI_STATE_DIR_H_

#include <string>

#include "absl/status/statusor.h"

namespace midwatch::cli {

// The state directory of `options` or of the environment: $XDG_STATE_HOME/
// midwatch, else ~/.local/state/midwatch. Made (for its owner alone) where it
// is missing.
absl::StatusOr<std::string> OpenStateDir(const std::string& given);

// Where a scheduler that uses `state_dir` can be reached by commands beside it:
// "unix:...", or "" where the path is too long for a socket.
std::string SocketAddress(const std::string& state_dir);
// The same directory where there is a queue in it already, else "". Makes
// nothing.
absl::StatusOr<std::string> FindStateDir(const std::string& given);

// Whether some process listens at `address` ("unix:PATH"). One that was killed
// leaves its socket behind.
bool IsServed(const std::string& address);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_STATE_DIR_H_
