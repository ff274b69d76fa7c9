// A Managed Agents service over real sockets that costs next to nothing, so
// that a worker with thousands of sessions can be measured against it: canned
// bytes, and no session's events are kept. What a session's event number k is,
// and when it comes, follows from its number and from when its turn began and
// ended; a stream writes them as they fall due, a history makes them again.
//
// It has agents, environments, sessions (create, get, list, archive), their
// events (send, stream, history), files and their rate limits. A session's turn
// begins with its first message, emits tool calls and their results in turn,
// one event every so often (BeginWork), and ends when it is told to (Finish) or
// interrupted (or at once: EndAtOnce). One file comes of it. Queued events,
// tools that ask, budgets and everything else that makes sessions difficult:
// see tests/testing/fake_agents_service.h.
#ifndef MIDWATCH_BENCH_CANNED_SERVICE_H_
#define MIDWATCH_BENCH_CANNED_SERVICE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "harness/rate_limits.h"

namespace midwatch::bench {

// Serves on a thread of its own. Thread-safe: every method waits for that
// thread.
class CannedService {
 public:
  // From BeginWork on each session that runs emits an event `event_every`, the
  // sessions spread evenly over that time.
  static absl::StatusOr<std::unique_ptr<CannedService>> Start(
      absl::Duration event_every);
  ~CannedService();

  std::string base_url() const;

  // From now on, with full buckets. At first nothing is limited.
  void SetLimits(harness::RateLimits limits);

  // Until then sessions run, and say nothing beyond that: on a busy machine the
  // events of those that run would keep the others from being started.
  void BeginWork();

  // From now on a turn is over as it begins.
  void EndAtOnce();

  // Ends the turns of `count` sessions that run, or of all where there are
  // fewer; returns their number.
  int Finish(int count);

  struct Counts {
    int64_t created = 0;   // sessions
    int64_t begun = 0;     // of them, which cost something
    int64_t running = 0;   // of them
    int64_t archived = 0;  // of them
    int64_t streams = 0;   // open
    // Since the service began.
    int64_t written = 0;  // events, to streams
    int64_t reads = 0;    // requests of that class that were let in
    int64_t refused = 0;  // requests of any class, with 429
  };
  Counts counts();

  // Of a session, as its history shows them now.
  std::vector<std::string> EventIds(const std::string& session_id);
  // Of all sessions.
  int64_t Events();

  // ---- What a worker that starts anew has heard of the sessions ----
  // Watches from now on those that run at this moment.
  void BeginWatch();
  struct Watch {
    int64_t watched = 0;
    // The service has told what state it is in: on a page of a list, by GET, or
    // by the end of its history. The answer was sent, which is a moment before
    // it is read.
    int64_t known = 0;
    // Those that still run, and of them those with a stream that was opened
    // since and a history that was read after that.
    int64_t running = 0;
    int64_t attached = 0;
    // From BeginWatch until the last one became known, and attached.
    absl::Duration last_known, last_attached;
  };
  Watch watch();

 private:
  struct Impl;
  explicit CannedService(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace midwatch::bench

#endif  // MIDWATCH_BENCH_CANNED_SERVICE_H_
