#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/status_macros.h"
#include "harness/agent_spec.h"
#include "harness/api.h"
#include "harness/api_error.h"
#include "harness/page.h"

namespace midwatch::harness {
namespace {

Json ShowEnvironment(const Environment& environment) {
  Json shown = {{"id", environment.id}, {"type", "environment"}};
  shown.update(environment.body);
  shown["scope"] = "organization";
  shown["created_at"] = FormatMicros(environment.created_at);
  shown["updated_at"] = FormatMicros(environment.created_at);
  shown["archived_at"] = MicrosOrNull(environment.archived_at);
  return shown;
}

}  // namespace

absl::StatusOr<Json> Api::CreateEnvironment(const Call& call) {
  Environment environment;
  ASSIGN_OR_RETURN(environment.body, ResolveEnvironment(call.body));
  environment.id = core_->db->NewId("env_");
  environment.created_at = core_->db->Stamp();
  RETURN_IF_ERROR(core_->definitions.InsertEnvironment(environment));
  FaultPoint("harness.environment.after");
  return ShowEnvironment(environment);
}

absl::StatusOr<Json> Api::ListEnvironments(const Call& call) {
  const QueryParams& query = call.request.query;
  ASSIGN_OR_RETURN(PageQuery page, ParsePageQuery(query, {}));
  ASSIGN_OR_RETURN(std::vector<Environment> environments,
                   core_->definitions.ListEnvironments(
                       page, QueryText(query, "include_archived") == "true"));
  std::vector<std::pair<int64_t, Json>> rows;
  for (const Environment& environment : environments) {
    rows.emplace_back(environment.created_at, ShowEnvironment(environment));
  }
  return MakePage(page, std::move(rows), false);
}

absl::StatusOr<Json> Api::GetEnvironment(const Call& call) {
  ASSIGN_OR_RETURN(Environment environment,
                   core_->definitions.GetEnvironment(call.ids[0]));
  return ShowEnvironment(environment);
}

absl::StatusOr<Json> Api::ArchiveEnvironment(const Call& call) {
  ASSIGN_OR_RETURN(Environment environment,
                   core_->definitions.GetEnvironment(call.ids[0]));
  if (!environment.archived_at) {
    environment.archived_at = core_->db->Stamp();
    RETURN_IF_ERROR(core_->definitions.ArchiveEnvironment(
        environment.id, *environment.archived_at));
  }
  return ShowEnvironment(environment);
}

absl::StatusOr<Json> Api::DeleteEnvironment(const Call& call) {
  ASSIGN_OR_RETURN(Environment environment,
                   core_->definitions.GetEnvironment(call.ids[0]));
  ASSIGN_OR_RETURN(bool used, core_->sessions.AnyInEnvironment(environment.id));
  if (used) {
    return InvalidRequest(absl::StrCat(
        environment.id, " has sessions: delete them first, or archive it"));
  }
  RETURN_IF_ERROR(core_->definitions.DeleteEnvironment(environment.id));
  return Json{{"id", environment.id}, {"type", "environment_deleted"}};
}

}  // namespace midwatch::harness
