// What a tool call becomes: one command for the session's shell.
#ifndef MIDWATCH_HARNESS_TOOL_PLAN_H_
#define MIDWATCH_HARNESS_TOOL_PLAN_H_

#include <string>

#include "absl/status/statusor.h"
#include "harness/json.h"
#include "harness/shell.h"

namespace midwatch::harness {

struct ToolPlan {
  bool restart = false;  // end the shell first, so that a fresh one starts
  ShellCommand command;  // empty text: nothing to run
};

// `text` as one word of a shell's command line.
std::string ShellQuoted(const std::string& text);

// The member `key` of a tool's input.
//   kInvalidArgument  for the model to read: no string there, or it holds a
//                     NUL, which no shell can take
absl::StatusOr<std::string> TextInput(const Json& input, const char* key);

// The same, where it must hold something.
absl::StatusOr<std::string> FilledInput(const Json& input, const char* key);

// The same for a member that may be missing.
absl::StatusOr<std::string> TextInputOr(const Json& input, const char* key,
                                        const char* otherwise);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_TOOL_PLAN_H_
