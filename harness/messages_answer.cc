#include "harness/messages_answer.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "harness/messages_error.h"

namespace midwatch::harness {
namespace {

ModelFailure RequestFailed(std::string message, bool retry) {
  return {"model_request_failed_error", std::move(message), retry,
          std::nullopt};
}

// Counters are cumulative, and an event holds those it has news of.
void Count(const Json& usage, const char* key, int64_t& counter) {
  const Json* value = Member(usage, key);
  if (value != nullptr && value->is_number_integer()) {
    counter = value->get<int64_t>();
  }
}

int64_t IndexOf(const Json& event) {
  const Json* index = Member(event, "index");
  return index != nullptr && index->is_number_integer() ? index->get<int64_t>()
                                                        : 0;
}

}  // namespace

void MessagesAnswer::Feed(const SseFrame& frame) {
  Json event = ParseJson(frame.data);
  const std::string type = StringMember(event, "type");
  if (type == "message_start") {
    if (const Json* message = Member(event, "message")) {
      TakeUsage(Member(*message, "usage"));
    }
  } else if (type == "content_block_start") {
    TakeStart(event);
  } else if (type == "content_block_delta") {
    TakeDelta(event);
  } else if (type == "content_block_stop") {
    TakeStop(event);
  } else if (type == "message_delta") {
    TakeMessageDelta(event);
  } else if (type == "message_stop") {
    complete_ = true;
  } else if (type == "error") {
    failure_ = FailureOfEvent(event);
  } else if (event.is_discarded()) {
    Fail(RequestFailed("the answer holds an event that is no JSON", true));
  }
}

void MessagesAnswer::TakeStart(const Json& event) {
  const Json* start = Member(event, "content_block");
  if (start == nullptr) return;
  Block& block = blocks_[IndexOf(event)];
  block.start = *start;
  block.text = StringMember(*start, "text");
  const Json* input = Member(*start, "input");
  block.input = input != nullptr ? *input : Json::object();
}

void MessagesAnswer::TakeDelta(const Json& event) {
  const Json* delta = Member(event, "delta");
  auto block = blocks_.find(IndexOf(event));
  if (delta == nullptr || block == blocks_.end()) return;
  const std::string more =
      StringMember(*delta, "text") + StringMember(*delta, "partial_json");
  content_bytes_ += more.size();
  if (content_bytes_ > kContentBytesMax) {
    Fail(RequestFailed(
        absl::StrCat("the answer has more than ", kContentBytesMax, " bytes"),
        false));
    return;
  }
  block->second.text += more;
}

void MessagesAnswer::TakeStop(const Json& event) {
  auto found = blocks_.find(IndexOf(event));
  if (found == blocks_.end()) return;
  Block& block = found->second;
  if (StringMember(block.start, "type") != "tool_use" || block.text.empty()) {
    return;
  }
  block.input = ParseJson(block.text);
}

void MessagesAnswer::TakeMessageDelta(const Json& event) {
  TakeUsage(Member(event, "usage"));
  const Json* delta = Member(event, "delta");
  if (delta == nullptr) return;
  stop_reason_ = StringMember(*delta, "stop_reason");
  if (const Json* details = Member(*delta, "stop_details")) {
    stop_details_ = *details;
  }
}

void MessagesAnswer::TakeUsage(const Json* usage) {
  if (usage == nullptr) return;
  Count(*usage, "input_tokens", usage_.input);
  Count(*usage, "output_tokens", usage_.output);
  Count(*usage, "cache_read_input_tokens", usage_.cache_read);
  if (const Json* creation = Member(*usage, "cache_creation")) {
    Count(*creation, "ephemeral_5m_input_tokens", usage_.cache_write_5m);
    Count(*creation, "ephemeral_1h_input_tokens", usage_.cache_write_1h);
  } else {
    Count(*usage, "cache_creation_input_tokens", usage_.cache_write_5m);
  }
}

Json MessagesAnswer::Content() const {
  Json content = Json::array();
  for (const auto& [index, block] : blocks_) {
    Json whole = block.start;
    const std::string type = StringMember(whole, "type");
    if (type == "text") whole["text"] = block.text;
    if (type == "tool_use") whole["input"] = block.input;
    content.push_back(std::move(whole));
  }
  return content;
}

ModelStep MessagesAnswer::ToStep() const {
  ModelStep step;
  for (const auto& [index, block] : blocks_) {
    const std::string type = StringMember(block.start, "type");
    if (type == "text") {
      step.message += block.text;
    } else if (type == "tool_use") {
      step.tools.push_back({StringMember(block.start, "name"), block.input});
    }
  }
  if (stop_reason_ == "refusal") {
    step.tools.clear();
    step.refusal = stop_details_;
    return step;
  }
  if (stop_reason_ == "max_tokens" ||
      stop_reason_ == "model_context_window_exceeded") {
    // A tool call may be cut too: none of them is made.
    step.tools.clear();
    step.failure = RequestFailed(
        stop_reason_ == "max_tokens"
            ? "the answer was cut at max_tokens; allow more of them"
            : "the conversation no longer fits the model's context; start "
              "another session",
        false);
    return step;
  }
  for (const ToolCall& call : step.tools) {
    if (call.input.is_object()) continue;
    step = ModelStep();
    step.failure = RequestFailed(
        "the answer calls a tool with what is no JSON object", true);
    return step;
  }
  return step;
}

}  // namespace midwatch::harness
