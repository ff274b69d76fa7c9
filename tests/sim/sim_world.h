// A whole cluster on one virtual clock and one seed: the real scheduler on a
// real SQLite file, real workers, and a scripted Managed Agents service. Nodes
// crash, stand still and come back; the same seed gives the same run.
#ifndef MIDWATCH_TESTS_SIM_SIM_WORLD_H_
#define MIDWATCH_TESTS_SIM_SIM_WORLD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "artifacts/directory_store.h"
#include "base/blocking_pool.h"
#include "base/random.h"
#include "base/sha256.h"
#include "node/direct_scheduler_client.h"
#include "scheduler/scheduler.h"
#include "store/sqlite_store.h"
#include "tests/testing/fake_agents_service.h"
#include "tests/testing/fake_agents_transport.h"
#include "tests/testing/fake_executor.h"
#include "tests/testing/temp_dir.h"
#include "worker/worker.h"

namespace midwatch::sim {

// One life of a scheduler process.
struct SchedulerLife {
  std::unique_ptr<Store> store;
  std::unique_ptr<Scheduler> scheduler;
};

// One life of a worker process.
struct WorkerLife {
  std::unique_ptr<testing::FakeAgentsTransport> transport;
  std::unique_ptr<AgentsClient> client;
  std::unique_ptr<SchedulerClient> scheduler;
  std::unique_ptr<ArtifactStore> artifacts;
  std::unique_ptr<Worker> worker;
};

// What happened, so that no run passes because nothing did.
struct Counts {
  int scheduler_crashes = 0;
  int worker_crashes = 0;
  int stalls = 0;
  int lost_creates = 0;
  int lost_sends = 0;
  int late_sends = 0;
  int cuts = 0;
  int budget_waits = 0;  // seconds in which tasks waited for one
  int first_sends = 0;
  // Of workers' calls to the scheduler.
  int lost_answers = 0;
  int doubled_calls = 0;
};

class World {
 public:
  explicit World(uint64_t seed);
  ~World();

  void StartScheduler();
  void CrashScheduler();
  void StartWorker(const std::string& name, int capacity);
  void CrashWorker(const std::string& name);
  void StallWorker(const std::string& name, bool stalled);
  // Between the worker and the scheduler: while it is cut, what the worker says
  // waits on the way, and arrives when it no longer is.
  void CutWorker(const std::string& name, bool cut);

  // Submits a sealed batch of `tasks` tasks and waits until it is acknowledged.
  // `budget` in micro-dollars; 0: none.
  void SubmitBatch(int tasks, int64_t budget = 0,
                   v1::StartMode start = v1::START_MODE_UNSPECIFIED);
  // In total.
  void SetBudget(v1::BudgetScope scope, int64_t limit);
  // Each question of a parked task is answered with this likelihood.
  void AnswerSome(double likelihood);
  // The batch as the store holds it.
  BatchRecord Batch();
  std::vector<TaskRecord> Tasks();
  std::vector<JournalRecord> Journal();

  std::vector<BudgetRecord> Budgets();
  // How many sweeps found something.
  int Sweeps();

  // Invariants that hold at every moment. Reports with EXPECT.
  void CheckAlways();
  // Those that hold once the batch is done.
  void CheckAtEnd(int tasks);

  // How often a worker's call is carried out with its answer lost, and how
  // often it arrives a second time, up to a minute later.
  double lost_answers = 0;
  double doubled_calls = 0;

  // What workers say that the service allows.
  std::vector<v1::AccountLimits> limits;

  // Folds a line into the trace; log lines come here by themselves.
  void Trace(absl::string_view line);
  // Of all that was traced, the journal, and the service's sessions.
  std::string TraceHash();

  testing::VirtualTime time;
  testing::FakeClock clock{time};
  SeededRandom random;
  Counts counts;
  std::unique_ptr<testing::FakeAgentsService> service;

 private:
  testing::FakeExecutor& NewExecutor();
  void PostToScheduler(const std::string& worker,
                       absl::AnyInvocable<void(Scheduler&)> call);
  // No admission over a limit, which stay as they are, and what a budget holds.
  void CheckBudgets();
  // Every write stands on the one live lease of its task.
  void CheckJournal(const std::vector<JournalRecord>& journal);
  template <typename T>
  T Read(absl::AnyInvocable<absl::StatusOr<T>(StoreReader&)> work);

  testing::TempDir dir_{testing::TempDir::InMemory()};
  InlineBlockingPool pool_;
  // Crashed nodes' executors stay: what was sent to them still arrives there,
  // and is dropped.
  std::vector<std::unique_ptr<testing::FakeExecutor>> executors_;
  testing::FakeExecutor* scheduler_executor_ = nullptr;
  std::unique_ptr<SchedulerLife> scheduler_;
  std::map<std::string, testing::FakeExecutor*> worker_executors_;
  std::map<std::string, std::unique_ptr<WorkerLife>> workers_;
  // By worker: what waits where its link is cut.
  std::map<std::string, std::vector<absl::AnyInvocable<void(Scheduler&)>>> cut_;
  std::string request_id_;
  Sha256 trace_;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_SIM_WORLD_H_
