// Looks through an account's sessions for what nobody remembers: created by a
// request whose answer was lost, or by a worker that died before it could
// record them; and for what should be over and is not.
//
// What is listed are sessions that are not archived, so a sweep costs one read
// for a hundred of those, however many there were; it holds as many in memory.
#ifndef MIDWATCH_WORKER_SWEEP_H_
#define MIDWATCH_WORKER_SWEEP_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agents/agents_client.h"
#include "base/coro.h"
#include "base/executor.h"
#include "worker/scheduler_client.h"

namespace midwatch {

struct SweepOptions {
  std::string account;
  absl::Time created_from = absl::InfinitePast();
  // End what is over; otherwise only say so.
  bool end = true;
  bool with_archived = false;
  // Stops early once it returns true.
  std::function<bool()> stop = [] { return false; };
};

struct SweptSession {
  Session session;
  v1::SessionFate fate = v1::SESSION_FATE_UNSPECIFIED;
  std::optional<int64_t> charged_usd_micros;  // of a settled one
  bool ended = false;                         // now, by this sweep
};

struct SweepFindings {
  v1::SweepCounts counts;
  // When the oldest of those was created that are on or could not be ended.
  absl::Time oldest_open = absl::InfiniteFuture();
};

// Calls `visit` for each session with a queue's mark, oldest first. Never
// touches a session that the scheduler does not explain as over. All three
// references outlive the call.
//   kCancelled  `stop` returned true
//   otherwise   the service or the scheduler failed; what was done stays done
Async<absl::StatusOr<SweepFindings>> SweepAccount(
    Executor& executor, AgentsClient& client, SchedulerClient& scheduler,
    SweepOptions options, std::function<void(const SweptSession&)> visit);

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_SWEEP_H_
