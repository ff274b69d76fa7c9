// A session's events as one sequence that survives cut streams.
//
// A stream shows only what comes after it was opened, and knows no cursor. So:
// open the stream and let it wait, read the history, deliver what was not seen,
// then go on with the stream and skip what was. Events of our own appear twice
// under one id (queued, then processed), so what counts as seen is (id,
// processed or not).
#ifndef MIDWATCH_AGENTS_SESSION_FEED_H_
#define MIDWATCH_AGENTS_SESSION_FEED_H_

#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agents/agents_client.h"
#include "agents/attach_turn.h"
#include "agents/event.h"
#include "base/coro.h"
#include "base/executor.h"
#include "base/random.h"

namespace midwatch {

// Used on one executor's thread; one call at a time.
class SessionFeed {
 public:
  // `client`, `executor` and `random` outlive the feed. Lost streams are
  // reopened as `turn` says; without one, when the backoff is over.
  SessionFeed(AgentsClient& client, Executor& executor, Random& random,
              std::string session_id,
              std::unique_ptr<AttachTurn> turn = nullptr);
  ~SessionFeed();

  // Events delivered by an earlier feed of the session, in their order: not
  // delivered again. Call before Open or CatchUp.
  void MarkSeen(const Event& event);

  // Opens the stream without reading history: for a session that was never
  // sent to.
  Async<absl::Status> Open();

  // Opens the stream, then reads the history (whole where `whole`, else from
  // the last processed event less a minute); Next then delivers what was
  // missed. A session that is over may refuse its stream (400, 409): its
  // history is then all there is, and Next returns the refusal after it. By
  // history alone the stream stays closed until Next wants more.
  Async<absl::Status> CatchUp(bool whole, AttachBy by = AttachBy::kStream);

  // As it was given; for whoever calls CatchUp.
  AttachTurn* turn() { return turn_.get(); }

  // The next event, once. Reopens lost streams with backoff (500 ms doubling to
  // 10 s, jittered, reset by any event, and never less than the service asks
  // for) for as long as the failures are kUnavailable or kDeadlineExceeded; any
  // other failure is returned.
  //   kCancelled  Close was called
  Async<absl::StatusOr<Event>> Next();

  // Whether Next would return at once. While it would, what was delivered is
  // not yet the whole of what is known.
  bool has_backlog() const { return !backlog_.empty(); }

  // The session's silence can be heard: its stream is open.
  bool listening() const { return stream_ != nullptr; }

  // Ends a Next that waits and all later ones. On the executor's thread.
  void Close();

 private:
  // Whether `event` is new; remembers it.
  bool TakeNew(const Event& event);
  void Forget();
  // Waits before the stream is opened again; ends early at Close.
  Async<void> BackOff();
  Async<AttachBy> AwaitTurn();

  AgentsClient& client_;
  Random& random_;
  const std::string session_id_;
  std::unique_ptr<AttachTurn> turn_;
  std::unique_ptr<EventStream> stream_;
  std::list<Event> backlog_;  // no deque: see Mailbox
  // What was delivered, by (id, processed or not); `seen_order_` holds the
  // processed ones with their time. Those too old for any later history read
  // are forgotten, so a long session does not grow it. Hashes, since ids were
  // more than half of what a worker with thousands of streams holds: of the ten
  // thousand events that a session may show in that time two are taken for one
  // once in 10^11 such sessions.
  absl::flat_hash_set<uint64_t> seen_;
  std::deque<std::pair<absl::Time, uint64_t>> seen_order_;
  std::optional<absl::Time> last_processed_at_;
  absl::Status refusal_;
  int failures_in_a_row_ = 0;
  absl::Duration asked_to_wait_;  // the last failure's retry-after
  bool closed_ = false;
  Mailbox<bool> closed_box_;  // one value, at Close
  Mailbox<AttachBy> turn_box_;
};

}  // namespace midwatch

#endif  // MIDWATCH_AGENTS_SESSION_FEED_H_
