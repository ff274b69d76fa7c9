// Turns of a harness whose model is a server of the Messages API, over real
// sockets on both sides.
#include <algorithm>

#include "tests/harness/harness_test_base.h"
#include "tests/testing/fake_messages.h"

namespace midwatch::harness {
namespace {

using ::midwatch::testing::Calls;
using ::midwatch::testing::Cut;
using ::midwatch::testing::FakeMessages;
using ::midwatch::testing::MessagesReply;
using ::midwatch::testing::Refuses;
using ::midwatch::testing::Says;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kModel[] = "claude-sonnet-4-5";

class AnthropicTest : public HarnessTest {
 protected:
  void SetUp() override {
    options_.messages.base_url = messages_.base_url();
    options_.messages.api_key = "model-key";
    HarnessTest::SetUp();
    Json toolset = {{"type", "agent_toolset_20260401"}};
    Json agent = {{"name", "claude"},
                  {"model", kModel},
                  {"system", "Be brief."},
                  {"tools", Json::array({toolset})}};
    agent_id_ = StringMember(client_.Post("/v1/agents", agent).body, "id");
  }

  static Json Find(const std::vector<Json>& events, const std::string& type) {
    for (const Json& event : events) {
      if (StringMember(event, "type") == type) return event;
    }
    return nullptr;
  }
  static std::string StopReason(const std::vector<Json>& events) {
    return events.empty() ? "no events"
                          : StringMember(events.back()["stop_reason"], "type");
  }
  static std::string Text(const Json& event) {
    return event.is_null() ? "" : StringMember(event["content"][0], "text");
  }

  FakeMessages messages_;
};

TEST_F(AnthropicTest, AToolRoundTripHasTheDocumentedSequence) {
  messages_.Add(Calls("bash", {{"command", "echo $((6*7)); exit 3"}}, "Hm."));
  messages_.Add(Calls(
      "write", {{"file_path", "/mnt/session/outputs/f"}, {"content", "x"}}));
  messages_.Add(Says("It is 42."));
  std::string session = NewSession();
  std::vector<Json> events = RunTurn(session, "What is six by seven?");
  EXPECT_THAT(
      TypesOf(events),
      ElementsAre("user.message", "user.message", "session.status_running",
                  "session.thread_status_running", "span.model_request_start",
                  "agent.message", "agent.tool_use", "span.model_request_end",
                  "agent.tool_result", "span.model_request_start",
                  "agent.tool_use", "span.model_request_end",
                  "agent.tool_result", "span.model_request_start",
                  "agent.message", "span.model_request_end",
                  "session.thread_status_idle", "session.usage",
                  "session.status_idle"));
  EXPECT_EQ(Text(events[8]), "42\n[exit status 3]");
  EXPECT_EQ(events[8]["is_error"], true);
  EXPECT_EQ(Text(events[14]), "It is 42.");
  EXPECT_EQ(StopReason(events), "end_turn");
  EXPECT_EQ(events[7]["model_usage"]["input_tokens"], 100);
  EXPECT_EQ(events[7]["model_usage"]["output_tokens"], 10);
  // Three times 100 in at $3, 10 out at $15 for a million: 0.135 cents.
  EXPECT_EQ(events[17]["usage"]["input_tokens"], 300);
  EXPECT_EQ(StringMember(events[17]["usage"]["list_cost"], "amount"), "0");

  std::vector<FakeMessages::Request> requests = messages_.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(HeaderValue(requests[0].headers, "x-api-key"), "model-key");
  EXPECT_EQ(HeaderValue(requests[0].headers, "anthropic-version"),
            "2023-06-01");
  EXPECT_EQ(requests[0].body["model"], kModel);
  EXPECT_EQ(requests[0].body["system"][0]["text"], "Be brief.");
  EXPECT_EQ(requests[0].body["tools"].size(), 6u);
  const nlohmann::json& said = requests[2].body["messages"];
  ASSERT_EQ(said.size(), 5u);
  EXPECT_EQ(said[1]["content"][1]["id"], said[2]["content"][0]["tool_use_id"]);
  EXPECT_EQ(said[2]["content"][0]["content"], "42\n[exit status 3]");
  EXPECT_EQ(said[2]["content"][0]["is_error"], true);
  EXPECT_THAT(said[4]["content"][0]["content"].get<std::string>(),
              HasSubstr("Wrote 1 bytes"));
}

TEST_F(AnthropicTest, TheNextTurnKnowsTheOneBefore) {
  messages_.Add(Says("one"));
  messages_.Add(Says("two"));
  std::string session = NewSession();
  RunTurn(session, "first");
  RunTurn(session, "second");
  const nlohmann::json said = messages_.requests()[1].body["messages"];
  ASSERT_EQ(said.size(), 3u);
  EXPECT_EQ(said[1]["content"][0]["text"], "one");
  EXPECT_TRUE(said[0]["content"][0].contains("cache_control"));
  EXPECT_TRUE(said[2]["content"][0].contains("cache_control"));
}

TEST_F(AnthropicTest, WhatMayPassIsTriedAgain) {
  messages_.Add(Refuses(429, "rate_limit_error", "slow down",
                        {{"retry-after-ms", "10"}}));
  messages_.Add(
      Refuses(529, "overloaded_error", "busy", {{"retry-after-ms", "10"}}));
  messages_.Add(Cut(Says("lost"), 4, MessagesReply::Then::kAbort));
  messages_.Add(Says("found"));
  std::string session = NewSession();
  std::vector<Json> events = RunTurn(session, "go");
  std::vector<std::string> errors;
  for (const Json& event : events) {
    if (StringMember(event, "type") != "session.error") continue;
    EXPECT_EQ(StringMember(event["error"]["retry_status"], "type"), "retrying");
    errors.push_back(StringMember(event["error"], "type"));
  }
  EXPECT_THAT(errors,
              ElementsAre("model_rate_limited_error", "model_overloaded_error",
                          "model_request_failed_error"));
  std::vector<std::string> types = TypesOf(events);
  EXPECT_THAT(
      std::vector<std::string>(types.begin() + 4, types.begin() + 12),
      ElementsAre("span.model_request_start", "span.model_request_end",
                  "session.error", "session.status_rescheduled",
                  "session.thread_status_rescheduled", "session.status_running",
                  "session.thread_status_running", "span.model_request_start"));
  EXPECT_EQ(Text(Find(events, "agent.message")), "found");
  EXPECT_EQ(StopReason(events), "end_turn");
  // What came before the cut was counted by the server, and is paid.
  EXPECT_EQ(events[events.size() - 2]["usage"]["input_tokens"], 200);
  EXPECT_EQ(messages_.requests()[3].body, messages_.requests()[0].body);
}

TEST_F(AnthropicTest, ASilentStreamIsGivenUp) {
  options_.messages.silence_max = absl::Milliseconds(300);
  StopHarness();
  StartHarness();
  messages_.Add(Cut(Says("never"), 3, MessagesReply::Then::kHang));
  messages_.Add(Says("here"));
  std::vector<Json> events = RunTurn(NewSession(), "go");
  EXPECT_THAT(StringMember(Find(events, "session.error")["error"], "message"),
              HasSubstr("nothing came for 300ms"));
  EXPECT_EQ(Text(Find(events, "agent.message")), "here");
}

TEST_F(AnthropicTest, WhatCannotPassEndsTheTurn) {
  messages_.Add(Refuses(400, "invalid_request_error", "prompt is too long"));
  std::string session = NewSession();
  std::vector<Json> events = RunTurn(session, "go");
  Json error = Find(events, "session.error")["error"];
  EXPECT_EQ(StringMember(error["retry_status"], "type"), "exhausted");
  EXPECT_THAT(StringMember(error, "message"),
              HasSubstr("start another session"));
  EXPECT_EQ(StopReason(events), "retries_exhausted");
  EXPECT_EQ(Find(events, "span.model_request_end")["is_error"], true);
  // The session itself lives on.
  messages_.Add(Says("yes"));
  EXPECT_EQ(StopReason(RunTurn(session, "again")), "end_turn");
}

TEST_F(AnthropicTest, AnAnswerCutAtMaxTokensIsNoSuccess) {
  messages_.Add(Says("half an ans", "max_tokens"));
  std::vector<Json> events = RunTurn(NewSession(), "go");
  EXPECT_EQ(Text(Find(events, "agent.message")), "half an ans");
  EXPECT_THAT(StringMember(Find(events, "session.error")["error"], "message"),
              HasSubstr("max_tokens"));
  EXPECT_EQ(StopReason(events), "retries_exhausted");
}

TEST_F(AnthropicTest, ARefusalIsItsOwnStopReason) {
  messages_.Add(Says("No.", "refusal"));
  std::vector<Json> events = RunTurn(NewSession(), "go");
  EXPECT_EQ(StopReason(events), "refusal");
  EXPECT_EQ(Text(Find(events, "agent.message")), "No.");
}

TEST_F(AnthropicTest, APausedAnswerGoesOn) {
  messages_.Add(Says("one, ", "pause_turn"));
  messages_.Add(Says("two"));
  std::vector<Json> events = RunTurn(NewSession(), "count");
  EXPECT_EQ(Text(Find(events, "agent.message")), "one, two");
  EXPECT_EQ(
      Find(events, "span.model_request_end")["model_usage"]["input_tokens"],
      200);
  const nlohmann::json said = messages_.requests()[1].body["messages"];
  ASSERT_EQ(said.size(), 2u);
  EXPECT_EQ(said[1]["content"][0]["text"], "one, ");
}

TEST_F(AnthropicTest, AnInterruptEndsAnAnswerAtOnce) {
  messages_.Add(Cut(Says("endless"), 4, MessagesReply::Then::kHang));
  std::string session = NewSession();
  EventReader reader(client_, session);
  Say(session, "go");
  reader.Until("span.model_request_start");
  messages_.AwaitRequests(1);
  client_.Post(Path(session, "/events"),
               Events({Json{{"type", "user.interrupt"}}}));
  std::vector<Json> events = reader.Until("session.status_idle");
  EXPECT_EQ(StopReason(events), "end_turn");
  EXPECT_TRUE(Find(events, "agent.message").is_null());
  EXPECT_EQ(Find(events, "span.model_request_end")["is_error"], true);
}

TEST_F(AnthropicTest, AnInterruptEndsTheWaitForARetry) {
  messages_.Add(
      Refuses(529, "overloaded_error", "busy", {{"retry-after", "600"}}));
  std::string session = NewSession();
  EventReader reader(client_, session);
  Say(session, "go");
  reader.Until("session.thread_status_rescheduled");
  EXPECT_EQ(StringMember(client_.Get(Path(session)).body, "status"),
            "rescheduling");
  EXPECT_EQ(client_.Post(Path(session, "/archive")).status, 400);
  client_.Post(Path(session, "/events"),
               Events({Json{{"type", "user.interrupt"}}}));
  EXPECT_EQ(StopReason(reader.Until("session.status_idle")), "end_turn");
}

TEST_F(AnthropicTest, ARestartDuringTheWaitAsksAtOnce) {
  messages_.Add(
      Refuses(529, "overloaded_error", "busy", {{"retry-after", "600"}}));
  messages_.Add(Says("back"));
  std::string session = NewSession();
  {
    EventReader reader(client_, session);
    Say(session, "go");
    reader.Until("session.thread_status_rescheduled");
  }
  StopHarness();
  StartHarness();
  EventReader reader(client_, session);
  std::vector<Json> history = History(session);
  if (TypesOf(history).back() != "session.status_idle") {
    reader.Until("session.status_idle");
  }
  EXPECT_EQ(Text(Find(History(session), "agent.message")), "back");
}

TEST_F(AnthropicTest, TheBudgetCountsTokens) {
  MessagesReply dear = Calls("bash", {{"command", "true"}});
  // 2,000 out at $15 a million: 3 cents.
  for (std::string& frame : dear.frames) {
    size_t at = frame.find("\"output_tokens\":10");
    if (at != std::string::npos)
      frame.replace(at, 18, "\"output_tokens\":2000");
  }
  messages_.Add(dear);
  std::string session = NewSession({{"budget", Budget("3")}});
  std::vector<Json> events = RunTurn(session, "go");
  EXPECT_EQ(StopReason(events), "budget_reached");
  EXPECT_EQ(
      StringMember(events[events.size() - 2]["usage"]["list_cost"], "amount"),
      "3");
  EXPECT_EQ(messages_.requests().size(), 1u);
}

TEST_F(AnthropicTest, TheKeyIsNowhereOnDisk) {
  messages_.Add(Refuses(401, "authentication_error", "invalid x-api-key"));
  RunTurn(NewSession(), "go");
  StopHarness();
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(options_.data_dir)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    std::string bytes((std::istreambuf_iterator<char>(file)),
                      std::istreambuf_iterator<char>());
    EXPECT_EQ(bytes.find("model-key"), std::string::npos) << entry.path();
  }
}

TEST_F(HarnessTest, WithoutAServerForItAModelIsRefused) {
  Reply reply =
      client_.Post("/v1/agents", {{"name", "a"}, {"model", "claude-x"}});
  EXPECT_EQ(reply.status, 400);
  EXPECT_THAT(reply.message(), HasSubstr("--model-url"));
}

TEST_F(AnthropicTest, AModelWhoseServerIsGoneFailsItsTurn) {
  std::string session = NewSession();
  options_.messages.base_url.clear();
  StopHarness();
  StartHarness();
  std::vector<Json> events = RunTurn(session, "go");
  EXPECT_EQ(StopReason(events), "retries_exhausted");
  EXPECT_THAT(StringMember(Find(events, "session.error")["error"], "message"),
              HasSubstr("does not have \"claude-sonnet-4-5\""));
  EXPECT_THAT(messages_.requests(), IsEmpty());
}

}  // namespace
}  // namespace midwatch::harness
