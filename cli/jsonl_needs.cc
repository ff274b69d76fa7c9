// What the tasks of a JSONL batch need of each other: those on earlier lines.
#include <string>

#include "absl/strings/str_cat.h"
#include "base/external_id.h"
#include "cli/json_line.h"
#include "cli/jsonl_tasks.h"
#include "cli/need_words.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

using JsonKind = JsonValue::Kind;

}  // namespace

// "all", a name or {"task": ID}, or a list of these two.
void JsonlTasks::ReadNeeds(const JsonValue& value, v1::TaskLine& task,
                           Complaints& complaints) {
  if (value.kind == JsonKind::kString && value.text == kAllTasks) {
    task.add_needs()->set_all_earlier(true);
  } else if (value.kind == JsonKind::kString ||
             value.kind == JsonKind::kNumber || value.kind == JsonKind::kBool ||
             value.kind == JsonKind::kMap) {
    ReadNeed(value, task, complaints);
  } else if (value.kind != JsonKind::kList) {
    complaints.Add(PlaceIn(*file_, value.at),
                   absl::StrCat("needs is ", KindOf(value),
                                "; expected the name of a task, {\"task\": "
                                "ID}, a list, or \"all\""));
  } else if (value.items.size() > kTaskNeedsMax) {
    complaints.Add(PlaceIn(*file_, value.at),
                   absl::StrCat("needs has ", value.items.size(),
                                " entries; expected at most ", kTaskNeedsMax,
                                ", or \"all\""));
  } else {
    for (const JsonValue& item : value.items) ReadNeed(item, task, complaints);
  }
}

void JsonlTasks::ReadNeed(const JsonValue& value, v1::TaskLine& task,
                          Complaints& complaints) {
  const size_t before = complaints.count();
  v1::Need need;
  if (value.kind == JsonKind::kMap) {
    std::string id;
    ForEachMember(
        *file_, value, "a need", complaints, [&](const JsonMember& member) {
          if (member.name == "task") {
            id = ReadValue(member.value, "task", complaints);
          } else {
            complaints.Add(PlaceIn(*file_, member.at),
                           absl::StrCat("unknown key '", Printable(member.name),
                                        "' in a need; expected task"));
          }
        });
    if (complaints.count() > before) return;
    need.set_task_id(id);
    if (!ParseExternalId(id).ok()) {
      complaints.Add(PlaceIn(*file_, value.at),
                     absl::StrCat("a need is task '", Printable(id),
                                  "'; expected the id of a task, of 26 "
                                  "characters"));
      return;
    }
  } else {
    need.set_name(ReadValue(value, "a need", complaints));
    if (complaints.count() > before) return;
    if (!IsName(need.name())) {
      complaints.Add(PlaceIn(*file_, value.at),
                     absl::StrCat("a need is '", Printable(need.name()),
                                  "'; expected the name of a task"));
      return;
    }
  }
  if (IsNeeded(task, NeedLabel(need))) {
    complaints.Add(PlaceIn(*file_, value.at),
                   absl::StrCat("'", Printable(NeedLabel(need)),
                                "' is needed twice; expected once"));
    return;
  }
  *task.add_needs() = std::move(need);
}

void JsonlTasks::ReadPolicy(const JsonValue& value, v1::TaskLine& task,
                            Complaints& complaints) {
  const size_t before = complaints.count();
  const std::string word = ReadValue(value, "on_need_failure", complaints);
  if (complaints.count() > before) return;
  if (const auto policy = ReadNeedPolicy(word)) {
    task.set_on_need_failure(*policy);
    return;
  }
  complaints.Add(PlaceIn(*file_, value.at),
                 absl::StrCat("on_need_failure is '", Printable(word),
                              "'; expected ", kNeedPolicies));
}

void JsonlTasks::CheckNeeds(const JsonValue& value, const v1::TaskLine& task,
                            Complaints& complaints) {
  if (task.on_need_failure() != v1::NEED_POLICY_UNSPECIFIED &&
      task.needs().empty()) {
    complaints.Add(PlaceIn(*file_, value.at),
                   "on_need_failure without needs; expected needs");
  }
  for (const v1::Input& input : task.inputs()) {
    if (input.from().empty() || IsNeeded(task, input.from())) continue;
    complaints.Add(
        PlaceIn(*file_, value.at),
        absl::StrCat("input from '", Printable(input.from()),
                     "', which the task does not need; expected one of its "
                     "needs, or all with \"needs\": \"all\""));
  }
}

}  // namespace midwatch::cli
