// Plays a batch on a virtual clock before it is submitted: when its tasks
// start and end, what they cost, which limit binds when, and what would not
// run.
//
// It decides with the scheduler's own lines: DecideAdmission says who starts,
// RateBucket when a request may be sent. A task is played as an attempt goes
// that succeeds at once: what its start takes of the service's requests
// (create, opening of the stream, first message), as long as a task of its kind
// took before, then what its outputs take. Archives take spare slots, so nobody
// waits for them. What it cannot know it leaves out: failures and what follows
// them, questions to people, and other batches beside this one.
//
// Pure: no I/O, no clock. The same input gives the same plan.
#ifndef MIDWATCH_SCHEDULER_PLAN_H_
#define MIDWATCH_SCHEDULER_PLAN_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "midwatch/v1/batch_service.pb.h"
#include "scheduler/plan_series.h"
#include "scheduler/rate_bucket.h"
#include "store/batch_rules.h"
#include "store/prediction.h"

namespace midwatch {

// More are not planned: a task takes about 200 bytes meanwhile.
inline constexpr int64_t kPlannedTasksMax = 1'000'000;

// Tasks that go alike.
struct PlanKind {
  // How some of them went: at least one.
  std::vector<Sample> samples;
  bool assumed = false;  // nobody has seen one: the one sample is a guess
  // The guess is that each costs all that it may, whatever the sample says.
  bool costs_all = false;
  int64_t dearest = 0;  // see ReadyTask::overshoot
  int expected_files = 0;
};

struct PlanTask {
  int32_t kind = 0;
  int32_t key = -1;            // see PlanInput::key_max; -1: no such rule
  int32_t new_inputs = 0;      // files to be uploaded before it starts
  bool needs_all = false;      // every task before it
  std::vector<int32_t> needs;  // tasks before it
  // It does not start sooner, from the start of the plan on.
  absl::Duration not_before = absl::ZeroDuration();
  // In place of PlanInput's.
  std::optional<int64_t> max_cost;
  std::optional<int> priority;
};

struct PlanCap {
  std::string of;  // "queue nightly"
  int64_t max = 0;
};

struct PlanBudget {
  std::string of;  // "batch nightly"
  int64_t room = 0;
  // Then, and again with each window, it has `limit`.
  absl::Duration renews_in = absl::InfiniteDuration();
  absl::Duration every = absl::Hours(24);
  int64_t limit = 0;
};

// Of each class of requests; unset: without limit. Writes without a limit of
// their own share that of creates, as in the scheduler.
struct PlanRates {
  std::optional<RateLimit> create, write, read, files;
};

struct PlanInput {
  std::vector<PlanKind> kinds;
  std::vector<PlanTask> tasks;  // in the order in which they are submitted
  absl::Time start;
  absl::Duration held_for;  // nothing starts before: a pause
  CanaryRule canary;        // of no tasks: there is none
  // Of each task that has none of its own.
  int64_t max_cost = 0;
  int priority = 5;
  absl::Duration deadline = absl::InfiniteDuration();  // from the start
  int jobs = 1;                                        // places at the workers
  std::vector<PlanCap> caps;
  // Of the tasks of each key so many run at once; of keys past its end, one.
  std::vector<int64_t> key_max;
  std::vector<PlanBudget> budgets;
  PlanRates rates;
  bool one_call = false;
  // After how long a stream has to be opened again.
  absl::Duration stream_age = absl::InfiniteDuration();
};

struct PlannedTask {
  // From the start of the plan; infinite where it does not run.
  absl::Duration start = absl::InfiniteDuration();
  absl::Duration end = absl::InfiniteDuration();
  int64_t cost = 0;
};

struct PlanRequests {
  int64_t create = 0, write = 0, read = 0, files = 0;
};

// One night, played.
struct PlannedNight {
  std::vector<PlannedTask> tasks;
  int64_t run = 0;        // tasks that run
  int64_t late = 0;       // of these, that end after the deadline
  absl::Duration end;     // of the last one
  int64_t cost = 0;       // of all together
  int peak = 0;           // most at once
  PlanRequests requests;  // archives included
  // Tasks that find no room in a budget, the first such, and those that need
  // one which does not run.
  int64_t without_room = 0, without_needs = 0;
  // And those that wait behind a canary which costs more than it may.
  int64_t without_canary = 0;
  std::string budget_without_room;
  int64_t reserve_without_room = 0;  // what the first of them sets aside
  PlanSeries series;
};

struct Plan {
  // As tasks of their kinds went. Of several nights, with other tasks the long
  // ones in each, the one in the middle; of many tasks there is one only.
  PlannedNight typical;
  // The same where the kinds' means are as high as one time in ten, by how much
  // their samples differ and how few they are. One of p90, roughly; of several
  // kinds a little more.
  PlannedNight slow;
};

// What a task of `input` may cost.
int64_t MaxCostOf(const PlanInput& input, const PlanTask& task);
// Whether that is the same for all.
bool HasOneMaxCost(const PlanInput& input);

Plan PlanBatch(const PlanInput& input);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_PLAN_H_
