// The file tools where they run: in a sandbox, through the session's shell.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "harness/tools.h"
#include "tests/harness/shell_fixture.h"

namespace midwatch::harness {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class FileToolsTest : public ShellTest {
 protected:
  ToolOutcome Call(const std::string& tool, const Json& input) {
    absl::StatusOr<ToolPlan> plan = PlanTool(tool, input, absl::Seconds(20));
    if (!plan.ok()) return {std::string(plan.status().message()), true};
    return OutcomeOf(tool, input, *plan, Run(plan->command));
  }
  ToolOutcome Edit(const std::string& path, const std::string& old_text,
                   const std::string& new_text, bool all = false) {
    return Call("edit", {{"file_path", path},
                         {"old_string", old_text},
                         {"new_string", new_text},
                         {"replace_all", all}});
  }
  ToolOutcome Glob(const std::string& pattern, const std::string& path = ".") {
    return Call("glob", {{"pattern", pattern}, {"path", path}});
  }
  ToolOutcome Grep(const std::string& pattern, const std::string& path = ".") {
    return Call("grep", {{"pattern", pattern}, {"path", path}});
  }
  void Shell(const std::string& script) {
    ShellResult result = Run("( set -e\n" + script + "\n)");
    ASSERT_EQ(result.exit_status, 0) << script << result.output;
  }
  std::string Bytes(const std::string& path) {
    return Run("cat " + path).output;
  }

  static void ExpectText(const ToolOutcome& outcome, const std::string& text) {
    EXPECT_EQ(outcome.text, text);
    EXPECT_FALSE(outcome.is_error);
  }
  static void ExpectError(const ToolOutcome& outcome,
                          const std::string& substring) {
    EXPECT_THAT(outcome.text, HasSubstr(substring));
    EXPECT_TRUE(outcome.is_error);
  }
};

TEST_F(FileToolsTest, WriteAndRead) {
  Json write = {{"file_path", "new dir/it's"}, {"content", "1\n2\n$(3)\n%d"}};
  ToolOutcome outcome = Call("write", write);
  EXPECT_FALSE(outcome.is_error) << outcome.text;
  EXPECT_EQ(outcome.text, "Wrote 11 bytes to new dir/it's");
  Json read = {{"file_path", "/workspace/new dir/it's"}};
  EXPECT_EQ(Call("read", read).text, "1\n2\n$(3)\n%d");
  read["view_range"] = {2, 3};
  EXPECT_EQ(Call("read", read).text, "2\n$(3)\n");
  read["view_range"] = {3, -1};
  EXPECT_EQ(Call("read", read).text, "$(3)\n%d");
}

TEST_F(FileToolsTest, FailuresAreTold) {
  ToolOutcome outcome = Call("read", {{"file_path", "none"}});
  EXPECT_TRUE(outcome.is_error);
  EXPECT_THAT(outcome.text, HasSubstr("No such file"));
  EXPECT_TRUE(Call("read", {{"file_path", "/workspace"}}).is_error);
  EXPECT_TRUE(
      Call("write", {{"file_path", "/usr/x"}, {"content", ""}}).is_error);
  Run("head -c 300000 /dev/zero > big");
  EXPECT_THAT(Call("read", {{"file_path", "big"}}).text,
              HasSubstr("larger than"));
}

TEST_F(FileToolsTest, EditReplacesWhatIsThereOnce) {
  Shell("printf 'a\\nb\\nc\\n' > f; chmod 750 f");
  ExpectText(Edit("f", "b\nc", "$1 \\n '\"`x`"), "edited f (1 replacement(s))");
  EXPECT_EQ(Bytes("f"), "a\n$1 \\n '\"`x`\n");
  EXPECT_EQ(Bytes("<(stat -c %a f)"), "750\n");
  EXPECT_EQ(Run("ls -A").output, "f\n") << "nothing else is left";
}

TEST_F(FileToolsTest, EditRefusesWhatIsNotThereOnce) {
  Shell("printf 'aXbXc' > f");
  ExpectError(Edit("f", "X", "Y"), "appears 2 times in f");
  ExpectError(Edit("f", "Z", "Y"), "old_string not found in f");
  EXPECT_EQ(Bytes("f"), "aXbXc");
  ExpectText(Edit("f", "X", "XX", true), "edited f (2 replacement(s))");
  EXPECT_EQ(Bytes("f"), "aXXbXXc");
}

TEST_F(FileToolsTest, EditTakesBytesAsTheyAre) {
  Shell("printf 'caf\\351 \\000 x \\377' > f");
  ExpectText(Edit("f", "x", "\xC3\xA9"), "edited f (1 replacement(s))");
  EXPECT_EQ(Bytes("f"), std::string("caf\351 \000 \xC3\xA9 \377", 11));
}

TEST_F(FileToolsTest, EditFollowsLinksAndKeepsThem) {
  Shell("mkdir d; echo old > d/f; ln -s d/f link");
  ExpectText(Edit("link", "old", "new"), "edited link (1 replacement(s))");
  EXPECT_EQ(Run("test -L link && cat d/f").output, "new\n");
}

TEST_F(FileToolsTest, EditNeedsARegularFileThatFits) {
  Shell("mkdir d; mkfifo p; truncate -s 17M big");
  ExpectError(Edit("none", "a", "b"), "none: No such file or directory");
  ExpectError(Edit("d", "a", "b"), "d is not a regular file");
  ExpectError(Edit("p", "a", "b"), "p is not a regular file");
  ExpectError(Edit("big", "a", "b"), "at most 16777216 can be edited");
  ExpectError(Edit("/etc/passwd", "user", "root"), "/etc/passwd: ");
}

TEST_F(FileToolsTest, EditTakesLongStrings) {
  Shell("printf '%0300000d' 0 > f");
  ExpectText(Edit("f", std::string(300000, '0'), std::string(500000, 'y')),
             "edited f (1 replacement(s))");
  EXPECT_EQ(Run("wc -c < f").output, "500000\n");
}

TEST_F(FileToolsTest, PathsAreTheShellsAndMayHoldAnything) {
  Shell("mkdir -p 'd/-n $(x)'; echo a > 'd/-n $(x)/-f'");
  Run("cd d");
  ExpectText(Edit("-n $(x)/-f", "a", "b"),
             "edited -n $(x)/-f (1 replacement(s))");
  ExpectText(Glob("*", "-n $(x)"), "/workspace/d/-n $(x)/-f\n");
  ExpectText(Grep("b", "-n $(x)"), "/workspace/d/-n $(x)/-f:1:b\n");
}

TEST_F(FileToolsTest, GlobListsFilesTheNewestFirst) {
  Shell(R"(mkdir -p a/b .git node_modules dir.cc
    for f in a/old.cc a/b/new.cc a/x.h .git/g.cc node_modules/n.cc; do
      echo > $f; done
    ln -s /etc link; ln -s a/x.h y.cc
    touch -d 2001-01-01 a/old.cc; touch -d 2002-01-01 a/b/new.cc)");
  ExpectText(Glob("**/*.cc"), "/workspace/a/b/new.cc\n/workspace/a/old.cc\n");
  ExpectText(Glob("*.cc", "a"), "/workspace/a/old.cc\n");
  ExpectText(Glob("{a,b}/?.[gh]"), "/workspace/a/x.h\n");
  ExpectText(Glob("link/**"), "no matches");
  ExpectError(Glob("*", "none"), "glob: none is no directory");
  ExpectError(Glob("*", "a/x.h"), "glob: a/x.h is no directory");
  ExpectError(Glob("/etc/*"), "must be relative");
}

TEST_F(FileToolsTest, GlobShowsTwoHundredFilesAtMost) {
  Shell("for i in $(seq 201); do : > f$i; done; touch -d 2001-01-01 f1");
  ToolOutcome outcome = Glob("f*");
  EXPECT_FALSE(outcome.is_error);
  EXPECT_THAT(outcome.text, EndsWith("[only the newest 200 are shown]\n"));
  EXPECT_THAT(outcome.text, Not(HasSubstr("f1\n")));
  EXPECT_EQ(std::count(outcome.text.begin(), outcome.text.end(), '\n'), 201);
}

TEST_F(FileToolsTest, GrepFindsLinesInTextFiles) {
  Shell(R"(mkdir -p a .git node_modules
    echo 'int x = 1;' > a/b.c; printf 'no\nint y;\n' > c
    echo 'int' > .git/g; echo int > node_modules/n
    printf 'a\0int\n' > binary; ln -s /etc/passwd link)");
  ExpectText(Grep("int \\w+"),
             "/workspace/a/b.c:1:int x = 1;\n/workspace/c:2:int y;\n");
  ExpectText(Grep("^int", "c"), "/workspace/c:2:int y;\n");
  ExpectText(Grep("user", "."), "no matches");
  ExpectText(Grep("-e"), "no matches");
  ExpectError(Grep("x", "none"), "none: No such file or directory");
}

TEST_F(FileToolsTest, GrepReadsTextInAnyEncoding) {
  Shell("printf 'caf\\303\\251\\n' > utf8; printf 'caf\\351 x\\n' > latin1");
  ExpectText(Grep("caf[\xC3\xA9]"), "/workspace/utf8:1:caf\xC3\xA9\n");
  ExpectText(Grep(" x$"), "/workspace/latin1:1:caf\xEF\xBF\xBD x\n");
}

TEST_F(FileToolsTest, GrepRefusesBadAndEndlessExpressions) {
  Shell("printf '%040d\\n' 0 > f");
  ExpectError(Grep("a("), "invalid pattern: missing closing parenthesis");
  ExpectError(Grep("a\nb"), "invalid pattern: ");
  ExpectError(Grep(std::string(5000, 'x')), "pattern: must not be longer");
  ExpectError(Grep("^(0+)+1?$(?<!0)"), "backtracking limit");
}

TEST_F(FileToolsTest, GrepBoundsWhatItShows) {
  Shell("seq -f 'line %06g' 20000 > f; printf '%05000d line\\n' 0 > g");
  ToolOutcome outcome = Grep("line");
  EXPECT_FALSE(outcome.is_error);
  EXPECT_THAT(outcome.text, StartsWith("/workspace/f:1:line 000001\n"));
  EXPECT_THAT(outcome.text, EndsWith("[output truncated at 102400 bytes]\n"));
  EXPECT_LT(outcome.text.size(), 103000u);
  ExpectText(Grep("line", "g"),
             "[matches in 1 lines of more than 2000 bytes]\n");
}

TEST_F(FileToolsTest, ASearchThatTakesTooLongIsStopped) {
  Shell("seq 3000000 > f");
  absl::StatusOr<ToolPlan> plan =
      PlanTool("grep", {{"pattern", "(?:1|2|3|4)*x"}}, absl::Milliseconds(50));
  ASSERT_OK(plan);
  ToolOutcome outcome =
      OutcomeOf("grep", Json::object(), *plan, Run(plan->command));
  ExpectError(outcome, "[timed out after 50ms]");
}

}  // namespace
}  // namespace midwatch::harness
