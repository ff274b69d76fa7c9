#include "harness/turn.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "harness/api_error.h"
#include "harness/disk.h"
#include "harness/faults.h"
#include "harness/model_retry.h"
#include "harness/session_json.h"
#include "harness/session_outputs.h"

namespace midwatch::harness {
namespace {

// Between two tries to write to a database that refuses (a full disk).
constexpr absl::Duration kStorageRetry = absl::Seconds(5);

constexpr char kEndTurn[] = "end_turn";
constexpr char kBudgetReached[] = "budget_reached";
constexpr char kRetriesExhausted[] = "retries_exhausted";
constexpr char kRefusal[] = "refusal";
constexpr char kRequiresAction[] = "requires_action";

// A session is running, on its one thread.
std::vector<Json> RunningEvents(const Session& session) {
  return {Json{{"type", "session.status_running"}},
          ThreadEvent(session, "session.thread_status_running")};
}

// What the log says of a model request that has ended.
LogWrite WriteOf(const Json& agent, const std::string& request_id,
                 const ModelStep& step, const ModelCall& call, bool failed) {
  LogWrite write;
  if (!step.message.empty()) write.append.push_back(MessageEvent(step.message));
  for (const ToolCall& tool : step.tools) {
    write.append.push_back(
        CustomTool(agent, tool.name) != nullptr
            ? CustomToolUseEvent(tool.name, tool.input)
            : ToolUseEvent(tool.name, tool.input,
                           AsksPermission(agent, tool.name)));
  }
  write.append.push_back(RequestEndEvent(request_id, failed, call.usage));
  if (!failed || call.usage != TokenUsage()) {
    write.charge = Charge{request_id, call.usage, call.price_usd_micros};
  }
  return write;
}

std::vector<std::string> Ids(const std::deque<std::string>& ids) {
  return std::vector<std::string>(ids.begin(), ids.end());
}

}  // namespace

Turn::Turn(std::shared_ptr<Core> core, std::string session_id)
    : core_(std::move(core)),
      session_id_(std::move(session_id)),
      slot_(core_->slots) {
  core_->turns[session_id_] = this;
}

Turn::~Turn() {
  auto it = core_->turns.find(session_id_);
  if (it != core_->turns.end() && it->second == this) core_->turns.erase(it);
}

void Turn::Wake(const std::shared_ptr<Core>& core,
                const std::string& session_id,
                const std::vector<Json>& events) {
  auto it = core->turns.find(session_id);
  if (it == core->turns.end()) {
    Spawn(core->executor, Live(core, session_id));
    return;
  }
  Turn* turn = it->second;
  for (const Json& event : events) turn->state_.Apply(event);
  if (!turn->state_.queued_interrupts.empty()) turn->Kick();
}

void Turn::StopAll(Core& core) {
  core.stopping = true;
  for (auto& [session_id, turn] : core.turns) turn->Kick();
}

void Turn::Kick() {
  slot_.Cancel();
  if (shell_ != nullptr) shell_->Kill();
  if (request_ != nullptr) {
    request_->call.Cancel();
    request_->answer.Push(std::nullopt);
  }
  if (pause_ != nullptr) pause_->Push(true);
}

Async<void> Turn::Live(std::shared_ptr<Core> core, std::string session_id) {
  // Two wakes in a row: the first one's turn takes both.
  if (core->turns.count(session_id) != 0) co_return;
  Turn turn(std::move(core), std::move(session_id));
  co_await turn.Run();
}

absl::Status Turn::Load() {
  ASSIGN_OR_RETURN(std::vector<Json> events, core_->log.ReadAll(session_id_));
  state_ = TurnState();
  for (const Json& event : events) state_.Apply(event);
  return absl::OkStatus();
}

Async<void> Turn::Run() {
  absl::Status status = Load();
  while (true) {
    absl::StatusOr<Session> session = core_->sessions.Get(session_id_);
    if (status.ok()) status = session.status();
    if (status.ok()) {
      NextStep step = Decide(state_, session->at_budget());
      if (step == NextStep::kNothing) {
        // From here on a wake begins another turn.
        core_->turns.erase(session_id_);
        co_return;
      }
      status = co_await Take(step, *std::move(session));
    }
    if (absl::IsCancelled(status)) co_return;
    if (absl::IsNotFound(status)) co_return;  // deleted
    if (!status.ok()) {
      LogError("a session cannot go on; trying again",
               {{"session", session_id_},
                {"in", absl::FormatDuration(kStorageRetry)},
                {"error", status.ToString()}});
      co_await Sleep(core_->executor, kStorageRetry);
      status = Load();
    }
  }
}

Async<absl::Status> Turn::Take(NextStep step, Session session) {
  LogWrite write;
  switch (step) {
    case NextStep::kNothing:
      break;
    case NextStep::kIgnoreInterrupts:
      write.process = Ids(state_.queued_interrupts);
      co_return Commit(std::move(write));
    case NextStep::kBeginTurn:
      write.process = {state_.queued_messages.front()};
      [[fallthrough]];
    case NextStep::kResumeTurn:
      write.append = RunningEvents(session);
      write.status = kRunning;
      co_return Commit(std::move(write));
    case NextStep::kInterruptTurn:
      co_return co_await End(kEndTurn, std::move(write));
    case NextStep::kCloseModelRequest:
      // What it cost is unknown, so nothing is charged for it.
      write.append = {RequestEndEvent(state_.open_request, true, {})};
      co_return Commit(std::move(write));
    case NextStep::kRunTool:
      co_return co_await RunTool(std::move(session));
    case NextStep::kPutQuestions:
      co_return co_await End(kRequiresAction, std::move(write));
    case NextStep::kRequestModel:
      co_return co_await RequestModel(std::move(session));
    case NextStep::kPauseForBudget:
      co_return co_await End(kBudgetReached, std::move(write));
    case NextStep::kEndTurn:
      co_return co_await End(kEndTurn, std::move(write));
  }
  co_return absl::OkStatus();
}

absl::Status Turn::Commit(LogWrite write,
                          absl::FunctionRef<absl::Status()> also) {
  bool flushed = write.flush_queue;
  ASSIGN_OR_RETURN(std::vector<Json> events,
                   core_->log.Commit(session_id_, std::move(write), also));
  for (const Json& event : events) state_.Apply(event);
  if (flushed) state_.ForgetQueue();
  return absl::OkStatus();
}

Async<void> Turn::Ask(std::shared_ptr<Core>, Model& model,
                      ModelRequest question, std::shared_ptr<Request> request) {
  ModelStep step = co_await model.Next(std::move(question), request->call);
  request->answer.Push(std::move(step));
}

Async<absl::Status> Turn::RequestModel(Session session) {
  LogWrite start;
  if (state_.rescheduled) {
    start.append = RunningEvents(session);
    start.status = kRunning;
  }
  start.append.push_back(Json{{"type", "span.model_request_start"}});
  CO_RETURN_IF_ERROR(Commit(std::move(start)));

  ModelRequest question;
  question.model = StringMember(session.agent["model"], "id");
  question.system = StringMember(session.agent, "system");
  question.tools = EnabledTools(session.agent);
  for (const std::string& tool : question.tools) {
    const Json* custom = CustomTool(session.agent, tool);
    if (custom != nullptr) question.custom_tools.push_back(*custom);
  }
  question.conversation = state_.conversation;
  auto request = std::make_shared<Request>(core_->executor);
  std::optional<ModelStep> step =
      co_await AwaitAnswer(std::move(question), request);

  if (step && step->tools.empty() && !step->failure) {
    OvershootByIntent(session, *request);
  }
  LogWrite write =
      WriteOf(session.agent, state_.open_request, step ? *step : ModelStep(),
              request->call, !step || step->failure.has_value());
  if (step && step->failure) {
    ModelFailure failure = *std::move(step->failure);
    co_return co_await TakeFailure(std::move(session), std::move(failure),
                                   std::move(write));
  }
  if (step && step->refusal) {
    Json details = *std::move(step->refusal);
    co_return co_await End(kRefusal, std::move(write), std::move(details));
  }
  co_return Commit(std::move(write));
}

void Turn::OvershootByIntent(const Session& session, Request& request) {
  int64_t& price = request.call.price_usd_micros;
  const int64_t asked = LastPriceUsdMicros(core_->options.faults, session_id_,
                                           session.budget_usd_cents,
                                           session.cost_usd_micros, price);
  if (asked == price) return;
  core_->fault_counts.Add(Fault::kOvershoot, session_id_);
  price = asked;
}

Async<std::optional<ModelStep>> Turn::AwaitAnswer(
    ModelRequest question, std::shared_ptr<Request> request) {
  Model* model = core_->ModelOf(question.model);
  if (model == nullptr) {
    ModelStep step;
    step.failure = ModelFailure{"model_request_failed_error",
                                core_->known_models().Refusal(question.model),
                                false, std::nullopt};
    co_return step;
  }
  absl::StatusOr<bool> capped = core_->AtSpendCap();
  if (!capped.ok() || *capped) {
    ModelStep step;
    step.failure = ModelFailure{
        "billing_error",
        std::string(
            (capped.ok() ? SpendLimitReached() : capped.status()).message()),
        false, std::nullopt};
    co_return step;
  }
  request_ = request;
  Spawn(core_->executor, Ask(core_, *model, std::move(question), request));
  std::optional<std::optional<ModelStep>> answer =
      co_await request->answer.Pop();
  request_.reset();
  co_return *std::move(answer);
}

Async<absl::Status> Turn::TakeFailure(Session session, ModelFailure failure,
                                      LogWrite write) {
  std::optional<absl::Duration> delay =
      ModelRetryDelay(failure, state_.failed_requests + 1, core_->random);
  write.append.push_back(
      ErrorEvent(failure.type, failure.message, delay.has_value()));
  if (!delay) co_return co_await End(kRetriesExhausted, std::move(write));
  write.append.push_back(Json{{"type", "session.status_rescheduled"}});
  write.append.push_back(
      ThreadEvent(session, "session.thread_status_rescheduled"));
  write.status = kRescheduling;
  CO_RETURN_IF_ERROR(Commit(std::move(write)));
  LogWarning("a model request failed; making it again",
             {{"session", session_id_},
              {"in", absl::FormatDuration(*delay)},
              {"failures", state_.failed_requests},
              {"error", failure.message}});
  // An interrupt that came meanwhile must not wait.
  if (!state_.queued_interrupts.empty()) co_return absl::OkStatus();
  pause_ = std::make_unique<Mailbox<bool>>(core_->executor);
  co_await pause_->Pop(*delay);
  pause_.reset();
  co_return absl::OkStatus();
}

Async<absl::Status> Turn::RunTool(Session session) {
  TurnState::ToolUse use =
      *std::find_if(state_.open_tools.begin(), state_.open_tools.end(),
                    [](const TurnState::ToolUse& each) { return !each.waits; });
  ToolOutcome outcome = co_await CallTool(std::move(session), use);
  FaultPoint("harness.tool.after");
  // The interrupt answers for the tool.
  if (!state_.queued_interrupts.empty()) co_return absl::OkStatus();
  LogWrite write;
  write.append = {ToolResultEvent(use.id, outcome.text, outcome.is_error)};
  co_return Commit(std::move(write));
}

Async<ToolOutcome> Turn::CallTool(Session session, TurnState::ToolUse use) {
  if (EnabledTools(session.agent).count(use.name) == 0) {
    co_return ToolOutcome{
        absl::StrCat("the agent has no tool named ", use.name), true};
  }
  absl::StatusOr<ToolPlan> plan =
      PlanTool(use.name, use.input, core_->options.tool_timeout);
  if (!plan.ok()) {
    co_return ToolOutcome{std::string(plan.status().message()), true};
  }
  if (plan->restart) {
    shell_.reset();
    if (plan->command.text.empty()) {
      co_return ToolOutcome{"The shell was restarted.", false};
    }
  }
  absl::Status started = co_await StartShell(std::move(session));
  if (!started.ok()) {
    co_return ToolOutcome{std::string(started.message()), true};
  }
  ShellResult result = co_await shell_->Run(plan->command);
  co_return OutcomeOf(use.name, use.input, *plan, result);
}

Async<absl::Status> Turn::StartShell(Session session) {
  if (shell_ != nullptr && shell_->alive()) co_return absl::OkStatus();
  shell_.reset();
  if (!co_await slot_.Acquire()) {
    co_return absl::CancelledError("interrupted");
  }
  CO_ASSIGN_OR_RETURN(std::vector<SessionTable::Resource> resources,
                      core_->sessions.Resources(session_id_));
  const std::string dir = core_->dir.session(session_id_);
  std::vector<std::pair<std::string, std::string>> mounts;
  for (const SessionTable::Resource& resource : resources) {
    mounts.emplace_back(core_->files.PathOf(resource.file_id),
                        resource.mount_path);
  }
  absl::AnyInvocable<absl::Status()> prepare =
      [&sandbox = core_->sandbox, dir, number = session.number,
       mounts = std::move(mounts)]() -> absl::Status {
    RETURN_IF_ERROR(sandbox.Prepare(dir, number));
    return MountUploads(UploadsDir(dir), mounts);
  };
  CO_RETURN_IF_ERROR(co_await RunBlocking<absl::Status>(
      core_->pool, core_->executor, std::move(prepare)));
  CO_ASSIGN_OR_RETURN(
      shell_, co_await Shell::Start(core_->executor, core_->sandbox, dir,
                                    session.number));
  // Kicked meanwhile, when there was nothing yet to kill.
  if (core_->stopping || !state_.queued_interrupts.empty()) {
    co_return absl::CancelledError("interrupted");
  }
  co_return absl::OkStatus();
}

// Goes idle: the shell and all its processes end, what they wrote becomes
// files, and then, in one transaction with those, the log says so.
Async<absl::Status> Turn::End(std::string stop_reason, LogWrite write,
                              Json stop_details) {
  shell_.reset();
  slot_.Release();
  absl::StatusOr<SessionOutputs> outputs =
      co_await StoreOutputs(*core_, session_id_);
  if (outputs.ok() && !outputs->added.empty()) {
    FaultPoint("harness.outputs.before");
  }
  if (!outputs.ok()) {
    // A turn whose results are lost is not over, it has failed.
    stop_reason = kRetriesExhausted;
    write.append.push_back(
        ErrorEvent("unknown_error",
                   absl::StrCat("the outputs could not be stored: ",
                                outputs.status().message()),
                   false));
    outputs = SessionOutputs();
  }
  CO_ASSIGN_OR_RETURN(Session session, core_->sessions.Get(session_id_));
  write.process = Ids(state_.queued_interrupts);
  Json reason = {{"type", stop_reason}};
  if (stop_reason == kRequiresAction) reason["event_ids"] = Json::array();
  for (const TurnState::ToolUse& use : state_.open_tools) {
    if (stop_reason == kRequiresAction) {
      reason["event_ids"].push_back(use.id);
    } else {
      write.append.push_back(
          use.custom ? CustomToolResultEvent(use.id, "interrupted", true)
                     : ToolResultEvent(use.id, "interrupted", true));
    }
  }
  if (write.charge) {
    session.usage = session.usage + write.charge->usage;
    session.cost_usd_micros += write.charge->price_usd_micros;
  }
  for (Json& event :
       IdleEvents(session, reason, stop_details, core_->db->Stamp())) {
    write.append.push_back(std::move(event));
  }
  // As the API has it: after a failure what waits is dropped, to be sent again.
  write.flush_queue = stop_reason == kRetriesExhausted;
  // Otherwise the next message begins a turn at once, and the session is not
  // seen idle; unless it has no money.
  bool goes_on = stop_reason == kEndTurn && !state_.queued_messages.empty();
  write.status = goes_on ? kRunning : kIdle;
  write.stop_reason = stop_reason;
  auto register_outputs = [&] { return RegisterOutputs(*core_, *outputs); };
  CO_RETURN_IF_ERROR(Commit(std::move(write), register_outputs));
  DropSuperseded(*core_, *outputs);
  co_return absl::OkStatus();
}

}  // namespace midwatch::harness
