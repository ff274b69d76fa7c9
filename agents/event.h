// Events of a session, as far as Midwatch acts on them. Whatever is not listed
// here is kept whole in `json` and otherwise left alone: new event types, error
// types and stop reasons appear without notice.
#ifndef MIDWATCH_AGENTS_EVENT_H_
#define MIDWATCH_AGENTS_EVENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/prices.h"

namespace midwatch {

struct UserMessage {};
struct UserInterrupt {};
struct AgentMessage {
  std::string text;  // its text blocks, joined
};
// agent.tool_use, agent.mcp_tool_use and agent.custom_tool_use.
struct ToolUse {
  std::string name;
  bool asks = false;    // evaluated_permission is "ask"
  bool custom = false;  // the client is to run it
  // Of one that asks or is custom: what it is called with, JSON.
  std::string input_json;
  std::string digest;  // of what is called, and with what
};
// agent.tool_result and agent.mcp_tool_result.
struct ToolResult {
  std::string tool_use_id;
  std::string digest;  // of what came back
};
// user.tool_confirmation, user.custom_tool_result and user.tool_result: the
// client has answered that call.
struct ToolAnswer {
  std::string tool_use_id;
  std::string digest;  // of a result; "" for a permission
};
struct SessionRunning {};
struct SessionRescheduled {};
struct SessionIdle {
  std::string stop_reason;  // "end_turn", ...; "" where it is missing
  std::vector<std::string> blocking_event_ids;  // of requires_action
};
struct SessionTerminated {};
struct SessionDeleted {};
struct SessionError {
  std::string type;
  std::string message;
  std::string retry_status;  // "retrying", "exhausted", "terminal"
};
struct SessionUsage {
  std::optional<int64_t> list_cost_usd_micros;
};
struct ModelRequestStart {};
struct ModelRequestEnd {
  // Which cache it wrote to is not said: counted as the short-lived one.
  TokenUsage usage;
};
struct OtherEvent {};

struct Event {
  std::string id;  // "" for stream-only deltas
  std::string type;
  // Unset: the service has queued it (only what clients sent).
  std::optional<absl::Time> processed_at;
  std::variant<OtherEvent, UserMessage, UserInterrupt, AgentMessage, ToolUse,
               ToolResult, ToolAnswer, SessionRunning, SessionRescheduled,
               SessionIdle, SessionTerminated, SessionDeleted, SessionError,
               SessionUsage, ModelRequestStart, ModelRequestEnd>
      body;
  std::string json;  // the object as received
};

// Reads one event. Unknown types and fields are fine; a known field of a wrong
// type counts as missing.
//   kInvalidArgument  not a JSON object with a string `type`
absl::StatusOr<Event> ParseEvent(absl::string_view json);

}  // namespace midwatch

#endif  // MIDWATCH_AGENTS_EVENT_H_
