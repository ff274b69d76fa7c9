#include "scheduler/from_proto.h"

#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "base/utf8.h"
#include "scheduler/parameters.h"

namespace midwatch {
namespace {

using Json = nlohmann::json;

constexpr int64_t kCentUsdMicros = 10'000;
constexpr int64_t kMaxCostDefault = 1'000'000;
constexpr int64_t kMaxCostMax = 1'000'000'000'000;
constexpr int kDefaultPriority = 5;

template <typename... Args>
absl::Status Bad(const Args&... args) {
  return absl::InvalidArgumentError(absl::StrCat(args...));
}

bool IsPrintable(absl::string_view text) {
  for (unsigned char c : text) {
    if (c < 0x20 || c == 0x7f) return false;
  }
  return true;
}

absl::Status CheckName(absl::string_view field, absl::string_view text,
                       size_t max = 200) {
  if (text.empty()) return Bad(field, ": required");
  if (text.size() > max) {
    return Bad(field, ": ", text.size(), " bytes; at most ", max);
  }
  if (!IsPrintable(text)) return Bad(field, ": holds control characters");
  return absl::OkStatus();
}

// A path below a directory of the sandbox, and nowhere else.
absl::Status CheckRelativePath(absl::string_view field,
                               absl::string_view path) {
  RETURN_IF_ERROR(CheckName(field, path, 1000));
  if (path[0] == '/') return Bad(field, ": '", path, "' must be relative");
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == "..") {
      return Bad(field, ": '", path, "' has an empty, '.' or '..' part");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSha256(absl::string_view field, absl::string_view text) {
  bool ok = text.size() == 64;
  for (char c : text) {
    ok = ok && (absl::ascii_isdigit(static_cast<unsigned char>(c)) ||
                (c >= 'a' && c <= 'f'));
  }
  return ok ? absl::OkStatus()
            : Bad(field, ": expected 64 lower-case hex digits");
}

using ProtoLabels = google::protobuf::Map<std::string, std::string>;

absl::Status CheckLabels(absl::string_view field, const ProtoLabels& labels) {
  // In the order of their keys, so that the same one is named each time.
  for (const auto& [key, value] : Labels(labels.begin(), labels.end())) {
    bool known = !key.empty() && key.size() <= 63;
    for (char c : key) {
      known = known && (absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                        absl::StrContains("-_./", c));
    }
    if (!known) {
      return Bad(field, ": '", absl::CHexEscape(key),
                 "' is no key; expected 1 to 63 letters, digits and - _ . /");
    }
    RETURN_IF_ERROR(CheckName(absl::StrCat(field, "[", key, "]"), value));
  }
  return labels.size() <= kLabelsMax
             ? absl::OkStatus()
             : Bad(field, ": ", labels.size(), "; at most ", kLabelsMax);
}

std::string OrDefault(const std::string& name) {
  return name.empty() ? "default" : name;
}

absl::Status CheckAgent(const v1::TaskSpec& spec) {
  switch (spec.agent().ref_case()) {
    case v1::AgentRef::kAgentId:
      return CheckName("spec.agent.agent_id", spec.agent().agent_id());
    case v1::AgentRef::kDefinitionJson:
      return CheckAgentDefinition(spec.agent().definition_json());
    default:
      return Bad("spec.agent: required: agent_id or definition_json");
  }
}

absl::Status CheckEnvironment(const v1::TaskSpec& spec) {
  switch (spec.environment().ref_case()) {
    case v1::EnvironmentRef::kEnvironmentId:
      return CheckName("spec.environment.environment_id",
                       spec.environment().environment_id());
    case v1::EnvironmentRef::kDefinitionJson: {
      Json json =
          Json::parse(spec.environment().definition_json(), nullptr, false);
      return json.is_object()
                 ? absl::OkStatus()
                 : Bad("spec.environment.definition_json: expected a JSON "
                       "object");
    }
    default:
      return absl::OkStatus();
  }
}

absl::Status CheckDuration(absl::string_view field,
                           const google::protobuf::Duration& duration) {
  constexpr int64_t kSecondsMax = 29 * 24 * 3600;  // a sandbox lives 30 days
  constexpr int32_t kNanosMax = 999'999'999;       // as of every Duration
  if (duration.seconds() < 0 || duration.seconds() > kSecondsMax ||
      duration.nanos() < 0 || duration.nanos() > kNanosMax) {
    return Bad(field, ": expected a duration of 0 to 29 days");
  }
  return absl::OkStatus();
}

// Bounds, and defaults filled in where they are numbers.
absl::Status CheckSpec(v1::TaskSpec& spec) {
  RETURN_IF_ERROR(CheckAgent(spec));
  RETURN_IF_ERROR(CheckEnvironment(spec));
  if (spec.prompt().empty()) return Bad("spec.prompt: required");
  if (spec.prompt().size() > kPromptBytesMax) {
    return Bad("spec.prompt: ", spec.prompt().size(), " bytes; at most ",
               kPromptBytesMax, " (12 MiB)");
  }
  if (spec.max_cost_usd_micros() == 0) {
    spec.set_max_cost_usd_micros(kMaxCostDefault);
  }
  if (spec.max_cost_usd_micros() < kCentUsdMicros ||
      spec.max_cost_usd_micros() > kMaxCostMax) {
    return Bad("spec.max_cost_usd_micros: ", spec.max_cost_usd_micros(),
               "; expected 10000 (one cent) to 10^12");
  }
  const v1::RetryPolicy& retry = spec.retry();
  if (retry.max_failures() < 0 || retry.max_failures() > 100) {
    return Bad("spec.retry.max_failures: ", retry.max_failures(),
               "; expected 1 to 100");
  }
  if (retry.max_starts() < 0 || retry.max_starts() > 1000) {
    return Bad("spec.retry.max_starts: ", retry.max_starts(),
               "; expected 1 to 1000");
  }
  RETURN_IF_ERROR(
      CheckDuration("spec.timeouts.start", spec.timeouts().start()));
  RETURN_IF_ERROR(CheckDuration("spec.timeouts.idle", spec.timeouts().idle()));
  RETURN_IF_ERROR(
      CheckDuration("spec.timeouts.total", spec.timeouts().total()));
  if (spec.expect().files_size() > 100) {
    return Bad("spec.expect.files: ", spec.expect().files_size(),
               "; at most 100");
  }
  if (spec.has_priority() && (spec.priority() < 0 || spec.priority() > 9)) {
    return Bad("spec.priority: ", spec.priority(), "; expected 0 to 9");
  }
  return CheckLabels("spec.labels", spec.labels());
}

absl::Status CheckInputs(const v1::TaskLine& line) {
  if (line.inputs_size() > 500) {
    return Bad("inputs: ", line.inputs_size(), "; a session takes 500 files");
  }
  std::set<std::string> mounts;
  for (const v1::Input& input : line.inputs()) {
    RETURN_IF_ERROR(CheckRelativePath("inputs.mount", input.mount()));
    RETURN_IF_ERROR(CheckSha256("inputs.sha256", input.sha256()));
    if (input.size_bytes() < 0) return Bad("inputs.size_bytes: negative");
    if (!mounts.insert(input.mount()).second) {
      return Bad("inputs.mount: '", input.mount(), "' is used twice");
    }
  }
  return absl::OkStatus();
}

// One task of a spec: fills its parameters in to see that they are all there.
absl::StatusOr<NewTask> ToNewTask(const v1::TaskSpec& spec,
                                  const v1::TaskLine& line) {
  RETURN_IF_ERROR(CheckName("name", line.name()));
  RETURN_IF_ERROR(CheckInputs(line));
  ASSIGN_OR_RETURN(v1::TaskSpec filled, FillIn(spec, line.parameters()));
  if (filled.prompt().size() > kPromptBytesMax) {
    return Bad("prompt with its parameters filled in: ", filled.prompt().size(),
               " bytes; at most ", kPromptBytesMax);
  }
  for (const std::string& file : filled.expect().files()) {
    RETURN_IF_ERROR(CheckRelativePath("spec.expect.files", file));
  }
  if (filled.concurrency_key().size() > 200) {
    return Bad("spec.concurrency_key: ", filled.concurrency_key().size(),
               " bytes; at most 200");
  }
  RETURN_IF_ERROR(CheckLabels("labels", line.labels()));
  NewTask task;
  task.labels = {line.labels().begin(), line.labels().end()};
  task.labels.insert(spec.labels().begin(), spec.labels().end());
  if (task.labels.size() > kLabelsMax) {
    return Bad("labels: ", task.labels.size(), " with the spec's; at most ",
               kLabelsMax);
  }
  task.line = line;
  task.concurrency_key = filled.concurrency_key();
  task.priority = spec.has_priority() ? spec.priority() : kDefaultPriority;
  task.max_cost = spec.max_cost_usd_micros();
  return task;
}

absl::Status CheckPolicy(const Json& holder, absl::string_view where) {
  auto policy = holder.find("permission_policy");
  if (policy == holder.end() || policy->is_null()) return absl::OkStatus();
  if (policy->is_object()) {
    auto type = policy->find("type");
    if (type != policy->end() && *type == "always_allow") {
      return absl::OkStatus();
    }
  }
  return Bad(where,
             ".permission_policy: only always_allow is possible: answers to "
             "permission requests are not supported yet");
}

absl::Status CheckTool(const Json& tool, const std::string& where) {
  if (!tool.is_object()) return Bad(where, ": expected an object");
  Json::const_iterator type = tool.find("type");
  std::string kind =
      type != tool.end() && type->is_string() ? type->get<std::string>() : "";
  if (kind == "custom") {
    return Bad(where,
               ": custom tools need somebody to run them, which is not "
               "supported yet");
  }
  Json::const_iterator config = tool.find("default_config");
  bool configured = config != tool.end() && config->is_object();
  if (kind == "mcp_toolset" &&
      !(configured && config->contains("permission_policy"))) {
    return Bad(where,
               ".default_config.permission_policy: required for an MCP "
               "toolset ({\"type\": \"always_allow\"}): its default asks a "
               "person, which is not supported yet");
  }
  if (configured) RETURN_IF_ERROR(CheckPolicy(*config, where));
  Json::const_iterator configs = tool.find("configs");
  if (configs != tool.end() && configs->is_array()) {
    for (const Json& each : *configs) {
      if (each.is_object()) RETURN_IF_ERROR(CheckPolicy(each, where));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckAgentDefinition(const std::string& text) {
  constexpr absl::string_view kField = "spec.agent.definition_json";
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return Bad(kField, ": expected a JSON object");
  for (const char* key : {"model", "name"}) {
    if (!json.contains(key)) return Bad(kField, ".", key, ": required");
  }
  Json::const_iterator tools = json.find("tools");
  if (tools == json.end() || tools->is_null()) return absl::OkStatus();
  if (!tools->is_array()) return Bad(kField, ".tools: expected an array");
  for (size_t i = 0; i < tools->size(); ++i) {
    RETURN_IF_ERROR(
        CheckTool((*tools)[i], absl::StrCat(kField, ".tools[", i, "]")));
  }
  return absl::OkStatus();
}

absl::Status CheckRequestId(const std::string& request_id) {
  return CheckName("request_id", request_id, 128);
}

absl::Status CheckReason(const std::string& reason) {
  return reason.size() <= 1000
             ? absl::OkStatus()
             : Bad("reason: ", reason.size(), " bytes; at most 1000");
}

absl::StatusOr<int> CheckPageSize(int32_t page_size, int if_unset) {
  if (page_size == 0) return if_unset;
  if (page_size < 0 || page_size > 1000) {
    return Bad("page_size: ", page_size, "; expected 1 to 1000");
  }
  return static_cast<int>(page_size);
}

absl::StatusOr<SubmitTask> FromProto(const v1::SubmitTaskRequest& request) {
  SubmitTask submit;
  RETURN_IF_ERROR(CheckRequestId(request.request_id()));
  submit.request_id = request.request_id();
  submit.tenant = OrDefault(request.tenant());
  submit.queue = OrDefault(request.queue());
  submit.account = OrDefault(request.account());
  RETURN_IF_ERROR(CheckName("tenant", submit.tenant));
  RETURN_IF_ERROR(CheckName("queue", submit.queue));
  RETURN_IF_ERROR(CheckName("account", submit.account));
  submit.spec = request.spec();
  RETURN_IF_ERROR(CheckSpec(submit.spec));
  ASSIGN_OR_RETURN(submit.task, ToNewTask(submit.spec, request.line()));
  return submit;
}

absl::StatusOr<OpenBatch> FromProto(const std::string& request_id,
                                    const v1::OpenBatch& open) {
  OpenBatch write;
  RETURN_IF_ERROR(CheckRequestId(request_id));
  write.request_id = request_id;
  write.name = open.name();
  RETURN_IF_ERROR(CheckName("open.name", write.name));
  write.tenant = OrDefault(open.tenant());
  write.queue = OrDefault(open.queue());
  write.account = OrDefault(open.account());
  RETURN_IF_ERROR(CheckName("open.tenant", write.tenant));
  RETURN_IF_ERROR(CheckName("open.queue", write.queue));
  RETURN_IF_ERROR(CheckName("open.account", write.account));
  if (!open.content_sha256().empty()) {
    RETURN_IF_ERROR(CheckSha256("open.content_sha256", open.content_sha256()));
  }
  write.content_sha256 = open.content_sha256();
  if (open.max_running() < 0) {
    return Bad("open.max_running: ", open.max_running(),
               "; expected 0 (no cap) or more");
  }
  write.max_running = open.max_running();
  write.spec = open.spec();
  RETURN_IF_ERROR(CheckSpec(write.spec));
  return write;
}

absl::StatusOr<AddTasks> FromProto(const std::string& request_id,
                                   const v1::TaskChunk& chunk,
                                   const v1::TaskSpec& spec) {
  RETURN_IF_ERROR(CheckRequestId(request_id));
  if (chunk.first_line() < 0 ||
      chunk.first_line() > INT64_MAX - kChunkLinesMax) {
    return Bad("chunk.first_line: ", chunk.first_line(),
               "; expected the number of a line, from 0");
  }
  if (chunk.lines_size() == 0 || chunk.lines_size() > kChunkLinesMax) {
    return Bad("chunk.lines: ", chunk.lines_size(), "; expected 1 to ",
               kChunkLinesMax);
  }
  AddTasks write;
  write.request_id = request_id;
  write.first_line = chunk.first_line();
  for (int i = 0; i < chunk.lines_size(); ++i) {
    absl::StatusOr<NewTask> task = ToNewTask(spec, chunk.lines(i));
    if (!task.ok()) {
      return absl::Status(task.status().code(),
                          absl::StrCat("line ", chunk.first_line() + i, ": ",
                                       task.status().message()));
    }
    write.tasks.push_back(*std::move(task));
  }
  return write;
}

absl::StatusOr<TaskFilter> FromProto(const v1::ListTasksRequest& request) {
  TaskFilter filter;
  for (int i = 0; i < request.states_size(); ++i) {
    v1::TaskState state = request.states(i);
    if (!v1::TaskState_IsValid(state) || state == v1::TASK_STATE_UNSPECIFIED) {
      return Bad("states[", i, "]: ", static_cast<int>(state),
                 " is no state of a task");
    }
    filter.states.push_back(state);
  }
  RETURN_IF_ERROR(CheckLabels("labels", request.labels()));
  filter.labels = {request.labels().begin(), request.labels().end()};
  filter.queue = request.queue();
  return filter;
}

absl::StatusOr<BatchFilter> FromProto(const v1::ListBatchesRequest& request) {
  BatchFilter filter{
      .name = request.name(), .states = {}, .queue = request.queue()};
  for (int i = 0; i < request.states_size(); ++i) {
    v1::BatchState state = request.states(i);
    if (!v1::BatchState_IsValid(state) ||
        state == v1::BATCH_STATE_UNSPECIFIED) {
      return Bad("states[", i, "]: ", static_cast<int>(state),
                 " is no state of a batch");
    }
    filter.states.push_back(state);
  }
  return filter;
}

absl::StatusOr<RegisterWorker> FromProto(
    const v1::RegisterWorkerRequest& request) {
  RETURN_IF_ERROR(CheckName("incarnation", request.incarnation(), 64));
  if (request.incarnation().size() < 16) {
    return Bad("incarnation: ", request.incarnation().size(),
               " bytes; at least 16");
  }
  if (request.accounts().empty()) return Bad("accounts: at least one");
  if (request.capacity() < 1 || request.capacity() > 100'000) {
    return Bad("capacity: ", request.capacity(), "; expected 1 to 100000");
  }
  return RegisterWorker{request.incarnation(),
                        std::string(CutUtf8(request.description(), 200))};
}

}  // namespace midwatch
