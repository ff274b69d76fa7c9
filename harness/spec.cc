#include "harness/spec.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "harness/api_error.h"
#include "harness/tools.h"

namespace midwatch::harness {
namespace {

constexpr size_t kMountsMax = 500;
constexpr size_t kInitialEventsMax = 50;
constexpr size_t kEventsMax = 100;
constexpr char kUploads[] = "/mnt/session/uploads/";

bool Holds(const std::vector<const char*>& names, const std::string& name) {
  return std::any_of(names.begin(), names.end(),
                     [&](const char* n) { return name == n; });
}

size_t CharactersOf(const std::string& utf8) {
  return static_cast<size_t>(std::count_if(
      utf8.begin(), utf8.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

absl::StatusOr<Json> RequiredName(const Json& params) {
  ASSIGN_OR_RETURN(Json name, TextOrNull(params, "name", 256));
  if (name.is_null() || name.get<std::string>().empty()) {
    return InvalidRequest("name: must be 1 to 256 characters");
  }
  return name;
}

absl::StatusOr<Json> ResolveModel(const Json* params,
                                  const std::set<std::string>& models) {
  std::string id;
  if (params != nullptr && params->is_string()) {
    id = params->get<std::string>();
  } else if (params != nullptr) {
    RETURN_IF_ERROR(CheckMembers(*params,
                                 {"id", "effort", "inference_geo", "speed"},
                                 {"effort", "inference_geo"}));
    id = StringMember(*params, "id");
    std::string speed = StringMember(*params, "speed");
    if (!speed.empty() && speed != "standard") {
      return NotSupported(absl::StrCat("model.speed ", speed));
    }
  }
  if (models.count(id) == 0) {
    return InvalidRequest(absl::StrCat(
        "model: this server does not have \"", id,
        "\"; available: ", absl::StrJoin(models, ", ")));
  }
  return Json{{"id", id}};
}

absl::StatusOr<bool> ResolveEnabled(const Json& config, bool by_default) {
  if (const Json* policy = Member(config, "permission_policy")) {
    std::string type = StringMember(*policy, "type");
    if (type != "always_allow") {
      return NotSupported(absl::StrCat("permission_policy ", type));
    }
  }
  const Json* enabled = Member(config, "enabled");
  if (enabled == nullptr) return by_default;
  if (!enabled->is_boolean()) {
    return InvalidRequest("enabled: must be true or false");
  }
  return enabled->get<bool>();
}

absl::StatusOr<Json> ResolveToolset(const Json& params) {
  static const std::vector<const char*> kNames = {
      "bash", "read", "write", "edit", "glob", "grep", "web_fetch",
      "web_search"};
  std::string type = StringMember(params, "type");
  if (type != kToolset) {
    return NotSupported(absl::StrCat("a tool of type \"", type, "\""));
  }
  RETURN_IF_ERROR(
      CheckMembers(params, {"type", "default_config", "configs"}, {}));
  const Json allow = {{"type", "always_allow"}};
  bool by_default = true;
  if (const Json* config = Member(params, "default_config")) {
    RETURN_IF_ERROR(CheckMembers(*config, {"enabled", "permission_policy"}, {}));
    ASSIGN_OR_RETURN(by_default, ResolveEnabled(*config, true));
  }
  Json configs = Json::array();
  if (const Json* list = Member(params, "configs")) {
    if (!list->is_array()) return InvalidRequest("configs: must be an array");
    for (const Json& config : *list) {
      RETURN_IF_ERROR(CheckMembers(
          config, {"name", "type", "enabled", "permission_policy"}, {}));
      std::string name = StringMember(config, "name");
      if (!Holds(kNames, name)) {
        return InvalidRequest(
            absl::StrCat("configs: ", kToolset, " has no tool \"", name, "\""));
      }
      ASSIGN_OR_RETURN(bool enabled, ResolveEnabled(config, by_default));
      configs.push_back({{"name", name},
                         {"type", name},
                         {"enabled", enabled},
                         {"permission_policy", allow}});
    }
  }
  return Json{{"type", kToolset},
              {"default_config",
               {{"enabled", by_default}, {"permission_policy", allow}}},
              {"configs", std::move(configs)}};
}

absl::StatusOr<Json> ResolveTools(const Json* params) {
  Json tools = Json::array();
  if (params == nullptr) return tools;
  if (!params->is_array()) return InvalidRequest("tools: must be an array");
  for (const Json& toolset : *params) {
    ASSIGN_OR_RETURN(Json resolved, ResolveToolset(toolset));
    tools.push_back(std::move(resolved));
  }
  if (tools.size() > 1) {
    return InvalidRequest(absl::StrCat("tools: ", kToolset, " is there twice"));
  }
  return tools;
}

// The session's sandboxes have no network. `unrestricted`, the API's default,
// is taken; a list of hosts that would not be reachable is not.
absl::StatusOr<Json> ResolveConfig(const Json* params) {
  Json unrestricted = {{"type", "unrestricted"}};
  Json none = {{"type", "packages"}};
  for (const char* manager : {"apt", "cargo", "gem", "go", "npm", "pip"}) {
    none[manager] = Json::array();
  }
  Json config = {
      {"type", "cloud"}, {"networking", unrestricted}, {"packages", none}};
  if (params == nullptr) return config;
  std::string type = StringMember(*params, "type");
  if (type != "cloud") {
    return NotSupported(absl::StrCat("an environment of type \"", type, "\""));
  }
  RETURN_IF_ERROR(CheckMembers(*params, {"type", "networking", "packages"}, {}));
  if (const Json* packages = Member(*params, "packages")) {
    RETURN_IF_ERROR(CheckMembers(
        *packages, {"type", "apt", "cargo", "gem", "go", "npm", "pip"},
        {"apt", "cargo", "gem", "go", "npm", "pip"}));
  }
  if (const Json* networking = Member(*params, "networking")) {
    std::string kind = StringMember(*networking, "type");
    if (kind == "limited") {
      RETURN_IF_ERROR(CheckMembers(
          *networking,
          {"type", "allowed_hosts", "allow_mcp_servers",
           "allow_package_managers"},
          {"allowed_hosts", "allow_mcp_servers", "allow_package_managers"}));
      config["networking"] = {{"type", "limited"},
                              {"allowed_hosts", Json::array()},
                              {"allow_mcp_servers", false},
                              {"allow_package_managers", false}};
    } else if (kind != "unrestricted") {
      return InvalidRequest(
          "networking.type: must be unrestricted or limited");
    }
  }
  return config;
}

absl::Status CheckMetadata(const Json& metadata) {
  if (metadata.size() > 16) {
    return InvalidRequest("metadata: at most 16 pairs", "invalid_metadata");
  }
  for (const auto& [key, value] : metadata.items()) {
    if (!value.is_string() || key.empty() || CharactersOf(key) > 64 ||
        CharactersOf(value.get<std::string>()) > 512) {
      return InvalidRequest(
          absl::StrCat("metadata.", key,
                       ": must be a string of up to 512 characters under a key "
                       "of 1 to 64"),
          "invalid_metadata");
    }
  }
  return absl::OkStatus();
}

// "/data.csv" and "/mnt/session/uploads/data.csv" are the same place.
absl::StatusOr<std::string> ResolveMountPath(const std::string& path) {
  absl::string_view relative = path;
  if (!absl::ConsumePrefix(&relative, kUploads)) {
    absl::ConsumePrefix(&relative, "/");
  }
  for (absl::string_view part : absl::StrSplit(relative, '/')) {
    if (part.empty() || part == "." || part == ".." || part.size() > 255 ||
        absl::StrContains(part, absl::string_view("\0", 1))) {
      return InvalidRequest(absl::StrCat("mount_path: ", path,
                                         " does not name a file under ",
                                         kUploads));
    }
  }
  return std::string(relative);
}

absl::StatusOr<std::vector<FileMount>> ResolveMounts(const Json* params) {
  std::vector<FileMount> mounts;
  if (params == nullptr) return mounts;
  if (!params->is_array() || params->size() > kMountsMax) {
    return InvalidRequest(
        absl::StrCat("resources: must be an array of up to ", kMountsMax));
  }
  std::set<std::string> taken;
  for (const Json& resource : *params) {
    std::string type = StringMember(resource, "type");
    if (type != "file") {
      return NotSupported(absl::StrCat("a resource of type \"", type, "\""));
    }
    RETURN_IF_ERROR(
        CheckMembers(resource, {"type", "file_id", "mount_path"}, {}));
    FileMount mount;
    mount.file_id = StringMember(resource, "file_id");
    std::string path = StringMember(resource, "mount_path");
    ASSIGN_OR_RETURN(mount.path,
                     ResolveMountPath(path.empty() ? mount.file_id : path));
    // A file cannot be a directory of another one.
    auto after = taken.lower_bound(mount.path + "/");
    bool above = after != taken.end() &&
                 absl::StartsWith(*after, mount.path + "/");
    bool below = false;
    for (size_t slash = mount.path.find('/'); slash != std::string::npos;
         slash = mount.path.find('/', slash + 1)) {
      below |= taken.count(mount.path.substr(0, slash)) != 0;
    }
    if (above || below || !taken.insert(mount.path).second) {
      return InvalidRequest(absl::StrCat("resources: ", kUploads, mount.path,
                                         " is mounted twice"));
    }
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

absl::StatusOr<Json> ResolveMessage(const Json& event) {
  RETURN_IF_ERROR(CheckMembers(event, {"type", "content"}, {}));
  const Json* content = Member(event, "content");
  if (content == nullptr || !content->is_array() || content->empty()) {
    return InvalidRequest("content: must be an array with at least one block");
  }
  Json blocks = Json::array();
  for (const Json& block : *content) {
    std::string type = StringMember(block, "type");
    if (type != "text") {
      return NotSupported(absl::StrCat("a content block of type \"", type, "\""));
    }
    const Json* text = Member(block, "text");
    if (text == nullptr || !text->is_string()) {
      return InvalidRequest("content: a text block needs its text");
    }
    blocks.push_back({{"type", "text"}, {"text", *text}});
  }
  return Json{{"type", "user.message"}, {"content", std::move(blocks)}};
}

absl::StatusOr<Json> ResolveEvent(const Json& event,
                                  const std::string& thread_id) {
  std::string type = StringMember(event, "type");
  if (type == "user.message") return ResolveMessage(event);
  if (type == "user.interrupt") {
    RETURN_IF_ERROR(CheckMembers(event, {"type", "session_thread_id"}, {}));
    const Json* thread = Member(event, "session_thread_id");
    if (thread != nullptr && *thread != thread_id) {
      return InvalidRequest("session_thread_id: the session has no such thread");
    }
    return Json{{"type", type},
                {"session_thread_id", thread ? *thread : Json(nullptr)}};
  }
  if (type == "user.tool_confirmation" || type == "user.tool_result" ||
      type == "user.custom_tool_result") {
    return InvalidRequest(
        absl::StrCat(type, ": no tool use of this session waits for an answer"));
  }
  return NotSupported(absl::StrCat("an event of type \"", type, "\""));
}

absl::StatusOr<std::vector<Json>> ResolveEventList(
    const Json& list, const std::string& thread_id) {
  std::vector<Json> events;
  for (const Json& event : list) {
    ASSIGN_OR_RETURN(Json resolved, ResolveEvent(event, thread_id));
    events.push_back(std::move(resolved));
  }
  return events;
}

absl::Status ResolveAgentRef(const Json* params, SessionSpec& spec) {
  if (params != nullptr && params->is_string()) {
    spec.agent_id = params->get<std::string>();
    return absl::OkStatus();
  }
  if (params == nullptr || !params->is_object()) {
    return InvalidRequest("agent: must be an id or an object");
  }
  std::string type = StringMember(*params, "type");
  if (type != "agent") {
    return NotSupported(absl::StrCat("agent of type \"", type, "\""));
  }
  RETURN_IF_ERROR(CheckMembers(*params, {"type", "id", "version"}, {}));
  spec.agent_id = StringMember(*params, "id");
  if (const Json* version = Member(*params, "version")) {
    if (!version->is_number_integer() || version->get<int64_t>() < 1) {
      return InvalidRequest("agent.version: must be a whole number from 1");
    }
    spec.agent_version = version->get<int64_t>();
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckMembers(const Json& params,
                          const std::vector<const char*>& known,
                          const std::vector<const char*>& unsupported) {
  if (!params.is_object()) return InvalidRequest("must be a JSON object");
  for (const auto& [key, value] : params.items()) {
    if (!Holds(known, key)) {
      return InvalidRequest(absl::StrCat(key, ": unknown field"));
    }
    bool empty = value.is_null() || value == false ||
                 (value.is_structured() && value.empty());
    if (!empty && Holds(unsupported, key)) return NotSupported(key);
  }
  return absl::OkStatus();
}

absl::StatusOr<Json> TextOrNull(const Json& params, const char* key,
                                size_t characters_max) {
  const Json* value = Member(params, key);
  if (value == nullptr) return Json(nullptr);
  if (!value->is_string() ||
      CharactersOf(value->get<std::string>()) > characters_max) {
    return InvalidRequest(absl::StrCat(key, ": must be a string of up to ",
                                       characters_max, " characters"));
  }
  return *value;
}

absl::StatusOr<Json> ResolveAgent(const Json& params,
                                  const std::set<std::string>& models) {
  RETURN_IF_ERROR(CheckMembers(
      params,
      {"name", "description", "model", "system", "tools", "metadata",
       "mcp_servers", "skills", "multiagent", "execution_identity"},
      {"mcp_servers", "skills", "multiagent", "execution_identity"}));
  ASSIGN_OR_RETURN(Json name, RequiredName(params));
  ASSIGN_OR_RETURN(Json description, TextOrNull(params, "description", 2048));
  ASSIGN_OR_RETURN(Json model, ResolveModel(Member(params, "model"), models));
  ASSIGN_OR_RETURN(Json system, TextOrNull(params, "system", 100'000));
  ASSIGN_OR_RETURN(Json tools, ResolveTools(Member(params, "tools")));
  ASSIGN_OR_RETURN(Json metadata, ResolveMetadata(Member(params, "metadata")));
  return Json{{"name", std::move(name)},     {"description", description},
              {"model", std::move(model)},   {"system", std::move(system)},
              {"tools", std::move(tools)},   {"metadata", metadata}};
}

absl::StatusOr<Json> ResolveAgentUpdate(const Json& current, const Json& params,
                                        const std::set<std::string>& models) {
  if (!params.is_object()) return InvalidRequest("must be a JSON object");
  Json merged = current;
  for (const auto& [key, value] : params.items()) {
    if (key != "version" && key != "metadata") merged[key] = value;
  }
  if (const Json* patch = Member(params, "metadata")) {
    ASSIGN_OR_RETURN(merged["metadata"],
                     MergeMetadata(current["metadata"], *patch));
  }
  return ResolveAgent(merged, models);
}

absl::StatusOr<Json> ResolveEnvironment(const Json& params) {
  RETURN_IF_ERROR(CheckMembers(
      params, {"name", "description", "config", "metadata", "scope"}, {}));
  ASSIGN_OR_RETURN(Json name, RequiredName(params));
  ASSIGN_OR_RETURN(Json description, TextOrNull(params, "description", 2048));
  ASSIGN_OR_RETURN(Json config, ResolveConfig(Member(params, "config")));
  ASSIGN_OR_RETURN(Json metadata, ResolveMetadata(Member(params, "metadata")));
  std::string scope = StringMember(params, "scope");
  if (!scope.empty() && scope != "organization") {
    return NotSupported(absl::StrCat("scope ", scope));
  }
  return Json{{"name", std::move(name)},
              {"description", std::move(description)},
              {"config", std::move(config)},
              {"metadata", std::move(metadata)}};
}

absl::StatusOr<Json> ResolveMetadata(const Json* params) {
  if (params == nullptr) return Json::object();
  if (!params->is_object()) {
    return InvalidRequest("metadata: must be an object", "invalid_metadata");
  }
  RETURN_IF_ERROR(CheckMetadata(*params));
  return *params;
}

absl::StatusOr<Json> MergeMetadata(Json current, const Json& patch) {
  if (!patch.is_object()) {
    return InvalidRequest("metadata: must be an object", "invalid_metadata");
  }
  for (const auto& [key, value] : patch.items()) {
    if (value.is_null()) {
      current.erase(key);
    } else {
      current[key] = value;
    }
  }
  RETURN_IF_ERROR(CheckMetadata(current));
  return current;
}

absl::StatusOr<int64_t> ResolveBudget(const Json& params) {
  absl::Status malformed = InvalidRequest(
      "budget: must be {\"type\":\"limit\",\"max_list_cost\":{\"amount\":"
      "\"<cents>\",\"currency\":\"USD\"}} with a whole number of cents above 0");
  const Json* cost = Member(params, "max_list_cost");
  if (StringMember(params, "type") != "limit" || cost == nullptr ||
      StringMember(*cost, "currency") != "USD") {
    return malformed;
  }
  std::string amount = StringMember(*cost, "amount");
  int64_t cents = 0;
  bool digits = !amount.empty() && amount.size() <= 12 && amount[0] != '0' &&
                std::all_of(amount.begin(), amount.end(), [](char c) {
                  return c >= '0' && c <= '9';
                });
  if (!digits || !absl::SimpleAtoi(amount, &cents)) return malformed;
  return cents;
}

absl::StatusOr<SessionSpec> ResolveSession(const Json& params) {
  RETURN_IF_ERROR(CheckMembers(
      params,
      {"agent", "environment_id", "initial_events", "budget", "resources",
       "vault_ids", "metadata", "title"},
      {"vault_ids"}));
  SessionSpec spec;
  RETURN_IF_ERROR(ResolveAgentRef(Member(params, "agent"), spec));
  spec.environment_id = StringMember(params, "environment_id");
  ASSIGN_OR_RETURN(Json title, TextOrNull(params, "title", 512));
  if (title.is_string()) spec.title = title.get<std::string>();
  ASSIGN_OR_RETURN(spec.metadata, ResolveMetadata(Member(params, "metadata")));
  if (const Json* budget = Member(params, "budget")) {
    ASSIGN_OR_RETURN(spec.budget_usd_cents, ResolveBudget(*budget));
  }
  ASSIGN_OR_RETURN(spec.mounts, ResolveMounts(Member(params, "resources")));
  if (const Json* events = Member(params, "initial_events")) {
    if (!events->is_array() || events->size() > kInitialEventsMax) {
      return InvalidRequest(absl::StrCat("initial_events: must be an array of "
                                         "up to ",
                                         kInitialEventsMax));
    }
    for (const Json& event : *events) {
      if (StringMember(event, "type") == "user.interrupt") {
        return InvalidRequest("initial_events: a new session has no turn");
      }
    }
    ASSIGN_OR_RETURN(spec.initial_events, ResolveEventList(*events, ""));
  }
  return spec;
}

absl::StatusOr<std::vector<Json>> ResolveEvents(const Json& params,
                                                const std::string& thread_id) {
  RETURN_IF_ERROR(CheckMembers(params, {"events"}, {}));
  const Json* events = Member(params, "events");
  if (events == nullptr || !events->is_array() || events->empty() ||
      events->size() > kEventsMax) {
    return InvalidRequest(
        absl::StrCat("events: must be an array of 1 to ", kEventsMax));
  }
  return ResolveEventList(*events, thread_id);
}

}  // namespace midwatch::harness
