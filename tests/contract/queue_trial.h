// Plays a story on a store and on the model, and holds what the store answers
// and shows against the model after each step.
#ifndef MIDWATCH_TESTS_CONTRACT_QUEUE_TRIAL_H_
#define MIDWATCH_TESTS_CONTRACT_QUEUE_TRIAL_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tests/contract/admission_model.h"
#include "tests/contract/money_model.h"
#include "tests/contract/queue_model.h"
#include "tests/contract/queue_story.h"
#include "tests/testing/store_host.h"

namespace midwatch::testing {

class QueueTrial : private StoreHost {
 public:
  explicit QueueTrial(std::unique_ptr<StoreFactory> factory);

  // Where the store differs from the model for the first time; "" where it does
  // not. Plays no further than that.
  std::string Play(const Story& story);

  // What happened, a line for each write.
  const std::vector<std::string>& told() const { return told_; }
  // How often each kind of write was answered so: "Settle ABORTED".
  const std::map<std::string, int>& answers() const { return answers_; }

 private:
  // What the store shows at one moment.
  struct Shown {
    std::vector<TaskRecord> tasks;
    std::vector<BatchRecord> batches;  // by row, falling
    std::vector<LiveRecord> live;
    std::vector<BudgetRecord> budgets;
    std::vector<JournalRecord> journal;  // what came since the last look
  };

  // queue_trial.cc
  void Take(const Step& step);
  void Open(const Step& step);
  void OfBatch(const Step& step);
  void Submit(const Step& step);
  void OfWorker(const Step& step);
  void AdmitSome(const Step& step);
  void OfLease(const Step& step);
  void OfTask(const Step& step);
  void Answer(const Step& step);
  void CostLate(const Step& step);
  void OfBudget(const Step& step);
  void OfAccount(const Step& step);
  void OfQueue(const Step& step);
  void SetCap(const Step& step);
  void Pass(const Step& step);

  // Writes to both, twice where `step` says so, and compares the answers.
  template <typename W>
  absl::StatusOr<typename W::Result> Both(const Step& step,
                                          absl::string_view name,
                                          const W& write,
                                          const std::string& how);
  template <typename W>
  absl::StatusCode TryModel(const W& write);

  // queue_trial_compare.cc
  void Compare();
  absl::StatusOr<Shown> Look();
  void CompareTasks(const Shown& shown);
  void CompareBatches(const Shown& shown);
  void CompareBudgets(const Shown& shown);
  void CompareLive(const Shown& shown);
  void CompareJournal(const Shown& shown);
  // Asks for a view without granting anything.
  void CompareView();

  template <typename T>
  void Same(const std::string& whose, absl::string_view what, const T& store,
            const T& model) {
    if (store == model || !difference_.empty()) return;
    difference_ = absl::StrCat(whose, ": ", what, " is ", store,
                               " for the store, ", model, " for the model");
  }
  void Differ(std::string what) {
    if (difference_.empty()) difference_ = std::move(what);
  }

  QueueModel queue_{clock_};
  MoneyModel money_{queue_};
  AdmissionModel admission_{queue_, money_};
  std::vector<std::string> told_;
  std::map<std::string, int> answers_;
  std::string difference_;
  std::vector<int64_t> workers_;
  bool timers_are_due_ = false;
  std::map<int64_t, std::vector<LeaseKey>> leases_;  // by task, all it had
  int64_t journal_seq_ = 0;
  std::map<int64_t, ModelSums> task_sums_, batch_sums_;  // of the journal
};

using MakeFactory = std::function<std::unique_ptr<StoreFactory>()>;

// What of a story is enough for the store to differ from the model.
Story ShrinkStory(const Story& story, const MakeFactory& make);

// What happens in it, line by line, and then how they differ.
std::string Retell(const Story& story, const MakeFactory& make);

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_CONTRACT_QUEUE_TRIAL_H_
