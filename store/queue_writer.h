// Carries out writes on the queue's tables. No transactions of its own: the
// group commit around it gives each write a savepoint.
#ifndef MIDWATCH_STORE_QUEUE_WRITER_H_
#define MIDWATCH_STORE_QUEUE_WRITER_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/sqlite.h"
#include "store/batch_rules.h"
#include "store/prediction.h"
#include "store/records.h"
#include "store/request_book.h"
#include "store/writes.h"

namespace midwatch {

// Used by one thread at a time: the writer's.
class QueueWriter {
 public:
  // `disk_nearly_full` is asked before each submission.
  QueueWriter(Sqlite& db, const Clock& clock,
              std::function<bool()> disk_nearly_full)
      : db_(db),
        clock_(clock),
        disk_nearly_full_(std::move(disk_nearly_full)) {}

  // Once, before all else.
  absl::Status Load() { return requests_.Load(); }

  absl::StatusOr<WriteResult> Apply(const Write& write);

  // See RequestBook.
  std::optional<WriteOp> NextFiling() { return requests_.NextFiling(); }

  // What was written since the last commit was rolled back: forgets what is
  // remembered of it. A failed Apply does so by itself.
  void Forget() {
    known_ = {};
    needs_met_ = false;
    timer_at_ = absl::InfiniteFuture();
  }

  // Batches whose journal grew since the last call, rising. May name one whose
  // write was rolled back.
  std::vector<int64_t> TakeTouchedBatches();

 private:
  // What is read of a task before it is changed.
  struct TaskRow {
    int64_t id = 0, at = 0, lane = 0, batch = 0, template_id = 0;
    int64_t line = 0;  // of its batch
    v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;
    int32_t priority = 0, attempts = 0, failures = 0, excused = 0;
    int64_t max_cost = 0, charged = 0;
    std::optional<int64_t> rank, not_before, expires_at;
  };
  struct LiveRow {
    LeaseKey lease;
    int64_t account = 0, batch = 0, reserved = 0, grant_seq = 0, granted_at = 0;
    int64_t overshoot = 0;  // of what is reserved, beyond its session's budget
    int64_t counted = 0;    // for the share of its tenant and its queue
    v1::AttemptPhase phase = v1::ATTEMPT_PHASE_UNSPECIFIED;
    std::string session;
    bool cancelling = false;
    std::optional<int64_t> parked_at, answer_by;
    std::optional<int64_t> held_at;
    int64_t parked_for = 0;
    bool unanswered = false;
    Forecast forecast;  // made at its grant
  };
  // Of the task that the attempt is of.
  static v1::TaskState StateOf(const LiveRow& live) {
    if (live.cancelling) return v1::TASK_STATE_CANCELLING;
    return live.parked_at ? v1::TASK_STATE_WAITING : v1::TASK_STATE_RUNNING;
  }
  struct JournalEntry {
    JournalKind kind{};
    int64_t batch = 0, task = 0;
    int32_t attempt = 0;
    v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;
    int64_t who = 0;
    int64_t reserve_delta = 0, charge_delta = 0, over_delta = 0;
    v1::FailureClass failure_class = v1::FAILURE_CLASS_UNSPECIFIED;
    std::string why;
  };
  // Of a lane, what never changes.
  struct LaneIdentity {
    int64_t lane = 0, tenant = 0, queue = 0, batch = 0, account = 0;
    std::string key;
  };
  struct Timer {
    int64_t at = 0, kind = 0, ref = 0;
  };
  // Where a task's money counts, beside the task itself.
  struct Scopes {
    int64_t tenant = 0, queue = 0, batch = 0;

    friend auto operator<=>(const Scopes&, const Scopes&) = default;
  };
  // One window of a budget.
  struct Balance {
    int64_t budget = 0, ref = 0, start = 0, room = 0;
    v1::BudgetScope scope = v1::BUDGET_SCOPE_UNSPECIFIED;
  };
  // Where the tasks of a submission go.
  struct Place {
    int64_t tenant = 0, queue = 0, account = 0, batch = 0, template_id = 0;
    // From a task's submit, to be done by its deadline.
    absl::Duration start_within = absl::InfiniteDuration();
    bool canary = false;  // among the first of its batch, which has a canary

    bool SameLanes(const Place& other) const {
      return tenant == other.tenant && queue == other.queue &&
             account == other.account && batch == other.batch &&
             canary == other.canary;
    }
  };

  // queue_submit.cc
  absl::StatusOr<BatchProgress> Do(const OpenBatch& write);
  absl::StatusOr<BatchProgress> Do(const AddTasks& write);
  absl::StatusOr<BatchProgress> Do(const SealBatch& write);
  absl::StatusOr<TaskKey> Do(const SubmitTask& write);
  // queue_retry.cc
  absl::StatusOr<TaskKey> Do(const RetryTask& write);
  absl::StatusOr<BatchRetried> Do(const RetryBatch& write);
  // queue_update.cc
  absl::StatusOr<Done> Do(const UpdateTask& write);
  // queue_cancel.cc
  absl::StatusOr<CancelResult> Do(const CancelTask& write);
  absl::StatusOr<CancelBatchResult> Do(const CancelBatch& write);
  // queue_delete.cc
  absl::StatusOr<BatchDeleted> Do(const DeleteBatch& write);
  // queue_delete_task.cc
  absl::StatusOr<TasksDeleted> Do(const DeleteTasks& write);
  // queue_park.cc
  absl::StatusOr<Parked> Do(const Park& write);
  absl::StatusOr<Answered> Do(const AnswerTask& write);
  // queue_lease.cc
  absl::StatusOr<Registered> Do(const RegisterWorker& write);
  absl::StatusOr<Freed> Do(const FreeLeases& write);
  absl::StatusOr<Grants> Do(const Admit& write);
  absl::StatusOr<Done> Do(const HandBack& write);
  // queue_attempt.cc
  absl::StatusOr<Done> Do(const BeginCreate& write);
  absl::StatusOr<RecordedSession> Do(const RecordSession& write);
  absl::StatusOr<Done> Do(const ClearSession& write);
  absl::StatusOr<Done> Do(const MarkStarted& write);
  absl::StatusOr<SayAdded> Do(const AddSay& write);
  absl::StatusOr<Done> Do(const MarkSaid& write);
  absl::StatusOr<Settled> Do(const Settle& write);
  // queue_budget.cc
  absl::StatusOr<BudgetSet> Do(const SetBudget& write);
  absl::StatusOr<BudgetSet> Do(const DeleteBudget& write);
  // queue_account.cc
  absl::StatusOr<AccountSet> Do(const PauseAccount& write);
  absl::StatusOr<AccountSet> Do(const ResumeAccount& write);
  absl::StatusOr<Done> Do(const PassProbe& write);
  // queue_control.cc
  absl::StatusOr<Done> Do(const SetControl& write);
  absl::StatusOr<Done> Do(const SetKeyCap& write);
  absl::StatusOr<Done> Do(const SetBatchCap& write);
  absl::StatusOr<Done> Do(const PauseQueue& write);
  absl::StatusOr<Done> Do(const ResumeQueue& write);
  absl::StatusOr<Done> Do(const PauseBatch& write);
  absl::StatusOr<Done> Do(const ResumeBatch& write);
  // queue_errand.cc
  absl::StatusOr<LeasedErrands> Do(const LeaseErrands& write);
  absl::StatusOr<Done> Do(const CompleteErrands& write);
  // queue_sweep.cc
  absl::StatusOr<ExplainedSessions> Do(const ExplainSessions& write);
  absl::StatusOr<Done> Do(const CompleteSweep& write);
  // queue_schedule.cc
  absl::StatusOr<ScheduleSet> Do(const PutSchedule& write);
  absl::StatusOr<ScheduleSet> Do(const DeleteSchedule& write);
  absl::StatusOr<ScheduleSet> Do(const PauseSchedule& write);
  absl::StatusOr<RunBegun> Do(const BeginRun& write);
  absl::StatusOr<FiringPlan> Do(const PlanFirings& write);
  absl::StatusOr<FiringEnded> Do(const EndFiring& write);
  // queue_hook.cc
  absl::StatusOr<Done> Do(const NoteHookTry& write);
  // queue_timer.cc
  absl::StatusOr<TimersFired> Do(const FireTimers& write);
  // queue_writer.cc
  absl::StatusOr<RemoteId> Do(const RecordRemoteId& write);

  // Shared pieces. queue_writer.cc
  int64_t NowMicros() const { return absl::ToUnixMicros(clock_.Now()); }
  absl::StatusOr<int64_t> Journal(const JournalEntry& entry);
  absl::StatusOr<int64_t> LabelId(int kind, const std::string& name);
  absl::StatusOr<std::string> LabelName(int64_t id);
  absl::StatusOr<TaskRow> LoadTask(RowKey key);
  absl::StatusOr<TaskRow> LoadTask(int64_t id);
  // The live row that `lease` may write to, or kAborted.
  absl::StatusOr<LiveRow> LoadLive(const LeaseKey& lease);
  absl::StatusOr<std::optional<LiveRow>> FindLive(int64_t task);
  absl::StatusOr<v1::TaskSpec> LoadSpec(int64_t template_id);
  // Moves one task between the batch's counts, with its money, and ends the
  // batch with its last task. No effect for a task alone. All in one statement:
  // a batch's row is wide, and dear to write.
  absl::Status Count(int64_t batch, v1::TaskState from, v1::TaskState to,
                     int64_t charge_delta = 0, int64_t reserve_delta = 0,
                     int64_t over_delta = 0, const Calibration& held = {});
  absl::Status EndBatchIfDone(int64_t batch);
  absl::Status MakeReady(const TaskRow& task, int64_t at_micros);
  // The row by which admission finds it, and its lane's head: another first
  // task may fit where the one before it found no room in a budget.
  absl::Status PutReady(int64_t lane, int64_t rank, int64_t task);
  absl::StatusOr<LaneIdentity> IdentityOf(int64_t lane);
  absl::Status RemoveReady(const TaskRow& task);
  absl::Status UpdateLaneHead(int64_t lane);
  // One task of the lane has left: room for another, in it and in its batch.
  absl::Status LeaveLane(int64_t lane, int64_t batch);
  // Looks again at the lanes of a batch that had reached its cap.
  absl::Status UnblockBatch(int64_t batch);

  // queue_submit.cc
  absl::Status RefuseWhenFull() const;
  absl::StatusOr<BatchProgress> FindBatch(const std::string& request_id);
  struct Inserted {
    int64_t task = 0;
    v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;
  };
  // SKIPPED where it says so, or where its unique key is held by another than
  // the one it retries; BLOCKED where it has needs, else QUEUED: ready, or
  // delayed.
  absl::StatusOr<Inserted> InsertTask(const Place& place, const NewTask& task,
                                      int64_t line, int64_t now,
                                      int64_t retry_of);
  absl::StatusOr<int64_t> LaneFor(const Place& place, const std::string& ckey);
  absl::StatusOr<std::optional<TaskKey>> FindRequest(const std::string& key,
                                                     const std::string& hash);

  absl::Status RememberRequest(const std::string& key, const std::string& hash,
                               int64_t task, int64_t now);
  // queue_start.cc
  //   kInvalidArgument  it may start too far ahead
  absl::Status CheckStart(const StartRules& rules, int64_t now);
  // As AddTimer, for the result's timer_at.
  absl::Status SetTimer(absl::Time at, int kind, int64_t ref);
  absl::Time TakeTimerAt() {
    return std::exchange(timer_at_, absl::InfiniteFuture());
  }
  // Its expiry's timer, where it has one.
  absl::Status ForgetExpiry(const TaskRow& task);
  // The timer: ends a task that still waits for its first attempt.
  absl::Status Expire(int64_t task, int64_t at, TimersFired& result);
  // queue_update.cc
  absl::Status ChangeStart(const TaskRow& task, int64_t start, int64_t now);
  absl::Status ChangeExpiry(const TaskRow& task, absl::Time expires_at);
  absl::Status ChangePriority(const TaskRow& task, int32_t priority);
  absl::Status ChangeDeadline(const TaskRow& task, absl::Duration deadline);
  absl::Status ChangeLabels(const UpdateTask& write);
  // queue_delete.cc
  //   kFailedPrecondition  it has to stay
  absl::Status CheckDeletable(int64_t batch, int64_t first, int64_t last);
  absl::Status MarkDeleted(int64_t batch, int64_t first, int64_t last,
                           const std::string& reason);
  // Each deletes some rows and takes their number from `room`; what there was
  // no room for is left.
  absl::Status DeleteRowsOf(int64_t task, const Labels& labels, int& room);
  absl::Status DeleteTasksOf(int64_t batch, int& room);
  absl::Status DeleteJournal(int64_t batch, int& room);
  absl::Status DeleteLanes(int64_t batch, int& room);
  // Nothing but its row is left.
  absl::Status EndDeletion(int64_t batch);
  absl::StatusOr<bool> IsDeleted(int64_t batch);
  // It is not done, or a batch that tries it again, over however many tries.
  absl::StatusOr<bool> AnyOpenOf(int64_t batch);
  // No task has a number up to `highest` again.
  absl::Status RaiseTaskFloor(int64_t highest);
  // The highest number of a task that was deleted: none comes again.
  absl::StatusOr<int64_t> TaskFloor();
  // queue_delete_task.cc
  struct SingleTask {
    int64_t id = 0, template_id = 0, lane = 0, tenant = 0, queue = 0;
    int64_t account = 0;
    bool is_retry = false;
    Labels labels;
  };
  // Nothing, where it is not there, has a batch or is not final.
  absl::StatusOr<std::optional<SingleTask>> LoadSingle(RowKey key);
  // Why it has to stay; "" where it may go.
  absl::StatusOr<std::string> WhyItStays(const SingleTask& single);
  // Of its history; no more than what bounds a write, and one.
  absl::StatusOr<int64_t> JournalRowsOf(int64_t task);
  // The batch of the task that it tries again, over however many tries; or 0.
  absl::StatusOr<int64_t> BatchItTriesAgain(int64_t task);
  // A row of the journal for each tenant's queue.
  absl::Status TellDeletion(const std::vector<SingleTask>& going,
                            const std::string& reason);
  // Deletes their journal, but for what it moved.
  absl::Status SumUpJournal(const std::vector<SingleTask>& going,
                            const std::string& reason);
  // queue_unique.cc
  absl::StatusOr<bool> HasUniqueKeys();
  // The task that holds the key, if one does.
  absl::StatusOr<std::optional<TaskKey>> FindHolder(int64_t tenant,
                                                    const std::string& key,
                                                    int64_t now);
  // The task holds the rule's key from now on, whoever held it before.
  absl::Status HoldKey(int64_t tenant, const UniqueRule& rule, int64_t task,
                       int64_t now);
  // The task is final.
  absl::Status ReleaseKey(int64_t task);
  // Why a task with that key is skipped.
  absl::StatusOr<std::string> HeldBy(const std::string& key, RowKey holder);
  // The new task, SKIPPED from the first on: says why.
  absl::Status EndSkipped(const Place& place, int64_t task,
                          const std::string& why);
  // queue_retry.cc
  // A task like the old one, but for what it needs.
  struct Again {
    Place place;
    NewTask task;
  };
  absl::StatusOr<Again> DescribeAgain(const TaskRow& old);
  absl::StatusOr<BatchProgress> FindRetry(const RetryBatch& write,
                                          const std::string& hash);
  absl::StatusOr<BatchProgress> OpenRetry(const RetryBatch& write,
                                          const std::string& hash);
  // Of the batch, in order, after the task `after`.
  absl::StatusOr<std::vector<int64_t>> TasksToRetry(int64_t batch,
                                                    bool cancelled_too,
                                                    int64_t after, int limit);
  absl::StatusOr<Inserted> InsertAgain(const RetryBatch& write, int64_t batch,
                                       int64_t line, int64_t old);
  // The first task before the old one, in its batch or in one that that one
  // tries again, that was cancelled and is not tried again; 0: none.
  absl::StatusOr<int64_t> FirstLeftOut(const TaskRow& old, bool cancelled_too);
  // What stands for that task in the new batch.
  absl::StatusOr<int64_t> NeededAgain(int64_t needed, int64_t batch);
  // Of a retry's: that task, whether or not it is deleted.
  absl::StatusOr<NewNeed> NeedOf(int64_t needed);
  // What the old task's retry in the new batch needs, also what is deleted.
  absl::StatusOr<std::vector<NewNeed>> NeedsAgain(const TaskRow& old,
                                                  const v1::TaskLine& line,
                                                  int64_t batch,
                                                  bool cancelled_too);
  // queue_cancel.cc
  absl::Status CancelOne(const TaskRow& task, const std::string& reason,
                         CancelResult& result);
  // The outbox entry of an attempt's cancel: the one there is, or a new one.
  absl::StatusOr<v1::Say> PutInterrupt(const LeaseKey& lease);
  // The attempt has a session, or may have one that is not recorded and runs.
  absl::StatusOr<bool> MayHaveBegun(const TaskRow& task, const LiveRow& live);
  // queue_need.cc
  // What a blocked task waits for, and what it will be given.
  absl::Status InsertNeeds(const Place& place, int64_t task, const NewTask& is);
  // The task that the need names: a task's row, or kInvalidArgument.
  absl::StatusOr<int64_t> FindNeeded(const Place& place, const v1::Need& need,
                                     const NewNeed& is);
  // The task is final: plans to go on with those that need it, and lets go of
  // its unique key. To be called with every end of a task.
  absl::Status WakeNeedy(int64_t task, int64_t batch, v1::TaskState state);
  absl::Status PlanNeed(int kind, int64_t ref);
  // The timers of the two kinds. The first goes on with `room` tasks at most,
  // which it counts down, and says whether that was all.
  absl::StatusOr<bool> MeetNeeds(int64_t needed, int& room,
                                 TimersFired& result);
  absl::Status LookAtBlocked(int64_t task, TimersFired& result);
  // The first task of the batch before `until` that is not final, or final
  // without success; 0: none.
  absl::StatusOr<int64_t> FirstUnfinished(int64_t batch, int64_t until);
  absl::StatusOr<int64_t> FirstUnsuccessful(int64_t batch, int64_t until);
  absl::StatusOr<int64_t> FirstInState(
      int64_t batch, int64_t until,
      std::initializer_list<v1::TaskState> states);
  // One need of a blocked task, which names all before it: whether it is met.
  // Ends the task where it cannot be.
  absl::StatusOr<bool> IsBeingCancelled(int64_t batch);
  absl::StatusOr<bool> IsAllMet(const TaskRow& task, int64_t batch,
                                int64_t until, v1::NeedPolicy policy,
                                TimersFired& result);
  absl::Status Unblock(const TaskRow& task, TimersFired& result);
  absl::Status FailNeed(const TaskRow& task, v1::NeedPolicy policy,
                        int64_t needed, TimersFired& result);
  absl::Status CancelForNeed(const TaskRow& task, const std::string& why,
                             TimersFired& result);
  // A blocked task ends without an attempt.
  absl::Status EndBlocked(const TaskRow& task, v1::TaskState state,
                          const std::string& why, TimersFired& result);
  // It waits for nothing any more.
  absl::Status CloseNeeds(int64_t task);
  // Whether a retry may have what that task left.
  //   kFailedPrecondition  no
  absl::Status CheckDone(int64_t task, bool anyway);
  absl::Status CheckAllDone(int64_t batch, int64_t until, bool anyway);
  // queue_given.cc
  struct Given {
    v1::TaskLine line;    // messages as parameters, outputs as inputs
    size_t bytes = 0;     // of the messages, in the prompt
    std::string trouble;  // why it cannot be given: one line
  };
  // Of a task whose needs are done.
  absl::StatusOr<Given> GiveNeeds(int64_t task);
  absl::StatusOr<v1::Ending> LoadEnding(int64_t task);
  absl::Status GiveOne(int64_t needed, const v1::TaskLine& line,
                       const std::string& label, size_t mentions, Given& given);
  absl::Status GiveAll(int64_t batch, int64_t until, const v1::TaskLine& line,
                       size_t mentions, Given& given);
  // Of a batch that tries another again: that other one, which is older, and
  // the task there of which `until` is the retry. False: it tries none again.
  absl::StatusOr<bool> GoToRetried(int64_t& batch, int64_t& until);
  // The task, or where it did not succeed its newest retry that did; else the
  // task.
  absl::StatusOr<int64_t> StandIn(int64_t task);
  // The needs of `old` for its retry `task`, which is given what they left.
  absl::Status RetryNeeds(const TaskRow& old, int64_t task);
  // queue_park.cc
  // The attempt may be granted again; its questions are gone.
  absl::Status Unpark(const LiveRow& live);
  // The timer of a parked attempt.
  absl::Status GiveUpWaiting(int64_t task, int64_t answer_by);
  absl::StatusOr<std::vector<v1::Question>> ListQuestions(int64_t task);
  // Raises the attempt's budget, or nothing where no room is for that.
  absl::StatusOr<std::optional<v1::Say>> RaiseByPolicy(
      const TaskRow& task, const LiveRow& live, const std::string& question,
      int64_t to);
  // Whether that kind of answer fits the question.
  absl::Status CheckAnswer(const v1::Question& question, v1::SayKind kind);
  // queue_lease.cc
  absl::StatusOr<AdmissionView> View(const std::vector<WorkerOffer>& offers);
  // A tenant's queue.
  struct Flow {
    int64_t tenant = 0, queue = 0;
    friend auto operator<=>(const Flow&, const Flow&) = default;
  };
  // Those with something to start on the account.
  absl::StatusOr<std::vector<Flow>> WaitingFlows(int64_t account);
  // In the order of tenants and queues.
  absl::StatusOr<std::optional<Flow>> FlowAfter(int64_t account, Flow flow);
  // How far they have come, where there is more than one; the rest of the view
  // is filled.
  absl::Status ViewShares(const std::set<Flow>& flows, AdmissionView& view);
  absl::Status PutShares(const std::vector<ShareView>& shares);
  // An attempt has cost `charged`, not what was counted for it.
  absl::Status CorrectShare(int64_t lane, const LiveRow& live, int64_t charged);
  // At most `lanes` of the account, with their first tasks.
  absl::Status ViewLanes(int64_t account_id, const std::string& account,
                         int lanes, int tasks_per_lane,
                         std::map<int64_t, bool>& is_capped,
                         AdmissionView& view);
  // What the grants of one write add up to.
  struct GrantSums {
    struct OfBatch {
      int64_t tasks = 0, reserved = 0;
    };
    std::map<int64_t, int64_t> lanes;  // how many of each
    std::map<int64_t, OfBatch> batches;
  };
  // Nothing where the task has expired. What its lane and its batch count is
  // left to `sums`.
  absl::StatusOr<std::optional<GrantRecord>> GrantNew(int64_t task,
                                                      int64_t worker,
                                                      int64_t overshoot,
                                                      int64_t counted,
                                                      GrantSums& sums);
  // One write for each lane and batch, however many were granted.
  absl::Status CountGrants(const GrantSums& sums);
  absl::StatusOr<GrantRecord> Adopt(int64_t task, int64_t worker);
  absl::StatusOr<GrantRecord> DescribeGrant(const TaskRow& task,
                                            const LiveRow& live);
  // What an earlier holder may have left of the attempt.
  absl::Status AddWhatWasBegun(GrantRecord& grant);
  // queue_attempt.cc
  absl::StatusOr<std::optional<v1::Say>> FindSay(int64_t task, int32_t attempt,
                                                 const std::string& key);
  absl::StatusOr<v1::Say> PutSay(int64_t task, int32_t attempt,
                                 v1::SayKind kind, const std::string& key,
                                 const std::string& text);
  absl::Status CloseAttempt(const TaskRow& task, const LiveRow& live,
                            const Disposition& disposition,
                            const std::string& outcome_hash);
  // How the task's earlier attempts failed.
  absl::Status CountFailures(int64_t task, Tally& tally);
  // queue_prediction.cc
  absl::StatusOr<int64_t> InsertTemplate(const v1::TaskSpec& spec);
  // How long after its submit a task of the template has to start to be done by
  // its deadline nine times of ten, as its kind goes; without one, ever.
  absl::StatusOr<absl::Duration> StartWithin(int64_t template_id);
  absl::StatusOr<Forecast> ForecastOf(int64_t template_id);
  // The attempt succeeded: how well its forecast held.
  absl::StatusOr<Calibration> AddSample(const TaskRow& task,
                                        const LiveRow& live, int64_t cost);
  // What sessions of a kind may cost beyond their budgets is learned from it.
  absl::Status NoteDearestRequest(const TaskRow& task, int64_t usd_micros);
  // queue_errand.cc
  absl::Status AddErrand(const LiveRow& live);
  // An account that refuses is tried again by what starts. Where nothing is
  // left to start, one errand is tried, as often.
  absl::StatusOr<bool> MayProbeByErrand(int64_t account,
                                        const AccountStanding& standing);
  // The session was given out for that.
  absl::StatusOr<bool> IsProbe(int64_t account, const std::string& session);
  absl::Status CompleteErrand(int64_t account, const DoneErrand& errand);
  // What a settled attempt was charged becomes `cost`, in every scope.
  absl::Status AdjustCost(int64_t task, int32_t attempt, int64_t cost);
  // A settled attempt's cost is not known, and its session may yet say it.
  absl::StatusOr<bool> IsCostPending(int64_t task);
  // The delay before the next attempt, due at `due`, is over: makes the task
  // ready; or lets it wait for what an attempt cost, where too little is left
  // without knowing that; or fails it, where too little is left.
  absl::Status BeginAnother(const TaskRow& task, int64_t due);
  // queue_timer.cc
  // A timer that is due. `room` is for how many needs may be met yet.
  absl::Status Fire(const Timer& timer, int& room, TimersFired& result);
  // The same in a savepoint; put off where it fails.
  absl::Status FireApart(const Timer& timer, int& room, TimersFired& result);
  absl::Status FireReadyTimer(int64_t task, int64_t at);
  absl::Status DropTimer(const Timer& timer);
  // queue_sweep.cc
  // A create was begun that may have to be explained.
  absl::Status WantSweep(int64_t account);
  absl::StatusOr<std::optional<absl::Time>> LeaseSweep(int64_t account);
  // The task, or none any more with that number: numbers do not come again.
  absl::StatusOr<bool> IsOursOrGone(RowKey task);
  absl::StatusOr<ExplainedSession> Explain(
      const SessionClaim& claim,
      const std::function<v1::SessionFate(const SessionFacts&)>& decide);
  // queue_budget.cc
  absl::StatusOr<bool> HasBudgets();
  absl::StatusOr<Scopes> ScopesOf(int64_t lane);
  // The budgets that bind tasks of these scopes, each in its window at `at`
  // (made where it is new), of those that count an attempt whose grant has that
  // number.
  absl::StatusOr<std::vector<Balance>> BalancesAt(const Scopes& scopes,
                                                  int64_t at,
                                                  int64_t grant_seq);
  // A window of the budget that holds `at`.
  absl::StatusOr<Balance> BalanceOf(const BudgetRecord& budget, int64_t ref,
                                    int64_t at);
  absl::Status ViewBudgets(const Scopes& scopes, LaneView& lane,
                           AdmissionView& view);
  // Sets an attempt's money aside in every scope.
  //   kInternal  it does not fit
  absl::Status Reserve(const Scopes& scopes, const LiveRow& live);
  // Raises a live attempt's reservation so that its session may cost `to`, in
  // every scope and in the windows of its grant, and its task's max_cost with
  // it; what is set aside for overshoot stays. Changes nothing
  // unless all of it fits. Returns by how much.
  //   kFailedPrecondition  a budget has no room for it
  absl::StatusOr<int64_t> RaiseReservation(const TaskRow& task,
                                           const LiveRow& live, int64_t to);
  // Gives an attempt's reservation back and charges what it cost, in the
  // windows in which it was reserved, and unblocks lanes that may fit now.
  absl::Status Release(int64_t lane, const LiveRow& live, int64_t charged);
  // Adds to what was charged, in the windows of that grant.
  absl::Status AdjustBalances(int64_t lane, int64_t granted_at,
                              int64_t grant_seq, int64_t charge_delta,
                              int64_t over_delta);
  absl::Status UnblockScope(v1::BudgetScope scope, int64_t ref);
  absl::StatusOr<BudgetSet> SetMaxCost(const SetBudget& write);
  absl::StatusOr<int64_t> RefOf(v1::BudgetScope scope, const std::string& name,
                                RowKey row);
  absl::StatusOr<int64_t> InsertBudget(const SetBudget& write, int64_t ref);
  absl::Status BeginWindow(int64_t budget);
  // queue_account.cc
  absl::StatusOr<int64_t> FindAccount(const std::string& name);
  absl::StatusOr<AccountStanding> LoadStanding(int64_t account);
  // Also plans what its times ask for, and tells who watches.
  absl::Status PutStanding(int64_t account, const AccountStanding& standing);
  absl::Status OpenAccount(int64_t account);
  // The grant is a probe, if its account is not open.
  absl::StatusOr<bool> NoteProbe(const LiveRow& live);
  // Whether the account opened, because the task was its probe.
  absl::StatusOr<bool> OpenIfProbe(int64_t account, int64_t task);
  absl::Status ProbeNow(int64_t account);
  absl::Status FireAccountTimer(int64_t account, int64_t at);
  absl::StatusOr<AccountSet> DescribeAccount(const std::string& name,
                                             int64_t account);
  absl::Status KeepForAccount(const LiveRow& live,
                              const Disposition& disposition);
  // queue_control.cc
  struct Control {
    int64_t weight = 1, max_running = 0, running = 0;
    std::optional<int64_t> paused_at, pause_until;
  };
  // Of a tenant, a queue or an account.
  absl::StatusOr<Control> LoadControl(int64_t label);
  // Somebody has set something of one of them.
  absl::StatusOr<bool> HasControls();
  absl::StatusOr<bool> HasKeyCaps();
  // How many more tasks of the key may start.
  absl::StatusOr<int64_t> KeyRoom(int64_t tenant, const std::string& key);
  absl::Status UnblockKey(int64_t tenant, const std::string& key);
  // One more task of the lane runs, or one fewer, which makes room under caps.
  absl::Status CountRunning(int64_t lane, int by);
  // Looks again at lanes that the cap of this one held back.
  absl::Status UnblockCap(int64_t label);
  // The caps that bind the lane; is_capped remembers whose were looked up.
  absl::Status ViewCaps(int64_t account, LaneView& lane,
                        std::map<int64_t, bool>& is_capped,
                        AdmissionView& view);
  // The bits of a new lane.
  absl::StatusOr<int> HoldsOf(const Place& place);
  // Tells who watches a batch of the tenant, queue or account.
  absl::Status TouchBatchesOf(int64_t label);
  absl::Status EndQueuePause(int64_t queue);
  // `old_until`: when the pause that is on would have ended by itself.
  absl::Status BeginBatchPause(int64_t batch, std::optional<int64_t> old_until,
                               const std::string& reason,
                               absl::Time until = absl::InfiniteFuture());
  absl::Status EndBatchPause(int64_t batch);
  // Their pauses are over, if they were not changed since.
  absl::Status FireQueueTimer(int64_t queue, int64_t at);
  absl::Status FireBatchTimer(int64_t batch, int64_t at);
  absl::Status AddTimer(absl::Time at, int kind, int64_t ref);
  absl::Status ForgetTimer(int64_t at, int kind, int64_t ref);
  // Until when it is paused, if that is so and ends by itself.
  //   kFailedPrecondition  it is done or being cancelled
  absl::StatusOr<std::optional<int64_t>> FindPause(RowKey batch);

  // queue_rules.cc
  // A batch's canary and stop rule, and what they are judged by.
  struct Rules {
    v1::BatchState state = v1::BATCH_STATE_UNSPECIFIED;
    int64_t unfinished = 0;  // tasks, as they are counted
    std::optional<int64_t> pause_until;
    v1::CanaryVerdict verdict = v1::CANARY_VERDICT_UNSPECIFIED;
    CanaryRule canary;
    CanaryTally tally;
    StopRule stop;
    int64_t failed = 0, ended = 0;  // that the stop rule counts
    bool stopped = false;
  };
  // Of a batch that was just made.
  absl::Status PutRules(int64_t batch, const OpenBatch& write);
  absl::StatusOr<Rules> LoadRules(int64_t batch);
  // The task ended as `ended`, or (where that is no final state) was charged;
  // what that says of its batch is carried out. To be called with both, before
  // the task is counted as ended, which may end the batch.
  absl::Status NoteOutcome(const TaskRow& task, v1::TaskState ended,
                           int64_t charged);
  // So many of its canary's tasks were skipped as they came in.
  absl::Status NoteLeftOut(int64_t batch, int64_t tasks);
  // `ending`: tasks that have ended and are not counted so yet.
  absl::Status JudgeBatch(int64_t batch, int64_t ending);
  // The others may start, unless the batch is paused besides.
  absl::Status DecideCanary(int64_t batch, const CanaryOutcome& outcome);
  // Somebody resumed it, or its pause is over.
  absl::Status GoOnAllTheSame(int64_t batch);

  // queue_hook.cc
  // Nothing where it has no url.
  absl::Status InsertHook(RowKey batch, v1::HookEvent event,
                          const v1::Hook& hook);
  // It has happened: what the batch's hook has to say is due, unless it has no
  // such hook or that was due before.
  absl::Status FireHook(int64_t batch, v1::HookEvent event);
  absl::Status DescribeForHook(int64_t batch, v1::Batch& out);
  // A task of the batch that has failed.
  absl::StatusOr<RowKey> FindFailed(int64_t batch, v1::TaskChange& out);
  // queue_risk.cc
  // An attempt of the task has ended so, its `starts`-th: what that says of its
  // batch's forecast is kept, and looked at where the task has ended. To be
  // called after the task is counted as ended.
  absl::Status NoteForForecast(const TaskRow& task, const LiveRow& live,
                               const Disposition& end, int64_t starts);
  // To what its tasks that have not ended cost in attempts that have.
  absl::Status AddSunk(int64_t batch, int64_t by);
  // The batch is at risk, or no longer: the row and its hook say so.
  absl::Status LookForRisk(int64_t batch);
  // Of a batch that was just sealed: looks again at its deadline.
  absl::Status PlanRisk(int64_t batch);
  // It has a budget now. Of what ended while it had neither that nor a
  // deadline, not all was counted.
  absl::Status BeginForecast(int64_t batch);
  // It goes on after a pause, which is no part of its pace.
  absl::Status ForgetPace(int64_t batch);
  // queue_schedule.cc
  struct ScheduleRow {
    RowKey key;
    std::string name, hash;
    v1::Timing timing;
    int64_t revision = 0, since = 0;
    bool paused = false;
    absl::Time pause_until = absl::InfiniteFuture();
    std::optional<int64_t> wake;
  };
  absl::StatusOr<ScheduleRow> LoadSchedule(const std::string& name);
  absl::StatusOr<ScheduleRow> LoadSchedule(int64_t id);
  // Times after `since` are dealt with anew.
  absl::Status EndSchedulePause(const ScheduleRow& schedule, absl::Time since,
                                const std::string& why);
  // It is to be planned; its pause is over, where it was not changed since.
  absl::Status FireScheduleTimer(int64_t id, int64_t at);
  // Where it stands, with the firings that are open and the batches that are
  // not done.
  absl::StatusOr<FiringView> ViewFirings(const ScheduleRow& schedule,
                                         FiringPlan& plan,
                                         std::vector<int64_t>& queued);
  absl::Status PutSteps(int64_t schedule, int64_t revision,
                        const PutSchedule& write);
  // `name`, or with a number behind it what no firing of the schedule has.
  absl::StatusOr<std::string> FreeBatchName(int64_t schedule, std::string name);
  absl::StatusOr<int64_t> InsertFiring(const ScheduleRow& schedule,
                                       const std::string& key,
                                       const NewFiring& firing, bool by_hand);
  // Drops old firings, and revisions that nothing needs any more.
  absl::Status ForgetFirings(int64_t schedule);
  absl::Status SetWake(const ScheduleRow& schedule, absl::Time wake);
  absl::Status NoteSchedule(JournalKind kind, const std::string& why,
                            int64_t batch = 0);

  Sqlite& db_;
  const Clock& clock_;
  std::function<bool()> disk_nearly_full_;
  RequestBook requests_{db_};
  std::set<int64_t> touched_batches_;
  // Rows that never change once they are there, as they were last met: writes
  // come in runs that ask for the same ones.
  struct Known {
    std::map<std::pair<int, std::string>, int64_t> labels;  // kKnownLabelsMax
    Place lane_place;
    std::string lane_key;
    int64_t lane = 0;
    int64_t template_id = 0;
    v1::TaskSpec spec;
    LaneIdentity lane_identity;
    int64_t ruleless = 0;  // a batch without canary and stop rule
    int64_t riskless = 0;  // a batch without budget and deadline
    std::optional<bool> has_budgets, has_controls, has_unique_keys;
    std::optional<bool> has_key_caps;
    std::optional<int64_t> task_floor;
  };
  static constexpr size_t kKnownLabelsMax = 1000;
  Known known_;
  // Since the last result that said so: timers of needs or hooks are due.
  bool needs_met_ = false;
  // The first timer that was set since the last result that said so.
  absl::Time timer_at_ = absl::InfiniteFuture();
  // By account: where the next view of its flows goes on.
  std::map<int64_t, Flow> flow_cursors_;
};

// Kinds of label.
inline constexpr int kTenantLabel = 1;
inline constexpr int kQueueLabel = 2;
inline constexpr int kAccountLabel = 3;
inline constexpr int kTaskLabel = 4;  // "key=value"

// Kinds of timer.
inline constexpr int kReadyTimer = 1;     // ref: a task whose delay is over
inline constexpr int kWindowTimer = 2;    // ref: a budget whose window is over
inline constexpr int kAnswerTimer = 3;    // ref: a task that waits for answers
inline constexpr int kAccountTimer = 4;   // ref: an account that is not open
inline constexpr int kQueueTimer = 5;     // ref: a queue whose pause is over
inline constexpr int kBatchTimer = 6;     // ref: a batch likewise
inline constexpr int kScheduleTimer = 7;  // ref: a schedule
inline constexpr int kNeedTimer = 8;      // ref: a final task that others need
inline constexpr int kBlockedTimer = 9;   // ref: a task to be looked at
inline constexpr int kExpiryTimer = 12;   // ref: a task whose expiry is there
inline constexpr int kHookTimer = 14;     // ref: a hook
inline constexpr int kRiskTimer = 17;     // ref: a batch, at its deadline

inline bool IsFinal(v1::TaskState state) {
  return state >= v1::TASK_STATE_SUCCEEDED;
}

// Five columns from `column` on: samples, cost_p50, cost_p90, time_p50,
// time_p90.
Forecast ReadForecast(const SqliteStatement& row, int column);

// The same bytes for equal messages, for hashes that tell whether a repeated
// call is the same call.
std::string DeterministicBytes(const google::protobuf::Message& message);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_QUEUE_WRITER_H_
