#ifndef MIDWATCH_WORKER_OUTPUT_PATH_H_
#define MIDWATCH_WORKER_OUTPUT_PATH_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace midwatch {

// The path under /mnt/session/outputs/ that a file's name stands for; nothing
// where it could lead elsewhere (absolute, with empty, "." or ".." segments),
// holds control characters, or is longer than 1,024 bytes.
std::optional<std::string> OutputPath(absl::string_view filename);

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_OUTPUT_PATH_H_
