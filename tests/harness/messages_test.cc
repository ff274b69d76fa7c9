// The pure parts of speaking the Messages API: bodies, answers, errors, prices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/random.h"
#include "harness/messages_answer.h"
#include "harness/messages_error.h"
#include "harness/messages_request.h"
#include "harness/model_retry.h"

namespace midwatch::harness {
namespace {

using ::testing::HasSubstr;
using Kind = ConversationItem::Kind;

ConversationItem Item(Kind kind, const std::string& text) {
  ConversationItem item;
  item.kind = kind;
  item.text = text;
  return item;
}

ModelRequest Question() {
  ModelRequest request;
  request.model = "claude-x";
  request.conversation = {Item(Kind::kUserMessage, "hi")};
  return request;
}

TEST(MessagesBodyTest, IsMinimalForAMinimalQuestion) {
  EXPECT_EQ(Dump(MessagesBody(Question(), 5)),
            R"({"model":"claude-x","max_tokens":5,"stream":true,"messages":[)"
            R"({"role":"user","content":[{"type":"text","text":"hi",)"
            R"("cache_control":{"type":"ephemeral"}}]}]})");
}

TEST(MessagesBodyTest, MarksFourPlacesForTheCache) {
  ModelRequest request = Question();
  request.system = "be kind";
  request.tools = {"bash", "edit", "web_fetch"};
  for (int i = 0; i < 3; ++i) {
    request.conversation.push_back(Item(Kind::kAgentMessage, "yes"));
    request.conversation.push_back(Item(Kind::kUserMessage, "more"));
  }
  Json body = MessagesBody(request, 5);
  ASSERT_EQ(body["tools"].size(), 2u);
  EXPECT_FALSE(body["tools"][0].contains("cache_control"));
  EXPECT_TRUE(body["tools"][1].contains("cache_control"));
  EXPECT_TRUE(body["system"][0].contains("cache_control"));
  std::string marked;
  for (const Json& message : body["messages"]) {
    marked += message["content"].back().contains("cache_control") ? '1' : '0';
  }
  EXPECT_EQ(marked, "0000101");
}

TEST(MessagesBodyTest, ToolRoundTripsMergeBySide) {
  ModelRequest request = Question();
  ConversationItem use = Item(Kind::kToolUse, "");
  use.tool_use_id = "sevt_1";
  use.tool_name = "bash";
  use.tool_input = {{"command", "ls"}};
  ConversationItem result = Item(Kind::kToolResult, " \n");
  result.tool_use_id = "sevt_1";
  result.is_error = true;
  request.conversation.push_back(Item(Kind::kAgentMessage, "look:"));
  request.conversation.push_back(use);
  request.conversation.push_back(result);
  request.conversation.push_back(Item(Kind::kUserMessage, "  "));
  request.conversation.push_back(Item(Kind::kUserMessage, "go on"));
  Json messages = MessagesBody(request, 5)["messages"];
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(Dump(messages[1]),
            R"({"role":"assistant","content":[{"type":"text","text":"look:"},)"
            R"({"type":"tool_use","id":"sevt_1","name":"bash",)"
            R"("input":{"command":"ls"}}]})");
  // No blank text: the API refuses it.
  EXPECT_EQ(Dump(messages[2]),
            R"({"role":"user","content":[{"type":"tool_result",)"
            R"("tool_use_id":"sevt_1","is_error":true},)"
            R"({"type":"text","text":"go on",)"
            R"("cache_control":{"type":"ephemeral"}}]})");
}

MessagesAnswer Answer(const std::vector<std::string>& events) {
  MessagesAnswer answer;
  for (const std::string& event : events) answer.Feed({"", event});
  return answer;
}

const char kStart[] =
    R"({"type":"message_start","message":{"usage":{"input_tokens":7,
        "output_tokens":1,"cache_read_input_tokens":5,
        "cache_creation_input_tokens":9}}})";
const char kStop[] = R"({"type":"message_stop"})";

std::string Delta(const std::string& stop_reason) {
  return R"({"type":"message_delta","delta":{"stop_reason":")" + stop_reason +
         R"(","stop_details":{"type":"refusal"}},)" +
         R"("usage":{"output_tokens":20}})";
}

TEST(MessagesAnswerTest, ReadsTextToolsAndUsage) {
  MessagesAnswer answer = Answer(
      {kStart, R"({"type":"ping"})", R"({"type":"what_is_new","x":1})",
       R"({"type":"content_block_start","index":0,
           "content_block":{"type":"text","text":""}})",
       R"({"type":"content_block_delta","index":0,
           "delta":{"type":"text_delta","text":"a"}})",
       R"({"type":"content_block_delta","index":0,
           "delta":{"type":"text_delta","text":"b"}})",
       R"({"type":"content_block_stop","index":0})",
       R"({"type":"content_block_start","index":1,
           "content_block":{"type":"tool_use","id":"t","name":"bash",
                            "input":{}}})",
       R"({"type":"content_block_delta","index":1,
           "delta":{"type":"input_json_delta","partial_json":"{\"comm"}})",
       R"({"type":"content_block_delta","index":1,
           "delta":{"type":"input_json_delta","partial_json":"and\":\"x\"}"}})",
       R"({"type":"content_block_stop","index":1})", Delta("tool_use"), kStop});
  ASSERT_TRUE(answer.complete());
  ModelStep step = answer.ToStep();
  EXPECT_EQ(step.message, "ab");
  ASSERT_EQ(step.tools.size(), 1u);
  EXPECT_EQ(step.tools[0].name, "bash");
  EXPECT_EQ(Dump(step.tools[0].input), R"({"command":"x"})");
  EXPECT_FALSE(step.failure || step.refusal);
  TokenUsage want;
  want.input = 7;
  want.output = 20;
  want.cache_read = 5;
  want.cache_write_5m = 9;
  EXPECT_EQ(answer.usage(), want);
}

TEST(MessagesAnswerTest, EveryStopReasonIsTaken) {
  const std::string text = R"({"type":"content_block_start","index":0,
      "content_block":{"type":"text","text":"part"}})";
  ModelStep step = Answer({kStart, text, Delta("refusal"), kStop}).ToStep();
  ASSERT_TRUE(step.refusal);
  EXPECT_EQ(StringMember(*step.refusal, "type"), "refusal");
  EXPECT_EQ(step.message, "part");
  for (const char* reason : {"max_tokens", "model_context_window_exceeded"}) {
    step = Answer({kStart, text, Delta(reason), kStop}).ToStep();
    ASSERT_TRUE(step.failure) << reason;
    EXPECT_FALSE(step.failure->retry);
    EXPECT_EQ(step.message, "part") << "what was said counts";
  }
  for (const char* reason : {"end_turn", "stop_sequence", "new_reason"}) {
    step = Answer({kStart, text, Delta(reason), kStop}).ToStep();
    EXPECT_FALSE(step.failure || step.refusal) << reason;
  }
}

TEST(MessagesAnswerTest, ABrokenToolCallIsAskedForAgain) {
  ModelStep step = Answer({kStart,
                           R"({"type":"content_block_start","index":0,
                               "content_block":{"type":"tool_use",
                                                "name":"bash"}})",
                           R"({"type":"content_block_delta","index":0,
                               "delta":{"partial_json":"{\"comm"}})",
                           R"({"type":"content_block_stop","index":0})",
                           Delta("tool_use"), kStop})
                       .ToStep();
  ASSERT_TRUE(step.failure);
  EXPECT_TRUE(step.failure->retry);
  EXPECT_TRUE(step.tools.empty());
}

TEST(MessagesAnswerTest, AnErrorEventIsAFailure) {
  MessagesAnswer answer = Answer({kStart, R"({"type":"error","error":{
                          "type":"overloaded_error","message":"busy"}})"});
  ASSERT_TRUE(answer.failure());
  EXPECT_EQ(answer.failure()->type, "model_overloaded_error");
  EXPECT_TRUE(answer.failure()->retry);
  EXPECT_EQ(answer.usage().input, 7);
  EXPECT_TRUE(Answer({"no JSON"}).failure());
  EXPECT_FALSE(Answer({"[1]", "{}", "7"}).failure()) << "unknown, no error";
}

struct ErrorCase {
  int status;
  const char* body;
  const char* type;
  bool retry;
};

TEST(FailureOfAnswerTest, MatchesTable) {
  const ErrorCase kCases[] = {
      {429, R"({"error":{"type":"rate_limit_error","message":"slow"}})",
       "model_rate_limited_error", true},
      {429,
       R"({"error":{"type":"rate_limit_error","details":
           {"error_code":"enforced_spend_limit_reached"}}})",
       "billing_error", false},
      {402, R"({"error":{"type":"billing_error"}})", "billing_error", false},
      {529, R"({"error":{"type":"overloaded_error"}})",
       "model_overloaded_error", true},
      {500, "<html>", "model_request_failed_error", true},
      {503, "", "model_request_failed_error", true},
      {408, "", "model_request_failed_error", true},
      {400, R"({"error":{"type":"invalid_request_error","message":"bad"}})",
       "model_request_failed_error", false},
      {401, R"({"error":{"type":"authentication_error"}})",
       "model_request_failed_error", false},
      {404, R"({"error":7})", "model_request_failed_error", false},
      {413, "", "model_request_failed_error", false},
  };
  for (const ErrorCase& c : kCases) {
    ModelFailure failure =
        FailureOfAnswer(c.status, {}, c.body, absl::UnixEpoch());
    EXPECT_EQ(failure.type, c.type) << c.status << c.body;
    EXPECT_EQ(failure.retry, c.retry) << c.status << c.body;
    EXPECT_THAT(failure.message, HasSubstr(std::to_string(c.status)));
  }
}

TEST(FailureOfAnswerTest, SaysWhatToDoAboutALongConversation) {
  ModelFailure failure =
      FailureOfAnswer(400, {},
                      R"({"error":{"type":"invalid_request_error",
                   "message":"prompt is too long: 2 > 1"}})",
                      absl::UnixEpoch());
  EXPECT_THAT(failure.message, HasSubstr("start another session"));
  EXPECT_FALSE(failure.retry);
}

TEST(ModelRetryDelayTest, GrowsIsBoundedAndObeysTheServer) {
  ModelFailure failure;
  SeededRandom random(7);
  EXPECT_FALSE(ModelRetryDelay(failure, 1, random)) << "not to be retried";
  failure.retry = true;
  for (int n = 1; n <= kModelRetriesMax; ++n) {
    absl::Duration full =
        std::min(absl::Milliseconds(500) * (1 << (n - 1)), absl::Minutes(1));
    absl::Duration delay = ModelRetryDelay(failure, n, random).value();
    EXPECT_LE(delay, full);
    EXPECT_GE(delay, full * 0.75);
  }
  EXPECT_FALSE(ModelRetryDelay(failure, kModelRetriesMax + 1, random));
  failure.retry_after = absl::Seconds(20);
  absl::Duration delay = ModelRetryDelay(failure, 1, random).value();
  EXPECT_GE(delay, absl::Seconds(20));
  EXPECT_LE(delay, absl::Seconds(22));
  failure.retry_after = absl::Hours(1);
  EXPECT_FALSE(ModelRetryDelay(failure, 1, random)) << "too long to wait";
}

}  // namespace
}  // namespace midwatch::harness
