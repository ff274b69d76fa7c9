#include "worker/transcript.h"

#include <algorithm>
#include <cassert>
#include <utility>
#include <variant>

namespace midwatch {
namespace {

void FoldMessage(const Event& event, TranscriptState& state) {
  if (!event.processed_at) {
    if (!state.processed.contains(event.id)) state.queued.insert(event.id);
    return;
  }
  state.queued.erase(event.id);
  state.processed.insert(event.id);
  // It begins a turn, where none is on.
  state.idle.reset();
}

void FoldAnswered(const std::string& tool_use_id, TranscriptState& state) {
  state.open_tools.erase(tool_use_id);
  state.questions.erase(tool_use_id);
  if (state.idle) state.idle->blocking.erase(tool_use_id);
}

void FoldRepeats(const std::string& tool_use_id, const std::string& result,
                 TranscriptState& state) {
  auto call = state.calls.extract(tool_use_id);
  if (call.empty()) return;
  TranscriptState::Repeats next{call.mapped().first,
                                call.mapped().second + result, 1};
  if (next.digest == state.repeats.digest) {
    next.times = state.repeats.times + 1;
  }
  state.repeats = std::move(next);
}

void FoldIdle(const std::string& id, const SessionIdle& event,
              TranscriptState& state) {
  TranscriptState::Idle idle;
  idle.id = id;
  idle.stop_reason = event.stop_reason;
  idle.blocking.insert(event.blocking_event_ids.begin(),
                       event.blocking_event_ids.end());
  idle.interrupted = state.interrupted;
  state.idle = std::move(idle);
  state.interrupted = false;
  state.open_tools.clear();
  // Those that ask are still on.
  if (state.idle->stop_reason != "requires_action") state.calls.clear();
}

void FoldError(const SessionError& event, TranscriptState& state) {
  state.last_error = event;
  if (event.retry_status == "exhausted") {
    // The service throws away what it had queued.
    state.flushed += static_cast<int>(state.queued.size());
    state.queued.clear();
  }
}

struct Folder {
  const Event& event;
  TranscriptState& state;

  void operator()(const OtherEvent&) {}
  void operator()(const UserMessage&) { FoldMessage(event, state); }
  void operator()(const UserInterrupt&) {
    if (event.processed_at && !state.idle) state.interrupted = true;
  }
  void operator()(const AgentMessage& message) {
    if (!message.text.empty()) state.last_message = message.text;
  }
  void operator()(const ToolUse& use) {
    state.open_tools.insert(event.id);
    state.calls[event.id] = {use.name, use.digest};
    if (!use.asks && !use.custom) return;
    state.questions[event.id] = {use.name, use.input_json, use.custom};
  }
  void operator()(const ToolResult& result) {
    FoldRepeats(result.tool_use_id, result.digest, state);
    FoldAnswered(result.tool_use_id, state);
  }
  void operator()(const ToolAnswer& answer) {
    if (!answer.digest.empty()) {
      FoldRepeats(answer.tool_use_id, answer.digest, state);
    }
    FoldAnswered(answer.tool_use_id, state);
  }
  void operator()(const SessionRunning&) {
    state.idle.reset();
    state.list_cost_usd_micros.reset();  // it grows
  }
  void operator()(const SessionRescheduled&) { state.idle.reset(); }
  void operator()(const SessionIdle& idle) { FoldIdle(event.id, idle, state); }
  void operator()(const SessionTerminated&) { state.terminated = true; }
  void operator()(const SessionDeleted&) { state.deleted = true; }
  void operator()(const SessionError& error) { FoldError(error, state); }
  void operator()(const SessionUsage& usage) {
    // One that does not name it says that what was named before is too little.
    state.list_cost_usd_micros = usage.list_cost_usd_micros;
  }
  void operator()(const ModelRequestStart&) { state.model_request = true; }
  void operator()(const ModelRequestEnd&) { state.model_request = true; }
};

}  // namespace

void Fold(const Event& event, TranscriptState& state) {
  std::visit(Folder{event, state}, event.body);
}

Transcript::Transcript(const Clock& clock, const PriceTable& prices,
                       int64_t stored)
    : clock_(clock), cost_(prices), stored_(stored) {}

void Transcript::TakeIn(const Event& event) {
  Fold(event, state_);
  cost_.Note(event);
}

void Transcript::Add(Event event) {
  TakeIn(event);
  waiting_bytes_ += event.json.size();
  waiting_.push_back({std::move(event.json), clock_.Steady()});
}

void Transcript::Reset() {
  assert(stored_ == 0);
  state_ = TranscriptState();
  cost_.Reset();
  waiting_.clear();
  waiting_bytes_ = 0;
}

void Transcript::NoteAnswered(const std::string& question_id) {
  FoldAnswered(question_id, state_);
  if (state_.idle && state_.idle->id == question_id) state_.idle.reset();
}

void Transcript::NoteSent(int count) {
  state_.sent = std::max(state_.sent, count);
}

absl::Duration Transcript::DueIn() const {
  if (waiting_.empty()) return absl::InfiniteDuration();
  if (waiting_.size() >= kBatchEvents || waiting_bytes_ >= kBatchBytes) {
    return absl::ZeroDuration();
  }
  return std::max(absl::ZeroDuration(),
                  waiting_.front().since + kBatchAge - clock_.Steady());
}

std::vector<std::string> Transcript::NextBatch() const {
  std::vector<std::string> batch;
  size_t bytes = 0;
  for (const Waiting& event : waiting_) {
    if (batch.size() == kBatchEvents || bytes >= kBatchBytes) break;
    bytes += event.json.size();
    batch.push_back(event.json);
  }
  return batch;
}

size_t Transcript::MarkStored(int64_t stored) {
  size_t taken = 0;
  while (stored_ < stored && !waiting_.empty()) {
    waiting_bytes_ -= waiting_.front().json.size();
    waiting_.pop_front();
    ++stored_;
    ++taken;
  }
  return taken;
}

}  // namespace midwatch
