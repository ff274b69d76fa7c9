#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "worker/attempt.h"

namespace midwatch {
namespace {

// Creates of one attempt whose answer may be lost.
constexpr int kLostCreatesMax = 3;
constexpr absl::Duration kStartDefault = absl::Minutes(10);

// What a task without an environment runs in.
constexpr char kDefaultEnvironment[] =
    R"({"name":"midwatch-default","config":{"type":"cloud",)"
    R"("networking":{"type":"unrestricted"}}})";

Verdict NotStarted(std::optional<v1::Failure> failure) {
  Verdict verdict;
  verdict.kind = v1::Ending::KIND_NOT_STARTED;
  verdict.failure = std::move(failure);
  return verdict;
}

Async<absl::StatusOr<std::string>> MakeAgent(AgentsClient& agents,
                                             std::string definition) {
  CO_ASSIGN_OR_RETURN(AgentRef agent,
                      co_await agents.CreateAgent(std::move(definition)));
  FaultPoint("worker.agent.after");
  co_return agent.id;
}

Async<absl::StatusOr<std::string>> MakeEnvironment(AgentsClient& agents,
                                                   std::string definition) {
  CO_ASSIGN_OR_RETURN(std::string id,
                      co_await agents.CreateEnvironment(std::move(definition)));
  FaultPoint("worker.environment.after");
  co_return id;
}

Async<absl::StatusOr<std::string>> NewestVersion(AgentsClient& agents,
                                                 std::string agent_id) {
  CO_ASSIGN_OR_RETURN(AgentRef agent,
                      co_await agents.GetAgent(std::move(agent_id)));
  co_return absl::StrCat(agent.version);
}

Async<absl::StatusOr<std::string>> MakeFile(AgentsClient& agents,
                                            ArtifactStore& artifacts,
                                            std::string sha256,
                                            std::string filename) {
  CO_ASSIGN_OR_RETURN(std::string path,
                      co_await artifacts.LocalPath(std::move(sha256)));
  CO_ASSIGN_OR_RETURN(
      RemoteFile file,
      co_await agents.UploadFile(std::move(path), std::move(filename)));
  FaultPoint("worker.upload.after");
  co_return file.id;
}

}  // namespace

std::optional<Verdict> Attempt::StartIsOver(
    const std::optional<v1::Failure>& last) const {
  if (cancelling_) return NotStarted(std::nullopt);
  absl::Duration limit = FromProto(lease_.spec().timeouts().start());
  if (limit <= absl::ZeroDuration()) limit = kStartDefault;
  if (parts_.clock.Steady() - started_ < limit) return std::nullopt;
  // Whatever held it up says more than the timeout does. A session that did not
  // begin is nothing that its task did.
  if (last) return NotStarted(last);
  v1::Failure failure;
  failure.set_operation("start_timeout");
  failure.set_message("no worker got it to begin in time");
  return NotStarted(std::move(failure));
}

Async<absl::StatusOr<std::string>> Attempt::EnsureFile(const v1::Input& input) {
  RemoteIds::Make make = [this, &input] {
    std::vector<std::string> segments = absl::StrSplit(input.mount(), '/');
    return MakeFile(parts_.agents, parts_.artifacts, input.sha256(),
                    segments.back());
  };
  std::string key = FileKey(input.sha256());
  CO_ASSIGN_OR_RETURN(std::string id,
                      co_await parts_.remote_ids.Ensure(lease_.account(), key,
                                                        std::move(make)));
  made_of_.emplace_back(std::move(key), id);
  co_return id;
}

Async<absl::StatusOr<SessionSpec>> Attempt::PrepareSession() {
  made_of_.clear();
  AgentsClient& agents = parts_.agents;
  SessionSpec spec;
  if (lease_.spec().agent().has_agent_id()) {
    spec.agent.id = lease_.spec().agent().agent_id();
    if (!lease_.pin_scope().empty()) {
      CO_ASSIGN_OR_RETURN(spec.agent.version,
                          co_await PinVersion(spec.agent.id));
    }
  } else {
    std::string definition = lease_.spec().agent().definition_json();
    std::string key = AgentKey(definition);
    RemoteIds::Make make = [&] { return MakeAgent(agents, definition); };
    CO_ASSIGN_OR_RETURN(spec.agent.id,
                        co_await parts_.remote_ids.Ensure(lease_.account(), key,
                                                          std::move(make)));
    made_of_.emplace_back(std::move(key), spec.agent.id);
  }
  if (lease_.spec().environment().has_environment_id()) {
    spec.environment_id = lease_.spec().environment().environment_id();
  } else {
    std::string definition = lease_.spec().environment().definition_json();
    if (definition.empty()) definition = kDefaultEnvironment;
    std::string key = EnvironmentKey(definition);
    RemoteIds::Make make = [&] { return MakeEnvironment(agents, definition); };
    CO_ASSIGN_OR_RETURN(spec.environment_id,
                        co_await parts_.remote_ids.Ensure(lease_.account(), key,
                                                          std::move(make)));
    made_of_.emplace_back(std::move(key), spec.environment_id);
  }
  for (const v1::Input& input : lease_.inputs()) {
    CO_ASSIGN_OR_RETURN(std::string file_id, co_await EnsureFile(input));
    spec.files.push_back({std::move(file_id), input.mount()});
  }
  spec.title = absl::StrCat(lease_.task_name(), " #", token().attempt());
  spec.budget_usd_micros = lease_.budget_usd_micros();
  co_return spec;
}

Async<absl::StatusOr<int64_t>> Attempt::PinVersion(std::string agent_id) {
  RemoteIds::Make make = [this, agent_id] {
    return NewestVersion(parts_.agents, agent_id);
  };
  CO_ASSIGN_OR_RETURN(
      std::string version,
      co_await parts_.remote_ids.Ensure(
          lease_.account(), VersionKey(lease_.pin_scope(), agent_id),
          std::move(make)));
  int64_t number = 0;
  if (!absl::SimpleAtoi(version, &number)) {
    co_return absl::InternalError(
        absl::StrCat("agent ", agent_id, ": version '", version, "'"));
  }
  co_return number;
}

bool Attempt::ForgetGone(const ApiError& error) {
  bool environment = absl::StartsWith(error.error_code, "environment_");
  if (error.http_status != 404 && !environment) return false;
  bool named = environment;
  for (const auto& [key, id] : made_of_) {
    named |= absl::StrContains(error.message, id);
  }
  bool forgot = false;
  for (const auto& [key, id] : made_of_) {
    // Where the answer names nothing, it is most likely the agent.
    bool gone = absl::StrContains(error.message, id) ||
                (environment && absl::StartsWith(key, "environment:")) ||
                (!named && absl::StartsWith(key, "agent:"));
    if (!gone) continue;
    parts_.remote_ids.Forget(lease_.account(), key, id);
    forgot = true;
  }
  return forgot;
}

Async<Attempt::Step> Attempt::StartSession() {
  int lost = lease_.create_tries();
  bool forgot = false;
  std::string nonce;
  std::optional<v1::Failure> last;
  Backoff backoff(parts_.random, absl::Seconds(2), absl::Seconds(30));
  // Before it costs anything; not where something may run already.
  if (lost == 0 && !WhyNoCheck().empty()) {
    co_return Verdict{.kind = v1::Ending::KIND_NO_CHECK,
                      .stop_reason = "",
                      .failure = std::nullopt};
  }
  while (true) {
    if (lost_create_) {
      CO_ASSIGN_OR_RETURN(std::optional<Verdict> over,
                          co_await FindLostSession());
      if (over || !session_id_.empty()) co_return over;
      if (lost >= kLostCreatesMax) co_return NotStarted(last);
    }
    if (std::optional<Verdict> over = StartIsOver(last)) co_return over;
    absl::StatusOr<SessionSpec> spec = co_await PrepareSession();
    if (!spec.ok()) {
      last = ToFailure(spec.status(), "prepare_session");
      CO_ASSIGN_OR_RETURN(bool again, co_await TryAgain(*last));
      if (!again) co_return NotStarted(last);
      continue;
    }
    // Durable before the request leaves: the sweep can explain the session.
    // Each that may have made one has a nonce of its own.
    if (nonce.empty()) nonce = parts_.random.Hex(16);
    v1::BeginCreateRequest begin;
    *begin.mutable_token() = token();
    begin.set_nonce(nonce);
    absl::StatusOr<v1::BeginCreateResponse> begun =
        co_await Ask(&SchedulerClient::BeginCreate, std::move(begin));
    if (!begun.ok()) co_return begun.status();
    CO_RETURN_IF_ERROR(co_await AwaitPost());

    spec->metadata = {{"midwatch_cluster", parts_.cluster},
                      {"midwatch_task", token().task_id()},
                      {"midwatch_attempt", absl::StrCat(token().attempt())},
                      {"midwatch_nonce", nonce}};
    if (InOneCall()) spec->first_message = lease_.spec().prompt();
    FaultPoint("worker.create.before");
    absl::StatusOr<Session> created = co_await parts_.agents.CreateSession(
        *std::move(spec), parts_.term.PostTimeout());
    if (created.ok()) {
      FaultPoint("worker.create.after");
      transcript_.SetModel(created->model);
      CO_RETURN_IF_ERROR(co_await Record(nonce, created->id));
      co_return std::nullopt;
    }
    last = ToFailure(created.status(), "create_session");
    if (MaybeExecuted(created.status())) {
      // At worst an idle session stays behind, which costs nothing; one that
      // has its message is looked for before another is made.
      nonce.clear();
      ++lost;
      lost_create_ = InOneCall();
      if (lost_create_) continue;
      if (lost >= kLostCreatesMax) co_return NotStarted(last);
      CO_RETURN_IF_ERROR(co_await Wait(backoff.Next()));
      continue;
    }
    if (!forgot && ForgetGone(*GetApiError(created.status()))) {
      forgot = true;
      continue;
    }
    CO_ASSIGN_OR_RETURN(bool again, co_await TryAgain(*last));
    if (!again) co_return NotStarted(last);
  }
}

Async<absl::Status> Attempt::Record(std::string nonce, std::string created) {
  v1::RecordSessionRequest request;
  *request.mutable_token() = token();
  request.set_nonce(std::move(nonce));
  request.set_session_id(created);
  absl::StatusOr<v1::RecordSessionResponse> recorded =
      co_await Ask(&SchedulerClient::RecordSession, std::move(request));
  if (!recorded.ok()) {
    // It runs, and whoever has the attempt now looks for it.
    if (InOneCall()) co_return recorded.status();
    // Never sent to, so never charged, whether or not it got recorded: who
    // adopts it would begin by archiving it too.
    parts_.archiver.Archive(parts_.agents, lease_.account(),
                            std::move(created));
    co_return recorded.status();
  }
  FaultPoint("worker.record.after");
  session_id_ = recorded->session_id();
  phase_ = v1::ATTEMPT_PHASE_SENDING;
  const bool ours = session_id_ == created;
  // One that has its message is read from its beginning, as one that is found.
  fresh_ = ours && !InOneCall();
  if (!ours)
    parts_.archiver.Archive(parts_.agents, lease_.account(),
                            std::move(created));
  LogInfo("session recorded", {{"task", token().task_id()},
                               {"attempt", token().attempt()},
                               {"session", session_id_}});
  co_return absl::OkStatus();
}

Async<Attempt::Step> Attempt::OpenStream() {
  std::optional<v1::Failure> last;
  while (true) {
    if (std::optional<Verdict> over = StartIsOver(last)) co_return over;
    NewFeed();
    absl::Status opened = co_await pump_->feed().Open();
    if (opened.ok()) {
      pump_->Start();
      co_return std::nullopt;
    }
    last = ToFailure(opened, "stream_events");
    CO_ASSIGN_OR_RETURN(bool again, co_await TryAgain(*last));
    if (!again) co_return NotStarted(last);
  }
}

Async<Attempt::Step> Attempt::SendFirst() {
  // Before anything is said: a stream shows only what comes after it.
  CO_ASSIGN_OR_RETURN(std::optional<Verdict> over, co_await OpenStream());
  if (over) co_return over;
  std::optional<v1::Failure> last;
  while (true) {
    if ((over = StartIsOver(last))) co_return over;
    CO_RETURN_IF_ERROR(co_await AwaitPost());
    FaultPoint("worker.send.before");
    std::vector<OutgoingEvent> events;
    events.push_back(OutgoingMessage{lease_.spec().prompt()});
    absl::Status sent = co_await parts_.agents.SendEvents(
        session_id_, std::move(events), parts_.term.PostTimeout());
    if (sent.ok()) {
      FaultPoint("worker.send.after");
      phase_ = v1::ATTEMPT_PHASE_RUNNING;
    } else if (MaybeExecuted(sent)) {
      CO_ASSIGN_OR_RETURN(bool seen, co_await WatchForMessages(1, kEchoLimit));
      if (seen) phase_ = v1::ATTEMPT_PHASE_RUNNING;
    } else {
      last = ToFailure(sent, "send_message");
      CO_ASSIGN_OR_RETURN(bool again, co_await TryAgain(*last));
      if (!again) co_return NotStarted(last);
      continue;
    }
    if (phase_ == v1::ATTEMPT_PHASE_RUNNING) transcript_.NoteSent(1);
    last_event_ = parts_.clock.Steady();
    co_return std::nullopt;
  }
}

}  // namespace midwatch
