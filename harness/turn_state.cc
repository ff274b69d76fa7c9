#include "harness/turn_state.h"

#include <algorithm>
#include <utility>

namespace midwatch::harness {
namespace {

using Kind = ConversationItem::Kind;

ConversationItem Message(Kind kind, const Json& event) {
  ConversationItem item;
  item.kind = kind;
  item.text = TextOf(Member(event, "content"));
  return item;
}

bool IsTrue(const Json& event, const char* key) {
  const Json* member = Member(event, key);
  return member != nullptr && member->is_boolean() && member->get<bool>();
}

}  // namespace

std::string TextOf(const Json* content) {
  std::string text;
  if (content == nullptr || !content->is_array()) return text;
  for (const Json& block : *content) {
    std::string part = StringMember(block, "text");
    if (part.empty()) continue;
    if (!text.empty()) text += "\n";
    text += part;
  }
  return text;
}

size_t TurnState::questions_open() const {
  return static_cast<size_t>(
      std::count_if(open_tools.begin(), open_tools.end(),
                    [](const ToolUse& use) { return use.waits; }));
}

void TurnState::Apply(const Json& event) {
  const std::string type = StringMember(event, "type");
  const std::string id = StringMember(event, "id");
  const bool processed = Member(event, "processed_at") != nullptr;
  if (type == "user.message") {
    if (!processed) {
      queued_messages.push_back(id);
      return;
    }
    std::erase(queued_messages, id);
    conversation.push_back(Message(Kind::kUserMessage, event));
    turn_over = false;
  } else if (type == "user.interrupt") {
    if (!processed) {
      queued_interrupts.push_back(id);
    } else {
      std::erase(queued_interrupts, id);
    }
  } else if (type == "session.status_running") {
    in_turn = true;
    budget_paused = false;
    questions_put = 0;
    rescheduled = false;
  } else if (type == "session.status_rescheduled") {
    rescheduled = true;
    ++failed_requests;
  } else if (type == "session.status_idle") {
    in_turn = false;
    rescheduled = false;
    failed_requests = 0;
    const Json* reason = Member(event, "stop_reason");
    budget_paused =
        reason != nullptr && StringMember(*reason, "type") == "budget_reached";
    questions_put = questions_open();
  } else if (type == "span.model_request_start") {
    open_request = id;
  } else if (type == "span.model_request_end") {
    open_request.clear();
    if (IsTrue(event, "is_error")) return;
    failed_requests = 0;
    turn_over = open_tools.empty();
  } else if (type == "agent.message") {
    conversation.push_back(Message(Kind::kAgentMessage, event));
  } else if (type == "agent.tool_use" || type == "agent.custom_tool_use") {
    ToolUse use{id, StringMember(event, "name"), Json::object()};
    use.custom = type == "agent.custom_tool_use";
    use.waits =
        use.custom || StringMember(event, "evaluated_permission") == "ask";
    if (const Json* input = Member(event, "input")) use.input = *input;
    ConversationItem item;
    item.kind = Kind::kToolUse;
    item.tool_use_id = id;
    item.tool_name = use.name;
    item.tool_input = use.input;
    conversation.push_back(std::move(item));
    open_tools.push_back(std::move(use));
  } else if (type == "user.tool_confirmation") {
    // A refusal comes with the call's result.
    for (ToolUse& use : open_tools) {
      if (use.id == StringMember(event, "tool_use_id")) use.waits = false;
    }
  } else if (type == "agent.tool_result" || type == "user.custom_tool_result") {
    ConversationItem item = Message(Kind::kToolResult, event);
    item.tool_use_id =
        StringMember(event, type == "agent.tool_result" ? "tool_use_id"
                                                        : "custom_tool_use_id");
    item.is_error = IsTrue(event, "is_error");
    std::erase_if(open_tools, [&](const ToolUse& use) {
      return use.id == item.tool_use_id;
    });
    conversation.push_back(std::move(item));
  }
}

void TurnState::ForgetQueue() {
  queued_messages.clear();
  queued_interrupts.clear();
}

NextStep Decide(const TurnState& state, bool at_budget) {
  if (state.in_turn && !state.open_request.empty()) {
    return NextStep::kCloseModelRequest;
  }
  if (!state.queued_interrupts.empty()) {
    return state.in_turn || state.questions_put > 0
               ? NextStep::kInterruptTurn
               : NextStep::kIgnoreInterrupts;
  }
  if (!state.in_turn) {
    if (state.questions_put > 0) {
      size_t open = state.questions_open();
      if (open == 0) return NextStep::kResumeTurn;
      // Fewer than before: it says which ones are left.
      return open < state.questions_put ? NextStep::kPutQuestions
                                        : NextStep::kNothing;
    }
    if (state.budget_paused) {
      return at_budget ? NextStep::kNothing : NextStep::kResumeTurn;
    }
    return state.queued_messages.empty() ? NextStep::kNothing
                                         : NextStep::kBeginTurn;
  }
  if (!state.open_tools.empty()) {
    return state.questions_open() < state.open_tools.size()
               ? NextStep::kRunTool
               : NextStep::kPutQuestions;
  }
  if (state.turn_over) return NextStep::kEndTurn;
  return at_budget ? NextStep::kPauseForBudget : NextStep::kRequestModel;
}

}  // namespace midwatch::harness
