// What the tasks of a batch file need of each other.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/external_id.h"
#include "cli/need_order.h"
#include "cli/need_words.h"
#include "cli/task_reader.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

// Of a circle, more would hide what it is.
constexpr size_t kCircleShownMax = 10;

}  // namespace

// `all`, a name or {task: ID}, or a list of these two.
void TaskReader::ReadNeeds(const YAML::Node& node, Form& form) {
  form.needs_mark = node.Mark();
  if (node.IsScalar() && node.Scalar() == kAllTasks) {
    form.needs_all = true;
    return;
  }
  if (node.IsScalar() || node.IsMap()) return ReadNeed(node, form);
  if (!IsList(node, "needs", complaints_)) return;
  if (node.size() > kTaskNeedsMax) {
    complaints_.Add(node.Mark(), absl::StrCat("needs has ", node.size(),
                                              " entries; expected at most ",
                                              kTaskNeedsMax, ", or all"));
    return;
  }
  for (const YAML::Node& item : node) ReadNeed(item, form);
}

void TaskReader::ReadNeed(const YAML::Node& node, Form& form) {
  Form::Need need{node, node.IsMap()};
  if (need.is_id) {
    ReadMap(node, "a need",
            {{"task", [&](const YAML::Node& n) { need.name.reset(n); }, true}},
            complaints_);
  }
  form.needs.push_back(std::move(need));
}

void TaskReader::ReadNeedPolicy(const YAML::Node& node, Form& form) {
  std::optional<std::string> text = spec_reader_.Text(node, "on_need_failure");
  if (!text) return;
  const std::optional<v1::NeedPolicy> policy = cli::ReadNeedPolicy(*text);
  if (!policy) {
    complaints_.Add(node.Mark(),
                    absl::StrCat("on_need_failure is '", Printable(*text),
                                 "'; expected ", kNeedPolicies));
  } else if (form.needs.empty() && !form.needs_all) {
    complaints_.Add(node.Mark(),
                    "on_need_failure without needs; expected needs");
  } else {
    form.on_need_failure = *policy;
  }
}

void TaskReader::AddNeeds(const Form& form, const Values& values,
                          v1::TaskLine& line) {
  line.set_on_need_failure(form.on_need_failure);
  if (form.needs_all) line.add_needs()->set_all_earlier(true);
  std::set<std::string> seen;
  for (const Form::Need& need : form.needs) {
    const std::string name = *Fill(need.name, values, "a need");
    if (need.is_id ? !ParseExternalId(name).ok() : !IsName(name)) {
      complaints_.Add(
          need.name.Mark(),
          absl::StrCat("task '", line.name(), "'", row_, " needs '",
                       Printable(name), "'; expected ",
                       need.is_id ? "the id of a task, of 26 characters"
                                  : "the name of a task"));
      continue;
    }
    if (!seen.insert(name).second) {
      complaints_.Add(need.name.Mark(),
                      absl::StrCat("task '", line.name(), "' needs '",
                                   Printable(name), "' twice; expected once"));
      continue;
    }
    if (need.is_id) {
      line.add_needs()->set_task_id(name);
    } else {
      line.add_needs()->set_name(name);
    }
  }
}

void TaskReader::AddInputFrom(const Form::Input& form, const Values& values,
                              const std::string& mount, v1::TaskLine& line) {
  const std::string from = *Fill(*form.from, values, "an input's from");
  if (!IsNeeded(line, from)) {
    complaints_.Add(
        form.from->Mark(),
        absl::StrCat("input from '", Printable(from), "' of task '",
                     line.name(),
                     "', which does not need it; expected one of its needs, "
                     "or all with needs: all"));
    return;
  }
  v1::Input& input = *line.add_inputs();
  input.set_mount(mount);
  input.set_from(from);
  if (!form.path) return;
  const std::string path = *Fill(*form.path, values, "an input's path");
  if (!IsPathBelow(path)) {
    complaints_.Add(form.path->Mark(),
                    absl::StrCat("path '", Printable(path),
                                 "'; expected a relative path under "
                                 "/mnt/session/outputs/, without '..'"));
    return;
  }
  input.set_path(path);
}

void TaskReader::OrderTasks() {
  std::map<std::string, size_t> places;
  std::vector<TaskNeeds> needs(tasks_.size());
  const bool any = std::any_of(
      tasks_.begin(), tasks_.end(),
      [](const PlannedTask& task) { return !task.line.needs().empty(); });
  if (!any) return;
  for (size_t i = 0; i < tasks_.size(); ++i) places[tasks_[i].line.name()] = i;
  bool all_known = true;
  for (size_t i = 0; i < tasks_.size(); ++i) {
    for (const v1::Need& need : tasks_[i].line.needs()) {
      needs[i].all |= need.all_earlier();
      if (need.name().empty()) continue;
      auto place = places.find(need.name());
      if (place != places.end()) {
        needs[i].tasks.push_back(place->second);
        continue;
      }
      all_known = false;
      complaints_.Add(tasks_[i].needs_mark,
                      absl::StrCat("task '", tasks_[i].line.name(), "' needs '",
                                   Printable(need.name()),
                                   "', which is no task of this batch; "
                                   "expected one of its tasks, or {task: ID}"));
    }
  }
  if (!all_known) return;
  const NeedOrder order = OrderByNeeds(needs);
  if (!order.circle.empty()) return ComplainOfCircle(order.circle);
  std::vector<PlannedTask> ordered;
  ordered.reserve(tasks_.size());
  for (size_t place : order.order) ordered.push_back(std::move(tasks_[place]));
  tasks_ = std::move(ordered);
}

void TaskReader::ComplainOfCircle(const std::vector<size_t>& circle) {
  const PlannedTask& first = tasks_[circle[0]];
  std::string text = absl::StrCat("task '", first.line.name(), "'");
  for (size_t i = 1; i < std::min(circle.size(), kCircleShownMax); ++i) {
    absl::StrAppend(&text, " needs '", tasks_[circle[i]].line.name(), "'");
  }
  if (circle.size() > kCircleShownMax) {
    absl::StrAppend(&text, " and so on over ", circle.size(), " tasks");
  }
  complaints_.Add(first.needs_mark,
                  absl::StrCat(text, " needs '", first.line.name(),
                               "': a circle; expected needs that end"));
}

}  // namespace midwatch::cli
