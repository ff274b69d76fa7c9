// Who is listening to which session: events that are durable go from the log to
// the open streams.
#ifndef MIDWATCH_HARNESS_EVENT_HUB_H_
#define MIDWATCH_HARNESS_EVENT_HUB_H_

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/time/time.h"
#include "base/coro.h"
#include "base/executor.h"

namespace midwatch::harness {

struct StreamedEvent {
  std::string type;
  std::string json;
};

// All on one executor's thread. The hub must outlive its listeners.
class EventHub {
 public:
  // A listener that lets more than this many events wait is cut off, as the
  // API allows a server to do at any time; it will read the history.
  static constexpr size_t kWaitingEventsMax = 10000;

  class Listener {
   public:
    Listener(EventHub& hub, Executor& executor, std::string session_id);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    // The next event, or null when `timeout` passes without one.
    Async<std::shared_ptr<const StreamedEvent>> Next(absl::Duration timeout);
    // No more will come, and all that came has been taken.
    bool ended() const { return ended_ && waiting_.empty(); }

   private:
    friend class EventHub;
    void End();

    EventHub& hub_;
    std::string session_id_;
    Mailbox<std::shared_ptr<const StreamedEvent>> waiting_;
    bool ended_ = false;
  };

  void Publish(const std::string& session_id, StreamedEvent event);
  // Ends the streams of a session that is gone, after what was published.
  void EndSession(const std::string& session_id);
  void EndAll();

 private:
  std::unordered_map<std::string, std::vector<Listener*>> listeners_;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_EVENT_HUB_H_
