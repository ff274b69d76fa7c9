// The invariants of a night, checked after each commit and each time that the
// service charges or is told something. Reads the databases by statements of
// its own and the service from the inside.
#ifndef MIDWATCH_TESTS_SIM_CHECKS_H_
#define MIDWATCH_TESTS_SIM_CHECKS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/sqlite.h"
#include "tests/sim/budget_model.h"
#include "tests/sim/counts.h"
#include "tests/sim/deletion_model.h"
#include "tests/sim/firing_model.h"
#include "tests/sim/hook_model.h"
#include "tests/sim/journal_model.h"
#include "tests/sim/output_model.h"
#include "tests/sim/risk_model.h"
#include "tests/sim/single_model.h"
#include "tests/sim/story.h"
#include "tests/sim/violation.h"
#include "tests/testing/fake_agents_service.h"
#include "tests/testing/fake_executor.h"

namespace midwatch::sim {

class Checks {
 public:
  // Both outlive it. Sets the service's hooks for watchers.
  Checks(const testing::VirtualTime& time, testing::FakeAgentsService& service);

  // A scheduler is up; the connections read its files. What was there before
  // must still be.
  void Opened(std::unique_ptr<Sqlite> queue, std::unique_ptr<Sqlite> events);
  void Closed();
  // Something may have been committed.
  void AfterCommit();

  // The story's batch is the first one, and has the rules below.
  static constexpr int64_t kStorysBatch = 1;
  // Its first `lines` lines were acknowledged to their client.
  void Acknowledged(int64_t lines);
  // A session of somebody else's, which nothing may touch.
  void AddStranger(const std::string& session);
  // What the batch's tasks need, by their lines; empty: nothing.
  void SetNeeds(std::vector<TaskNeeds> needs) { needs_ = std::move(needs); }
  // When they may start, likewise; empty: at once.
  void SetStarts(std::vector<TaskStart> starts) { starts_ = std::move(starts); }
  // The batch's rules, and how many tasks it has.
  void SetRules(const Story& story);
  // Some task waits for a person. Only while a scheduler is up.
  bool AnyWaits();
  // A rule has paused the batch, and nobody has resumed it.
  bool held_by_rule() const { return held_by_rule_; }
  // The script made this session end by its task's own fault.
  void OwnFault(const std::string& session);

  // Everything is over, and it is `now`: files, service and journal agree.
  // `tasks`: how many were ever submitted, retries aside.
  void AtEnd(int64_t tasks, absl::Time now);
  // Lines of all batches but the story's and retries, deleted ones with them.
  // Only while a scheduler is up.
  int64_t LinesOfOthers();
  // What hooks said came to their endpoint.
  void CheckHooks(uint16_t cluster, const HookBodies& taken);
  // Where artifacts are.
  void CheckFiles(const std::string& root) {
    if (queue_ == nullptr) return;
    deletions_.CheckFiles(*queue_, root, singles_.files());
  }

  // The wall clock may be set: starts are not compared with it.
  void AllowClockSteps() {
    clock_stepped_ = deletions_.clock_stepped = firings_.clock_stepped = true;
    singles_.clock_stepped = true;
  }

  // Gets each row of the journal, once.
  std::function<void(const JournalRow&)> on_row;

  void Report(const char* invariant, std::string what);
  const std::vector<Violation>& violations() const { return violations_; }
  const JournalModel& journal() const { return journal_; }
  const HookModel& hooks() const { return hooks_; }
  DeletionModel& deletions() { return deletions_; }
  SingleModel& singles() { return singles_; }
  FiringModel& firings() { return firings_; }
  OutputModel& outputs() { return outputs_; }
  // No firing is under way. Only while a scheduler is up.
  bool FiringsAreQuiet() { return FiringModel::IsQuiet(*queue_); }
  // Of journal rows by what they say, and of what the service saw.
  const Counts& counts() const { return counts_; }

 private:
  JournalModel::Report Reporter() {
    return [this](const char* invariant, std::string what) {
      Report(invariant, std::move(what));
    };
  }
  // Nothing of the story's batch that was acknowledged is gone.
  void CheckAcknowledged();
  // What it was of is deleted since, with a commit that its scheduler did not
  // live to tell of.
  bool IsDeletedSince(const JournalRow& row);
  void ReadJournal();
  void Count(const JournalRow& row);
  void CheckBlame(const JournalRow& row, const std::string& session);
  // A task's first start, or its skip, against what it needs.
  void CheckNeeds(const JournalRow& row);
  // Its first start, or its skip, against its delay, its expiry and its key.
  void CheckStart(const JournalRow& row);
  // The same of another batch's tasks, by what the database says they need.
  void CheckOthersNeeds(const JournalRow& row);
  // In the story's batch. Lines are counted from 0.
  int64_t LineOf(int64_t task);
  int64_t TaskOf(int64_t line);
  bool Succeeded(int64_t task) const;
  bool IsOver(int64_t task) const;
  std::vector<int64_t> NeededBy(int64_t task);
  // What people hold back, as the journal says, did not start.
  void CheckHolds(const JournalRow& row);
  void CheckHeldStart(const JournalRow& row);
  // Nor what a canary or a stop rule does, which are judged anew.
  void CheckRules(const JournalRow& row);
  void CountOutcome(const JournalRow& row);
  void CheckRuledStart(const JournalRow& row);
  bool IsStopMet() const;
  bool IsCanaryLost() const;
  void CheckVerdict(const JournalRow& row);
  void CheckBatchMoney();
  void CheckTaskRows(int64_t tasks);
  void CheckSessions();
  void CheckEvents();
  void OnCharged(const testing::FakeSessionView& session);
  void OnSaid(const testing::FakeSessionView& session, const std::string& type);
  void OnArchived(const testing::FakeSessionView& session);

  const testing::VirtualTime& time_;
  testing::FakeAgentsService& service_;
  std::unique_ptr<Sqlite> queue_, events_;  // null while no scheduler is up
  std::vector<Violation> violations_;
  Counts counts_;
  JournalModel journal_;
  BudgetModel budgets_;
  HookModel hooks_;
  RiskModel risks_;
  DeletionModel deletions_;
  SingleModel singles_;
  FiringModel firings_;
  OutputModel outputs_;
  bool clock_stepped_ = false;
  std::map<int64_t, int64_t> line_of_, task_of_;
  std::vector<TaskNeeds> needs_;
  std::vector<TaskStart> starts_;
  int64_t acknowledged_ = 0;
  int64_t came_late_ = 0;  // costs beyond what was charged at a settle
  std::map<std::string, std::string> charged_;  // sessions by attempt
  std::set<std::string> strangers_, own_faults_;
  // Batches by tasks, those being cancelled with them; 0: of none.
  std::map<int64_t, int64_t> running_;
  std::set<int64_t> paused_;  // batches; 0: the queue
  Story rules_;               // of which only the rules, and how many tasks
  bool canary_decided_ = false, held_by_rule_ = false, cancelling_ = false;
  // Of the canary's tasks, how many ended how, and what they cost.
  int64_t canary_good_ = 0, canary_bad_ = 0, canary_out_ = 0;
  int64_t canary_charged_ = 0;
  int64_t ended_ = 0, failed_ = 0;  // that the stop rule counts
  // By batch, and by whose: of 0 all bind all tasks.
  std::map<std::pair<int64_t, std::string>, int64_t> caps_;
};

}  // namespace midwatch::sim

#endif  // MIDWATCH_TESTS_SIM_CHECKS_H_
