#include "scheduler/spec_check.h"

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <tuple>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json_schema.h"
#include "scheduler/field_checks.h"
#include "scheduler/retry.h"
#include "store/proto_time.h"

namespace midwatch {
namespace {

using Json = nlohmann::json;

constexpr int64_t kCentUsdMicros = 10'000;
constexpr int64_t kMaxCostDefault = 1'000'000;
constexpr int64_t kMaxCostMax = 1'000'000'000'000;
constexpr int kJsonChecksMax = 16;

void CheckAgentDefinition(const std::string& text, FieldViolations& wrong) {
  constexpr absl::string_view kField = "spec.agent.definition_json";
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return wrong.Add(kField, "expected a JSON object");
  for (const char* key : {"model", "name"}) {
    if (!json.contains(key)) {
      wrong.Add(absl::StrCat(kField, ".", key), "required");
    }
  }
  Json::const_iterator tools = json.find("tools");
  if (tools == json.end() || tools->is_null()) return;
  if (!tools->is_array()) {
    wrong.Add(absl::StrCat(kField, ".tools"), "expected an array");
  }
}

void CheckAgent(const v1::TaskSpec& spec, FieldViolations& wrong) {
  switch (spec.agent().ref_case()) {
    case v1::AgentRef::kAgentId:
      return wrong.Add(
          CheckName("spec.agent.agent_id", spec.agent().agent_id()));
    case v1::AgentRef::kDefinitionJson:
      return CheckAgentDefinition(spec.agent().definition_json(), wrong);
    default:
      wrong.Add("spec.agent", "required: agent_id or definition_json");
  }
}

void CheckEnvironment(const v1::TaskSpec& spec, FieldViolations& wrong) {
  switch (spec.environment().ref_case()) {
    case v1::EnvironmentRef::kEnvironmentId:
      return wrong.Add(CheckName("spec.environment.environment_id",
                                 spec.environment().environment_id()));
    case v1::EnvironmentRef::kDefinitionJson: {
      Json json =
          Json::parse(spec.environment().definition_json(), nullptr, false);
      if (!json.is_object()) {
        wrong.Add("spec.environment.definition_json", "expected a JSON object");
      }
      return;
    }
    default:
      return;
  }
}

bool HasParameters(absl::string_view text) {
  return absl::StrContains(text, "{{");
}

absl::Status CheckConcurrencyKey(const std::string& key) {
  if (key.size() <= 200) return absl::OkStatus();
  return Bad("spec.concurrency_key: ", key.size(), " bytes; at most 200");
}

std::string FileField(int i) {
  return absl::StrCat("spec.expect.files[", i, "]");
}

// `where` is "spec." or "", here and below.
void CheckPromptSize(const std::string& where, const std::string& prompt,
                     FieldViolations& wrong) {
  if (prompt.size() <= kPromptBytesMax) return;
  wrong.Add(where + "prompt", prompt.size(), " bytes; at most ",
            kPromptBytesMax, " (12 MiB)");
}

void CheckJsonChecks(const std::string& field, const v1::Expectation& expect,
                     FieldViolations& wrong) {
  if (expect.json_size() > kJsonChecksMax) {
    return wrong.Add(field, expect.json_size(), "; at most ", kJsonChecksMax);
  }
  for (int i = 0; i < expect.json_size(); ++i) {
    const std::string& path = expect.json(i).path();
    if (!path.empty() && !absl::c_linear_search(expect.files(), path)) {
      wrong.Add(absl::StrCat(field, "[", i, "].path"), path,
                "; expected one of expect.files, or none for the message");
    }
    const absl::Status schema =
        JsonSchema::Parse(expect.json(i).schema()).status();
    if (schema.ok()) continue;
    wrong.Add(absl::StrCat(field, "[", i, "].schema"), schema.message());
  }
}

void CheckExpectation(const std::string& where, const v1::Expectation& expect,
                      FieldViolations& wrong) {
  if (expect.files_size() > 100) {
    wrong.Add(where + "expect.files", expect.files_size(), "; at most 100");
  }
  for (int i = 0; i < expect.files_size(); ++i) {
    if (HasParameters(expect.files(i))) continue;
    wrong.Add(CheckRelativePath(absl::StrCat(where, "expect.files[", i, "]"),
                                expect.files(i)));
  }
  CheckJsonChecks(where + "expect.json", expect, wrong);
  if (!expect.check().empty()) {
    wrong.Add(CheckName(where + "expect.check", expect.check()));
  }
}

// Whether it is unset, or 1 second to 24 hours.
bool IsBackoff(bool is_set, const google::protobuf::Duration& backoff) {
  const absl::Duration span = FromDuration(backoff);
  return !is_set || (span >= absl::Seconds(1) && span <= absl::Hours(24));
}

void CheckClassRetry(const std::string& field, const v1::ClassRetry& rule,
                     FieldViolations& wrong) {
  switch (rule.failure_class()) {
    case v1::FAILURE_CLASS_SERVICE:
    case v1::FAILURE_CLASS_TASK:
    case v1::FAILURE_CLASS_REFUSAL:
      break;
    default:
      wrong.Add(field + ".failure_class",
                static_cast<int>(rule.failure_class()),
                "; expected SERVICE, TASK or REFUSAL");
  }
  if (rule.max_failures() < 0 || rule.max_failures() > 100) {
    wrong.Add(field + ".max_failures", rule.max_failures(),
              "; expected 1 to 100");
  }
  for (const auto& [name, is_set, backoff] :
       {std::tuple(".backoff", rule.has_backoff(), rule.backoff()),
        std::tuple(".backoff_max", rule.has_backoff_max(),
                   rule.backoff_max())}) {
    if (IsBackoff(is_set, backoff)) continue;
    wrong.Add(field + name, "expected 1 second to 24 hours");
  }
  if (rule.has_backoff() && rule.has_backoff_max() &&
      FromDuration(rule.backoff_max()) < FromDuration(rule.backoff())) {
    wrong.Add(field + ".backoff_max", "expected no less than backoff");
  }
}

void CheckRetry(const std::string& where, const v1::RetryPolicy& retry,
                FieldViolations& wrong) {
  if (retry.max_failures() < 0 || retry.max_failures() > 100) {
    wrong.Add(where + "retry.max_failures", retry.max_failures(),
              "; expected 1 to 100");
  }
  if (retry.max_starts() < 0 || retry.max_starts() > 1000) {
    wrong.Add(where + "retry.max_starts", retry.max_starts(),
              "; expected 1 to 1000");
  }
  std::set<v1::FailureClass> seen;
  for (int i = 0; i < retry.classes_size(); ++i) {
    const std::string field = absl::StrCat(where, "retry.classes[", i, "]");
    CheckClassRetry(field, retry.classes(i), wrong);
    if (seen.insert(retry.classes(i).failure_class()).second) continue;
    wrong.Add(field + ".failure_class", "is there twice; expected once");
  }
}

void CheckTimeouts(const std::string& where, const v1::Timeouts& timeouts,
                   FieldViolations& wrong) {
  wrong.Add(CheckDuration(where + "timeouts.start", timeouts.start()));
  wrong.Add(CheckDuration(where + "timeouts.idle", timeouts.idle()));
  wrong.Add(CheckDuration(where + "timeouts.total", timeouts.total()));
}

void CheckMaxCost(const std::string& where, int64_t max_cost,
                  FieldViolations& wrong) {
  if (max_cost >= kCentUsdMicros && max_cost <= kMaxCostMax) return;
  wrong.Add(where + "max_cost_usd_micros", max_cost,
            "; expected 10000 (one cent) to 10^12");
}

// Of a spec or a line.
template <typename Message>
void CheckPriority(const std::string& where, const Message& message,
                   FieldViolations& wrong) {
  if (!message.has_priority()) return;
  if (message.priority() >= 0 && message.priority() <= 9) return;
  wrong.Add(where + "priority", message.priority(), "; expected 0 to 9");
}

void CheckLimits(const v1::TaskSpec& spec, FieldViolations& wrong) {
  CheckMaxCost("spec.", spec.max_cost_usd_micros(), wrong);
  CheckRetry("spec.", spec.retry(), wrong);
  if (spec.max_repeats() != 0 &&
      (spec.max_repeats() < 2 || spec.max_repeats() > 1'000'000)) {
    wrong.Add("spec.max_repeats", spec.max_repeats(),
              "; expected 2 to 1,000,000");
  }
  CheckTimeouts("spec.", spec.timeouts(), wrong);
  wrong.Add(CheckDuration("spec.answer_within", spec.answer_within()));
  wrong.Add(CheckDuration("spec.deadline", spec.deadline()));
  if (!v1::AnswerPolicy_IsValid(spec.answers())) {
    wrong.Add("spec.answers", static_cast<int>(spec.answers()),
              " is no policy; expected ASK, ALLOW or DENY");
  }
  if (!v1::BudgetPolicy_IsValid(spec.on_budget())) {
    wrong.Add("spec.on_budget", static_cast<int>(spec.on_budget()),
              " is no policy; expected FAIL, ASK or RAISE");
  }
  if (!v1::StartMode_IsValid(spec.start())) {
    wrong.Add("spec.start", static_cast<int>(spec.start()),
              " is no way to start; expected TWO_CALLS or ONE_CALL");
  }
  const bool raises = spec.on_budget() == v1::BUDGET_POLICY_RAISE;
  if (!raises && spec.raise_to_usd_micros() != 0) {
    wrong.Add("spec.raise_to_usd_micros", spec.raise_to_usd_micros(),
              "; only on_budget RAISE has one");
  }
  if (raises && (spec.raise_to_usd_micros() <= spec.max_cost_usd_micros() ||
                 spec.raise_to_usd_micros() > kMaxCostMax)) {
    wrong.Add("spec.raise_to_usd_micros", spec.raise_to_usd_micros(),
              "; expected more than max_cost_usd_micros, at most 10^12");
  }
  CheckPriority("spec.", spec, wrong);
}

// Delay and start_after, and the expiry: the spec's or a line's.
template <typename Message>
void CheckStart(const std::string& where, const Message& message,
                FieldViolations& wrong) {
  if (message.has_delay()) {
    wrong.Add(
        CheckAhead(where + "delay", message.delay(), absl::ZeroDuration()));
  }
  if (message.has_start_after()) {
    wrong.Add(CheckInstant(where + "start_after", message.start_after()));
    if (message.has_delay()) {
      wrong.Add(where + "start_after", "beside delay; expected one of the two");
    }
  }
  if (message.has_expires_after()) {
    wrong.Add(CheckAhead(where + "expires_after", message.expires_after(),
                         absl::Seconds(1)));
  }
}

// With its parameters filled in.
absl::Status CheckUniqueKey(const std::string& key) {
  return CheckName("spec.unique.key", key);
}

void CheckUnique(const v1::TaskSpec& spec, FieldViolations& wrong) {
  if (!spec.has_unique()) return;
  if (!HasParameters(spec.unique().key())) {
    wrong.Add(CheckUniqueKey(spec.unique().key()));
  }
  if (spec.unique().has_held_for()) {
    wrong.Add(CheckAhead("spec.unique.held_for", spec.unique().held_for(),
                         absl::Seconds(1)));
  }
}

}  // namespace

void CheckSpec(v1::TaskSpec& spec, FieldViolations& wrong) {
  CheckAgent(spec, wrong);
  CheckEnvironment(spec, wrong);
  CheckPromptSize("spec.", spec.prompt(), wrong);
  if (spec.max_cost_usd_micros() == 0) {
    spec.set_max_cost_usd_micros(kMaxCostDefault);
  }
  CheckLimits(spec, wrong);
  CheckExpectation("spec.", spec.expect(), wrong);
  if (!HasParameters(spec.concurrency_key())) {
    wrong.Add(CheckConcurrencyKey(spec.concurrency_key()));
  }
  CheckLabels("spec.labels", spec.labels(), wrong);
  CheckStart("spec.", spec, wrong);
  CheckUnique(spec, wrong);
}

void CheckOwnSpec(const v1::TaskSpec& spec, const v1::TaskLine& line,
                  FieldViolations& wrong) {
  CheckPromptSize("", line.prompt(), wrong);
  CheckExpectation("", line.expect(), wrong);
  CheckStart("", line, wrong);
  CheckPriority("", line, wrong);
  CheckRetry("", line.retry(), wrong);
  CheckTimeouts("", line.timeouts(), wrong);
  if (line.max_cost_usd_micros() == 0) return;
  CheckMaxCost("", line.max_cost_usd_micros(), wrong);
  if (spec.on_budget() == v1::BUDGET_POLICY_RAISE &&
      line.max_cost_usd_micros() >= spec.raise_to_usd_micros()) {
    wrong.Add("max_cost_usd_micros", line.max_cost_usd_micros(),
              "; expected less than the spec's raise_to_usd_micros, ",
              spec.raise_to_usd_micros());
  }
}

void CheckFilledIn(const v1::TaskSpec& spec, const v1::TaskSpec& filled,
                   FieldViolations& wrong) {
  auto add = [&](const absl::Status& status) {
    if (status.ok()) return;
    wrong.Add("parameters", "with them filled in, ", status.message());
  };
  if (filled.prompt().size() > kPromptBytesMax &&
      HasParameters(spec.prompt())) {
    add(Bad("spec.prompt: ", filled.prompt().size(), " bytes; at most ",
            kPromptBytesMax));
  }
  for (int i = 0; i < spec.expect().files_size(); ++i) {
    if (!HasParameters(spec.expect().files(i))) continue;
    add(CheckRelativePath(FileField(i), filled.expect().files(i)));
  }
  if (HasParameters(spec.concurrency_key())) {
    add(CheckConcurrencyKey(filled.concurrency_key()));
  }
  if (HasParameters(spec.unique().key())) {
    add(CheckUniqueKey(filled.unique().key()));
  }
}

}  // namespace midwatch
