#include "worker/judge.h"

namespace midwatch {
namespace {

bool TurnIsOver(const TranscriptState& state) {
  // A session is idle from its birth.
  if (!state.idle || state.processed.empty()) return false;
  if (state.idle->stop_reason == "requires_action") {
    // Answered: about to go on.
    return !state.idle->blocking.empty();
  }
  // Neither a session at its budget nor an ended one will look at its queue.
  if (state.idle->stop_reason == "budget_reached" || state.terminated) {
    return true;
  }
  // A message that waits starts another turn.
  int handled = static_cast<int>(state.processed.size()) + state.flushed;
  return state.queued.empty() && handled >= state.sent;
}

std::optional<v1::Failure> LastFailure(const TranscriptState& state) {
  if (!state.last_error) return std::nullopt;
  v1::Failure failure;
  failure.set_operation("session");
  failure.set_error_type(state.last_error->type);
  failure.set_retry_status(state.last_error->retry_status);
  failure.set_message(state.last_error->message);
  return failure;
}

}  // namespace

std::optional<Verdict> Judge(const TranscriptState& state) {
  Verdict verdict;
  verdict.failure = LastFailure(state);
  if (state.deleted) {
    verdict.kind = v1::Ending::KIND_DELETED;
    return verdict;
  }
  // Before "terminated": a session that was archived after its turn had ended
  // did what it was asked.
  if (TurnIsOver(state)) {
    verdict.kind = v1::Ending::KIND_IDLE;
    verdict.stop_reason = state.idle->stop_reason;
    // Errors on the way to a good end were overcome.
    if (verdict.stop_reason == "end_turn") verdict.failure.reset();
    return verdict;
  }
  if (state.terminated) {
    verdict.kind = v1::Ending::KIND_TERMINATED;
    return verdict;
  }
  return std::nullopt;
}

}  // namespace midwatch
