#include "cli/spec_reader.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "base/json_schema.h"
#include "cli/config_file.h"
#include "cli/money.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

constexpr size_t kNameBytesMax = 200;
constexpr int64_t kMaxCostMicrosMin = 10'000;
constexpr int64_t kMaxCostMicrosMax = 1'000'000'000'000;
// A sandbox lives 30 days.
constexpr absl::Duration kTimeoutMax = absl::Hours(29 * 24);
constexpr size_t kPromptBytesMax = 12 << 20;
constexpr size_t kPathBytesMax = 1000;
constexpr size_t kExpectedFilesMax = 100;
constexpr size_t kJsonChecksMax = 15;  // and one of the message

}  // namespace

bool IsLabelKey(absl::string_view text) {
  for (char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) &&
        !absl::StrContains("-_./", c)) {
      return false;
    }
  }
  return !text.empty() && text.size() <= 63;
}

bool IsName(absl::string_view text) {
  return !text.empty() && text.size() <= kNameBytesMax &&
         Printable(text) == text;
}

bool IsPathBelow(absl::string_view path) {
  if (path.empty() || path.size() > kPathBytesMax || path.front() == '/') {
    return false;
  }
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return Printable(path) == path;
}

std::optional<std::string> SpecReader::Text(const YAML::Node& node,
                                            absl::string_view what) {
  std::optional<std::string> text = ReadText(node, what, complaints_);
  if (!text) return std::nullopt;
  std::vector<std::string> unknown;
  std::string filled = FillIn(*text, params_, &unknown);
  if (unknown.empty()) return filled;
  complaints_.Add(node.Mark(),
                  absl::StrCat("unknown parameter {{", unknown[0], "}} in ",
                               what, "; expected one of params"));
  return std::nullopt;
}

std::optional<std::string> SpecReader::Name(const YAML::Node& node,
                                            absl::string_view what) {
  std::optional<std::string> name = Text(node, what);
  if (!name || IsName(*name)) return name;
  complaints_.Add(
      node.Mark(),
      absl::StrCat(what, " has ", name->size(), " bytes",
                   "; expected 1 to 200 without control characters"));
  return std::nullopt;
}

std::vector<std::pair<std::string, YAML::Node>> SpecReader::LabelNodes(
    const YAML::Node& node) {
  std::vector<std::pair<std::string, YAML::Node>> labels;
  if (!node.IsMap()) {
    complaints_.Add(node.Mark(), "labels is no map; expected key: value");
    return labels;
  }
  for (const auto& entry : node) {
    const YAML::Node& key = entry.first;
    const std::string name = key.IsScalar() ? key.Scalar() : "";
    const bool doubled =
        std::any_of(labels.begin(), labels.end(),
                    [&](const auto& known) { return known.first == name; });
    if (!IsLabelKey(name) || doubled) {
      complaints_.Add(key.Mark(),
                      absl::StrCat("'", Printable(name),
                                   "' cannot be a label's key; expected 1 to "
                                   "63 letters, digits and - _ . /, once"));
    } else {
      labels.emplace_back(name, entry.second);
    }
  }
  if (labels.size() > kLabelsMax) {
    complaints_.Add(node.Mark(),
                    absl::StrCat("labels has ", labels.size(),
                                 " entries; expected at most ", kLabelsMax));
  }
  return labels;
}

void SpecReader::CheckLabelValue(const YAML::Mark& mark, const std::string& key,
                                 const std::string& value) {
  if (IsName(value)) return;
  complaints_.Add(mark,
                  absl::StrCat("label ", key, " has ", value.size(),
                               " bytes; expected 1 to 200 without control "
                               "characters"));
}

std::optional<int64_t> SpecReader::Number(const YAML::Node& node,
                                          absl::string_view what, int64_t min,
                                          int64_t max) {
  std::optional<std::string> text = Text(node, what);
  if (!text) return std::nullopt;
  return NumberIn(*text, node.Mark(), what, min, max);
}

std::optional<int64_t> SpecReader::NumberIn(const std::string& text,
                                            const YAML::Mark& mark,
                                            absl::string_view what, int64_t min,
                                            int64_t max, absl::string_view of) {
  int64_t number = 0;
  if (absl::SimpleAtoi(text, &number) && number >= min && number <= max) {
    return number;
  }
  complaints_.Add(
      mark, absl::StrCat(what, " is '", Printable(text), "'", of,
                         "; expected a whole number from ", min, " to ", max));
  return std::nullopt;
}

std::optional<double> SpecReader::Part(const YAML::Node& node,
                                       absl::string_view what) {
  std::optional<std::string> text = Text(node, what);
  if (!text) return std::nullopt;
  const absl::string_view digits = *text;
  const size_t point = digits.find('.');
  const bool plain = digits.find_first_not_of("0123456789.") == digits.npos &&
                     (point == digits.npos || digits.size() - point <= 7);
  double part = 0;
  if (plain && absl::SimpleAtod(digits, &part) && part > 0 && part <= 1) {
    return part;
  }
  complaints_.Add(node.Mark(), absl::StrCat(what, " is '", Printable(*text),
                                            "'; expected a part such as 0.8, "
                                            "over 0 and at most 1"));
  return std::nullopt;
}

std::optional<int64_t> SpecReader::Usd(const YAML::Node& node,
                                       absl::string_view what) {
  std::optional<std::string> text = Text(node, what);
  if (!text) return std::nullopt;
  return UsdIn(*text, node.Mark(), what);
}

std::optional<int64_t> SpecReader::UsdIn(const std::string& text,
                                         const YAML::Mark& mark,
                                         absl::string_view what,
                                         absl::string_view of) {
  absl::StatusOr<int64_t> micros = ParseUsd(text);
  if (micros.ok() && *micros >= kMaxCostMicrosMin &&
      *micros <= kMaxCostMicrosMax) {
    return *micros;
  }
  complaints_.Add(mark, absl::StrCat(what, " is '", Printable(text), "'", of,
                                     "; expected dollars such as $0.50, from ",
                                     FormatUsd(kMaxCostMicrosMin), " to ",
                                     FormatUsd(kMaxCostMicrosMax)));
  return std::nullopt;
}

void SpecReader::ReadTimeout(const YAML::Node& node, absl::string_view what,
                             google::protobuf::Duration& timeout) {
  std::optional<std::string> text = Text(node, what);
  if (!text) return;
  absl::Duration duration;
  if (absl::ParseDuration(*text, &duration) && duration >= absl::Seconds(1) &&
      duration <= kTimeoutMax) {
    timeout.set_seconds(absl::ToInt64Seconds(duration));
    timeout.set_nanos(static_cast<int32_t>(
        (duration - absl::Seconds(timeout.seconds())) / absl::Nanoseconds(1)));
    return;
  }
  complaints_.Add(node.Mark(), absl::StrCat(what, " is '", Printable(*text),
                                            "'; expected a time such as 90s, "
                                            "10m or 1h30m, up to 696h"));
}

TaskText SpecReader::ReadTaskText(const YAML::Node& node,
                                  const std::string& what, size_t bytes_max) {
  std::optional<std::string> text = ReadText(node, what, complaints_);
  return TaskTextOf(text.value_or(""), node.Mark(), what, bytes_max);
}

TaskText SpecReader::TaskTextOf(const std::string& text, const YAML::Mark& mark,
                                const std::string& what, size_t bytes_max) {
  TaskText out{mark, what, "", {}, bytes_max};
  out.text = FillIn(text, params_, &out.parameters, Filling::kFirst);
  return out;
}

std::string SpecReader::Json(const YAML::Node& node) {
  return ToJson(
      node,
      [this](const std::string& text) {
        return FillIn(text, params_, nullptr);
      },
      complaints_);
}

// The service decides what is in them; a misspelt key shall not wait for that.
void SpecReader::ReadAgent(const YAML::Node& node, v1::AgentRef& agent) {
  if (node.IsScalar()) {
    if (auto id = Name(node, "agent")) agent.set_agent_id(*id);
    return;
  }
  auto as_is = [](const YAML::Node&) {};
  auto text = [this](const YAML::Node& n) { Text(n, "a text of the agent"); };
  ReadMap(node, "agent",
          {{"name", text, true},
           {"model", as_is, true},
           {"system", as_is},
           {"description", as_is},
           {"tools", as_is},
           {"mcp_servers", as_is},
           {"skills", as_is},
           {"multiagent", as_is},
           {"metadata", as_is},
           {"execution_identity", as_is}},
          complaints_);
  agent.set_definition_json(Json(node));
}

void SpecReader::ReadEnvironment(const YAML::Node& node,
                                 v1::EnvironmentRef& environment) {
  if (node.IsScalar()) {
    if (auto id = Name(node, "environment")) {
      environment.set_environment_id(*id);
    }
    return;
  }
  auto as_is = [](const YAML::Node&) {};
  auto text = [this](const YAML::Node& n) {
    Text(n, "a text of the environment");
  };
  ReadMap(node, "environment",
          {{"name", text, true},
           {"config", as_is},
           {"description", as_is},
           {"metadata", as_is},
           {"scope", as_is}},
          complaints_);
  environment.set_definition_json(Json(node));
}

void SpecReader::ReadRetry(const YAML::Node& node, v1::RetryPolicy& retry) {
  ReadMap(
      node, "retry",
      {{"max_failures",
        [&](const YAML::Node& n) {
          if (auto v = Number(n, "max_failures", 1, 100)) {
            retry.set_max_failures(static_cast<int32_t>(*v));
          }
        }},
       {"max_starts",
        [&](const YAML::Node& n) {
          if (auto v = Number(n, "max_starts", 1, 1000)) {
            retry.set_max_starts(static_cast<int32_t>(*v));
          }
        }},
       {"retry_refusals",
        [&](const YAML::Node& n) {
          if (auto v = ReadBool(n, "retry_refusals", complaints_)) {
            retry.set_retry_refusals(*v);
          }
        }},
       {"classes", [&](const YAML::Node& n) { ReadRetryClasses(n, retry); }}},
      complaints_);
}

void SpecReader::ReadTimeouts(const YAML::Node& node, v1::Timeouts& timeouts) {
  auto into = [&](const char* what, auto* (v1::Timeouts::*mutable_field)()) {
    return YamlKey{what, [=, this, &timeouts](const YAML::Node& n) {
                     ReadTimeout(n, what, *(timeouts.*mutable_field)());
                   }};
  };
  ReadMap(node, "timeouts",
          {into("start", &v1::Timeouts::mutable_start),
           into("idle", &v1::Timeouts::mutable_idle),
           into("total", &v1::Timeouts::mutable_total)},
          complaints_);
}

void SpecReader::ReadExpect(const YAML::Node& node, v1::Expectation& expect,
                            std::vector<TaskText>& texts) {
  auto files = [&](const YAML::Node& list) {
    if (!IsList(list, "files", complaints_)) return;
    if (list.size() > kExpectedFilesMax) {
      complaints_.Add(list.Mark(),
                      absl::StrCat("files has ", list.size(),
                                   " entries; expected at most 100"));
      return;
    }
    for (const YAML::Node& item : list) {
      TaskText text = ReadTaskText(item, "an expected file", kPathBytesMax);
      const std::string path = text.text;
      texts.push_back(std::move(text));
      if (item.IsScalar() && !IsPathBelow(path)) {
        complaints_.Add(item.Mark(),
                        absl::StrCat("expected file '", Printable(path),
                                     "'; expected a relative path under "
                                     "/mnt/session/outputs/"));
      }
      expect.add_files(path);
    }
  };
  auto file_schemas = [&](const YAML::Node& n) {
    ReadFileSchemas(n, expect, texts);
  };
  auto message_schema = [&](const YAML::Node& n) {
    ReadSchema(n, *expect.add_json());
  };
  auto check = [&](const YAML::Node& n) {
    if (auto name = Name(n, "check")) expect.set_check(*name);
  };
  ReadMap(node, "expect",
          {{"files", files},
           {"json_schema", file_schemas},
           {"message_schema", message_schema},
           {"check", check}},
          complaints_);
}

void SpecReader::ReadFileSchemas(const YAML::Node& node,
                                 v1::Expectation& expect,
                                 std::vector<TaskText>& texts) {
  if (!node.IsMap() || node.size() > kJsonChecksMax) {
    complaints_.Add(
        node.Mark(),
        absl::StrCat("json_schema is no map of at most ", kJsonChecksMax,
                     " files; expected path: schema"));
    return;
  }
  for (const auto& entry : node) {
    TaskText path =
        ReadTaskText(entry.first, "a path of json_schema", kPathBytesMax);
    if (entry.first.IsScalar() && !IsPathBelow(path.text)) {
      complaints_.Add(entry.first.Mark(),
                      absl::StrCat("expected file '", Printable(path.text),
                                   "'; expected a relative path under "
                                   "/mnt/session/outputs/"));
    }
    v1::JsonCheck& check = *expect.add_json();
    check.set_path(path.text);
    ReadSchema(entry.second, check);
    if (std::count(expect.files().begin(), expect.files().end(), path.text)) {
      continue;
    }
    expect.add_files(path.text);
    texts.push_back(std::move(path));
  }
}

void SpecReader::ReadSchema(const YAML::Node& node, v1::JsonCheck& check) {
  std::optional<std::string> text = SchemaText(node);
  if (!text) return;
  if (absl::Status status = JsonSchema::Parse(*text).status(); !status.ok()) {
    complaints_.Add(node.Mark(), absl::StrCat("this is no schema to check by: ",
                                              status.message()));
  }
  check.set_schema(*std::move(text));
}

std::optional<std::string> SpecReader::SchemaText(const YAML::Node& node) {
  auto as_it_is = [](const std::string& text) { return text; };
  if (!node.IsScalar()) return ToJson(node, as_it_is, complaints_);
  std::optional<std::string> name = Text(node, "a schema's file");
  if (!name) return std::nullopt;
  const std::string path = folder_ / *name;
  absl::StatusOr<std::string> text = ReadConfigFile(path, "a JSON Schema");
  if (!text.ok()) {
    complaints_.Add(node.Mark(), absl::StrCat(text.status().message(),
                                              "; expected a schema, or the "
                                              "file that holds it"));
    return std::nullopt;
  }
  Complaints inside(path);
  std::optional<YAML::Node> root =
      ParseYaml(*text, absl::EndsWith(path, ".json"), inside);
  std::optional<std::string> json;
  if (root) json = ToJson(*root, as_it_is, inside);
  complaints_.Take(inside);
  return json;
}

TaskText SpecReader::ReadPrompt(const YAML::Node& node) {
  std::optional<std::string> text = ReadText(node, "the prompt", complaints_);
  return text ? PromptOf(*text, node.Mark()) : TaskText();
}

TaskText SpecReader::PromptOf(const std::string& text, const YAML::Mark& mark) {
  TaskText prompt = TaskTextOf(text, mark, "the prompt", kPromptBytesMax);
  if (prompt.text.empty()) {
    complaints_.Add(mark, "the prompt is empty; expected text");
  }
  return prompt;
}

std::optional<google::protobuf::Duration> ParseAhead(absl::string_view text,
                                                     absl::Duration min) {
  constexpr absl::Duration kAheadMax = absl::Hours(366 * 24);
  absl::Duration duration;
  if (!absl::ParseDuration(text, &duration) || duration < min ||
      duration > kAheadMax) {
    return std::nullopt;
  }
  google::protobuf::Duration out;
  out.set_seconds(absl::ToInt64Seconds(duration));
  out.set_nanos(static_cast<int32_t>((duration - absl::Seconds(out.seconds())) /
                                     absl::Nanoseconds(1)));
  return out;
}

std::optional<google::protobuf::Timestamp> ParseInstant(
    absl::string_view text) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error) ||
      time < absl::UnixEpoch() ||
      time >= absl::FromCivil(absl::CivilYear(10'000), absl::UTCTimeZone())) {
    return std::nullopt;
  }
  google::protobuf::Timestamp out;
  out.set_seconds(absl::ToUnixSeconds(time));
  out.set_nanos(static_cast<int32_t>(
      (time - absl::FromUnixSeconds(out.seconds())) / absl::Nanoseconds(1)));
  return out;
}

void SetStart(const StartSpec& start, v1::TaskLine& line) {
  if (start.delay) *line.mutable_delay() = *start.delay;
  if (start.start_after) *line.mutable_start_after() = *start.start_after;
  if (start.expires_after) *line.mutable_expires_after() = *start.expires_after;
}

void SetOwn(const OwnSpec& own, v1::TaskLine& line) {
  if (own.prompt) line.set_prompt(own.prompt->text);
  if (own.expect) *line.mutable_expect() = *own.expect;
  if (own.retry) *line.mutable_retry() = *own.retry;
  if (own.timeouts) *line.mutable_timeouts() = *own.timeouts;
  SetStart(own.start, line);
}

void CheckOwnMaxCost(const v1::TaskSpec& spec, const v1::TaskLine& line,
                     const YAML::Mark& mark, Complaints& complaints) {
  if (spec.on_budget() != v1::BUDGET_POLICY_RAISE) return;
  if (line.max_cost_usd_micros() < spec.raise_to_usd_micros()) return;
  complaints.Add(
      mark, absl::StrCat("max_cost of task '", Printable(line.name()), "' is ",
                         FormatUsd(line.max_cost_usd_micros()),
                         "; expected less than raise_to of defaults (",
                         FormatUsd(spec.raise_to_usd_micros()), ")"));
}

std::vector<YamlKey> SpecReader::StartKeys(StartSpec& start) {
  auto ahead = [&](const char* what,
                   std::optional<google::protobuf::Duration>& out,
                   absl::Duration min) {
    return YamlKey{what, [this, what, &out, min](const YAML::Node& n) {
                     std::optional<std::string> text = Text(n, what);
                     if (!text) return;
                     out = ParseAhead(*text, min);
                     if (out) return;
                     complaints_.Add(
                         n.Mark(), absl::StrCat(what, " is '", Printable(*text),
                                                "'; ", kExpectedAhead));
                   }};
  };
  return {ahead("delay", start.delay, absl::ZeroDuration()),
          ahead("expires_after", start.expires_after, absl::Seconds(1)),
          {"start_after", [&](const YAML::Node& n) {
             std::optional<std::string> text = Text(n, "start_after");
             if (!text) return;
             start.start_after = ParseInstant(*text);
             if (!start.start_after) {
               complaints_.Add(
                   n.Mark(), absl::StrCat("start_after is '", Printable(*text),
                                          "'; ", kExpectedInstant));
             } else if (start.delay) {
               complaints_.Add(n.Mark(), kDelayTwice);
             }
           }}};
}

void SpecReader::ReadUnique(const YAML::Node& node, SpecWithTexts& out) {
  v1::UniqueKey& unique = *out.spec.mutable_unique();
  auto key = [&](const YAML::Node& n) {
    TaskText text = ReadTaskText(n, "the unique key", kNameBytesMax);
    unique.set_key(text.text);
    if (n.IsScalar() && text.parameters.empty() && !IsName(text.text)) {
      complaints_.Add(n.Mark(),
                      "the unique key is empty, or not one line of 1 to 200 "
                      "bytes; expected such a text");
    }
    out.others.push_back(std::move(text));
  };
  auto held_while = [&](const YAML::Node& n) {
    std::optional<std::string> text = Text(n, "while");
    if (!text || *text == "unfinished") return;
    complaints_.Add(n.Mark(), absl::StrCat("while is '", Printable(*text),
                                           "'; expected unfinished, or for in "
                                           "its place"));
  };
  auto held_for = [&](const YAML::Node& n) {
    std::optional<std::string> text = Text(n, "for");
    if (!text) return;
    auto span = ParseAhead(*text, absl::Seconds(1));
    if (!span) {
      complaints_.Add(n.Mark(), absl::StrCat("for is '", Printable(*text),
                                             "'; ", kExpectedAhead));
      return;
    }
    *unique.mutable_held_for() = *span;
    if (node["while"]) {
      complaints_.Add(n.Mark(), "for beside while; expected one of the two");
    }
  };
  ReadMap(node, "unique",
          {{"key", key, true}, {"while", held_while}, {"for", held_for}},
          complaints_);
}

std::vector<YamlKey> SpecReader::OwnKeys(OwnSpec& own) {
  std::vector<YamlKey> keys = StartKeys(own.start);
  keys.push_back({"retry", [&](const YAML::Node& n) {
                    ReadRetry(n, own.retry.emplace());
                  }});
  keys.push_back({"timeouts", [&](const YAML::Node& n) {
                    ReadTimeouts(n, own.timeouts.emplace());
                  }});
  for (YamlKey& key : OwnTextKeys(own)) keys.push_back(std::move(key));
  return keys;
}

std::vector<YamlKey> SpecReader::OwnTextKeys(OwnSpec& own) {
  return {{"prompt", [&](const YAML::Node& n) { own.prompt = ReadPrompt(n); }},
          {"expect",
           [&](const YAML::Node& n) {
             ReadExpect(n, own.expect.emplace(), own.files);
           }},
          {"spec", nullptr}};
}

SpecWithTexts SpecReader::ReadSpec(const YAML::Node& node) {
  SpecWithTexts out;
  v1::TaskSpec& spec = out.spec;
  if (node.IsMap() && !node["prompt"]) out.without_prompt = node.Mark();
  StartSpec start;
  std::vector<YamlKey> keys = StartKeys(start);
  std::vector<YamlKey> others = {
      {"agent",
       [&](const YAML::Node& n) { ReadAgent(n, *spec.mutable_agent()); }, true},
      {"environment",
       [&](const YAML::Node& n) {
         ReadEnvironment(n, *spec.mutable_environment());
       }},
      {"prompt",
       [&](const YAML::Node& n) {
         out.prompt = ReadPrompt(n);
         spec.set_prompt(out.prompt.text);
       }},
      {"max_cost",
       [&](const YAML::Node& n) {
         if (auto v = Usd(n, "max_cost")) spec.set_max_cost_usd_micros(*v);
       }},
      {"retry",
       [&](const YAML::Node& n) { ReadRetry(n, *spec.mutable_retry()); }},
      {"timeouts",
       [&](const YAML::Node& n) { ReadTimeouts(n, *spec.mutable_timeouts()); }},
      {"expect",
       [&](const YAML::Node& n) {
         ReadExpect(n, *spec.mutable_expect(), out.files);
       }},
      {"priority",
       [&](const YAML::Node& n) {
         if (auto v = Number(n, "priority", 0, kPriorityMax)) {
           spec.set_priority(static_cast<int32_t>(*v));
         }
       }},
      {"concurrency_key",
       [&](const YAML::Node& n) {
         TaskText text = ReadTaskText(n, "concurrency_key", kNameBytesMax);
         spec.set_concurrency_key(text.text);
         out.others.push_back(std::move(text));
       }},
      {"labels",
       [&](const YAML::Node& n) {
         for (const auto& [key, value] : LabelNodes(n)) {
           auto text = Text(value, "a label");
           if (!text) continue;
           CheckLabelValue(value.Mark(), key, *text);
           (*spec.mutable_labels())[key] = *text;
         }
       }},
      {"answers",
       [&](const YAML::Node& n) {
         auto text = Text(n, "answers");
         if (!text) return;
         v1::AnswerPolicy policy = v1::ANSWER_POLICY_UNSPECIFIED;
         v1::AnswerPolicy_Parse(
             absl::StrCat("ANSWER_POLICY_", absl::AsciiStrToUpper(*text)),
             &policy);
         if (policy == v1::ANSWER_POLICY_UNSPECIFIED) {
           complaints_.Add(n.Mark(),
                           absl::StrCat("answers is '", Printable(*text),
                                        "'; expected ask, allow or deny"));
         }
         spec.set_answers(policy);
       }},
      {"on_budget",
       [&](const YAML::Node& n) {
         auto text = Text(n, "on_budget");
         if (!text) return;
         v1::BudgetPolicy policy = v1::BUDGET_POLICY_UNSPECIFIED;
         v1::BudgetPolicy_Parse(
             absl::StrCat("BUDGET_POLICY_", absl::AsciiStrToUpper(*text)),
             &policy);
         if (policy == v1::BUDGET_POLICY_UNSPECIFIED) {
           complaints_.Add(n.Mark(),
                           absl::StrCat("on_budget is '", Printable(*text),
                                        "'; expected fail, ask or raise"));
         }
         spec.set_on_budget(policy);
       }},
      {"start",
       [&](const YAML::Node& n) {
         auto text = Text(n, "start");
         if (!text) return;
         v1::StartMode mode = v1::START_MODE_UNSPECIFIED;
         v1::StartMode_Parse(
             absl::StrCat("START_MODE_", absl::AsciiStrToUpper(*text)), &mode);
         if (mode == v1::START_MODE_UNSPECIFIED) {
           complaints_.Add(n.Mark(),
                           absl::StrCat("start is '", Printable(*text),
                                        "'; expected two_calls "
                                        "or one_call"));
         }
         spec.set_start(mode);
       }},
      {"raise_to",
       [&](const YAML::Node& n) {
         if (auto v = Usd(n, "raise_to")) spec.set_raise_to_usd_micros(*v);
       }},
      {"answer_within",
       [&](const YAML::Node& n) {
         ReadTimeout(n, "answer_within", *spec.mutable_answer_within());
       }},
      {"max_repeats",
       [&](const YAML::Node& n) {
         if (auto v = Number(n, "max_repeats", 2, 1'000'000)) {
           spec.set_max_repeats(static_cast<int32_t>(*v));
         }
       }},
      {"needs", nullptr, false, "in a task"},
      {"outcome", nullptr},
      {"output", nullptr},
      {"deadline",
       [&](const YAML::Node& n) {
         ReadTimeout(n, "deadline", *spec.mutable_deadline());
       }},
      {"unique", [&](const YAML::Node& n) { ReadUnique(n, out); }}};
  keys.insert(keys.end(), others.begin(), others.end());
  ReadMap(node, "defaults", keys, complaints_);
  if (start.delay) *spec.mutable_delay() = *start.delay;
  if (start.start_after) *spec.mutable_start_after() = *start.start_after;
  if (start.expires_after) *spec.mutable_expires_after() = *start.expires_after;
  CheckRaise(node, spec);
  return out;
}

// One that the other needs may come after it, so this comes last.
void SpecReader::CheckRaise(const YAML::Node& node, const v1::TaskSpec& spec) {
  if (!node.IsMap()) return;
  const YAML::Node raise_to = node["raise_to"];
  if (spec.on_budget() != v1::BUDGET_POLICY_RAISE) {
    if (raise_to) {
      complaints_.Add(raise_to.Mark(), "raise_to is for on_budget: raise");
    }
    return;
  }
  if (!raise_to) {
    complaints_.Add(node["on_budget"].Mark(),
                    "on_budget is raise, and raise_to is missing; expected "
                    "what the task may cost in all");
    return;
  }
  const int64_t max_cost = spec.max_cost_usd_micros() > 0
                               ? spec.max_cost_usd_micros()
                               : kMaxCostMicrosDefault;
  if (spec.raise_to_usd_micros() == 0) return;  // complained of already
  if (spec.raise_to_usd_micros() > max_cost) return;
  complaints_.Add(
      raise_to.Mark(),
      absl::StrCat("raise_to is ", FormatUsd(spec.raise_to_usd_micros()),
                   "; expected more than max_cost (", FormatUsd(max_cost),
                   ")"));
}

}  // namespace midwatch::cli
