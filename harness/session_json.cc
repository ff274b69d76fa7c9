#include "harness/session_json.h"

#include "absl/strings/str_cat.h"

namespace midwatch::harness {
namespace {

double ActiveSeconds(const Session& session, int64_t now) {
  int64_t micros = session.active_micros;
  if (session.running_since) micros += now - *session.running_since;
  return static_cast<double>(micros) / 1e6;
}

Json TextBlocks(const std::string& text) {
  return Json::array({{{"type", "text"}, {"text", text}}});
}

// Whole cents, as a string.
Json Money(int64_t cents) {
  return {{"amount", absl::StrCat(cents)}, {"currency", "USD"}};
}

}  // namespace

Json UsageJson(const Session& session, int64_t now) {
  return {{"input_tokens", session.usage.input},
          {"output_tokens", session.usage.output},
          {"cache_read_input_tokens", session.usage.cache_read},
          {"cache_creation",
           {{"ephemeral_5m_input_tokens", session.usage.cache_write_5m},
            {"ephemeral_1h_input_tokens", session.usage.cache_write_1h}}},
          // To the nearest cent; the budget is held against the exact cost.
          {"list_cost", Money((session.cost_usd_micros + 5'000) / 10'000)},
          {"active_seconds", ActiveSeconds(session, now)}};
}

Json BudgetJson(const Session& session) {
  if (!session.budget_usd_cents) return nullptr;
  return {{"type", "limit"},
          {"max_list_cost", Money(*session.budget_usd_cents)}};
}

Json ResourceJson(const SessionTable::Resource& resource) {
  return {{"id", resource.id},
          {"type", "file"},
          {"file_id", resource.file_id},
          {"mount_path", "/mnt/session/uploads/" + resource.mount_path},
          {"created_at", FormatMicros(resource.created_at)},
          {"updated_at", FormatMicros(resource.created_at)}};
}

Json SessionJson(const Session& session,
                 const std::vector<SessionTable::Resource>& resources,
                 int64_t now) {
  Json resource_list = Json::array();
  for (const auto& resource : resources) {
    resource_list.push_back(ResourceJson(resource));
  }
  return {{"id", session.id},
          {"type", "session"},
          {"status", session.status},
          {"title", session.title ? Json(*session.title) : Json(nullptr)},
          {"agent", session.agent},
          {"environment_id", session.environment_id},
          {"metadata", session.metadata},
          {"resources", std::move(resource_list)},
          {"vault_ids", Json::array()},
          {"budget", BudgetJson(session)},
          {"usage", UsageJson(session, now)},
          {"stats", {{"active_seconds", ActiveSeconds(session, now)}}},
          {"outcome_evaluations", Json::array()},
          {"deployment_id", nullptr},
          {"created_at", FormatMicros(session.created_at)},
          {"updated_at", FormatMicros(session.updated_at)},
          {"archived_at", MicrosOrNull(session.archived_at)}};
}

Json ThreadEvent(const Session& session, const char* type) {
  return {{"type", type},
          {"session_thread_id", session.thread_id},
          {"agent_name", session.agent_name()}};
}

Json ErrorEvent(const std::string& type, const std::string& message,
                bool retrying) {
  return {
      {"type", "session.error"},
      {"error",
       {{"type", type},
        {"message", message},
        {"retry_status", {{"type", retrying ? "retrying" : "exhausted"}}}}}};
}

Json MessageEvent(const std::string& text) {
  return {{"type", "agent.message"}, {"content", TextBlocks(text)}};
}

Json ToolUseEvent(const std::string& name, const Json& input, bool asks) {
  return {{"type", "agent.tool_use"},
          {"name", name},
          {"input", input},
          {"evaluated_permission", asks ? "ask" : "allow"},
          {"evaluation", {{"type", asks ? "always_ask" : "always_allow"}}}};
}

Json CustomToolUseEvent(const std::string& name, const Json& input) {
  return {{"type", "agent.custom_tool_use"},
          {"name", name},
          {"input", input},
          {"session_thread_id", nullptr}};
}

Json ToolResultEvent(const std::string& tool_use_id, const std::string& text,
                     bool is_error) {
  return {{"type", "agent.tool_result"},
          {"tool_use_id", tool_use_id},
          {"content", TextBlocks(text)},
          {"is_error", is_error}};
}

Json CustomToolResultEvent(const std::string& tool_use_id,
                           const std::string& text, bool is_error) {
  return {{"type", "user.custom_tool_result"},
          {"custom_tool_use_id", tool_use_id},
          {"content", TextBlocks(text)},
          {"is_error", is_error}};
}

Json RequestEndEvent(const std::string& request_id, bool is_error,
                     const TokenUsage& usage) {
  return {{"type", "span.model_request_end"},
          {"model_request_start_id", request_id},
          {"is_error", is_error},
          {"model_usage",
           {{"input_tokens", usage.input},
            {"output_tokens", usage.output},
            {"cache_creation_input_tokens",
             usage.cache_write_5m + usage.cache_write_1h},
            {"cache_read_input_tokens", usage.cache_read}}}};
}

std::vector<Json> IdleEvents(const Session& session, const Json& stop_reason,
                             const Json& stop_details, int64_t now) {
  Json thread = ThreadEvent(session, "session.thread_status_idle");
  Json usage = {{"type", "session.usage"},
                {"usage", UsageJson(session, now)},
                {"budget", BudgetJson(session)}};
  Json idle = {{"type", "session.status_idle"}};
  for (Json* event : {&thread, &idle}) {
    (*event)["stop_reason"] = stop_reason;
    (*event)["stop_details"] = stop_details;
  }
  return {thread, usage, idle};
}

}  // namespace midwatch::harness
