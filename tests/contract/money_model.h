// The money of the model's attempts: what is set aside, charged and left, added
// up whenever it is asked for.
//
// Not in it: costs that are unknown at first, and budgets of a month.
#ifndef MIDWATCH_TESTS_CONTRACT_MONEY_MODEL_H_
#define MIDWATCH_TESTS_CONTRACT_MONEY_MODEL_H_

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "tests/contract/queue_model.h"

namespace midwatch::testing {

struct ModelSums {
  int64_t reserved = 0, charged = 0, over = 0;
};

struct ModelBudget {
  v1::BudgetScope scope;
  std::string name;         // of a batch: its request_id
  v1::BudgetWindow window;  // in total, or a day
  int64_t limit = 0;
  int64_t since = 0;  // counts grants from there on

  // Whether the window that `at` is in counts the attempt.
  bool Counts(const ModelAttempt& each, absl::Time at) const {
    auto day = [](absl::Time t) { return absl::ToUnixSeconds(t) / 86'400; };
    return each.number >= since &&
           (window == v1::BUDGET_WINDOW_TOTAL || day(each.at) == day(at));
  }
};

class MoneyModel {
 public:
  // The question of a session that has spent its budget.
  static constexpr char kRaise[] = "raise";

  explicit MoneyModel(QueueModel& queue) : queue_(queue) {}

  std::vector<ModelBudget> budgets;

  void Do(const SetBudget& w) {
    if (w.scope == v1::BUDGET_SCOPE_TASK) return SetMaxCost(w);
    auto known = Find(w.scope, NameOf(w), w.window);
    if (known != budgets.end()) {
      known->limit = w.limit;
      return;
    }
    // A batch's total counts all that it ever cost.
    const bool counts_all = w.scope == v1::BUDGET_SCOPE_BATCH &&
                            w.window == v1::BUDGET_WINDOW_TOTAL;
    budgets.push_back(
        {w.scope, NameOf(w), w.window, w.limit, counts_all ? 0 : grants_});
  }
  void Do(const DeleteBudget& w) {
    auto known = Find(w.scope, NameOf(w), w.window);
    if (known == budgets.end()) throw kNotFound;
    budgets.erase(known);
  }
  // Raises are looked at before the queue's model notes the answer.
  void Do(const AnswerTask& w) {
    ModelTask& task = queue_.Find(w.task.row);
    if (!task.on) return;
    ModelAttempt& on = *task.on;
    const bool only = w.question.empty() && on.open.size() == 1;
    const std::string id = only ? *on.open.begin() : w.question;
    if (!on.open.contains(id)) return;
    const bool raises = w.kind == v1::SAY_KIND_BUDGET;
    if (raises != (id == kRaise)) throw kFailedPrecondition;
    if (!raises) return;
    const int64_t to = std::stoll(w.text);
    const int64_t more = to + on.overshoot - on.reserved;
    if (more <= 0) return;
    if (RoomFor(task, on) < more) throw kFailedPrecondition;
    on.reserved += more;
    task.is.max_cost = std::max(task.is.max_cost, task.charged + to);
  }
  // A session's cost only grows, and is asked once.
  void Do(const CompleteErrands& w) {
    for (const DoneErrand& errand : w.errands) {
      for (ModelTask& task : queue_.tasks) {
        for (ModelAttempt& each : task.over) {
          if (each.session != errand.session) continue;
          if (!archived_.insert(errand.session).second) continue;
          const int64_t late =
              std::max<int64_t>(0, *errand.cost - each.charged);
          each.late += late;
          each.charged += late;
          task.charged += late;
        }
      }
    }
  }
  // What came late may have left too little for another attempt.
  void Do(const FireTimers&) {
    for (ModelTask& task : queue_.tasks) {
      const bool due = task.state == v1::TASK_STATE_QUEUED && task.delayed &&
                       task.ready_at <= queue_.clock.Now();
      if (due && !IsEnoughLeft(task.is.max_cost, task.charged)) {
        task.state = v1::TASK_STATE_FAILED;
      }
    }
  }

  template <typename F>
  ModelSums SumOf(v1::BudgetScope scope, const std::string& name,
                  F counts) const {
    ModelSums sums;
    for (const ModelTask& task : queue_.tasks) {
      if (NameIn(task, scope) != name) continue;
      for (const ModelAttempt& each : task.over) {
        if (!counts(each)) continue;
        sums.charged += each.charged;
        sums.over += std::max<int64_t>(0, each.charged - each.reserved);
      }
      if (task.on && counts(*task.on)) sums.reserved += task.on->reserved;
    }
    return sums;
  }
  // In the budget's window at that time.
  ModelSums SumOf(const ModelBudget& budget, absl::Time at) const {
    return SumOf(budget.scope, budget.name, [&](const ModelAttempt& each) {
      return budget.Counts(each, at);
    });
  }
  std::vector<ModelBudget>::iterator Find(v1::BudgetScope scope,
                                          const std::string& name,
                                          v1::BudgetWindow window) {
    return std::ranges::find_if(budgets, [&](const ModelBudget& each) {
      return each.scope == scope && each.name == name && each.window == window;
    });
  }

  bool HasRoomFor(const ModelTask& task) const {
    return RoomFor(task, Next()) >= ToReserve(task);
  }
  // An attempt of the task that is granted now, with what is set aside for it.
  ModelAttempt Begin(const ModelTask& task) {
    ModelAttempt begun = Next();
    begun.reserved = ToReserve(task);
    const int64_t room = RoomFor(task, begun);
    // As much as may be, where budgets bind it.
    if (room < kNoBudget) {
      begun.overshoot = std::min(Dearest(), room - begun.reserved);
      begun.reserved += begun.overshoot;
    }
    ++grants_;
    return begun;
  }

 private:
  static constexpr int64_t kNoBudget = std::numeric_limits<int64_t>::max();

  static const std::string& NameIn(const ModelTask& task,
                                   v1::BudgetScope scope) {
    return scope == v1::BUDGET_SCOPE_TENANT  ? task.tenant
           : scope == v1::BUDGET_SCOPE_QUEUE ? task.queue
                                             : task.batch;
  }
  std::string NameOf(const auto& w) const {
    for (const auto& [request, batch] : queue_.batches) {
      if (w.scope == v1::BUDGET_SCOPE_BATCH && batch.key == w.row) {
        return request;
      }
    }
    return w.name;
  }

  void SetMaxCost(const SetBudget& w) {
    ModelTask& task = queue_.Find(w.row.row);
    const bool too_little = task.state == v1::TASK_STATE_QUEUED &&
                            !IsEnoughLeft(w.limit, task.charged);
    if (task.state > v1::TASK_STATE_CANCELLING || too_little)
      throw kFailedPrecondition;
    task.is.max_cost = w.limit;
  }
  int64_t ToReserve(const ModelTask& task) const {
    return std::max<int64_t>(task.is.max_cost - task.charged, 10'000);
  }

  // An attempt that is granted now.
  ModelAttempt Next() const {
    return {.number = grants_, .at = queue_.clock.Now()};
  }
  // For the attempt in the budget that has the least.
  int64_t RoomFor(const ModelTask& task, const ModelAttempt& attempt) const {
    int64_t room = kNoBudget;
    for (const ModelBudget& budget : budgets) {
      if (NameIn(task, budget.scope) != budget.name) continue;
      if (!budget.Counts(attempt, attempt.at)) continue;
      const ModelSums sums = SumOf(budget, attempt.at);
      room = std::min(room, budget.limit - sums.charged - sums.reserved);
    }
    return room;
  }
  // The most that a session went beyond its own budget, as far as was known
  // when it was settled.
  int64_t Dearest() const {
    int64_t dearest = 0;
    for (const ModelTask& task : queue_.tasks) {
      for (const ModelAttempt& each : task.over) {
        const int64_t budget = each.reserved - each.overshoot;
        dearest = std::max(dearest, each.charged - each.late - budget);
      }
    }
    return dearest;
  }

  QueueModel& queue_;
  int64_t grants_ = 0;
  std::set<std::string> archived_;  // sessions
};

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_CONTRACT_MONEY_MODEL_H_
