// What each budget of the night holds, as the journal adds up. Some are
// deleted, and set again.
#ifndef MIDWATCH_TESTS_SIM_BUDGET_MODEL_H_
#define MIDWATCH_TESTS_SIM_BUDGET_MODEL_H_

#include <cstdint>
#include <map>
#include <utility>

#include "base/sqlite.h"
#include "tests/sim/counts.h"
#include "tests/sim/journal_model.h"

namespace midwatch::sim {

class BudgetModel {
 public:
  // `journal` has folded each row before this does. Both outlive it.
  BudgetModel(JournalModel::Report report, Counts& counts,
              const JournalModel& journal)
      : report_(std::move(report)), counts_(counts), journal_(journal) {}

  // Each row once.
  void Fold(const JournalRow& row);
  // After each commit, when its rows are folded. So many micro-dollars came
  // after the settle of what they are of.
  void Committed(Sqlite& queue, int64_t came_late);

 private:
  // All tasks are of one tenant and one queue.
  struct Budget {
    bool is_there = false;
    // It counts what was granted after it was set.
    int64_t since = 0;
    JournalMoney money;
  };

  void Set(const JournalRow& row);
  void Delete(const JournalRow& row);
  void CheckRoom(int64_t batch, int64_t limit, const JournalMoney& held,
                 int64_t came_late);

  JournalModel::Report report_;
  Counts& counts_;
  const JournalModel& journal_;
  Budget tenant_, queue_;
  // By task and attempt, the row that granted it.
  std::map<std::pair<int64_t, int32_t>, int64_t> granted_;
  // By batch, how much more than its budget it had when that was set; an
  // entry: it has one.
  std::map<int64_t, int64_t> beyond_;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_BUDGET_MODEL_H_
