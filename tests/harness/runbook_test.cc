#include "harness/runbook.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace midwatch::harness {
namespace {

using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using Kind = ConversationItem::Kind;

struct ParseCase {
  const char* name;
  const char* message;
  std::vector<std::string> blocks;
  bool continue_on_error = false;
};
class ParseRunbookTest : public ::testing::TestWithParam<ParseCase> {};

TEST_P(ParseRunbookTest, MatchesTable) {
  const ParseCase& c = GetParam();
  Runbook runbook = ParseRunbook(c.message);
  EXPECT_THAT(runbook.blocks, ElementsAreArray(c.blocks));
  EXPECT_EQ(runbook.continue_on_error, c.continue_on_error);
}

INSTANTIATE_TEST_SUITE_P(
    Table, ParseRunbookTest,
    ::testing::ValuesIn<ParseCase>({
        {"NoBlock", "just text", {}},
        {"OneBlock", "do\n```bash\nls\n```\nthen", {"ls\n"}},
        {"ThreeNames",
         "```bash\na\n```\n```sh\nb\n```\n```shell\nc\n```",
         {"a\n", "b\n", "c\n"}},
        {"OtherLanguages", "```python\nx\n```\n```\ny\n```", {}},
        {"NameWithMore", "```bash title=\"x\"\na\n```", {"a\n"}},
        {"NameIsCaseless", "``` BASH\na\n```", {"a\n"}},
        {"Bashful", "```bashful\na\n```", {}},
        {"Tildes", "~~~sh\na\n~~~", {"a\n"}},
        {"TildesAroundBackticks",
         "~~~sh\necho '```'\n```\n~~~",
         {"echo '```'\n```\n"}},
        {"LongerFence", "````bash\na\n```\nb\n````", {"a\n```\nb\n"}},
        {"ClosedByLonger", "```bash\na\n`````\nb", {"a\n"}},
        {"ShortFenceIsNone", "``bash\na\n``", {}},
        {"NotClosed", "```bash\na\nb", {"a\nb\n"}},
        {"Empty", "```bash\n```", {""}},
        {"IndentedInAList",
         "1. do\n   ```bash\n   a\n     b\n   ```",
         {"a\n  b\n"}},
        {"FourSpacesAreCode", "    ```bash\n    a\n    ```", {}},
        {"InlineCode", "```bash`` `\na", {}},
        {"WindowsLines", "```bash\r\na\r\n```\r\n", {"a\n"}},
        {"Directive",
         "runbook: continue-on-error\n```sh\na\n```",
         {"a\n"},
         true},
        {"DirectiveAfter",
         "```sh\na\n```\n  runbook: continue-on-error  ",
         {"a\n"},
         true},
        {"DirectiveInABlock",
         "```sh\nrunbook: continue-on-error\n```",
         {"runbook: continue-on-error\n"}},
    }),
    [](const auto& c) { return std::string(c.param.name); });

ConversationItem User(const std::string& text) {
  ConversationItem item;
  item.text = text;
  return item;
}

void AddCall(ModelRequest& request, const std::string& result, bool is_error) {
  ConversationItem use;
  use.kind = Kind::kToolUse;
  request.conversation.push_back(use);
  ConversationItem item;
  item.kind = Kind::kToolResult;
  item.text = result;
  item.is_error = is_error;
  request.conversation.push_back(item);
}

ModelRequest TwoBlocks(const std::string& directive = "") {
  ModelRequest request;
  request.tools = {"bash"};
  request.conversation = {
      User(directive + "\n```bash\nfirst\n```\n```bash\nsecond\n```")};
  return request;
}

TEST(NextRunbookStepTest, RunsBlocksInTurnAndReports) {
  ModelRequest request = TwoBlocks();
  ModelStep step = NextRunbookStep(request);
  ASSERT_EQ(step.tools.size(), 1u);
  EXPECT_EQ(step.tools[0].name, "bash");
  EXPECT_EQ(StringMember(step.tools[0].input, "command"), "first\n");
  EXPECT_EQ(step.message, "");
  EXPECT_GT(RunbookUsage(request, step).input, 0);
  EXPECT_GT(RunbookUsage(request, step).output, 0);

  AddCall(request, "one\n", false);
  step = NextRunbookStep(request);
  ASSERT_EQ(step.tools.size(), 1u);
  EXPECT_EQ(StringMember(step.tools[0].input, "command"), "second\n");

  AddCall(request, "two\n", false);
  step = NextRunbookStep(request);
  EXPECT_TRUE(step.tools.empty());
  EXPECT_EQ(
      step.message,
      "two\n\nRan 2 of 2 blocks.\n\n1. exit status 0\n2. exit status 0\n\n"
      "Output of the last block:\ntwo\n");
}

TEST(NextRunbookStepTest, StopsAtTheFirstFailure) {
  ModelRequest request = TwoBlocks();
  AddCall(request, "no\n[exit status 3]", true);
  ModelStep step = NextRunbookStep(request);
  EXPECT_TRUE(step.tools.empty());
  EXPECT_EQ(step.message,
            "Block 1 failed: exit status 3\n\n"
            "Ran 1 of 2 blocks.\n\n1. exit status 3\n\nStopped at the first "
            "failure.\n\nOutput of the last block:\nno\n[exit status 3]");
}

TEST(NextRunbookStepTest, GoesOnWhereToldTo) {
  ModelRequest request = TwoBlocks("runbook: continue-on-error");
  AddCall(request, "[timed out after 2m]", true);
  EXPECT_EQ(NextRunbookStep(request).tools.size(), 1u);
  AddCall(request, "", false);
  EXPECT_THAT(NextRunbookStep(request).message,
              HasSubstr("1. timed out after 2m\n2. exit status 0"));
}

TEST(ParseRunbookTest, ALineMayNameThePriceOfARequest) {
  EXPECT_EQ(ParseRunbook("runbook: cents-per-request 4").cents_per_request, 4);
  for (const char* line :
       {"cents-per-request 4", "```sh\nrunbook: cents-per-request 4\n```"}) {
    EXPECT_EQ(ParseRunbook(line).cents_per_request, std::nullopt) << line;
    EXPECT_EQ(ParseRunbook(line).error, "") << line;
  }
}

struct WrongCase {
  const char* message;
  const char* error;
};

TEST(ParseRunbookTest, WhatItCannotReadIsAnErrorWithItsLine) {
  constexpr WrongCase kCases[] = {
      {"a\nrunbook: cents-per-request -1", "line 2: cents-per-request takes"},
      {"runbook: cents-per-request 10001", "from 0 to 10000, not \"10001\""},
      {"runbook: cents-per-request many", "not \"many\""},
      {"runbook: cents-per-request", "line 1: \"runbook: cents-per-request\""},
      {"runbook: continue-on-eror", "is neither continue-on-error nor"},
      {"```sh\na\n```\n\n```tool ask\n{\"a\":\n```", "line 5: the block for"},
      {"```tool ask\n[1]\n```", "for the tool ask holds no JSON object"},
      {"```tool ask\nplease\n```\nrunbook: x", "line 1: "},
  };
  for (const WrongCase& c : kCases) {
    EXPECT_THAT(ParseRunbook(c.message).error, HasSubstr(c.error)) << c.message;
    ModelRequest request;
    request.tools = {"bash", "ask"};
    request.conversation = {User(c.message)};
    ModelStep step = NextRunbookStep(request);
    ASSERT_TRUE(step.failure.has_value()) << c.message;
    EXPECT_THAT(step.failure->message, HasSubstr(c.error));
    EXPECT_FALSE(step.failure->retry);
    EXPECT_TRUE(step.tools.empty()) << "nothing of it is run";
  }
}

TEST(NextRunbookStepTest, AnEmptyToolBlockIsAnEmptyObject) {
  ModelRequest request;
  request.tools = {"ask"};
  request.conversation = {User("```tool ask\n```")};
  ModelStep step = NextRunbookStep(request);
  ASSERT_EQ(step.tools.size(), 1u);
  EXPECT_EQ(step.tools[0].input, Json::object());
}

TEST(NextRunbookStepTest, ANewMessageStartsAfresh) {
  ModelRequest request = TwoBlocks();
  AddCall(request, "[exit status 3]", true);
  request.conversation.push_back(User("```sh\nthird\n```"));
  ModelStep step = NextRunbookStep(request);
  ASSERT_EQ(step.tools.size(), 1u);
  EXPECT_EQ(StringMember(step.tools[0].input, "command"), "third\n");
}

TEST(NextRunbookStepTest, SaysWhyNothingWasRun) {
  ModelRequest request;
  request.tools = {"bash"};
  request.conversation = {User("please")};
  EXPECT_THAT(NextRunbookStep(request).message, HasSubstr("no shell block"));
  request = TwoBlocks();
  request.tools.clear();
  EXPECT_THAT(NextRunbookStep(request).message, HasSubstr("no bash tool"));
}

TEST(NextRunbookStepTest, ReportsTheEndOfLongOutput) {
  ModelRequest request = TwoBlocks();
  AddCall(request, "", false);
  // The cut would fall inside a character of two bytes.
  std::string output;
  for (int i = 0; i < 2000; ++i) output += "\xC3\xA9";
  AddCall(request, output + "!", false);
  std::string message = NextRunbookStep(request).message;
  EXPECT_EQ(ValidUtf8(message), message);
  EXPECT_EQ(message.substr(message.size() - 1), "!");
  EXPECT_LT(message.size(), 2400u);
}

}  // namespace
}  // namespace midwatch::harness
