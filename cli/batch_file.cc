#include "cli/batch_file.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/sha256.h"
#include "base/status_macros.h"
#include "cli/config_file.h"
#include "cli/json_line.h"
#include "cli/jsonl_tasks.h"
#include "cli/line_file.h"
#include "cli/money.h"
#include "cli/need_words.h"
#include "cli/rule_reader.h"
#include "cli/spec_reader.h"
#include "cli/task_reader.h"
#include "cli/template_text.h"
#include "cli/utf8.h"
#include "cli/yaml_reader.h"
#include "net/hook_url.h"

namespace midwatch::cli {
namespace {

constexpr int64_t kMaxRunningMax = 100'000;

// Maps are written in the order of their keys, so equal messages have equal
// bytes.
std::string DeterministicBytes(const google::protobuf::MessageLite& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

// Over what is submitted: the batch, then its tasks.
class ContentHash {
 public:
  void Add(const google::protobuf::MessageLite& message) {
    const std::string bytes = DeterministicBytes(message);
    // Lengths keep one message from running into the next.
    hash_.Update(absl::StrCat(bytes.size(), ":"));
    hash_.Update(bytes);
  }
  std::string FinishHex() { return hash_.FinishHex(); }

 private:
  Sha256 hash_;
};

// What has to be free of every budget before it starts.
int64_t FirstCostOf(const v1::TaskSpec& spec, const v1::TaskLine& line) {
  if (line.max_cost_usd_micros() > 0) return line.max_cost_usd_micros();
  return spec.max_cost_usd_micros() > 0 ? spec.max_cost_usd_micros()
                                        : kMaxCostMicrosDefault;
}

int64_t MaxCostOf(const v1::TaskSpec& spec, const v1::TaskLine& line) {
  return spec.on_budget() == v1::BUDGET_POLICY_RAISE
             ? spec.raise_to_usd_micros()
             : FirstCostOf(spec, line);
}

// What `file` says of all its tasks together.
void Count(const v1::TaskLine& line, BatchFile& file) {
  const int64_t cost = MaxCostOf(file.open.spec(), line);
  file.least_usd_micros =
      file.least_usd_micros > 0 ? std::min(file.least_usd_micros, cost) : cost;
  file.most_usd_micros = std::max(file.most_usd_micros, cost);
  file.all_usd_micros = file.all_usd_micros > INT64_MAX - cost
                            ? INT64_MAX
                            : file.all_usd_micros + cost;
  if (!line.expect().check().empty()) {
    file.own_checks.try_emplace(line.expect().check(), line.name());
  }
}

// The first task that the batch's own budget has no room for, however little
// others cost.
class RoomCheck {
 public:
  void Look(const v1::TaskLine& line, const v1::OpenBatch& open) {
    const int64_t cost = FirstCostOf(open.spec(), line);
    const int64_t budget = open.budget_usd_micros();
    if (budget == 0 || cost <= budget) return;
    if (tasks_++ == 0) first_ = line.name();
    most_ = std::max(most_, cost);
  }
  void Tell(const v1::OpenBatch& open, std::vector<std::string>& notes) const {
    if (tasks_ == 0) return;
    notes.push_back(absl::StrCat(
        tasks_ == 1 ? absl::StrCat("task '", first_, "' sets")
                    : absl::StrCat(tasks_, " tasks, the first of them '",
                                   first_, "', set"),
        " aside up to ", FormatUsd(most_), ", more than the batch's budget of ",
        FormatUsd(open.budget_usd_micros()),
        "; no such task starts unless that is raised"));
  }

 private:
  int64_t tasks_ = 0, most_ = 0;
  std::string first_;
};

class BatchFileReader {
 public:
  BatchFileReader(const std::string& path, const Values& given_params)
      : given_params_(given_params),
        complaints_(path),
        spec_reader_(std::filesystem::path(path).parent_path(), params_,
                     complaints_),
        task_reader_(std::filesystem::path(path).parent_path(), params_,
                     spec_reader_, complaints_) {}

  absl::StatusOr<BatchFile> Read(const std::string& text, bool is_json);
  absl::StatusOr<BatchFile> ReadJsonl(std::unique_ptr<LineFile> file);

 private:
  // Of a JSONL file.
  absl::Status ReadFirstLine(LineFile& file);
  void ReadHead(const YAML::Node& root, bool tasks_follow);
  void ReadTop(const YAML::Node& root, bool tasks_follow);
  void ReadParams(const YAML::Node& node);
  void ReadHook(const YAML::Node& node, const char* what, v1::Hook& hook);
  void TakeGivenParams(const YAML::Mark& mark);
  using Look = void (BatchFileReader::*)(const TaskText&, const PlannedTask&);
  void CheckPrompts();
  void ForEachText(Look look);
  void CheckText(const TaskText& text, const PlannedTask& task);
  void CheckMessage(const std::string& name, const TaskText& text,
                    const PlannedTask& task);
  void CheckSize(const TaskText& text, const PlannedTask& task);
  // One that is the same for every line of a JSONL file.
  void CheckLiteral(const TaskText& text);

  const Values& given_params_;
  Values params_;
  Complaints complaints_;
  SpecReader spec_reader_;
  TaskReader task_reader_;
  v1::OpenBatch open_;
  SpecWithTexts spec_;
};

void BatchFileReader::ReadParams(const YAML::Node& node) {
  if (!node.IsMap()) {
    complaints_.Add(node.Mark(), "params is no map; expected name: value");
    return;
  }
  for (const auto& entry : node) {
    const YAML::Node& key = entry.first;
    const std::string name = key.IsScalar() ? key.Scalar() : "";
    if (!IsParameterName(name) || IsMatchName(name) ||
        absl::StartsWith(name, kOfTasks) || params_.count(name) > 0) {
      complaints_.Add(
          key.Mark(),
          absl::StrCat("'", Printable(name), "' cannot be one of params",
                       IsMatchName(name) ? " (foreach uses the name)" : "",
                       "; expected letters, digits, _ - and ., once"));
    } else if (auto value = ReadText(entry.second, name, complaints_)) {
      params_[name] = *value;
    }
  }
}

void BatchFileReader::ReadHook(const YAML::Node& node, const char* what,
                               v1::Hook& hook) {
  auto url = [&](const YAML::Node& n) {
    std::optional<std::string> text = spec_reader_.Text(n, "url");
    if (!text) return;
    // The scheduler says whether it takes http to other machines.
    const absl::Status allowed = CheckHookUrl(*text, /*plain_http=*/true);
    if (!allowed.ok()) {
      complaints_.Add(n.Mark(), absl::StrCat("url '", Printable(*text),
                                             "': ", allowed.message()));
    }
    hook.set_url(*text);
  };
  auto secret = [&](const YAML::Node& n) {
    if (auto name = spec_reader_.Name(n, "secret")) hook.set_secret(*name);
  };
  ReadMap(node, what, {{"url", url, true}, {"secret", secret}}, complaints_);
}

void BatchFileReader::TakeGivenParams(const YAML::Mark& mark) {
  for (const auto& [name, value] : given_params_) {
    auto known = params_.find(name);
    if (known == params_.end()) {
      std::vector<std::string> names;
      for (const auto& param : params_) names.push_back(param.first);
      complaints_.Add(
          mark,
          absl::StrCat("--param ", Printable(name),
                       " is not a parameter of this file; expected ",
                       names.empty() ? "none" : absl::StrJoin(names, ", ")));
    } else if (FindInvalidUtf8(value) != absl::string_view::npos) {
      complaints_.Add(mark, absl::StrCat("--param ", name,
                                         " is not UTF-8; expected UTF-8"));
    } else {
      known->second = value;
    }
  }
}

// The texts of a task: its own, or those that all share.
void BatchFileReader::ForEachText(Look look) {
  // Each once: what is wrong with a text of thousands of tasks is one thing.
  std::set<const TaskText*> wrong;
  auto each = [&](const TaskText& text, const PlannedTask& task) {
    if (wrong.contains(&text)) return;
    const size_t before = complaints_.count();
    (this->*look)(text, task);
    if (complaints_.count() > before) wrong.insert(&text);
  };
  for (const PlannedTask& task : task_reader_.tasks()) {
    const OwnSpec& own = *task.own;
    each(own.prompt ? *own.prompt : spec_.prompt, task);
    for (const TaskText& file : own.expect ? own.files : spec_.files) {
      each(file, task);
    }
    for (const TaskText& other : spec_.others) each(other, task);
  }
}

// One complaint is enough.
void BatchFileReader::CheckPrompts() {
  if (!spec_.without_prompt) return;
  for (const PlannedTask& task : task_reader_.tasks()) {
    if (task.own && task.own->prompt) continue;
    return complaints_.Add(
        *spec_.without_prompt,
        absl::StrCat("'prompt' is missing in defaults, and task '",
                     task.line.name(), "' has none of its own"));
  }
}

// What a text asks of a task, the task must have.
void BatchFileReader::CheckText(const TaskText& text, const PlannedTask& task) {
  for (const std::string& name : text.parameters) {
    if (absl::StartsWith(name, kOfTasks)) {
      CheckMessage(name, text, task);
    } else if (!task.line.parameters().contains(name)) {
      complaints_.Add(
          text.mark,
          absl::StrCat("unknown parameter {{", name, "}} in ", text.what,
                       "; expected one of params, or a "
                       "parameter of every task (task '",
                       task.line.name(), "' has none of that name)"));
      return;
    }
  }
}

// {{tasks.NAME.message}}: only a prompt is filled in when tasks are done.
void BatchFileReader::CheckMessage(const std::string& name,
                                   const TaskText& text,
                                   const PlannedTask& task) {
  const bool is_prompt = &text == &spec_.prompt ||
                         (task.own->prompt && &text == &*task.own->prompt);
  if (is_prompt && IsMessageOfNeed(task.line, name)) return;
  complaints_.Add(
      text.mark,
      is_prompt
          ? absl::StrCat("{{", name, "}} in ", text.what,
                         "; expected {{tasks.NAME.message}} of what task '",
                         task.line.name(),
                         "' needs, or {{tasks.all.messages}} with needs: all")
          : absl::StrCat("{{", name, "}} in ", text.what,
                         "; expected messages in a prompt only"));
}

// REQUIRES: CheckText had nothing to complain of.
void BatchFileReader::CheckSize(const TaskText& text, const PlannedTask& task) {
  const auto& parameters = task.line.parameters();
  const Values values(parameters.begin(), parameters.end());
  const size_t bytes = text.parameters.empty()
                           ? text.text.size()
                           : FillIn(text.text, values, nullptr).size();
  if (bytes <= text.bytes_max) return;
  complaints_.Add(
      text.mark,
      absl::StrCat(text.what, " of task '", task.line.name(), "' has ", bytes,
                   " bytes; expected at most ", text.bytes_max));
}

void BatchFileReader::CheckLiteral(const TaskText& text) {
  if (!text.parameters.empty() || text.text.size() <= text.bytes_max) return;
  complaints_.Add(text.mark,
                  absl::StrCat(text.what, " has ", text.text.size(),
                               " bytes; expected at most ", text.bytes_max));
}

// `tasks_follow`: the lines behind it are the tasks.
void BatchFileReader::ReadTop(const YAML::Node& root, bool tasks_follow) {
  using Node = YAML::Node;
  auto name_into = [this](const char* key,
                          std::string* (v1::OpenBatch::*field)(),
                          bool required = false) {
    auto read = [this, key, field](const Node& n) {
      if (auto name = spec_reader_.Name(n, key)) *(open_.*field)() = *name;
    };
    return YamlKey{key, read, required};
  };
  // Read before this map: the rest of the file may use them.
  auto params_known = [](const Node&) {};
  auto max_running = [this](const Node& n) {
    open_.set_max_running(static_cast<int32_t>(
        spec_reader_.Number(n, "max_running", 0, kMaxRunningMax).value_or(0)));
  };
  auto budget = [this](const Node& n) {
    open_.set_budget_usd_micros(spec_reader_.Usd(n, "budget").value_or(0));
  };
  auto hook_into = [this](const char* key,
                          v1::Hook* (v1::OpenBatch::*field)()) {
    return YamlKey{key, [this, key, field](const Node& n) {
                     ReadHook(n, key, *(open_.*field)());
                   }};
  };
  std::vector<YamlKey> keys = {
      name_into("name", &v1::OpenBatch::mutable_name, true),
      {"params", params_known},
      name_into("queue", &v1::OpenBatch::mutable_queue),
      name_into("tenant", &v1::OpenBatch::mutable_tenant),
      name_into("account", &v1::OpenBatch::mutable_account),
      {"max_running", max_running},
      {"budget", budget},
      {"canary",
       [this](const Node& n) {
         ReadCanary(n, spec_reader_, complaints_, *open_.mutable_canary());
       }},
      {"stop_when",
       [this](const Node& n) {
         ReadStopWhen(n, spec_reader_, complaints_, *open_.mutable_stop_when());
       }},
      hook_into("on_finish", &v1::OpenBatch::mutable_on_finish),
      hook_into("on_failure", &v1::OpenBatch::mutable_on_failure),
      hook_into("on_risk", &v1::OpenBatch::mutable_on_risk),
      {"defaults", [this](const Node& n) { spec_ = spec_reader_.ReadSpec(n); },
       true},
      {"tasks", [this](const Node& n) { task_reader_.ReadTasks(n); }},
      {"foreach", [this](const Node& n) { task_reader_.ReadForeach(n); }},
      {"schedule", nullptr, false, "with `midwatch schedule create`"},
      {"needs", nullptr, false, "in a task"}};
  for (const char* name :
       {"agent", "environment", "prompt", "max_cost", "retry", "timeouts",
        "expect", "priority", "concurrency_key", "labels", "answers",
        "answer_within", "deadline", "unique", "delay", "start_after",
        "expires_after"}) {
    keys.push_back({name, nullptr, false, "in defaults"});
  }
  if (tasks_follow) {
    keys.erase(std::remove_if(keys.begin(), keys.end(),
                              [](const YamlKey& key) {
                                return key.name == "tasks" ||
                                       key.name == "foreach";
                              }),
               keys.end());
  }
  ReadMap(root, "the batch", keys, complaints_);
}

void BatchFileReader::ReadHead(const YAML::Node& root, bool tasks_follow) {
  if (root.IsMap() && root["params"]) ReadParams(root["params"]);
  TakeGivenParams(root.Mark());
  ReadTop(root, tasks_follow);
}

absl::Status BatchFileReader::ReadFirstLine(LineFile& file) {
  constexpr char kExpected[] =
      "the batch in the first line, such as {\"batch\": {\"name\": \"n\", "
      "\"defaults\": {\"agent\": ..., \"prompt\": ...}}}, and a task in "
      "each line behind it";
  ASSIGN_OR_RETURN(std::optional<absl::string_view> line, file.Next());
  // Stricter than YAML, which the places and the vocabulary are of.
  if (!ReadJsonLine(file, line.value_or(""), kExpected, complaints_)) {
    return complaints_.ToStatus();
  }
  const std::optional<YAML::Node> root =
      ParseYaml(std::string(*line), /*is_json=*/true, complaints_);
  if (!root) return complaints_.ToStatus();
  const YAML::Node& top = *root;
  if (!top.IsMap() || !top["batch"]) {
    complaints_.Add(top.Mark(), absl::StrCat("no batch; expected ", kExpected));
  } else {
    ReadMap(top, "the first line",
            {{"batch",
              [this](const YAML::Node& batch) {
                ReadHead(batch, /*tasks_follow=*/true);
              }}},
            complaints_);
  }
  return complaints_.ToStatus();
}

absl::StatusOr<BatchFile> BatchFileReader::ReadJsonl(
    std::unique_ptr<LineFile> file) {
  RETURN_IF_ERROR(ReadFirstLine(*file));
  CheckLiteral(spec_.prompt);
  for (const TaskText& text : spec_.files) CheckLiteral(text);
  for (const TaskText& text : spec_.others) CheckLiteral(text);
  BatchFile batch;
  batch.open = std::move(open_);
  *batch.open.mutable_spec() = spec_.spec;
  auto tasks =
      std::make_shared<JsonlTasks>(std::move(file), params_, std::move(spec_));
  ContentHash hash;
  RoomCheck room;
  hash.Add(batch.open);
  RETURN_IF_ERROR(tasks->Check(complaints_, [&](const v1::TaskLine& task) {
    hash.Add(task);
    Count(task, batch);
    room.Look(task, batch.open);
  }));
  RETURN_IF_ERROR(complaints_.ToStatus());
  room.Tell(batch.open, batch.notes);
  batch.open.set_content_sha256(hash.FinishHex());
  batch.input_paths = tasks->inputs().paths();
  batch.input_bytes = tasks->inputs().bytes();
  batch.stream = std::move(tasks);
  return batch;
}

absl::StatusOr<BatchFile> BatchFileReader::Read(const std::string& text,
                                                bool is_json) {
  const std::optional<YAML::Node> root = ParseYaml(text, is_json, complaints_);
  if (!root) return complaints_.ToStatus();
  ReadHead(*root, /*tasks_follow=*/false);
  CheckPrompts();
  if (complaints_.count() == 0) {
    if (task_reader_.tasks().empty()) {
      complaints_.Add(root->Mark(),
                      "the batch has 0 tasks; expected tasks or a foreach");
    }
    task_reader_.OrderTasks();
    for (const PlannedTask& task : task_reader_.tasks()) {
      if (!task.max_cost_mark) continue;
      CheckOwnMaxCost(spec_.spec, task.line, *task.max_cost_mark, complaints_);
    }
    ForEachText(&BatchFileReader::CheckText);
  }
  if (complaints_.count() == 0) {
    ForEachText(&BatchFileReader::CheckSize);
  }
  RETURN_IF_ERROR(complaints_.ToStatus());

  BatchFile file;
  file.open = std::move(open_);
  *file.open.mutable_spec() = std::move(spec_.spec);
  file.input_paths = task_reader_.input_paths();
  file.input_bytes = task_reader_.input_bytes();
  file.notes = task_reader_.notes();
  file.lines = task_reader_.TakeLines();
  ContentHash hash;
  RoomCheck room;
  hash.Add(file.open);
  for (const v1::TaskLine& line : file.lines) {
    hash.Add(line);
    Count(line, file);
    room.Look(line, file.open);
  }
  room.Tell(file.open, file.notes);
  file.open.set_content_sha256(hash.FinishHex());
  return file;
}

}  // namespace

absl::StatusOr<BatchFile> LoadBatchFile(
    const std::string& path, const std::map<std::string, std::string>& params) {
  BatchFileReader reader(path, params);
  if (absl::EndsWith(path, ".jsonl")) {
    ASSIGN_OR_RETURN(std::unique_ptr<LineFile> file,
                     LineFile::Open(path, "a batch file (it is read twice)"));
    ASSIGN_OR_RETURN(BatchFile batch, reader.ReadJsonl(std::move(file)));
    batch.path = path;
    return batch;
  }
  if (absl::EndsWith(path, ".csv")) {
    return absl::InvalidArgumentError(absl::StrCat(
        path,
        ":1:1: rows without a batch; expected a batch file in YAML, JSON or "
        "JSONL (one with `foreach: {csv: FILE, ...}` makes a task of each "
        "row)"));
  }
  ASSIGN_OR_RETURN(std::string text, ReadConfigFile(path, "a batch file"));
  ASSIGN_OR_RETURN(BatchFile batch,
                   reader.Read(text, absl::EndsWith(path, ".json")));
  batch.path = path;
  return batch;
}

}  // namespace midwatch::cli
