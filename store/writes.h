// Everything that changes the store. Each write is one transaction with its
// journal rows: it happens whole or not at all. Its Result is what the caller
// learns once it is durable.
//
// "Again" says what a repeated write does, since the answer to the first may
// have been lost.
#ifndef MIDWATCH_STORE_WRITES_H_
#define MIDWATCH_STORE_WRITES_H_

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/time/time.h"
#include "store/admission_view.h"
#include "store/firing_view.h"
#include "store/records.h"
#include "store/start_rules.h"

namespace midwatch {

struct Done {};

// Submission -----------------------------------------------------------------

// What of a need its line does not say.
struct NewNeed {
  std::optional<RowKey> task;  // of one by its task_id
  bool is_deleted = false;     // of a retry's: the task is there no more
  int mentions = 0;            // how often the prompt holds its task's message
};

// What a task has of its own.
struct NewTask {
  v1::TaskLine line;
  std::string concurrency_key;  // parameters filled in; "" for none
  int priority = 5;
  int64_t max_cost = 0;
  Labels labels;  // the spec's and its own
  // In place of the spec of its batch or its submit, where the line changes it.
  std::optional<v1::TaskSpec> own_spec;
  std::vector<NewNeed> needs;  // one for each of the line's
  StartRules start;
  UniqueRule unique;
  // Where not "": it is SKIPPED from the first on, and this is why.
  std::string skip_why;
};

// Where a result has needs_met, tasks that need others may be ready or are to
// end, or a hook is due: FireTimers is to be applied now.

struct BatchProgress {
  RowKey batch;
  v1::BatchState state = v1::BATCH_STATE_UNSPECIFIED;
  int64_t lines = 0;
  bool needs_met = false;
  absl::Time timer_at = absl::InfiniteFuture();  // the first that was set
};

// Again with equal content: the batch there is.
//   kAlreadyExists  the request_id came before with other content
struct OpenBatch {
  using Result = BatchProgress;
  std::string request_id, name, tenant, queue, account, content_sha256;
  v1::TaskSpec spec;
  int32_t max_running = 0;
  int64_t budget = 0;  // of the batch in total; 0: none
  std::optional<CanaryRule> canary;
  std::optional<StopRule> stop_when;
  v1::Hook on_finish, on_failure, on_risk;  // without a url: none
};

// Lines that are there already are skipped.
//   kNotFound            no batch with this request_id
//   kOutOfRange          a gap before first_line
//   kAlreadyExists       a name that the batch has
//   kInvalidArgument     a need that is no earlier line, or no task there is; a
//                        start_after too far ahead
//   kFailedPrecondition  new lines for a batch that is sealed or cancelled
struct AddTasks {
  using Result = BatchProgress;
  std::string request_id;
  int64_t first_line = 0;
  std::vector<NewTask> tasks;
};

// Again: OK.
//   kNotFound            no batch with this request_id
//   kFailedPrecondition  the batch has another number of lines
struct SealBatch {
  using Result = BatchProgress;
  std::string request_id;
  int64_t lines = 0;
};

struct TaskKey {
  RowKey task;
  bool needs_met = false;
  absl::Time timer_at = absl::InfiniteFuture();  // the first that was set
  // Nothing was submitted: this is the task that holds its unique key.
  bool key_held = false;
};

// A task alone. Again with equal content: the task there is.
//   kAlreadyExists    the request_id came before with other content
//   kInvalidArgument  a need that is no task there is; a start_after too far
//                     ahead
struct SubmitTask {
  using Result = TaskKey;
  std::string request_id, tenant, queue, account;
  v1::TaskSpec spec;
  NewTask task;
};

// A new task like a final one, alone, with what that one needs as it stands
// now. Again: the same new task.
//   kNotFound            no such task
//   kFailedPrecondition  it is not final, or what it needs is not done
struct RetryTask {
  using Result = TaskKey;
  RowKey task;
  std::string request_id;
};

struct BatchRetried {
  RowKey batch;
  // Not all is there yet: write the same again.
  bool more = false;
  bool needs_met = false;
  absl::Time timer_at = absl::InfiniteFuture();
};

// A batch of what did not succeed of one that is done, a bounded number of
// tasks with each write; sealed with the last. Again: goes on after what is
// there, then the batch that was made.
//   kNotFound            no such batch
//   kFailedPrecondition  it is not done, or has no such task
//   kAlreadyExists       the request_id came before with something else
struct RetryBatch {
  using Result = BatchRetried;
  RowKey batch;
  std::string request_id;
  bool cancelled_too = false;
};

// Changing -------------------------------------------------------------------

// What is set changes, of a task that waits for an attempt or for what it
// needs: all of it or nothing. Again: OK.
//   kNotFound            no such task
//   kInvalidArgument     a start_after too far ahead
//   kFailedPrecondition  it runs, waits for a person, or is final; it would
//                        expire before it may start, or began once and cannot
//                        expire; it would have too many labels; or as
//                        SetBudget, of max_cost
struct UpdateTask {
  using Result = Done;
  RowKey task;
  std::optional<int32_t> priority;
  std::optional<int64_t> max_cost;
  std::optional<absl::Time> start_after;   // in the past: now
  std::optional<absl::Time> expires_at;    // infinite: never
  std::optional<absl::Duration> deadline;  // from its submit; zero: none
  std::string reason;
  Labels set_labels = {};
  std::vector<std::string> remove_labels = {};  // by key
};

// Cancelling -----------------------------------------------------------------

// What a lease's holder must hear of: the lease is lost (the task had no
// session), or there is something to say. Nobody holds it where lease.worker
// is 0.
struct CancelNotice {
  LeaseKey lease;
  std::optional<v1::Say> say;  // unset: lost
};

struct CancelResult {
  v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;
  std::vector<CancelNotice> notices;
  bool needs_met = false;
};

// Again, or for a final task: OK, nothing changes.
//   kNotFound  no such task
struct CancelTask {
  using Result = CancelResult;
  RowKey task;
  std::string reason;
};

struct CancelBatchResult {
  std::vector<CancelNotice> notices;
  // Not all is done yet: write the same again.
  bool more = false;
  bool needs_met = false;
};

// Refuses more lines and cancels tasks, a bounded number with each write.
//   kNotFound  no such batch
struct CancelBatch {
  using Result = CancelBatchResult;
  RowKey batch;
  std::string reason;
};

// Deleting -------------------------------------------------------------------

// So many rows go with one write, and the labels of one task beyond that.
inline constexpr int kDeletedRowsMax = 200;

struct BatchDeleted {
  int64_t tasks = 0;  // that the batch had
  int rows = 0;       // that went with this write
  // Not all is gone yet: write the same again.
  bool more = false;
};

// The first write marks a batch: no list shows it from then on, and its budgets
// are gone. Each further one deletes some rows of what hangs on it: tasks with
// their attempts first, then the journal. The batch's own row stays, with its
// request_id, and the sum of its journal in the row of its end. Events and
// artifacts are for sweeps: see SqliteStore.
// Again: goes on; kNotFound once all is gone.
//   kNotFound            no such batch
//   kFailedPrecondition  it is not done; an unfinished task elsewhere needs a
//                        task of it, or is a retry of one; an errand of it is
//                        left, so what it cost may change; a task of it holds
//                        its unique key
struct DeleteBatch {
  using Result = BatchDeleted;
  RowKey batch;
  std::string reason;
};

// So many tasks go with one write: each has some ten rows.
inline constexpr int kDeletedTasksMax = 20;

struct TasksDeleted {
  // So many of the write's, from the first, are deleted, kept or passed over.
  size_t looked_at = 0;
  std::vector<RowKey> kept;  // those that have to stay
  std::string why;           // the first of them has to
};

// Deletes tasks of no batch, kDeletedTasksMax at most, with all that hangs on
// them and their journal, each of them whole. A row of the journal tells of it
// for each tenant's queue, and what they cost is summed up in others, by the
// hour. At least one goes, and no more once there are a thousand rows of the
// journal to take: the rest is for another write. What is known of requests
// stays: one that is said again is refused. Tasks that are gone, that are not
// final, and those of batches are passed over. One has to stay for what a batch
// would have to stay for, see DeleteBatch, and while any task tries it again,
// or it does a task of a batch that is open or is tried again itself.
struct DeleteTasks {
  using Result = TasksDeleted;
  std::vector<RowKey> tasks;
  std::string reason;
};

// Answering ------------------------------------------------------------------

struct Answered {
  v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;
};

// Puts the answer into the outbox of a parked attempt, and with the last one
// lets it be granted again. Again with an equal answer: OK.
//   kNotFound            no such task
//   kFailedPrecondition  it waits for no such answer, or a budget has no
//                        room for what it would raise
struct AnswerTask {
  using Result = Answered;
  RowKey task;
  std::string question;  // "": the only one
  // Of the kinds of say, an answer's. DENY answers either kind of question
  // about a tool. BUDGET's text is the new budget in micro-dollars.
  v1::SayKind kind = v1::SAY_KIND_UNSPECIFIED;
  std::string text;
};

// Leases ---------------------------------------------------------------------

struct Registered {
  int64_t worker = 0;
};

// Again with the same incarnation: the same worker.
struct RegisterWorker {
  using Result = Registered;
  std::string incarnation, description;
  // A new incarnation may bring a new key: those that refuse are probed.
  std::vector<std::string> accounts;
};

struct Freed {
  std::vector<LeaseKey> leases;
  // Of cancelled tasks whose leases the worker keeps: it may not have heard.
  std::vector<CancelNotice> notices;
};

// Frees every lease of the worker that `held` does not name: those attempts
// wait to be adopted, and their old holder is refused. Again: OK.
struct FreeLeases {
  using Result = Freed;
  int64_t worker = 0;
  std::vector<LeaseKey> held;
};

struct Grants {
  std::vector<GrantRecord> grants;  // adoptions too
  // Ready or adoptable work may be left that another pass could grant.
  bool more = false;
  bool waits_for_slot = false;  // see AdmissionDecisions
};

// Shows `decide` a view and carries out what it decides.
struct Admit {
  using Result = Grants;
  std::vector<WorkerOffer> offers;
  AdmitFunction decide;
};

// Every write below is a lease holder's, and may return
//   kAborted  the lease is lost; nothing was changed

// Makes the nonce of a create durable before the request leaves. Again: OK,
// begun anew: a create that was refused made nothing, and keeps its nonce.
struct BeginCreate {
  using Result = Done;
  LeaseKey lease;
  std::string nonce;
};

struct RecordedSession {
  std::string session_id;
  bool account_opened = false;  // it was a probe
};

// The first session recorded for an attempt is its session; again, or after
// another, the result names that one. Sets the phase to SENDING.
//   kFailedPrecondition  no session is recorded, and the nonce is not that of a
//                        create whose session is still to be: it was not begun,
//                        or its session was recorded and cleared, and a late
//                        repetition may not bring that back
struct RecordSession {
  using Result = RecordedSession;
  LeaseKey lease;
  std::string nonce, session_id;
};

// Back to GRANTED, for a session that is archived and was never charged.
// Again: OK.
//   kFailedPrecondition  another session is recorded
struct ClearSession {
  using Result = Done;
  LeaseKey lease;
  std::string session_id;
};

// The first message was seen: RUNNING. Again: OK.
struct MarkStarted {
  using Result = Done;
  LeaseKey lease;
};

struct SayAdded {
  v1::Say say;
};

// An outbox entry. Again with the same key: the entry there is.
struct AddSay {
  using Result = SayAdded;
  LeaseKey lease;
  v1::SayKind kind = v1::SAY_KIND_UNSPECIFIED;
  std::string key, text;
};

// Again: OK.
struct MarkSaid {
  using Result = Done;
  LeaseKey lease;
  int32_t number = 0;
};

// Gives the lease back with the attempt on. Again: OK.
struct HandBack {
  using Result = Done;
  LeaseKey lease;
};

struct Parked {
  bool parked = false;
  std::vector<v1::Say> answers;
  bool cancelling = false;
  bool end = false;  // nobody is to answer: settle
};

// What is decided about a session that has spent its budget.
struct BudgetSpent {
  int64_t spent = 0;    // by the session
  int64_t budget = 0;   // that it had
  int64_t earlier = 0;  // charged by the task's earlier attempts
};
struct BudgetAnswer {
  enum Kind { kAsk, kEnd, kRaise };
  Kind kind = kAsk;
  int64_t to = 0;  // what to raise the reservation and the budget to

  friend bool operator==(const BudgetAnswer&, const BudgetAnswer&) = default;
};

// What a spec says of sessions that wait. Pure functions.
struct WaitPolicy {
  // The kind of the answer, or UNSPECIFIED where a person gives it.
  std::function<v1::SayKind(const v1::TaskSpec&, const v1::Question&)> answer;
  std::function<BudgetAnswer(const v1::TaskSpec&, const BudgetSpent&)> raise;
  // How long that person has.
  std::function<absl::Duration(const v1::TaskSpec&)> within;
};

// The session waits for answers. Those that the outbox holds, or that `policy`
// gives, are in the result; where some are missing, the attempt is parked and
// its lease released. A raise that some budget has no room for is a person's.
struct Park {
  using Result = Parked;
  LeaseKey lease;
  std::vector<v1::Question> questions;
  WaitPolicy policy;
};

// What a settle is decided from.
struct Tally {
  int32_t starts = 0;    // attempts begun, this one included, unless excused
  int32_t attempts = 0;  // the same with those that are excused
  int32_t failures = 0;  // by the task's own fault, before this one
  int64_t charged = 0;   // by earlier attempts
  int64_t max_cost = 0;
  int64_t reserved = 0;  // for this attempt
  bool cancelling = false;
  v1::TaskSpec spec;
  bool has_session = false;
  bool cost_pending = false;  // of an earlier attempt: not known yet
  int64_t template_id = 0;
  AccountStanding account;
  absl::Time granted_at = absl::InfiniteFuture();
  absl::Time now;
  // By class, earlier attempts that failed, but for those that are excused;
  // known where the spec has something to say of classes.
  std::array<int32_t, v1::FailureClass_ARRAYSIZE> failed_as{};
};

// What follows from an attempt's end.
struct Disposition {
  // SUCCEEDED, FAILED, CANCELLED, QUEUED for another attempt, or RUNNING for an
  // attempt that goes on with its session once its account is open.
  v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;
  absl::Duration delay = absl::ZeroDuration();  // before it, where QUEUED
  bool counts_as_failure = false;
  v1::FailureClass failure_class = v1::FAILURE_CLASS_UNSPECIFIED;
  int64_t charged = 0;        // by this attempt
  std::string reason;         // one line
  bool cost_unknown = false;  // so `charged` is its reservation
  bool excused = false;       // not counted as a start
  bool awaits_cost = false;   // what is left for another is not known yet
  std::optional<AccountStanding> account;  // where it changes
};

struct Settled {
  v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;
  bool account_changed = false;
  bool needs_met = false;
};

// Ends the attempt, moves its money and releases the lease. Again with an equal
// ending: the same answer. `decide` is pure.
struct Settle {
  using Result = Settled;
  LeaseKey lease;
  v1::Ending ending;
  std::function<Disposition(const Tally&, const v1::Ending&)> decide;
};

// Money ----------------------------------------------------------------------

struct BudgetSet {
  int64_t budget = 0;  // 0 for a task's, which is a part of the task
};

// A budget, or another limit for the one there is. Again: OK.
//   kNotFound            no such batch or task
//   kFailedPrecondition  the budget there is has another time zone; the task is
//                        finished, or waits for an attempt and the limit leaves
//                        too little for one
struct SetBudget {
  using Result = BudgetSet;
  v1::BudgetScope scope = v1::BUDGET_SCOPE_UNSPECIFIED;
  std::string name;  // of a tenant or a queue
  RowKey row;        // of a batch or a task
  v1::BudgetWindow window = v1::BUDGET_WINDOW_UNSPECIFIED;
  std::string zone;  // that can be loaded; "" for a total
  int64_t limit = 0;
};

// Not of a task.
//   kNotFound  no such budget
struct DeleteBudget {
  using Result = BudgetSet;
  v1::BudgetScope scope = v1::BUDGET_SCOPE_UNSPECIFIED;
  std::string name;
  RowKey row;
  v1::BudgetWindow window = v1::BUDGET_WINDOW_UNSPECIFIED;
};

// Accounts -------------------------------------------------------------------

struct AccountSet {
  AccountRecord account;
};

// A person's pause. Again: with the new reason and time.
//   kNotFound  nothing has named the account
struct PauseAccount {
  using Result = AccountSet;
  std::string account, reason;
  absl::Time until = absl::InfiniteFuture();
};

// Opens a paused account; plans a probe at once for one that refuses. Again:
// OK.
//   kNotFound  nothing has named the account
struct ResumeAccount {
  using Result = AccountSet;
  std::string account;
};

// The lease's attempt was answered: opens its account, if it was the probe.
struct PassProbe {
  using Result = Done;
  LeaseKey lease;
};

// Control --------------------------------------------------------------------

enum class Controlled { kTenant, kQueue, kAccount };

// A weight or a cap, live: nothing that runs is stopped. Again: OK.
//   kNotFound  nothing has named the account (tenants and queues are made)
struct SetControl {
  using Result = Done;
  Controlled of{};
  std::string name;
  std::optional<int32_t> weight;       // not of an account
  std::optional<int32_t> max_running;  // 0: no cap
};

// How many have a cap of their own.
inline constexpr int kKeyCapsMax = 10'000;

// How many tasks of a tenant's concurrency key may run at once. The tenant is
// made where nothing has named it. Again: OK.
//   kResourceExhausted  kKeyCapsMax keys have a cap
struct SetKeyCap {
  using Result = Done;
  std::string tenant, key;
  int32_t max_running = 1;  // 1: as at first
};

// Another cap for a batch. Again: OK.
//   kNotFound            no such batch
//   kFailedPrecondition  it is done or being cancelled
struct SetBatchCap {
  using Result = Done;
  RowKey batch;
  int32_t max_running = 0;
};

// Nothing of it starts any more. Again: with the new reason and time.
struct PauseQueue {
  using Result = Done;
  std::string queue, reason;
  absl::Time until = absl::InfiniteFuture();
};

// Again, or where it is not paused: OK.
//   kNotFound  nothing has named the queue
struct ResumeQueue {
  using Result = Done;
  std::string queue;
};

// As PauseQueue.
//   kNotFound            no such batch
//   kFailedPrecondition  it is done or being cancelled
struct PauseBatch {
  using Result = Done;
  RowKey batch;
  std::string reason;
  absl::Time until = absl::InfiniteFuture();
};

// As ResumeQueue, with the errors of PauseBatch. Of a batch whose canary
// failed, or that its stop rule paused: it goes on all the same, and its stop
// rule counts from now on.
struct ResumeBatch {
  using Result = Done;
  RowKey batch;
};

// Others ---------------------------------------------------------------------

struct RemoteId {
  std::string id;
};

// The first id recorded for a key stays unless `replaces` names it.
struct RecordRemoteId {
  using Result = RemoteId;
  std::string account, key, id, replaces;
};

// Errands --------------------------------------------------------------------

struct LeasedErrands {
  std::vector<std::string> sessions;
  // A sweep of the account is due, of what was created from here on.
  std::optional<absl::Time> sweep_from;
};

// Sessions of settled attempts of which nobody has said that they are archived,
// a minute after their settle or two after they were last given out; and the
// account's sweep (of an account that refuses one session at most, with which
// it is probed where nothing is left to start). That is due every ten minutes
// while creates may be unexplained, and the caller's for five.
//   kNotFound  nothing has named the account
struct LeaseErrands {
  using Result = LeasedErrands;
  std::string account;
  int32_t max = 0;
};

struct DoneErrand {
  std::string session;
  std::optional<int64_t> cost;  // as the service says
  bool gone = false;            // it says nothing any more
};

// Opens an account that refused, since it no longer does. Also charges what the
// sessions cost, where their attempts were charged
// something else. One whose attempt's cost is not known stays until it is, for
// two days at most. Again, or for sessions without an errand: OK.
//   kNotFound  nothing has named the account
struct CompleteErrands {
  using Result = Done;
  std::string account;
  std::vector<DoneErrand> errands;
};

struct ExplainedSession {
  v1::SessionFate fate = v1::SESSION_FATE_UNSPECIFIED;
  std::optional<int64_t> charged;  // of a settled attempt, where it is known
};
struct ExplainedSessions {
  std::vector<ExplainedSession> sessions;  // in the order of the claims
};

// What sessions are to the queue. The creates of those that are superseded can
// no longer be recorded afterwards. Prolongs the sweep. `decide` is pure.
//   kNotFound  nothing has named the account
struct ExplainSessions {
  using Result = ExplainedSessions;
  std::string account;
  std::vector<SessionClaim> claims;
  std::function<v1::SessionFate(const SessionFacts&)> decide;
};

// A sweep is over. Where it was an errand, the next one looks from the oldest
// session on that is open, or from where this one began; there is none once
// nothing is open and no attempt is on. Again: OK.
//   kNotFound  nothing has named the account
struct CompleteSweep {
  using Result = Done;
  std::string account;
  std::optional<absl::Time> sweep_from;  // as it was leased; unset: a person's
  absl::Time oldest_open = absl::InfiniteFuture();
  std::string summary;  // for the journal; "" where nothing was found
};

// Schedules ------------------------------------------------------------------

struct ScheduleSet {
  RowKey schedule;
};

// Makes a schedule, or changes the one of that name; a change of its cron text,
// zone or jitter counts from now on. Again with equal content: nothing changes.
//   kAlreadyExists      another one has the name, and `replace` is not set
//   kResourceExhausted  there are kSchedulesMax
struct PutSchedule {
  using Result = ScheduleSet;
  std::string name;
  v1::Timing timing;
  // A submission as it is sent: open, chunks, seal. Without request_id and
  // the batch's name.
  std::vector<v1::SubmitBatchRequest> steps;
  int64_t lines = 0;
  bool replace = false;
};
inline constexpr int64_t kSchedulesMax = 1000;

// Its batches stay. Again: kNotFound.
//   kNotFound            no such schedule
//   kFailedPrecondition  a batch of it is being submitted
struct DeleteSchedule {
  using Result = ScheduleSet;
  std::string name;
};

// A schedule that goes on counts from now; one whose pause ends by itself
// counts from then, that time included. Again: OK, with the new reason and
// time.
//   kNotFound  no such schedule
struct PauseSchedule {
  using Result = ScheduleSet;
  std::string name;
  bool paused = false;
  std::string reason;
  absl::Time until = absl::InfiniteFuture();
};

struct RunBegun {
  int64_t schedule = 0;
  FiringRecord firing;
};

// A firing by hand, under the name that `batch_name` says: with "-2", "-3" and
// so on behind it where firings of the schedule have it. Again with the same
// request_id: the firing there is.
//   kNotFound  no such schedule
struct BeginRun {
  using Result = RunBegun;
  std::string schedule, request_id;
  std::function<std::string(const FiringView& view, absl::Time now)> batch_name;
};

struct FiringPlan {
  RowKey schedule;
  std::string name;
  bool cancel_old = false;                   // its policy
  std::vector<FiringRecord> opening;         // to be submitted, oldest first
  std::vector<RowKey> unfinished;            // batches of it that are not done
  bool queued = false;                       // firings wait for those
  absl::Time wake = absl::InfiniteFuture();  // a timer is set for then
};

// Shows `decide` where the schedule stands and carries out what it decides.
// Again: what was not submitted yet is planned still.
//   kNotFound  no such schedule
struct PlanFirings {
  using Result = FiringPlan;
  int64_t schedule = 0;
  FiringFunction decide;
};

struct FiringEnded {
  FiringRecord firing;
};

// A firing that was planned is FIRED, with its batch, or FAILED. Again: the
// firing as it ended.
//   kNotFound  no such firing
struct EndFiring {
  using Result = FiringEnded;
  int64_t firing = 0;
  std::optional<RowKey> batch;  // unset: FAILED
  std::string why;
};

// Hooks ----------------------------------------------------------------------

enum class HookEnd { kDelivered, kAgain, kGivenUp };

// What became of a try to deliver what a hook says. Again, or of an earlier
// try: OK, nothing changes.
//   kNotFound  no such hook
struct NoteHookTry {
  using Result = Done;
  int64_t hook = 0;
  int32_t tries = 0;  // this one included
  HookEnd end = HookEnd::kAgain;
  absl::Time due;   // of the next one, where there is one; a timer is set
  std::string why;  // one line, where it was not delivered
};

// Timers ---------------------------------------------------------------------

struct TimersFired {
  int fired = 0;
  absl::Time next = absl::InfiniteFuture();
  std::vector<int64_t> schedules;  // to be planned
  std::vector<int64_t> ended;      // tasks that are final now
  // Batches to be cancelled, as the policies of tasks of theirs say: write
  // CancelBatch. (A scheduler that starts finds them among those that are.)
  std::vector<RowKey> cancelling;
  bool hooks_due = false;  // some hook may be: see ListDueHooks
  // With `apart`: which failed, and why.
  std::vector<std::string> put_off;
};

// Opens accounts whose pause is over, and queues and batches; makes tasks ready
// whose delay is over, ends those whose first attempt was not granted in time,
// and lanes whose budgets begin a new window; lets go of tasks that were not
// answered in time: they are granted again to be settled. Schedules that are
// due stay awake until they are planned. Goes on with tasks that needed what is
// final now: makes them ready, or ends them, a bounded number with each write;
// `next` is in the past where others are left. One that fails fails the write;
// said again with `apart`, it fails alone, and is due again after an hour.
struct FireTimers {
  using Result = TimersFired;
  bool apart = false;
};

using Write = std::variant<
    OpenBatch, AddTasks, SealBatch, SubmitTask, RetryTask, RetryBatch,
    UpdateTask, CancelTask, CancelBatch, AnswerTask, RegisterWorker, FreeLeases,
    Admit, Park, BeginCreate, RecordSession, ClearSession, MarkStarted, AddSay,
    MarkSaid, HandBack, Settle, SetBudget, DeleteBudget, PauseAccount,
    ResumeAccount, PassProbe, SetControl, SetKeyCap, SetBatchCap, PauseQueue,
    ResumeQueue, PauseBatch, ResumeBatch, RecordRemoteId, LeaseErrands,
    CompleteErrands, ExplainSessions, CompleteSweep, PutSchedule,
    DeleteSchedule, PauseSchedule, BeginRun, PlanFirings, EndFiring,
    NoteHookTry, FireTimers, DeleteBatch, DeleteTasks>;

using WriteResult =
    std::variant<BatchProgress, TaskKey, BatchRetried, CancelResult,
                 CancelBatchResult, Answered, Registered, Freed, Grants, Done,
                 RecordedSession, SayAdded, Parked, Settled, BudgetSet,
                 AccountSet, RemoteId, LeasedErrands, ExplainedSessions,
                 ScheduleSet, RunBegun, FiringPlan, FiringEnded, TimersFired,
                 BatchDeleted, TasksDeleted>;

}  // namespace midwatch

#endif  // MIDWATCH_STORE_WRITES_H_
