// Where a session stands, as its log tells it, and what comes next: pure, so
// that a live turn and a harness that was just restarted decide alike.
#ifndef MIDWATCH_HARNESS_TURN_STATE_H_
#define MIDWATCH_HARNESS_TURN_STATE_H_

#include <deque>
#include <string>
#include <vector>

#include "harness/json.h"
#include "harness/model.h"

namespace midwatch::harness {

struct TurnState {
  struct ToolUse {
    std::string id;
    std::string name;
    Json input;
    bool custom = false;  // the client runs it
    bool waits = false;   // for the client's answer
  };

  std::vector<ConversationItem> conversation;
  std::deque<std::string> queued_messages;    // event ids, not processed yet
  std::deque<std::string> queued_interrupts;  // event ids, not processed yet
  bool in_turn = false;        // running was said, and idle not yet
  bool turn_over = false;      // the last model request asked for no tool
  bool budget_paused = false;  // idle in the middle of a turn
  // Idle in the middle of a turn, until the client has answered so many.
  size_t questions_put = 0;
  bool rescheduled = false;        // waits to make a failed request again
  int failed_requests = 0;         // in a row, each to be made again
  std::string open_request;        // a span.model_request_start without its end
  std::deque<ToolUse> open_tools;  // tool uses without their result, in order

  size_t questions_open() const;

  // Takes the session's next event, queued or processed. A queued event comes a
  // second time when it is processed.
  void Apply(const Json& event);
  // For LogWrite::flush_queue.
  void ForgetQueue();
};

enum class NextStep {
  kNothing,           // idle until something is sent
  kIgnoreInterrupts,  // no turn that they could end
  kBeginTurn,         // with the first queued message
  kResumeTurn,        // the budget that paused it was raised
  kInterruptTurn,
  kCloseModelRequest,  // one that a killed harness left open
  kRunTool,            // the first open one that may; again, if it was running
  kPutQuestions,
  kRequestModel,
  kPauseForBudget,
  kEndTurn,
};

// `at_budget`: nothing more that costs may start.
NextStep Decide(const TurnState& state, bool at_budget);

// The text blocks of a content array, one after the other.
std::string TextOf(const Json* content);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_TURN_STATE_H_
