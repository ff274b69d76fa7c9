// Sessions and their parts as the API shows them.
#ifndef MIDWATCH_HARNESS_SESSION_JSON_H_
#define MIDWATCH_HARNESS_SESSION_JSON_H_

#include <cstdint>
#include <string>
#include <vector>

#include "harness/json.h"
#include "harness/session_table.h"

namespace midwatch::harness {

// `now` counts the time of a turn that is under way.
Json UsageJson(const Session& session, int64_t now);
Json BudgetJson(const Session& session);  // null where there is none
Json ResourceJson(const SessionTable::Resource& resource);
Json SessionJson(const Session& session,
                 const std::vector<SessionTable::Resource>& resources,
                 int64_t now);

// Bodies of events, without ids.
Json ThreadEvent(const Session& session, const char* type);
Json ErrorEvent(const std::string& type, const std::string& message,
                bool retrying);
Json MessageEvent(const std::string& text);
Json ToolUseEvent(const std::string& name, const Json& input, bool asks);
Json CustomToolResultEvent(const std::string& tool_use_id,
                           const std::string& text, bool is_error);
Json CustomToolUseEvent(const std::string& name, const Json& input);
Json ToolResultEvent(const std::string& tool_use_id, const std::string& text,
                     bool is_error);
Json RequestEndEvent(const std::string& request_id, bool is_error,
                     const TokenUsage& usage);
// session.thread_status_idle, session.usage, session.status_idle.
std::vector<Json> IdleEvents(const Session& session, const Json& stop_reason,
                             const Json& stop_details, int64_t now);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_SESSION_JSON_H_
