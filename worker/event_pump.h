#ifndef MIDWATCH_WORKER_EVENT_PUMP_H_
#define MIDWATCH_WORKER_EVENT_PUMP_H_

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "agents/session_feed.h"
#include "base/coro.h"
#include "base/executor.h"

namespace midwatch {

// Carries a session's events from its feed to the attempt that drives it, so
// that the attempt waits at one place for events and notices alike.
//
// Shared between the attempt and the pump's own coroutine: the attempt may let
// go of it (Stop) without waiting for a request that is under way.
class EventPump : public std::enable_shared_from_this<EventPump> {
 public:
  // How many events may be delivered and not yet released: a slow scheduler
  // slows reading, and loses nothing.
  static constexpr int kOutstandingMax = 512;

  // An event, or the failure that ended the feed.
  using Sink = absl::AnyInvocable<void(absl::StatusOr<Event>)>;

  EventPump(Executor& executor, AgentsClient& client, Random& random,
            std::string session_id, std::unique_ptr<AttachTurn> turn,
            Sink sink);

  // For MarkSeen, Open and CatchUp, before Start.
  SessionFeed& feed() { return feed_; }

  void Start();

  // Events delivered before are dealt with.
  void Release(size_t count);

  bool listening() const { return feed_.listening(); }

  // The sink has had everything that is known of the session so far.
  bool caught_up() const { return !feed_.has_backlog(); }

  // Delivers no more.
  void Stop();

 private:
  static Async<void> Run(std::shared_ptr<EventPump> self);

  Executor& executor_;
  SessionFeed feed_;
  Sink sink_;  // null once stopped
  int outstanding_ = 0;
  Mailbox<bool> released_;
};

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_EVENT_PUMP_H_
