#include "cli/event_words.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

using Json = nlohmann::ordered_json;

// No terminal has more columns to show it in.
constexpr size_t kTextBytesMax = 1000;

std::string StringIn(const Json& object, const char* key) {
  auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end() || !found->is_string()) {
    return "";
  }
  return found->get<std::string>();
}

// The first text of the event's content that holds a word.
std::string TextIn(const Json& event) {
  auto content = event.find("content");
  if (content == event.end() || !content->is_array()) return "";
  for (const Json& block : *content) {
    std::string text =
        OneLine(StringIn(block, "text").substr(0, kTextBytesMax));
    if (!text.empty()) return text;
  }
  return "";
}

// The first string among a tool's arguments: a command, a path, a query.
std::string ArgumentOf(const Json& event) {
  auto input = event.find("input");
  if (input == event.end() || !input->is_object()) return "";
  for (const Json& argument : *input) {
    if (argument.is_string()) {
      return OneLine(argument.get<std::string>().substr(0, kTextBytesMax));
    }
  }
  return "";
}

std::string Join(absl::string_view head, const std::string& text) {
  return text.empty() ? std::string(head) : absl::StrCat(head, ": ", text);
}

}  // namespace

std::string EventInWords(absl::string_view json) {
  const Json event = Json::parse(json.begin(), json.end(), nullptr,
                                 /*allow_exceptions=*/false);
  const std::string type = StringIn(event, "type");
  if (type.empty()) return "";
  if (absl::EndsWith(type, "tool_use")) {
    return Join(Printable(StringIn(event, "name")), ArgumentOf(event));
  }
  if (absl::EndsWith(type, "tool_result")) return Join("result", TextIn(event));
  if (type == "agent.message") return Join("says", TextIn(event));
  if (type == "agent.thinking" || type == "span.model_request_start") {
    return "thinks";
  }
  if (type == "user.message") return "asked";
  if (type == "session.error" && event.contains("error")) {
    return Join("error", OneLine(StringIn(event["error"], "message")));
  }
  if (absl::StartsWith(type, "span.") || absl::StartsWith(type, "session.")) {
    return type == "session.status_rescheduled" ? "waits for the service" : "";
  }
  // "agent.custom_thing" -> "agent custom thing".
  return OneLine(absl::StrReplaceAll(type, {{".", " "}, {"_", " "}}));
}

}  // namespace midwatch::cli
