#include "harness/event_hub.h"

#include <utility>

namespace midwatch::harness {

EventHub::Listener::Listener(EventHub& hub, Executor& executor,
                             std::string session_id)
    : hub_(hub), session_id_(std::move(session_id)), waiting_(executor) {
  hub_.listeners_[session_id_].push_back(this);
}

EventHub::Listener::~Listener() {
  auto it = hub_.listeners_.find(session_id_);
  std::erase(it->second, this);
  if (it->second.empty()) hub_.listeners_.erase(it);
}

void EventHub::Listener::End() {
  if (std::exchange(ended_, true)) return;
  waiting_.Push(nullptr);  // wakes a reader
}

Async<std::shared_ptr<const StreamedEvent>> EventHub::Listener::Next(
    absl::Duration timeout) {
  std::optional<std::shared_ptr<const StreamedEvent>> event =
      co_await waiting_.Pop(timeout);
  co_return event ? *std::move(event) : nullptr;
}

void EventHub::Publish(const std::string& session_id, StreamedEvent event) {
  auto it = listeners_.find(session_id);
  if (it == listeners_.end()) return;
  auto shared = std::make_shared<const StreamedEvent>(std::move(event));
  for (Listener* listener : it->second) {
    if (listener->ended_) continue;
    if (listener->waiting_.size() >= kWaitingEventsMax) {
      listener->End();
    } else {
      listener->waiting_.Push(shared);
    }
  }
}

void EventHub::EndSession(const std::string& session_id) {
  auto it = listeners_.find(session_id);
  if (it == listeners_.end()) return;
  for (Listener* listener : it->second) listener->End();
}

void EventHub::EndAll() {
  for (auto& [session_id, listeners] : listeners_) {
    for (Listener* listener : listeners) listener->End();
  }
}

}  // namespace midwatch::harness
