#include "cli/transcript_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_join.h"

namespace midwatch::cli {
namespace {

struct LinesCase {
  const char* name;
  const char* event;
  const char* want;  // lines, joined
};

class TranscriptLinesTest : public ::testing::TestWithParam<LinesCase> {};

TEST_P(TranscriptLinesTest, MatchesTable) {
  EXPECT_EQ(absl::StrJoin(TranscriptLines(GetParam().event, 60), "\n"),
            GetParam().want);
}

INSTANTIATE_TEST_SUITE_P(
    Table, TranscriptLinesTest,
    ::testing::ValuesIn<LinesCase>({
        {"Text",
         R"({"type":"agent.message","content":[{"type":"text","text":"one\ntwo"},
             {"type":"image"}]})",
         "          agent     one\n"
         "                    two\n"
         "                    [image]"},
        {"Tool",
         R"({"type":"agent.tool_use","name":"bash","input":{"command":"a\nb"}})",
         R"(          bash      {"command":"a\nb"})"},
        {"LongInputIsCut",
         R"({"type":"agent.tool_use","name":"a_tool_of_many_words","input":
             {"text":"0123456789012345678901234567890123456789"}})",
         "          a_tool_of_many_words  {\"text\":\"012345678901234567…"},
        {"ResultIsCut",
         R"({"type":"agent.tool_result","content":[{"type":"text","text":
             "1\n2\n3\n4\n5\n6\n7\n8\n"}]})",
         "          result    1\n"
         "                    2\n"
         "                    3\n"
         "                    4\n"
         "                    5\n"
         "                    6\n"
         "                    ... 2 more lines"},
        {"Failed",
         R"({"type":"agent.tool_result","is_error":true,"content":[]})",
         "          failed    (nothing)"},
        {"ControlCharacters",
         R"({"type":"agent.message","content":[{"type":"text",
             "text":"a\u001b[31mb\tc\r\n"}]})",
         "          agent     a?[31mb?c"},
        {"Error",
         R"({"type":"session.error","error":{"type":"overloaded_error",
             "message":"busy","retry_status":{"type":"retrying"}}})",
         "          error     overloaded_error: busy (retrying)"},
        {"Idle",
         R"({"type":"session.status_idle","stop_reason":{"type":"end_turn"}})",
         "          idle      end_turn"},
        {"Progress", R"({"type":"span.model_request_start"})", ""},
        {"Unknown", R"({"type":"agent.dreams","id":"x","of":"sheep"})",
         R"(          agent.dreams  {"of":"sheep"})"},
        {"NameWithControlCharacters",
         R"({"type":"agent.tool_use","name":"a\nb","input":{}})",
         "          a b       {}"},
        {"NoEvent", "[1,2]", "?  [1,2]"},
        {"NoJson", "{\x1b", "?  {?"},
        {"WrongTypes",
         R"({"type":"agent.message","content":[1,{"type":2,"text":3}]})",
         "          agent     []"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(TranscriptLinesTest, BeginsWithItsTime) {
  EXPECT_THAT(TranscriptLines(R"({"type":"user.interrupt",
                          "processed_at":"2026-01-02T03:04:05Z"})",
                              80),
              ::testing::ElementsAre(
                  ::testing::MatchesRegex("..:..:05  user      .interrupt.")));
}

TEST(TranscriptLinesTest, WhatIsQueuedIsShownOnceItIsRead) {
  EXPECT_THAT(TranscriptLines(R"({"type":"user.interrupt",
                          "processed_at":null})",
                              80),
              ::testing::IsEmpty());
}

TEST(TranscriptLinesTest, CostIsOfTheUsage) {
  EXPECT_THAT(TranscriptLines(R"({"type":"session.usage","usage":
                  {"list_cost":{"amount":"3","currency":"USD"}}})",
                              80),
              ::testing::ElementsAre("          cost      $0.03"));
}

}  // namespace
}  // namespace midwatch::cli
