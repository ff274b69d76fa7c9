#include "harness/tools.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"

namespace midwatch::harness {
namespace {

constexpr const char* kTools[] = {"bash", "read", "write"};
constexpr int64_t kBashOutputBytesMax = 100 << 10;
constexpr int64_t kReadBytesMax = 256 << 10;
constexpr int64_t kTimeoutMillisMax = 24 * 3600 * 1000;

bool IsTrue(const Json* value) {
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

std::string Quoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

absl::StatusOr<std::string> TextInput(const Json& input, const char* key) {
  const Json* value = Member(input, key);
  if (value == nullptr || !value->is_string()) {
    return absl::InvalidArgumentError(absl::StrCat(key, ": must be a string"));
  }
  std::string text = value->get<std::string>();
  if (absl::StrContains(text, absl::string_view("\0", 1))) {
    return absl::InvalidArgumentError(
        absl::StrCat(key, ": holds a NUL, which no shell can take"));
  }
  return text;
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

absl::StatusOr<ToolPlan> PlanRead(const Json& input, absl::Duration timeout) {
  ToolPlan plan;
  ASSIGN_OR_RETURN(std::string path, TextInput(input, "file_path"));
  std::string select = "cat";
  if (const Json* range = Member(input, "view_range")) {
    if (!range->is_array() || range->size() != 2 ||
        !(*range)[0].is_number_integer() || !(*range)[1].is_number_integer() ||
        (*range)[0].get<int64_t>() < 1) {
      return absl::InvalidArgumentError(
          "view_range: must be [first line from 1, last line]; 0 or less as "
          "the last line means the end");
    }
    int64_t last = (*range)[1].get<int64_t>();
    select = absl::StrCat("sed -n '", (*range)[0].get<int64_t>(), ",",
                          last <= 0 ? "$" : absl::StrCat(last), "p'");
  }
  // One byte more than allowed, so that a file that is too large shows.
  plan.command.text = absl::StrCat("( exec < ", Quoted(path), " || exit; ",
                                   select, " | head -c ", kReadBytesMax + 1,
                                   "; exit \"${PIPESTATUS[0]}\" )");
  plan.command.timeout = timeout;
  plan.command.output_bytes_max = kReadBytesMax + 1;
  return plan;
}

absl::StatusOr<ToolPlan> PlanWrite(const Json& input, absl::Duration timeout) {
  ToolPlan plan;
  ASSIGN_OR_RETURN(std::string path, TextInput(input, "file_path"));
  ASSIGN_OR_RETURN(std::string content, TextInput(input, "content"));
  plan.command.text =
      absl::StrCat("( f=", Quoted(path),
                   "; mkdir -p -- \"$(dirname -- \"$f\")\" && printf %s ",
                   Quoted(content), " > \"$f\" )");
  plan.command.timeout = timeout;
  plan.command.output_bytes_max = kBashOutputBytesMax;
  return plan;
}

}  // namespace

std::set<std::string> EnabledTools(const Json& agent) {
  std::set<std::string> enabled;
  const Json* toolsets = Member(agent, "tools");
  if (toolsets == nullptr) return enabled;
  for (const Json& toolset : *toolsets) {
    const Json* defaults = Member(toolset, "default_config");
    bool by_default =
        defaults == nullptr || IsTrue(Member(*defaults, "enabled"));
    for (const char* tool : kTools) {
      bool on = by_default;
      if (const Json* configs = Member(toolset, "configs")) {
        for (const Json& config : *configs) {
          if (StringMember(config, "name") == tool) {
            on = IsTrue(Member(config, "enabled"));
          }
        }
      }
      if (on) enabled.insert(tool);
    }
  }
  return enabled;
}

absl::StatusOr<ToolPlan> PlanTool(const std::string& name, const Json& input,
                                  absl::Duration timeout) {
  if (name == "bash") return PlanBash(input, timeout);
  if (name == "read") return PlanRead(input, timeout);
  if (name == "write") return PlanWrite(input, timeout);
  return absl::InvalidArgumentError(
      absl::StrCat("this server has no tool named ", name));
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
  } else if (result.exit_status != 0) {
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
