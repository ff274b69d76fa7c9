// The tools that read and change one file: read, write and edit. Paths may be
// relative to the shell's directory, and follow symbolic links; what they reach
// is the sandbox's business. All work on bytes, in any encoding.
#ifndef MIDWATCH_HARNESS_FILE_TOOLS_H_
#define MIDWATCH_HARNESS_FILE_TOOLS_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "harness/json.h"
#include "harness/tool_plan.h"

namespace midwatch::harness {

inline constexpr int64_t kReadBytesMax = 256 << 10;
inline constexpr int64_t kEditBytesMax = 16 << 20;  // of the file

// {file_path, view_range?: [first line from 1, last line; <= 0: the end]}
absl::StatusOr<ToolPlan> PlanRead(const Json& input);
// {file_path, content}. Makes the directories above it.
absl::StatusOr<ToolPlan> PlanWrite(const Json& input);
// {file_path, old_string, new_string, replace_all?}. old_string is there once,
// or replace_all is true. The file changes as a whole or not at all.
absl::StatusOr<ToolPlan> PlanEdit(const Json& input);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_FILE_TOOLS_H_
