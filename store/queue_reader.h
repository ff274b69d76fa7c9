#ifndef MIDWATCH_STORE_QUEUE_READER_H_
#define MIDWATCH_STORE_QUEUE_READER_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/sqlite.h"
#include "store/store.h"

namespace midwatch {

// The first columns of each statement that reads the journal: seq, at, kind,
// the task's id, at and name, n, state, the three deltas, class, why, who.
JournalRecord ReadJournalRow(const SqliteStatement& row);

// Three columns from `column` on: when a pause began, why, until when.
std::optional<PauseRecord> ReadPause(const SqliteStatement& row, int column);

// Five columns from `column` on: state, why, since, until, next_probe, all NULL
// for an account that was never but open. Without what only the writer needs to
// know.
AccountStanding ReadStanding(const SqliteStatement& row, int column);

// Of `firing f LEFT JOIN batch b ON b.id = f.batch`: what ReadFiringRow reads.
#define MIDWATCH_FIRING_COLUMNS                                   \
  "f.id, f.key, f.due, f.state, f.at, f.by_hand, f.batch, b.at, " \
  "f.batch_name, f.why, f.revision"
FiringRecord ReadFiringRow(const SqliteStatement& row);
// When a schedule's pause ends by itself, of its column `paused`.
absl::Time PauseEndOf(int64_t paused);

// StoreReader on a read-only connection to each of the two files. A read
// transaction lives for one Store::Read, a page at most, so readers never hold
// back the write-ahead log for long.
class SqliteReader final : public StoreReader {
 public:
  SqliteReader(std::unique_ptr<Sqlite> queue, std::unique_ptr<Sqlite> events)
      : queue_(std::move(queue)), events_(std::move(events)) {}

  // Between the two, whatever is read of the queue is of one moment.
  absl::Status BeginMoment() { return queue_->Run("BEGIN"); }
  void EndMoment() { (void)queue_->Run("COMMIT"); }

  absl::StatusOr<TaskRecord> GetTask(RowKey task) override;
  absl::StatusOr<BatchRecord> GetBatch(RowKey batch) override;
  absl::StatusOr<TaskStanding> ReadTaskStanding(RowKey task,
                                                absl::Time now) override;
  absl::StatusOr<RowPage<TaskRecord>> ListTasks(const TaskFilter& filter,
                                                int64_t after,
                                                int limit) override;
  absl::StatusOr<RowPage<BatchRecord>> ListBatches(const BatchFilter& filter,
                                                   int64_t before,
                                                   int limit) override;
  absl::StatusOr<v1::TaskSpec> FindBatchSpec(
      const std::string& request_id) override;
  absl::StatusOr<std::vector<JournalRecord>> ListJournal(int64_t batch,
                                                         int64_t after_seq,
                                                         int limit) override;
  absl::StatusOr<int64_t> LastJournalSeq() override;
  absl::StatusOr<RowPage<JournalRecord>> ListMoney(const MoneyFilter& filter,
                                                   int64_t after_seq,
                                                   int limit) override;
  absl::StatusOr<RowPage<BudgetRecord>> ListBudgets(absl::Time at,
                                                    int64_t after,
                                                    int limit) override;
  absl::StatusOr<ScheduleRecord> FindSchedule(const std::string& name,
                                              int firings) override;
  absl::StatusOr<RowPage<ScheduleRecord>> ListSchedules(int64_t after,
                                                        int limit) override;
  absl::StatusOr<v1::SubmitBatchRequest> ReadScheduleStep(int64_t schedule,
                                                          int64_t revision,
                                                          int64_t k) override;
  absl::StatusOr<KindRecord> ReadKind(const std::string& kind) override;
  absl::StatusOr<std::vector<AccountRecord>> ListAccounts() override;
  absl::StatusOr<std::vector<QueueRecord>> ListQueues(const std::string& after,
                                                      int limit) override;
  absl::StatusOr<std::vector<TenantRecord>> ListTenants(
      const std::string& after, int limit) override;
  absl::StatusOr<std::vector<KeyRecord>> ListKeyCaps(
      const std::string& tenant) override;
  absl::StatusOr<QueueRecord> GetQueue(const std::string& name) override;
  absl::StatusOr<TenantRecord> GetTenant(const std::string& name) override;
  absl::StatusOr<std::vector<LiveRecord>> ListLive() override;
  absl::StatusOr<std::vector<RowKey>> ListCancellingBatches() override;
  absl::StatusOr<std::vector<RowKey>> ListDeletingBatches() override;
  absl::StatusOr<RowPage<Ended>> ListEndedTasks(v1::TaskState state,
                                                int64_t after,
                                                int limit) override;
  absl::StatusOr<RowPage<Ended>> ListEndedBatches(int64_t after,
                                                  int limit) override;
  absl::StatusOr<absl::Time> LastDeletion() override;
  absl::StatusOr<absl::Time> NextTimer() override;
  absl::StatusOr<std::vector<int64_t>> ListAwakeSchedules() override;
  absl::StatusOr<std::vector<DueHook>> ListDueHooks(absl::Time at,
                                                    int limit) override;
  absl::StatusOr<std::vector<std::pair<std::string, std::string>>>
  FindRemoteIds(const std::string& account,
                const std::vector<std::string>& keys) override;
  absl::StatusOr<std::vector<std::string>> ReadEvents(int64_t grant_seq,
                                                      int64_t from) override;
  absl::StatusOr<int64_t> CountEvents(int64_t grant_seq) override;

 private:
  // control_reader.cc
  absl::Status CountTasks(const std::vector<int64_t>& labels,
                          std::vector<QueueRecord*> queues);
  absl::StatusOr<std::map<int64_t, int64_t>> RunningByTenant();
  absl::StatusOr<std::vector<AttemptRecord>> ListAttempts(int64_t task);
  // The number of the last journal row before `at`.
  absl::StatusOr<int64_t> SeqBefore(absl::Time at);
  absl::Status ReadBalance(BudgetRecord& budget, int64_t ref, absl::Time at);
  // What it waits for: a person, or other tasks.
  absl::Status AddQuestions(TaskRecord& task);
  absl::Status AddFirings(ScheduleRecord& schedule, int limit);
  absl::Status AddWaits(TaskRecord& task);
  absl::Status AddHooks(BatchRecord& batch);

  std::unique_ptr<Sqlite> queue_;
  std::unique_ptr<Sqlite> events_;
};

}  // namespace midwatch

#endif  // MIDWATCH_STORE_QUEUE_READER_H_
