// Which batches are at risk, by the rule of docs/hooks.md and what the journal
// says: told where they come to be, and only there. Shares nothing with what
// judges them. Where the journal does not say enough (how often an attempt was
// begun, what waits in a lane) both are allowed.
#ifndef MIDWATCH_TESTS_SIM_RISK_MODEL_H_
#define MIDWATCH_TESTS_SIM_RISK_MODEL_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "base/sqlite.h"
#include "tests/sim/counts.h"
#include "tests/sim/journal_model.h"

namespace midwatch::sim {

class RiskModel {
 public:
  using Report = JournalModel::Report;
  // `counts` outlives it.
  RiskModel(Report report, Counts& counts)
      : report_(std::move(report)), counts_(counts) {}

  // A scheduler is up since `now`; infinite where clocks cannot be compared.
  void Opened(absl::Time now) { opened_ = now; }
  // Each row once, while what it tells of is there.
  void Fold(const JournalRow& row, Sqlite& queue);
  // No other row is of the same commit.
  void Committed(Sqlite& queue);

  bool WasAtRisk(int64_t batch) const;

 private:
  enum class Answer { kNo, kYes, kUnknown };
  struct TaskSums {
    int64_t charged = 0;
    int attempts = 0;
    absl::Time granted_at, parked_at = absl::InfiniteFuture();
    absl::Time held_at = absl::InfiniteFuture();  // for its account
    absl::Duration parked_for;
    bool runs = false, ends = false, over = false;
  };
  struct Batch {
    absl::Time deadline = absl::InfiniteFuture();
    // Lowest and highest that may have bound in the commit; none: no budget.
    std::optional<int64_t> budget_low, budget_high;
    bool sealed = false, paused = false, canary_open = false;
    int64_t canary = 0, lines = 0, over = 0, charged = 0;
    absl::Time sealed_at;
    // The first commit of this life of a scheduler after the deadline.
    absl::Time beyond_since = absl::InfinitePast();
    std::map<int64_t, TaskSums> tasks;
    // Of those that succeeded or failed.
    int64_t ended = 0, cost = 0, reserved = 0;
    double squares = 0;
    absl::Duration time_low, time_high;
    absl::Time since = absl::InfiniteFuture();
    Answer at_risk = Answer::kNo;
    bool was = false;
    // A task has just ended, so it is looked at; and whether it says something.
    std::optional<absl::Time> look;
    bool says = false;
  };

  void Open(int64_t id, Sqlite& queue);
  void SetBudget(const JournalRow& row);
  void FoldTask(const JournalRow& row, Batch& batch, Sqlite& queue);
  void EndTask(const JournalRow& row, TaskSums& task, Batch& batch,
               Sqlite& queue);
  static void Forget(Batch& batch);
  static void Unpark(TaskSums& task, absl::Time at);
  void Say(const JournalRow& row, Batch& batch);
  void Judge(int64_t id, Batch& batch);
  void ReadBudgets(Sqlite& queue, bool in_commit);
  void CheckDeadlines(absl::Time now);
  static Answer AtRisk(const Batch& batch, absl::Time now);
  static Answer OverBudget(const Batch& batch, int64_t left);
  static Answer Late(const Batch& batch, int64_t left, absl::Time now);

  Report report_;
  Counts& counts_;
  absl::Time opened_ = absl::InfiniteFuture();
  absl::Time last_;  // row's
  std::map<int64_t, Batch> batches_;
  int64_t looked_ = 0;  // the batch that has a look; 0: none
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_RISK_MODEL_H_
