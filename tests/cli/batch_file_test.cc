#include "cli/batch_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/sha256.h"
#include "tests/testing/status_matchers.h"

namespace midwatch::cli {
namespace {

namespace fs = std::filesystem;
using ::midwatch::testing::IsOk;
using ::midwatch::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::StartsWith;

constexpr char kDefaults[] =
    "defaults:\n"
    "  agent: {name: a, model: runbook}\n"
    "  prompt: hello\n";

std::map<std::string, std::string> Sorted(
    const google::protobuf::Map<std::string, std::string>& map) {
  return {map.begin(), map.end()};
}

class BatchFileTest : public ::testing::Test {
 protected:
  BatchFileTest() {
    std::string form = (fs::temp_directory_path() / "midwatch-XXXXXX").string();
    folder_ = mkdtemp(form.data());
    Write("in.txt", "input");
    Write("docs/b/copyright", "bbb");
    Write("docs/a/copyright", "aaa");
    Write("docs/c/copyright", "ccc");
    fs::create_symlink("nothing", folder_ / "dangling");
  }
  ~BatchFileTest() override { fs::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }

  absl::StatusOr<BatchFile> Load(
      const std::string& text, const std::map<std::string, std::string>& params,
      const std::string& name = "batch.yaml") {
    Write(name, text);
    return LoadBatchFile((folder_ / name).string(), params);
  }
  absl::StatusOr<BatchFile> Load(const std::string& text) {
    return Load(text, {});
  }

  fs::path folder_;
};

TEST_F(BatchFileTest, ReadsHooks) {
  absl::StatusOr<BatchFile> batch = Load(absl::StrCat(
      "name: b\nparams: {host: example.com}\n", kDefaults,
      "on_finish: {url: \"https://{{host}}/x\", secret: nightly}\n"
      "on_failure: {url: \"http://127.0.0.1:9/\"}\n"
      "on_risk: {url: \"https://example.com/r\"}\ntasks: [{name: one}]\n"));
  ASSERT_OK(batch);
  EXPECT_EQ(batch->open.on_finish().url(), "https://example.com/x");
  EXPECT_EQ(batch->open.on_finish().secret(), "nightly");
  EXPECT_EQ(batch->open.on_failure().url(), "http://127.0.0.1:9/");
  EXPECT_EQ(batch->open.on_risk().url(), "https://example.com/r");
  EXPECT_THAT(
      Load(absl::StrCat("name: b\n", kDefaults,
                        "on_finish: {url: ftp://x}\ntasks: [{name: one}]\n")),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("batch.yaml:5:18: url 'ftp://x': not http(s); "
                         "expected https://")));
}

TEST_F(BatchFileTest, ReadsTheNameOfACheckAndNoCommand) {
  absl::StatusOr<BatchFile> batch = Load(absl::StrCat(
      "name: b\nparams: {lang: c}\n", kDefaults,
      "  expect: {check: \"compiles {{lang}}\"}\ntasks: [{name: one}]\n"));
  ASSERT_OK(batch);
  EXPECT_EQ(batch->open.spec().expect().check(), "compiles c");
  const absl::Status status = Load(absl::StrCat("name: b\n", kDefaults,
                                                "  expect:\n"
                                                "    check: [./compiles.sh]\n"
                                                "    command: [./compiles.sh]\n"
                                                "tasks: [{name: one}]\n"))
                                  .status();
  const std::string said(status.message());
  EXPECT_THAT(said, HasSubstr("batch.yaml:6:12: "));
  EXPECT_THAT(said, HasSubstr("batch.yaml:7:5: "));
}

TEST_F(BatchFileTest, ReadsSchemas) {
  Write("schemas/of data.yaml", "type: array\nitems: {type: string}\n");
  absl::StatusOr<BatchFile> batch = Load(absl::StrCat(
      "name: b\n", kDefaults,
      "  expect:\n"
      "    files: [a.json]\n"
      "    json_schema:\n"
      "      a.json: {type: object, properties: {n: {maximum: 3}}}\n"
      "      b.json: schemas/of data.yaml\n"
      "    message_schema: {const: \"{{x}}\"}\n"
      "tasks: [{name: one}]\n"));
  ASSERT_OK(batch);
  const v1::Expectation& expect = batch->open.spec().expect();
  EXPECT_THAT(expect.files(), ElementsAre("a.json", "b.json"));
  ASSERT_EQ(expect.json_size(), 3);
  EXPECT_EQ(expect.json(0).path(), "a.json");
  EXPECT_EQ(expect.json(0).schema(),
            R"({"type":"object","properties":{"n":{"maximum":3}}})");
  EXPECT_EQ(expect.json(1).path(), "b.json");
  EXPECT_EQ(expect.json(1).schema(),
            R"({"type":"array","items":{"type":"string"}})");
  EXPECT_EQ(expect.json(2).path(), "");
  EXPECT_EQ(expect.json(2).schema(), R"({"const":"{{x}}"})");
}

TEST_F(BatchFileTest, BadSchemasAreRefusedWithTheirPlaces) {
  Write("broken.yaml", "type: [\n");
  const absl::Status status =
      Load(absl::StrCat("name: b\n", kDefaults,
                        "  expect:\n"
                        "    json_schema:\n"
                        "      a.json: {items: {tpye: object}}\n"
                        "      b.json: missing.json\n"
                        "      c.json: broken.yaml\n"
                        "      /d.json: {}\n"
                        "tasks: [{name: one}]\n"))
          .status();
  const std::string said(status.message());
  EXPECT_THAT(said, HasSubstr("batch.yaml:7:15: this is no schema to check by: "
                              "at /items/tpye: unknown keyword"));
  EXPECT_THAT(said, HasSubstr("batch.yaml:8:15: "));
  EXPECT_THAT(said, HasSubstr("broken.yaml:"));
  EXPECT_THAT(said, HasSubstr("batch.yaml:10:7: expected file '/d.json'"));
}

TEST_F(BatchFileTest, ReadsEveryPart) {
  absl::StatusOr<BatchFile> batch = Load(R"(
name: "nightly {{model}}"
params: {model: runbook, cost: $0.50, tries: 2}
queue: q
tenant: t
account: other
max_running: 4
canary: {tasks: "{{tries}}", min_success: 0.8, max_cost: "{{cost}}"}
stop_when: {failed: 20, failed_ratio: 0.3, after: 50}
defaults:
  agent: {name: a, model: "{{model}}", system: "say {{this}}", tools: [{type: x, n: 3, on: true, text: "3"}]}
  environment: {name: e, config: {type: cloud}}
  prompt: |
    Look at {{package}} with {{model}}.
  max_cost: "{{cost}}"
  retry:
    max_failures: "{{tries}}"
    max_starts: 5
    retry_refusals: true
    classes: {task: {max_failures: "{{tries}}"}, service: {backoff: 30s, backoff_max: 2h}}
  timeouts: {start: 90s, idle: 1h30m, total: 1500ms}
  expect: {files: ["{{package}}.json"]}
  priority: 0
  concurrency_key: key-{{package}}
tasks:
  - name: one
    parameters: {package: bash}
    inputs: [{path: in.txt, mount: data/in.txt}]
)");
  ASSERT_OK(batch);
  const v1::OpenBatch& open = batch->open;
  EXPECT_EQ(open.name(), "nightly runbook");
  EXPECT_EQ(open.queue(), "q");
  EXPECT_EQ(open.tenant(), "t");
  EXPECT_EQ(open.account(), "other");
  EXPECT_EQ(open.max_running(), 4);
  EXPECT_EQ(open.canary().tasks(), 2);
  EXPECT_EQ(open.canary().min_success(), 0.8);
  EXPECT_EQ(open.canary().max_cost_usd_micros(), 500'000);
  EXPECT_EQ(open.stop_when().failed(), 20);
  EXPECT_EQ(open.stop_when().failed_ratio(), 0.3);
  EXPECT_EQ(open.stop_when().after(), 50);
  const v1::TaskSpec& spec = open.spec();
  EXPECT_EQ(spec.agent().definition_json(),
            R"({"name":"a","model":"runbook","system":"say {{this}}",)"
            R"("tools":[{"type":"x","n":3,"on":true,"text":"3"}]})");
  EXPECT_EQ(spec.environment().definition_json(),
            R"({"name":"e","config":{"type":"cloud"}})");
  EXPECT_EQ(spec.prompt(), "Look at {{package}} with runbook.\n");
  EXPECT_EQ(spec.max_cost_usd_micros(), 500'000);
  EXPECT_EQ(spec.retry().max_failures(), 2);
  EXPECT_EQ(spec.retry().max_starts(), 5);
  EXPECT_TRUE(spec.retry().retry_refusals());
  ASSERT_EQ(spec.retry().classes_size(), 2);
  const v1::ClassRetry& service = spec.retry().classes(0);
  EXPECT_EQ(service.failure_class(), v1::FAILURE_CLASS_SERVICE);
  EXPECT_EQ(service.max_failures(), 0);
  EXPECT_EQ(service.backoff().seconds(), 30);
  EXPECT_EQ(service.backoff_max().seconds(), 7200);
  EXPECT_EQ(spec.retry().classes(1).failure_class(), v1::FAILURE_CLASS_TASK);
  EXPECT_EQ(spec.retry().classes(1).max_failures(), 2);
  EXPECT_FALSE(spec.retry().classes(1).has_backoff());
  EXPECT_EQ(spec.timeouts().start().seconds(), 90);
  EXPECT_EQ(spec.timeouts().idle().seconds(), 5400);
  EXPECT_EQ(spec.timeouts().total().seconds(), 1);
  EXPECT_EQ(spec.timeouts().total().nanos(), 500'000'000);
  EXPECT_THAT(spec.expect().files(), ElementsAre("{{package}}.json"));
  EXPECT_TRUE(spec.has_priority());
  EXPECT_EQ(spec.priority(), 0);
  EXPECT_EQ(spec.concurrency_key(), "key-{{package}}");
  ASSERT_EQ(batch->lines.size(), 1u);
  const v1::TaskLine& line = batch->lines[0];
  EXPECT_EQ(line.name(), "one");
  EXPECT_EQ(line.parameters().at("package"), "bash");
  ASSERT_EQ(line.inputs_size(), 1);
  EXPECT_EQ(line.inputs(0).mount(), "data/in.txt");
  EXPECT_EQ(line.inputs(0).sha256(), Sha256Hex("input"));
  EXPECT_EQ(line.inputs(0).size_bytes(), 5);
  EXPECT_THAT(
      batch->input_paths,
      ElementsAre(Pair(Sha256Hex("input"), (folder_ / "in.txt").string())));
}

TEST_F(BatchFileTest, TasksMayHaveTheirOwnStarts) {
  auto batch = Load(
      "name: n\n"
      "params: {wait: 90m}\n"
      "defaults:\n"
      "  agent: a\n"
      "  prompt: p\n"
      "  delay: '{{wait}}'\n"
      "  expires_after: 24h\n"
      "  unique: {key: 'of {{doc}}', for: 1h30m}\n"
      "tasks:\n"
      "- {name: x, parameters: {doc: d}}\n"
      "- {name: y, parameters: {doc: e}, delay: '0', expires_after: 1.5s}\n"
      "- {name: z, parameters: {doc: f}, start_after: 2026-12-01T06:00:00Z}\n",
      {});
  ASSERT_OK(batch);
  const v1::TaskSpec& spec = batch->open.spec();
  EXPECT_EQ(spec.delay().seconds(), 5400);
  EXPECT_EQ(spec.expires_after().seconds(), 86'400);
  EXPECT_EQ(spec.unique().key(), "of {{doc}}");
  EXPECT_EQ(spec.unique().held_for().seconds(), 5400);
  EXPECT_FALSE(batch->lines[0].has_delay());
  EXPECT_TRUE(batch->lines[1].has_delay());
  EXPECT_EQ(batch->lines[1].delay().seconds(), 0);
  EXPECT_EQ(batch->lines[1].expires_after().nanos(), 500'000'000);
  EXPECT_EQ(batch->lines[2].start_after().seconds(), 1'796'104'800);
}

constexpr char kForeach[] =
    "name: n\n"
    "params: {limit: 2}\n"
    "defaults: {agent: agent_1, prompt: 'for {{package}}'}\n"
    "foreach:\n"
    "  glob: docs/*/copyright\n"
    "  limit: '{{limit}}'\n"
    "  name: '{{dirname}}'\n"
    "  parameters: {package: '{{dirname}} {{basename}} {{stem}} {{index}}'}\n"
    "  inputs: [{path: '{{path}}', mount: copyright}]\n";

TEST_F(BatchFileTest, ForeachMakesATaskForEachMatchInOrder) {
  absl::StatusOr<BatchFile> batch = Load(kForeach);
  ASSERT_OK(batch);
  EXPECT_EQ(batch->open.spec().agent().agent_id(), "agent_1");
  ASSERT_EQ(batch->lines.size(), 2u);
  EXPECT_EQ(batch->lines[0].name(), "a");
  EXPECT_EQ(batch->lines[1].name(), "b");
  EXPECT_EQ(batch->lines[1].parameters().at("package"),
            "b copyright copyright 1");
  EXPECT_EQ(batch->lines[1].inputs(0).sha256(), Sha256Hex("bbb"));
}

TEST_F(BatchFileTest, LabelsAreTheSpecsAndEachTasks) {
  absl::StatusOr<BatchFile> batch = Load(R"(
name: n
params: {team: x}
defaults:
  agent: agent_1
  prompt: hello
  labels: {team: "{{team}}", example.com/kind: audit}
foreach:
  glob: docs/*/copyright
  name: "{{dirname}}"
  labels: {letter: "{{dirname}}"}
)");
  ASSERT_THAT(batch, IsOk());
  EXPECT_THAT(
      Sorted(batch->open.spec().labels()),
      ElementsAre(Pair("example.com/kind", "audit"), Pair("team", "x")));
  ASSERT_EQ(batch->lines.size(), 3u);
  EXPECT_THAT(Sorted(batch->lines[1].labels()),
              ElementsAre(Pair("letter", "b")));
}

TEST_F(BatchFileTest, TasksAreBehindWhatTheyNeed) {
  absl::StatusOr<BatchFile> batch = Load(R"(
name: n
params: {last: report}
defaults: {agent: agent_1, prompt: "do {{what}}", expect: {files: ["{{what}}"]}}
tasks:
  - name: "{{last}}"
    needs: all
    on_need_failure: run_anyway
    prompt: "merge {{tasks.all.messages}}"
    expect: {files: [report.md]}
    inputs:
      - {from: all, path: out.txt, mount: in}
  - name: check
    needs: [a, {task: 01M8JB4J8W6CCG000000000001}]
    on_need_failure: fail_batch
    parameters: {what: x}
    prompt: "check {{tasks.a.message}} of {{what}}"
    inputs: [{from: a, mount: a}, {path: in.txt, mount: b}]
foreach:
  glob: docs/*/copyright
  limit: 2
  name: "{{dirname}}"
  parameters: {what: "{{dirname}}"}
)");
  ASSERT_OK(batch);
  ASSERT_EQ(batch->lines.size(), 4u);
  EXPECT_EQ(batch->lines[0].name(), "a");
  EXPECT_EQ(batch->lines[0].needs_size(), 0);
  EXPECT_EQ(batch->lines[0].prompt(), "");
  const v1::TaskLine& check = batch->lines[1];
  EXPECT_EQ(check.name(), "check");
  ASSERT_EQ(check.needs_size(), 2);
  EXPECT_EQ(check.needs(0).name(), "a");
  EXPECT_EQ(check.needs(1).task_id(), "01M8JB4J8W6CCG000000000001");
  EXPECT_EQ(check.on_need_failure(), v1::NEED_POLICY_FAIL_BATCH);
  EXPECT_EQ(check.prompt(), "check {{tasks.a.message}} of {{what}}");
  EXPECT_FALSE(check.has_expect());
  EXPECT_EQ(check.inputs(0).from(), "a");
  EXPECT_EQ(check.inputs(0).path(), "");
  EXPECT_EQ(check.inputs(0).sha256(), "");
  EXPECT_EQ(check.inputs(1).sha256(), Sha256Hex("input"));
  EXPECT_EQ(batch->lines[2].name(), "b");
  const v1::TaskLine& report = batch->lines[3];
  EXPECT_EQ(report.name(), "report");
  EXPECT_TRUE(report.needs(0).all_earlier());
  EXPECT_EQ(report.on_need_failure(), v1::NEED_POLICY_RUN_ANYWAY);
  EXPECT_THAT(report.expect().files(), ElementsAre("report.md"));
  EXPECT_EQ(report.inputs(0).from(), "all");
  EXPECT_EQ(report.inputs(0).path(), "out.txt");
}

// They are made by who fills a text in last: the scheduler in a prompt.
TEST_F(BatchFileTest, BracesCanBeText) {
  absl::StatusOr<BatchFile> batch = Load(R"(
name: 'n{{"{{"}}p}}'
params: {p: "{{x}}"}
defaults:
  agent: {name: a, model: m, system: 'a {{"{{"}}p}} template'}
  prompt: '{{"{{"}} .Values.{{what}} }} {{p}}'
  concurrency_key: 'k{{"{{"}}p}}'
tasks:
  - {name: 'a{{"{{"}}p}}', parameters: {what: '{{"{{"}}p}}'}}
)");
  ASSERT_OK(batch);
  EXPECT_EQ(batch->open.name(), "n{{p}}");
  EXPECT_THAT(batch->open.spec().agent().definition_json(),
              HasSubstr("a {{p}} template"));
  EXPECT_EQ(batch->open.spec().prompt(),
            "{{\"{{\"}} .Values.{{what}} }} {{\"{{\"}}x}}");
  EXPECT_EQ(batch->open.spec().concurrency_key(), "k{{\"{{\"}}p}}");
  EXPECT_EQ(batch->lines[0].name(), "a{{p}}");
  EXPECT_EQ(batch->lines[0].parameters().at("what"), "{{p}}");
}

TEST_F(BatchFileTest, EachTaskMayHaveItsOwnPrompt) {
  absl::StatusOr<BatchFile> batch = Load(R"(
name: n
defaults: {agent: agent_1}
tasks:
  - {name: a, prompt: "one"}
  - {name: b, prompt: "of {{c}}", parameters: {c: d}}
)");
  ASSERT_OK(batch);
  EXPECT_EQ(batch->open.spec().prompt(), "");
  EXPECT_EQ(batch->lines[0].prompt(), "one");
  EXPECT_EQ(batch->lines[1].prompt(), "of {{c}}");
}

TEST_F(BatchFileTest, ANeedAloneIsNoList) {
  absl::StatusOr<BatchFile> batch = Load(R"(
name: n
defaults: {agent: agent_1, prompt: "hello"}
tasks:
  - {name: a, needs: {task: 01M8JB4J8W6CCG000000000001}, on_need_failure: skip}
  - {name: b, needs: a}
)");
  ASSERT_OK(batch);
  ASSERT_EQ(batch->lines[0].needs_size(), 1);
  EXPECT_EQ(batch->lines[0].needs(0).task_id(), "01M8JB4J8W6CCG000000000001");
  EXPECT_EQ(batch->lines[1].needs(0).name(), "a");
}

TEST_F(BatchFileTest, TasksHaveTheirOwnLimits) {
  std::ofstream(folder_ / "rows.csv") << "id,urgency,usd\nx,9,$0.25\ny,0,2\n";
  absl::StatusOr<BatchFile> batch = Load(R"(
name: n
params: {dear: $8}
defaults: {agent: agent_1, prompt: "hello", priority: 3, retry: {max_starts: 4}}
tasks:
  - name: book
    priority: 8
    max_cost: "{{dear}}"
    retry: {max_failures: 1}
    timeouts: {total: 12h}
  - name: plain
foreach:
  csv: rows.csv
  name: "{{id}}"
  priority: "{{urgency}}"
  max_cost: "{{usd}}"
  timeouts: {idle: 1h}
)");
  ASSERT_OK(batch);
  ASSERT_EQ(batch->lines.size(), 4u);
  const v1::TaskLine& book = batch->lines[0];
  EXPECT_EQ(book.priority(), 8);
  EXPECT_EQ(book.max_cost_usd_micros(), 8'000'000);
  EXPECT_EQ(book.retry().max_failures(), 1);
  EXPECT_EQ(book.retry().max_starts(), 0);
  EXPECT_EQ(book.timeouts().total().seconds(), 12 * 3600);
  const v1::TaskLine& plain = batch->lines[1];
  EXPECT_FALSE(plain.has_priority() || plain.has_retry() ||
               plain.has_timeouts());
  EXPECT_EQ(plain.max_cost_usd_micros(), 0);
  EXPECT_EQ(batch->lines[2].priority(), 9);
  EXPECT_EQ(batch->lines[2].max_cost_usd_micros(), 250'000);
  EXPECT_TRUE(batch->lines[3].has_priority());
  EXPECT_EQ(batch->lines[3].priority(), 0);
  EXPECT_EQ(batch->lines[3].timeouts().idle().seconds(), 3600);
  EXPECT_EQ(batch->least_usd_micros, 250'000);
  EXPECT_EQ(batch->most_usd_micros, 8'000'000);
  EXPECT_EQ(batch->all_usd_micros, 8'000'000 + 1'000'000 + 250'000 + 2'000'000);
}

TEST_F(BatchFileTest, ALimitOfARowIsToldWithItsRow) {
  std::ofstream(folder_ / "rows.csv") << "id,usd\nx,1\ny,lots\n";
  EXPECT_THAT(Load(R"(name: n
defaults: {agent: agent_1, prompt: "hello"}
foreach: {csv: rows.csv, name: "{{id}}", max_cost: "{{usd}}"}
)"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(":3:52: max_cost is 'lots' ("),
                             HasSubstr("rows.csv:3); expected dollars"))));
}

TEST_F(BatchFileTest, TasksOfAForeachNeedOthersToo) {
  absl::StatusOr<BatchFile> batch = Load(R"(
name: n
defaults: {agent: agent_1, prompt: "hello"}
foreach:
  glob: docs/*/copyright
  name: "{{dirname}}"
  needs: ["before-{{dirname}}"]
  prompt: "after {{letter}}"
  parameters: {letter: "{{dirname}}"}
tasks: [{name: before-a}, {name: before-b}, {name: before-c}]
)");
  ASSERT_OK(batch);
  ASSERT_EQ(batch->lines.size(), 6u);
  EXPECT_EQ(batch->lines[3].name(), "a");
  EXPECT_EQ(batch->lines[3].needs(0).name(), "before-a");
  EXPECT_EQ(batch->lines[5].prompt(), "after {{letter}}");
}

TEST_F(BatchFileTest, ParamReplacesTheDefault) {
  absl::StatusOr<BatchFile> all = Load(kForeach, {{"limit", "0"}});
  ASSERT_OK(all);
  EXPECT_EQ(all->lines.size(), 3u);
}

TEST_F(BatchFileTest, ForeachFollowsLinksAndLeavesOutWhatIsNoFile) {
  fs::create_directory_symlink("a", folder_ / "docs/linked");
  fs::create_directories(folder_ / "docs/z/copyright");
  absl::StatusOr<BatchFile> batch = Load(kForeach, {{"limit", "0"}});
  ASSERT_OK(batch);
  ASSERT_EQ(batch->lines.size(), 4u);
  EXPECT_EQ(batch->lines[3].name(), "linked");
  EXPECT_EQ(batch->lines[3].inputs(0).sha256(), Sha256Hex("aaa"));
  EXPECT_THAT(batch->notes, ElementsAre(HasSubstr("1 matches")));
}

TEST_F(BatchFileTest, ATaskThatTheBudgetHasNoRoomForIsNoted) {
  auto notes = [&](const std::string& budget, const std::string& tasks) {
    absl::StatusOr<BatchFile> batch =
        Load(absl::StrCat("name: n\nbudget: ", budget,
                          "\ndefaults: {agent: {name: a, model: m}, prompt: p, "
                          "max_cost: $2}\ntasks: ",
                          tasks, "\n"));
    EXPECT_OK(batch);
    return batch.ok() ? batch->notes : std::vector<std::string>();
  };
  EXPECT_THAT(notes("$2", "[{name: a}, {name: b}]"), IsEmpty());
  EXPECT_THAT(
      notes("$5", "[{name: a}, {name: b, max_cost: $80}]"),
      ElementsAre(
          "task 'b' sets aside up to $80.00, more than the batch's "
          "budget of $5.00; no such task starts unless that is raised"));
  EXPECT_THAT(notes("$1", "[{name: a}, {name: b}]"),
              ElementsAre(HasSubstr("2 tasks, the first of them 'a', set")));
}

TEST_F(BatchFileTest, ContentHashFollowsWhatIsSubmitted) {
  const std::string first = Load(kForeach)->open.content_sha256();
  EXPECT_EQ(first.size(), 64u);
  EXPECT_EQ(
      Load(absl::StrCat("# a comment\n", kForeach))->open.content_sha256(),
      first);
  EXPECT_NE(Load(kForeach, {{"limit", "1"}})->open.content_sha256(), first);
  Write("docs/a/copyright", "changed");
  EXPECT_NE(Load(kForeach)->open.content_sha256(), first);
}

TEST_F(BatchFileTest, ReadsJson) {
  absl::StatusOr<BatchFile> batch = Load(
      "{\n\t\"name\": \"n \\ud83d\\ude00 \\\\ud83d \\u00e9\",\n"
      "  \"defaults\": {\"agent\": {\"name\": \"a\", \"model\": \"m\"},\n"
      "    \"prompt\": \"a\\nb\\/c\"},\n"
      "  \"tasks\": [{\"name\": \"x\"}]\n}\n",
      {}, "batch.json");
  ASSERT_OK(batch);
  EXPECT_EQ(batch->open.name(), "n \U0001F600 \\ud83d \u00e9");
  EXPECT_EQ(batch->open.spec().prompt(), "a\nb/c");
}

TEST_F(BatchFileTest, TenMegabytesOfPromptAreTaken) {
  const std::string prompt(10'000'000, 'x');
  absl::StatusOr<BatchFile> batch =
      Load(absl::StrCat("name: n\ndefaults:\n  agent: a\n  prompt: '", prompt,
                        "'\ntasks: [{name: x}]\n"));
  ASSERT_OK(batch);
  EXPECT_EQ(batch->open.spec().prompt().size(), prompt.size());
}

TEST_F(BatchFileTest, PromptIsMeasuredFilledIn) {
  const std::string value(7'000'000, 'x');
  EXPECT_THAT(Load(absl::StrCat("name: n\ndefaults:\n  agent: a\n"
                                "  prompt: '{{p}}{{p}}'\n"
                                "tasks: [{name: x, parameters: {p: '",
                                value, "'}}]\n")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("batch.yaml:4:11: the prompt of task 'x' has "
                                 "14000000 bytes; expected at most 12582912")));
}

TEST_F(BatchFileTest, MissingFileIsNamed) {
  EXPECT_THAT(LoadBatchFile("/nonexistent/b.yaml", {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("/nonexistent/b.yaml: No such file")));
  EXPECT_THAT(
      LoadBatchFile(folder_.string(), {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is not a file")));
  EXPECT_THAT(LoadBatchFile("tasks.jsonl", {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("tasks.jsonl: No such file")));
  EXPECT_THAT(LoadBatchFile("rows.csv", {}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("rows.csv:1:1: rows without a batch; expected "
                                 "a batch file in YAML, JSON or JSONL")));
}

TEST_F(BatchFileTest, ManyMistakesAreShownTogetherUpToTwenty) {
  std::string tasks;
  for (int i = 0; i < 30; ++i) absl::StrAppend(&tasks, "  - {nam: x}\n");
  absl::StatusOr<BatchFile> batch =
      Load(absl::StrCat("name: n\n", kDefaults, "tasks:\n", tasks));
  ASSERT_THAT(batch, Not(IsOk()));
  EXPECT_THAT(
      std::string(batch.status().message()),
      AllOf(HasSubstr("batch.yaml:6:6: unknown key 'nam'"),
            HasSubstr("batch.yaml:15:6: unknown key 'nam'"),
            Not(HasSubstr("batch.yaml:16:")), HasSubstr("and 40 more")));
}

struct MistakeCase {
  const char* name;
  // %D stands for kDefaults (three lines).
  const char* text;
  // Without the path of the folder.
  const char* message;
};

class MistakeTest : public BatchFileTest,
                    public ::testing::WithParamInterface<MistakeCase> {};

TEST_P(MistakeTest, IsRefusedAtItsPlace) {
  absl::StatusOr<BatchFile> batch =
      Load(absl::StrReplaceAll(GetParam().text, {{"%D", kDefaults}}));
  ASSERT_THAT(batch, StatusIs(absl::StatusCode::kInvalidArgument));
  const std::string message = absl::StrReplaceAll(
      batch.status().message(), {{absl::StrCat(folder_.string(), "/"), ""}});
  EXPECT_THAT(message, HasSubstr(GetParam().message));
  EXPECT_THAT(message, StartsWith("batch.yaml:"));
}

constexpr MistakeCase kMistakes[] = {
    {"Empty", "", "1:1: the file holds nothing; expected one"},
    {"TwoDocuments", "name: a\n---\nname: b\n", "1:1: the file holds several"},
    {"TextBehindTheMap", "{\"name\": \"a\"}, \"b\"\n",
     "1:1: the file holds several"},
    {"Syntax", "name: [a\nb: c\n", "batch.yaml:2:2: "},
    {"TornQuote",
     "name: n\n%Dtasks:\n  - name: a\n    parameters: {}\n  - name: \"b\n"
     "  - name: c\n",
     "quoted text begins here and has no end; expected a closing quote"},
    {"TornQuoteAfterAnEscape", "name: \"a\\\"\n\n", "1:7: quoted text begins"},
    {"TornSingleQuote", "name: 'it''\nqueue: x\n", "1:7: quoted text begins"},
    {"TornKey", "name: a\n'queue: b\n", "2:1: quoted text begins"},
    {"AliasToItself", "name: &a [*a]\n", "1:7: name is a list"},
    {"TornQuoteAtTheEnd", "name: \"a", "1:9: quoted text has no end"},
    {"OpenList", "name: [a", "a [ before here has no end"},
    {"NotAMap", "- a\n", "1:1: the batch is a list; expected a map with name"},
    {"InvalidUtf8", "name: n\nqueue: a\xff\n",
     "2:9: byte 0xff is not UTF-8; expected a file in UTF-8"},
    {"Latin1", "name: caf\xe9\n", "1:10: byte 0xe9 is not UTF-8"},
    {"Control", "name: a\x04z\n", "1:8: control character 0x04"},
    {"UnknownKey", "name: n\nnmae: x\n%Dtasks: [{name: x}]\n",
     "2:1: unknown key 'nmae' in the batch; expected one of name, params"},
    {"DoubledKey", "name: n\nname: m\n%Dtasks: [{name: x}]\n",
     "2:1: 'name' is there twice in the batch; expected once"},
    {"CanaryOfNone", "name: n\n%Dcanary: {tasks: 0}\ntasks: [{name: x}]\n",
     "5:17: tasks is '0'; expected a whole number from 1 to 1000"},
    {"CanaryWithoutTasks",
     "name: n\n%Dcanary: {min_success: 1}\ntasks: [{name: x}]\n",
     "5:9: 'tasks' is missing in canary"},
    {"CanaryOfAll",
     "name: n\n%Dcanary: {tasks: 2, min_success: 80%}\n"
     "tasks: [{name: x}]\n",
     "5:33: min_success is '80%'; expected a part such as 0.8, over 0"},
    {"CanaryOfNoSuccess",
     "name: n\n%Dcanary: {tasks: 2, min_success: 0}\ntasks: [{name: x}]\n",
     "5:33: min_success is '0'; expected a part such as 0.8, over 0"},
    {"CanaryOfMore",
     "name: n\n%Dcanary: {tasks: 2, min_success: 1.5}\n"
     "tasks: [{name: x}]\n",
     "5:33: min_success is '1.5'; expected a part"},
    {"StopWhenever", "name: n\n%Dstop_when: {}\ntasks: [{name: x}]\n",
     "5:12: stop_when says nothing; expected failed, or failed_ratio and "
     "after"},
    {"StopWithoutAfter",
     "name: n\n%Dstop_when: {failed_ratio: 0.3}\ntasks: [{name: x}]\n",
     "5:27: failed_ratio without after; expected after how many tasks"},
    {"StopAfterAlone",
     "name: n\n%Dstop_when: {failed: 2, after: 3}\ntasks: [{name: x}]\n",
     "5:31: after is for failed_ratio"},
    {"RetryOfNoClass",
     "name: n\n%D  retry: {classes: {account: {max_failures: 2}}}\n"
     "tasks: [{name: x}]\n",
     "5:21: unknown key 'account' in classes; expected one of service, task, "
     "refusal"},
    {"RetryOfAClass",
     "name: n\n%D  retry: {classes: {task: {backoff: soon}}}\n"
     "tasks: [{name: x}]\n",
     "5:37: backoff is 'soon'; expected a time such as 30s or 10m, from 1s to "
     "24h"},
    {"RetryBackwards",
     "name: n\n%D  retry: {classes: {task: {backoff: 2m, backoff_max: 1m}}}\n"
     "tasks: [{name: x}]\n",
     "5:54: backoff_max is less than backoff"},
    {"OfDefaultsInTheBatch",
     "name: n\ndeadline: 6h\nmax_cost: $1\n%Dtasks: [{name: x}]\n",
     "2:1: 'deadline' is no key of the batch; expected it in defaults"},
    {"OfATaskInDefaults", "name: n\n%D  needs: x\ntasks: [{name: x}]\n",
     "5:3: 'needs' is no key of defaults; expected it in a task"},
    {"LaterInSpec", "name: n\n%D  outcome: 1h\ntasks: [{name: x}]\n",
     "5:3: 'outcome' in defaults does not exist in this release"},
    {"LaterInTask", "name: n\n%Dtasks: [{name: x, spec: {}}]\n",
     "5:19: 'spec' in a task does not exist in this release"},
    {"NeedOfNoTask", "name: n\n%Dtasks:\n- name: x\n  needs: [y]\n",
     "7:10: task 'x' needs 'y', which is no task of this batch; expected one "
     "of its tasks, or {task: ID}"},
    {"NeedOfItself", "name: n\n%Dtasks: [{name: x, needs: x}]\n",
     "5:26: task 'x' needs 'x': a circle; expected needs that end"},
    {"NeedsInACircle",
     "name: n\n%Dtasks:\n- {name: z, needs: a}\n- {name: a, needs: [b]}\n"
     "- {name: b, needs: [c]}\n- {name: c, needs: [a]}\n",
     "7:20: task 'a' needs 'b' needs 'c' needs 'a': a circle"},
    {"NeedTwice", "name: n\n%Dtasks: [{name: x}, {name: y, needs: [x, x]}]\n",
     "5:41: task 'y' needs 'x' twice; expected once"},
    {"NeedOfNothing", "name: n\n%Dtasks: [{name: x, needs: ['']}]\n",
     "5:27: task 'x' needs ''; expected the name of a task"},
    {"NeedOfNoId", "name: n\n%Dtasks: [{name: x, needs: [{task: abc}]}]\n",
     "5:34: task 'x' needs 'abc'; expected the id of a task"},
    {"NeedsIsAMap", "name: n\n%Dtasks: [{name: x, needs: {a: b}}]\n",
     "5:27: unknown key 'a' in a need; expected one of task"},
    {"NeedIsAList", "name: n\n%Dtasks: [{name: x, needs: [[a]]}]\n",
     "5:27: a need is a list; expected a single value"},
    {"NeedWithoutId", "name: n\n%Dtasks: [{name: x, needs: [{id: a}]}]\n",
     "5:28: unknown key 'id' in a need; expected one of task"},
    {"NeedPolicy",
     "name: n\n%Dtasks: [{name: y}, {name: x, needs: y, on_need_failure: "
     "no}]\n",
     "5:57: on_need_failure is 'no'; expected skip, run_anyway or fail_batch"},
    {"NeedPolicyWithoutNeeds",
     "name: n\n%Dtasks: [{name: x, on_need_failure: skip}]\n",
     "5:36: on_need_failure without needs; expected needs"},
    {"FromWithoutNeed",
     "name: n\n%Dtasks:\n- name: y\n- name: x\n"
     "  inputs: [{from: y, mount: m}]\n",
     "8:19: input from 'y' of task 'x', which does not need it"},
    {"FromAllWithoutAll",
     "name: n\n%Dtasks:\n- name: y\n- name: x\n  needs: y\n"
     "  inputs: [{from: all, mount: m}]\n",
     "9:19: input from 'all' of task 'x', which does not need it"},
    {"PathOfAnOutputOutside",
     "name: n\n%Dtasks:\n- name: y\n- name: x\n  needs: y\n"
     "  inputs: [{from: y, path: ../z, mount: m}]\n",
     "9:28: path '../z'; expected a relative path under"},
    {"MessageOfNoNeed",
     "name: n\n%Dtasks:\n- name: y\n- name: x\n  needs: [y]\n"
     "  prompt: 'of {{tasks.z.message}}'\n",
     "9:11: {{tasks.z.message}} in the prompt; expected "
     "{{tasks.NAME.message}} of what task 'x' needs"},
    {"MessagesWithoutAll",
     "name: n\ndefaults:\n  agent: a\n  prompt: '{{tasks.all.messages}}'\n"
     "tasks: [{name: x}]\n",
     "4:11: {{tasks.all.messages}} in the prompt; expected"},
    {"MessageInAnExpectedFile",
     "name: n\n%Dtasks:\n- name: y\n- name: x\n  needs: [y]\n"
     "  expect: {files: ['{{tasks.y.message}}']}\n",
     "9:20: {{tasks.y.message}} in an expected file; expected messages in a "
     "prompt only"},
    {"ParameterOfOwnPrompt",
     "name: n\n%Dtasks:\n- name: x\n  prompt: '{{y}}'\n",
     "7:11: unknown parameter {{y}} in the prompt"},
    {"OwnEmptyPrompt", "name: n\n%Dtasks: [{name: x, prompt: ''}]\n",
     "5:27: the prompt is empty; expected text"},
    {"ParameterLikeAMessage",
     "name: n\n%Dtasks: [{name: x, parameters: {tasks.y.message: z}}]\n",
     "5:32: 'tasks.y.message' cannot be a parameter's name"},
    {"NoName", "%Dtasks: [{name: x}]\n", "1:1: 'name' is missing in the batch"},
    {"EmptyName", "name: ''\n%Dtasks: [{name: x}]\n",
     "1:7: name has 0 bytes; expected 1 to 200"},
    {"NameIsAList", "name: [a]\n%Dtasks: [{name: x}]\n",
     "1:7: name is a list; expected a single value"},
    {"NullName", "name:\n%Dtasks: [{name: x}]\n",
     "name is nothing; expected a single value"},
    {"NoDefaults", "name: n\ntasks: [{name: x}]\n",
     "1:1: 'defaults' is missing in the batch"},
    {"NoPrompt", "name: n\ndefaults: {agent: a}\ntasks: [{name: x}]\n",
     "2:11: 'prompt' is missing in defaults, and task 'x' has none of its own"},
    {"NoPromptOfSome",
     "name: n\ndefaults: {agent: a}\n"
     "tasks: [{name: x, prompt: p}, {name: y}]\n",
     "2:11: 'prompt' is missing in defaults, and task 'y' has none of its own"},
    {"NoPromptBesideAnotherMistake",
     "name: n\ndefaults: {agent: a, retry: {x: 1}}\ntasks: [{name: x}]\n",
     "2:11: 'prompt' is missing in defaults"},
    {"EmptyPrompt",
     "name: n\ndefaults: {agent: a, prompt: ''}\ntasks: [{name: x}]\n",
     "2:30: the prompt is empty; expected text"},
    {"AgentWithoutModel",
     "name: n\ndefaults: {agent: {name: a}, prompt: p}\n"
     "tasks: [{name: x}]\n",
     "2:19: 'model' is missing in agent"},
    {"AgentUnknownKey",
     "name: n\ndefaults: {agent: {name: a, model: m, sytem: s}, prompt: p}\n"
     "tasks: [{name: x}]\n",
     "2:39: unknown key 'sytem' in agent; expected one of name, model"},
    {"NoTasks", "name: n\n%D", "1:1: the batch has 0 tasks; expected tasks"},
    {"EmptyTasks", "name: n\n%Dtasks: []\n", "1:1: the batch has 0 tasks"},
    {"NothingMatches", "name: n\n%Dforeach: {glob: '*.none', name: x}\n",
     "5:17: glob '*.none' matches no file"},
    {"TasksIsAMap", "name: n\n%Dtasks: {name: x}\n",
     "5:8: tasks is a map; expected a list"},
    {"TaskIsText", "name: n\n%Dtasks: [x]\n",
     "5:9: a task is a single value; expected a map with name, parameters"},
    {"DuplicateName", "name: n\n%Dtasks:\n- name: x\n- name: y\n- name: x\n",
     "8:9: task name 'x' is taken already by line 6; expected names to differ"},
    {"DuplicateFromForeach",
     "name: n\n%Dforeach:\n  glob: docs/*/copyright\n  name: '{{stem}}'\n",
     "7:9: task name 'copyright' is taken already by line 7"},
    {"LongTaskName",
     "name: n\n%Dtasks:\n- name: "
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
     "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
     "expected 1 to 200 bytes without control characters"},
    {"NegativeCost", "name: n\n%D  max_cost: $-1\ntasks: [{name: x}]\n",
     "5:13: max_cost is '$-1'; expected dollars such as $0.50, from $0.01"},
    {"NegativeCostInFront", "name: n\n%D  max_cost: -1\ntasks: [{name: x}]\n",
     "5:13: max_cost is '-1'; expected dollars"},
    {"HugeCost", "name: n\n%D  max_cost: 1000001\ntasks: [{name: x}]\n",
     "from $0.01 to $1000000.00"},
    {"NoCost", "name: n\n%D  max_cost: 0\ntasks: [{name: x}]\n",
     "max_cost is '0'; expected dollars"},
    {"CostWithExponent", "name: n\n%D  max_cost: 1e3\ntasks: [{name: x}]\n",
     "max_cost is '1e3'; expected dollars"},
    {"Priority", "name: n\n%D  priority: 10\ntasks: [{name: x}]\n",
     "5:13: priority is '10'; expected a whole number from 0 to 9"},
    {"MaxRunning", "name: n\nmax_running: many\n%Dtasks: [{name: x}]\n",
     "2:14: max_running is 'many'; expected a whole number from 0 to 100000"},
    {"Retry", "name: n\n%D  retry: {max_failures: 0}\ntasks: [{name: x}]\n",
     "5:25: max_failures is '0'; expected a whole number from 1 to 100"},
    {"RetryRefusals",
     "name: n\n%D  retry: {retry_refusals: maybe}\ntasks: [{name: x}]\n",
     "5:27: retry_refusals is 'maybe'; expected true or false"},
    {"OnBudget", "name: n\n%D  on_budget: beg\ntasks: [{name: x}]\n",
     "5:14: on_budget is 'beg'; expected fail, ask or raise"},
    {"Delay", "name: n\n%D  delay: soon\ntasks: [{name: x}]\n",
     "5:10: delay is 'soon'; expected a time such as 90s, 10m or 24h"},
    {"StartAfter", "name: n\n%D  start_after: dawn\ntasks: [{name: x}]\n",
     "5:16: start_after is 'dawn'; expected a time such as 2026-12-01T06"},
    {"DelayTwice",
     "name: n\n%Dtasks: [{name: x, delay: 1h, start_after: "
     "2026-12-01T06:00:00Z}]\n",
     "start_after beside delay; expected one of the two"},
    {"UniqueWhile",
     "name: n\n%D  unique: {key: k, while: queued}\ntasks: [{name: x}]\n",
     "while is 'queued'; expected unfinished"},
    {"UniqueParameter",
     "name: n\n%D  unique: {key: '{{doc}}'}\ntasks: [{name: x}]\n",
     "unknown parameter {{doc}} in the unique key"},
    {"Deadline", "name: n\n%D  deadline: dawn\ntasks: [{name: x}]\n",
     "5:13: deadline is 'dawn'; expected a time such as 90s"},
    {"Start", "name: n\n%D  start: at once\ntasks: [{name: x}]\n",
     "5:10: start is 'at once'; expected two_calls or one_call"},
    {"RaiseToNothing", "name: n\n%D  on_budget: raise\ntasks: [{name: x}]\n",
     "on_budget is raise, and raise_to is missing"},
    {"RaiseToLess",
     "name: n\n%D  max_cost: $2\n  on_budget: raise\n  raise_to: $1\n"
     "tasks: [{name: x}]\n",
     "7:13: raise_to is $1.00; expected more than max_cost ($2.00)"},
    {"OwnMaxCostOverRaiseTo",
     "name: n\n%D  on_budget: raise\n  raise_to: $3\n"
     "tasks: [{name: x, max_cost: $3}]\n",
     "7:29: max_cost of task 'x' is $3.00; expected less than raise_to of "
     "defaults ($3.00)"},
    {"OwnPriority", "name: n\n%Dtasks: [{name: x, priority: 10}]\n",
     "5:29: priority is '10'; expected a whole number from 0 to 9"},
    {"OwnMaxCost", "name: n\n%Dtasks: [{name: x, max_cost: much}]\n",
     "5:29: max_cost is 'much'; expected dollars"},
    {"OwnRetry", "name: n\n%Dtasks: [{name: x, retry: {max_starts: 0}}]\n",
     "5:39: max_starts is '0'; expected a whole number from 1 to 1000"},
    {"OwnTimeouts", "name: n\n%Dtasks: [{name: x, timeouts: {idle: soon}}]\n",
     "5:36: idle is 'soon'; expected a time"},
    {"OwnPriorityOfNothing",
     "name: n\n%Dtasks: [{name: x, priority: \"{{p}}\"}]\n",
     "5:29: unknown parameter {{p}} in priority"},
    {"RaiseToAlone", "name: n\n%D  raise_to: $3\ntasks: [{name: x}]\n",
     "5:13: raise_to is for on_budget: raise"},
    {"Timeout", "name: n\n%D  timeouts: {total: 10}\ntasks: [{name: x}]\n",
     "5:21: total is '10'; expected a time such as 90s"},
    {"InfiniteTimeout",
     "name: n\n%D  timeouts: {total: inf}\ntasks: [{name: x}]\n",
     "5:21: total is 'inf'; expected a time"},
    {"ExpectOutside",
     "name: n\n%D  expect: {files: [../x]}\ntasks: [{name: x}]\n",
     "5:20: expected file '../x'; expected a relative path under"},
    {"UnquotedBraces", "name: n\nmax_running: {{n}}\n%Dtasks: [{name: x}]\n",
     "2:14: max_running is a map; expected a single value (put {{...}} in "
     "quotes)"},
    {"ParamsIsAList", "name: n\nparams: [a]\n%Dtasks: [{name: x}]\n",
     "2:9: params is no map; expected name: value"},
    {"ParamOfForeach", "name: n\nparams: {path: x}\n%Dtasks: [{name: x}]\n",
     "2:10: 'path' cannot be one of params (foreach uses the name)"},
    {"ParamName", "name: n\nparams: {a b: x}\n%Dtasks: [{name: x}]\n",
     "2:10: 'a b' cannot be one of params; expected letters"},
    {"UnknownParamInName", "name: 'n {{x}}'\n%Dtasks: [{name: x}]\n",
     "1:7: unknown parameter {{x}} in name; expected one of params"},
    {"UnknownParamInPrompt",
     "name: n\ndefaults:\n  agent: a\n  prompt: 'for {{package}}'\n"
     "tasks:\n- {name: x, parameters: {package: p}}\n- {name: y}\n",
     "4:11: unknown parameter {{package}} in the prompt; expected one of "
     "params, or a parameter of every task (task 'y' has none"},
    {"UnknownParamInForeach",
     "name: n\n%Dforeach: {glob: 'docs/*/*', name: '{{dir}}'}\n",
     "5:35: unknown parameter {{dir}} in a task's name; expected one of "
     "params, or of path, dirname, basename, stem, index"},
    {"ParameterIsAParam",
     "name: n\nparams: {a: b}\n%Dtasks: [{name: x, parameters: {a: c}}]\n",
     "6:32: 'a' is one of params already; expected another name"},
    {"ParameterIsAList",
     "name: n\n%Dtasks: [{name: x, parameters: {a: [c]}}]\n",
     "5:35: a is a list; expected a single value"},
    {"MissingInput",
     "name: n\n%Dtasks:\n- name: x\n  inputs: [{path: gone, mount: m}]\n",
     "7:19: input of task 'x': cannot read gone (No such file or directory); "
     "expected a file that can be read"},
    {"InputIsAFolder",
     "name: n\n%Dtasks:\n- name: x\n  inputs: [{path: docs, mount: m}]\n",
     "7:19: input of task 'x': docs is a folder"},
    {"InputIsALinkToNothing",
     "name: n\n%Dtasks:\n- name: x\n  inputs: [{path: dangling, mount: m}]\n",
     "7:19: input of task 'x': cannot read dangling (No such file"},
    {"InputIsADevice",
     "name: n\n%Dtasks:\n- name: x\n"
     "  inputs: [{path: /dev/null, mount: m}]\n",
     "7:19: input of task 'x': /dev/null is not a regular file"},
    {"InputWithoutMount",
     "name: n\n%Dtasks: [{name: x, inputs: [{path: in.txt}]}]\n",
     "5:28: 'mount' is missing in an input"},
    {"MountOutside",
     "name: n\n%Dtasks: [{name: x, inputs: [{path: in.txt, mount: /m}]}]\n",
     "5:50: mount '/m'; expected a relative path under"},
    {"MountTwice",
     "name: n\n%Dtasks:\n- name: x\n"
     "  inputs: [{path: in.txt, mount: m}, {path: in.txt, mount: m}]\n",
     "7:60: mount 'm' is there twice in task 'x'; expected once"},
    {"DoubleStar", "name: n\n%Dforeach: {glob: 'docs/**', name: x}\n",
     "5:17: '**' is not known in a glob; expected a pattern"},
    {"GlobOfNowhere", "name: n\n%Dforeach: {glob: '/gone/*', name: x}\n",
     "5:17: cannot read the folders of /gone/* (No such file"},
    {"LabelKey", "name: n\n%Dtasks: [{name: x, labels: {'a b': c}}]\n",
     "5:28: 'a b' cannot be a label's key"},
    {"LabelValue", "name: n\n%Dtasks: [{name: x, labels: {a: ''}}]\n",
     "5:31: label a has 0 bytes; expected 1 to 200"},
    {"ForeachOverNothing", "name: n\n%Dforeach: {name: x}\n",
     "5:10: foreach has 0 of glob, csv and jsonl; expected one"},
    {"ForeachOverTwo", "name: n\n%Dforeach: {csv: a, jsonl: b, name: x}\n",
     "5:10: foreach has 2 of glob, csv and jsonl; expected one"},
    {"ForeachOverNoFile", "name: n\n%Dforeach: {csv: gone.csv, name: x}\n",
     "5:16: cannot read gone.csv: No such file or directory; expected a table"},
    {"ForeachOverAFolder", "name: n\n%Dforeach: {jsonl: docs, name: x}\n",
     "5:18: docs is not a regular file; expected a JSONL file; expected a"},
    {"NegativeLimit",
     "name: n\n%Dforeach: {glob: 'docs/*/*', limit: -1, name: x}\n",
     "5:36: limit is '-1'; expected a whole number from 0"},
    {"AliasThatHoldsItself",
     "name: n\ndefaults:\n  agent: {name: a, model: m, metadata: &m {x: *m}}\n"
     "  prompt: p\ntasks: [{name: x}]\n",
     "batch.yaml:3:"},
};

INSTANTIATE_TEST_SUITE_P(Table, MistakeTest, ::testing::ValuesIn(kMistakes),
                         [](const auto& c) {
                           return std::string(c.param.name);
                         });

TEST_F(BatchFileTest, UnknownParamOnTheCommandLine) {
  EXPECT_THAT(Load(kForeach, {{"limt", "0"}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("batch.yaml:1:1: --param limt is not a "
                                 "parameter of this file; expected limit")));
  EXPECT_THAT(Load(kForeach, {{"limit", "\xff"}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--param limit is not UTF-8")));
  EXPECT_THAT(Load(kForeach, {{"limit", "lots"}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("batch.yaml:6:10: limit is 'lots'; expected "
                                 "a whole number")));
}

TEST_F(BatchFileTest, FileNamesThatAreNotUtf8AreRefused) {
  Write("odd/\xff/copyright", "x");
  EXPECT_THAT(
      Load(absl::StrCat("name: n\n", kDefaults,
                        "foreach: {glob: 'odd/*/copyright', name: x}\n")),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("odd/?/copyright is not UTF-8")));
}

TEST_F(BatchFileTest, ExampleIsWellFormed) {
  absl::StatusOr<BatchFile> batch =
      LoadBatchFile("examples/license-audit/batch.yaml", {{"limit", "3"}});
  ASSERT_OK(batch);
  EXPECT_EQ(batch->open.name(), "license-audit");
  ASSERT_EQ(batch->lines.size(), 4u);
  EXPECT_EQ(batch->lines[3].name(), "report");
}

}  // namespace
}  // namespace midwatch::cli
