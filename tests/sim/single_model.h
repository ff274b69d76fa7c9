// Single tasks, those of no batch, which the scheduler deletes by its rules:
// which may go, and what is left of them. What is deleted goes with one commit,
// of which the journal says no more than how many: it is found by who is
// missing then, and judged by what was known of it before.
#ifndef MIDWATCH_TESTS_SIM_SINGLE_MODEL_H_
#define MIDWATCH_TESTS_SIM_SINGLE_MODEL_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "base/sqlite.h"
#include "scheduler/retention.h"
#include "tests/sim/counts.h"
#include "tests/sim/journal_model.h"

namespace midwatch::sim {

class SingleModel {
 public:
  // `counts` outlives it.
  SingleModel(JournalModel::Report report, Counts& counts)
      : report_(std::move(report)), counts_(counts) {}

  // By which the scheduler deletes of itself.
  RetentionRules rules;
  // The wall clock may be set: what is old cannot be said.
  bool clock_stepped = false;
  // What it asks of others: whether the service has the session archived, and
  // whether the batch is not done, or is being tried again.
  std::function<bool(const std::string& session)> is_archived;
  std::function<bool(int64_t batch)> is_open;
  // Some were deleted.
  std::function<void()> on_deleted;

  // What is deleted stays so.
  void Opened(Sqlite& queue);
  // Each row once.
  void Fold(const JournalRow& row, Sqlite& queue);
  // A client was told that its task is deleted, or which one it is.
  void ToldDeleted(int64_t task);
  void ToldOf(int64_t task);

  bool AllOver() const;
  bool AnyDeleted() const { return !gone_.empty(); }
  // How many were submitted, retries aside, and how many of these are gone.
  int64_t submitted() const { return submitted_; }
  int64_t gone_originals() const { return gone_originals_; }
  // That deleted ones had left.
  const std::set<std::string>& files() const { return files_; }

  // Nothing is under way any more, and it is `now`.
  void AtEnd(Sqlite& queue, absl::Time now);

 private:
  struct Task {
    bool over = false;
    absl::Time ended, last;  // its end, and its last row of the journal
    int64_t retry_of = 0;
    int64_t batch = 0;  // of the task that it does in the end; 0: its own
    std::set<std::string> sessions, files;
  };

  void Submitted(const JournalRow& row, Sqlite& queue);
  void End(const JournalRow& row, Task& task, Sqlite& queue);
  void Mark(const JournalRow& row, Sqlite& queue);
  void CheckMayGo(const JournalRow& row, int64_t id, Sqlite& queue);
  bool IsTooMany(int64_t id, absl::Time before) const;
  void CheckHours(Sqlite& queue);
  void CheckLabels(Sqlite& queue);
  void CheckRetention(Sqlite& queue, absl::Time now);
  bool HasToStay(int64_t id, Sqlite& queue, absl::Time& since) const;

  JournalModel::Report report_;
  Counts& counts_;
  std::map<int64_t, Task> tasks_;       // gone ones too
  std::map<int64_t, absl::Time> gone_;  // and since when
  std::set<std::string> files_;
  std::map<int64_t, JournalMoney> by_hour_;
  int64_t submitted_ = 0, gone_originals_ = 0, told_ = 0;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_SINGLE_MODEL_H_
