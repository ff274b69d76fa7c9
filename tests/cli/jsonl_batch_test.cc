// Batches in JSONL: the batch in the first line, then a task a line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/sha256.h"
#include "cli/batch_file.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace midwatch::cli {
namespace {

namespace fs = std::filesystem;
using ::midwatch::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;

// One line; asks nothing of the tasks.
constexpr char kHead[] =
    R"({"batch": {"name": "n", "defaults": {"agent": "a", "prompt": "p"}}})"
    "\n";
// Asks for {{p}}.
constexpr char kAskingHead[] =
    R"({"batch": {"name": "n", "params": {"model": "m"}, "defaults": )"
    R"({"agent": "a", "prompt": "{{ p }}{{p}}", "expect": {"files": )"
    R"(["{{p}}.txt"]}, "labels": {"l": "x"}}}})"
    "\n";

class JsonlBatchTest : public ::testing::Test {
 protected:
  JsonlBatchTest() { Write("in.txt", "input"); }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  absl::StatusOr<BatchFile> Load(
      const std::string& text,
      const std::map<std::string, std::string>& params = {}) {
    Write("b.jsonl", text);
    return LoadBatchFile(folder_ / "b.jsonl", params);
  }
  static std::vector<std::string> Names(const BatchFile& batch, int64_t first,
                                        size_t max, size_t bytes_max = 1000) {
    absl::StatusOr<std::vector<v1::TaskLine>> tasks =
        batch.stream->Read(first, max, bytes_max);
    EXPECT_OK(tasks);
    std::vector<std::string> names;
    if (!tasks.ok()) return names;
    for (const v1::TaskLine& task : *tasks) names.push_back(task.name());
    return names;
  }

  testing::TempDir folder_;
};

TEST_F(JsonlBatchTest, ReadsEveryPart) {
  absl::StatusOr<BatchFile> batch = Load(
      absl::StrCat(R"({"batch": {"name": "n {{model}}", "queue": "q", )"
                   R"("params": {"model": "m"}, "budget": 5, "defaults": )"
                   R"({"agent": "a", "prompt": "{{text}} with {{model}}", )"
                   R"("max_cost": "$0.50"}}})"
                   "\n",
                   R"({"name": "one", "parameters": {"text": "a {{model}}", )"
                   R"("n": 1.50, "on": true}, "labels": {"team": "x"}, )"
                   R"("inputs": [{"path": "in.txt", "mount": "d/in.txt"}]})"
                   "\n",
                   R"({"name": 2, "parameters": {"text": "\ud83d\ude00"}})"),
      {{"model", "other"}});
  ASSERT_OK(batch);
  EXPECT_EQ(batch->open.name(), "n other");
  EXPECT_EQ(batch->open.queue(), "q");
  EXPECT_EQ(batch->open.budget_usd_micros(), 5'000'000);
  EXPECT_EQ(batch->open.spec().prompt(), "{{text}} with other");
  EXPECT_EQ(batch->open.spec().max_cost_usd_micros(), 500'000);
  EXPECT_TRUE(batch->lines.empty());
  EXPECT_EQ(batch->tasks(), 2);
  EXPECT_EQ(batch->input_bytes, 5);
  EXPECT_THAT(batch->input_paths,
              ElementsAre(Pair(Sha256Hex("input"), folder_ / "in.txt")));
  auto tasks = batch->stream->Read(0, 10, 1000);
  ASSERT_OK(tasks);
  ASSERT_EQ(tasks->size(), 2u);
  const v1::TaskLine& one = (*tasks)[0];
  EXPECT_EQ(one.name(), "one");
  // What is in a line is data.
  EXPECT_EQ(one.parameters().at("text"), "a {{model}}");
  EXPECT_EQ(one.parameters().at("n"), "1.50");
  EXPECT_EQ(one.parameters().at("on"), "true");
  EXPECT_EQ(one.labels().at("team"), "x");
  ASSERT_EQ(one.inputs_size(), 1);
  EXPECT_EQ(one.inputs(0).mount(), "d/in.txt");
  EXPECT_EQ(one.inputs(0).sha256(), Sha256Hex("input"));
  EXPECT_EQ((*tasks)[1].name(), "2");
  EXPECT_EQ((*tasks)[1].parameters().at("text"), "\U0001F600");
}

TEST_F(JsonlBatchTest, TasksAreReadInPiecesFromAnywhere) {
  std::string text = kHead;
  for (int i = 0; i < 10; ++i) absl::StrAppend(&text, "{\"name\":", i, "}\n");
  absl::StatusOr<BatchFile> batch = Load(text);
  ASSERT_OK(batch);
  EXPECT_EQ(batch->tasks(), 10);
  EXPECT_THAT(Names(*batch, 0, 3), ElementsAre("0", "1", "2"));
  EXPECT_THAT(Names(*batch, 3, 2), ElementsAre("3", "4"));
  EXPECT_THAT(Names(*batch, 8, 5), ElementsAre("8", "9"));
  EXPECT_THAT(Names(*batch, 4, 2), ElementsAre("4", "5"));
  EXPECT_THAT(Names(*batch, 0, 1), ElementsAre("0"));
  // Whatever their size, one at least; a name is three bytes of a proto.
  EXPECT_THAT(Names(*batch, 5, 9, 0), ElementsAre("5"));
  EXPECT_THAT(Names(*batch, 5, 9, 4), ElementsAre("5", "6"));
}

TEST_F(JsonlBatchTest, EqualContentHasEqualHashesWhateverTheFormat) {
  auto hash = [&](const std::string& text) {
    absl::StatusOr<BatchFile> batch = Load(text);
    EXPECT_OK(batch);
    return batch.ok() ? batch->open.content_sha256() : "";
  };
  const std::string a = "{\"name\":\"a\"}", b = "{\"name\":\"b\"}";
  const std::string first = hash(absl::StrCat(kHead, a, "\n", b, "\n"));
  EXPECT_EQ(first.size(), 64u);
  EXPECT_EQ(hash(absl::StrCat(kHead, a, "\r\n", b)), first);
  EXPECT_EQ(hash(absl::StrCat("\xEF\xBB\xBF", kHead, " ", a, "\n", b)), first);
  EXPECT_NE(hash(absl::StrCat(kHead, b, "\n", a, "\n")), first);
  EXPECT_NE(hash(absl::StrCat(kHead, a, "\n")), first);
  Write("b.yaml",
        "name: n\ndefaults: {agent: a, prompt: p}\n"
        "tasks: [{name: a}, {name: b}]\n");
  absl::StatusOr<BatchFile> yaml = LoadBatchFile(folder_ / "b.yaml", {});
  ASSERT_OK(yaml);
  EXPECT_EQ(yaml->open.content_sha256(), first);
}

TEST_F(JsonlBatchTest, ATaskThatChangedIsNotSubmitted) {
  const std::string text = absl::StrCat(kHead, "{\"name\":\"a\"}\n");
  absl::StatusOr<BatchFile> batch = Load(text);
  ASSERT_OK(batch);
  Write("b.jsonl", text + "{\"name\":\"b\"}\n");
  EXPECT_THAT(batch->stream->Read(0, 10, 1000),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("was changed")));
}

TEST_F(JsonlBatchTest, NamesThatAreDoubledAreToldAtTheirSecondPlace) {
  std::string text = kHead;
  for (int i = 0; i < 1000; ++i) {
    absl::StrAppend(&text, "{\"name\":\"", i % 998, "\"}\n");
  }
  EXPECT_THAT(
      Load(text),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("b.jsonl:1000:1: task name '0' is taken already "
                               "by line 2; expected names to differ"),
                     HasSubstr("b.jsonl:1001:1: task name '1' is taken "
                               "already by line 3"))));
}

TEST_F(JsonlBatchTest, TasksNeedThoseOnEarlierLines) {
  const std::string id = "01M8JHBVEPT5PG000000000001";
  absl::StatusOr<BatchFile> batch = Load(absl::StrCat(
      kHead,
      "{\"name\":\"a\"}\n{\"name\":\"b\",\"inputs\":[{\"from\":\"a\","
      "\"path\":\"r.md\",\"mount\":\"in/r.md\"}],\"needs\":[\"a\",{\"task\":"
      "\"",
      id, "\"}],\"on_need_failure\":\"run_anyway\"}\n",
      "{\"name\":\"c\",\"needs\":\"all\",\"inputs\":[{\"from\":\"all\",",
      "\"mount\":\"in\"}]}\n{\"name\":\"d\",\"needs\":{\"task\":\"", id,
      "\"}}\n"));
  ASSERT_OK(batch);
  absl::StatusOr<std::vector<v1::TaskLine>> tasks =
      batch->stream->Read(0, 10, 1000);
  ASSERT_OK(tasks);
  ASSERT_EQ(tasks->size(), 4u);
  const v1::TaskLine &b = (*tasks)[1], &c = (*tasks)[2], &d = (*tasks)[3];
  ASSERT_EQ(d.needs_size(), 1);
  EXPECT_EQ(d.needs(0).task_id(), id);
  ASSERT_EQ(b.needs_size(), 2);
  EXPECT_EQ(b.needs(0).name(), "a");
  EXPECT_EQ(b.needs(1).task_id(), id);
  EXPECT_EQ(b.on_need_failure(), v1::NEED_POLICY_RUN_ANYWAY);
  EXPECT_EQ(b.inputs(0).from(), "a");
  EXPECT_EQ(b.inputs(0).path(), "r.md");
  EXPECT_EQ(b.inputs(0).mount(), "in/r.md");
  ASSERT_EQ(c.needs_size(), 1);
  EXPECT_TRUE(c.needs(0).all_earlier());
  EXPECT_EQ(c.inputs(0).from(), "all");
}

TEST_F(JsonlBatchTest, TasksHaveTheirOwnInPlaceOfDefaults) {
  absl::StatusOr<BatchFile> batch = Load(absl::StrCat(
      R"({"batch": {"name": "n", "params": {"model": "m"}, "defaults": )",
      R"({"agent": "a", "prompt": "{{text}}", "max_cost": "$0.50"}}})", "\n",
      R"({"name": "a", "parameters": {"text": "x"}, "priority": 9, )",
      R"("max_cost": "$4"})", "\n",
      R"({"name": "b", "needs": "all", "priority": 0, )",
      R"("prompt": "{{model}}: {{tasks.all.messages}}", )",
      R"("expect": {"files": ["{{model}}.md"], "check": "compiles"}, )",
      R"("retry": {"max_failures": 1, "classes": {"task": {}}}, )",
      R"("timeouts": {"total": "8h"}})", "\n"));
  ASSERT_OK(batch);
  auto tasks = batch->stream->Read(0, 10, 1000);
  ASSERT_OK(tasks);
  ASSERT_EQ(tasks->size(), 2u);
  const v1::TaskLine &a = (*tasks)[0], &b = (*tasks)[1];
  EXPECT_EQ(a.priority(), 9);
  EXPECT_EQ(a.max_cost_usd_micros(), 4'000'000);
  EXPECT_EQ(a.prompt(), "");
  EXPECT_FALSE(a.has_retry() || a.has_timeouts() || a.has_expect());
  EXPECT_TRUE(b.has_priority());
  EXPECT_EQ(b.priority(), 0);
  // What is read as in defaults has its params filled in.
  EXPECT_EQ(b.prompt(), "m: {{tasks.all.messages}}");
  EXPECT_THAT(b.expect().files(), ElementsAre("m.md"));
  EXPECT_EQ(b.retry().max_failures(), 1);
  EXPECT_EQ(b.retry().classes_size(), 1);
  EXPECT_EQ(b.timeouts().total().seconds(), 8 * 3600);
  EXPECT_EQ(batch->least_usd_micros, 500'000);
  EXPECT_EQ(batch->most_usd_micros, 4'000'000);
  EXPECT_EQ(batch->all_usd_micros, 4'500'000);
  EXPECT_THAT(batch->own_checks, ElementsAre(Pair("compiles", "b")));
}

TEST_F(JsonlBatchTest, AnOwnMaxCostIsLessThanWhatItIsRaisedTo) {
  EXPECT_THAT(
      Load(absl::StrCat(
          R"({"batch":{"name":"n","defaults":{"agent":"a","prompt":"p",)",
          R"("max_cost":1,"on_budget":"raise","raise_to":2}}})", "\n",
          R"({"name":"a","max_cost":2})", "\n")),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("b.jsonl:2:24: max_cost of task 'a' is $2.00; "
                         "expected less than raise_to of defaults ($2.00)")));
}

TEST_F(JsonlBatchTest, ManyMistakesAreShownTogetherUpToTwenty) {
  std::string text = kHead;
  for (int i = 0; i < 30; ++i) absl::StrAppend(&text, "{\"nam\":1}\n");
  absl::StatusOr<BatchFile> batch = Load(text);
  EXPECT_THAT(batch, StatusIs(absl::StatusCode::kInvalidArgument,
                              AllOf(HasSubstr("b.jsonl:21:2: unknown key"),
                                    Not(HasSubstr("b.jsonl:22:")),
                                    HasSubstr("and 10 more"))));
}

TEST_F(JsonlBatchTest, APromptIsMeasuredFilledIn) {
  EXPECT_THAT(
      Load(absl::StrCat(kAskingHead, "{\"name\":\"a\",\"parameters\":{\"p\":\"",
                        std::string(7'000'000, 'x'), "\"}}\n")),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("b.jsonl:2:1: the prompt has 14000000 bytes with the "
                         "task's parameters; expected at most 12582912")));
}

TEST_F(JsonlBatchTest, ATextOfAllIsMeasured) {
  EXPECT_THAT(
      Load(absl::StrCat(
          R"({"batch":{"name":"n","defaults":{"agent":"a","prompt":"p",)",
          R"("concurrency_key":")", std::string(201, 'k'), "\"}}}\n",
          "{\"name\":\"a\"}\n")),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("b.jsonl:1:"),
                     HasSubstr("concurrency_key has 201 bytes; expected at "
                               "most 200"))));
}

struct JsonlMistake {
  const char* name;
  // %H is kHead and %A is kAskingHead, a line each.
  std::string text;
  const char* message;
};

class JsonlMistakeTest : public JsonlBatchTest,
                         public ::testing::WithParamInterface<JsonlMistake> {};

TEST_P(JsonlMistakeTest, IsRefusedAtItsPlace) {
  absl::StatusOr<BatchFile> batch = Load(absl::StrReplaceAll(
      GetParam().text, {{"%H", kHead}, {"%A", kAskingHead}}));
  ASSERT_THAT(batch, StatusIs(absl::StatusCode::kInvalidArgument));
  const std::string message = absl::StrReplaceAll(
      batch.status().message(), {{absl::StrCat(folder_.path(), "/"), ""}});
  EXPECT_THAT(message, StartsWith(GetParam().message));
}

const JsonlMistake kJsonlMistakes[] = {
    {"Empty", "",
     "b.jsonl:1:1: an empty line; expected the batch in the first"},
    {"NoBatch", "{\"name\":\"a\"}\n",
     "b.jsonl:1:1: no batch; expected the batch in the first line"},
    {"List", "[]\n", "b.jsonl:1:1: no batch; expected the batch"},
    {"YamlHead", "{batch: {name: n}}\n",
     "b.jsonl:1:2: no JSON: expected a key in double quotes; expected"},
    {"MoreThanABatch", "{\"batch\":{},\"x\":1}\n",
     "b.jsonl:1:13: unknown key 'x' in the first line; expected one of batch"},
    {"HeadKey", "{\"batch\":{\"nam\":1}}\n",
     "b.jsonl:1:11: unknown key 'nam' in the batch; expected one of name"},
    {"HeadWithTasks", "{\"batch\":{\"name\":\"n\",\"tasks\":[]}}\n",
     "b.jsonl:1:22: unknown key 'tasks' in the batch"},
    {"HeadNumber",
     R"({"batch":{"name":"n","max_running":1e999,"defaults":)"
     R"({"agent":"a","prompt":"p"}}})"
     "\n{\"name\":\"a\"}\n",
     "b.jsonl:1:36: max_running is '1e999'; expected a whole number"},
    {"NoTasks", "%H", "b.jsonl:1:1: the batch has 0 tasks; expected in each"},
    {"EmptyLine", "%H{\"name\":\"a\"}\n\n{\"name\":\"b\"}\n",
     "b.jsonl:3:1: an empty line; expected a task, such as"},
    {"EmptyLineAtTheEnd", "%H{\"name\":\"a\"}\r\n\r\n",
     "b.jsonl:3:1: an empty line; expected a task, such as"},
    {"Torn", "%H{\"name\":\"a\"}\n{\"name\":\"b",
     "b.jsonl:3:11: no JSON: the text ends too early: a string without its end;"
     " expected '\"' (the file ends within this line: was it cut short?)"},
    {"TornInTheMiddle", "%H{\"name\":\"a\n{\"name\":\"b\"}\n",
     "b.jsonl:2:11: no JSON: the text ends too early: a string without its end;"
     " expected '\"'; expected a task"},
    {"TwoInALine", "%H{\"name\":\"a\"} {\"name\":\"b\"}\n",
     "b.jsonl:2:14: no JSON: text behind the value"},
    {"InvalidUtf8", "%H{\"name\":\"a\xff\"}\n",
     "b.jsonl:2:11: byte 0xff is not UTF-8; expected a file in UTF-8"},
    {"LateByteOrderMark", "%H\xEF\xBB\xBF{\"name\":\"a\"}\n",
     "b.jsonl:2:1: no JSON: no value of JSON"},
    {"UnknownKey", "%H{\"name\":\"a\",\"custom_id\":\"x\"}\n",
     "b.jsonl:2:13: unknown key 'custom_id' in a task; expected one of name, "
     "parameters, inputs, labels, needs, on_need_failure, delay, "
     "start_after, expires_after, priority, max_cost, retry, timeouts, prompt, "
     "expect"},
    {"Priority", "%H{\"name\":\"a\",\"priority\":10}\n",
     "b.jsonl:2:24: priority is '10'; expected a whole number from 0 to 9"},
    {"MaxCost", "%H{\"name\":\"a\",\"max_cost\":\"much\"}\n",
     "b.jsonl:2:24: max_cost is 'much'; expected dollars"},
    {"MaxCostIsAMap", "%H{\"name\":\"a\",\"max_cost\":{}}\n",
     "b.jsonl:2:24: max_cost is a map; expected text"},
    {"Retry", "%H{\"name\":\"a\",\"retry\":{\"max_failures\":0}}\n",
     "b.jsonl:2:37: max_failures is '0'; expected a whole number from 1 to "
     "100"},
    {"RetryKey", "%H{\"name\":\"a\",\"retry\":{\"failures\":0}}\n",
     "b.jsonl:2:22: unknown key 'failures' in retry; expected one of"},
    {"Timeout", "%H{\"name\":\"a\",\"timeouts\":{\"total\":\"soon\"}}\n",
     "b.jsonl:2:33: total is 'soon'; expected a time"},
    {"NoPromptOfAny",
     "{\"batch\":{\"name\":\"n\",\"defaults\":{\"agent\":\"a\"}}}\n"
     "{\"name\":\"a\",\"prompt\":\"p\"}\n{\"name\":\"b\"}\n",
     "b.jsonl:3:1: 'prompt' is missing in the task, and in defaults"},
    {"OwnPromptIsEmpty", "%H{\"name\":\"a\",\"prompt\":\"\"}\n",
     "b.jsonl:2:22: the prompt is empty; expected text"},
    {"OwnPromptAsks", "%H{\"name\":\"a\",\"prompt\":\"{{q}}\"}\n",
     "b.jsonl:2:1: no parameter {{q}}, which the prompt asks for; expected it"},
    {"OwnPromptOfNoNeed",
     "%H{\"name\":\"a\",\"prompt\":\"{{tasks.b.message}}\"}\n",
     "b.jsonl:2:1: no parameter {{tasks.b.message}}, which the prompt asks "
     "for; expected {{tasks.NAME.message}} of what the task needs"},
    {"OwnExpect", "%H{\"name\":\"a\",\"expect\":{\"files\":[\"/x\"]}}\n",
     "b.jsonl:2:32: expected file '/x'; expected a relative path"},
    {"OwnExpectFilledIn",
     "%H{\"name\":\"a\",\"parameters\":{\"p\":\"..\"},\"expect\":{\"files\":"
     "[\"{{p}}/x\"]}}\n",
     "b.jsonl:2:1: the expected file is '../x' with the task's parameters"},
    {"DoubledKey", "%H{\"name\":\"a\",\"name\":\"b\"}\n",
     "b.jsonl:2:13: 'name' is there twice in a task; expected once"},
    {"NotAMap", "%H[\"a\"]\n", "b.jsonl:2:1: a task is a list; expected a map"},
    {"NoName", "%H {\"parameters\":{}}\n",
     "b.jsonl:2:2: 'name' is missing in a task"},
    {"NameIsNull", "%H{\"name\":null}\n",
     "b.jsonl:2:9: name is null; expected text, a number, true or false"},
    {"NameIsEmpty", "%H{\"name\":\"\"}\n",
     "b.jsonl:2:9: task name ''; expected 1 to 200 bytes"},
    {"NameWithControl", "%H{\"name\":\"a\\u0000\"}\n",
     "b.jsonl:2:9: task name 'a?'; expected 1 to 200 bytes"},
    {"ParametersIsAList", "%H{\"name\":\"a\",\"parameters\":[1]}\n",
     "b.jsonl:2:26: parameters is a list; expected a map"},
    {"ParameterName", "%H{\"name\":\"a\",\"parameters\":{\"a b\":1}}\n",
     "b.jsonl:2:27: 'a b' cannot be a parameter's name; expected letters"},
    {"ParameterLikeAMessage",
     "%H{\"name\":\"a\",\"parameters\":{\"tasks.b.message\":1}}\n",
     "b.jsonl:2:27: 'tasks.b.message' cannot be a parameter's name"},
    {"ParameterIsAParam", "%A{\"name\":\"a\",\"parameters\":{\"model\":1}}\n",
     "b.jsonl:2:27: 'model' is one of params already"},
    {"ParameterIsAMap", "%H{\"name\":\"a\",\"parameters\":{\"p\":{}}}\n",
     "b.jsonl:2:31: p is a map; expected text, a number, true or false"},
    {"ParameterTwice", "%H{\"name\":\"a\",\"parameters\":{\"p\":1,\"p\":2}}\n",
     "b.jsonl:2:33: 'p' is there twice in parameters; expected once"},
    {"ParameterMissing", "%A{\"name\":\"a\"}\n",
     "b.jsonl:2:1: no parameter {{p}}, which the prompt asks for; expected it "
     "in the task's parameters"},
    {"ExpectedFile", "%A{\"name\":\"a\",\"parameters\":{\"p\":\"../x\"}}\n",
     "b.jsonl:2:1: the expected file is '../x.txt' with the task's "
     "parameters;"},
    {"LabelKey", "%H{\"name\":\"a\",\"labels\":{\"a b\":1}}\n",
     "b.jsonl:2:23: 'a b' cannot be a label's key"},
    {"LabelValue", "%H{\"name\":\"a\",\"labels\":{\"a\":\"\"}}\n",
     "b.jsonl:2:27: label a has 0 bytes; expected 1 to 200"},
    {"LabelsTogether",
     "%A{\"name\":\"a\",\"parameters\":{\"p\":1},\"labels\":{\"a\":1,\"b\":1,"
     "\"c\":1,\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,"
     "\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"q\":1}}\n",
     "b.jsonl:2:43: with those of defaults there are 17 labels; expected at "
     "most 16"},
    {"InputsIsAMap", "%H{\"name\":\"a\",\"inputs\":{}}\n",
     "b.jsonl:2:22: inputs is a map; expected a list"},
    {"InputKey", "%H{\"name\":\"a\",\"inputs\":[{\"file\":1}]}\n",
     "b.jsonl:2:24: unknown key 'file' in an input; expected one of path, "
     "mount, from"},
    {"InputWithoutMount",
     "%H{\"name\":\"a\",\"inputs\":[{\"path\":\"in.txt\"}]}\n",
     "b.jsonl:2:23: 'mount' is missing in an input"},
    {"InputIsGone",
     "%H{\"name\":\"a\",\"inputs\":[{\"path\":\"gone\",\"mount\":\"m\"}]}\n",
     "b.jsonl:2:31: cannot read gone (No such file or directory); expected"},
    {"MountOutside",
     "%H{\"name\":\"a\",\"inputs\":[{\"path\":\"in.txt\",\"mount\":\"/m\"}]}\n",
     "b.jsonl:2:48: mount '/m'; expected a relative path under"},
    {"LongMount",
     "%H{\"name\":\"a\",\"inputs\":[{\"path\":\"in.txt\",\"mount\":\"" +
         std::string(1001, 'm') + "\"}]}\n",
     "b.jsonl:2:48: mount 'mmm"},
    {"MountTwice",
     "%H{\"name\":\"a\",\"inputs\":[{\"path\":\"in.txt\",\"mount\":\"m\"},"
     "{\"path\":\"in.txt\",\"mount\":\"m\"}]}\n",
     "b.jsonl:2:78: mount 'm' is there twice; expected once"},
    {"NeedsNull", "%H{\"name\":\"a\",\"needs\":null}\n",
     "b.jsonl:2:21: needs is null; expected the name of a task, {\"task\": "
     "ID}, a list, or \"all\""},
    {"NeedMapKey", "%H{\"name\":\"a\",\"needs\":{\"id\":\"x\"}}\n",
     "b.jsonl:2:22: unknown key 'id' in a need; expected task"},
    {"NeedKey", "%H{\"name\":\"a\",\"needs\":[{\"id\":\"x\"}]}\n",
     "b.jsonl:2:23: unknown key 'id' in a need; expected task"},
    {"NeedIsNoId", "%H{\"name\":\"a\",\"needs\":[{\"task\":\"x\"}]}\n",
     "b.jsonl:2:22: a need is task 'x'; expected the id of a task, of 26"},
    {"NeedTwice",
     "%H{\"name\":\"a\"}\n{\"name\":\"b\",\"needs\":[\"a\",\"a\"]}\n",
     "b.jsonl:3:26: 'a' is needed twice; expected once"},
    {"NeedIsNoTask", "%H{\"name\":\"a\"}\n{\"name\":\"b\",\"needs\":\"c\"}\n",
     "b.jsonl:3:1: task 'b' needs 'c', which is on no earlier line; expected "
     "the name of a task before it, or {\"task\": ID}"},
    {"NeedComesLater", "%H{\"name\":\"a\",\"needs\":\"b\"}\n{\"name\":\"b\"}\n",
     "b.jsonl:2:1: task 'a' needs 'b', which is on no earlier line"},
    {"NeedsItself", "%H{\"name\":\"a\",\"needs\":\"a\"}\n",
     "b.jsonl:2:1: task 'a' needs 'a', which is on no earlier line"},
    {"PolicyWord",
     "%H{\"name\":\"a\",\"needs\":\"all\",\"on_need_failure\":\"stop\"}\n",
     "b.jsonl:2:45: on_need_failure is 'stop'; expected skip, run_anyway or "
     "fail_batch"},
    {"PolicyWithoutNeeds", "%H{\"name\":\"a\",\"on_need_failure\":\"skip\"}\n",
     "b.jsonl:2:1: on_need_failure without needs; expected needs"},
    {"InputFromAnother",
     "%H{\"name\":\"a\"}\n{\"name\":\"b\",\"inputs\":[{\"from\":\"a\","
     "\"mount\":"
     "\"m\"}]}\n",
     "b.jsonl:3:1: input from 'a', which the task does not need; expected one "
     "of its needs"},
    {"InputFromOutside",
     "%H{\"name\":\"a\"}\n{\"name\":\"b\",\"needs\":\"a\",\"inputs\":[{"
     "\"from\":"
     "\"a\",\"path\":\"../x\",\"mount\":\"m\"}]}\n",
     "b.jsonl:3:54: path '../x'; expected a relative path under "
     "/mnt/session/outputs/"},
    {"LongLine", "%H" + std::string((16 << 20) + 2, ' ') + "\n",
     "b.jsonl:2:1: the line has more than 16777216 bytes; expected at most"},
};

INSTANTIATE_TEST_SUITE_P(Table, JsonlMistakeTest,
                         ::testing::ValuesIn(kJsonlMistakes),
                         [](const auto& c) {
                           return std::string(c.param.name);
                         });

}  // namespace
}  // namespace midwatch::cli
