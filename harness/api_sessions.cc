#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/status_macros.h"
#include "harness/agent_spec.h"
#include "harness/api.h"
#include "harness/api_error.h"
#include "harness/disk.h"
#include "harness/fields.h"
#include "harness/page.h"
#include "harness/session_json.h"
#include "harness/session_spec.h"
#include "harness/turn.h"

namespace midwatch::harness {
namespace {

absl::Status RefuseWhileRunning(const Session& session, const char* what) {
  if (!session.in_turn()) return absl::OkStatus();
  return InvalidRequest(
      absl::StrCat("a running session cannot be ", what,
                   ": send user.interrupt and wait for session.status_idle"));
}

// The agent as the session keeps it.
Json Snapshot(const Agent& agent) {
  const Json& body = agent.body;
  return {{"id", agent.id},
          {"type", "agent"},
          {"version", agent.version},
          {"name", body["name"]},
          {"description", body["description"]},
          {"model", body["model"]},
          {"system", body["system"]},
          {"tools", body["tools"]},
          {"mcp_servers", Json::array()},
          {"skills", Json::array()},
          {"multiagent", nullptr},
          {"execution_identity", {{"type", "service_account"}}}};
}

}  // namespace

absl::StatusOr<Json> Api::ShowSession(const Session& session) {
  ASSIGN_OR_RETURN(std::vector<SessionTable::Resource> resources,
                   core_->sessions.Resources(session.id));
  return SessionJson(session, resources, core_->db->Stamp());
}

Async<absl::StatusOr<Json>> Api::CreateSession(const Call& call) {
  CO_ASSIGN_OR_RETURN(SessionSpec spec, ResolveSession(call.body));
  CO_ASSIGN_OR_RETURN(Agent agent, core_->definitions.GetAgent(
                                       spec.agent_id, spec.agent_version));
  CO_ASSIGN_OR_RETURN(Environment environment,
                      core_->definitions.GetEnvironment(spec.environment_id));
  if (agent.archived_at) {
    co_return InvalidRequest(absl::StrCat("agent: ", agent.id, " is archived"));
  }
  if (environment.archived_at) {
    co_return InvalidRequest(
        absl::StrCat("environment_id: ", environment.id, " is archived"),
        "environment_archived");
  }
  CO_ASSIGN_OR_RETURN(agent.body,
                      ResolveAgentUpdate(agent.body, spec.agent_overrides,
                                         core_->known_models()));
  Database& db = *core_->db;
  Session session;
  session.id = db.NewId("sesn_");
  session.thread_id = db.NewId("sthr_");
  session.agent = Snapshot(agent);
  session.environment_id = environment.id;
  session.title = spec.title;
  session.metadata = spec.metadata;
  session.budget_usd_cents = spec.budget_usd_cents;
  session.created_at = session.updated_at = db.Stamp();

  // Every mounted file is copied (linked), so that it stays as it is.
  std::vector<File> copies;
  std::vector<std::pair<std::string, std::string>> links;
  for (const FileMount& mount : spec.mounts) {
    CO_ASSIGN_OR_RETURN(File copy, core_->files.Get(mount.file_id));
    std::string original = core_->files.PathOf(copy.id);
    copy.id = db.NewId("file_");
    copy.downloadable = false;
    copy.session_id = session.id;
    copy.created_at = db.Stamp();
    copy.expires_at.reset();
    links.emplace_back(original, core_->files.PathOf(copy.id));
    copies.push_back(std::move(copy));
  }
  absl::AnyInvocable<absl::Status()> store = [dir = core_->files.dir(), links] {
    return StoreLinks(dir, links);
  };
  CO_RETURN_IF_ERROR(co_await RunBlocking<absl::Status>(
      core_->pool, core_->executor, std::move(store)));

  FaultPoint("harness.session.before");
  auto insert = [&]() -> absl::Status {
    RETURN_IF_ERROR(core_->sessions.Insert(session));
    for (size_t i = 0; i < copies.size(); ++i) {
      RETURN_IF_ERROR(core_->files.Insert(copies[i]));
      RETURN_IF_ERROR(core_->sessions.InsertResource(
          session.id, {db.NewId("sesrsc_"), copies[i].id, spec.mounts[i].path,
                       copies[i].created_at}));
    }
    return absl::OkStatus();
  };
  LogWrite write;
  write.queue = std::move(spec.initial_events);
  const bool starts = !write.queue.empty();
  if (starts) write.status = kRunning;
  CO_ASSIGN_OR_RETURN(std::vector<Json> events,
                      core_->log.Commit(session.id, std::move(write), insert));
  FaultPoint("harness.session.after");
  if (starts) Turn::Wake(core_, session.id, events);
  CO_ASSIGN_OR_RETURN(session, core_->sessions.Get(session.id));
  co_return ShowSession(session);
}

absl::StatusOr<Json> Api::ListSessions(const Call& call) {
  const QueryParams& query = call.request.query;
  PageRules rules;
  rules.may_order = true;
  ASSIGN_OR_RETURN(PageQuery page, ParsePageQuery(query, rules));
  for (const char* key : {"deployment_id", "memory_store_id"}) {
    if (!QueryText(query, key).empty()) return NotSupported(key);
  }
  SessionFilter filter;
  filter.agent_id = QueryText(query, "agent_id");
  filter.statuses = QueryArray(query, "statuses");
  filter.include_archived = QueryText(query, "include_archived") == "true";
  std::string version = QueryText(query, "agent_version");
  if (!version.empty() && (filter.agent_id.empty() ||
                           !absl::SimpleAtoi(version, &filter.agent_version) ||
                           filter.agent_version < 1)) {
    return InvalidRequest("agent_version: needs agent_id, and a number from 1");
  }
  for (const std::string& status : filter.statuses) {
    if (status != kIdle && status != kRunning && status != kTerminated &&
        status != kRescheduling) {
      return InvalidRequest(absl::StrCat("statuses[]: unknown ", status));
    }
  }
  ASSIGN_OR_RETURN(std::vector<Session> sessions,
                   core_->sessions.List(filter, page));
  std::vector<std::pair<int64_t, Json>> rows;
  for (const Session& session : sessions) {
    ASSIGN_OR_RETURN(Json shown, ShowSession(session));
    rows.emplace_back(session.created_at, std::move(shown));
  }
  return MakePage(page, std::move(rows), true);
}

absl::StatusOr<Json> Api::GetSession(const Call& call) {
  ASSIGN_OR_RETURN(Session session, core_->sessions.Get(call.ids[0]));
  return ShowSession(session);
}

absl::StatusOr<Json> Api::UpdateSession(const Call& call) {
  ASSIGN_OR_RETURN(Session session, core_->sessions.Get(call.ids[0]));
  if (session.archived_at) {
    return absl::FailedPreconditionError(
        absl::StrCat(session.id, " is archived and cannot be changed"));
  }
  RETURN_IF_ERROR(CheckMembers(
      call.body, {"agent", "budget", "metadata", "title", "vault_ids"},
      {"agent", "vault_ids"}));
  Json updated = {{"type", "session.updated"}};
  if (call.body.contains("title")) {
    ASSIGN_OR_RETURN(updated["title"], TextOrNull(call.body, "title", 512));
    session.title.reset();
    if (updated["title"].is_string()) {
      session.title = updated["title"].get<std::string>();
    }
  }
  if (const Json* patch = Member(call.body, "metadata")) {
    ASSIGN_OR_RETURN(session.metadata, MergeMetadata(session.metadata, *patch));
    updated["metadata"] = session.metadata;
  }
  if (call.body.contains("budget")) {
    if (!session.budget_usd_cents) {
      return InvalidRequest(
          "budget: can be given at creation only, and not again once removed",
          "budget_create_only");
    }
    session.budget_usd_cents.reset();
    if (const Json* budget = Member(call.body, "budget")) {
      ASSIGN_OR_RETURN(session.budget_usd_cents, ResolveBudget(*budget));
    }
    if (session.at_budget()) {
      return InvalidRequest("budget: must be above what the session has cost",
                            "budget_not_raised");
    }
    updated["budget"] = BudgetJson(session);
  }
  if (updated.size() == 1) return ShowSession(session);

  LogWrite write;
  write.append = {std::move(updated)};
  // What paused for its budget goes on by itself.
  bool resumes = session.status == kIdle &&
                 session.stop_reason == "budget_reached" &&
                 !session.at_budget();
  if (resumes) write.status = kRunning;
  ASSIGN_OR_RETURN(std::vector<Json> events,
                   core_->log.Commit(session.id, std::move(write), [&] {
                     return core_->sessions.Update(session);
                   }));
  FaultPoint("harness.update.after");
  if (resumes) Turn::Wake(core_, session.id, events);
  ASSIGN_OR_RETURN(session, core_->sessions.Get(session.id));
  return ShowSession(session);
}

absl::StatusOr<Json> Api::ArchiveSession(const Call& call) {
  ASSIGN_OR_RETURN(Session session, core_->sessions.Get(call.ids[0]));
  if (session.archived_at) return ShowSession(session);
  RETURN_IF_ERROR(RefuseWhileRunning(session, "archived"));
  LogWrite write;
  write.append = {ThreadEvent(session, "session.thread_status_terminated"),
                  Json{{"type", "session.status_terminated"}}};
  write.status = kTerminated;
  int64_t now = core_->db->Stamp();
  ASSIGN_OR_RETURN(std::vector<Json> events,
                   core_->log.Commit(session.id, std::move(write), [&] {
                     return core_->sessions.Archive(session.id, now);
                   }));
  FaultPoint("harness.archive.after");
  core_->RemoveLater({core_->dir.session(session.id)});
  ASSIGN_OR_RETURN(session, core_->sessions.Get(session.id));
  return ShowSession(session);
}

absl::StatusOr<Json> Api::DeleteSession(const Call& call) {
  ASSIGN_OR_RETURN(Session session, core_->sessions.Get(call.ids[0]));
  RETURN_IF_ERROR(RefuseWhileRunning(session, "deleted"));
  ASSIGN_OR_RETURN(std::vector<File> files, core_->files.OfSession(session.id));
  int64_t now = core_->db->Stamp();
  auto remove = [&]() -> absl::Status {
    RETURN_IF_ERROR(core_->files.DeleteOfSession(session.id));
    return core_->sessions.Delete(session.id, now);
  };
  RETURN_IF_ERROR(core_->db->Transact(remove));
  std::vector<std::string> paths = {core_->dir.session(session.id)};
  for (const File& file : files) paths.push_back(core_->files.PathOf(file.id));
  core_->RemoveLater(std::move(paths));
  Json event = {{"id", core_->db->NewId("sevt_")},
                {"type", "session.deleted"},
                {"processed_at", FormatMicros(now)}};
  core_->hub.Publish(session.id, {"session.deleted", Dump(event)});
  core_->hub.EndSession(session.id);
  return Json{{"id", session.id}, {"type", "session_deleted"}};
}

absl::StatusOr<Json> Api::ListResources(const Call& call) {
  ASSIGN_OR_RETURN(Session session, core_->sessions.Get(call.ids[0]));
  ASSIGN_OR_RETURN(std::vector<SessionTable::Resource> resources,
                   core_->sessions.Resources(session.id));
  Json data = Json::array();
  for (const auto& resource : resources) {
    data.push_back(ResourceJson(resource));
  }
  return Json{{"data", std::move(data)}, {"next_page", nullptr}};
}

}  // namespace midwatch::harness
