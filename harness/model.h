// What decides the next step of a turn. A model sees the conversation and
// answers with tool calls or with a last message; the turn (turn.h) does the
// rest.
#ifndef MIDWATCH_HARNESS_MODEL_H_
#define MIDWATCH_HARNESS_MODEL_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/coro.h"
#include "harness/json.h"

namespace midwatch::harness {

struct ConversationItem {
  enum class Kind { kUserMessage, kAgentMessage, kToolUse, kToolResult };
  Kind kind = Kind::kUserMessage;
  std::string text;         // messages and results
  std::string tool_use_id;  // tool uses and results
  std::string tool_name;    // tool uses
  Json tool_input;          // tool uses
  bool is_error = false;    // results
};

struct ModelRequest {
  std::string system;
  std::set<std::string> tools;  // names of those that may be called
  std::vector<ConversationItem> conversation;
};

struct ToolCall {
  std::string name;
  Json input;
};

struct ModelStep {
  std::string message;          // "": none
  std::vector<ToolCall> tools;  // empty: the turn is over
  int64_t input_tokens = 0;
  int64_t output_tokens = 0;
  int64_t price_usd_micros = 0;
};

// Used on the harness's executor; requests of several sessions run at once.
class Model {
 public:
  virtual ~Model() = default;
  // One model request. An error ends the turn with `retries_exhausted`; it is
  // charged nothing.
  virtual Async<absl::StatusOr<ModelStep>> Next(ModelRequest request) = 0;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_MODEL_H_
