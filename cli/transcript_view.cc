#include "cli/transcript_view.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "agents/event.h"
#include "cli/json_views.h"
#include "cli/money.h"
#include "cli/task_views.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

constexpr size_t kResultLinesMax = 6;
constexpr size_t kPromptLinesMax = 12;
// "12:00:01  " and the widest of the names that we choose.
constexpr size_t kTimeWidth = 10;
constexpr size_t kWhoWidth = 10;

std::string Word(const Json& object, const char* key) {
  auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>()
                                                     : "";
}

// The texts of an event's content, and a word for each block that is none.
std::string ContentText(const Json& event) {
  auto content = event.find("content");
  if (content == event.end()) return "";
  if (content->is_string()) return content->get<std::string>();
  std::string text;
  if (!content->is_array()) return text;
  for (const Json& block : *content) {
    if (!block.is_object()) continue;
    const std::string type = Word(block, "type");
    absl::StrAppend(
        &text, text.empty() ? "" : "\n",
        type == "text" ? Word(block, "text") : absl::StrCat("[", type, "]"));
  }
  return text;
}

std::string ErrorText(const SessionError& error) {
  return absl::StrCat(error.type, ": ", error.message,
                      error.retry_status.empty()
                          ? ""
                          : absl::StrCat(" (", error.retry_status, ")"));
}

struct Entry {
  std::string who;
  std::string text;  // empty: nothing to show
  size_t lines_max = SIZE_MAX;
};

Entry ToEntry(const Event& event, const Json& json) {
  const absl::string_view type = event.type;
  if (type == "user.message") {
    return {"user", ContentText(json), kPromptLinesMax};
  }
  if (type == "agent.message") return {"agent", ContentText(json)};
  if (std::holds_alternative<ToolUse>(event.body)) {
    auto input = json.find("input");
    return {std::get<ToolUse>(event.body).name,
            input == json.end() ? "{}" : ToLine(*input), 1};
  }
  if (std::holds_alternative<ToolResult>(event.body) ||
      std::holds_alternative<ToolAnswer>(event.body)) {
    auto failed = json.find("is_error");
    const bool is_error =
        failed != json.end() && failed->is_boolean() && failed->get<bool>();
    std::string text = ContentText(json);
    if (absl::StripAsciiWhitespace(text).empty()) text = "(nothing)";
    return {is_error ? "failed" : "result", text, kResultLinesMax};
  }
  if (const auto* error = std::get_if<SessionError>(&event.body)) {
    return {"error", ErrorText(*error)};
  }
  if (const auto* usage = std::get_if<SessionUsage>(&event.body)) {
    if (!usage->list_cost_usd_micros.has_value()) return {};
    return {"cost", FormatUsd(*usage->list_cost_usd_micros)};
  }
  if (const auto* idle = std::get_if<SessionIdle>(&event.body)) {
    return {"idle", idle->stop_reason};
  }
  if (type == "user.interrupt") return {"user", "(interrupt)"};
  if (type == "session.status_terminated") return {"session", "terminated"};
  if (type == "session.status_rescheduled") return {"session", "rescheduled"};
  if (type == "session.deleted") return {"session", "deleted"};
  // Marks of progress, which the entries above follow.
  if (type == "session.status_running" || type == "agent.thinking" ||
      absl::StartsWith(type, "span.model_request") ||
      absl::StartsWith(type, "session.thread_status")) {
    return {};
  }
  Json rest = json;
  for (const char* key : {"id", "type", "processed_at"}) rest.erase(key);
  return {event.type, ToLine(rest), 1};
}

std::vector<std::string> SplitText(const Entry& entry) {
  std::vector<std::string> lines;
  size_t left_out = 0;
  for (absl::string_view line :
       absl::StrSplit(absl::StripTrailingAsciiWhitespace(entry.text), '\n')) {
    if (lines.size() == entry.lines_max) {
      ++left_out;
      continue;
    }
    lines.push_back(Printable(absl::StripSuffix(line, "\r")));
  }
  if (left_out > 0) {
    lines.push_back(
        absl::StrCat("... ", left_out, " more line", left_out == 1 ? "" : "s"));
  }
  return lines;
}

}  // namespace

std::vector<std::string> TranscriptLines(absl::string_view event_json,
                                         int width) {
  absl::StatusOr<Event> event = ParseEvent(event_json);
  const Json json = Json::parse(event_json.begin(), event_json.end(), nullptr,
                                /*allow_exceptions=*/false);
  if (!event.ok() || !json.is_object()) {
    return {Shorten(absl::StrCat("?  ", OneLine(event_json)),
                    static_cast<size_t>(width))};
  }
  // What we say is told twice: when it is queued, and when it is read.
  if (absl::StartsWith(event->type, "user.") && json.contains("processed_at") &&
      !event->processed_at.has_value()) {
    return {};
  }
  const Entry entry = ToEntry(*event, json);
  if (entry.text.empty()) return {};
  std::string time(kTimeWidth, ' ');
  if (event->processed_at.has_value()) {
    time = absl::StrCat(absl::FormatTime("%H:%M:%S", *event->processed_at,
                                         absl::LocalTimeZone()),
                        "  ");
  }
  std::string who = OneLine(entry.who);
  who.resize(std::max(who.size() + 2, kWhoWidth), ' ');
  std::string head = time + who;
  std::vector<std::string> lines;
  for (const std::string& text : SplitText(entry)) {
    lines.push_back(
        Shorten(absl::StrCat(head, text), static_cast<size_t>(width)));
    head = std::string(kTimeWidth + kWhoWidth, ' ');
  }
  return lines;
}

}  // namespace midwatch::cli
