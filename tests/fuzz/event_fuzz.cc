// Any bytes are an event or an InvalidArgument; an event keeps its text as it
// came, and reads the same when another writer had ordered its members.

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agents/event.h"
#include "tests/fuzz/fuzz.h"

namespace midwatch {
namespace {

// Everything that ParseEvent understood.
std::string Describe(const Event& event) {
  std::string text = absl::StrCat(
      event.id, "|", event.type, "|",
      event.processed_at ? absl::FormatTime(*event.processed_at) : "", "|",
      event.body.index(), "|");
  if (auto* message = std::get_if<AgentMessage>(&event.body)) {
    absl::StrAppend(&text, message->text);
  } else if (auto* use = std::get_if<ToolUse>(&event.body)) {
    absl::StrAppend(&text, use->name, "|", use->asks, "|", use->custom);
  } else if (auto* result = std::get_if<ToolResult>(&event.body)) {
    absl::StrAppend(&text, result->tool_use_id);
  } else if (auto* answer = std::get_if<ToolAnswer>(&event.body)) {
    absl::StrAppend(&text, answer->tool_use_id);
  } else if (auto* idle = std::get_if<SessionIdle>(&event.body)) {
    absl::StrAppend(&text, idle->stop_reason, "|",
                    absl::StrJoin(idle->blocking_event_ids, "|"));
  } else if (auto* error = std::get_if<SessionError>(&event.body)) {
    absl::StrAppend(&text, error->type, "|", error->message, "|",
                    error->retry_status);
  } else if (auto* usage = std::get_if<SessionUsage>(&event.body)) {
    absl::StrAppend(&text, usage->list_cost_usd_micros.value_or(-1));
  }
  return text;
}

void Check(absl::string_view text) {
  absl::StatusOr<Event> event = ParseEvent(text);
  if (!event.ok()) {
    RequireInvalidArgument(event.status(), 300);
    return;
  }
  Require(!event->type.empty(), "an event has a type");
  Require(event->json == text, "an event keeps its text");
  if (auto* usage = std::get_if<SessionUsage>(&event->body)) {
    Require(usage->list_cost_usd_micros.value_or(0) >= 0,
            "no cost is negative");
  }
  // nlohmann::json orders members by name.
  std::string sorted = nlohmann::json::parse(text.begin(), text.end()).dump();
  absl::StatusOr<Event> again = ParseEvent(sorted);
  Require(again.ok() && Describe(*again) == Describe(*event),
          "the order of members does not matter");
}

}  // namespace
}  // namespace midwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  midwatch::Check(midwatch::AsText(bytes, size));
  return 0;
}
