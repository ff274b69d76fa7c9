#include "base/json_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

struct FitCase {
  const char* name;
  const char* schema;
  const char* document;
  const char* why;  // a part of it; "" where the document fits
};
class JsonSchemaFitTest : public ::testing::TestWithParam<FitCase> {};

TEST_P(JsonSchemaFitTest, MatchesTable) {
  const FitCase& c = GetParam();
  const absl::StatusOr<JsonSchema> schema = JsonSchema::Parse(c.schema);
  ASSERT_OK(schema);
  const std::string why = schema->WhyNot(c.document);
  EXPECT_EQ(why.empty(), *c.why == '\0') << why;
  EXPECT_THAT(why, HasSubstr(c.why));
  EXPECT_LE(why.size(), 300);
  EXPECT_EQ(why.find('\n'), std::string::npos);
}

constexpr char kReport[] = R"({
  "$schema": "http://json-schema.org/draft-07/schema#", "$id": "https://x/y",
  "title": "a report", "type": "object", "required": ["items"],
  "additionalProperties": false,
  "properties": {
    "title": {"type": "string", "format": "date", "default": {"a": 1}},
    "items": {"type": "array", "minItems": 1, "uniqueItems": true,
              "items": {"$ref": "#/$defs/item"}}},
  "$defs": {"item": {"type": "object", "required": ["name"], "properties": {
    "name": {"type": "string", "minLength": 1, "maxLength": 5},
    "kind": {"enum": ["a", "b"]},
    "size": {"type": "integer", "minimum": 0, "exclusiveMaximum": 10}}}}})";

INSTANTIATE_TEST_SUITE_P(
    Table, JsonSchemaFitTest,
    ::testing::ValuesIn<FitCase>({
        {"Fits", kReport, R"({"items": [{"name": "x", "size": 9}]})", ""},
        {"PropertyCalledTitle", kReport,
         R"({"title": "t", "items": [{"name": "x"}]})", ""},
        {"TitleOfAnotherType", kReport,
         R"({"title": 1, "items": [{"name": "x"}]})", "at /title"},
        {"NothingThere", kReport, "{}", "items"},
        {"AnotherType", kReport, "[]", "at the top"},
        {"Unexpected", kReport, R"({"items": [{"name": "x"}], "more": 1})",
         "more"},
        {"InAnItem", kReport, R"({"items": [{"name": "x"}, {"name": ""}]})",
         "at /items/1/name"},
        {"TooLong", kReport, R"({"items": [{"name": "123456"}]})",
         "at /items/0/name"},
        {"NoneOfThem", kReport, R"({"items": [{"name": "x", "kind": "c"}]})",
         "at /items/0/kind"},
        {"TooLarge", kReport, R"({"items": [{"name": "x", "size": 10}]})",
         "at /items/0/size"},
        {"NoInteger", kReport, R"({"items": [{"name": "x", "size": 1.5}]})",
         "at /items/0/size"},
        {"TextIsNoNumber", kReport,
         R"({"items": [{"name": "x", "size": "1"}]})", "at /items/0/size"},
        {"Twice", kReport, R"({"items": [{"name": "x"}, {"name": "x"}]})",
         "at /items"},
        {"NoJson", kReport, R"({"items": )", "it is no JSON"},
        {"Empty", kReport, "", "it is no JSON"},
        {"TwoDocuments", kReport, "{} {}", "it is no JSON"},
        {"NotUtf8", "{}", "\"\xff\"", "it is no JSON"},
        {"AnythingGoes", "{}", "17", ""},
        {"True", "true", "17", ""},
        {"IfThenFits", R"({"if": {"const": 1}, "then": true, "else": false})",
         "1", ""},
        {"IfElse",
         R"({"if": {"const": 1}, "then": true, "else": {"const": 3}})", "2",
         "at the top"},
        {"OneOfBoth", R"({"oneOf": [{"type": "integer"}, {"minimum": 2}]})",
         "3", "at the top"},
        {"AnyOf", R"({"anyOf": [{"type": "string"}, {"minimum": 2}]})", "3",
         ""},
        {"MultipleOf", R"({"multipleOf": 0.5})", "1.25", "at the top"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

struct RefusalCase {
  const char* name;
  const char* schema;
  const char* why;
};
class JsonSchemaRefusalTest : public ::testing::TestWithParam<RefusalCase> {};

TEST_P(JsonSchemaRefusalTest, SaysWhere) {
  EXPECT_THAT(
      JsonSchema::Parse(GetParam().schema).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(GetParam().why)));
}

INSTANTIATE_TEST_SUITE_P(
    Table, JsonSchemaRefusalTest,
    ::testing::ValuesIn<RefusalCase>({
        {"NoJson", "{", "at the top: expected a schema in JSON"},
        {"NoSchema", "[]", "at the top: expected a schema"},
        {"Misspelt", R"({"properties": {"a": {"tpye": "string"}}})",
         "at /properties/a/tpye: unknown keyword"},
        {"BadType", R"({"items": {"type": "text"}})", "at /items/type: "},
        {"BadRequired", R"({"required": "a"})", "at /required: "},
        {"BadProperties", R"({"properties": []})", "at /properties: "},
        {"BadMinimum", R"({"minimum": "1"})", "at /minimum: "},
        {"BadMultiple", R"({"multipleOf": 0})", "at /multipleOf: "},
        {"BadLength", R"({"maxLength": -1})", "at /maxLength: "},
        {"BadEnum", R"({"enum": {}})", "at /enum: "},
        {"BadAllOf", R"({"allOf": {}})", "at /allOf: "},
        {"BadDefinition", R"({"$defs": {"a": {"type": 1}}})",
         "at /$defs/a/type: "},
        {"Pattern", R"({"pattern": "^(a+)+$"})", "at /pattern: patterns"},
        {"Patterns", R"({"patternProperties": {"x": {}}})",
         "at /patternProperties: patterns"},
        {"Remote", R"({"$ref": "https://example.com/schema.json"})",
         "at /$ref: "},
        {"File", R"({"$ref": "file:///etc/passwd"})", "at /$ref: "},
        {"Missing", R"({"$ref": "#/definitions/a"})", "at /$ref: "},
        {"Itself", R"({"properties": {"a": {"$ref": "#"}}})",
         "at /properties/a/$ref: "},
        {"Circle", R"({"$ref": "#/$defs/a", "$defs": {
            "a": {"allOf": [{"$ref": "#/$defs/b"}]},
            "b": {"properties": {"x": {"$ref": "#/$defs/a"}}}}})",
         "refers to itself"},
        {"InnerDefinitions", R"({"items": {"definitions": {}}})",
         "at /items/definitions: "},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(JsonSchemaTest, WhatGrowsByReferencesIsRefused) {
  std::string defs = R"("d0": {"type": "string"})";
  for (int i = 1; i < 40; ++i) {
    const std::string ref =
        absl::StrCat(R"({"$ref": "#/$defs/d)", i - 1, "\"}");
    absl::StrAppend(&defs, ", \"d", i, R"(": {"allOf": [)", ref, ", ", ref,
                    "]}");
  }
  EXPECT_THAT(
      JsonSchema::Parse(
          absl::StrCat(R"({"$ref": "#/$defs/d39", "$defs": {)", defs, "}}"))
          .status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("parts")));
}

TEST(JsonSchemaTest, WhatIsNestedDeeplyIsRefused) {
  std::string schema = "{}";
  for (int i = 0; i < 100'000 / 12; ++i) schema = "{\"not\":" + schema + "}";
  EXPECT_FALSE(JsonSchema::Parse(schema.substr(0, 60'000)).ok());
  std::string nested = "true";
  for (int i = 0; i < 65; ++i) nested = "{\"not\":" + nested + "}";
  EXPECT_THAT(
      JsonSchema::Parse(nested).status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("levels")));
  const absl::StatusOr<JsonSchema> any = JsonSchema::Parse("{}");
  ASSERT_OK(any);
  EXPECT_THAT(any->WhyNot(std::string(1'000'000, '[')), HasSubstr("levels"));
  // Brackets in a text are none.
  EXPECT_EQ(any->WhyNot("\"" + std::string(1000, '[') + "\\\"[\""), "");
}

TEST(JsonSchemaTest, LargeThingsAreRefused) {
  EXPECT_THAT(
      JsonSchema::Parse("{\"title\": \"" +
                        std::string(JsonSchema::kSchemaBytesMax, 'x') + "\"}")
          .status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bytes")));
  const absl::StatusOr<JsonSchema> any = JsonSchema::Parse("{}");
  ASSERT_OK(any);
  EXPECT_THAT(
      any->WhyNot("\"" + std::string(JsonSchema::kDocumentBytesMax, 'x') +
                  "\""),
      HasSubstr("bytes"));
}

std::string Ones(int n) {
  std::string list = "[1";
  for (int i = 1; i < n; ++i) list += ",1";
  return list + "]";
}

TEST(JsonSchemaTest, WorkIsBounded) {
  const absl::StatusOr<JsonSchema> unique =
      JsonSchema::Parse(R"({"uniqueItems": true})");
  ASSERT_OK(unique);
  EXPECT_THAT(unique->WhyNot(Ones(1001)), HasSubstr("too many"));

  std::string values = "0";
  for (int i = 1; i < 5000; ++i) absl::StrAppend(&values, ",", -i);
  const absl::StatusOr<JsonSchema> wide =
      JsonSchema::Parse("{\"items\": {\"enum\": [" + values + "]}}");
  ASSERT_OK(wide);
  EXPECT_THAT(wide->WhyNot(Ones(20'000)), HasSubstr("too many values"));
  EXPECT_EQ(wide->WhyNot(Ones(9000)), "it does not fit its schema");
}

}  // namespace
}  // namespace midwatch
