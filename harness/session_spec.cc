#include "harness/session_spec.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "harness/api_error.h"
#include "harness/fields.h"

namespace midwatch::harness {
namespace {

constexpr size_t kMountsMax = 500;
constexpr size_t kInitialEventsMax = 50;
constexpr size_t kEventsMax = 100;
constexpr char kUploads[] = "/mnt/session/uploads/";

// "/data.csv" and "/mnt/session/uploads/data.csv" are the same place.
absl::StatusOr<std::string> ResolveMountPath(const std::string& path) {
  absl::string_view relative = path;
  if (!absl::ConsumePrefix(&relative, kUploads)) {
    absl::ConsumePrefix(&relative, "/");
  }
  for (absl::string_view part : absl::StrSplit(relative, '/')) {
    if (part.empty() || part == "." || part == ".." || part.size() > 255 ||
        absl::StrContains(part, absl::string_view("\0", 1))) {
      return InvalidRequest(absl::StrCat(
          "mount_path: ", path, " does not name a file under ", kUploads));
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
    bool above =
        after != taken.end() && absl::StartsWith(*after, mount.path + "/");
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
      return NotSupported(
          absl::StrCat("a content block of type \"", type, "\""));
    }
    const Json* text = Member(block, "text");
    if (text == nullptr || !text->is_string()) {
      return InvalidRequest("content: a text block needs its text");
    }
    blocks.push_back({{"type", "text"}, {"text", *text}});
  }
  return Json{{"type", "user.message"}, {"content", std::move(blocks)}};
}

absl::StatusOr<Json> ResolveConfirmation(const Json& event) {
  RETURN_IF_ERROR(CheckMembers(
      event, {"type", "tool_use_id", "result", "deny_message"}, {}));
  std::string result = StringMember(event, "result");
  if (result != "allow" && result != "deny") {
    return InvalidRequest("result: must be allow or deny");
  }
  ASSIGN_OR_RETURN(Json why, TextOrNull(event, "deny_message", 10'000));
  if (result == "allow" && !why.is_null()) {
    return InvalidRequest("deny_message: only with the result deny");
  }
  return Json{{"type", "user.tool_confirmation"},
              {"tool_use_id", StringMember(event, "tool_use_id")},
              {"result", result},
              {"deny_message", std::move(why)}};
}

absl::StatusOr<Json> ResolveToolResult(const Json& event) {
  RETURN_IF_ERROR(CheckMembers(
      event, {"type", "custom_tool_use_id", "content", "is_error"}, {}));
  Json content = Json::array();
  if (Member(event, "content") != nullptr) {
    Json as_message = {{"type", "user.message"}, {"content", event["content"]}};
    ASSIGN_OR_RETURN(as_message, ResolveMessage(as_message));
    content = std::move(as_message["content"]);
  }
  const Json* is_error = Member(event, "is_error");
  if (is_error != nullptr && !is_error->is_boolean()) {
    return InvalidRequest("is_error: must be true or false");
  }
  return Json{{"type", "user.custom_tool_result"},
              {"custom_tool_use_id", StringMember(event, "custom_tool_use_id")},
              {"content", std::move(content)},
              {"is_error", is_error != nullptr && is_error->get<bool>()}};
}

absl::StatusOr<Json> ResolveEvent(const Json& event,
                                  const std::string& thread_id) {
  std::string type = StringMember(event, "type");
  if (type == "user.message") return ResolveMessage(event);
  if (type == "user.interrupt") {
    RETURN_IF_ERROR(CheckMembers(event, {"type", "session_thread_id"}, {}));
    const Json* thread = Member(event, "session_thread_id");
    if (thread != nullptr && *thread != thread_id) {
      return InvalidRequest(
          "session_thread_id: the session has no such thread");
    }
    return Json{{"type", type},
                {"session_thread_id", thread ? *thread : Json(nullptr)}};
  }
  if (type == "user.tool_confirmation") return ResolveConfirmation(event);
  if (type == "user.custom_tool_result") return ResolveToolResult(event);
  if (type == "user.tool_result") {
    return InvalidRequest(absl::StrCat(
        type, ": no tool use of this session waits for an answer"));
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

// The members that take the place of the agent's own; null clears.
Json ResolveOverrides(const Json& params) {
  Json overrides = Json::object();
  for (const char* key : {"model", "system", "tools"}) {
    if (auto found = params.find(key); found != params.end()) {
      overrides[key] = *found;
    }
  }
  return overrides;
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
  if (type == "agent_with_overrides") {
    RETURN_IF_ERROR(CheckMembers(*params,
                                 {"type", "id", "version", "model", "system",
                                  "tools", "mcp_servers", "skills"},
                                 {"mcp_servers", "skills"}));
    spec.agent_overrides = ResolveOverrides(*params);
    if (Member(*params, "model") == nullptr && params->contains("model")) {
      return InvalidRequest("agent.model: cannot be cleared",
                            "agent_model_required");
    }
  } else if (type != "agent") {
    return NotSupported(absl::StrCat("agent of type \"", type, "\""));
  } else {
    RETURN_IF_ERROR(CheckMembers(*params, {"type", "id", "version"}, {}));
  }
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

absl::StatusOr<int64_t> ResolveBudget(const Json& params) {
  absl::Status malformed = InvalidRequest(
      "budget: must be {\"type\":\"limit\",\"max_list_cost\":{\"amount\":"
      "\"<cents>\",\"currency\":\"USD\"}} with a whole number of cents above "
      "0");
  const Json* cost = Member(params, "max_list_cost");
  if (StringMember(params, "type") != "limit" || cost == nullptr ||
      StringMember(*cost, "currency") != "USD") {
    return malformed;
  }
  std::string amount = StringMember(*cost, "amount");
  int64_t cents = 0;
  bool digits = !amount.empty() && amount.size() <= 12 && amount[0] != '0' &&
                std::all_of(amount.begin(), amount.end(),
                            [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || !absl::SimpleAtoi(amount, &cents)) return malformed;
  return cents;
}

absl::StatusOr<SessionSpec> ResolveSession(const Json& params) {
  RETURN_IF_ERROR(
      CheckMembers(params,
                   {"agent", "environment_id", "initial_events", "budget",
                    "resources", "vault_ids", "metadata", "title"},
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
      return InvalidRequest(
          absl::StrCat("initial_events: must be an array of "
                       "up to ",
                       kInitialEventsMax));
    }
    for (const Json& event : *events) {
      std::string type = StringMember(event, "type");
      if (type == "user.interrupt" || type == "user.tool_confirmation" ||
          type == "user.custom_tool_result") {
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
