#include "cli/task_reader.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/row_file.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kTasksMax = 1'000'000;

}  // namespace

Values DescribeMatch(const std::string& path, int64_t index) {
  const fs::path file(path);
  return {{"path", path},
          {"dirname", file.parent_path().filename().string()},
          {"basename", file.filename().string()},
          {"stem", file.stem().string()},
          {"index", absl::StrCat(index)}};
}

bool IsMatchName(absl::string_view name) {
  static const Values* const kAny = new Values(DescribeMatch("", 0));
  return kAny->count(std::string(name)) > 0;
}

std::optional<std::string> TaskReader::Fill(const YAML::Node& node,
                                            const Values& values,
                                            absl::string_view what) {
  std::optional<std::string> text = ReadText(node, what, complaints_);
  if (!text) return std::nullopt;
  std::vector<std::string> unknown;
  std::string filled = FillIn(*text, values, &unknown);
  if (unknown.empty()) return filled;
  complaints_.Add(
      node.Mark(),
      absl::StrCat("unknown parameter {{", unknown[0], "}} in ", what, row_,
                   "; expected one of params", beside_params_));
  return std::nullopt;
}

void TaskReader::ReadParameters(const YAML::Node& node, Form& form) {
  if (!node.IsMap()) {
    complaints_.Add(node.Mark(), "parameters is no map; expected name: value");
    return;
  }
  for (const auto& entry : node) {
    const YAML::Node& key = entry.first;
    const std::string name = key.IsScalar() ? key.Scalar() : "";
    const bool doubled =
        std::any_of(form.parameters.begin(), form.parameters.end(),
                    [&](const auto& known) { return known.first == name; });
    if (!IsParameterName(name) || doubled || absl::StartsWith(name, "tasks.")) {
      complaints_.Add(key.Mark(),
                      absl::StrCat("'", Printable(name),
                                   "' cannot be a parameter's name; expected "
                                   "letters, digits, _ - and ., once, without "
                                   "tasks. in front"));
    } else if (params_.count(name) > 0) {
      // It would be unclear which of the two a prompt means.
      complaints_.Add(key.Mark(),
                      absl::StrCat("'", name, "' is one of params already; ",
                                   "expected another name"));
    } else {
      form.parameters.emplace_back(name, entry.second);
    }
  }
}

void TaskReader::ReadInputs(const YAML::Node& node, Form& form) {
  if (!IsList(node, "inputs", complaints_)) return;
  if (node.size() > kInputsMax) {
    complaints_.Add(node.Mark(),
                    absl::StrCat("inputs has ", node.size(),
                                 " entries; expected at most ", kInputsMax));
    return;
  }
  for (const YAML::Node& item : node) {
    Form::Input input;
    auto into = [](std::optional<YAML::Node>& place) {
      return [&place](const YAML::Node& n) { place.emplace(n); };
    };
    const bool is_left = item.IsMap() && item["from"];
    ReadMap(
        item, "an input",
        {{"path", into(input.path), !is_left},
         {"from", into(input.from)},
         {"mount", [&](const YAML::Node& n) { input.mount.reset(n); }, true}},
        complaints_);
    form.inputs.push_back(input);
  }
}

std::optional<TaskReader::Form> TaskReader::ReadForm(
    const YAML::Node& node, absl::string_view what,
    const std::vector<YamlKey>& more_keys) {
  Form form;
  std::vector<YamlKey> keys = {
      {"name", [&](const YAML::Node& n) { form.name.reset(n); }, true},
      {"parameters",
       [&](const YAML::Node& n) {
         form.has_parameters = true;
         ReadParameters(n, form);
       }},
      {"inputs", [&](const YAML::Node& n) { ReadInputs(n, form); }},
      {"labels",
       [&](const YAML::Node& n) { form.labels = spec_reader_.LabelNodes(n); }},
      {"needs", [&](const YAML::Node& n) { ReadNeeds(n, form); }},
      {"on_need_failure",
       [&](const YAML::Node& n) { ReadNeedPolicy(n, form); }},
      {"priority", [&](const YAML::Node& n) { form.priority.emplace(n); }},
      {"max_cost", [&](const YAML::Node& n) { form.max_cost.emplace(n); }}};
  for (YamlKey& key : spec_reader_.OwnKeys(*form.own)) {
    keys.push_back(std::move(key));
  }
  keys.insert(keys.end(), more_keys.begin(), more_keys.end());
  const size_t complaints_before = complaints_.count();
  ReadMap(node, what, keys, complaints_);
  if (complaints_.count() > complaints_before) return std::nullopt;
  return form;
}

bool TaskReader::CanFillIn(const Form& form, const Values& values) {
  const size_t complaints_before = complaints_.count();
  Fill(form.name, values, "a task's name");
  for (const auto& [name, value] : form.parameters) Fill(value, values, name);
  for (const auto& [key, value] : form.labels) Fill(value, values, "a label");
  for (const Form::Input& input : form.inputs) {
    if (input.path) Fill(*input.path, values, "an input's path");
    if (input.from) Fill(*input.from, values, "an input's from");
    Fill(input.mount, values, "an input's mount");
  }
  for (const Form::Need& need : form.needs) Fill(need.name, values, "a need");
  if (form.priority) Fill(*form.priority, values, "priority");
  if (form.max_cost) Fill(*form.max_cost, values, "max_cost");
  return complaints_.count() == complaints_before;
}

void TaskReader::AddInput(const Form::Input& form, const Values& values,
                          v1::TaskLine& line) {
  const std::string mount = *Fill(form.mount, values, "an input's mount");
  if (!IsPathBelow(mount)) {
    complaints_.Add(form.mount.Mark(),
                    absl::StrCat("mount '", Printable(mount),
                                 "'; expected a relative path under "
                                 "/mnt/session/uploads/, without '..'"));
    return;
  }
  for (const v1::Input& other : line.inputs()) {
    if (other.mount() != mount) continue;
    complaints_.Add(form.mount.Mark(),
                    absl::StrCat("mount '", mount, "' is there twice in task '",
                                 line.name(), "'; expected once"));
    return;
  }
  if (form.from) return AddInputFrom(form, values, mount, line);
  const std::string path = *Fill(*form.path, values, "an input's path");
  absl::StatusOr<InputFile> file = inputs_.Read((folder_ / path).string());
  if (!file.ok()) {
    complaints_.Add(form.path->Mark(),
                    absl::StrCat("input of task '", line.name(), "'", row_,
                                 ": ", Printable(file.status().message()),
                                 "; expected a file that can be read"));
    return;
  }
  v1::Input& input = *line.add_inputs();
  input.set_mount(mount);
  input.set_sha256(file->sha256);
  input.set_size_bytes(file->size_bytes);
}

void TaskReader::AddLimits(const Form& form, const Values& values,
                           v1::TaskLine& line) {
  if (form.priority) {
    const YAML::Node& node = *form.priority;
    if (auto v =
            spec_reader_.NumberIn(*Fill(node, values, "priority"), node.Mark(),
                                  "priority", 0, kPriorityMax, row_)) {
      line.set_priority(static_cast<int32_t>(*v));
    }
  }
  if (form.max_cost) {
    const YAML::Node& node = *form.max_cost;
    if (auto v = spec_reader_.UsdIn(*Fill(node, values, "max_cost"),
                                    node.Mark(), "max_cost", row_)) {
      line.set_max_cost_usd_micros(*v);
    }
  }
}

// REQUIRES: CanFillIn(form, values).
void TaskReader::AddTask(const Form& form, const Values& values,
                         const Values& columns) {
  v1::TaskLine line;
  line.set_name(*Fill(form.name, values, "a task's name"));
  if (!IsName(line.name())) {
    complaints_.Add(
        form.name.Mark(),
        absl::StrCat("task name '", Printable(line.name()), "'", row_,
                     "; expected 1 to 200 bytes without control "
                     "characters"));
    return;
  }
  const int at = row_line_ > 0 ? -row_line_ : form.name.Mark().line + 1;
  auto [known, is_new] = lines_of_names_.try_emplace(line.name(), at);
  if (!is_new) {
    complaints_.Add(
        form.name.Mark(),
        absl::StrCat(
            "task name '", line.name(), "'", row_, " is taken already by ",
            known->second > 0 ? absl::StrCat("line ", known->second)
                              : absl::StrCat(table_, ":", -known->second),
            "; expected names to differ"));
    return;
  }
  line.mutable_parameters()->insert(columns.begin(), columns.end());
  for (const auto& [name, value] : form.parameters) {
    (*line.mutable_parameters())[name] = *Fill(value, values, name);
  }
  for (const auto& [key, value] : form.labels) {
    std::string& text = (*line.mutable_labels())[key];
    text = *Fill(value, values, "a label");
    spec_reader_.CheckLabelValue(value.Mark(), key, text);
  }
  AddNeeds(form, values, line);
  for (const Form::Input& input : form.inputs) AddInput(input, values, line);
  AddLimits(form, values, line);
  SetOwn(*form.own, line);
  PlannedTask& task = tasks_.emplace_back(PlannedTask{
      std::move(line), form.name.Mark(), form.needs_mark, {}, form.own});
  if (form.max_cost) task.max_cost_mark = form.max_cost->Mark();
}

std::vector<v1::TaskLine> TaskReader::TakeLines() {
  std::vector<v1::TaskLine> lines;
  lines.reserve(tasks_.size());
  for (PlannedTask& task : tasks_) lines.push_back(std::move(task.line));
  tasks_.clear();
  return lines;
}

void TaskReader::ReadTasks(const YAML::Node& node) {
  if (!IsList(node, "tasks", complaints_)) return;
  for (const YAML::Node& item : node) {
    std::optional<Form> form = ReadForm(item, "a task", {});
    if (form && CanFillIn(*form, params_)) AddTask(*form, params_, {});
  }
}

void TaskReader::ReadForeach(const YAML::Node& node) {
  std::vector<Source> sources;
  int64_t limit = 0;
  auto source = [&](const char* kind) {
    auto read = [this, kind, &sources](const YAML::Node& n) {
      std::optional<std::string> path = Fill(n, params_, kind);
      sources.push_back({kind, path.value_or(""), n.Mark()});
    };
    return YamlKey{kind, read};
  };
  std::optional<Form> form = ReadForm(
      node, "foreach",
      {source("glob"),
       source("csv"),
       source("jsonl"),
       {"limit", [&](const YAML::Node& n) {
          limit = spec_reader_.Number(n, "limit", 0, kTasksMax).value_or(0);
        }}});
  if (!form) return;
  if (sources.size() != 1) {
    complaints_.Add(node.Mark(),
                    absl::StrCat("foreach has ", sources.size(),
                                 " of glob, csv and jsonl; expected one"));
  } else if (sources[0].kind == "glob") {
    AddMatches(*form, sources[0], limit);
  } else {
    AddRows(*form, sources[0], limit);
  }
}

void TaskReader::AddMatches(const Form& form, const Source& source,
                            int64_t limit) {
  auto with_params = [this](Values values) {
    values.insert(params_.begin(), params_.end());
    return values;
  };
  beside_params_ = ", or of path, dirname, basename, stem, index";
  const bool can_fill_in = CanFillIn(form, with_params(DescribeMatch("", 0)));
  beside_params_.clear();
  if (!can_fill_in) return;

  absl::StatusOr<GlobMatches> matches =
      FindFiles((folder_ / source.path).string());
  if (!matches.ok()) {
    complaints_.Add(source.mark,
                    absl::StrCat(matches.status().message(),
                                 "; expected a pattern such as docs/*.txt"));
    return;
  }
  if (matches->left_out > 0) {
    notes_.push_back(absl::StrCat(matches->left_out, " matches of ",
                                  source.path,
                                  " are not files and were left out"));
  }
  std::vector<std::string>& files = matches->files;
  if (files.empty()) {
    complaints_.Add(
        source.mark,
        absl::StrCat("glob '", Printable(source.path), "' matches no file",
                     !folder_.empty() && !absl::StartsWith(source.path, "/")
                         ? absl::StrCat(" in ", Printable(folder_.string()))
                         : "",
                     "; expected a pattern of *, ? and [...] such as "
                     "docs/*.txt"));
    return;
  }
  if (limit > 0 && files.size() > static_cast<size_t>(limit)) {
    files.resize(limit);
  }
  int64_t index = 0;
  for (const std::string& file : files) {
    if (FindInvalidUtf8(file) != absl::string_view::npos) {
      complaints_.Add(source.mark,
                      absl::StrCat("the name of ", Printable(file),
                                   " is not UTF-8; expected UTF-8"));
      continue;
    }
    AddTask(form, with_params(DescribeMatch(file, index++)), {});
  }
}

void TaskReader::AddRows(const Form& form, const Source& source,
                         int64_t limit) {
  table_ = (folder_ / source.path).string();
  Complaints of_table(table_);
  absl::StatusOr<std::unique_ptr<RowFile>> rows =
      source.kind == "csv" ? OpenCsvRows(table_, of_table)
                           : OpenJsonlRows(table_, of_table);
  if (!rows.ok()) {
    complaints_.Add(source.mark,
                    absl::StrCat(Printable(rows.status().message()),
                                 "; expected a table of rows"));
    return;
  }
  beside_params_ = ", or of the row's columns, or index";
  for (int64_t index = 0; limit == 0 || index < limit; ++index) {
    const std::optional<Values> row = (*rows)->Next();
    if (!row && index == 0 && of_table.count() == 0) {
      complaints_.Add(source.mark,
                      absl::StrCat(Printable(table_),
                                   " has no rows; expected one for each task"));
    }
    if (!row) break;
    row_line_ = static_cast<int>((*rows)->line());
    row_ = absl::StrCat(" (", table_, ":", row_line_, ")");
    bool fits = index < kTasksMax;
    if (!fits) {
      complaints_.Add(source.mark,
                      absl::StrCat("more than ", kTasksMax, " rows", row_,
                                   "; expected at most so many (a batch file "
                                   "in JSONL may have more tasks)"));
    }
    for (const auto& param : params_) {
      if (row->count(param.first) == 0) continue;
      fits = false;
      complaints_.Add(source.mark,
                      absl::StrCat("column '", param.first, "'", row_,
                                   " is one of params already; expected "
                                   "another name"));
    }
    Values values = *row;
    values.emplace("index", absl::StrCat(index));
    values.insert(params_.begin(), params_.end());
    if (!fits || !CanFillIn(form, values)) break;
    AddTask(form, values, form.has_parameters ? Values() : *row);
    if (complaints_.count() >= Complaints::kShownMax) break;
  }
  row_line_ = 0;
  row_.clear();
  beside_params_.clear();
  complaints_.Take(of_table);
}

}  // namespace midwatch::cli
