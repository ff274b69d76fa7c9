// The parts of a batch file that describe how a task runs.
#ifndef MIDWATCH_CLI_SPEC_READER_H_
#define MIDWATCH_CLI_SPEC_READER_H_

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/template_text.h"
#include "cli/yaml_reader.h"
#include "midwatch/v1/task.pb.h"

namespace midwatch::cli {

// A text of the spec that the scheduler fills in for each task, and which
// parameters it asks of the task.
struct TaskText {
  YAML::Mark mark;
  std::string what;                     // "the prompt"
  std::string text;                     // with params filled in
  std::vector<std::string> parameters;  // each as often as it stands there
  size_t bytes_max = 0;                 // with all filled in
};

struct SpecWithTexts {
  v1::TaskSpec spec;
  TaskText prompt;
  // Where the spec is that has none; each task needs its own then.
  std::optional<YAML::Mark> without_prompt;
  std::vector<TaskText> files, others;  // files: expected ones
};

// When a task may start and when it expires: of defaults, or a task's own.
struct StartSpec {
  std::optional<google::protobuf::Duration> delay, expires_after;
  std::optional<google::protobuf::Timestamp> start_after;
};

// "90s", "10m", "1h30m": `min` to 366 days. Nothing where it is none.
std::optional<google::protobuf::Duration> ParseAhead(absl::string_view text,
                                                     absl::Duration min);
inline constexpr char kExpectedAhead[] =
    "expected a time such as 90s, 10m or 24h, up to 8784h (366 days)";
// "2026-12-01T06:00:00Z", of the years 1970 to 9999. Nothing where it is none.
std::optional<google::protobuf::Timestamp> ParseInstant(absl::string_view text);
inline constexpr char kExpectedInstant[] =
    "expected a time such as 2026-12-01T06:00:00Z";
inline constexpr char kDelayTwice[] =
    "start_after beside delay; expected one of the two";

// What tasks have in place of the defaults.
struct OwnSpec {
  std::optional<TaskText> prompt;
  std::optional<v1::Expectation> expect;
  std::vector<TaskText> files;
  std::optional<v1::RetryPolicy> retry;
  std::optional<v1::Timeouts> timeouts;
  StartSpec start;
};

// Reads values in which {{name}} stands for one of `params`, which outlive the
// reader.
class SpecReader {
 public:
  // Files are named from `folder` on.
  SpecReader(std::filesystem::path folder, const Values& params,
             Complaints& complaints)
      : folder_(std::move(folder)), params_(params), complaints_(complaints) {}

  // `defaults` of a batch file. Complains of all that is wrong with it.
  SpecWithTexts ReadSpec(const YAML::Node& node);

  // The keys by which tasks have things of their own, read into `own`, which
  // outlives them.
  std::vector<YamlKey> OwnKeys(OwnSpec& own);

  // The keys of `start`, which outlives them.
  std::vector<YamlKey> StartKeys(StartSpec& start);

  // The prompt that `text` is; complains of an empty one.
  TaskText PromptOf(const std::string& text, const YAML::Mark& mark);

  // One value with its params filled in; complains of unknown ones.
  std::optional<std::string> Text(const YAML::Node& node,
                                  absl::string_view what);
  // Text of 1 to 200 bytes without control characters.
  std::optional<std::string> Name(const YAML::Node& node,
                                  absl::string_view what);
  // `labels`: keys with the places of their values, once each.
  std::vector<std::pair<std::string, YAML::Node>> LabelNodes(
      const YAML::Node& node);
  // Complains where the value could not be a label's.
  void CheckLabelValue(const YAML::Mark& mark, const std::string& key,
                       const std::string& value);
  std::optional<int64_t> Number(const YAML::Node& node, absl::string_view what,
                                int64_t min, int64_t max);
  // Over 0 and at most 1, in up to six decimals.
  std::optional<double> Part(const YAML::Node& node, absl::string_view what);
  // Dollars, as max_cost takes them.
  std::optional<int64_t> Usd(const YAML::Node& node, absl::string_view what);
  // The same of a text with all filled in. `of` says whose it is, behind the
  // value in a complaint: " (FILE:3)".
  std::optional<int64_t> NumberIn(const std::string& text,
                                  const YAML::Mark& mark,
                                  absl::string_view what, int64_t min,
                                  int64_t max, absl::string_view of = "");
  std::optional<int64_t> UsdIn(const std::string& text, const YAML::Mark& mark,
                               absl::string_view what,
                               absl::string_view of = "");

 private:
  void ReadAgent(const YAML::Node& node, v1::AgentRef& agent);
  void ReadEnvironment(const YAML::Node& node, v1::EnvironmentRef& environment);
  void ReadRetry(const YAML::Node& node, v1::RetryPolicy& retry);
  // retry_classes.cc
  void ReadRetryClasses(const YAML::Node& node, v1::RetryPolicy& retry);
  void ReadClassRetry(const YAML::Node& node, const std::string& name,
                      v1::ClassRetry& rule);
  void ReadBackoff(const YAML::Node& node, absl::string_view what,
                   google::protobuf::Duration& backoff);
  void ReadTimeouts(const YAML::Node& node, v1::Timeouts& timeouts);
  void ReadExpect(const YAML::Node& node, v1::Expectation& expect,
                  std::vector<TaskText>& texts);
  // `json_schema`: paths with the schemas that their files fit, which are
  // expected then.
  void ReadFileSchemas(const YAML::Node& node, v1::Expectation& expect,
                       std::vector<TaskText>& texts);
  // A JSON Schema, or the file that holds it.
  void ReadSchema(const YAML::Node& node, v1::JsonCheck& check);
  std::optional<std::string> SchemaText(const YAML::Node& node);
  TaskText ReadPrompt(const YAML::Node& node);
  TaskText TaskTextOf(const std::string& text, const YAML::Mark& mark,
                      const std::string& what, size_t bytes_max);
  std::vector<YamlKey> OwnTextKeys(OwnSpec& own);
  void ReadUnique(const YAML::Node& node, SpecWithTexts& out);
  // Complains where on_budget, raise_to and max_cost do not go together.
  void CheckRaise(const YAML::Node& node, const v1::TaskSpec& spec);
  void ReadTimeout(const YAML::Node& node, absl::string_view what,
                   google::protobuf::Duration& timeout);
  // A text whose other parameters are each task's.
  TaskText ReadTaskText(const YAML::Node& node, const std::string& what,
                        size_t bytes_max);
  std::string Json(const YAML::Node& node);

  const std::filesystem::path folder_;
  const Values& params_;
  Complaints& complaints_;
};

// The task's own, where it has them.
void SetStart(const StartSpec& start, v1::TaskLine& line);
void SetOwn(const OwnSpec& own, v1::TaskLine& line);

// Complains where a task of `spec` may not have the max_cost that `line` has.
void CheckOwnMaxCost(const v1::TaskSpec& spec, const v1::TaskLine& line,
                     const YAML::Mark& mark, Complaints& complaints);

// What priority may be.
inline constexpr int64_t kPriorityMax = 9;

// Whether `text` is 1 to 200 bytes without control characters, as names of
// batches and tasks must be.
bool IsName(absl::string_view text);

// Of a task whose max_cost is not given.
inline constexpr int64_t kMaxCostMicrosDefault = 1'000'000;

// Of a task, its own and those of the spec.
inline constexpr size_t kLabelsMax = 16;

// Whether `text` is 1 to 63 letters, digits and - _ . /
bool IsLabelKey(absl::string_view text);

// Whether `path` is relative, stays below where it starts, and has at most 1000
// bytes.
bool IsPathBelow(absl::string_view path);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_SPEC_READER_H_
