// Runs attempts: takes grants from the scheduler, brings each session to a
// verdict, stores its events and outputs on the way, and settles it.
#ifndef MIDWATCH_WORKER_WORKER_H_
#define MIDWATCH_WORKER_WORKER_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "agents/agents_client.h"
#include "artifacts/artifact_store.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/prices.h"
#include "base/random.h"
#include "worker/output_check.h"
#include "worker/scheduler_client.h"
#include "worker/tool_handler.h"

namespace midwatch {

struct WorkerOptions {
  // For people: host name and process id.
  std::string description;
  // How many attempts run at once.
  int capacity = 32;
  // What the services of its accounts allow; one without is not limited.
  std::vector<v1::AccountLimits> limits;
  // What models cost, to tell what a session has cost so far.
  PriceTable prices = BuiltInPrices();
};

// Everything outlives the worker. `accounts` maps an account's name to its
// client; at least one.
struct WorkerParts {
  Executor& executor;
  const Clock& clock;
  Random& random;
  SchedulerClient& scheduler;
  ArtifactStore& artifacts;
  std::map<std::string, AgentsClient*> accounts;
  // Of custom tools, by name: what has none is put to a person.
  ToolHandlers tools = {};
  // What `expect.check` names: a task that names another fails.
  OutputChecks checks = {};
  // Where outputs are checked. Null: on the executor's thread.
  BlockingPool* pool = nullptr;
};

// Lives on one executor; all calls on its thread. Destroying it drops every
// attempt where it stands, as a crash would: their leases lapse and another
// worker adopts them. Destroy it only after its executor has stopped.
class Worker {
 public:
  Worker(WorkerParts parts, WorkerOptions options);
  ~Worker();

  // Registers (again and again until the scheduler answers) and serves.
  void Start();

  // Takes no more leases; stores what is read; hands every attempt back; then
  // calls `done`. Sessions go on at the service, for the next worker to adopt.
  void Drain(absl::AnyInvocable<void()> done);

  // Attempts held at this moment.
  int live_attempts() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_WORKER_H_
