// The durable record of every task: what waits, who holds it, how it ended.
//
//   task        one unit of agent work: submitted once, finished once
//   attempt     one session's worth of trying, numbered from 1
//   lane        where ready tasks stand: one for each (tenant, queue, batch,
//               concurrency key, account) in use
//   grant       to give an attempt to a worker; each raises the task's epoch
//   lease       the right that a grant gives: to write to that attempt, for as
//               long as the worker lives
//   outbox      what is to be said to a session after its first message
//   settle      to record how an attempt ended, once
//   errand      what is left to do at the service after a settle
//   hook        where something is told once it has happened to a batch
//   journal     every state change and every micro-dollar moved, in order
//
// A worker's every write carries its LeaseKey. A key whose lease is gone gets
// kAborted and changes nothing: a worker that slept through its term cannot
// overwrite the one that took over.
//
// Nothing in memory is the truth. Kill any process at any time, start it again,
// and the store says what to do.
#ifndef MIDWATCH_STORE_STORE_H_
#define MIDWATCH_STORE_STORE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "store/records.h"
#include "store/task_standing.h"
#include "store/writes.h"

namespace midwatch {

// Lists come in pages of `limit` at most. `next` asks for the page that follows
// and is unset at the end. A page looks at a bounded number of rows, so one for
// which little is found may be short, or empty, and have a next.
template <typename T>
struct RowPage {
  std::vector<T> rows;
  std::optional<int64_t> next;
};

// A row is listed when all that is set names it.
struct TaskFilter {
  std::optional<int64_t> batch;
  std::vector<v1::TaskState> states;  // empty: any
  std::string queue;                  // empty: any
  Labels labels;                      // all of these
};

struct BatchFilter {
  std::string name;                    // empty: any
  std::vector<v1::BatchState> states;  // empty: any
  std::string queue;                   // empty: any
};

struct MoneyFilter {
  std::optional<RowKey> batch, task;
  std::string tenant, queue;  // empty: any
  absl::Time from = absl::InfinitePast();
  absl::Time until = absl::InfiniteFuture();
  std::vector<JournalKind> kinds;  // empty: any
  bool money_only = false;
};

// Reads of the queue as it stood at one moment (events, which are only ever
// added to, may be newer), on a reader's thread. Every call blocks. Any may
// return kDataLoss (the database is corrupt: stop).
class StoreReader {
 public:
  virtual ~StoreReader() = default;

  // kNotFound: no such row, or made at another time than its key says.
  virtual absl::StatusOr<TaskRecord> GetTask(RowKey task) = 0;
  virtual absl::StatusOr<BatchRecord> GetBatch(RowKey batch) = 0;
  // What the task's start depends on at this moment; its counts are bounded.
  virtual absl::StatusOr<TaskStanding> ReadTaskStanding(RowKey task,
                                                        absl::Time now) = 0;

  // By row, rising, after `after` (0 at first).
  virtual absl::StatusOr<RowPage<TaskRecord>> ListTasks(
      const TaskFilter& filter, int64_t after, int limit) = 0;
  // By row, falling, before `before` (INT64_MAX at first).
  virtual absl::StatusOr<RowPage<BatchRecord>> ListBatches(
      const BatchFilter& filter, int64_t before, int limit) = 0;
  // Those that are done and not deleted. By row, rising, after `after` (0 at
  // first).
  virtual absl::StatusOr<RowPage<Ended>> ListEndedBatches(int64_t after,
                                                          int limit) = 0;
  // Tasks of no batch that ended in `state`, which is final. By row, rising,
  // after `after` (0 at first).
  virtual absl::StatusOr<RowPage<Ended>> ListEndedTasks(v1::TaskState state,
                                                        int64_t after,
                                                        int limit) = 0;
  // When the last deletion began; InfinitePast where there was none.
  virtual absl::StatusOr<absl::Time> LastDeletion() = 0;
  // What the batch opened with this request_id asks of each of its tasks.
  // kNotFound: none was.
  virtual absl::StatusOr<v1::TaskSpec> FindBatchSpec(
      const std::string& request_id) = 0;
  // A batch's journal after `seq`, rising.
  virtual absl::StatusOr<std::vector<JournalRecord>> ListJournal(
      int64_t batch, int64_t after_seq, int limit) = 0;
  virtual absl::StatusOr<int64_t> LastJournalSeq() = 0;
  // The whole journal after `seq`, rising.
  virtual absl::StatusOr<RowPage<JournalRecord>> ListMoney(
      const MoneyFilter& filter, int64_t after_seq, int limit) = 0;
  // By number, rising, after `after` (0 at first), in their windows at `at`.
  virtual absl::StatusOr<RowPage<BudgetRecord>> ListBudgets(absl::Time at,
                                                            int64_t after,
                                                            int limit) = 0;

  // With its last `firings`, newest first.
  //   kNotFound  no such schedule
  virtual absl::StatusOr<ScheduleRecord> FindSchedule(const std::string& name,
                                                      int firings) = 0;
  // By number, rising, after `after` (0 at first), each with its last firing.
  virtual absl::StatusOr<RowPage<ScheduleRecord>> ListSchedules(int64_t after,
                                                                int limit) = 0;
  // Step `k`, from 0, of what a revision of a schedule submits. kNotFound:
  // there is none, as after a newer revision once that one is not needed.
  virtual absl::StatusOr<v1::SubmitBatchRequest> ReadScheduleStep(
      int64_t schedule, int64_t revision, int64_t k) = 0;

  // How tasks of a kind (KindOf) went; empty where none has succeeded.
  virtual absl::StatusOr<KindRecord> ReadKind(const std::string& kind) = 0;

  // Those that a task, a worker or a call has named, by name.
  virtual absl::StatusOr<std::vector<AccountRecord>> ListAccounts() = 0;

  // Those that a task, a budget or a call has named, by name, after `after`
  // ("": from the first on), `limit` at most.
  virtual absl::StatusOr<std::vector<QueueRecord>> ListQueues(
      const std::string& after, int limit) = 0;
  virtual absl::StatusOr<std::vector<TenantRecord>> ListTenants(
      const std::string& after, int limit) = 0;
  // Of this tenant, by key: kKeyCapsMax at most. Empty where nothing has named
  // it.
  virtual absl::StatusOr<std::vector<KeyRecord>> ListKeyCaps(
      const std::string& tenant) = 0;
  // kNotFound: nothing has named it.
  virtual absl::StatusOr<QueueRecord> GetQueue(const std::string& name) = 0;
  virtual absl::StatusOr<TenantRecord> GetTenant(const std::string& name) = 0;

  // Everything that a scheduler which starts must know.
  virtual absl::StatusOr<std::vector<LiveRecord>> ListLive() = 0;
  virtual absl::StatusOr<std::vector<RowKey>> ListCancellingBatches() = 0;
  // Whose deletion is under way.
  virtual absl::StatusOr<std::vector<RowKey>> ListDeletingBatches() = 0;
  virtual absl::StatusOr<absl::Time> NextTimer() = 0;
  // Schedules with something to plan or to submit.
  virtual absl::StatusOr<std::vector<int64_t>> ListAwakeSchedules() = 0;

  // What hooks have to say by `at`, the longest due first.
  virtual absl::StatusOr<std::vector<DueHook>> ListDueHooks(absl::Time at,
                                                            int limit) = 0;

  // Pairs of key and id, for those keys that have one.
  virtual absl::StatusOr<std::vector<std::pair<std::string, std::string>>>
  FindRemoteIds(const std::string& account,
                const std::vector<std::string>& keys) = 0;

  // An attempt's events from `from` on, about 4 MiB at most; empty at the end.
  virtual absl::StatusOr<std::vector<std::string>> ReadEvents(int64_t grant_seq,
                                                              int64_t from) = 0;
  // How many events of the attempt are stored.
  virtual absl::StatusOr<int64_t> CountEvents(int64_t grant_seq) = 0;
};

// Events to be stored at the end of what is stored of an attempt.
struct EventChunk {
  int64_t grant_seq = 0;
  int64_t first_sequence = 0;
  std::vector<std::string> events_json;
};

// Thread-safe, except that it is destroyed after its last call. Callbacks run
// on the executor given when it was opened, never inside the call.
//
// Every method may also return kUnavailable (database busy: try again) and
// kDataLoss (database corrupt: stop). Others are listed where they can occur.
class Store {
 public:
  template <typename T>
  using Callback = absl::AnyInvocable<void(absl::StatusOr<T>)>;

  virtual ~Store() = default;

  // Commits `write` together with others that wait, then calls `done`. Never
  // blocks. Writes commit in the order of the calls, and one that breaks a
  // rule fails alone.
  //   kResourceExhausted  the disk is nearly full (submissions only)
  template <typename W>
  void Apply(W write, Callback<typename W::Result> done) {
    ApplyWrite(
        Write(std::move(write)),
        [done = std::move(done)](absl::StatusOr<WriteResult> result) mutable {
          if (!result.ok()) return done(result.status());
          done(std::get<typename W::Result>(*std::move(result)));
        });
  }

  // Runs `work` with a reader on a reader's thread, then `done` with what it
  // returned.
  template <typename T>
  void Read(absl::AnyInvocable<absl::StatusOr<T>(StoreReader&)> work,
            Callback<T> done) {
    ReadWith([this, work = std::move(work),
              done = std::move(done)](StoreReader& reader) mutable {
      PostHome([result = work(reader), done = std::move(done)]() mutable {
        done(std::move(result));
      });
    });
  }

  // Stores events. Those below the stored end are there already and skipped.
  // The result is the new end.
  //   kOutOfRange  a gap before first_sequence
  virtual void AppendEvents(EventChunk chunk, Callback<int64_t> done) = 0;

  // Called, on the same executor and before the callbacks of its writes, after
  // each commit to a batch's journal: the batches, rising. Set before writes.
  virtual void SetCommitListener(
      std::function<void(const std::vector<int64_t>& batches)> listener) = 0;

  // Chosen at random when the database was made.
  virtual uint16_t cluster() const = 0;
  // What the metadata of its sessions says: the cluster in hex, and from the
  // second life of the database on (see SqliteStoreOptions::moved) that too.
  virtual std::string cluster_mark() const = 0;

 protected:
  virtual void ApplyWrite(Write write, Callback<WriteResult> done) = 0;
  virtual void ReadWith(absl::AnyInvocable<void(StoreReader&)> work) = 0;
  virtual void PostHome(absl::AnyInvocable<void()> task) = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_STORE_STORE_H_
