#ifndef MIDWATCH_CLI_CONFIG_FILE_H_
#define MIDWATCH_CLI_CONFIG_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace midwatch::cli {

// The whole file at `path`, which is `what`: "a batch file".
//   kInvalidArgument  missing, not a regular file, unreadable, or larger than
//                     64 MiB; says which
absl::StatusOr<std::string> ReadConfigFile(const std::string& path,
                                           const char* what);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_CONFIG_FILE_H_
