#ifndef MIDWATCH_WORKER_ARCHIVER_H_
#define MIDWATCH_WORKER_ARCHIVER_H_

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agents/agents_client.h"
#include "base/coro.h"
#include "base/executor.h"
#include "worker/scheduler_client.h"

namespace midwatch {

// Puts away sessions that are done with: settled ones, stopped where they still
// run, and idle ones that lost to another. Beside the attempts and only with
// best effort: the errand that each settle leaves behind is completed where it
// came off, and due for any worker where it did not.
class Archiver {
 public:
  // Both outlive it.
  Archiver(Executor& executor, SchedulerClient& scheduler)
      : executor_(executor), scheduler_(scheduler) {}

  // Returns at once; without effect for a session that is under way. `client`
  // is that of `account`, and outlives the archiver.
  void Archive(AgentsClient& client, std::string account,
               std::string session_id);

  // No further tries, so that pending() soon is 0.
  void Drain() { draining_ = true; }
  int pending() const {
    return static_cast<int>(under_way_.size()) + (telling_ ? 1 : 0);
  }

 private:
  using Key = std::pair<std::string, std::string>;  // account, session

  static Async<void> Run(Archiver& self, AgentsClient& client, Key key);
  // Tells the scheduler of those that are done, many at once.
  static Async<void> Tell(Archiver& self);

  Executor& executor_;
  SchedulerClient& scheduler_;
  std::set<Key> under_way_;
  std::map<std::string, std::vector<v1::DoneErrand>> done_;  // by account
  bool telling_ = false;
  bool draining_ = false;
};

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_ARCHIVER_H_
