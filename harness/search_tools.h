// The tools that look through a tree: glob by name, grep by content. Both leave
// out .git and node_modules, follow no symbolic link below their path, and work
// with the sandbox's own find and grep, so that a pattern that takes too long
// is stopped like any other command.
#ifndef MIDWATCH_HARNESS_SEARCH_TOOLS_H_
#define MIDWATCH_HARNESS_SEARCH_TOOLS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "harness/json.h"
#include "harness/tool_plan.h"

namespace midwatch::harness {

inline constexpr int64_t kGlobFilesMax = 200;
inline constexpr int64_t kGrepBytesMax = 100 << 10;
inline constexpr int64_t kGrepLineBytesMax = 2000;  // with its path
inline constexpr size_t kPatternBytesMax = 4096;

// {pattern, path?}. Regular files, the last changed first, one path a line.
absl::StatusOr<ToolPlan> PlanGlob(const Json& input);

// {pattern, path?}. A Perl-compatible regular expression; lines that match as
// PATH:LINE:TEXT. Files that hold a NUL are left out.
absl::StatusOr<ToolPlan> PlanGrep(const Json& input);

// A glob as an extended regular expression for a whole path relative to where
// the search begins.
//
//   *  ?  [a-z]  [!a-z]  {a,b}   within one component of the path
//   **                           as a component: any number of them, also none
//   \                            takes the next character as it is
//
//   kInvalidArgument  for the model to read
absl::StatusOr<std::string> GlobToRegex(const std::string& glob);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_SEARCH_TOOLS_H_
