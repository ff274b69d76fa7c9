#include "harness/messages_request.h"

#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "harness/tool_definitions.h"

namespace midwatch::harness {
namespace {

using Kind = ConversationItem::Kind;

// The API refuses text that is empty or white space.
bool IsBlank(const std::string& text) {
  return absl::StripAsciiWhitespace(text).empty();
}

void MarkForCache(Json& block) {
  block["cache_control"] = {{"type", "ephemeral"}};
}

const char* RoleOf(Kind kind) {
  return kind == Kind::kAgentMessage || kind == Kind::kToolUse ? "assistant"
                                                               : "user";
}

// Null where there is nothing that could be said.
Json BlockOf(const ConversationItem& item) {
  switch (item.kind) {
    case Kind::kUserMessage:
    case Kind::kAgentMessage:
      if (IsBlank(item.text)) return nullptr;
      return {{"type", "text"}, {"text", item.text}};
    case Kind::kToolUse:
      return {{"type", "tool_use"},
              {"id", item.tool_use_id},
              {"name", item.tool_name},
              {"input", item.tool_input}};
    case Kind::kToolResult: {
      Json block = {{"type", "tool_result"}, {"tool_use_id", item.tool_use_id}};
      if (!IsBlank(item.text)) block["content"] = item.text;
      if (item.is_error) block["is_error"] = true;
      return block;
    }
  }
  return nullptr;
}

Json MessagesOf(const std::vector<ConversationItem>& conversation) {
  Json messages = Json::array();
  for (const ConversationItem& item : conversation) {
    Json block = BlockOf(item);
    if (block.is_null()) continue;
    const char* role = RoleOf(item.kind);
    if (messages.empty() || messages.back()["role"] != role) {
      messages.push_back({{"role", role}, {"content", Json::array()}});
    }
    messages.back()["content"].push_back(std::move(block));
  }
  return messages;
}

void MarkLastTwoOfUser(Json& messages) {
  int left = 2;
  for (auto message = messages.rbegin(); message != messages.rend() && left > 0;
       ++message) {
    if ((*message)["role"] != "user") continue;
    MarkForCache((*message)["content"].back());
    --left;
  }
}

}  // namespace

Json MessagesBody(const ModelRequest& request, int64_t max_tokens) {
  Json body = {
      {"model", request.model}, {"max_tokens", max_tokens}, {"stream", true}};
  Json tools = ToolDefinitions(request.tools);
  for (const Json& custom : request.custom_tools) {
    Json tool = {{"name", custom["name"]},
                 {"input_schema", custom["input_schema"]}};
    if (custom["description"].is_string()) {
      tool["description"] = custom["description"];
    }
    tools.push_back(std::move(tool));
  }
  if (!tools.empty()) {
    MarkForCache(tools.back());
    body["tools"] = std::move(tools);
  }
  if (!IsBlank(request.system)) {
    Json block = {{"type", "text"}, {"text", request.system}};
    MarkForCache(block);
    body["system"] = Json::array({std::move(block)});
  }
  Json messages = MessagesOf(request.conversation);
  MarkLastTwoOfUser(messages);
  body["messages"] = std::move(messages);
  return body;
}

}  // namespace midwatch::harness
