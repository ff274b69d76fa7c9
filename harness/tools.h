// The tools of `agent_toolset_20260401` that this server has: all but web_fetch
// and web_search. Each call is a command for the session's one shell, so that
// it obeys the sandbox, and relative paths mean the shell's directory.
#ifndef MIDWATCH_HARNESS_TOOLS_H_
#define MIDWATCH_HARNESS_TOOLS_H_

#include <cstdint>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "harness/json.h"
#include "harness/model.h"
#include "harness/shell.h"
#include "harness/tool_plan.h"

namespace midwatch::harness {

inline constexpr char kToolset[] = "agent_toolset_20260401";
inline constexpr char kCustomTool[] = "custom";
inline constexpr char kAlwaysAsk[] = "always_ask";

// The tools that an agent (its resolved form, agent_spec.h) may call here,
// custom ones included.
std::set<std::string> EnabledTools(const Json& agent);

// Whether a call of that tool of the toolset waits until the client allows it.
bool AsksPermission(const Json& agent, const std::string& tool);
// The definition of a tool that the client runs, or null.
const Json* CustomTool(const Json& agent, const std::string& tool);

// What a tool call asks of the shell. `timeout` holds where the call names
// none.
//   kInvalidArgument  for the model to read: no such tool, or a bad input
absl::StatusOr<ToolPlan> PlanTool(const std::string& name, const Json& input,
                                  absl::Duration timeout);

struct ToolOutcome {
  std::string text;
  bool is_error = false;
};

// What the model is told. A bash command that failed, and whatever took too
// long, ends with a line in brackets: [exit status 3], [timed out after 2m].
ToolOutcome OutcomeOf(const std::string& name, const Json& input,
                      const ToolPlan& plan, const ShellResult& result);

// That line without its brackets; "exit status 0" where there was no error.
std::string ExitStatusOf(const ConversationItem& result);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_TOOLS_H_
