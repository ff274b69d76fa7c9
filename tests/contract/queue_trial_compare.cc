// What the store shows, against the model.
#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "tests/contract/queue_trial.h"

namespace midwatch::testing {
namespace {

constexpr int kAll = 1000;

template <typename T>
absl::StatusOr<std::vector<T>> RowsOf(absl::StatusOr<RowPage<T>> page) {
  if (!page.ok()) return page.status();
  return std::move(page->rows);
}

std::string Name(v1::TaskState state) { return v1::TaskState_Name(state); }
std::string Name(v1::BatchState state) { return v1::BatchState_Name(state); }
std::string Name(v1::CapScope scope) { return v1::CapScope_Name(scope); }

}  // namespace

absl::StatusOr<QueueTrial::Shown> QueueTrial::Look() {
  return Read<Shown>([&](StoreReader& reader) -> absl::StatusOr<Shown> {
    Shown shown;
    ASSIGN_OR_RETURN(shown.tasks, RowsOf(reader.ListTasks({}, 0, kAll)));
    ASSIGN_OR_RETURN(shown.batches,
                     RowsOf(reader.ListBatches({}, INT64_MAX, kAll)));
    ASSIGN_OR_RETURN(shown.live, reader.ListLive());
    ASSIGN_OR_RETURN(shown.budgets,
                     RowsOf(reader.ListBudgets(clock_.Now(), 0, kAll)));
    ASSIGN_OR_RETURN(shown.journal,
                     RowsOf(reader.ListMoney({}, journal_seq_, kAll)));
    return shown;
  });
}

void QueueTrial::Compare() {
  const absl::StatusOr<Shown> shown = Look();
  if (!shown.ok()) return Differ(shown.status().ToString());
  // Tasks are made in one order; the model learns their numbers.
  Same("the queue", "number of tasks", shown->tasks.size(),
       queue_.tasks.size());
  if (!difference_.empty()) return;
  for (size_t i = 0; i < queue_.tasks.size(); ++i) {
    queue_.tasks[i].key = shown->tasks[i].key;
  }
  CompareJournal(*shown);
  CompareTasks(*shown);
  CompareBatches(*shown);
  CompareBudgets(*shown);
  CompareLive(*shown);
  CompareView();
}

void QueueTrial::CompareJournal(const Shown& shown) {
  for (const JournalRecord& entry : shown.journal) {
    Same("the journal", "next number", entry.seq, ++journal_seq_);
    auto add = [&](ModelSums& sums) {
      sums.reserved += entry.reserve_delta;
      sums.charged += entry.charge_delta;
      sums.over += entry.over_delta;
    };
    if (entry.task) add(task_sums_[entry.task->row]);
    add(batch_sums_[entry.batch]);
  }
}

void QueueTrial::CompareTasks(const Shown& shown) {
  for (size_t i = 0; i < shown.tasks.size(); ++i) {
    const TaskRecord& task = shown.tasks[i];
    const ModelTask& model = queue_.tasks[i];
    const std::string& name = model.is.line.name();
    Same(name, "name", task.name, name);
    Same(name, "state", Name(task.state), Name(model.state));
    Same(name, "number of attempts", static_cast<size_t>(task.attempts),
         model.over.size() + (model.on ? 1 : 0));
    Same(name, "number of failures", task.failures, model.failures);
    Same(name, "max_cost", task.max_cost, model.is.max_cost);
    Same(name, "charge", task.charged, model.charged);
    Same(name, "reservation", task.reserved,
         model.on ? model.on->reserved : int64_t{0});
    Same(name, "number of questions", task.questions.size(),
         model.on ? model.on->open.size() : size_t{0});
    const ModelSums& journal = task_sums_[task.key.row];
    Same(name, "charge in the journal", journal.charged, task.charged);
    Same(name, "reservation in the journal", journal.reserved, task.reserved);
  }
}

void QueueTrial::CompareBatches(const Shown& shown) {
  Same("the queue", "number of batches", shown.batches.size(),
       queue_.batches.size());
  for (const BatchRecord& batch : shown.batches) {
    const std::string& name = batch.request_id;
    auto model = queue_.batches.find(name);
    if (model == queue_.batches.end()) {
      return Differ(absl::StrCat("the model has no ", name));
    }
    Same(name, "state", Name(batch.state), Name(admission_.StateOf(name)));
    Same(name, "number of lines", static_cast<size_t>(batch.lines),
         model->second.lines.size());
    StateCounts counts{};
    for (const ModelTask& task : queue_.tasks) {
      if (task.batch == name) ++counts[static_cast<size_t>(task.state)];
    }
    for (size_t state = 0; state < counts.size(); ++state) {
      Same(name, absl::StrCat("count in state ", state), batch.counts[state],
           counts[state]);
    }
    const bool goes_on = admission_.GoesOn(name);
    const OpenBatch& opened = model->second.opened;
    Same(name, "max_running", batch.max_running, opened.max_running);
    Same(name, "pause", batch.pause.has_value(),
         goes_on && admission_.paused_batches.contains(name));
    Same(name, "pause of its queue", batch.queue_pause.has_value(),
         goes_on && admission_.paused_queues.contains(opened.queue));
    const bool queued = goes_on && counts[v1::TASK_STATE_QUEUED] > 0;
    Same(name, "full cap", Name(batch.full_cap),
         Name(queued ? admission_.FullCapOf(opened)
                     : v1::CAP_SCOPE_UNSPECIFIED));
    const ModelSums sums = money_.SumOf(
        v1::BUDGET_SCOPE_BATCH, name, [](const ModelAttempt&) { return true; });
    Same(name, "charge", batch.charged, sums.charged);
    Same(name, "reservation", batch.reserved, sums.reserved);
    Same(name, "overshoot", batch.over, sums.over);
    const ModelSums& journal = batch_sums_[batch.key.row];
    Same(name, "charge in the journal", journal.charged, batch.charged);
    Same(name, "reservation in the journal", journal.reserved, batch.reserved);
    Same(name, "overshoot in the journal", journal.over, batch.over);
  }
}

void QueueTrial::CompareBudgets(const Shown& shown) {
  Same("the queue", "number of budgets", shown.budgets.size(),
       money_.budgets.size());
  for (const BudgetRecord& budget : shown.budgets) {
    std::string name = budget.name;
    for (const auto& [request, batch] : queue_.batches) {
      if (budget.batch == batch.key) name = request;
    }
    auto model = money_.Find(budget.scope, name, budget.window);
    if (model == money_.budgets.end()) {
      return Differ(absl::StrCat("the model has no budget of ", name));
    }
    const std::string whose = absl::StrCat("the budget of ", name);
    const ModelSums sums = money_.SumOf(*model, clock_.Now());
    Same(whose, "limit", budget.limit, model->limit);
    Same(whose, "charge", budget.charged, sums.charged);
    Same(whose, "reservation", budget.reserved, sums.reserved);
    Same(whose, "overshoot", budget.over, sums.over);
  }
}

void QueueTrial::CompareLive(const Shown& shown) {
  std::set<LeaseKey> store, model;
  for (const LiveRecord& live : shown.live) store.insert(live.lease);
  for (const ModelTask& task : queue_.tasks) {
    if (task.on) model.insert(task.on->lease);
  }
  Same("the queue", "number of live leases", store.size(), model.size());
  for (const LeaseKey& lease : model) {
    if (store.contains(lease)) continue;
    Differ(absl::StrCat("the model alone has the lease of ",
                        queue_.Find(lease.task).is.line.name(), " by worker ",
                        lease.worker, ", epoch ", lease.epoch));
  }
}

void QueueTrial::CompareView() {
  AdmissionView view;
  WorkerOffer offer{workers_[0], kAll, {"east", "west"}};
  auto looked = Apply(
      Admit{{offer}, [&](absl::Time, const auto&, const AdmissionView& shown) {
              view = shown;
              return AdmissionDecisions();
            }});
  if (!looked.ok()) return Differ(looked.status().ToString());
  std::set<int64_t> ready, adoptable;
  for (const LaneView& lane : view.lanes) {
    for (const ReadyTask& task : lane.ready) ready.insert(task.task);
  }
  for (const AdoptableView& each : view.adoptable) adoptable.insert(each.task);
  for (const ModelTask& task : queue_.tasks) {
    const std::string& name = task.is.line.name();
    const bool shown = ready.contains(task.key.row);
    if (shown && !admission_.IsReady(task)) {
      Differ(absl::StrCat(name, " is shown as ready, and is not"));
    }
    // What waits behind a lane that is blocked need not be shown, nor what a
    // timer has not seen that its budget begins anew.
    if (!shown && !timers_are_due_ && admission_.WhyNot(task).empty()) {
      Differ(absl::StrCat(name, " could start, and is not shown as ready"));
    }
    Same(name, "place among the adoptable", adoptable.contains(task.key.row),
         admission_.IsAdoptable(task));
  }
}

}  // namespace midwatch::testing
