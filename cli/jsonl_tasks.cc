#include "cli/jsonl_tasks.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/json_line.h"
#include "cli/name_book.h"
#include "cli/need_words.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

using JsonKind = JsonValue::Kind;

constexpr char kTaskLine[] =
    "a task, such as {\"name\": \"a\", \"parameters\": {\"topic\": \"tides\"}}";
constexpr size_t kWrongNamesMax = 20;

uint64_t HashOfName(const std::string& name) {
  return std::hash<std::string>()(name);
}

}  // namespace

JsonlTasks::JsonlTasks(std::unique_ptr<LineFile> file, Values params,
                       SpecWithTexts spec)
    : file_(std::move(file)),
      folder_(std::filesystem::path(file_->path()).parent_path()),
      params_(std::move(params)),
      spec_(std::move(spec.spec)) {
  prompt_ = Measure(std::move(spec.prompt));
  for (TaskText& text : spec.files) files_.push_back(Measure(std::move(text)));
  for (TaskText& text : spec.others) {
    others_.push_back(Measure(std::move(text)));
  }
}

std::string JsonlTasks::ReadValue(const JsonValue& value,
                                  absl::string_view what,
                                  Complaints& complaints) {
  if (value.kind == JsonKind::kString || value.kind == JsonKind::kNumber ||
      value.kind == JsonKind::kBool) {
    return value.text;
  }
  complaints.Add(PlaceIn(*file_, value.at),
                 absl::StrCat(Printable(what), " is ", KindOf(value),
                              "; expected text, a number, true or false"));
  return "";
}

void JsonlTasks::ReadParameters(const JsonValue& value, v1::TaskLine& task,
                                Complaints& complaints) {
  ForEachMember(
      *file_, value, "parameters", complaints, [&](const JsonMember& member) {
        if (!IsParameterName(member.name) ||
            absl::StartsWith(member.name, kOfTasks)) {
          complaints.Add(PlaceIn(*file_, member.at),
                         absl::StrCat("'", Printable(member.name),
                                      "' cannot be a parameter's name; "
                                      "expected letters, digits, _ - and ., "
                                      "without tasks. in front"));
        } else if (params_.count(member.name) > 0) {
          complaints.Add(PlaceIn(*file_, member.at),
                         absl::StrCat("'", member.name,
                                      "' is one of params already; expected "
                                      "another name"));
        } else {
          (*task.mutable_parameters())[member.name] =
              ReadValue(member.value, member.name, complaints);
        }
      });
}

void JsonlTasks::ReadLabels(const JsonValue& value, v1::TaskLine& task,
                            Complaints& complaints) {
  ForEachMember(
      *file_, value, "labels", complaints, [&](const JsonMember& member) {
        const size_t before = complaints.count();
        std::string text = ReadValue(member.value, "a label", complaints);
        if (!IsLabelKey(member.name)) {
          complaints.Add(PlaceIn(*file_, member.at),
                         absl::StrCat("'", Printable(member.name),
                                      "' cannot be a label's key; expected 1 "
                                      "to 63 letters, digits and - _ . /"));
        } else if (complaints.count() == before && !IsName(text)) {
          complaints.Add(
              PlaceIn(*file_, member.value.at),
              absl::StrCat("label ", member.name, " has ", text.size(),
                           " bytes; expected 1 to 200 without control "
                           "characters"));
        } else {
          (*task.mutable_labels())[member.name] = std::move(text);
        }
      });
  std::map<std::string, std::string> all(spec_.labels().begin(),
                                         spec_.labels().end());
  all.insert(task.labels().begin(), task.labels().end());
  if (all.size() > kLabelsMax) {
    complaints.Add(PlaceIn(*file_, value.at),
                   absl::StrCat("with those of defaults there are ", all.size(),
                                " labels; expected at most ", kLabelsMax));
  }
}

void JsonlTasks::ReadInput(const JsonValue& value, v1::TaskLine& task,
                           Complaints& complaints) {
  const size_t before = complaints.count();
  std::optional<std::string> path, mount, from;
  YAML::Mark path_mark, mount_mark;
  ForEachMember(
      *file_, value, "an input", complaints, [&](const JsonMember& member) {
        if (member.name == "path") {
          path = ReadValue(member.value, "path", complaints);
          path_mark = PlaceIn(*file_, member.value.at);
        } else if (member.name == "mount") {
          mount = ReadValue(member.value, "mount", complaints);
          mount_mark = PlaceIn(*file_, member.value.at);
        } else if (member.name == "from") {
          from = ReadValue(member.value, "from", complaints);
        } else {
          complaints.Add(PlaceIn(*file_, member.at),
                         absl::StrCat("unknown key '", Printable(member.name),
                                      "' in an input; expected one "
                                      "of path, mount, from"));
        }
      });
  if (complaints.count() > before) return;
  if (!mount || (!path && !from)) {
    complaints.Add(PlaceIn(*file_, value.at),
                   absl::StrCat("'", mount ? "path" : "mount",
                                "' is missing in an input"));
    return;
  }
  if (!IsPathBelow(*mount)) {
    complaints.Add(mount_mark,
                   absl::StrCat("mount '", Printable(*mount),
                                "'; expected a relative path under "
                                "/mnt/session/uploads/, without '..'"));
    return;
  }
  for (const v1::Input& other : task.inputs()) {
    if (other.mount() != *mount) continue;
    complaints.Add(mount_mark, absl::StrCat("mount '", *mount,
                                            "' is there twice; expected once"));
    return;
  }
  if (from) {
    v1::Input& input = *task.add_inputs();
    input.set_mount(*mount);
    input.set_from(*from);
    if (!path) return;
    input.set_path(*path);
    if (IsPathBelow(*path)) return;
    complaints.Add(path_mark,
                   absl::StrCat("path '", Printable(*path),
                                "'; expected a relative path under "
                                "/mnt/session/outputs/, without '..'"));
    return;
  }
  absl::StatusOr<InputFile> file = inputs_.Read((folder_ / *path).string());
  if (!file.ok()) {
    complaints.Add(path_mark, absl::StrCat(Printable(file.status().message()),
                                           "; expected a file that can be "
                                           "read"));
    return;
  }
  v1::Input& input = *task.add_inputs();
  input.set_mount(*mount);
  input.set_sha256(file->sha256);
  input.set_size_bytes(file->size_bytes);
}

void JsonlTasks::ReadInputs(const JsonValue& value, v1::TaskLine& task,
                            Complaints& complaints) {
  if (value.kind != JsonKind::kList) {
    complaints.Add(
        PlaceIn(*file_, value.at),
        absl::StrCat("inputs is ", KindOf(value), "; expected a list"));
  } else if (value.items.size() > kInputsMax) {
    complaints.Add(PlaceIn(*file_, value.at),
                   absl::StrCat("inputs has ", value.items.size(),
                                " entries; expected at most ", kInputsMax));
  } else {
    for (const JsonValue& item : value.items) ReadInput(item, task, complaints);
  }
}

void JsonlTasks::ReadStart(const JsonMember& member, v1::TaskLine& task,
                           Complaints& complaints) {
  const size_t before = complaints.count();
  const std::string text = ReadValue(member.value, member.name, complaints);
  if (complaints.count() > before) return;
  const bool instant = member.name == "start_after";
  bool read = false;
  if (instant) {
    auto time = ParseInstant(text);
    read = time.has_value();
    if (time) *task.mutable_start_after() = *time;
  } else {
    const bool delay = member.name == "delay";
    auto span =
        ParseAhead(text, delay ? absl::ZeroDuration() : absl::Seconds(1));
    read = span.has_value();
    if (span)
      *(delay ? task.mutable_delay() : task.mutable_expires_after()) = *span;
  }
  if (read) return;
  complaints.Add(PlaceIn(*file_, member.value.at),
                 absl::StrCat(member.name, " is '", Printable(text), "'; ",
                              instant ? kExpectedInstant : kExpectedAhead));
}

v1::TaskLine JsonlTasks::ReadTask(absl::string_view line,
                                  Complaints& complaints) {
  v1::TaskLine task;
  OwnTexts own;
  const size_t before = complaints.count();
  const std::optional<JsonValue> value =
      ReadJsonLine(*file_, line, kTaskLine, complaints);
  if (!value) return task;
  bool has_name = false;
  ForEachMember(
      *file_, *value, "a task", complaints, [&](const JsonMember& member) {
        if (member.name == "name") {
          has_name = true;
          const size_t named_before = complaints.count();
          task.set_name(ReadValue(member.value, "name", complaints));
          if (complaints.count() > named_before || IsName(task.name())) return;
          complaints.Add(PlaceIn(*file_, member.value.at),
                         absl::StrCat("task name '", Printable(task.name()),
                                      "'; expected 1 to 200 bytes without "
                                      "control characters"));
        } else if (member.name == "parameters") {
          ReadParameters(member.value, task, complaints);
        } else if (member.name == "inputs") {
          ReadInputs(member.value, task, complaints);
        } else if (member.name == "labels") {
          ReadLabels(member.value, task, complaints);
        } else if (member.name == "needs") {
          ReadNeeds(member.value, task, complaints);
        } else if (member.name == "on_need_failure") {
          ReadPolicy(member.value, task, complaints);
        } else if (member.name == "delay" || member.name == "expires_after" ||
                   member.name == "start_after") {
          ReadStart(member, task, complaints);
        } else if (IsOwnKey(member.name)) {
          ReadOwn(line, member, task, own, complaints);
        } else {
          complaints.Add(
              PlaceIn(*file_, member.at),
              absl::StrCat("unknown key '", Printable(member.name),
                           "' in a task; expected one of name, parameters, "
                           "inputs, labels, needs, on_need_failure, delay, "
                           "start_after, expires_after, priority, max_cost, "
                           "retry, timeouts, prompt, expect"));
        }
      });
  if (task.has_delay() && task.has_start_after()) {
    complaints.Add(PlaceIn(*file_, value->at), kDelayTwice);
  }
  if (complaints.count() > before) return task;
  if (!has_name) {
    complaints.Add(PlaceIn(*file_, value->at), "'name' is missing in a task");
  } else {
    CheckNeeds(*value, task, complaints);
    CheckAgainstSpec(task, own, complaints);
  }
  return task;
}

absl::Status JsonlTasks::Check(
    Complaints& complaints,
    absl::FunctionRef<void(const v1::TaskLine&)> visit) {
  NameBook names;
  while (true) {
    ASSIGN_OR_RETURN(std::optional<absl::string_view> line, file_->Next());
    if (!line) break;
    const v1::TaskLine task = ReadTask(*line, complaints);
    if (!task.name().empty()) {
      RETURN_IF_ERROR(names.AddName(HashOfName(task.name()), count_));
    }
    for (const v1::Need& need : task.needs()) {
      if (need.name().empty()) continue;
      RETURN_IF_ERROR(names.AddNeed(HashOfName(need.name()), count_));
    }
    ++count_;
    visit(task);
  }
  if (count_ == 0) {
    complaints.Add(PlaceIn(*file_, 0),
                   absl::StrCat("the batch has 0 tasks; expected in each line "
                                "behind the first ",
                                kTaskLine));
  }
  ASSIGN_OR_RETURN(std::vector<uint64_t> hashes,
                   names.FindWrong(kWrongNamesMax));
  if (hashes.empty()) return absl::OkStatus();
  return ComplainOfNames(hashes, complaints);
}

// Equal hashes may be of different names, so the names themselves are read.
absl::Status JsonlTasks::ComplainOfNames(const std::vector<uint64_t>& hashes,
                                         Complaints& complaints) {
  auto is_meant = [&](const std::string& name) {
    return !name.empty() &&
           std::binary_search(hashes.begin(), hashes.end(), HashOfName(name));
  };
  std::map<std::string, int64_t> first_lines;
  file_->Rewind();
  RETURN_IF_ERROR(file_->Next().status());
  while (true) {
    ASSIGN_OR_RETURN(std::optional<absl::string_view> line, file_->Next());
    if (!line) return absl::OkStatus();
    // What is wrong with it otherwise is told already.
    Complaints ignored(file_->path());
    const v1::TaskLine task = ReadTask(*line, ignored);
    for (const v1::Need& need : task.needs()) {
      if (!is_meant(need.name()) || first_lines.contains(need.name())) continue;
      complaints.Add(PlaceIn(*file_, 0),
                     absl::StrCat("task '", Printable(task.name()), "' needs '",
                                  Printable(need.name()),
                                  "', which is on no earlier line; expected "
                                  "the name of a task before it, or {\"task\": "
                                  "ID}"));
    }
    if (!is_meant(task.name())) continue;
    auto [known, is_new] = first_lines.try_emplace(task.name(), file_->line());
    if (is_new) continue;
    complaints.Add(PlaceIn(*file_, 0),
                   absl::StrCat("task name '", Printable(task.name()),
                                "' is taken already by line ", known->second,
                                "; expected names to differ"));
  }
}

absl::StatusOr<std::vector<v1::TaskLine>> JsonlTasks::Read(int64_t first,
                                                           size_t tasks_max,
                                                           size_t bytes_max) {
  // Task 0 is in line 2.
  if (file_->line() > first + 1) file_->Rewind();
  while (file_->line() < first + 1) RETURN_IF_ERROR(file_->Next().status());
  std::vector<v1::TaskLine> tasks;
  size_t bytes = 0;
  while (tasks.size() < tasks_max && (tasks.empty() || bytes <= bytes_max)) {
    ASSIGN_OR_RETURN(std::optional<absl::string_view> line, file_->Next());
    if (!line) break;
    Complaints complaints(file_->path());
    tasks.push_back(ReadTask(*line, complaints));
    RETURN_IF_ERROR(complaints.ToStatus());
    bytes += tasks.back().ByteSizeLong();
  }
  if (tasks.empty()) {
    return absl::AbortedError(
        absl::StrCat(file_->path(), " has no task ", first, " any more"));
  }
  return tasks;
}

}  // namespace midwatch::cli
