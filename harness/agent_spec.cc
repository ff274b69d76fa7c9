#include "harness/agent_spec.h"

#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "harness/api_error.h"
#include "harness/fields.h"
#include "harness/tools.h"

namespace midwatch::harness {
namespace {

constexpr size_t kModelIdBytesMax = 256;

absl::StatusOr<Json> ResolveModel(const Json* params,
                                  const KnownModels& models) {
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
  if (id.size() > kModelIdBytesMax) {
    return InvalidRequest(absl::StrCat("model: must not be longer than ",
                                       kModelIdBytesMax, " bytes"));
  }
  if (!models.Has(id)) {
    return InvalidRequest(absl::StrCat("model: ", models.Refusal(id)));
  }
  return Json{{"id", id}};
}

struct ToolConfig {
  bool enabled = true;
  Json policy = {{"type", "always_allow"}};
};

absl::StatusOr<ToolConfig> ResolveToolConfig(const Json& config,
                                             ToolConfig resolved) {
  if (const Json* policy = Member(config, "permission_policy")) {
    std::string type = StringMember(*policy, "type");
    if (type != "always_allow" && type != kAlwaysAsk) {
      return NotSupported(absl::StrCat("permission_policy ", type));
    }
    resolved.policy = {{"type", type}};
  }
  const Json* enabled = Member(config, "enabled");
  if (enabled == nullptr) return resolved;
  if (!enabled->is_boolean()) {
    return InvalidRequest("enabled: must be true or false");
  }
  resolved.enabled = enabled->get<bool>();
  return resolved;
}

// All of the API's: those that this server lacks may be configured, and are
// never called.
const std::set<std::string>& ToolNames() {
  static const auto* names =
      new std::set<std::string>{"bash", "read", "write",     "edit",
                                "glob", "grep", "web_fetch", "web_search"};
  return *names;
}

absl::StatusOr<Json> ResolveToolset(const Json& params) {
  std::string type = StringMember(params, "type");
  if (type != kToolset) {
    return NotSupported(absl::StrCat("a tool of type \"", type, "\""));
  }
  RETURN_IF_ERROR(
      CheckMembers(params, {"type", "default_config", "configs"}, {}));
  ToolConfig by_default;
  if (const Json* config = Member(params, "default_config")) {
    RETURN_IF_ERROR(
        CheckMembers(*config, {"enabled", "permission_policy"}, {}));
    ASSIGN_OR_RETURN(by_default, ResolveToolConfig(*config, by_default));
  }
  Json configs = Json::array();
  if (const Json* list = Member(params, "configs")) {
    if (!list->is_array()) return InvalidRequest("configs: must be an array");
    for (const Json& config : *list) {
      RETURN_IF_ERROR(CheckMembers(
          config, {"name", "type", "enabled", "permission_policy"}, {}));
      std::string name = StringMember(config, "name");
      if (ToolNames().count(name) == 0) {
        return InvalidRequest(
            absl::StrCat("configs: ", kToolset, " has no tool \"", name, "\""));
      }
      ASSIGN_OR_RETURN(ToolConfig own, ResolveToolConfig(config, by_default));
      configs.push_back({{"name", name},
                         {"type", name},
                         {"enabled", own.enabled},
                         {"permission_policy", own.policy}});
    }
  }
  return Json{{"type", kToolset},
              {"default_config",
               {{"enabled", by_default.enabled},
                {"permission_policy", by_default.policy}}},
              {"configs", std::move(configs)}};
}

// A tool that the client runs.
absl::StatusOr<Json> ResolveCustomTool(const Json& params) {
  RETURN_IF_ERROR(CheckMembers(
      params, {"type", "name", "description", "input_schema"}, {}));
  ASSIGN_OR_RETURN(Json name, RequiredName(params));
  if (ToolNames().count(name.get<std::string>()) != 0) {
    return InvalidRequest(
        absl::StrCat("tools: ", kToolset, " has a tool of that name"));
  }
  ASSIGN_OR_RETURN(Json description, TextOrNull(params, "description", 4096));
  const Json* schema = Member(params, "input_schema");
  if (schema == nullptr || !schema->is_object()) {
    return InvalidRequest("input_schema: must be an object");
  }
  return Json{{"type", kCustomTool},
              {"name", std::move(name)},
              {"description", std::move(description)},
              {"input_schema", *schema}};
}

absl::StatusOr<Json> ResolveTools(const Json* params) {
  Json tools = Json::array();
  if (params == nullptr) return tools;
  if (!params->is_array()) return InvalidRequest("tools: must be an array");
  std::set<std::string> names;
  for (const Json& tool : *params) {
    bool custom = StringMember(tool, "type") == kCustomTool;
    ASSIGN_OR_RETURN(Json resolved,
                     custom ? ResolveCustomTool(tool) : ResolveToolset(tool));
    std::string name = custom ? StringMember(resolved, "name") : kToolset;
    if (!names.insert(name).second) {
      return InvalidRequest(absl::StrCat("tools: ", name, " is there twice"));
    }
    tools.push_back(std::move(resolved));
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
  RETURN_IF_ERROR(
      CheckMembers(*params, {"type", "networking", "packages"}, {}));
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
      return InvalidRequest("networking.type: must be unrestricted or limited");
    }
  }
  return config;
}

}  // namespace

std::string KnownModels::Refusal(const std::string& id) const {
  if (id.empty()) return "must be the id of a model";
  return absl::StrCat(
      "this server does not have \"", id, "\", only ", kRunbook,
      "; for others it must be started with a server of the Messages API "
      "behind it (--model-url, or ANTHROPIC_API_KEY in its environment)");
}

absl::StatusOr<Json> ResolveAgent(const Json& params,
                                  const KnownModels& models) {
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
  return Json{{"name", std::move(name)},   {"description", description},
              {"model", std::move(model)}, {"system", std::move(system)},
              {"tools", std::move(tools)}, {"metadata", metadata}};
}

absl::StatusOr<Json> ResolveAgentUpdate(const Json& current, const Json& params,
                                        const KnownModels& models) {
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

}  // namespace midwatch::harness
