#ifndef MIDWATCH_WORKER_ARCHIVER_H_
#define MIDWATCH_WORKER_ARCHIVER_H_

#include <string>

#include "agents/agents_client.h"
#include "base/clock.h"
#include "base/coro.h"
#include "base/executor.h"

namespace midwatch {

// Puts away sessions that are done with: settled ones, and idle ones that lost
// to another. Beside the attempts and only with best effort: what is missed is
// the orphan sweep's.
class Archiver {
 public:
  // Tries per session; a session's status lags its last event, so the first
  // may be refused.
  static constexpr int kTries = 5;

  // `executor` outlives it.
  explicit Archiver(Executor& executor) : executor_(executor) {}

  // Returns at once. `client` outlives the archiver.
  void Archive(AgentsClient& client, std::string session_id);

  // No further tries, so that pending() soon is 0.
  void Drain() { draining_ = true; }
  int pending() const { return pending_; }

 private:
  static Async<void> Run(Archiver& self, AgentsClient& client,
                         std::string session_id);

  Executor& executor_;
  int pending_ = 0;
  bool draining_ = false;
};

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_ARCHIVER_H_
