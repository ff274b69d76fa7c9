#include "harness/turn_state.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace midwatch::harness {
namespace {

// Events as short words: "type" or "type id"; a "?" before it is queued.
Json EventOf(const std::string& word) {
  bool queued = word[0] == '?';
  std::string type = word.substr(queued ? 1 : 0);
  std::string id = "e";
  if (size_t space = type.find(' '); space != std::string::npos) {
    id = type.substr(space + 1);
    type = type.substr(0, space);
  }
  Json event = {{"id", id},
                {"type", type},
                {"processed_at", queued ? Json() : Json("t")}};
  if (type == "agent.tool_result") event["tool_use_id"] = id;
  if (type == "session.status_idle") event["stop_reason"] = {{"type", id}};
  if (type == "span.model_request_end") event["is_error"] = id == "error";
  return event;
}

struct DecideCase {
  const char* name;
  std::vector<const char*> log;
  NextStep want;
  bool at_budget = false;
};
class DecideTest : public ::testing::TestWithParam<DecideCase> {};

TEST_P(DecideTest, MatchesTable) {
  TurnState state;
  for (const char* word : GetParam().log) state.Apply(EventOf(word));
  EXPECT_EQ(Decide(state, GetParam().at_budget), GetParam().want);
}

constexpr char kMessage[] = "user.message";
constexpr char kRun[] = "session.status_running";
constexpr char kAskModel[] = "span.model_request_start";
constexpr char kEnd[] = "span.model_request_end";
constexpr char kUse[] = "agent.tool_use 1";
constexpr char kUse2[] = "agent.tool_use 2";
constexpr char kResult[] = "agent.tool_result 1";
constexpr char kAnswer[] = "agent.message";
constexpr char kIdleEnd[] = "session.status_idle end_turn";
constexpr char kIdlePaused[] = "session.status_idle budget_reached";

INSTANTIATE_TEST_SUITE_P(
    Table, DecideTest,
    ::testing::ValuesIn<DecideCase>({
        {"Empty", {}, NextStep::kNothing},
        {"Queued", {"?user.message"}, NextStep::kBeginTurn},
        {"Begun", {"?user.message", kMessage, kRun}, NextStep::kRequestModel},
        {"KilledWhileAsking",
         {kMessage, kRun, kAskModel},
         NextStep::kCloseModelRequest},
        {"AskAgain",
         {kMessage, kRun, kAskModel, "span.model_request_end error"},
         NextStep::kRequestModel},
        {"Tool", {kMessage, kRun, kAskModel, kUse, kEnd}, NextStep::kRunTool},
        {"OneOfTwoTools",
         {kMessage, kRun, kAskModel, kUse, kUse2, kEnd, kResult},
         NextStep::kRunTool},
        {"ToolsDone",
         {kMessage, kRun, kAskModel, kUse, kEnd, kResult},
         NextStep::kRequestModel},
        {"Answered",
         {kMessage, kRun, kAskModel, kAnswer, kEnd},
         NextStep::kEndTurn},
        {"Over",
         {kMessage, kRun, kAskModel, kAnswer, kEnd, kIdleEnd},
         NextStep::kNothing},
        {"NextMessage",
         {kMessage, kRun, kAskModel, kAnswer, kEnd, "?user.message", kIdleEnd},
         NextStep::kBeginTurn},
        {"QueuedWaitsForTheTurn",
         {kMessage, kRun, "?user.message"},
         NextStep::kRequestModel},
        {"SecondTurnAsks",
         {kMessage, kRun, kAskModel, kAnswer, kEnd, kIdleEnd, kMessage, kRun},
         NextStep::kRequestModel},
        {"AtBudget", {kMessage, kRun}, NextStep::kPauseForBudget, true},
        {"ToolsAreFree",
         {kMessage, kRun, kAskModel, kUse, kEnd},
         NextStep::kRunTool,
         true},
        {"AnAnswerIsPaid",
         {kMessage, kRun, kAskModel, kAnswer, kEnd},
         NextStep::kEndTurn,
         true},
        {"Paused", {kMessage, kRun, kIdlePaused}, NextStep::kNothing, true},
        {"PausedAndQueued",
         {kMessage, kRun, "?user.message", kIdlePaused},
         NextStep::kNothing,
         true},
        {"Raised", {kMessage, kRun, kIdlePaused}, NextStep::kResumeTurn},
        {"Resumed",
         {kMessage, kRun, kIdlePaused, kRun},
         NextStep::kRequestModel},
        {"Interrupt",
         {kMessage, kRun, kAskModel, kUse, kEnd, "?user.interrupt"},
         NextStep::kInterruptTurn},
        {"InterruptOvertakes",
         {kMessage, kRun, "?user.message", "?user.interrupt i"},
         NextStep::kInterruptTurn},
        {"InterruptAfterAKill",
         {kMessage, kRun, kAskModel, "?user.interrupt"},
         NextStep::kCloseModelRequest},
        {"InterruptOfNothing",
         {"?user.interrupt"},
         NextStep::kIgnoreInterrupts},
        {"InterruptProcessed",
         {"?user.interrupt", "user.interrupt"},
         NextStep::kNothing},
    }),
    [](const auto& c) { return std::string(c.param.name); });

TEST(TurnStateTest, TheConversationIsWhatAModelNeeds) {
  TurnState state;
  Json message = EventOf(kMessage);
  message["content"] = Json::array(
      {{{"type", "text"}, {"text", "a"}}, {{"type", "text"}, {"text", "b"}}});
  state.Apply(message);
  Json use = EventOf(kUse);
  use["name"] = "bash";
  use["input"] = {{"command", "x"}};
  state.Apply(use);
  Json result = EventOf(kResult);
  result["is_error"] = true;
  state.Apply(result);
  ASSERT_EQ(state.conversation.size(), 3u);
  EXPECT_EQ(state.conversation[0].text, "a\nb");
  EXPECT_EQ(state.conversation[1].tool_name, "bash");
  EXPECT_EQ(state.conversation[1].tool_input["command"], "x");
  EXPECT_EQ(state.conversation[2].tool_use_id, "1");
  EXPECT_TRUE(state.conversation[2].is_error);
}

TEST(TurnStateTest, CountsFailuresInARow) {
  TurnState state;
  const std::vector<std::string> failure = {
      kAskModel, "span.model_request_end error", "session.status_rescheduled"};
  for (const char* word : {kMessage, kRun}) state.Apply(EventOf(word));
  for (int i = 1; i <= 2; ++i) {
    for (const std::string& word : failure) state.Apply(EventOf(word));
    EXPECT_EQ(state.failed_requests, i);
    EXPECT_TRUE(state.rescheduled);
    EXPECT_EQ(Decide(state, false), NextStep::kRequestModel);
    state.Apply(EventOf(kRun));
    EXPECT_FALSE(state.rescheduled);
  }
  for (const char* word : {kAskModel, kUse, kEnd}) state.Apply(EventOf(word));
  EXPECT_EQ(state.failed_requests, 0);
}

}  // namespace
}  // namespace midwatch::harness
