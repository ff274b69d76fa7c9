// A night to be simulated: how much work, what it is like, and what goes wrong
// when. Made from a seed, readable, and made smaller by taking things out of
// it.
#ifndef MIDWATCH_TESTS_SIM_STORY_H_
#define MIDWATCH_TESTS_SIM_STORY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "midwatch/v1/batch_service.pb.h"
#include "midwatch/v1/budget_service.pb.h"
#include "midwatch/v1/schedule_service.pb.h"
#include "midwatch/v1/task.pb.h"

namespace midwatch::sim {

enum class FaultKind {
  // Of the scheduler and its machine.
  kSchedulerKill,
  kPowerLoss,
  kDiskFull,
  kDiskError,
  // Of a worker and its machine.
  kWorkerKill,
  kWorkerStall,
  kWorkerSleep,  // as a suspended machine: it stands still, its clocks do not
  kWorkerDrain,
  kLinkCut,
  // Of calls between workers and scheduler.
  kFlakyLinks,
  // Of clocks.
  kWallStep,
  // Of the service.
  kRateLimited,  // 429 with retry-after
  kSpendCap,     // 429 without, until somebody opens the account again
  kOverloaded,   // 529
  kServerError,  // 500
  kKeyRefused,   // 401
  kNoConnection,
  kLostRequests,
  kLostAnswers,
  kLateRequests,  // arrive when nobody waits for their answer any more
  kLateAnswers,
  kCutStreams,
  kDoubledEvents,
  // Of people, who change their minds again.
  kQueuePaused,
  kBatchPaused,
  kCapSet,
  kBudgetDeleted,
};

const char* NameOf(FaultKind kind);

struct Fault {
  FaultKind kind{};
  absl::Duration at, lasts;
  int worker = 0;
  // Of the calls or events that it can befall, how many it does.
  double likelihood = 1;
  // A death comes so many tasks after `at`, amid whatever is going on.
  int tasks = 0;
  absl::Duration by;  // of a clock
  int cap = 0;
  v1::CapScope of = v1::CAP_SCOPE_UNSPECIFIED;
  bool ends_itself = false;  // a pause, when its time is over
  v1::BudgetScope budget = v1::BUDGET_SCOPE_UNSPECIFIED;
  bool for_good = false;  // it is not set again
};

// What a task needs: others on earlier lines.
struct TaskNeeds {
  std::vector<int> lines;
  bool all = false;  // of them
  v1::NeedPolicy policy = v1::NEED_POLICY_SKIP;
};

// When a task may start, and the key that it holds.
struct TaskStart {
  absl::Duration delay, expires_after;  // zero: none
  int key = 0;                          // 0: none
};

// What other clients do meanwhile: small batches, of which some need others'
// tasks, are cancelled, tried again and deleted, as are the story's own batch
// and its tasks.
struct Sides {
  int batches = 0;  // 0: nobody does anything
  int cancels = 0, batch_retries = 0, task_retries = 0, deletes = 0;
  double deaths = 0;  // how many deletions the scheduler dies amid
  // What the scheduler deletes by itself; 0: nothing.
  int keep_newest = 0;
  absl::Duration keep_for;
  // Tasks that are submitted alone, of which some are cancelled and tried
  // again, and of those and of retries what the scheduler deletes by itself.
  int singles = 0, single_cancels = 0, single_retries = 0;
  int single_changes = 0;  // while they wait
  int keep_newest_singles = 0;
  absl::Duration keep_singles_for;
};

// A schedule, from the night's first seconds on.
struct Timetable {
  int every = 0;         // minutes; 0: there is none
  absl::Duration until;  // then somebody gives it another rhythm
  int lines = 1;         // of each of its batches
  int runs = 0;          // by hand
  absl::Duration jitter;
  v1::OverlapPolicy overlap = v1::OVERLAP_POLICY_SKIP;
  v1::MissedPolicy missed = v1::MISSED_POLICY_ONCE;
  double deaths = 0;  // at how many of its times the scheduler dies
  int pauses = 0;     // that people make, and end or let end
  int deletes = 0;    // after each of which it is made again
  bool goes = false;  // in the end it is deleted, too
};

struct Story {
  uint64_t seed = 0;
  int tasks = 1, workers = 1, capacity = 10;
  int lines_a_step = 10;  // of the submit
  bool budgets = false;
  bool one_call = false;
  // Requests a minute that the service allows for creates and writes together,
  // and that workers are told; 0: no limit. Reads and files are limited in the
  // hosted service's proportions, 300 to 1,200 to 500.
  int allowed = 0, told = 0;
  static int ReadsOf(int creates) { return 4 * creates; }
  static int FilesOf(int creates) { return 5 * creates / 3; }
  // How many turns do what.
  double asks = 0, own_faults = 0, overshoots = 0, flushes = 0, hides_cost = 0;
  // How many leave outputs that will not do; 0: nothing is checked but that
  // they are there.
  double bad_outputs = 0;
  int cancels = 0;
  double needs = 0;     // how many tasks need others
  bool merges = false;  // the last one needs all
  double waits = 0;     // how many are delayed, expire, or
                        // hold keys: of each so many
  // Of the batch: a canary of so many tasks (0: none), so many tenths of which
  // must succeed, for so many cents (0: whatever it costs); and after how many
  // failures it stops (0: none), or at how many tenths of `stop_after`.
  int canary = 0, canary_tenths = 10, canary_cents = 0;
  int stop_failed = 0, stop_tenths = 0, stop_after = 0;
  int max_failures = 0;     // of a task; 0: the default
  bool hooks = false;       // the batch has all of them
  double hook_trouble = 0;  // how many tries of them fail
  // The batch's own budget, in tenths of what its tasks cost at the mean,
  // beside room for a few reservations; and its deadline. 0: none.
  int budget_tenths = 0;
  absl::Duration deadline;
  Sides sides;
  Timetable timetable;
  absl::Duration turn_max, queued_max;  // of the dice for each turn
  // Quirks of the service: see FakeAgentsOptions.
  absl::Duration list_spread, status_lag;
  std::vector<Fault> faults;

  bool HasRules() const {
    return canary > 0 || stop_failed > 0 || stop_tenths > 0;
  }
  bool HasBudgetOf(v1::BudgetScope scope) const {
    return budgets || (scope == v1::BUDGET_SCOPE_BATCH && budget_tenths > 0);
  }
  // Since the beginning: nothing goes wrong any more.
  absl::Duration Calm() const;
};

// What each of the story's tasks needs; empty where none needs any.
std::vector<TaskNeeds> DrawNeeds(const Story& story);

// When each of them may start; empty where all may at once, for ever.
std::vector<TaskStart> DrawStarts(const Story& story);

// `tasks` of 0: as many as the seed wants.
Story MakeStory(uint64_t seed, int tasks = 0);

// A line for the work, and one for each fault.
std::string Describe(const Story& story);

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_STORY_H_
