// What the store holds, as its readers see it. Ids are row numbers (the outside
// sees ULIDs made of them, base/external_id.h); money is in micro-dollars.
#ifndef MIDWATCH_STORE_RECORDS_H_
#define MIDWATCH_STORE_RECORDS_H_

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "midwatch/v1/account_service.pb.h"
#include "midwatch/v1/batch_service.pb.h"
#include "midwatch/v1/budget_service.pb.h"
#include "midwatch/v1/queue_service.pb.h"
#include "midwatch/v1/schedule_service.pb.h"
#include "midwatch/v1/task.pb.h"
#include "midwatch/v1/worker_service.pb.h"

namespace midwatch {

// A row with the time at which it was made, which its external id carries: a
// number from another database, or a guess, matches no row.
struct RowKey {
  int64_t row = 0;
  int64_t unix_millis = 0;

  friend bool operator==(const RowKey&, const RowKey&) = default;
};

// A worker's right to write to one attempt. See v1::LeaseToken.
struct LeaseKey {
  int64_t worker = 0;
  int64_t task = 0;
  int32_t attempt = 0;
  int64_t epoch = 0;

  friend auto operator<=>(const LeaseKey&, const LeaseKey&) = default;
};

// By key; see v1::TaskLine.labels.
using Labels = std::map<std::string, std::string>;
// Of a task.
inline constexpr size_t kTaskLabelsMax = 16;

// How many tasks stand in each state, indexed by v1::TaskState.
using StateCounts = std::array<int64_t, 10>;

inline constexpr char kCostExhausted[] =
    "cost_exhausted: too little of its max_cost is left";
inline constexpr char kAwaitsCost[] = "; tried again once its cost is known";
// Between looks for a cost that the service does not name yet.
inline constexpr absl::Duration kCostLookEvery = absl::Minutes(10);

// Whether what `charged` leaves of a task's max_cost is enough for an attempt:
// a tenth of it at least.
inline bool IsEnoughLeft(int64_t max_cost, int64_t charged) {
  return max_cost - charged > 0 && max_cost - charged >= max_cost / 10;
}

// Whether tasks may start on an account; see v1::Account.
struct AccountStanding {
  v1::AccountState state = v1::ACCOUNT_STATE_OPEN;
  std::string why;
  absl::Time since = absl::InfinitePast();
  absl::Time until = absl::InfiniteFuture();
  absl::Time next_probe = absl::InfiniteFuture();
  absl::Duration probe_every = absl::InfiniteDuration();
  // Templates of the tasks that were last refused for their specs, in a row.
  std::vector<int64_t> bad_templates;

  friend bool operator==(const AccountStanding&,
                         const AccountStanding&) = default;
};

// How tasks of a kind will go, by how some went that succeeded (see
// store/prediction.h). Without samples it says nothing.
struct Forecast {
  int32_t samples = 0;
  int64_t cost_p50 = 0, cost_p90 = 0;  // of one attempt
  absl::Duration time_p50, time_p90;

  friend bool operator==(const Forecast&, const Forecast&) = default;
};

// Of attempts that succeeded with a forecast made at their grant: how many
// ended within it. Of a good forecast half are within p50, nine of ten within
// p90.
struct Calibration {
  int64_t foretold = 0;
  int64_t cost_in_p50 = 0, cost_in_p90 = 0;
  int64_t time_in_p50 = 0, time_in_p90 = 0;
};

struct AccountRecord {
  std::string name;
  AccountStanding standing;
  int32_t max_running = 0;  // 0: no cap
  int64_t running = 0;
};

// See v1::Pause.
struct PauseRecord {
  std::string why;
  absl::Time since;
  absl::Time until = absl::InfiniteFuture();

  friend bool operator==(const PauseRecord&, const PauseRecord&) = default;
};

// See v1::Canary. Parts are in millionths.
struct CanaryRule {
  int64_t tasks = 0;  // 0: none
  int64_t min_success = 1'000'000;
  int64_t max_cost = 0;  // 0: no limit

  friend bool operator==(const CanaryRule&, const CanaryRule&) = default;
};

// See v1::StopRule.
struct StopRule {
  int64_t failed = 0;        // 0: no such rule
  int64_t failed_ratio = 0;  // likewise; in millionths
  int64_t after = 0;

  friend bool operator==(const StopRule&, const StopRule&) = default;
};

// See v1::CanaryState.
struct CanaryRecord {
  CanaryRule rule;
  v1::CanaryVerdict verdict = v1::CANARY_VERDICT_UNSPECIFIED;
  int64_t tasks = 0, succeeded = 0, failed = 0, left_out = 0;
  int64_t charged = 0;
  std::string why;
};

// See v1::StopState.
struct StopRecord {
  StopRule rule;
  int64_t failed = 0, ended = 0;
  bool stopped = false;
};

// See v1::Queue.
struct QueueRecord {
  std::string name;
  int32_t weight = 1;
  int32_t max_running = 0;
  StateCounts counts{};
  bool more_queued = false;
  int64_t waiting_lanes = 0;
  std::optional<PauseRecord> pause;
};

// See v1::Tenant.
// A concurrency key with a cap of its own.
struct KeyRecord {
  std::string key;
  int32_t max_running = 1;
  int64_t running = 0;
};

struct TenantRecord {
  std::string name;
  int32_t weight = 1;
  int32_t max_running = 0;
  int64_t running = 0;
};

// See v1::HookDelivery.
struct HookRecord {
  v1::HookEvent event{};
  std::string url;
  v1::HookState state{};
  int32_t tries = 0;
  absl::Time at = absl::InfiniteFuture();
  absl::Time due = absl::InfiniteFuture();
  absl::Time ended_at = absl::InfiniteFuture();
  std::string why;
};

// What is to be told now.
struct DueHook {
  int64_t id = 0;
  RowKey batch;
  std::optional<RowKey> task;  // that failed
  std::string url, secret;
  int32_t tries = 0;  // so far
  v1::HookNews news;  // without ids
};

struct BatchRecord {
  RowKey key;
  std::string name, tenant, queue, account, request_id, content_sha256;
  v1::BatchState state = v1::BATCH_STATE_UNSPECIFIED;
  absl::Time at, ended_at = absl::InfiniteFuture();
  absl::Time deadline = absl::InfiniteFuture();  // infinite: none
  StateCounts counts{};
  int64_t lines = 0;
  int64_t charged = 0, reserved = 0, over = 0;
  std::optional<int64_t> budget;  // the limit of its total budget
  AccountStanding account_standing;
  Forecast forecast;  // of each of its tasks
  Calibration calibration;
  bool waits_for_budget = false;  // tasks of it are ready and find no room
  int32_t max_running = 0;
  std::optional<PauseRecord> pause, queue_pause;
  v1::CapScope full_cap = v1::CAP_SCOPE_UNSPECIFIED;
  std::optional<CanaryRecord> canary;
  std::optional<StopRecord> stop;
  std::vector<HookRecord> hooks;  // only from GetBatch
  std::optional<v1::Risk> risk;
};

struct AttemptRecord {
  int32_t number = 0;
  std::string session_id;
  absl::Time granted_at, ended_at = absl::InfiniteFuture();
  int64_t reserved = 0, charged = 0;
  v1::FailureClass failure_class = v1::FAILURE_CLASS_UNSPECIFIED;
  bool cost_unknown = false;  // so it was charged its reservation
  std::string ending;         // one line
  int64_t grant_seq = 0;
};

struct TaskRecord {
  RowKey key;
  std::optional<RowKey> batch;
  int64_t line = -1;  // in its batch
  std::string name, queue;
  Labels labels;
  v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;
  absl::Time at;
  absl::Time first_granted_at = absl::InfiniteFuture();
  absl::Time ended_at = absl::InfiniteFuture();
  absl::Time not_before = absl::InfinitePast();
  absl::Time expires_at = absl::InfiniteFuture();
  absl::Time deadline = absl::InfiniteFuture();  // infinite: none
  int32_t priority = 0;
  std::string unique_key;
  int32_t attempts = 0, failures = 0;
  int64_t charged = 0, reserved = 0, max_cost = 0;
  v1::FailureClass failure_class = v1::FAILURE_CLASS_UNSPECIFIED;
  std::string reason;
  std::optional<RowKey> retry_of;
  std::string session_id;
  // Of the last attempt that left something: final message and outputs.
  v1::Ending ending;
  Forecast forecast;
  std::vector<v1::Question> questions;  // while it waits
  absl::Time answer_by = absl::InfiniteFuture();
  // While it is blocked: names of tasks, ten at most, and whether there are
  // others.
  std::vector<std::string> waits_for;
  bool waits_for_others = false;
  std::vector<AttemptRecord> attempt_list;  // only from GetTask
};

enum class JournalKind {
  kBatchOpened = 1,
  kTasksAdded = 2,  // `line` .. of one chunk; no task
  kBatchSealed = 3,
  kSubmitted = 4,  // a task alone
  kGranted = 5,
  kAdopted = 6,
  kSessionRecorded = 7,
  kSessionCleared = 8,
  kStarted = 9,  // the first message was seen
  kHandedBack = 10,
  kFreed = 11,  // the worker's term lapsed
  kRetry = 12,  // an attempt ended, another will follow
  kSettled = 13,
  kCancelAsked = 14,
  kCancelled = 15,  // without a settle: it had no session
  kBatchCancelAsked = 16,
  kBatchDone = 17,
  kSaid = 18,
  kBudgetSet = 19,
  kBudgetDeleted = 20,
  kParked = 21,
  kAnswered = 22,    // one question
  kUnanswered = 23,  // in time
  kAccountShut = 24,
  kAccountOpened = 25,
  kHeld = 26,      // the attempt keeps its session until its account opens
  kAdjusted = 27,  // a settled attempt cost something else
  kSwept = 28,     // sessions that nobody remembered were found
  kPaused = 29,    // a batch or a queue
  kResumed = 30,
  kControlSet = 31,   // a weight or a cap
  kScheduleSet = 32,  // made, changed, paused or resumed
  kScheduleDeleted = 33,
  kFired = 34,      // a schedule's batch is submitted
  kNotFired = 35,   // a time of a schedule passed without one
  kUnblocked = 36,  // all that the task needs is done
  kSkipped = 37,    // what it needs did not succeed, or its key was held
  kCanaryPassed = 40,
  kCanaryFailed = 41,
  kStopped = 42,       // a batch, by its stop rule
  kTaskChanged = 45,   // by a client, while it waited
  kExpired = 46,       // its first attempt was not granted in time
  kBatchRetried = 47,  // opened with what did not succeed of another
  kHookDue = 50,       // what happened is to be told
  kHookDelivered = 51,
  kHookGivenUp = 52,
  kAtRisk = 56,        // a batch's forecast crosses its budget or its deadline
  kBatchDeleted = 60,  // its tasks and the rest of its journal are gone, or go
  kTasksDeleted = 61,  // single tasks of one queue, with their journal
};

// One state change, and the money it moved. `seq` rises by one with each, and
// those of what is deleted are left out: what they moved is summed up in the
// row of their batch's end, or of single tasks in that of their deletion.
struct JournalRecord {
  int64_t seq = 0;
  absl::Time at;
  JournalKind kind{};
  std::optional<RowKey> task;
  std::string task_name;
  int64_t batch = 0;
  // Only from ListMoney.
  std::optional<RowKey> batch_key;
  std::string tenant, queue;
  int32_t attempt = 0;
  v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;
  int64_t who = 0;  // the worker; 0 where it was none's doing
  int64_t reserve_delta = 0, charge_delta = 0, over_delta = 0;
  v1::FailureClass failure_class = v1::FAILURE_CLASS_UNSPECIFIED;
  std::string why;
};

// A batch that is done, or a single task that is final, as retention looks at
// it.
struct Ended {
  RowKey key;
  int64_t queue = 0;  // the same number for those of one queue
  absl::Time ended_at;

  friend bool operator==(const Ended&, const Ended&) = default;
};

// A budget of a tenant, a queue or a batch; see v1::Budget. Balances are those
// of the window that was asked for.
struct BudgetRecord {
  int64_t id = 0;
  v1::BudgetScope scope = v1::BUDGET_SCOPE_UNSPECIFIED;
  std::string name;             // of a tenant or a queue
  std::optional<RowKey> batch;  // of a batch
  v1::BudgetWindow window = v1::BUDGET_WINDOW_UNSPECIFIED;
  std::string zone;
  int64_t limit = 0, charged = 0, reserved = 0, over = 0;
  absl::Time window_start, window_end;
  bool tasks_wait = false;
};

// Everything a worker needs to run an attempt, or to go on with it.
struct GrantRecord {
  LeaseKey lease;
  RowKey task;
  int64_t batch = 0;
  std::string account, name;
  v1::TaskSpec spec;  // parameters not filled in
  v1::TaskLine line;
  std::string session_id;
  v1::AttemptPhase phase = v1::ATTEMPT_PHASE_GRANTED;
  int64_t budget = 0;  // of its session: what is reserved, less for overshoot
  absl::Time granted_at;
  // Names the attempt's events: the journal's number of its first grant.
  int64_t grant_seq = 0;
  std::vector<v1::Say> outbox;
  bool cancelling = false;
  int32_t create_tries = 0;
  absl::Duration parked;
  bool unanswered = false;
  bool probe = false;  // of an account that is not open
};

// What became of one time of a schedule; see v1::Firing.
struct FiringRecord {
  int64_t id = 0;
  std::string key;  // unique in its schedule
  absl::Time due, at;
  v1::FiringState state = v1::FIRING_STATE_UNSPECIFIED;
  bool by_hand = false;
  std::optional<RowKey> batch;
  std::string batch_name, why;
  int64_t revision = 0;  // of the content that it submits
};

struct ScheduleRecord {
  RowKey key;
  std::string name;
  v1::Timing timing;
  std::string tenant, queue, account, content_sha256;
  int64_t lines = 0;
  bool paused = false;
  std::string pause_reason;
  absl::Time pause_until = absl::InfiniteFuture();
  absl::Time at, changed_at;
  absl::Time since;                   // see FiringView
  std::vector<FiringRecord> firings;  // newest first
};

// What a session's metadata says of it; nothing of it is believed.
struct SessionClaim {
  std::string session, cluster;
  std::optional<RowKey> task;  // unset: not an id of this queue's
  int32_t attempt = 0;
  std::string nonce;
};

// What the store knows of a claim.
struct SessionFacts {
  std::string cluster;        // as the session says
  bool recorded = false;      // it is that attempt's session
  bool attempt_live = false;  // that attempt is on
  // It has no session yet, and looks for one that was created with its message.
  bool awaited = false;
  // When its create was begun; unset where none was with that nonce, or its
  // session is recorded.
  std::optional<absl::Time> begun_at;
};

// A live attempt, as a scheduler that starts finds it.
struct LiveRecord {
  LeaseKey lease;  // worker 0: free to be adopted
  RowKey task;
  int64_t batch = 0;
  std::string account;
  int64_t grant_seq = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_STORE_RECORDS_H_
