#include "harness/api.h"

#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "harness/api_error.h"

namespace midwatch::harness {
namespace {

constexpr char kBeta[] = "managed-agents-2026-04-01";
constexpr int64_t kJsonBytesMax = 32 << 20;
// Around a file in a multipart body: headers and boundaries.
constexpr int64_t kMultipartBytesMax = 64 << 10;

bool HasBeta(const ServerRequest& request) {
  for (const auto& [name, value] : request.headers) {
    if (!absl::EqualsIgnoreCase(name, "anthropic-beta")) continue;
    for (absl::string_view beta : absl::StrSplit(value, ',')) {
      if (absl::StripAsciiWhitespace(beta) == kBeta) return true;
    }
  }
  return false;
}

bool IsUpload(const std::string& method, const std::string& path) {
  return method == "POST" && path == "/v1/files";
}

}  // namespace

HttpHeaders AnswerHeaders(const std::string& request_id,
                          const std::string& content_type) {
  return {{"content-type", content_type}, {"request-id", request_id}};
}

int64_t Api::BodyBytesMax(const HarnessOptions& options,
                          const std::string& method, const std::string& path) {
  return IsUpload(method, path) ? options.file_bytes_max + kMultipartBytesMax
                                : kJsonBytesMax;
}

const std::vector<Api::Route>& Api::Routes() {
  static const std::vector<Route>* routes = new std::vector<Route>{
      {"POST", "/v1/agents", true, &Api::CreateAgent},
      {"GET", "/v1/agents", true, &Api::ListAgents},
      {"GET", "/v1/agents/{}", true, &Api::GetAgent},
      {"POST", "/v1/agents/{}", true, &Api::UpdateAgent},
      {"POST", "/v1/agents/{}/archive", true, &Api::ArchiveAgent},
      {"GET", "/v1/agents/{}/versions", true, &Api::ListAgentVersions},

      {"POST", "/v1/environments", true, &Api::CreateEnvironment},
      {"GET", "/v1/environments", true, &Api::ListEnvironments},
      {"GET", "/v1/environments/{}", true, &Api::GetEnvironment},
      {"POST", "/v1/environments/{}/archive", true, &Api::ArchiveEnvironment},
      {"DELETE", "/v1/environments/{}", true, &Api::DeleteEnvironment},

      {"POST", "/v1/sessions", true, &Api::CreateSession},
      {"GET", "/v1/sessions", true, &Api::ListSessions},
      {"GET", "/v1/sessions/{}", true, &Api::GetSession},
      {"POST", "/v1/sessions/{}", true, &Api::UpdateSession},
      {"POST", "/v1/sessions/{}/archive", true, &Api::ArchiveSession},
      {"DELETE", "/v1/sessions/{}", true, &Api::DeleteSession},
      {"GET", "/v1/sessions/{}/resources", true, &Api::ListResources},

      {"POST", "/v1/sessions/{}/events", true, &Api::SendEvents},
      {"GET", "/v1/sessions/{}/events", true, &Api::ListEvents},
      {"GET", "/v1/sessions/{}/events/stream", true, &Api::StreamEvents},

      {"POST", "/v1/files", false, &Api::UploadFile},
      {"GET", "/v1/files", false, &Api::ListFiles},
      {"GET", "/v1/files/{}", false, &Api::GetFile},
      {"GET", "/v1/files/{}/content", false, &Api::DownloadFile},
      {"DELETE", "/v1/files/{}", false, &Api::DeleteFile},
  };
  return *routes;
}

bool Api::Matches(const Route& route, const ServerRequest& request,
                  std::vector<std::string>& ids) {
  if (request.method != route.method) return false;
  std::vector<std::string> pattern = absl::StrSplit(route.pattern, '/');
  std::vector<std::string> path = absl::StrSplit(request.path, '/');
  if (pattern.size() != path.size()) return false;
  ids.clear();
  for (size_t i = 0; i < path.size(); ++i) {
    if (pattern[i] == "{}" && !path[i].empty()) {
      ids.push_back(path[i]);
    } else if (pattern[i] != path[i]) {
      return false;
    }
  }
  return true;
}

const char* Api::PatternOf(const ServerRequest& request) {
  std::vector<std::string> ids;
  for (const Route& route : Routes()) {
    if (Matches(route, request, ids)) return route.pattern;
  }
  return nullptr;
}

absl::Status Api::CheckVersion(const ServerRequest& request) {
  absl::string_view version = HeaderValue(request.headers, "anthropic-version");
  if (version != "2023-06-01" && version != "2026-10-21") {
    return InvalidRequest(
        "anthropic-version: must be 2023-06-01 or 2026-10-21");
  }
  return absl::OkStatus();
}

Async<void> Api::Handle(std::shared_ptr<Core> core, ServerRequest request,
                        ServerResponder& reply) {
  Api api(core);
  const std::string request_id = core->db->NewId("req_");
  absl::Status status = co_await api.Answer(request, request_id, reply);
  if (status.ok()) co_return;
  HttpHeaders headers = AnswerHeaders(request_id, "application/json");
  std::string body = ErrorEnvelope(status, request_id);
  // A client that has gone is not told.
  (void)co_await reply.Send(HttpStatusOf(status), std::move(headers),
                            std::move(body));
}

Async<absl::Status> Api::Answer(const ServerRequest& request,
                                const std::string& request_id,
                                ServerResponder& reply) {
  CO_RETURN_IF_ERROR(CheckVersion(request));
  Call call{request, {}, Json::object(), request_id};
  const Route* found = nullptr;
  for (const Route& route : Routes()) {
    if (Matches(route, request, call.ids)) {
      found = &route;
      break;
    }
  }
  if (found == nullptr) {
    co_return absl::NotFoundError(
        absl::StrCat("this server has no ", request.method, " ", request.path));
  }
  if (found->needs_beta && !HasBeta(request)) {
    co_return absl::NotFoundError(absl::StrCat(
        request.path, " needs the header anthropic-beta: ", kBeta));
  }
  if (request.method == "POST" && !IsUpload(request.method, request.path)) {
    CO_ASSIGN_OR_RETURN(call.body, co_await ReadBody(request));
  }
  if (const Answering* answering = std::get_if<Answering>(&found->handler)) {
    co_return co_await (this->**answering)(call, reply);
  }
  Json answer;
  if (const Direct* direct = std::get_if<Direct>(&found->handler)) {
    CO_ASSIGN_OR_RETURN(answer, (this->**direct)(call));
  } else {
    Waiting waiting = std::get<Waiting>(found->handler);
    CO_ASSIGN_OR_RETURN(answer, co_await (this->*waiting)(call));
  }
  HttpHeaders headers = AnswerHeaders(request_id, "application/json");
  std::string body = Dump(answer);
  (void)co_await reply.Send(200, std::move(headers), std::move(body));
  co_return absl::OkStatus();
}

Async<absl::StatusOr<Json>> Api::ReadBody(const ServerRequest& request) {
  std::string text = request.body;
  if (!request.body_path.empty()) {
    absl::AnyInvocable<std::string()> read = [path = request.body_path] {
      std::ifstream file(path, std::ios::binary);
      std::ostringstream bytes;
      bytes << file.rdbuf();
      return bytes.str();
    };
    text = co_await RunBlocking<std::string>(core_->pool, core_->executor,
                                             std::move(read));
  }
  Json body = Json::object();
  if (NestsDeeper(text, kBodyLevelsMax)) {
    co_return InvalidRequest(
        absl::StrCat("the request's body is nested more than ", kBodyLevelsMax,
                     " levels deep"));
  }
  if (!text.empty()) body = ParseJson(text);
  if (body.is_discarded()) {
    co_return InvalidRequest("the request's body is not valid JSON");
  }
  if (!body.is_object()) {
    co_return InvalidRequest("the request's body must be a JSON object");
  }
  co_return body;
}

}  // namespace midwatch::harness
