// What decides the next step of a turn. A model sees the conversation and
// answers with tool calls or with a last message; the turn (turn.h) does the
// rest.
#ifndef MIDWATCH_HARNESS_MODEL_H_
#define MIDWATCH_HARNESS_MODEL_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "base/coro.h"
#include "base/prices.h"
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
  std::string model;  // its id
  std::string system;
  std::set<std::string> tools;        // names of those that may be called
  Json custom_tools = Json::array();  // definitions of those that clients run
  std::vector<ConversationItem> conversation;
};

struct ToolCall {
  std::string name;
  Json input;
};

// Why a request did not lead on, in the words of `session.error`.
struct ModelFailure {
  std::string type;  // model_overloaded_error, ...
  std::string message;
  bool retry = false;  // the same request may succeed later
  std::optional<absl::Duration> retry_after;
};

struct ModelStep {
  std::string message;          // "": none
  std::vector<ToolCall> tools;  // empty: the turn is over
  // The model refused: the turn is over, with these `stop_details`.
  std::optional<Json> refusal;
  // The turn has failed, or the request is made again (where `retry` is set;
  // there are no message and tools then).
  std::optional<ModelFailure> failure;
};

// One request that is under way, seen from both of its ends.
class ModelCall {
 public:
  // What it has cost so far, kept up to date by the model: charged however the
  // request ends.
  TokenUsage usage;
  int64_t price_usd_micros = 0;

  // For who asked: there is no interest in the answer any more.
  void Cancel() {
    cancelled_ = true;
    if (on_cancel_) on_cancel_();
  }
  // For the model: what to do at a cancel. It may then return anything.
  void OnCancel(absl::AnyInvocable<void()> on_cancel) {
    on_cancel_ = std::move(on_cancel);
  }
  bool cancelled() const { return cancelled_; }

 private:
  bool cancelled_ = false;
  absl::AnyInvocable<void()> on_cancel_;
};

// Used on the harness's executor; requests of several sessions run at once.
class Model {
 public:
  virtual ~Model() = default;
  // One model request. `call` lives until it returns.
  virtual Async<ModelStep> Next(ModelRequest request, ModelCall& call) = 0;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_MODEL_H_
