// What a task of a JSONL batch has in place of defaults, and whether the texts
// of both fit it.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/json_line.h"
#include "cli/jsonl_tasks.h"
#include "cli/need_words.h"
#include "cli/utf8.h"

namespace midwatch::cli {

bool JsonlTasks::IsOwnKey(absl::string_view name) {
  return name == "priority" || name == "max_cost" || name == "prompt" ||
         name == "expect" || name == "retry" || name == "timeouts";
}

JsonlTasks::TextBytes JsonlTasks::Measure(TaskText text) {
  Values empty;
  for (const std::string& name : text.parameters) empty[name] = "";
  const size_t bytes = empty.empty() ? text.text.size()
                                     : FillIn(text.text, empty, nullptr).size();
  return {std::move(text), bytes};
}

void JsonlTasks::ReadOwn(absl::string_view line, const JsonMember& member,
                         v1::TaskLine& task, OwnTexts& own,
                         Complaints& complaints) {
  const YAML::Mark mark = PlaceIn(*file_, member.value.at);
  if (member.name == "expect" || member.name == "retry" ||
      member.name == "timeouts") {
    return ReadOwnPart(line, member, task, own, complaints);
  }
  const size_t before = complaints.count();
  const std::string text = ReadValue(member.value, member.name, complaints);
  if (complaints.count() > before) return;
  SpecReader reader(folder_, params_, complaints);
  if (member.name == "prompt") {
    own.prompt = Measure(reader.PromptOf(text, mark));
    task.set_prompt(own.prompt->text.text);
  } else if (member.name == "priority") {
    if (auto v = reader.NumberIn(text, mark, "priority", 0, kPriorityMax)) {
      task.set_priority(static_cast<int32_t>(*v));
    }
  } else if (auto v = reader.UsdIn(text, mark, "max_cost")) {
    task.set_max_cost_usd_micros(*v);
    own.max_cost_mark = mark;
  }
}

// By the lines that read defaults: as YAML, of which it is a part.
void JsonlTasks::ReadOwnPart(absl::string_view line, const JsonMember& member,
                             v1::TaskLine& task, OwnTexts& own,
                             Complaints& complaints) {
  const size_t at = member.value.at;
  Complaints inside(file_->path(), PlaceIn(*file_, at));
  const std::optional<YAML::Node> node =
      ParseYaml(std::string(line.substr(at, member.end - at)),
                /*is_json=*/true, inside);
  if (node) {
    OwnSpec spec;
    SpecReader reader(folder_, params_, inside);
    for (const YamlKey& key : reader.OwnKeys(spec)) {
      if (key.name == member.name) key.read(*node);
    }
    SetOwn(spec, task);
    if (spec.expect) {
      own.files.emplace();
      for (TaskText& text : spec.files) {
        own.files->push_back(Measure(std::move(text)));
      }
    }
  }
  complaints.Take(inside);
}

bool JsonlTasks::CheckText(const TextBytes& asked, bool is_prompt,
                           const v1::TaskLine& task, Complaints& complaints) {
  const YAML::Mark mark = PlaceIn(*file_, 0);
  size_t bytes = asked.own_bytes;
  for (const std::string& name : asked.text.parameters) {
    if (is_prompt && IsMessageOfNeed(task, name)) continue;
    auto value = task.parameters().find(name);
    if (value == task.parameters().end()) {
      complaints.Add(
          mark,
          absl::StrCat(
              "no parameter {{", name, "}}, which ", asked.text.what,
              " asks for; expected ",
              !absl::StartsWith(name, kOfTasks) ? "it in the task's parameters"
              : is_prompt ? "{{tasks.NAME.message}} of what the task needs, or "
                            "{{tasks.all.messages}} with \"needs\": \"all\""
                          : "messages in a prompt only"));
      return false;
    }
    bytes += value->second.size();
  }
  if (bytes > asked.text.bytes_max) {
    complaints.Add(
        mark, absl::StrCat(asked.text.what, " has ", bytes,
                           " bytes with the task's parameters; expected at "
                           "most ",
                           asked.text.bytes_max));
  }
  return true;
}

void JsonlTasks::CheckAgainstSpec(const v1::TaskLine& task, const OwnTexts& own,
                                  Complaints& complaints) {
  const size_t before = complaints.count();
  const YAML::Mark mark = PlaceIn(*file_, 0);
  if (!own.prompt && spec_.prompt().empty()) {
    complaints.Add(mark, "'prompt' is missing in the task, and in defaults");
  }
  if (own.max_cost_mark) {
    CheckOwnMaxCost(spec_, task, *own.max_cost_mark, complaints);
  }
  const std::vector<TextBytes>& files = own.files ? *own.files : files_;
  auto check = [&](const TextBytes& text) {
    return CheckText(text, /*is_prompt=*/false, task, complaints);
  };
  if (!CheckText(own.prompt ? *own.prompt : prompt_, /*is_prompt=*/true, task,
                 complaints) ||
      !std::all_of(files.begin(), files.end(), check) ||
      !std::all_of(others_.begin(), others_.end(), check) ||
      complaints.count() > before) {
    return;
  }
  auto has_parameters = [](const std::string& text) {
    return absl::StrContains(text, "{{");
  };
  Values values;
  auto fill = [&](const std::string& text) {
    if (values.empty()) {
      values.insert(task.parameters().begin(), task.parameters().end());
    }
    return FillIn(text, values, nullptr);
  };
  const v1::Expectation& expect =
      task.has_expect() ? task.expect() : spec_.expect();
  for (const std::string& file : expect.files()) {
    if (!has_parameters(file) || IsPathBelow(fill(file))) continue;
    complaints.Add(mark,
                   absl::StrCat("the expected file is '", Printable(fill(file)),
                                "' with the task's parameters; expected "
                                "a relative path under "
                                "/mnt/session/outputs/"));
  }
  if (const std::string& key = spec_.concurrency_key(); has_parameters(key)) {
    const std::string filled = fill(key);
    if (Printable(filled) != filled) {
      complaints.Add(mark,
                     "concurrency_key holds control characters with the "
                     "task's parameters; expected none");
    }
  }
}

}  // namespace midwatch::cli
