// Money, text and {{name}} as the command line shows and reads them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "cli/money.h"
#include "cli/template_text.h"
#include "cli/utf8.h"
#include "tests/testing/status_matchers.h"

namespace midwatch::cli {
namespace {

using ::midwatch::testing::StatusIs;
using ::testing::ElementsAre;

struct UsdCase {
  int64_t micros;
  const char* text;
};

class UsdTest : public ::testing::TestWithParam<UsdCase> {};
TEST_P(UsdTest, IsWrittenAndReadExactly) {
  EXPECT_EQ(FormatUsd(GetParam().micros), GetParam().text);
  EXPECT_EQ(ParseUsd(GetParam().text).value(), GetParam().micros);
}
INSTANTIATE_TEST_SUITE_P(Table, UsdTest,
                         ::testing::ValuesIn<UsdCase>({
                             {0, "$0.00"},
                             {1, "$0.000001"},
                             {10, "$0.00001"},
                             {10'000, "$0.01"},
                             {12'500, "$0.0125"},
                             {1'000'000, "$1.00"},
                             {1'230'000, "$1.23"},
                             {-500'000, "-$0.50"},
                             {1'000'000'000'000, "$1000000.00"},
                         }));

TEST(UsdTest, LeastNumberHasAText) {
  EXPECT_EQ(FormatUsd(std::numeric_limits<int64_t>::min()),
            "-$9223372036854.775808");
}

TEST(UsdTest, ReadsWhatPeopleWrite) {
  EXPECT_EQ(ParseUsd("1").value(), 1'000'000);
  EXPECT_EQ(ParseUsd("$.5").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseUsd("0.1").value(), 100'000);
  for (const char* text : {"", "$", "1.", "1e3", "1,000", "$1.0000001", "--1",
                           "1 USD", "9999999999999", "0x1", "+1"}) {
    EXPECT_THAT(ParseUsd(text), StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

TEST(FillInTest, ReplacesKnownNamesOnce) {
  std::vector<std::string> unknown;
  EXPECT_EQ(FillIn("{{a}}-{{b}}{{a}}", {{"a", "{{b}}"}, {"b", ""}}, &unknown),
            "{{b}}-{{b}}");
  EXPECT_THAT(unknown, ElementsAre());
  EXPECT_EQ(FillIn("{{x}} {{y}} {{x}}", {{"y", "Y"}}, &unknown),
            "{{x}} Y {{x}}");
  EXPECT_THAT(unknown, ElementsAre("x", "x"));
}

TEST(FillInTest, BracesThatAreTextAreMadeWithTheLastFilling) {
  std::vector<std::string> unknown;
  const Values values = {{"p", "v"}, {"q", "{{x}} {{\"{{\"}}"}};
  const std::string text = "{{\"{{\"}}a}} {{p}} {{ \"{{\" }}p}} {{q}} {{x}}";
  EXPECT_EQ(FillIn(text, values, &unknown),
            "{{a}} v {{p}} {{x}} {{\"{{\"}} {{x}}");
  EXPECT_THAT(unknown, ElementsAre("x"));
  const std::string first = FillIn(text, values, nullptr, Filling::kFirst);
  EXPECT_EQ(FillIn(first, {{"a", "A"}, {"p", "P"}, {"x", "X"}}, nullptr),
            "{{a}} v {{p}} {{x}} {{\"{{\"}} X");
}

TEST(FillInTest, OtherBracesAreText) {
  for (const char* text :
       {"{{a}", "{a}}", "{{}}", "{{ }}", "{{a b}}", "}}{{", "{{", "{{{a}}}",
        "awk '{{print}', ${a}", "{{range .Names}}"}) {
    std::vector<std::string> unknown;
    EXPECT_EQ(FillIn(text, {{"a", "A"}, {"b", "B"}}, &unknown), text);
    EXPECT_THAT(unknown, ElementsAre()) << text;
  }
  EXPECT_EQ(FillIn("{{ a }}{{a\n}}{{{{a}}", {{"a", "A"}}, nullptr), "AA{{A");
}

TEST(Utf8Test, FindsTheFirstBadByte) {
  EXPECT_EQ(FindInvalidUtf8("plain \u00e9 \u20ac \U0001F600"),
            absl::string_view::npos);
  EXPECT_EQ(FindInvalidUtf8("ab\x80"), 2u);
  EXPECT_EQ(FindInvalidUtf8("\xc0\xaf"), 0u);          // overlong
  EXPECT_EQ(FindInvalidUtf8("\xed\xa0\x80"), 0u);      // surrogate
  EXPECT_EQ(FindInvalidUtf8("\xf4\x90\x80\x80"), 0u);  // past U+10FFFF
  EXPECT_EQ(FindInvalidUtf8("a\xe2\x82"), 1u);         // cut
}

TEST(Utf8Test, PrintableCannotMoveTheCursor) {
  EXPECT_EQ(Printable("a\x1b[2Jb\n\u009b\xff\u00e9"), "a?[2Jb???\u00e9");
}

TEST(Utf8Test, CountsColumnsAsATerminalDoes) {
  EXPECT_EQ(DisplayWidth("abc"), 3u);
  EXPECT_EQ(DisplayWidth("caf\u00e9"), 4u);
  EXPECT_EQ(DisplayWidth("cafe\u0301"), 4u);
  EXPECT_EQ(DisplayWidth("\u65e5\u672c"), 4u);
  EXPECT_EQ(DisplayWidth("\U0001F6A2"), 2u);
  EXPECT_EQ(PadRight("\u65e5", 4), "\u65e5  ");
  EXPECT_EQ(PadLeft("\u65e5\u672c\u8a9e", 4), " \u65e5\u2026");
}

TEST(Utf8Test, ShortensByColumn) {
  EXPECT_EQ(Shorten("\u65e5\u672c\u8a9e", 6), "\u65e5\u672c\u8a9e");
  EXPECT_EQ(Shorten("\u65e5\u672c\u8a9e", 5), "\u65e5\u672c\u2026");
  EXPECT_EQ(Shorten("\u65e5\u672c\u8a9e", 4), "\u65e5\u2026");
  EXPECT_EQ(Shorten("e\u0301e\u0301e\u0301", 2), "e\u0301\u2026");
}

TEST(Utf8Test, NothingPrintableTurnsTheLine) {
  EXPECT_EQ(Printable("a\u202Eb\u2067c\u2028d\u2027e"), "a?b?c?d\u2027e");
}

TEST(Utf8Test, ShortensWithAnEllipsis) {
  EXPECT_EQ(Shorten("caf\u00e9", 4), "caf\u00e9");
  EXPECT_EQ(Shorten("caf\u00e9s", 4), "caf\u2026");
  EXPECT_EQ(Shorten("x", 0), "");
}

}  // namespace
}  // namespace midwatch::cli
