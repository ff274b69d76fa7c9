// What the start of a task depends on, as the store knows it at one moment:
// from which scheduler/why.h tells the one thing that the task waits for. And
// how tasks of a kind went, from which plans are made.
#ifndef MIDWATCH_STORE_TASK_STANDING_H_
#define MIDWATCH_STORE_TASK_STANDING_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "store/prediction.h"
#include "store/records.h"

namespace midwatch {

// How many of something one reading counts; where there are more, it says so.
inline constexpr int kStandingCountMax = 10'000;

// How many may run at once in one of a task's scopes. Those without a cap are
// left out.
struct StandingCap {
  v1::CapScope scope = v1::CAP_SCOPE_UNSPECIFIED;
  std::string name;
  int64_t running = 0, max = 0;
};

// A budget that binds the task, in the window that is on.
struct StandingBudget {
  v1::BudgetScope scope = v1::BUDGET_SCOPE_UNSPECIFIED;
  std::string name;
  v1::BudgetWindow window = v1::BUDGET_WINDOW_UNSPECIFIED;
  int64_t limit = 0, charged = 0, reserved = 0;
  absl::Time window_end = absl::InfiniteFuture();
};

struct TaskStanding {
  TaskRecord task;  // as GetTask has it
  std::string tenant, account, batch_name;
  v1::BatchState batch_state = v1::BATCH_STATE_UNSPECIFIED;  // of none: unset

  // While an attempt is on.
  std::string worker;  // who holds it, as it describes itself; "": nobody
  bool held = false;   // keeps its session until its account opens
  absl::Time granted_at = absl::InfinitePast();

  // While it is queued. Without a place it waits for the end of a delay.
  bool ready = false;
  AccountStanding account_standing;
  std::optional<PauseRecord> queue_pause, batch_pause;
  // Of its batch's canary, where that has no verdict yet and the task is not of
  // it: how many tasks it has, 0 for none, and how many of these are over.
  int64_t canary_tasks = 0, canary_over = 0;
  std::vector<StandingCap> caps;
  std::vector<StandingBudget> budgets;
  // What the first task of its lane sets aside: others of the lane start only
  // behind it. And whether that is the task itself.
  int64_t lane_wants = 0;
  bool is_first = false;
  std::string concurrency_key;
  int64_t key_max = 1;  // so many of its key may be on at once
  // A task of the same key that is on, where no more may be; "": none.
  std::string key_holder;
  // Ready tasks of its tenant's queue, on its account, that go before it.
  int64_t before = 0;
  bool more_before = false;
  // Other queues of tenants with something to start on the account; 64 at most.
  int64_t other_queues = 0;
};

// How tasks of a kind went that succeeded.
struct KindRecord {
  Forecast forecast;
  std::vector<Sample> samples;  // kSamplesMax at most
  int64_t dearest = 0;          // model request of one, micro-dollars
};

}  // namespace midwatch

#endif  // MIDWATCH_STORE_TASK_STANDING_H_
