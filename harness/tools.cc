#include "harness/tools.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "harness/file_tools.h"
#include "harness/search_tools.h"

namespace midwatch::harness {
namespace {

constexpr const char* kTools[] = {"bash", "edit", "glob",
                                  "grep", "read", "write"};
constexpr int64_t kBashOutputBytesMax = 100 << 10;
constexpr int64_t kTimeoutMillisMax = 24 * 3600 * 1000;

bool IsTrue(const Json* value) {
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

// Of one tool of a toolset: what its own configuration says, else the default.
const Json* SettingOf(const Json& toolset, const std::string& tool,
                      const char* setting) {
  if (const Json* configs = Member(toolset, "configs")) {
    for (const Json& config : *configs) {
      if (StringMember(config, "name") == tool) return Member(config, setting);
    }
  }
  const Json* defaults = Member(toolset, "default_config");
  return defaults == nullptr ? nullptr : Member(*defaults, setting);
}

absl::StatusOr<ToolPlan> PlanBash(const Json& input, absl::Duration timeout) {
  ToolPlan plan;
  plan.restart = IsTrue(Member(input, "restart"));
  plan.command.timeout = timeout;
  plan.command.output_bytes_max = kBashOutputBytesMax;
  if (const Json* millis = Member(input, "timeout_ms")) {
    if (!millis->is_number_integer() || millis->get<int64_t>() < 1 ||
        millis->get<int64_t>() > kTimeoutMillisMax) {
      return absl::InvalidArgumentError(absl::StrCat(
          "timeout_ms: must be a whole number from 1 to ", kTimeoutMillisMax));
    }
    plan.command.timeout = absl::Milliseconds(millis->get<int64_t>());
  }
  if (plan.restart && Member(input, "command") == nullptr) return plan;
  ASSIGN_OR_RETURN(plan.command.text, TextInput(input, "command"));
  return plan;
}

}  // namespace

std::set<std::string> EnabledTools(const Json& agent) {
  std::set<std::string> enabled;
  const Json* tools = Member(agent, "tools");
  if (tools == nullptr) return enabled;
  for (const Json& each : *tools) {
    if (StringMember(each, "type") == kCustomTool) {
      enabled.insert(StringMember(each, "name"));
      continue;
    }
    for (const char* tool : kTools) {
      if (IsTrue(SettingOf(each, tool, "enabled"))) enabled.insert(tool);
    }
  }
  return enabled;
}

bool AsksPermission(const Json& agent, const std::string& tool) {
  const Json* tools = Member(agent, "tools");
  if (tools == nullptr) return false;
  for (const Json& each : *tools) {
    if (StringMember(each, "type") != kToolset) continue;
    const Json* policy = SettingOf(each, tool, "permission_policy");
    return policy != nullptr && StringMember(*policy, "type") == kAlwaysAsk;
  }
  return false;
}

const Json* CustomTool(const Json& agent, const std::string& tool) {
  const Json* tools = Member(agent, "tools");
  if (tools == nullptr) return nullptr;
  for (const Json& each : *tools) {
    if (StringMember(each, "type") == kCustomTool &&
        StringMember(each, "name") == tool) {
      return &each;
    }
  }
  return nullptr;
}

absl::StatusOr<ToolPlan> PlanTool(const std::string& name, const Json& input,
                                  absl::Duration timeout) {
  absl::StatusOr<ToolPlan> plan = absl::InvalidArgumentError(
      absl::StrCat("this server has no tool named ", name));
  if (name == "bash") return PlanBash(input, timeout);
  if (name == "read") {
    plan = PlanRead(input);
  } else if (name == "write") {
    plan = PlanWrite(input);
  } else if (name == "edit") {
    plan = PlanEdit(input);
  } else if (name == "glob") {
    plan = PlanGlob(input);
  } else if (name == "grep") {
    plan = PlanGrep(input);
  }
  if (plan.ok()) plan->command.timeout = timeout;
  return plan;
}

ToolOutcome OutcomeOf(const std::string& name, const Json& input,
                      const ToolPlan& plan, const ShellResult& result) {
  ToolOutcome outcome;
  if (name == "read" && result.output_bytes > kReadBytesMax) {
    return {absl::StrCat("the file (or range) is larger than ", kReadBytesMax,
                         " bytes; read a part of it with view_range"),
            true};
  }
  outcome.is_error = result.timed_out || result.exit_status != 0;
  if (name == "write" && !outcome.is_error) {
    return {absl::StrCat("Wrote ", StringMember(input, "content").size(),
                         " bytes to ", StringMember(input, "file_path")),
            false};
  }
  if (static_cast<int64_t>(result.output.size()) < result.output_bytes) {
    outcome.text = "[output truncated]\n";
  }
  outcome.text += ValidUtf8(result.output);
  std::string note;
  if (result.timed_out) {
    note = absl::StrCat("[timed out after ",
                        absl::FormatDuration(plan.command.timeout), "]");
  } else if (result.exit_status != 0 && name == "bash") {
    note = absl::StrCat("[exit status ", result.exit_status, "]");
  }
  if (!note.empty()) {
    if (!outcome.text.empty() && !absl::EndsWith(outcome.text, "\n")) {
      outcome.text += "\n";
    }
    outcome.text += note;
  }
  return outcome;
}

std::string ExitStatusOf(const ConversationItem& result) {
  if (!result.is_error) return "exit status 0";
  size_t line = result.text.rfind('\n');
  std::string last =
      line == std::string::npos ? result.text : result.text.substr(line + 1);
  if (last.size() > 2 && last.front() == '[' && last.back() == ']') {
    return last.substr(1, last.size() - 2);
  }
  return "error";
}

}  // namespace midwatch::harness
