#include "harness/tools.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "harness/search_tools.h"
#include "tests/testing/status_matchers.h"

namespace midwatch::harness {
namespace {

using ::midwatch::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Json Agent(const std::string& tools) {
  return ParseJson("{\"tools\":" + tools + "}");
}

TEST(EnabledToolsTest, FollowsTheToolset) {
  EXPECT_THAT(EnabledTools(Agent("[]")), IsEmpty());
  EXPECT_THAT(EnabledTools(Agent(R"([{"default_config":{"enabled":true}}])")),
              ElementsAre("bash", "edit", "glob", "grep", "read", "write"));
  EXPECT_THAT(EnabledTools(Agent(R"([{"default_config":{"enabled":false},
                  "configs":[{"name":"bash","enabled":true},
                             {"name":"web_fetch","enabled":true}]}])")),
              ElementsAre("bash"));
  EXPECT_THAT(EnabledTools(Agent(R"([{"default_config":{"enabled":true},
                  "configs":[{"name":"write","enabled":false}]}])")),
              ElementsAre("bash", "edit", "glob", "grep", "read"));
}

TEST(PlanToolTest, RefusesWhatTheModelMustCorrect) {
  struct Case {
    const char* tool;
    const char* input;
    const char* says;
  };
  const Case kCases[] = {
      {"bash", "{}", "command"},
      {"bash", R"({"command":1})", "command"},
      {"bash", R"({"command":"a\u0000b"})", "NUL"},
      {"bash", R"({"command":"a","timeout_ms":0})", "timeout_ms"},
      {"bash", R"({"command":"a","timeout_ms":"1"})", "timeout_ms"},
      {"read", R"({"path":"x"})", "file_path"},
      {"read", R"({"file_path":"x","view_range":[0,1]})", "view_range"},
      {"read", R"({"file_path":"x","view_range":[1]})", "view_range"},
      {"write", R"({"file_path":"x"})", "content"},
      {"edit", R"({"file_path":"x","old_string":"","new_string":"b"})",
       "old_string: must not be empty"},
      {"edit", R"({"file_path":"x","old_string":"a"})", "new_string"},
      {"edit", R"({"file_path":"x","old_string":"a","new_string":"a"})",
       "must differ"},
      {"edit", R"({"file_path":"x","old_string":"a","new_string":"b",
                   "replace_all":1})",
       "replace_all"},
      {"glob", "{}", "pattern"},
      {"glob", R"({"pattern":"*","path":""})", "path"},
      {"grep", R"({"pattern":""})", "pattern: must not be empty"},
      {"web_fetch", "{}", "no tool named web_fetch"},
  };
  for (const Case& c : kCases) {
    EXPECT_THAT(PlanTool(c.tool, ParseJson(c.input), absl::Seconds(1)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.says)))
        << c.input;
  }
}

TEST(PlanToolTest, BashTakesItsOwnTimeout) {
  auto plan =
      PlanTool("bash", ParseJson(R"({"command":"a"})"), absl::Seconds(7));
  ASSERT_OK(plan);
  EXPECT_EQ(plan->command.timeout, absl::Seconds(7));
  EXPECT_FALSE(plan->restart);
  plan = PlanTool("bash", ParseJson(R"({"restart":true,"timeout_ms":1500,
                                        "command":"a"})"),
                  absl::Seconds(7));
  ASSERT_OK(plan);
  EXPECT_TRUE(plan->restart);
  EXPECT_EQ(plan->command.timeout, absl::Milliseconds(1500));
}

TEST(PlanToolTest, PathsAndContentAreQuoted) {
  auto plan =
      PlanTool("write", ParseJson(R"({"file_path":"a'b","content":"$(x)'"})"),
               absl::Seconds(1));
  ASSERT_OK(plan);
  EXPECT_THAT(plan->command.text, HasSubstr(R"('a'\''b')"));
  EXPECT_THAT(plan->command.text, HasSubstr(R"('$(x)'\''')"));
}

TEST(GlobToRegexTest, MatchesTable) {
  struct Case {
    const char* glob;
    const char* regex;
  };
  const Case kCases[] = {
      {"*.cc", "[^/]*\\.cc"},
      {"./a?c", "a[^/]c"},
      {"**", ".*"},
      {"**/*.h", "(.*/)?[^/]*\\.h"},
      {"src/**/x", "src/(.*/)?x"},
      {"src/**", "src/.*"},
      {"a**b", "a[^/]*[^/]*b"},
      {"{a,b/**,**/c}.d", "(a|b/.*|(.*/)?c)\\.d"},
      {"a,b}", "a,b\\}"},
      {"[a-c]x[!]y]", "[a-c]x[^]y/]"},
      {"\\*(1)", "\\*\\(1\\)"},
  };
  for (const Case& c : kCases) {
    auto regex = GlobToRegex(c.glob);
    ASSERT_OK(regex) << c.glob;
    EXPECT_EQ(*regex, c.regex) << c.glob;
  }
}

TEST(GlobToRegexTest, RefusesWhatCannotBe) {
  for (const char* glob :
       {"/etc/*", "../*", "a/..", "{a,../b}", "[ab", "{a,b", "a\\", "[a/b]"}) {
    EXPECT_THAT(GlobToRegex(glob), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("pattern: ")))
        << glob;
  }
}

TEST(OutcomeOfTest, FailuresEndWithTheirReason) {
  ToolPlan plan;
  plan.command.timeout = absl::Seconds(120);
  ShellResult result;
  result.output = "out";
  result.output_bytes = 3;
  EXPECT_EQ(OutcomeOf("bash", {}, plan, result).text, "out");
  EXPECT_FALSE(OutcomeOf("bash", {}, plan, result).is_error);
  result.exit_status = 3;
  EXPECT_EQ(OutcomeOf("bash", {}, plan, result).text, "out\n[exit status 3]");
  EXPECT_TRUE(OutcomeOf("bash", {}, plan, result).is_error);
  result.timed_out = true;
  EXPECT_EQ(OutcomeOf("bash", {}, plan, result).text,
            "out\n[timed out after 2m]");
  result = ShellResult();
  result.output = "end";
  result.output_bytes = 10;
  EXPECT_EQ(OutcomeOf("bash", {}, plan, result).text,
            "[output truncated]\nend");
}

TEST(OutcomeOfTest, AFileThatIsTooLargeIsNotShown) {
  ShellResult result;
  result.output_bytes = (256 << 10) + 1;
  ToolOutcome outcome = OutcomeOf("read", {}, ToolPlan(), result);
  EXPECT_TRUE(outcome.is_error);
  EXPECT_THAT(outcome.text, HasSubstr("view_range"));
}

TEST(ExitStatusOfTest, ReadsTheLastLine) {
  ConversationItem item;
  item.text = "x\n[exit status 3]";
  EXPECT_EQ(ExitStatusOf(item), "exit status 0") << "no error";
  item.is_error = true;
  EXPECT_EQ(ExitStatusOf(item), "exit status 3");
  item.text = "[timed out after 2m]";
  EXPECT_EQ(ExitStatusOf(item), "timed out after 2m");
  item.text = "the sandbox could not be started";
  EXPECT_EQ(ExitStatusOf(item), "error");
}

}  // namespace
}  // namespace midwatch::harness
