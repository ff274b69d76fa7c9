#include "scheduler/need_check.h"

#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/external_id.h"
#include "scheduler/field_checks.h"

namespace midwatch {
namespace {

constexpr int kTaskNeedsMax = 100;
constexpr char kAllTasks[] = "all";
constexpr char kAllMessages[] = "tasks.all.messages";

// What inputs and prompts call it.
std::string NeedLabel(const v1::Need& need) {
  if (need.all_earlier()) return kAllTasks;
  return need.task_case() == v1::Need::kTaskId ? need.task_id() : need.name();
}

std::string MessageOf(const v1::Need& need) {
  return need.all_earlier()
             ? kAllMessages
             : absl::StrCat("tasks.", NeedLabel(need), ".message");
}

void CheckNeed(const std::string& field, const v1::Need& need, LineOf of,
               FieldViolations& wrong) {
  switch (need.task_case()) {
    case v1::Need::kName:
      wrong.Add(CheckName(field + ".name", need.name()));
      break;
    case v1::Need::kTaskId:
      if (auto id = ParseExternalId(need.task_id()); !id.ok()) {
        wrong.Add(field + ".task_id", id.status().message());
      }
      return;
    case v1::Need::kAllEarlier:
      if (!need.all_earlier()) {
        wrong.Add(field + ".all_earlier", "expected true, or another need");
      }
      break;
    default:
      return wrong.Add(field, "expected one of name, task_id, all_earlier");
  }
  if (of == LineOf::kTaskAlone) {
    wrong.Add(field,
              "only tasks of a batch have others beside them; expected "
              "a task_id");
  }
}

void CheckFrom(const std::string& field, const v1::Input& input,
               const std::set<std::string>& labels, FieldViolations& wrong) {
  if (input.from().empty()) {
    if (!input.path().empty()) {
      wrong.Add(field + ".path", "only an input with from has one");
    }
    return;
  }
  if (!labels.contains(input.from())) {
    wrong.Add(field + ".from", "'", input.from(), "' is not among needs");
  }
  if (!input.sha256().empty() || input.size_bytes() != 0) {
    wrong.Add(field + ".sha256", "comes with the task that from names");
  }
  if (!input.path().empty()) {
    wrong.Add(CheckRelativePath(field + ".path", input.path()));
  }
}

}  // namespace

void CheckNeeds(const v1::TaskLine& line, LineOf of, FieldViolations& wrong) {
  if (line.needs_size() > kTaskNeedsMax) {
    wrong.Add("needs", line.needs_size(), "; at most ", kTaskNeedsMax);
  }
  std::set<std::string> labels;
  for (int i = 0; i < line.needs_size(); ++i) {
    const std::string field = absl::StrCat("needs[", i, "]");
    CheckNeed(field, line.needs(i), of, wrong);
    if (!labels.insert(NeedLabel(line.needs(i))).second) {
      wrong.Add(field, "'", NeedLabel(line.needs(i)), "' is there twice");
    }
  }
  const v1::NeedPolicy policy = line.on_need_failure();
  if (!v1::NeedPolicy_IsValid(policy)) {
    wrong.Add("on_need_failure", static_cast<int>(policy),
              " is no policy; expected SKIP, RUN_ANYWAY or FAIL_BATCH");
  } else if (policy != v1::NEED_POLICY_UNSPECIFIED && line.needs().empty()) {
    wrong.Add("on_need_failure", "the task needs none");
  } else if (policy == v1::NEED_POLICY_FAIL_BATCH && of == LineOf::kTaskAlone) {
    wrong.Add("on_need_failure", "FAIL_BATCH is of tasks of a batch only");
  }
  for (int i = 0; i < line.inputs_size(); ++i) {
    CheckFrom(absl::StrCat("inputs[", i, "]"), line.inputs(i), labels, wrong);
  }
}

std::vector<NewNeed> ReadNeeds(const v1::TaskSpec& spec,
                               const v1::TaskLine& line, Parameters& values,
                               FieldViolations& wrong) {
  std::vector<NewNeed> needs;
  std::map<std::string, int> wanted;
  // Most prompts hold none, and each is looked through for every line.
  if (absl::StrContains(spec.prompt(), "tasks.")) {
    for (std::string& name : ParameterNames(spec.prompt())) {
      if (absl::StartsWith(name, "tasks.")) ++wanted[std::move(name)];
    }
  }
  for (const v1::Need& need : line.needs()) {
    NewNeed& is = needs.emplace_back();
    if (need.task_case() == v1::Need::kTaskId) {
      const auto id = ParseExternalId(need.task_id());
      if (id.ok()) is.task = RowKey{id->row, id->unix_millis};
    }
    const std::string message = MessageOf(need);
    auto mentioned = wanted.find(message);
    if (mentioned == wanted.end()) continue;
    is.mentions = mentioned->second;
    values[message] = "";
    wanted.erase(mentioned);
  }
  for (const auto& [other, mentions] : wanted) {
    values[other] = "";
    wrong.Add("needs", "the prompt holds {{", other,
              "}}; expected {{tasks.NAME.message}} of a task among needs, or "
              "{{tasks.all.messages}} with all_earlier");
  }
  return needs;
}

}  // namespace midwatch
