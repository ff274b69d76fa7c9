#include "agents/event.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agents/json_fields.h"
#include "base/sha256.h"

namespace midwatch {
namespace {

using nlohmann::json;
using Body = decltype(Event::body);

std::string JoinedText(const json& content) {
  std::string text;
  if (!content.is_array()) return text;
  for (const json& block : content) {
    if (StringMember(block, "type") == "text") {
      text += StringMember(block, "text");
    }
  }
  return text;
}

std::string JsonText(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

Body ReadToolUse(const json& object, bool custom) {
  ToolUse use;
  use.name = StringMember(object, "name");
  use.asks = StringMember(object, "evaluated_permission") == "ask";
  use.custom = custom;
  std::string input = JsonText(Member(object, "input"));
  use.digest = Sha256Hex(absl::StrCat(use.name, "\n", input));
  if (use.asks || use.custom) use.input_json = std::move(input);
  return use;
}

Body ReadToolResult(const json& object, const char* id) {
  return ToolResult{StringMember(object, id),
                    Sha256Hex(JsonText(Member(object, "content")))};
}

Body ReadIdle(const json& object) {
  const json& reason = Member(object, "stop_reason");
  SessionIdle idle;
  idle.stop_reason = StringMember(reason, "type");
  const json& ids = Member(reason, "event_ids");
  if (ids.is_array()) {
    for (const json& id : ids) {
      if (id.is_string()) idle.blocking_event_ids.push_back(id);
    }
  }
  return idle;
}

Body ReadError(const json& object) {
  const json& in = Member(object, "error");
  SessionError error;
  error.type = StringMember(in, "type");
  error.message = StringMember(in, "message");
  error.retry_status = StringMember(Member(in, "retry_status"), "type");
  return error;
}

// A count that is negative, or no number that could be one, says nothing.
int64_t TokensIn(const json& usage, const char* name) {
  constexpr int64_t kTokensMax = 1'000'000'000'000;
  const int64_t tokens = IntMember(usage, name).value_or(0);
  return tokens > 0 && tokens < kTokensMax ? tokens : 0;
}

ModelRequestEnd ReadModelRequestEnd(const json& usage) {
  ModelRequestEnd end;
  end.usage.input = TokensIn(usage, "input_tokens");
  end.usage.output = TokensIn(usage, "output_tokens");
  end.usage.cache_read = TokensIn(usage, "cache_read_input_tokens");
  end.usage.cache_write_5m = TokensIn(usage, "cache_creation_input_tokens");
  return end;
}

Body ReadBody(const std::string& type, const json& object) {
  if (type == "user.message") return UserMessage{};
  if (type == "user.interrupt") return UserInterrupt{};
  if (type == "agent.message") {
    return AgentMessage{JoinedText(Member(object, "content"))};
  }
  if (type == "agent.tool_use" || type == "agent.mcp_tool_use") {
    return ReadToolUse(object, false);
  }
  if (type == "agent.custom_tool_use") return ReadToolUse(object, true);
  if (type == "agent.tool_result") {
    return ReadToolResult(object, "tool_use_id");
  }
  if (type == "agent.mcp_tool_result") {
    return ReadToolResult(object, "mcp_tool_use_id");
  }
  if (type == "user.tool_confirmation" || type == "user.tool_result") {
    return ToolAnswer{StringMember(object, "tool_use_id"), ""};
  }
  if (type == "user.custom_tool_result") {
    return ToolAnswer{StringMember(object, "custom_tool_use_id"),
                      Sha256Hex(JsonText(Member(object, "content")))};
  }
  if (type == "session.status_running") return SessionRunning{};
  if (type == "session.status_rescheduled") return SessionRescheduled{};
  if (type == "session.status_idle") return ReadIdle(object);
  if (type == "session.status_terminated") return SessionTerminated{};
  if (type == "session.deleted") return SessionDeleted{};
  if (type == "session.error") return ReadError(object);
  if (type == "session.usage") {
    return SessionUsage{ListCostOf(Member(object, "usage"))};
  }
  if (type == "span.model_request_start") return ModelRequestStart{};
  if (type == "span.model_request_end") {
    return ReadModelRequestEnd(Member(object, "model_usage"));
  }
  return OtherEvent{};
}

}  // namespace

absl::StatusOr<Event> ParseEvent(absl::string_view text) {
  json object = json::parse(text.begin(), text.end(), nullptr, false);
  Event event;
  event.type = StringMember(object, "type");
  if (event.type.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "not an event, which is a JSON object with a string `type`: ",
        text.substr(0, 100)));
  }
  event.id = StringMember(object, "id");
  event.processed_at = TimeMember(object, "processed_at");
  event.body = ReadBody(event.type, object);
  event.json = std::string(text);
  return event;
}

}  // namespace midwatch
