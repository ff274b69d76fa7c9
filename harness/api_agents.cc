#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/status_macros.h"
#include "harness/agent_spec.h"
#include "harness/api.h"
#include "harness/api_error.h"
#include "harness/page.h"

namespace midwatch::harness {
namespace {

Json ShowAgent(const Agent& agent) {
  Json shown = {{"id", agent.id}, {"type", "agent"}};
  shown.update(agent.body);
  shown["mcp_servers"] = Json::array();
  shown["skills"] = Json::array();
  shown["multiagent"] = nullptr;
  shown["execution_identity"] = {{"type", "service_account"}};
  shown["version"] = agent.version;
  shown["created_at"] = FormatMicros(agent.created_at);
  shown["updated_at"] = FormatMicros(agent.updated_at);
  shown["archived_at"] = MicrosOrNull(agent.archived_at);
  return shown;
}

}  // namespace

absl::StatusOr<Json> Api::CreateAgent(const Call& call) {
  Agent agent;
  ASSIGN_OR_RETURN(agent.body, ResolveAgent(call.body, core_->known_models()));
  agent.id = core_->db->NewId("agent_");
  agent.created_at = agent.updated_at = core_->db->Stamp();
  RETURN_IF_ERROR(core_->db->Transact(
      [&] { return core_->definitions.InsertAgent(agent); }));
  FaultPoint("harness.agent.after");
  return ShowAgent(agent);
}

absl::StatusOr<Json> Api::ListAgents(const Call& call) {
  const QueryParams& query = call.request.query;
  ASSIGN_OR_RETURN(PageQuery page, ParsePageQuery(query, {}));
  ASSIGN_OR_RETURN(std::vector<Agent> agents,
                   core_->definitions.ListAgents(
                       page, QueryText(query, "include_archived") == "true"));
  std::vector<std::pair<int64_t, Json>> rows;
  for (const Agent& agent : agents) {
    rows.emplace_back(agent.created_at, ShowAgent(agent));
  }
  return MakePage(page, std::move(rows), false);
}

absl::StatusOr<Json> Api::GetAgent(const Call& call) {
  int64_t version = 0;
  std::string text = call.request.QueryValue("version");
  if (!text.empty() && (!absl::SimpleAtoi(text, &version) || version < 1)) {
    return InvalidRequest("version: must be a whole number from 1");
  }
  ASSIGN_OR_RETURN(Agent agent,
                   core_->definitions.GetAgent(call.ids[0], version));
  return ShowAgent(agent);
}

absl::StatusOr<Json> Api::UpdateAgent(const Call& call) {
  ASSIGN_OR_RETURN(Agent agent, core_->definitions.GetAgent(call.ids[0]));
  if (agent.archived_at) {
    return absl::FailedPreconditionError(
        absl::StrCat(agent.id, " is archived and cannot be changed"));
  }
  if (const Json* version = Member(call.body, "version")) {
    if (*version != agent.version) {
      return absl::AbortedError(absl::StrCat("version: the current one is ",
                                             agent.version, "; read it again"));
    }
  }
  ASSIGN_OR_RETURN(Json body, ResolveAgentUpdate(agent.body, call.body,
                                                 core_->known_models()));
  if (body == agent.body) return ShowAgent(agent);
  agent.body = std::move(body);
  ++agent.version;
  agent.updated_at = core_->db->Stamp();
  RETURN_IF_ERROR(core_->db->Transact(
      [&] { return core_->definitions.InsertAgentVersion(agent); }));
  return ShowAgent(agent);
}

absl::StatusOr<Json> Api::ArchiveAgent(const Call& call) {
  ASSIGN_OR_RETURN(Agent agent, core_->definitions.GetAgent(call.ids[0]));
  if (!agent.archived_at) {
    agent.archived_at = core_->db->Stamp();
    RETURN_IF_ERROR(
        core_->definitions.ArchiveAgent(agent.id, *agent.archived_at));
  }
  return ShowAgent(agent);
}

absl::StatusOr<Json> Api::ListAgentVersions(const Call& call) {
  ASSIGN_OR_RETURN(Agent newest, core_->definitions.GetAgent(call.ids[0]));
  ASSIGN_OR_RETURN(PageQuery page, ParsePageQuery(call.request.query, {}));
  ASSIGN_OR_RETURN(std::vector<Agent> versions,
                   core_->definitions.ListVersions(newest.id, page));
  std::vector<std::pair<int64_t, Json>> rows;
  for (const Agent& agent : versions) {
    rows.emplace_back(agent.updated_at, ShowAgent(agent));
  }
  return MakePage(page, std::move(rows), false);
}

}  // namespace midwatch::harness
