// What is deleted, and what may be: batches, what hangs on them, and their
// artifacts' files. By the journal, which tells when a batch begins to go, and
// the database as it is in that moment and at the end.
#ifndef MIDWATCH_TESTS_SIM_DELETION_MODEL_H_
#define MIDWATCH_TESTS_SIM_DELETION_MODEL_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/sqlite.h"
#include "scheduler/retention.h"
#include "tests/sim/counts.h"
#include "tests/sim/hook_model.h"
#include "tests/sim/journal_model.h"

namespace midwatch::sim {

class DeletionModel {
 public:
  // `hooks` and `counts` outlive it.
  DeletionModel(JournalModel::Report report, const HookModel& hooks,
                Counts& counts)
      : report_(std::move(report)), hooks_(hooks), counts_(counts) {}

  // By which the scheduler deletes of itself.
  RetentionRules rules;
  // The wall clock may be set: what is old cannot be said.
  bool clock_stepped = false;

  // What was acknowledged is gone, and stays so.
  void Opened(Sqlite& queue);
  // Each row once, while what it tells of is there.
  void Fold(const JournalRow& row, Sqlite& queue);
  // A client was told that the batch is deleted.
  void Acknowledged(int64_t batch) { batches_[batch].acknowledged = true; }

  // Every batch is done.
  bool AllOver() const;
  // It is not done, or is being tried again.
  bool IsOpen(int64_t batch) const;
  bool IsDeleted(int64_t batch) const;
  bool AnyDeleted() const;
  // How many of these are no retries.
  int64_t gone_originals() const { return gone_originals_; }

  // Nothing is under way any more, and it is `now`.
  void AtEnd(Sqlite& queue, const JournalModel& journal, absl::Time now);
  // Nor has any file that nothing refers to been left in place, of these and
  // of single tasks; `root` is where the artifacts are.
  void CheckFiles(Sqlite& queue, const std::string& root,
                  const std::set<std::string>& of_singles);

 private:
  struct Batch {
    bool opened = false, done = false, deleted = false, acknowledged = false;
    absl::Time done_at;
    int64_t queue = 0, retry_of = 0;
    std::vector<int64_t> tasks;  // that went with it
  };

  void Mark(const JournalRow& row, Sqlite& queue);
  void CheckMayGo(const JournalRow& row, Sqlite& queue);
  bool IsRetriedNow(int64_t batch) const;
  bool IsTooMany(int64_t batch) const;
  void CheckGone(int64_t id, const Batch& batch, Sqlite& queue,
                 const JournalModel& journal);
  void CheckRowsOf(const Batch& batch, Sqlite& queue);
  void CheckKept(Sqlite& queue);
  void CheckSums(Sqlite& queue, const JournalModel& journal);
  void CheckRetention(Sqlite& queue, absl::Time now);

  JournalModel::Report report_;
  const HookModel& hooks_;
  Counts& counts_;
  std::map<int64_t, Batch> batches_;
  std::set<std::string> files_;  // that deleted tasks had left
  int64_t gone_originals_ = 0;
  bool any_retry_ = false;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_DELETION_MODEL_H_
