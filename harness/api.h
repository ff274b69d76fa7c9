// The Managed Agents API over HTTP: which handler answers, and how errors look.
// One api_*.cc file per resource; api_gate.h stands before it.
#ifndef MIDWATCH_HARNESS_API_H_
#define MIDWATCH_HARNESS_API_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/coro.h"
#include "harness/core.h"
#include "harness/json.h"
#include "net/http_server.h"

namespace midwatch::harness {

class Api {
 public:
  // Answers one request that ApiGate let pass, in whatever way.
  static Async<void> Handle(std::shared_ptr<Core> core, ServerRequest request,
                            ServerResponder& reply);

  // The route that answers it: its path with {} for each id. Null: none does.
  static const char* PatternOf(const ServerRequest& request);

  // What a request with this method and path may carry.
  static int64_t BodyBytesMax(const HarnessOptions& options,
                              const std::string& method,
                              const std::string& path);

 private:
  // The parts of the path that the route's pattern leaves open are `ids`.
  struct Call {
    const ServerRequest& request;
    std::vector<std::string> ids;
    Json body;  // an empty object where the request has none
    std::string request_id;
  };

  // Three kinds of handlers: those that only need the database, those that
  // wait for something, and those that answer by themselves. The last return
  // an error only before they have answered.
  using Direct = absl::StatusOr<Json> (Api::*)(const Call&);
  using Waiting = Async<absl::StatusOr<Json>> (Api::*)(const Call&);
  using Answering = Async<absl::Status> (Api::*)(const Call&, ServerResponder&);
  struct Route {
    const char* method;
    const char* pattern;
    bool needs_beta;
    std::variant<Direct, Waiting, Answering> handler;
  };
  static const std::vector<Route>& Routes();
  static bool Matches(const Route& route, const ServerRequest& request,
                      std::vector<std::string>& ids);

  explicit Api(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  static absl::Status CheckVersion(const ServerRequest& request);
  Async<absl::Status> Answer(const ServerRequest& request,
                             const std::string& request_id,
                             ServerResponder& reply);
  Async<absl::StatusOr<Json>> ReadBody(const ServerRequest& request);

  absl::StatusOr<Json> CreateAgent(const Call& call);
  absl::StatusOr<Json> ListAgents(const Call& call);
  absl::StatusOr<Json> GetAgent(const Call& call);
  absl::StatusOr<Json> UpdateAgent(const Call& call);
  absl::StatusOr<Json> ArchiveAgent(const Call& call);
  absl::StatusOr<Json> ListAgentVersions(const Call& call);

  absl::StatusOr<Json> CreateEnvironment(const Call& call);
  absl::StatusOr<Json> ListEnvironments(const Call& call);
  absl::StatusOr<Json> GetEnvironment(const Call& call);
  absl::StatusOr<Json> ArchiveEnvironment(const Call& call);
  absl::StatusOr<Json> DeleteEnvironment(const Call& call);

  Async<absl::StatusOr<Json>> CreateSession(const Call& call);
  absl::StatusOr<Json> ListSessions(const Call& call);
  absl::StatusOr<Json> GetSession(const Call& call);
  absl::StatusOr<Json> UpdateSession(const Call& call);
  absl::StatusOr<Json> ArchiveSession(const Call& call);
  absl::StatusOr<Json> DeleteSession(const Call& call);
  absl::StatusOr<Json> ListResources(const Call& call);
  absl::StatusOr<Json> ShowSession(const Session& session);

  absl::StatusOr<Json> SendEvents(const Call& call);
  absl::StatusOr<Json> ListEvents(const Call& call);
  Async<absl::Status> StreamEvents(const Call& call, ServerResponder& reply);

  Async<absl::StatusOr<Json>> UploadFile(const Call& call);
  absl::StatusOr<Json> ListFiles(const Call& call);
  absl::StatusOr<Json> GetFile(const Call& call);
  Async<absl::Status> DownloadFile(const Call& call, ServerResponder& reply);
  absl::StatusOr<Json> DeleteFile(const Call& call);

  std::shared_ptr<Core> core_;
};

// Headers of every answer.
HttpHeaders AnswerHeaders(const std::string& request_id,
                          const std::string& content_type);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_API_H_
