#include "harness/harness.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "harness/anthropic_model.h"
#include "harness/api.h"
#include "harness/api_error.h"
#include "harness/api_gate.h"
#include "harness/core.h"
#include "harness/runbook.h"
#include "harness/turn.h"
#include "net/http_server.h"

namespace midwatch {
namespace harness {
namespace {

bool IsLoopback(const std::string& address) {
  return absl::StartsWith(address, "127.") || address == "::1";
}

absl::Status CheckOptions(const HarnessOptions& options) {
  if (options.data_dir.empty()) {
    return absl::InvalidArgumentError("the harness needs a data directory");
  }
  if (!options.messages.base_url.empty() && options.transport == nullptr) {
    return absl::InvalidArgumentError(
        "a server of the Messages API needs a transport");
  }
  if (!options.api_key.empty() || !options.api_key_file.empty()) {
    return absl::OkStatus();
  }
  if (!options.allow_no_key) {
    return absl::InvalidArgumentError(
        "the harness needs an API key that its clients present");
  }
  if (!IsLoopback(options.address)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "without an API key the harness listens on a loopback address only, "
        "not on ",
        options.address));
  }
  return absl::OkStatus();
}

SandboxOptions SandboxOptionsOf(const HarnessOptions& options) {
  SandboxOptions sandbox;
  sandbox.limits = options.limits;
  sandbox.first_uid = options.first_sandbox_uid;
  sandbox.unsafe_none = options.unsafe_no_sandbox;
  return sandbox;
}

int ShellsOf(const HarnessOptions& options) {
  if (options.max_concurrent_shells > 0) return options.max_concurrent_shells;
  return 2 * std::max(1, static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
}

// Files of what was never committed, or was deleted: a kill may have come
// between the database and the disk.
absl::Status RemoveLeftovers(Core& core) {
  ASSIGN_OR_RETURN(std::vector<std::string> files, core.files.AllIds());
  RETURN_IF_ERROR(RemoveOthers(core.dir.files(), {files.begin(), files.end()}));
  ASSIGN_OR_RETURN(std::vector<std::string> sessions, core.sessions.OpenIds());
  RETURN_IF_ERROR(
      RemoveOthers(core.dir.sessions(), {sessions.begin(), sessions.end()}));
  return RemoveOthers(core.dir.spool(), {});
}

absl::Status ProbeSandbox(Core& core) {
  if (core.options.unsafe_no_sandbox) {
    LogWarning("commands of sessions run WITHOUT a sandbox");
    return absl::OkStatus();
  }
  const std::string scratch = core.dir.session("probe");
  absl::Status status = core.sandbox.Probe(scratch);
  absl::Status removed = RemoveTree(scratch);
  return status.ok() ? removed : status;
}

class RunningHarness final : public Harness {
 public:
  RunningHarness(std::shared_ptr<Core> core, std::unique_ptr<HttpServer> server)
      : core_(std::move(core)), server_(std::move(server)) {}

  ~RunningHarness() override {
    core_->log.Close();
    core_->hub.EndAll();
    Turn::StopAll(*core_);
    server_.reset();
  }

  int port() const override { return server_->port(); }
  std::string base_url() const override {
    const std::string& address = core_->options.address;
    bool ipv6 = absl::StrContains(address, ':');
    return absl::StrCat("http://", ipv6 ? "[" : "", address, ipv6 ? "]" : "",
                        ":", port());
  }

 private:
  std::shared_ptr<Core> core_;
  std::unique_ptr<HttpServer> server_;
};

void AddModels(Core& core, const Clock& clock) {
  const HarnessOptions& options = core.options;
  core.runbook = std::make_unique<RunbookModel>(
      PriceOf(options.messages.prices, "runbook", TokenUsage()));
  if (options.messages.base_url.empty()) return;
  core.messages = std::make_unique<AnthropicModel>(
      core.executor, *options.transport, clock, options.messages);
}

absl::StatusOr<std::unique_ptr<HttpServer>> Serve(
    const std::shared_ptr<Core>& core, const Clock& clock) {
  HttpServerOptions options;
  options.address = core->options.address;
  options.port = core->options.port;
  options.spool_dir = core->dir.spool();
  options.body_bytes_max = [core](const std::string& method,
                                  const std::string& path) {
    return Api::BodyBytesMax(core->options, method, path);
  };
  auto gate = std::make_shared<ApiGate>(core, clock);
  auto handler = [gate](ServerRequest request, ServerResponder& reply) {
    return ApiGate::Handle(gate, std::move(request), reply);
  };
  auto error_body = [core](int status, std::string message) {
    return ErrorEnvelope(status, message, core->db->NewId("req_"));
  };
  return HttpServer::Listen(core->executor, std::move(options), handler,
                            error_body);
}

}  // namespace
}  // namespace harness

absl::StatusOr<std::unique_ptr<Harness>> Harness::Start(
    Executor& executor, BlockingPool& pool, const Clock& clock, Random& random,
    HarnessOptions options) {
  using namespace harness;  // NOLINT: this is its entry
  RETURN_IF_ERROR(CheckOptions(options));
  DataDir dir{options.data_dir};
  ASSIGN_OR_RETURN(OwnedFd lock, LockDataDir(dir));
  ASSIGN_OR_RETURN(std::unique_ptr<Database> db,
                   Database::Open(dir.root + "/harness.db", clock, random));
  Sandbox sandbox(SandboxOptionsOf(options));
  const int shells = ShellsOf(options);
  auto core = std::make_shared<Core>(executor, pool, random, std::move(options),
                                     std::move(dir), std::move(lock),
                                     std::move(db), std::move(sandbox), shells);
  AddModels(*core, clock);
  RETURN_IF_ERROR(RemoveLeftovers(*core));
  RETURN_IF_ERROR(ProbeSandbox(*core));
  ASSIGN_OR_RETURN(std::unique_ptr<HttpServer> server, Serve(core, clock));

  ASSIGN_OR_RETURN(std::vector<std::string> begun, core->sessions.IdsToWake());
  for (const std::string& id : begun) Turn::Wake(core, id, {});
  LogInfo("harness ready", {{"address", core->options.address},
                            {"port", server->port()},
                            {"resumed_sessions", begun.size()}});
  return std::make_unique<RunningHarness>(std::move(core), std::move(server));
}

}  // namespace midwatch
