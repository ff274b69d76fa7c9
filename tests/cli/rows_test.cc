// Tables, and the tasks that foreach makes of their rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "cli/batch_file.h"
#include "cli/csv_parser.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace midwatch::cli {
namespace {

using ::midwatch::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Records between ';', fields between '|', or "LINE:BYTE mistake".
std::string ParsedCsv(absl::string_view text) {
  CsvParser parser;
  std::vector<std::string> records;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    switch (parser.Feed(line)) {
      case CsvParser::Result::kMore:
        break;
      case CsvParser::Result::kMistake:
        return absl::StrCat(number, ":", parser.mistake_at(), " ",
                            parser.mistake());
      case CsvParser::Result::kRecord:
        records.push_back(absl::StrJoin(parser.fields(), "|"));
        parser.fields().clear();
    }
  }
  return absl::StrCat(absl::StrJoin(records, ";"),
                      parser.fields().empty() ? "" : " unfinished");
}

struct CsvCase {
  const char* name;
  const char* text;
  const char* want;
};

class CsvParserTest : public ::testing::TestWithParam<CsvCase> {};

TEST_P(CsvParserTest, MatchesTable) {
  const std::string got = ParsedCsv(GetParam().text);
  const std::string want = GetParam().want;
  // Of a mistake the beginning.
  const bool is_mistake = absl::StrContains(want, ":");
  EXPECT_EQ(is_mistake ? got.substr(0, want.size()) : got, want) << got;
}

INSTANTIATE_TEST_SUITE_P(
    Table, CsvParserTest,
    ::testing::ValuesIn<CsvCase>({
        {"Plain", "a,b\nc,d", "a|b;c|d"},
        {"OneColumn", "a\nb", "a;b"},
        {"EmptyFields", ",\n,,", "|;||"},
        {"Spaces", " a , b ", " a | b "},
        {"Quoted", "\"a\",\"b\"", "a|b"},
        {"QuotedEmpty", "\"\",x", "|x"},
        {"CommaInQuotes", "\"a,b\",c", "a,b|c"},
        {"DoubledQuotes", "\"a\"\"b\"\"\",\"\"\"\"", "a\"b\"|\""},
        {"LinesInQuotes", "\"a\nb\n\nc\",d\ne,f", "a\nb\n\nc|d;e|f"},
        {"QuoteAtTheEndOfALine", "\"a\"\"\nb\",c", "a\"\nb|c"},
        {"Utf8", "\u00e9,\"\u20ac\"", "\u00e9|\u20ac"},
        {"Unfinished", "a,\"b\nc", " unfinished"},
        {"QuoteInside", "a,b\"c\"", "1:3 a quote within a field that does not"},
        {"QuoteInTheSecondLine", "a\n\"b\"c",
         "2:3 text behind a closing quote"},
        {"SpaceBehindAQuote", "\"a\" ,b", "1:3 text behind a closing quote"},
        {"SpaceBeforeAQuote", "a, \"b\"", "1:3 a quote within a field"},
    }),
    [](const auto& c) { return std::string(c.param.name); });

class RowsTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  // `foreach` is YAML in one line.
  absl::StatusOr<BatchFile> Load(const std::string& foreach,
                                 const std::string& prompt = "p") {
    Write("b.yaml", absl::StrCat("name: n\nparams: {model: m}\ndefaults: "
                                 "{agent: a, prompt: '",
                                 prompt, "'}\nforeach: ", foreach, "\n"));
    return LoadBatchFile(folder_ / "b.yaml", {});
  }
  // Names and parameters of the tasks: "name a=1 b=2;...".
  static std::string Told(const absl::StatusOr<BatchFile>& batch) {
    if (!batch.ok()) return batch.status().ToString();
    std::vector<std::string> tasks;
    for (const v1::TaskLine& line : batch->lines) {
      std::map<std::string, std::string> parameters(line.parameters().begin(),
                                                    line.parameters().end());
      tasks.push_back(absl::StrCat(
          line.name(), parameters.empty() ? "" : " ",
          absl::StrJoin(parameters, " ", absl::PairFormatter("="))));
    }
    return absl::StrJoin(tasks, ";");
  }

  testing::TempDir folder_;
};

TEST_F(RowsTest, ARowsColumnsAreItsTasksParameters) {
  Write("r.csv", "id,city,a b\n1,Graz,x\n2,\"Wien, {{id}}\n1\",y\n");
  EXPECT_EQ(Told(Load("{csv: r.csv, name: '{{id}}'}", "in {{city}}")),
            "1 city=Graz id=1;2 city=Wien, {{id}}\n1 id=2");
  // Where parameters are given, only those are.
  EXPECT_EQ(Told(Load("{csv: r.csv, name: '{{city}} {{index}} {{model}}', "
                      "limit: 1, parameters: {c: '{{city}}-{{id}}'}}",
                      "in {{c}}")),
            "Graz 0 m c=Graz-1");
  EXPECT_EQ(Told(Load("{csv: r.csv, name: '{{id}}', parameters: {}}")), "1;2");
}

TEST_F(RowsTest, LinesOfJsonAreRows) {
  Write("r.jsonl",
        "{\"id\": 1, \"t\": \"a\\nb\", \"n\": null}\r\n"
        "{\"id\": 2.50, \"t\": [1, {\"x\": \"y\"}], \"n\": true}");
  EXPECT_EQ(Told(Load("{jsonl: r.jsonl, name: '{{id}}'}", "{{t}}{{n}}")),
            "1 id=1 n= t=a\nb;2.50 id=2.50 n=true t=[1, {\"x\": \"y\"}]");
}

TEST_F(RowsTest, AColumnMayBeCalledIndex) {
  Write("r.csv", "\xEF\xBB\xBFindex\r\n7\r\n");
  EXPECT_EQ(Told(Load("{csv: r.csv, name: '{{index}}'}")), "7 index=7");
}

TEST_F(RowsTest, InputsMayStandInARow) {
  Write("in.txt", "input");
  Write("r.csv", "id,file\n1,in.txt\n2,in.txt\n");
  absl::StatusOr<BatchFile> batch = Load(
      "{csv: r.csv, name: '{{id}}', inputs: [{path: '{{file}}', "
      "mount: in}]}");
  ASSERT_OK(batch);
  ASSERT_EQ(batch->lines.size(), 2u);
  EXPECT_EQ(batch->lines[1].inputs(0).size_bytes(), 5);
  EXPECT_EQ(batch->input_bytes, 5);
}

struct RowMistake {
  const char* name;
  const char* rows;  // of r.csv, or of r.jsonl where it begins with '{' or '['
  const char* message;
};

class RowMistakeTest : public RowsTest,
                       public ::testing::WithParamInterface<RowMistake> {};

TEST_P(RowMistakeTest, IsToldWithItsPlace) {
  const std::string rows = GetParam().rows;
  const bool is_json = !rows.empty() && (rows[0] == '{' || rows[0] == '[');
  Write(is_json ? "r.jsonl" : "r.csv", rows);
  absl::StatusOr<BatchFile> batch = Load(absl::StrCat(
      "{", is_json ? "jsonl: r.jsonl" : "csv: r.csv", ", name: '{{id}}'}"));
  ASSERT_THAT(batch, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(absl::StrReplaceAll(batch.status().message(),
                                  {{absl::StrCat(folder_.path(), "/"), ""}}),
              StartsWith(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Table, RowMistakeTest,
    ::testing::ValuesIn<RowMistake>({
        {"Empty", "", "r.csv:1:1: an empty file; expected a first line with"},
        {"NoRows", "id\n",
         "b.yaml:4:16: r.csv has no rows; expected one for each task"},
        {"ShortRow", "id,b\n1,2\n3\n",
         "r.csv:3:1: 1 field; expected 2, as the first line has"},
        {"LongRow", "id\n1\n2,3\n", "r.csv:3:1: 2 fields; expected 1"},
        {"EmptyLine", "id,b\n1,2\n\n", "r.csv:3:1: 1 field; expected 2"},
        {"OpenQuote", "id\n1\n\"2\n3\n",
         "r.csv:4:1: a quoted field without its end (the row begins in line "
         "3)"},
        {"QuoteInside", "id,b\n1,x\"y\"\n",
         "r.csv:2:4: a quote within a field"},
        {"InvalidUtf8", "id\n\xff\n", "r.csv:2:1: a byte that is not UTF-8"},
        {"TwoColumns", "id,b,b\n1,2,3\n",
         "r.csv:1:1: two columns are named 'b'; expected names to differ"},
        {"ColumnIsAParam", "id,model\n1,2\n",
         "b.yaml:4:16: column 'model' (r.csv:2) is one of params already"},
        {"NoSuchColumn", "ID\n1\n",
         "b.yaml:4:29: unknown parameter {{id}} in a task's name (r.csv:2); "
         "expected one of params, or of the row's columns, or index"},
        {"SameNames", "id\n1\n2\n1\n1\n",
         "b.yaml:4:29: task name '1' (r.csv:4) is taken already by r.csv:2; "
         "expected names to differ\n"
         "b.yaml:4:29: task name '1' (r.csv:5) is taken already by r.csv:2;"},
        {"EmptyName", "id,b\n,2\n",
         "b.yaml:4:29: task name '' (r.csv:2); expected 1 to 200 bytes"},
        {"JsonTorn", "{\"id\": 1}\n{\"id\": ",
         "r.jsonl:2:8: no JSON: the text ends too early"},
        {"JsonEmptyLine", "{\"id\": 1}\n\n{\"id\": 2}\n",
         "r.jsonl:2:1: an empty line; expected a row, such as"},
        {"JsonList", "[1]\n", "r.jsonl:1:1: a row is a list; expected a row"},
        {"JsonTwice", "{\"id\": 1, \"id\": 2}\n",
         "r.jsonl:1:11: 'id' is there twice in a row; expected once"},
        {"JsonWithoutAKey", "{\"id\": 1}\n{\"x\": 1}\n",
         "b.yaml:4:33: unknown parameter {{id}} in a task's name (r.jsonl:2)"},
    }),
    [](const auto& c) { return std::string(c.param.name); });

TEST_F(RowsTest, MistakesOfManyRowsAreToldUpToTwenty) {
  std::string rows = "id\n";
  for (int i = 0; i < 100; ++i) rows += "same\n";
  Write("r.csv", rows);
  EXPECT_THAT(Load("{csv: r.csv, name: '{{id}}'}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("task name 'same' (" + folder_.path() +
                                 "/r.csv:22) is taken already by " +
                                 folder_.path() + "/r.csv:2;")));
}

}  // namespace
}  // namespace midwatch::cli
