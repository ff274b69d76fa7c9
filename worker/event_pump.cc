#include "worker/event_pump.h"

#include <algorithm>
#include <utility>

namespace midwatch {

EventPump::EventPump(Executor& executor, AgentsClient& client, Random& random,
                     std::string session_id, std::unique_ptr<AttachTurn> turn,
                     Sink sink)
    : executor_(executor),
      feed_(client, executor, random, std::move(session_id), std::move(turn)),
      sink_(std::move(sink)),
      released_(executor) {}

void EventPump::Start() { Spawn(executor_, Run(shared_from_this())); }

Async<void> EventPump::Run(std::shared_ptr<EventPump> self) {
  while (self->sink_ != nullptr) {
    if (self->outstanding_ >= kOutstandingMax) {
      co_await self->released_.Pop();
      continue;
    }
    absl::StatusOr<Event> event = co_await self->feed_.Next();
    if (self->sink_ == nullptr) break;
    bool over = !event.ok();
    ++self->outstanding_;
    self->sink_(std::move(event));
    if (over) break;
  }
}

void EventPump::Release(size_t count) {
  bool full = outstanding_ >= kOutstandingMax;
  outstanding_ = std::max(0, outstanding_ - static_cast<int>(count));
  if (full && outstanding_ < kOutstandingMax) released_.Push(true);
}

void EventPump::Stop() {
  sink_ = nullptr;
  feed_.Close();
  released_.Push(true);
}

}  // namespace midwatch
