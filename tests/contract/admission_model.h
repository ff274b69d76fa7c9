// Who may start, as it follows from the model of the queue: money, caps, keys
// and accounts. Balances are added up whenever they are asked for.
#ifndef MIDWATCH_TESTS_CONTRACT_ADMISSION_MODEL_H_
#define MIDWATCH_TESTS_CONTRACT_ADMISSION_MODEL_H_

#include <algorithm>
#include <limits>
#include <map>
#include <string>
#include <utility>

#include "tests/contract/queue_model.h"

namespace midwatch::testing {

struct ModelSums {
  int64_t reserved = 0, charged = 0, over = 0;
};

struct ModelBudget {
  int64_t limit = 0;
  int64_t since = 0;  // counts grants from there on
};

class AdmissionModel {
 public:
  explicit AdmissionModel(QueueModel& queue) : queue_(queue) {}

  // By scope, and its tenant, queue or batch's request_id.
  std::map<std::pair<v1::BudgetScope, std::string>, ModelBudget> budgets;
  std::map<std::string, absl::Time> paused;  // accounts, until when

  void Do(const SetBudget& w) {
    if (w.scope == v1::BUDGET_SCOPE_TASK) return SetMaxCost(w);
    auto [it, is_new] = budgets.try_emplace({w.scope, NameOf(w)});
    it->second.limit = w.limit;
    // A batch's counts all that it ever cost.
    const bool counts_all = w.scope == v1::BUDGET_SCOPE_BATCH;
    if (is_new && !counts_all) it->second.since = grants_;
  }
  void Do(const DeleteBudget& w) {
    if (budgets.erase({w.scope, NameOf(w)}) == 0) throw kNotFound;
  }
  void Do(const PauseAccount& w) { paused[w.account] = w.until; }
  void Do(const ResumeAccount& w) { paused.erase(w.account); }
  void Do(const FireTimers&) {
    const absl::Time now = queue_.clock.Now();
    std::erase_if(paused, [&](auto& each) { return each.second <= now; });
  }

  ModelSums SumOf(v1::BudgetScope scope, const std::string& name,
                  int64_t since = 0) const {
    ModelSums sums;
    for (const ModelTask& task : queue_.tasks) {
      if (NameIn(task, scope) != name) continue;
      for (const ModelAttempt& each : task.over) {
        if (each.number < since) continue;
        sums.charged += each.charged;
        sums.over += std::max<int64_t>(0, each.charged - each.reserved);
      }
      if (task.on && task.on->number >= since) {
        sums.reserved += task.on->reserved;
      }
    }
    return sums;
  }

  // A batch is done once it is sealed or cancelled and all its tasks are over.
  v1::BatchState StateOf(const std::string& request) const {
    const v1::BatchState state = queue_.batches.at(request).state;
    for (const ModelTask& task : queue_.tasks) {
      if (task.batch == request && !IsFinal(task)) return state;
    }
    return state == v1::BATCH_STATE_OPEN ? state : v1::BATCH_STATE_DONE;
  }

  bool IsReady(const ModelTask& task) const {
    return task.state == v1::TASK_STATE_QUEUED && !task.delayed &&
           !paused.contains(task.account);
  }
  // Live, and nobody's.
  bool IsAdoptable(const ModelTask& task) const {
    return task.on && task.on->lease.worker == 0 && task.on->open.empty() &&
           !paused.contains(task.account);
  }
  int64_t ToReserve(const ModelTask& task) const {
    return std::max<int64_t>(task.is.max_cost - task.charged, 10'000);
  }

  // Why the task may not start now; "" where it may.
  std::string WhyNot(const ModelTask& task) const {
    if (!IsReady(task)) return "is not ready";
    int running = 0;
    for (const ModelTask& other : queue_.tasks) {
      if (IsReady(other) && SameLane(other, task) &&
          TurnOf(other) < TurnOf(task)) {
        return "is not the first of its lane";
      }
      if (!other.on) continue;
      if (!task.is.concurrency_key.empty() && other.tenant == task.tenant &&
          other.is.concurrency_key == task.is.concurrency_key) {
        return "is not the only one on of its key";
      }
      running += other.batch == task.batch && !IsParked(other) ? 1 : 0;
    }
    if (auto batch = queue_.batches.find(task.batch);
        batch != queue_.batches.end()) {
      const int cap = batch->second.opened.max_running;
      if (cap > 0 && running >= cap) return "is one too many of its batch";
    }
    return RoomFor(task) < ToReserve(task) ? "does not fit a budget" : "";
  }

  // Carries out what was granted, new or on already. Returns what is wrong with
  // it.
  std::string Take(const GrantRecord& grant) {
    ModelTask& task = queue_.Find(grant.task.row);
    if (!task.on) {
      if (std::string why = WhyNot(task); !why.empty()) return why;
      const int64_t reserve = ToReserve(task);
      const int64_t room = RoomFor(task);
      ModelAttempt begun{.number = grants_++, .reserved = reserve};
      // As much as may be, where budgets bind it.
      if (room < kNoBudget) {
        begun.overshoot = std::min(Dearest(), room - reserve);
        begun.reserved += begun.overshoot;
      }
      begun.lease.attempt = static_cast<int32_t>(task.over.size()) + 1;
      begun.lease.epoch = task.over.empty() ? 0 : task.over.back().lease.epoch;
      task.state = v1::TASK_STATE_RUNNING;
      task.on = std::move(begun);
    } else if (!IsAdoptable(task)) {
      return "is not to be adopted";
    }
    LeaseKey& lease = task.on->lease;
    if (grant.lease.epoch <= lease.epoch) return "has no higher epoch";
    if (grant.lease.attempt != lease.attempt) return "is another attempt";
    if (grant.session_id != task.on->session) return "has another session";
    lease = grant.lease;
    return grant.budget == task.on->reserved - task.on->overshoot
               ? ""
               : "has another budget";
  }

 private:
  static constexpr int64_t kNoBudget = std::numeric_limits<int64_t>::max();

  static bool IsFinal(const ModelTask& task) {
    return task.state > v1::TASK_STATE_CANCELLING;
  }
  static bool IsParked(const ModelTask& task) {
    return task.state == v1::TASK_STATE_WAITING;
  }
  static bool SameLane(const ModelTask& a, const ModelTask& b) {
    return a.tenant == b.tenant && a.queue == b.queue &&
           a.account == b.account && a.batch == b.batch &&
           a.is.concurrency_key == b.is.concurrency_key;
  }
  static std::pair<int64_t, int64_t> TurnOf(const ModelTask& task) {
    return {RankOf(task.ready_at, task.is.priority), task.key.row};
  }
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
    if (IsFinal(task) || too_little) throw kFailedPrecondition;
    task.is.max_cost = w.limit;
  }
  // In the budget that has the least.
  int64_t RoomFor(const ModelTask& task) const {
    int64_t room = kNoBudget;
    for (const auto& [name, budget] : budgets) {
      if (NameIn(task, name.first) != name.second) continue;
      const ModelSums sums = SumOf(name.first, name.second, budget.since);
      room = std::min(room, budget.limit - sums.charged - sums.reserved);
    }
    return room;
  }
  // The most that a session went beyond its own budget.
  int64_t Dearest() const {
    int64_t dearest = 0;
    for (const ModelTask& task : queue_.tasks) {
      for (const ModelAttempt& each : task.over) {
        dearest =
            std::max(dearest, each.charged - (each.reserved - each.overshoot));
      }
    }
    return dearest;
  }

  QueueModel& queue_;
  int64_t grants_ = 0;
};

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_CONTRACT_ADMISSION_MODEL_H_
