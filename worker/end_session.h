#ifndef MIDWATCH_WORKER_END_SESSION_H_
#define MIDWATCH_WORKER_END_SESSION_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "agents/agents_client.h"
#include "base/coro.h"
#include "base/executor.h"

namespace midwatch {

struct EndedSession {
  bool stopped = false;  // it ran on, and was interrupted
  bool gone = false;     // the service does not know it any more
  std::optional<int64_t> list_cost_usd_micros;
};

// Archives a session that nobody needs any more, in spare slots, and
// interrupts it where it still runs. A session's status lags its last event, so
// a first refusal says nothing. Again is OK. Ends early, with the last failure,
// once `stop` returns true. Both references outlive the call.
//   otherwise  it did not come to rest in five tries, or nothing will help: the
//              service's failure
Async<absl::StatusOr<EndedSession>> EndSession(Executor& executor,
                                               AgentsClient& client,
                                               std::string session_id,
                                               std::function<bool()> stop);

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_END_SESSION_H_
