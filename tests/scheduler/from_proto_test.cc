#include "scheduler/from_proto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "absl/strings/str_cat.h"
#include "base/external_id.h"
#include "google/rpc/error_details.pb.h"
#include "scheduler/money_proto.h"
#include "scheduler/parameters.h"
#include "scheduler/spec_check.h"
#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::StatusIs;

v1::SubmitTaskRequest Valid() {
  v1::SubmitTaskRequest request;
  request.set_request_id("r");
  request.mutable_line()->set_name("n");
  request.mutable_spec()->mutable_agent()->set_agent_id("agent_1");
  request.mutable_spec()->set_prompt("do {{what}}");
  (*request.mutable_line()->mutable_parameters())["what"] = "it";
  return request;
}

TEST(FromProtoTest, FillsDefaultsIn) {
  auto submit = FromProto(Valid());
  ASSERT_OK(submit);
  EXPECT_EQ(submit->tenant, "default");
  EXPECT_EQ(submit->task.max_cost, 1'000'000);
  EXPECT_EQ(submit->task.priority, 5);
}

// Each pair of open braces was held against the whole rest of the text, so the
// time grew with its square.
TEST(FromProtoTest, ManyOpenBracesTakeNoTime) {
  v1::SubmitTaskRequest request = Valid();
  std::string prompt(kPromptBytesMax - 2, '{');
  prompt += "}}";
  request.mutable_spec()->set_prompt(prompt);
  EXPECT_OK(FromProto(request));
}

TEST(FromProtoTest, JsonChecksAreCheckedAndFilledIn) {
  v1::SubmitTaskRequest request = Valid();
  v1::Expectation& expect = *request.mutable_spec()->mutable_expect();
  expect.add_files("{{what}}.json");
  expect.add_json()->set_path("{{what}}.json");
  expect.mutable_json(0)->set_schema(R"({"type": "array"})");
  EXPECT_OK(FromProto(request));
  auto filled = FillIn(request.spec(), request.line().parameters());
  ASSERT_OK(filled);
  EXPECT_EQ(filled->expect().json(0).path(), "it.json");

  expect.add_json()->set_path("another.json");
  expect.mutable_json(1)->set_schema(R"({"tpye": "array"})");
  const std::string wrong(FromProto(request).status().message());
  EXPECT_THAT(wrong, HasSubstr("spec.expect.json[1].path"));
  EXPECT_THAT(wrong, HasSubstr("spec.expect.json[1].schema: at /tpye"));
}

TEST(FromProtoTest, ACheckIsNamed) {
  v1::SubmitTaskRequest request = Valid();
  request.mutable_spec()->mutable_expect()->set_check("compiles");
  EXPECT_OK(FromProto(request));
  request.mutable_spec()->mutable_expect()->set_check("a\nb");
  EXPECT_THAT(std::string(FromProto(request).status().message()),
              HasSubstr("spec.expect.check: holds control characters"));
}

TEST(FromProtoTest, HooksAreChecked) {
  v1::OpenBatch open;
  open.set_name("b");
  *open.mutable_spec() = Valid().spec();
  open.mutable_on_finish()->set_url("http://example.com/");
  open.mutable_on_failure()->set_url("https://example.com/");
  open.mutable_on_failure()->set_secret("s");
  auto write = FromProto("r", open);
  ASSERT_OK(write);
  EXPECT_EQ(write->on_finish.url(), "http://example.com/");
  EXPECT_EQ(write->on_failure.secret(), "s");

  open.mutable_on_finish()->set_url("example.com");
  open.mutable_on_failure()->clear_url();
  open.mutable_on_risk()->set_secret("s");
  const std::string wrong(FromProto("r", open).status().message());
  EXPECT_THAT(wrong, HasSubstr("open.on_finish.url: not http(s)"));
  EXPECT_THAT(wrong, HasSubstr("open.on_failure.url: required"));
  EXPECT_THAT(wrong, HasSubstr("open.on_risk.url: required"));
}

// Half a character cannot be sent on.
TEST(FromProtoTest, AWorkersDescriptionIsCutBetweenCharacters) {
  v1::RegisterWorkerRequest request;
  request.set_incarnation("0123456789abcdef");
  request.add_accounts("default");
  request.set_capacity(1);
  request.set_description(std::string(199, 'x') + "\u00e9");
  auto write = FromProto(request);
  ASSERT_OK(write);
  EXPECT_EQ(write->description, std::string(199, 'x'));
}

TEST(FromProtoTest, ATasksOwnLabelsWinOverTheSpecs) {
  v1::SubmitTaskRequest request = Valid();
  (*request.mutable_spec()->mutable_labels())["team"] = "a";
  (*request.mutable_spec()->mutable_labels())["run"] = "1";
  (*request.mutable_line()->mutable_labels())["team"] = "b";
  auto submit = FromProto(request);
  ASSERT_OK(submit);
  EXPECT_EQ(submit->task.labels, (Labels{{"run", "1"}, {"team", "b"}}));
}

TEST(FromProtoTest, AListAsksForStatesThatThereAre) {
  v1::ListTasksRequest request;
  request.add_states(v1::TASK_STATE_FAILED);
  request.add_states(static_cast<v1::TaskState>(42));
  EXPECT_THAT(FromProto(request), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr("states[1]: 42")));
}

// Of the request, the fields that the error names.
std::vector<std::string> WrongFields(const absl::Status& status) {
  google::rpc::BadRequest details;
  absl::optional<absl::Cord> payload =
      status.GetPayload("type.googleapis.com/google.rpc.BadRequest");
  EXPECT_TRUE(payload.has_value()) << status;
  if (payload.has_value()) {
    EXPECT_TRUE(details.ParseFromString(std::string(*payload)));
  }
  std::vector<std::string> fields;
  for (const auto& each : details.field_violations()) {
    fields.push_back(each.field());
    EXPECT_FALSE(each.description().empty());
  }
  return fields;
}

TEST(FromProtoTest, AllThatIsWrongIsNamedTogether) {
  v1::SubmitTaskRequest request = Valid();
  request.clear_request_id();
  request.mutable_spec()->set_max_cost_usd_micros(-1);
  request.mutable_spec()->mutable_expect()->add_files("a");
  request.mutable_spec()->mutable_expect()->add_files("/b");
  request.mutable_line()->clear_name();
  request.mutable_line()->add_inputs()->set_mount("../x");
  EXPECT_THAT(
      WrongFields(FromProto(request).status()),
      ::testing::ElementsAre("request_id", "spec.max_cost_usd_micros",
                             "spec.expect.files[1]", "line.name",
                             "line.inputs[0].mount", "line.inputs[0].sha256"));
}

TEST(FromProtoTest, FieldsOfAChunkNameTheirLine) {
  v1::TaskChunk chunk;
  for (const char* name : {"a", "", "c"}) chunk.add_lines()->set_name(name);
  (*chunk.mutable_lines(2)->mutable_labels())["no key"] = "x";
  EXPECT_THAT(WrongFields(FromProto("r", chunk, Valid().spec()).status()),
              ::testing::ElementsAre(
                  "chunk.lines[0].parameters", "chunk.lines[1].name",
                  "chunk.lines[1].parameters", "chunk.lines[2].parameters",
                  "chunk.lines[2].labels"));
}

TEST(FromProtoTest, OfManyThatAreWrongTheFirstAreNamedAndTheRestCounted) {
  v1::TaskChunk chunk;
  for (int i = 0; i < 1000; ++i) chunk.add_lines();
  absl::Status status = FromProto("r", chunk, Valid().spec()).status();
  size_t named = WrongFields(status).size();
  EXPECT_GE(named, 10u);
  EXPECT_LE(status.message().size(), 1200u);
  EXPECT_THAT(
      status,
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr(absl::StrCat("\nand ", 2000 - named, " more"))));
}

struct BadCase {
  const char* name;
  std::function<void(v1::SubmitTaskRequest&)> spoil;
  const char* message;
};

class BadRequestTest : public ::testing::TestWithParam<BadCase> {};

TEST_P(BadRequestTest, IsRefusedWithItsField) {
  v1::SubmitTaskRequest request = Valid();
  GetParam().spoil(request);
  EXPECT_THAT(FromProto(request), StatusIs(absl::StatusCode::kInvalidArgument,
                                           HasSubstr(GetParam().message)));
}

using R = v1::SubmitTaskRequest;

INSTANTIATE_TEST_SUITE_P(
    Table, BadRequestTest,
    ::testing::ValuesIn<BadCase>({
        {"NanosPastASecond",
         [](R& r) {
           r.mutable_spec()->mutable_timeouts()->mutable_idle()->set_nanos(
               1'000'000'000);
         },
         "spec.timeouts.idle"},
        {"NoRequestId", [](R& r) { r.clear_request_id(); }, "request_id"},
        {"NoName", [](R& r) { r.mutable_line()->clear_name(); }, "name"},
        {"ControlCharacters", [](R& r) { r.mutable_line()->set_name("a\nb"); },
         "control"},
        {"NoAgent", [](R& r) { r.mutable_spec()->clear_agent(); },
         "spec.agent"},
        {"NoPrompt", [](R& r) { r.mutable_spec()->clear_prompt(); },
         "spec.prompt"},
        {"HugePrompt",
         [](R& r) {
           r.mutable_spec()->set_prompt(std::string(kPromptBytesMax + 1, 'x'));
         },
         "12 MiB"},
        {"PromptHugeOnceFilledIn",
         [](R& r) {
           (*r.mutable_line()->mutable_parameters())["what"] =
               std::string(kPromptBytesMax, 'x');
         },
         "filled in"},
        {"NegativeCost",
         [](R& r) { r.mutable_spec()->set_max_cost_usd_micros(-1); },
         "max_cost_usd_micros"},
        {"HugeCost",
         [](R& r) {
           r.mutable_spec()->set_max_cost_usd_micros(2'000'000'000'000);
         },
         "max_cost_usd_micros"},
        {"UnknownParameter",
         [](R& r) { r.mutable_spec()->set_prompt("{{other}}"); }, "{{other}}"},
        {"Priority", [](R& r) { r.mutable_spec()->set_priority(10); },
         "priority"},
        {"Failures",
         [](R& r) { r.mutable_spec()->mutable_retry()->set_max_failures(101); },
         "max_failures"},
        {"RetryOfNoClass",
         [](R& r) { r.mutable_spec()->mutable_retry()->add_classes(); },
         "spec.retry.classes[0].failure_class: 0; expected SERVICE, TASK or "
         "REFUSAL"},
        {"RetryOfTheAccount",
         [](R& r) {
           r.mutable_spec()->mutable_retry()->add_classes()->set_failure_class(
               v1::FAILURE_CLASS_ACCOUNT);
         },
         "spec.retry.classes[0].failure_class: 3; expected"},
        {"RetryOfAClassTwice",
         [](R& r) {
           for (int i = 0; i < 2; ++i) {
             r.mutable_spec()
                 ->mutable_retry()
                 ->add_classes()
                 ->set_failure_class(v1::FAILURE_CLASS_TASK);
           }
         },
         "spec.retry.classes[1].failure_class: is there twice"},
        {"RetryOfAClassTooOften",
         [](R& r) {
           auto* rule = r.mutable_spec()->mutable_retry()->add_classes();
           rule->set_failure_class(v1::FAILURE_CLASS_TASK);
           rule->set_max_failures(101);
         },
         "spec.retry.classes[0].max_failures: 101; expected 1 to 100"},
        {"BackoffTooShort",
         [](R& r) {
           auto* rule = r.mutable_spec()->mutable_retry()->add_classes();
           rule->set_failure_class(v1::FAILURE_CLASS_TASK);
           rule->mutable_backoff()->set_nanos(999'999'999);
         },
         "spec.retry.classes[0].backoff: expected 1 second to 24 hours"},
        {"BackoffTooLong",
         [](R& r) {
           auto* rule = r.mutable_spec()->mutable_retry()->add_classes();
           rule->set_failure_class(v1::FAILURE_CLASS_TASK);
           rule->mutable_backoff_max()->set_seconds(86'401);
         },
         "spec.retry.classes[0].backoff_max: expected 1 second to 24 hours"},
        {"BackoffBackwards",
         [](R& r) {
           auto* rule = r.mutable_spec()->mutable_retry()->add_classes();
           rule->set_failure_class(v1::FAILURE_CLASS_TASK);
           rule->mutable_backoff()->set_seconds(60);
           rule->mutable_backoff_max()->set_seconds(59);
         },
         "spec.retry.classes[0].backoff_max: expected no less than backoff"},
        {"NegativeTimeout",
         [](R& r) {
           r.mutable_spec()->mutable_timeouts()->mutable_idle()->set_seconds(
               -1);
         },
         "timeouts.idle"},
        {"MountOutside",
         [](R& r) {
           auto* input = r.mutable_line()->add_inputs();
           input->set_mount("../x");
           input->set_sha256(std::string(64, 'a'));
         },
         "'..'"},
        {"AbsoluteMount",
         [](R& r) { r.mutable_line()->add_inputs()->set_mount("/x"); },
         "relative"},
        {"BadHash",
         [](R& r) {
           auto* input = r.mutable_line()->add_inputs();
           input->set_mount("x");
           input->set_sha256("ABC");
         },
         "64 lower-case hex"},
        {"ExpectOutside",
         [](R& r) {
           r.mutable_spec()->mutable_expect()->add_files("/etc/passwd");
         },
         "relative"},
        {"LabelKey",
         [](R& r) { (*r.mutable_line()->mutable_labels())["a b"] = "x"; },
         "labels: 'a b' is no key"},
        {"LabelValue",
         [](R& r) { (*r.mutable_line()->mutable_labels())["a"] = "x\ny"; },
         "labels[a]: holds control characters"},
        {"EmptyLabel",
         [](R& r) { (*r.mutable_spec()->mutable_labels())["a"] = ""; },
         "spec.labels[a]: required"},
        {"TooManyLabelsTogether",
         [](R& r) {
           for (int i = 0; i < 10; ++i) {
             (*r.mutable_spec()->mutable_labels())["s" + std::to_string(i)] =
                 "x";
             (*r.mutable_line()->mutable_labels())["l" + std::to_string(i)] =
                 "x";
           }
         },
         "labels: 20 with the spec's; at most 16"},
        {"DefinitionIsNoJson",
         [](R& r) {
           r.mutable_spec()->mutable_agent()->set_definition_json("{");
         },
         "JSON object"},
        {"ToolsAreNoArray",
         [](R& r) {
           r.mutable_spec()->mutable_agent()->set_definition_json(
               R"({"name":"a","model":"m","tools":{}})");
         },
         "definition_json.tools: expected an array"},
        {"NoSuchPolicy",
         [](R& r) {
           r.mutable_spec()->set_answers(static_cast<v1::AnswerPolicy>(9));
         },
         "spec.answers: 9 is no policy"},
        {"NoSuchBudgetPolicy",
         [](R& r) {
           r.mutable_spec()->set_on_budget(static_cast<v1::BudgetPolicy>(9));
         },
         "spec.on_budget: 9 is no policy"},
        {"NoSuchStart",
         [](R& r) {
           r.mutable_spec()->set_start(static_cast<v1::StartMode>(9));
         },
         "spec.start: 9 is no way to start"},
        {"RaiseToAlone",
         [](R& r) { r.mutable_spec()->set_raise_to_usd_micros(5'000'000); },
         "spec.raise_to_usd_micros: 5000000; only on_budget RAISE has one"},
        {"RaiseToNothing",
         [](R& r) { r.mutable_spec()->set_on_budget(v1::BUDGET_POLICY_RAISE); },
         "spec.raise_to_usd_micros: 0; expected more than max_cost"},
        {"NeedOfNothing", [](R& r) { r.mutable_line()->add_needs(); },
         "line.needs[0]: expected one of name, task_id, all_earlier"},
        {"NeedByName",
         [](R& r) { r.mutable_line()->add_needs()->set_name("a"); },
         "line.needs[0]: only tasks of a batch have others beside them"},
        {"NeedOfAll",
         [](R& r) { r.mutable_line()->add_needs()->set_all_earlier(true); },
         "line.needs[0]: only tasks of a batch"},
        {"NeedByABadId",
         [](R& r) { r.mutable_line()->add_needs()->set_task_id("x"); },
         "line.needs[0].task_id: "},
        {"NeedPolicyAlone",
         [](R& r) {
           r.mutable_line()->set_on_need_failure(v1::NEED_POLICY_SKIP);
         },
         "line.on_need_failure: the task needs none"},
        {"FromWithoutNeed",
         [](R& r) {
           v1::Input& input = *r.mutable_line()->add_inputs();
           input.set_mount("m");
           input.set_from("a");
         },
         "line.inputs[0].from: 'a' is not among needs"},
        {"PathWithoutFrom",
         [](R& r) {
           v1::Input& input = *r.mutable_line()->add_inputs();
           input.set_mount("m");
           input.set_sha256(std::string(64, 'a'));
           input.set_path("p");
         },
         "line.inputs[0].path: only an input with from has one"},
        {"MessageWithoutNeed",
         [](R& r) { r.mutable_line()->set_prompt("{{tasks.a.message}}"); },
         "line.needs: the prompt holds {{tasks.a.message}}; expected"},
        {"ParameterLikeAMessage",
         [](R& r) {
           (*r.mutable_line()->mutable_parameters())["tasks.a.message"] = "x";
         },
         "line.parameters: tasks.a.message: names of this kind"},
        {"HugeOwnPrompt",
         [](R& r) {
           r.mutable_line()->set_prompt(std::string(kPromptBytesMax + 1, 'x'));
         },
         "line.prompt: 12582913 bytes"},
        {"OwnPriority", [](R& r) { r.mutable_line()->set_priority(10); },
         "line.priority: 10; expected 0 to 9"},
        {"OwnCost",
         [](R& r) { r.mutable_line()->set_max_cost_usd_micros(9'999); },
         "line.max_cost_usd_micros: 9999; expected 10000 (one cent) to 10^12"},
        {"OwnRetry",
         [](R& r) {
           r.mutable_line()->mutable_retry()->add_classes()->set_failure_class(
               v1::FAILURE_CLASS_ACCOUNT);
         },
         "line.retry.classes[0].failure_class: 3; expected"},
        {"OwnTimeout",
         [](R& r) {
           r.mutable_line()->mutable_timeouts()->mutable_total()->set_seconds(
               -1);
         },
         "line.timeouts.total"},
        {"OwnExpectOutside",
         [](R& r) { r.mutable_line()->mutable_expect()->add_files("/x"); },
         "line.expect.files[0]: '/x' must be relative"},
        {"AnswerWithinAMonth",
         [](R& r) {
           r.mutable_spec()->mutable_answer_within()->set_seconds(30 * 86400);
         },
         "spec.answer_within"},
        {"DelayOverAYear",
         [](R& r) {
           r.mutable_line()->mutable_delay()->set_seconds(367 * 86400);
         },
         "line.delay: expected a duration of 0 to 366 days"},
        {"DelayBefore",
         [](R& r) { r.mutable_spec()->mutable_delay()->set_seconds(-1); },
         "spec.delay: expected"},
        {"DelayBesideStartAfter",
         [](R& r) {
           r.mutable_spec()->mutable_delay()->set_seconds(1);
           r.mutable_spec()->mutable_start_after()->set_seconds(1);
         },
         "spec.start_after: beside delay; expected one of the two"},
        {"StartAfterNoTime",
         [](R& r) { r.mutable_line()->mutable_start_after()->set_nanos(-1); },
         "line.start_after: expected a time of the years 1970 to 9999"},
        {"ExpiryAtOnce",
         [](R& r) { r.mutable_spec()->mutable_expires_after(); },
         "spec.expires_after: expected a duration of 1s to 366 days"},
        {"UniqueWithoutAKey", [](R& r) { r.mutable_spec()->mutable_unique(); },
         "spec.unique.key: required"},
        {"UniqueKeyFilledInTooLong",
         [](R& r) {
           r.mutable_spec()->mutable_unique()->set_key("{{long}}");
           (*r.mutable_line()->mutable_parameters())["long"] =
               std::string(201, 'x');
         },
         "line.parameters: with them filled in, spec.unique.key: 201 bytes"},
        {"UniqueKeyOfAMessage",
         [](R& r) {
           r.mutable_spec()->mutable_unique()->set_key("{{tasks.a.message}}");
           r.mutable_spec()->set_prompt("{{what}} {{tasks.a.message}}");
           r.mutable_line()->add_needs()->set_task_id("a");
         },
         "may stand in the prompt only"},
        {"UniqueForNoTime",
         [](R& r) {
           r.mutable_spec()->mutable_unique()->set_key("k");
           r.mutable_spec()->mutable_unique()->mutable_held_for();
         },
         "spec.unique.held_for: expected a duration of 1s"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(StartFromProtoTest, ALinesStartIsInPlaceOfTheSpecs) {
  v1::SubmitTaskRequest request = Valid();
  request.mutable_spec()->mutable_delay()->set_seconds(60);
  request.mutable_spec()->mutable_expires_after()->set_seconds(600);
  const absl::Time at = absl::FromUnixSeconds(1'000'000);
  StartRules start = FromProto(request)->task.start;
  EXPECT_EQ(start.StartOf(at), at + absl::Minutes(1));
  EXPECT_EQ(start.ExpiryOf(at), at + absl::Minutes(11));
  request.mutable_line()->mutable_start_after()->set_seconds(1'003'600);
  request.mutable_line()->mutable_expires_after()->set_seconds(60);
  start = FromProto(request)->task.start;
  EXPECT_EQ(start.StartOf(at), at + absl::Hours(1));
  EXPECT_EQ(start.ExpiryOf(at), at + absl::Hours(1) + absl::Minutes(1));
  request.mutable_line()->clear_start_after();
  request.mutable_line()->mutable_delay();
  EXPECT_EQ(FromProto(request)->task.start.StartOf(at), at);
  EXPECT_EQ(FromProto(Valid())->task.start, StartRules());
  EXPECT_EQ(StartRules().ExpiryOf(at), absl::InfiniteFuture());
}

TEST(StartFromProtoTest, AUniqueKeyIsFilledIn) {
  v1::SubmitTaskRequest request = Valid();
  request.mutable_spec()->mutable_unique()->set_key("of {{what}}");
  EXPECT_EQ(FromProto(request)->task.unique,
            (UniqueRule{"of it", absl::InfiniteDuration()}));
  request.mutable_spec()->mutable_unique()->mutable_held_for()->set_seconds(60);
  EXPECT_EQ(FromProto(request)->task.unique,
            (UniqueRule{"of it", absl::Minutes(1)}));
}

struct BadUpdateCase {
  const char* name;
  std::function<void(v1::UpdateTaskRequest&)> spoil;
  const char* message;
};

class BadUpdateTest : public ::testing::TestWithParam<BadUpdateCase> {};

TEST_P(BadUpdateTest, IsRefusedWithItsField) {
  v1::UpdateTaskRequest request;
  GetParam().spoil(request);
  EXPECT_THAT(FromProto(request, absl::FromUnixSeconds(1'000'000)),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(GetParam().message)));
}

using U = v1::UpdateTaskRequest;
INSTANTIATE_TEST_SUITE_P(
    Table, BadUpdateTest,
    ::testing::ValuesIn<BadUpdateCase>({
        {"Nothing", [](U& r) { r.set_reason("why not"); }, "nothing to change"},
        {"Priority", [](U& r) { r.set_priority(10); },
         "priority: 10; expected 0 to 9"},
        {"MaxCost", [](U& r) { r.set_max_cost_usd_micros(9'999); },
         "max_cost_usd_micros: 9999; expected 10000"},
        {"StartNowNot", [](U& r) { r.set_start_now(false); },
         "start_now: expected true"},
        {"StartAfterNoTime",
         [](U& r) { r.mutable_start_after()->set_seconds(-1); },
         "start_after: expected a time"},
        {"ExpiryOver",
         [](U& r) { r.mutable_expires_at()->set_seconds(1'000'000); },
         "expires_at: expected a time to come"},
        {"ExpiryFar",
         [](U& r) {
           r.mutable_expires_at()->set_seconds(1'000'000 + 733 * 86'400);
         },
         "at most 732 days ahead"},
        {"NeverExpiresNot", [](U& r) { r.set_never_expires(false); },
         "never_expires: expected true"},
        {"Deadline",
         [](U& r) { r.mutable_deadline()->set_seconds(30 * 86'400); },
         "deadline: expected a duration"},
        {"Reason",
         [](U& r) {
           r.set_priority(1);
           r.set_reason(std::string(1'001, 'x'));
         },
         "reason: 1001 bytes"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(UpdateFromProtoTest, WhatIsSetIsChanged) {
  v1::UpdateTaskRequest request;
  request.set_start_now(true);
  request.set_never_expires(true);
  request.mutable_deadline();
  auto write = FromProto(request, absl::FromUnixSeconds(1'000'000));
  ASSERT_OK(write);
  EXPECT_EQ(write->start_after, absl::InfinitePast());
  EXPECT_EQ(write->expires_at, absl::InfiniteFuture());
  EXPECT_EQ(write->deadline, absl::ZeroDuration());
  EXPECT_FALSE(write->priority || write->max_cost);
}

v1::TaskLine Needing(const std::string& name) {
  v1::TaskLine line;
  line.set_name("n");
  (*line.mutable_parameters())["what"] = "it";
  line.add_needs()->set_name(name);
  return line;
}

v1::TaskLine LineOfItsOwn() {
  v1::TaskLine line;
  line.set_name("n");
  (*line.mutable_parameters())["what"] = "it";
  return line;
}

NewTask OneLine(const v1::TaskLine& line, const v1::TaskSpec& spec) {
  v1::TaskChunk chunk;
  *chunk.add_lines() = line;
  auto write = FromProto("r", chunk, spec);
  EXPECT_OK(write);
  return write.ok() ? write->tasks.at(0) : NewTask();
}

TEST(FromProtoTest, EachLineMayHaveItsOwnPrompt) {
  v1::OpenBatch open;
  *open.mutable_spec() = Valid().spec();
  open.mutable_spec()->clear_prompt();
  open.set_name("b");
  EXPECT_OK(FromProto("r", open));
  v1::TaskLine line = LineOfItsOwn();
  line.set_prompt("of its own");
  EXPECT_EQ(OneLine(line, open.spec()).own_spec->prompt(), "of its own");
  v1::TaskChunk chunk;
  *chunk.add_lines() = line;
  chunk.add_lines()->set_name("without");
  EXPECT_THAT(WrongFields(FromProto("r", chunk, open.spec()).status()),
              ::testing::Contains("chunk.lines[1].prompt"));
}

TEST(OwnLimitsFromProtoTest, ALineHasItsOwnInPlaceOfTheSpecs) {
  v1::TaskSpec spec = Valid().spec();
  spec.set_priority(7);
  spec.set_max_cost_usd_micros(500'000);
  spec.mutable_timeouts()->mutable_idle()->set_seconds(60);
  NewTask task = OneLine(LineOfItsOwn(), spec);
  EXPECT_EQ(task.priority, 7);
  EXPECT_EQ(task.max_cost, 500'000);
  EXPECT_FALSE(task.own_spec.has_value());

  v1::TaskLine line = LineOfItsOwn();
  line.set_priority(0);
  line.set_max_cost_usd_micros(20'000);
  task = OneLine(line, spec);
  EXPECT_EQ(task.priority, 0);
  EXPECT_EQ(task.max_cost, 20'000);
  // No copy of the spec for what the task's row has.
  EXPECT_FALSE(task.own_spec.has_value());

  line.mutable_retry()->set_max_failures(1);
  line.mutable_timeouts()->mutable_total()->set_seconds(3600);
  task = OneLine(line, spec);
  ASSERT_TRUE(task.own_spec.has_value());
  EXPECT_EQ(task.own_spec->prompt(), spec.prompt());
  EXPECT_EQ(task.own_spec->retry().max_failures(), 1);
  EXPECT_EQ(task.own_spec->timeouts().total().seconds(), 3600);
  EXPECT_FALSE(task.own_spec->timeouts().has_idle());
}

TEST(OwnLimitsFromProtoTest, ARaiseRaisesByTheLinesMaxCost) {
  v1::TaskSpec spec = Valid().spec();
  spec.set_max_cost_usd_micros(500'000);
  spec.set_on_budget(v1::BUDGET_POLICY_RAISE);
  spec.set_raise_to_usd_micros(2'000'000);
  v1::TaskLine line = LineOfItsOwn();
  line.set_max_cost_usd_micros(1'000'000);
  const NewTask task = OneLine(line, spec);
  ASSERT_TRUE(task.own_spec.has_value());
  EXPECT_EQ(task.own_spec->max_cost_usd_micros(), 1'000'000);
  v1::TaskChunk chunk;
  line.set_max_cost_usd_micros(2'000'000);
  *chunk.add_lines() = line;
  EXPECT_THAT(
      FromProto("r", chunk, spec),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("chunk.lines[0].max_cost_usd_micros: 2000000; "
                         "expected less than the spec's raise_to_usd_micros, "
                         "2000000")));
}

TEST(NeedsFromProtoTest, APromptSaysWhichMessagesItWants) {
  v1::TaskChunk chunk;
  v1::TaskLine& line = *chunk.add_lines() = Needing("a");
  line.add_needs()->set_name("b c");
  line.add_needs()->set_all_earlier(true);
  line.set_prompt(
      "{{what}} {{ tasks.a.message }} {{tasks.a.message}} "
      "{{tasks.all.messages}}");
  auto write = FromProto("r", chunk, Valid().spec());
  ASSERT_OK(write);
  const NewTask& task = write->tasks.at(0);
  ASSERT_EQ(task.needs.size(), 3u);
  EXPECT_EQ(task.needs[0].mentions, 2);
  EXPECT_EQ(task.needs[1].mentions, 0);
  EXPECT_EQ(task.needs[2].mentions, 1);
  ASSERT_TRUE(task.own_spec.has_value());
  EXPECT_EQ(task.own_spec->prompt(), line.prompt());
  EXPECT_EQ(task.own_spec->agent().agent_id(), "agent_1");
}

TEST(NeedsFromProtoTest, ATaskAloneNamesAnyTask) {
  v1::SubmitTaskRequest request = Valid();
  const std::string id = FormatExternalId({1'700'000'000'000, 7, 42});
  request.mutable_line()->add_needs()->set_task_id(id);
  request.mutable_line()->set_prompt(
      absl::StrCat("{{tasks.", id, ".message}}"));
  auto submit = FromProto(request);
  ASSERT_OK(submit);
  const NewNeed& need = submit->task.needs.at(0);
  EXPECT_EQ(need.task, (RowKey{42, 1'700'000'000'000}));
  EXPECT_EQ(need.mentions, 1);
}

struct BadNeedCase {
  const char* name;
  std::function<void(v1::TaskLine&)> spoil;
  const char* message;
};

class BadNeedTest : public ::testing::TestWithParam<BadNeedCase> {};

TEST_P(BadNeedTest, IsRefusedWithItsField) {
  v1::TaskChunk chunk;
  *chunk.add_lines() = Needing("a");
  GetParam().spoil(*chunk.mutable_lines(0));
  EXPECT_THAT(FromProto("r", chunk, Valid().spec()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(GetParam().message)));
}

using L = v1::TaskLine;

INSTANTIATE_TEST_SUITE_P(
    Table, BadNeedTest,
    ::testing::ValuesIn<BadNeedCase>({
        {"Twice", [](L& l) { l.add_needs()->set_name("a"); },
         "chunk.lines[0].needs[1]: 'a' is there twice"},
        {"TooMany",
         [](L& l) {
           for (int i = 0; i < 100; ++i) {
             l.add_needs()->set_name(absl::StrCat(i));
           }
         },
         "chunk.lines[0].needs: 101; at most 100"},
        {"NotAll", [](L& l) { l.add_needs()->set_all_earlier(false); },
         "chunk.lines[0].needs[1].all_earlier: expected true"},
        {"NoName", [](L& l) { l.mutable_needs(0)->set_name(""); },
         "chunk.lines[0].needs[0].name: required"},
        {"NoPolicy",
         [](L& l) { l.set_on_need_failure(static_cast<v1::NeedPolicy>(9)); },
         "chunk.lines[0].on_need_failure: 9 is no policy"},
        {"ContentAndFrom",
         [](L& l) {
           v1::Input& input = *l.add_inputs();
           input.set_mount("m");
           input.set_from("a");
           input.set_sha256(std::string(64, 'a'));
         },
         "chunk.lines[0].inputs[0].sha256: comes with the task"},
        {"OutputOutside",
         [](L& l) {
           v1::Input& input = *l.add_inputs();
           input.set_mount("m");
           input.set_from("a");
           input.set_path("../x");
         },
         "chunk.lines[0].inputs[0].path: '../x' has"},
        {"MessageOfAnother", [](L& l) { l.set_prompt("{{tasks.b.message}}"); },
         "chunk.lines[0].needs: the prompt holds {{tasks.b.message}}"},
        {"MessageOutsideOfThePrompt",
         [](L& l) {
           l.set_prompt("{{tasks.a.message}}");
           l.mutable_expect()->add_files("{{tasks.a.message}}");
         },
         "chunk.lines[0].expect.files: {{tasks.a.message}} may stand in the "
         "prompt only"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(NeedsFromProtoTest, NeedsOfAChunkAreBounded) {
  v1::TaskChunk chunk;
  for (int i = 0; i < 201; ++i) {
    v1::TaskLine& line = *chunk.add_lines();
    line.set_name(absl::StrCat("n", i));
    for (int k = 0; k < 100; ++k) {
      line.add_needs()->set_name(absl::StrCat(k));
    }
  }
  EXPECT_THAT(FromProto("r", chunk, Valid().spec()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("20100 needs together; at most 20000")));
}

struct FillCase {
  const char* name;
  const char* text;
  const char* want;  // nullptr: refused
};

class FillInTest : public ::testing::TestWithParam<FillCase> {};

TEST_P(FillInTest, MatchesTable) {
  Parameters parameters;
  parameters["a"] = "1";
  parameters["b.c"] = "{{a}}";
  parameters["q"] = "{{\"{{\"}}";
  parameters["tasks.docs/a b.message"] = "m";
  auto result = FillIn(GetParam().text, parameters);
  if (GetParam().want == nullptr) {
    EXPECT_THAT(result, StatusIs(absl::StatusCode::kInvalidArgument));
  } else {
    ASSERT_OK(result);
    EXPECT_EQ(*result, GetParam().want);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, FillInTest,
    ::testing::ValuesIn<FillCase>({
        {"MessageOfATask", "{{ tasks.docs/a b.message }}!", "m!"},
        {"MessageOfAnother", "{{tasks.docs/a c.message}}", nullptr},
        {"NoMessage", "{{tasks.docs/a b}}", "{{tasks.docs/a b}}"},
        {"MessageAcrossLines", "{{tasks.a\nb.message}}",
         "{{tasks.a\nb.message}}"},
        {"MessageWithBraces", "{{tasks.{{a}}.message}}", "{{tasks.1.message}}"},
        {"Plain", "x", "x"},
        {"One", "x{{a}}y", "x1y"},
        {"Spaces", "{{ a }}", "1"},
        {"ValuesAreNotLookedInto", "{{b.c}}{{a}}", "{{a}}1"},
        {"Unknown", "{{z}}", nullptr},
        {"SomebodyElsesBraces", "{{ a b }} {{}} {{a", "{{ a b }} {{}} {{a"},
        {"Triple", "{{{a}}}", "{{{a}}}"},
        {"LiteralBraces", "{{\"{{\"}}a}} {{ \"{{\" }}{{a}}", "{{a}} {{1"},
        {"LiteralBracesInAValue", "{{q}}", "{{\"{{\"}}"},
        {"LiteralBracesOfAMessage", "{{\"{{\"}}tasks.x.message}}",
         "{{tasks.x.message}}"},
        {"OtherLiterals", "{{\"{\"}} {{\"{{\"", "{{\"{\"}} {{\"{{\""},
    }),
    [](const auto& test) { return std::string(test.param.name); });

struct BadRule {
  const char* name;
  void (*spoil)(v1::OpenBatch&);
  const char* message;
};

v1::OpenBatch ValidOpen() {
  v1::OpenBatch open;
  open.set_name("n");
  *open.mutable_spec() = Valid().spec();
  open.mutable_canary()->set_tasks(5);
  open.mutable_canary()->set_min_success(0.55);
  open.mutable_canary()->set_max_cost_usd_micros(3'000'000);
  open.mutable_stop_when()->set_failed(20);
  open.mutable_stop_when()->set_failed_ratio(0.3);
  open.mutable_stop_when()->set_after(50);
  return open;
}

TEST(RulesTest, ArePartsInMillionths) {
  absl::StatusOr<OpenBatch> open = FromProto("r", ValidOpen());
  ASSERT_OK(open);
  EXPECT_EQ(open->canary, (CanaryRule{5, 550'000, 3'000'000}));
  EXPECT_EQ(open->stop_when, (StopRule{20, 300'000, 50}));
  v1::OpenBatch plain = ValidOpen();
  plain.clear_canary();
  plain.clear_stop_when();
  open = FromProto("r", plain);
  ASSERT_OK(open);
  EXPECT_FALSE(open->canary.has_value());
  EXPECT_FALSE(open->stop_when.has_value());
  plain.mutable_canary()->set_tasks(1);
  EXPECT_EQ(FromProto("r", plain)->canary, (CanaryRule{1, 1'000'000, 0}));
}

class BadRuleTest : public ::testing::TestWithParam<BadRule> {};

TEST_P(BadRuleTest, IsRefusedWithItsField) {
  v1::OpenBatch open = ValidOpen();
  GetParam().spoil(open);
  EXPECT_THAT(FromProto("r", open), StatusIs(absl::StatusCode::kInvalidArgument,
                                             HasSubstr(GetParam().message)));
}

using O = v1::OpenBatch;

INSTANTIATE_TEST_SUITE_P(
    Table, BadRuleTest,
    ::testing::ValuesIn<BadRule>({
        {"NoTasks", [](O& o) { o.mutable_canary()->clear_tasks(); },
         "open.canary.tasks: 0; expected 1 to 1000"},
        {"TooManyTasks", [](O& o) { o.mutable_canary()->set_tasks(1001); },
         "open.canary.tasks: 1001; expected"},
        {"NoSuccess", [](O& o) { o.mutable_canary()->set_min_success(0); },
         "open.canary.min_success: 0; expected a part, over 0 and at most 1"},
        {"MoreThanAll", [](O& o) { o.mutable_canary()->set_min_success(1.5); },
         "open.canary.min_success: 1.5; expected a part"},
        {"NoNumber",
         [](O& o) { o.mutable_canary()->set_min_success(std::nan("")); },
         "open.canary.min_success: nan; expected a part"},
        {"LessThanACent",
         [](O& o) { o.mutable_canary()->set_max_cost_usd_micros(9'999); },
         "open.canary.max_cost_usd_micros: 9999; expected 10000"},
        {"NegativeFailures",
         [](O& o) { o.mutable_stop_when()->set_failed(-1); },
         "open.stop_when.failed: -1; expected 1 to 1000000"},
        {"RatioWithoutAfter",
         [](O& o) { o.mutable_stop_when()->clear_after(); },
         "open.stop_when.after: 0; expected 1 to 1000000"},
        {"AfterWithoutRatio",
         [](O& o) { o.mutable_stop_when()->clear_failed_ratio(); },
         "open.stop_when.after: 50; it is for failed_ratio"},
        {"NegativeRatio",
         [](O& o) { o.mutable_stop_when()->set_failed_ratio(-0.1); },
         "open.stop_when.failed_ratio: -0.1; expected a part"},
        {"NothingToStopWhen", [](O& o) { o.mutable_stop_when()->Clear(); },
         "open.stop_when: expected failed, or failed_ratio and after"},
    }),
    [](const auto& test) { return std::string(test.param.name); });

TEST(JournalKindTest, ThoseOfRulesHaveNames) {
  EXPECT_EQ(NameOf(JournalKind::kCanaryPassed), "canary_passed");
  EXPECT_EQ(NameOf(JournalKind::kCanaryFailed), "canary_failed");
  EXPECT_EQ(NameOf(JournalKind::kStopped), "stopped");
}

TEST(JournalKindTest, EachHasAName) {
  for (int kind = 1; kind <= static_cast<int>(JournalKind::kSkipped); ++kind) {
    EXPECT_THAT(NameOf(static_cast<JournalKind>(kind)),
                Not(HasSubstr("kind_")));
  }
  for (JournalKind kind : {JournalKind::kTaskChanged, JournalKind::kExpired,
                           JournalKind::kBatchRetried}) {
    EXPECT_THAT(NameOf(kind), Not(HasSubstr("kind_")));
  }
}

}  // namespace
}  // namespace midwatch
