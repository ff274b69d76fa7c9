// A whole cluster on one virtual clock and one seed: the real scheduler on a
// real SQLite store whose disk forgets and fails, real workers, and a scripted
// Managed Agents service. Nodes crash, stand still, drain and come back; the
// same seed gives the same run.
#ifndef MIDWATCH_TESTS_SIM_SIM_WORLD_H_
#define MIDWATCH_TESTS_SIM_SIM_WORLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "artifacts/directory_store.h"
#include "base/blocking_pool.h"
#include "base/random.h"
#include "base/sha256.h"
#include "scheduler/scheduler.h"
#include "store/queue_reader.h"
#include "store/sqlite_store.h"
#include "tests/sim/checks.h"
#include "tests/sim/counts.h"
#include "tests/sim/flaky_client.h"
#include "tests/sim/hook_endpoint.h"
#include "tests/sim/output_looker.h"
#include "tests/sim/sim_disk.h"
#include "tests/sim/story.h"
#include "tests/testing/fake_agents_service.h"
#include "tests/testing/fake_agents_transport.h"
#include "tests/testing/fake_executor.h"
#include "tests/testing/temp_dir.h"
#include "worker/worker.h"

namespace midwatch::sim {

// One life of a scheduler process.
struct SchedulerLife {
  testing::FakeExecutor* executor = nullptr;
  std::unique_ptr<HttpTransport> hooks;
  std::unique_ptr<SqliteStore> store;
  std::unique_ptr<Scheduler> scheduler;
};

// One life of a worker process.
struct WorkerLife {
  testing::FakeExecutor* executor = nullptr;
  std::unique_ptr<testing::FakeAgentsTransport> transport;
  std::unique_ptr<AgentsClient> client;
  std::unique_ptr<SchedulerClient> scheduler;
  std::unique_ptr<ArtifactStore> artifacts;
  std::unique_ptr<OutputCheck> looker;
  std::unique_ptr<Worker> worker;
};

enum class Death { kKilled, kPowerLoss };

// What a batch is, beside its tasks.
struct BatchPlan {
  int tasks = 1;
  int64_t budget = 0;  // micro-dollars; 0: none
  v1::StartMode start = v1::START_MODE_UNSPECIFIED;
  absl::Duration answer_within;   // zero: as the spec's default
  std::vector<TaskNeeds> needs;   // by line, or empty: none
  std::vector<TaskStart> starts;  // likewise
  Story rules;                    // of which only the rules
  bool hooks = false;             // on_finish, on_failure and on_risk
  absl::Duration deadline;        // zero: none
  int max_running = 0;            // 0: no cap
  // Another one, for another batch in the same world.
  std::string request_id = "sim-batch";
};

class World {
 public:
  explicit World(uint64_t seed,
                 testing::FakeAgentsOptions service_options = {});
  ~World();

  // False where it died while it began, as of a disk that fails.
  bool StartScheduler();
  void KillScheduler(Death death = Death::kKilled);
  // Kills it between two tasks, so many from now on.
  void KillSchedulerSoon(int tasks, Death death);
  // Nor at the next writes, where it was to.
  void LetSchedulerLive();
  bool scheduler_up() const { return scheduler_ != nullptr; }
  // How many have begun: who asked an earlier one gets no answer.
  int scheduler_lives() const { return lives_; }
  void StartWorker(const std::string& name, int capacity);
  void KillWorker(const std::string& name);
  void KillWorkerSoon(const std::string& name, int tasks);
  void StallWorker(const std::string& name, bool stalled);
  // Between the worker and the scheduler: while it is cut, what the worker says
  // waits on the way, and arrives when it no longer is.
  void CutWorker(const std::string& name, bool cut);
  // As SIGTERM: it hands back what it holds, and goes.
  void DrainWorker(const std::string& name);
  bool worker_up(const std::string& name) const {
    return workers_.contains(name);
  }
  // A machine's clocks; machines outlive the processes on them.
  testing::FakeClock& ClockOf(const std::string& machine);

  // Submits a sealed batch and waits until it is acknowledged.
  void SubmitBatch(const BatchPlan& plan);
  // Begins to submit it as a client does that expects no good: it repeats each
  // step until it is acknowledged, and some that were.
  void BeginSubmit(const BatchPlan& plan, int lines_a_step);
  // Once every second or so: says the next step, where a scheduler is up.
  void GoOnSubmitting();
  bool submitted() const { return !steps_.empty() && step_ == steps_.size(); }
  // In total. Of the tenant or the queue before tasks are submitted. False
  // where nobody could be asked, or nobody answered: ask again.
  bool SetBudget(v1::BudgetScope scope, int64_t limit);
  bool DeleteBudget(v1::BudgetScope scope);
  // Each question of a parked task, whosever it is, is answered with this
  // likelihood.
  void AnswerSome(double likelihood);
  // Opens the account that refused; false where nobody could be asked.
  bool OpenAccount();
  // Pause the queue or else the batch, for so long or until it is resumed, and
  // resume it; and cap one of them, or their tenant or account. False where
  // nobody could be asked, or nobody answered: ask again.
  bool Pause(bool queue, absl::Duration lasts);
  bool Resume(bool queue);
  bool SetCap(v1::CapScope of, int cap);
  // Cancels one unfinished task, by the dice.
  void CancelOne();
  // Sessions that are not this queue's: nobody's, another cluster's, and one
  // that claims to be ours with a nonce that nobody made.
  void MakeStrangers();

  // What a spec expects of the agent, by the above.
  void SetExpectation(v1::TaskSpec& spec) const;

  // What other users ask for. Only while a scheduler is up.
  Scheduler& scheduler() { return *scheduler_->scheduler; }
  uint16_t cluster() const { return scheduler_->store->cluster(); }
  // Where the workers' artifacts are.
  std::string artifacts_dir() const { return dir_ / "artifacts"; }

  // What the store holds now. Only while a scheduler is up.
  SqliteReader& reader() { return *reader_; }
  BatchRecord Batch();  // the newest
  // How tasks of its kind went.
  KindRecord Kind();
  bool Done();  // or deleted since
  std::vector<TaskRecord> Tasks();
  std::vector<JournalRecord> Journal();

  // What must hold at the end of a night whose `tasks` are all final.
  // Afterwards what deleted ones had left beside the queue is swept, and the
  // rest must be there.
  void CheckAtEnd(int64_t tasks);
  // Forgets the transcripts of what is deleted, as a scheduler's process does
  // each hour.
  void DropDeletedEvents();

  // A line of the night's story; log lines come here by themselves.
  void Trace(absl::string_view line);
  // Gets each line with its time.
  std::function<void(absl::Duration, absl::string_view)> on_trace;
  // Of all that was traced, the journal, and the service's sessions.
  std::string TraceHash();

  // What workers say that the service allows.
  std::vector<v1::AccountLimits> limits;
  Flakiness flakiness;
  // Of schedulers that are started: they send hooks, and delete by rules.
  bool sends_hooks = false;
  // Specs that are submitted say what is checked of outputs, and workers have
  // the command for it.
  bool checks_outputs = false;
  RetentionRules retention, single_retention;

  testing::VirtualTime time;
  SeededRandom random;
  Counts counts;
  HookEndpoint hook_endpoint{random, counts};

 private:
  Sha256 trace_;
  std::map<std::string, std::unique_ptr<testing::FakeClock>> clocks_;
  // Ended nodes' executors stay: what was sent to them still arrives there,
  // and is dropped.
  std::vector<std::unique_ptr<testing::FakeExecutor>> executors_;

 public:
  std::unique_ptr<testing::FakeAgentsService> service;
  SimDisk disk{random};
  Checks checks;

 private:
  testing::FakeExecutor& NewExecutor();
  void PostToScheduler(const std::string& worker,
                       absl::AnyInvocable<void(Scheduler&)> call);
  void AfterTask();
  bool OpenViews();
  // "" where there is none yet. Only while a scheduler is up.
  std::string BatchId();
  v1::BudgetKey BudgetKeyOf(v1::BudgetScope scope);
  void SayStep();
  void SweepFiles();

  std::unique_ptr<testing::FakeAgentsService> MakeService(
      testing::FakeAgentsOptions options);

  testing::TempDir dir_{testing::TempDir::InMemory()};
  InlineBlockingPool pool_;
  std::unique_ptr<SchedulerLife> scheduler_;
  std::unique_ptr<SqliteReader> reader_;
  std::map<std::string, std::unique_ptr<WorkerLife>> workers_;
  // By worker: what waits where its link is cut.
  std::map<std::string, std::vector<absl::AnyInvocable<void(Scheduler&)>>> cut_;
  // Deaths that are due in so many tasks.
  struct Doom {
    int tasks = 0;
    Death death = Death::kKilled;
  };
  std::optional<Doom> scheduler_doom_;
  std::map<std::string, int> worker_doom_;
  int64_t checked_syncs_ = 0;
  int lives_ = 0;
  // As it was read after so many syncs, which every commit makes.
  std::optional<BatchRecord> batch_;
  int64_t batch_syncs_ = 0;
  std::vector<v1::SubmitBatchRequest> steps_;
  size_t step_ = 0;
  int64_t acknowledged_lines_ = 0;
  bool step_under_way_ = false;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_SIM_WORLD_H_
