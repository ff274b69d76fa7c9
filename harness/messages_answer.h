// Reads a streamed answer of the Messages API, event by event: pure.
#ifndef MIDWATCH_HARNESS_MESSAGES_ANSWER_H_
#define MIDWATCH_HARNESS_MESSAGES_ANSWER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "harness/json.h"
#include "harness/model.h"
#include "net/sse.h"

namespace midwatch::harness {

class MessagesAnswer {
 public:
  // An answer with more than this is not taken.
  static constexpr size_t kContentBytesMax = 32 << 20;

  // Events that are unknown are no error. After a failure, or where it is
  // complete, no more is to be fed.
  void Feed(const SseFrame& frame);
  // For what happens to the stream itself.
  void Fail(ModelFailure failure) { failure_ = std::move(failure); }

  bool complete() const { return complete_; }
  const std::optional<ModelFailure>& failure() const { return failure_; }
  // As counted by the server so far; of an answer that was cut, the output may
  // be missing.
  const TokenUsage& usage() const { return usage_; }

  // REQUIRES for all below: complete().
  const std::string& stop_reason() const { return stop_reason_; }
  // The blocks, as they are to be sent back where the model goes on.
  Json Content() const;
  // What the turn is to do about it. `pause_turn` is the caller's business.
  ModelStep ToStep() const;

 private:
  struct Block {
    Json start;
    std::string text;  // of text; of tool_use: its input, as JSON
    Json input;        // of tool_use, when it has ended
  };

  void TakeStart(const Json& event);
  void TakeDelta(const Json& event);
  void TakeStop(const Json& event);
  void TakeMessageDelta(const Json& event);
  void TakeUsage(const Json* usage);

  std::map<int64_t, Block> blocks_;
  size_t content_bytes_ = 0;
  TokenUsage usage_;
  std::string stop_reason_;
  Json stop_details_;
  bool complete_ = false;
  std::optional<ModelFailure> failure_;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_MESSAGES_ANSWER_H_
