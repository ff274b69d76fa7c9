#include "cli/json_text.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace midwatch::cli {
namespace {

// The value in a notation of its own, with where each part begins.
std::string Told(const JsonValue& value) {
  std::string parts;
  switch (value.kind) {
    case JsonValue::Kind::kNull:
      return "null";
    case JsonValue::Kind::kBool:
    case JsonValue::Kind::kNumber:
      return value.text;
    case JsonValue::Kind::kString:
      return absl::StrCat("'", value.text, "'@", value.at);
    case JsonValue::Kind::kList:
      for (const JsonValue& item : value.items) {
        absl::StrAppend(&parts, parts.empty() ? "" : ",", Told(item));
      }
      return absl::StrCat("[", parts, "]");
    case JsonValue::Kind::kMap:
      for (const JsonMember& member : value.members) {
        absl::StrAppend(&parts, parts.empty() ? "" : ",", member.name, "@",
                        member.at, "-", member.end, "=", Told(member.value));
      }
      return absl::StrCat("{", parts, "}");
  }
  return "";
}

std::string Parsed(absl::string_view text) {
  JsonValue value;
  std::optional<JsonMistake> mistake = ParseJson(text, value);
  return mistake ? absl::StrCat(mistake->at, ": ", mistake->what) : Told(value);
}

struct JsonCase {
  const char* name;
  std::string text;
  std::string want;  // the value; or where the mistake is, and its beginning
};

class JsonTextTest : public ::testing::TestWithParam<JsonCase> {};

TEST_P(JsonTextTest, MatchesTable) {
  const std::string got = Parsed(GetParam().text);
  EXPECT_EQ(got.substr(0, std::max(GetParam().want.size(), size_t{1})),
            GetParam().want)
      << got;
}

const JsonCase kJson[] = {
    {"Words", "[true,false , null]", "[true,false,null]"},
    {"Empty", " { } ", "{}"},
    {"EmptyList", "[ ]", "[]"},
    {"Places", R"({"a": [1, "x"], "b":{"c":"d"}})",
     "{a@1-14=[1,'x'@10],b@16-29={c@21-28='d'@25}}"},
    {"NumbersAsTheyAre", "[0,-0,10,1.50,1e999,-2E+7,123456789012345678901234]",
     "[0,-0,10,1.50,1e999,-2E+7,123456789012345678901234]"},
    {"Escapes", R"("\"\\\/\b\f\n\r\t")", "'\"\\/\b\f\n\r\t'@0"},
    {"CodePoints", R"("\u0041\u00e9\u20ac\ud83d\uDE00")",
     "'A\u00e9\u20ac\U0001F600'@0"},
    {"DoubledKeysStay", R"({"a":1,"a":2})", "{a@1-6=1,a@7-12=2}"},
    {"CarriageReturn", "1\r", "1"},
    {"Nothing", "", "0: the text ends too early: no value"},
    {"Behind", "{} {}", "3: text behind the value"},
    {"Comma", "[1,]", "3: no value of JSON"},
    {"CommaInMap", R"({"a":1,})", "7: expected a key in double quotes"},
    {"NoComma", "[1 2]", "3: expected ',' or ']'"},
    {"NoColon", R"({"a" 1})", "5: expected ':'"},
    {"YamlKey", "{a: 1}", "1: expected a key in double quotes"},
    {"SingleQuotes", "'a'", "0: no value of JSON"},
    {"NaN", "NaN", "0: no value of JSON"},
    {"LeadingZero", "01", "1: a number that begins with 0"},
    {"Plus", "+1", "0: no value of JSON"},
    {"Point", "1.", "2: the text ends too early: a number without a digit"},
    {"Exponent", "1ex", "2: a number without a digit here"},
    {"Minus", "-", "1: the text ends too early: a number without a digit"},
    {"Torn", R"({"a": "b)", "8: the text ends too early: a string without"},
    {"TornEscape", "\"a\\", "2: an unknown escape"},
    {"TornMap", R"({"a": 1)", "7: the text ends too early: expected ',' or"},
    {"Tab", "\"a\tb\"", "2: a control character in a string"},
    {"Escape", R"("\x41")", "1: an unknown escape"},
    {"ShortEscape", R"("\u12g4")", "1: \\u without four hex digits"},
    {"LoneHigh", R"("\ud83d")", "1: half of a surrogate pair"},
    {"LoneLow", R"("\ude00")", "1: half of a surrogate pair"},
    {"HighAndNoLow", R"("\ud83d\u0041")", "1: half of a surrogate pair"},
    {"SixtyFourLevels", std::string(64, '[') + std::string(64, ']'), "[["},
    {"Deep", std::string(65, '['), "64: nested too deeply"},
    {"VeryDeep", std::string(1000000, '['), "64: nested too deeply"},
};

INSTANTIATE_TEST_SUITE_P(Table, JsonTextTest, ::testing::ValuesIn(kJson),
                         [](const auto& c) {
                           return std::string(c.param.name);
                         });

}  // namespace
}  // namespace midwatch::cli
