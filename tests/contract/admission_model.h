// Who may start, as it follows from the models of queue and money: caps, keys
// and accounts.
//
// Not in it: accounts that refuse, and whose turn it is among lanes.
#ifndef MIDWATCH_TESTS_CONTRACT_ADMISSION_MODEL_H_
#define MIDWATCH_TESTS_CONTRACT_ADMISSION_MODEL_H_

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "tests/contract/money_model.h"
#include "tests/contract/queue_model.h"

namespace midwatch::testing {

class AdmissionModel {
 public:
  AdmissionModel(QueueModel& queue, MoneyModel& money)
      : queue_(queue), money_(money) {}

  std::map<std::string, absl::Time> paused;  // accounts, until when

  void Do(const PauseAccount& w) { paused[w.account] = w.until; }
  void Do(const ResumeAccount& w) { paused.erase(w.account); }
  void Do(const FireTimers&) {
    const absl::Time now = queue_.clock.Now();
    std::erase_if(paused, [&](auto& each) { return each.second <= now; });
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
    return money_.HasRoomFor(task) ? "" : "does not fit a budget";
  }

  // Carries out what was granted, new or on already. Returns what is wrong with
  // it.
  std::string Take(const GrantRecord& grant) {
    ModelTask& task = queue_.Find(grant.task.row);
    if (!task.on) {
      if (std::string why = WhyNot(task); !why.empty()) return why;
      ModelAttempt begun = money_.Begin(task);
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
    const int64_t budget = task.on->reserved - task.on->overshoot;
    return grant.budget == budget ? "" : "has another budget";
  }

 private:
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

  QueueModel& queue_;
  MoneyModel& money_;
};

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_CONTRACT_ADMISSION_MODEL_H_
