#ifndef MIDWATCH_CLI_API_KEY_H_
#define MIDWATCH_CLI_API_KEY_H_

#include <string>

#include "absl/status/statusor.h"

namespace midwatch::cli {

// The key in the file at `path`, or in the environment's `variable` where no
// path is given, without the white space around it. Errors never show it. Warns
// of a file that everybody may read.
//   kInvalidArgument  neither holds a key, or it has other than printable ASCII
absl::StatusOr<std::string> ReadApiKey(const std::string& path,
                                       const char* variable);

// The key in the file at `path`, which is made with a random one, for its owner
// alone, where it is missing.
absl::StatusOr<std::string> ReadOrMakeApiKey(const std::string& path);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_API_KEY_H_
