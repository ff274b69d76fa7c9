// What an account calls the agents, environments and files that Midwatch makes
// there: each made once per account and content.
#ifndef MIDWATCH_WORKER_REMOTE_IDS_H_
#define MIDWATCH_WORKER_REMOTE_IDS_H_

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/coro.h"
#include "base/executor.h"
#include "worker/scheduler_client.h"

namespace midwatch {

// The names under which the scheduler keeps them.
std::string AgentKey(const std::string& definition_json);
std::string EnvironmentKey(const std::string& definition_json);
std::string FileKey(const std::string& sha256);
// Of the version that all attempts of a scope run.
std::string VersionKey(const std::string& pin_scope,
                       const std::string& agent_id);

// Used on one executor's thread.
class RemoteIds {
 public:
  // Makes the thing at the account and returns its id there.
  using Make = absl::AnyInvocable<Async<absl::StatusOr<std::string>>()>;

  // Ids kept in memory; past it, the scheduler is asked again.
  static constexpr size_t kKnownMax = 50'000;

  // Both outlive it.
  RemoteIds(Executor& executor, SchedulerClient& scheduler)
      : executor_(executor), scheduler_(scheduler) {}

  // The id of `key` at `account`: known, or the scheduler's, or made now.
  // Callers that come while it is being found wait for the first one's result,
  // so that many tasks that start together make one agent. Failures are those
  // of the scheduler and of `make`, and are not remembered.
  Async<absl::StatusOr<std::string>> Ensure(std::string account,
                                            std::string key, Make make);

  // The service no longer knows `id`: the next Ensure makes another.
  void Forget(const std::string& account, const std::string& key,
              const std::string& id);

 private:
  using Key = std::pair<std::string, std::string>;  // account, key
  using Result = absl::StatusOr<std::string>;
  using Waiter = absl::AnyInvocable<void(Result)>;

  Async<Result> Find(const Key& key, Make make);

  Executor& executor_;
  SchedulerClient& scheduler_;
  std::map<Key, std::string> known_;
  std::map<Key, std::string> gone_;
  // Being found, and who waits for it.
  std::map<Key, std::vector<Waiter>> finding_;
};

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_REMOTE_IDS_H_
