#include "worker/judge.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace midwatch {
namespace {

// Events in short: "m1?" a message queued, "m1" processed, "run", "resched",
// "idle:REASON", "ask:ID" idle that waits for ID, "answer:ID", "result:ID",
// "error:TYPE/STATUS", "end" terminated, "gone" deleted, "model" a request.
Event FromShort(const std::string& text) {
  Event event;
  size_t colon = text.find(':');
  std::string word = text.substr(0, colon);
  std::string rest = colon == std::string::npos ? "" : text.substr(colon + 1);
  event.processed_at = absl::UnixEpoch();
  if (word[0] == 'm' && word != "model") {
    if (word.back() == '?') {
      word.pop_back();
      event.processed_at.reset();
    }
    event.body = UserMessage{};
  } else if (word == "run") {
    event.body = SessionRunning{};
  } else if (word == "resched") {
    event.body = SessionRescheduled{};
  } else if (word == "idle") {
    event.body = SessionIdle{rest, {}};
  } else if (word == "ask") {
    event.body = SessionIdle{"requires_action", {rest}};
  } else if (word == "answer") {
    event.body = ToolAnswer{rest};
  } else if (word == "result") {
    event.body = ToolResult{rest};
  } else if (word == "error") {
    size_t slash = rest.find('/');
    event.body =
        SessionError{rest.substr(0, slash), "text", rest.substr(slash + 1)};
  } else if (word == "end") {
    event.body = SessionTerminated{};
  } else if (word == "gone") {
    event.body = SessionDeleted{};
  } else if (word == "model") {
    event.body = ModelRequestStart{};
  } else {
    ADD_FAILURE() << "no such event: " << text;
  }
  event.id = word;
  return event;
}

std::string Describe(const std::optional<Verdict>& verdict) {
  if (!verdict) return "goes on";
  std::string text = v1::Ending::Kind_Name(verdict->kind).substr(5);
  if (!verdict->stop_reason.empty()) text += " " + verdict->stop_reason;
  if (verdict->failure) text += " after " + verdict->failure->error_type();
  return text;
}

struct JudgeCase {
  const char* name;
  int sent;
  std::vector<std::string> events;
  const char* want;
};

class JudgeTest : public ::testing::TestWithParam<JudgeCase> {};
TEST_P(JudgeTest, MatchesTable) {
  const JudgeCase& c = GetParam();
  TranscriptState state;
  state.sent = c.sent;
  for (const std::string& event : c.events) Fold(FromShort(event), state);
  EXPECT_EQ(Describe(Judge(state)), c.want);
}

INSTANTIATE_TEST_SUITE_P(
    Table, JudgeTest,
    ::testing::ValuesIn<JudgeCase>({
        {"Nothing", 1, {}, "goes on"},
        {"IdleFromBirth", 1, {"idle:end_turn"}, "goes on"},
        {"OnlyQueued", 1, {"m1?"}, "goes on"},
        {"Running", 1, {"m1?", "m1", "run"}, "goes on"},
        {"EndTurn", 1, {"m1?", "m1", "run", "idle:end_turn"}, "IDLE end_turn"},
        {"EndTurnFromHistoryAlone",
         1,
         {"m1", "run", "idle:end_turn"},
         "IDLE end_turn"},
        {"RunsAgain", 1, {"m1", "run", "idle:end_turn", "run"}, "goes on"},
        {"Rescheduled", 1, {"m1", "idle:end_turn", "resched"}, "goes on"},
        {"AnotherMessageQueuedBefore",
         1,
         {"m1", "run", "m2?", "idle:end_turn"},
         "goes on"},
        {"AnotherMessageQueuedAfter",
         1,
         {"m1", "run", "idle:end_turn", "m2?"},
         "goes on"},
        {"AnotherMessageProcessed",
         1,
         {"m1", "run", "idle:end_turn", "m2"},
         "goes on"},
        {"BothTurnsDone",
         2,
         {"m1", "run", "idle:end_turn", "m2?", "m2", "run", "idle:end_turn"},
         "IDLE end_turn"},
        {"SecondSentButNotSeenYet",
         2,
         {"m1", "run", "idle:end_turn"},
         "goes on"},
        {"QueuedEchoAfterItsTwin",
         1,
         {"m1", "m1?", "run", "idle:end_turn"},
         "IDLE end_turn"},
        {"Refusal", 1, {"m1", "run", "idle:refusal"}, "IDLE refusal"},
        {"UnknownReason", 1, {"m1", "run", "idle:moonrise"}, "IDLE moonrise"},
        {"NoReason", 1, {"m1", "run", "idle"}, "IDLE"},
        {"ErrorOvercome",
         1,
         {"m1", "run", "error:model_overloaded_error/retrying", "resched",
          "run", "idle:end_turn"},
         "IDLE end_turn"},
        {"RetriesExhausted",
         1,
         {"m1", "run", "error:model_overloaded_error/exhausted",
          "idle:retries_exhausted"},
         "IDLE retries_exhausted after model_overloaded_error"},
        {"ExhaustedFlushesTheQueue",
         2,
         {"m1", "run", "m2?", "error:unknown_error/exhausted",
          "idle:retries_exhausted"},
         "IDLE retries_exhausted after unknown_error"},
        {"NudgedAndNotSeenYet",
         2,
         {"m1", "run", "error:unknown_error/exhausted",
          "idle:retries_exhausted"},
         "goes on"},
        {"BudgetReachedLeavesTheQueue",
         2,
         {"m1", "run", "m2?", "idle:budget_reached"},
         "IDLE budget_reached"},
        {"RequiresAction", 1, {"m1", "run", "ask:t1"}, "IDLE requires_action"},
        {"Answered", 1, {"m1", "run", "ask:t1", "answer:t1"}, "goes on"},
        {"AnsweredByAResult",
         1,
         {"m1", "run", "ask:t1", "result:t1"},
         "goes on"},
        {"AnotherAnswered",
         1,
         {"m1", "run", "ask:t1", "answer:t2"},
         "IDLE requires_action"},
        {"Terminated",
         1,
         {"m1", "run", "error:billing_error/terminal", "end"},
         "TERMINATED after billing_error"},
        {"TerminatedBeforeAnything", 1, {"end"}, "TERMINATED"},
        {"ArchivedAfterItsTurn",
         1,
         {"m1", "run", "idle:end_turn", "end"},
         "IDLE end_turn"},
        {"ArchivedWithAMessageQueued",
         1,
         {"m1?", "idle:end_turn", "end"},
         "TERMINATED"},
        {"Deleted", 1, {"m1", "run", "gone"}, "DELETED"},
        {"DeletedAfterItsTurn",
         1,
         {"m1", "run", "idle:end_turn", "gone"},
         "DELETED"},
    }),
    [](const auto& c) { return std::string(c.param.name); });

}  // namespace
}  // namespace midwatch
