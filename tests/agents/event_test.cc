#include "agents/event.h"

#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

using testing::StatusIs;

Event Parse(absl::string_view json) { return ParseEvent(json).value(); }

// The body of the event, which must be a T.
template <typename T>
T BodyOf(absl::string_view json) {
  Event event = Parse(json);
  EXPECT_TRUE(std::holds_alternative<T>(event.body)) << json;
  const T* body = std::get_if<T>(&event.body);
  return body != nullptr ? *body : T();
}

TEST(EventTest, KeepsIdTimeAndTheWholeText) {
  std::string json = R"({"id":"sevt_1","type":"agent.thinking",)"
                     R"("processed_at":"2026-11-23T10:00:00.25Z","new":[1]})";
  Event event = Parse(json);
  EXPECT_EQ(event.id, "sevt_1");
  EXPECT_EQ(event.type, "agent.thinking");
  EXPECT_EQ(event.processed_at, absl::FromUnixMillis(1795428000250));
  EXPECT_EQ(event.json, json);
  EXPECT_TRUE(std::holds_alternative<OtherEvent>(event.body));
}

TEST(EventTest, QueuedEventHasNoTime) {
  Event event = Parse(R"({"type":"user.message","processed_at":null})");
  EXPECT_EQ(event.processed_at, std::nullopt);
  EXPECT_TRUE(std::holds_alternative<UserMessage>(event.body));
}

struct TypeCase {
  const char* type;
  size_t want;  // index in the variant
};

template <typename T>
size_t IndexOf() {
  return decltype(Event::body)(T()).index();
}

TEST(EventTest, TypesMapToTheirBodies) {
  const TypeCase kCases[] = {
      {"user.message", IndexOf<UserMessage>()},
      {"user.interrupt", IndexOf<UserInterrupt>()},
      {"user.tool_confirmation", IndexOf<ToolAnswer>()},
      {"user.tool_result", IndexOf<ToolAnswer>()},
      {"user.custom_tool_result", IndexOf<ToolAnswer>()},
      {"agent.message", IndexOf<AgentMessage>()},
      {"agent.tool_use", IndexOf<ToolUse>()},
      {"agent.mcp_tool_use", IndexOf<ToolUse>()},
      {"agent.custom_tool_use", IndexOf<ToolUse>()},
      {"agent.tool_result", IndexOf<ToolResult>()},
      {"agent.mcp_tool_result", IndexOf<ToolResult>()},
      {"session.status_running", IndexOf<SessionRunning>()},
      {"session.status_rescheduled", IndexOf<SessionRescheduled>()},
      {"session.status_idle", IndexOf<SessionIdle>()},
      {"session.status_terminated", IndexOf<SessionTerminated>()},
      {"session.deleted", IndexOf<SessionDeleted>()},
      {"session.error", IndexOf<SessionError>()},
      {"session.usage", IndexOf<SessionUsage>()},
      {"span.model_request_start", IndexOf<ModelRequestStart>()},
      {"span.model_request_end", IndexOf<ModelRequestEnd>()},
      {"session.thread_status_idle", IndexOf<OtherEvent>()},
      {"something.new", IndexOf<OtherEvent>()},
  };
  for (const TypeCase& c : kCases) {
    Event event = Parse("{\"type\":\"" + std::string(c.type) + "\"}");
    EXPECT_EQ(event.body.index(), c.want) << c.type;
  }
}

TEST(EventTest, ReadsWhatMidwatchActsOn) {
  EXPECT_EQ(
      BodyOf<AgentMessage>(R"({"type":"agent.message","content":[)"
                           R"({"type":"text","text":"a"},{"type":"redacted"},)"
                           R"({"type":"text","text":"b"}]})")
          .text,
      "ab");
  ToolUse asks = BodyOf<ToolUse>(
      R"({"type":"agent.tool_use","name":"bash","evaluated_permission":"ask"})");
  EXPECT_EQ(asks.name, "bash");
  EXPECT_TRUE(asks.asks);
  EXPECT_FALSE(asks.custom);
  EXPECT_TRUE(
      BodyOf<ToolUse>(R"({"type":"agent.custom_tool_use","name":"n"})").custom);
  EXPECT_EQ(
      BodyOf<ToolResult>(
          R"({"type":"agent.mcp_tool_result","mcp_tool_use_id":"sevt_7"})")
          .tool_use_id,
      "sevt_7");
  EXPECT_EQ(
      BodyOf<ToolAnswer>(
          R"({"type":"user.custom_tool_result","custom_tool_use_id":"sevt_8"})")
          .tool_use_id,
      "sevt_8");
  SessionIdle idle = BodyOf<SessionIdle>(
      R"({"type":"session.status_idle","stop_reason":)"
      R"({"type":"requires_action","event_ids":["a",7,"b"]}})");
  EXPECT_EQ(idle.stop_reason, "requires_action");
  EXPECT_EQ(idle.blocking_event_ids, (std::vector<std::string>{"a", "b"}));
  SessionError error = BodyOf<SessionError>(
      R"({"type":"session.error","error":{"type":"billing_error",)"
      R"("message":"m","retry_status":{"type":"terminal"}}})");
  EXPECT_EQ(error.type, "billing_error");
  EXPECT_EQ(error.message, "m");
  EXPECT_EQ(error.retry_status, "terminal");
}

TEST(EventTest, FieldsOfAWrongTypeCountAsMissing) {
  EXPECT_EQ(BodyOf<SessionIdle>(
                R"({"type":"session.status_idle","stop_reason":"end_turn"})")
                .stop_reason,
            "");
  EXPECT_EQ(
      BodyOf<AgentMessage>(R"({"type":"agent.message","content":7})").text, "");
  Event event = Parse(R"({"type":"x","id":5,"processed_at":"yesterday"})");
  EXPECT_EQ(event.id, "");
  EXPECT_EQ(event.processed_at, std::nullopt);
}

struct CostCase {
  const char* list_cost;
  std::optional<int64_t> want;
};

TEST(EventTest, ListCostIsReadFromCents) {
  const CostCase kCases[] = {
      {R"({"amount":"25","currency":"USD"})", 250'000},
      {R"({"amount":"0","currency":"USD"})", 0},
      {R"({"amount":"25.00","currency":"USD"})", std::nullopt},
      {R"({"amount":25,"currency":"USD"})", std::nullopt},
      {R"({"amount":"25","currency":"EUR"})", std::nullopt},
      {R"({"amount":"-1","currency":"USD"})", std::nullopt},
      {R"({"amount":"9999999999999999","currency":"USD"})", std::nullopt},
      {"null", std::nullopt},
  };
  for (const CostCase& c : kCases) {
    std::string json = R"({"type":"session.usage","usage":{"list_cost":)" +
                       std::string(c.list_cost) + "}}";
    EXPECT_EQ(BodyOf<SessionUsage>(json).list_cost_usd_micros, c.want)
        << c.list_cost;
  }
}

TEST(EventTest, RefusesWhatIsNoEvent) {
  for (const char* text :
       {"", "{", "[]", "7", "{}", R"({"type":1})", "{\"type\":\"\xff\"}"}) {
    EXPECT_THAT(ParseEvent(text), StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

}  // namespace
}  // namespace midwatch
