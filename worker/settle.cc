#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "worker/attempt.h"

namespace midwatch {
namespace {

constexpr int kCostTries = 5;

bool MayHaveOutputs(v1::Ending::Kind kind) {
  return kind == v1::Ending::KIND_IDLE || kind == v1::Ending::KIND_TERMINATED ||
         kind == v1::Ending::KIND_TIMED_OUT ||
         kind == v1::Ending::KIND_LOOPED || kind == v1::Ending::KIND_BROKEN;
}

// As the scheduler will judge it: the files are still there.
bool IsAccountTrouble(const ApiError& error) {
  return error.http_status == 401 || error.http_status == 402 ||
         error.http_status == 403 || error.type == kUnresolvedHost ||
         error.type == kUntrustedCertificate;
}

}  // namespace

Async<absl::Status> Attempt::SetCost(v1::Ending& ending) {
  const TranscriptState& state = transcript_.state();
  // A message that the service took may be processed, whether or not that was
  // seen.
  ending.set_dearest_request_usd_micros(transcript_.cost().dearest_request());
  const bool sent = phase_ == v1::ATTEMPT_PHASE_RUNNING;
  ending.set_charged(state.charged() || sent || assume_charged_);
  // While it spends, a figure would be too low: without one, the attempt costs
  // its reservation.
  if (!state.charged() || !at_rest_) co_return absl::OkStatus();
  std::optional<int64_t> cost = state.list_cost_usd_micros;
  for (int tried = 0; !cost && !state.deleted && tried < kCostTries; ++tried) {
    absl::StatusOr<Session> session =
        co_await parts_.agents.GetSession(session_id_);
    if (session.ok()) {
      cost = session->list_cost_usd_micros;
      break;
    }
    if (!IsTransient(session.status())) break;
    CO_RETURN_IF_ERROR(co_await Wait(absl::Seconds(1)));
  }
  if (cost) ending.set_list_cost_usd_micros(*cost);
  co_return absl::OkStatus();
}

Async<absl::Status> Attempt::End(Verdict verdict) {
  v1::Ending ending;
  ending.set_kind(verdict.kind);
  ending.set_stop_reason(verdict.stop_reason);
  if (verdict.failure) *ending.mutable_failure() = *verdict.failure;
  if (verdict.kind == v1::Ending::KIND_NO_CHECK) {
    ending.set_failed_check(WhyNoCheck());
  }
  const TranscriptState& state = transcript_.state();
  // Nobody waits for what a session at rest may say yet.
  if (CaughtUp() && pump_ != nullptr && !pump_->listening()) StopFeed();

  if (state.charged() && MayHaveOutputs(verdict.kind)) {
    absl::Status collected = co_await CollectOutputs(ending);
    if (!collected.ok()) {
      // The lease, or a drain; otherwise the service failed, for good.
      CO_RETURN_IF_ERROR(Stopped());
      if (!GetApiError(collected)) co_return collected;
      ending.clear_outputs();
      // An account that is shut keeps the session for whoever adopts it.
      if (IsAccountTrouble(*GetApiError(collected)) ||
          (verdict.stop_reason == "end_turn" &&
           !lease_.spec().expect().files().empty())) {
        ending.set_kind(v1::Ending::KIND_BROKEN);
        *ending.mutable_failure() = ToFailure(collected, "list_files");
      }
    }
  }
  CO_RETURN_IF_ERROR(co_await StoreFinalMessage(ending));
  FaultPoint("worker.outputs.after");
  if (ending.kind() == v1::Ending::KIND_IDLE &&
      verdict.stop_reason == "end_turn" && !cancelling_) {
    CO_RETURN_IF_ERROR(co_await CheckOutputs(ending));
    if (ending.kind() == v1::Ending::KIND_IDLE) {
      CO_RETURN_IF_ERROR(co_await RunOwnCheck(ending));
    }
  }
  // Whatever the settle relies on is stored before it, and what came while
  // outputs were collected is judged.
  do {
    CO_RETURN_IF_ERROR(co_await TakeBacklog());
    CO_RETURN_IF_ERROR(co_await Store(/*all=*/true));
    if (CaughtUp()) CO_RETURN_IF_ERROR(co_await SetCost(ending));
  } while (!CaughtUp() || (FirstMessageKnown() && transcript_.waiting() > 0));
  if (verdict.kind == v1::Ending::KIND_IDLE && !Judge(state)) {
    // A message that was long on its way has begun another turn meanwhile.
    if (pump_ == nullptr) {
      co_return absl::InternalError(
          "the session goes on, and its stream is lost");
    }
    CO_ASSIGN_OR_RETURN(Verdict later, co_await Drive());
    co_return co_await End(std::move(later));
  }
  // What comes from here on is nobody's to store.
  StopFeed();
  ++pump_number_;
  FaultPoint("worker.settle.before");

  // Late, since cancel may come while outputs are collected.
  ending.set_finished_before_interrupt(cancelling_ &&
                                       verdict.stop_reason == "end_turn" &&
                                       state.idle && !state.idle->interrupted);
  handing_back_ = false;
  v1::SettleRequest request;
  *request.mutable_token() = token();
  *request.mutable_ending() = std::move(ending);
  absl::StatusOr<v1::SettleResponse> settled =
      co_await Ask(&SchedulerClient::Settle, std::move(request));
  if (!settled.ok()) co_return settled.status();
  released_ = true;
  FaultPoint("worker.settle.after");
  LogInfo("settled", {{"task", token().task_id()},
                      {"attempt", token().attempt()},
                      {"session", session_id_},
                      {"ending", v1::Ending::Kind_Name(verdict.kind)},
                      {"state", v1::TaskState_Name(settled->state())}});
  // RUNNING: the session goes on once its account works again.
  if (settled->state() == v1::TASK_STATE_RUNNING) co_return absl::OkStatus();
  if (!session_id_.empty())
    parts_.archiver.Archive(parts_.agents, lease_.account(), session_id_);
  co_return absl::OkStatus();
}

}  // namespace midwatch
