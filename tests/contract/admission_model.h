// Who may start, as it follows from the models of queue and money: caps, keys,
// pauses and accounts.
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

  using Pauses = std::map<std::string, absl::Time>;  // until when
  Pauses paused;                                     // accounts
  Pauses paused_queues, paused_batches;              // batches by request_id
  std::map<std::pair<Controlled, std::string>, int> caps;
  std::map<std::pair<std::string, std::string>, int> key_caps;  // by tenant

  void Do(const PauseAccount& w) { paused[w.account] = w.until; }
  void Do(const ResumeAccount& w) { paused.erase(w.account); }
  void Do(const PauseQueue& w) { paused_queues[w.queue] = w.until; }
  void Do(const ResumeQueue& w) { paused_queues.erase(w.queue); }
  void Do(const PauseBatch& w) { paused_batches[GoingOn(w.batch)] = w.until; }
  void Do(const ResumeBatch& w) { paused_batches.erase(GoingOn(w.batch)); }
  void Do(const SetBatchCap& w) {
    queue_.batches.at(GoingOn(w.batch)).opened.max_running = w.max_running;
  }
  void Do(const SetKeyCap& w) { key_caps[{w.tenant, w.key}] = w.max_running; }
  void Do(const SetControl& w) { caps[{w.of, w.name}] = *w.max_running; }
  void Do(const FireTimers&) {
    const absl::Time now = queue_.clock.Now();
    for (Pauses* each : {&paused, &paused_queues, &paused_batches}) {
      std::erase_if(*each, [&](auto& pause) { return pause.second <= now; });
    }
  }

  // A batch is done once it is sealed or cancelled and all its tasks are over.
  v1::BatchState StateOf(const std::string& request) const {
    const v1::BatchState state = queue_.batches.at(request).state;
    for (const ModelTask& task : queue_.tasks) {
      if (task.batch == request && !IsFinal(task)) return state;
    }
    return state == v1::BATCH_STATE_OPEN ? state : v1::BATCH_STATE_DONE;
  }

  // It is neither done nor being cancelled.
  bool GoesOn(const std::string& request) const {
    const v1::BatchState state = StateOf(request);
    return state == v1::BATCH_STATE_OPEN || state == v1::BATCH_STATE_SEALED;
  }

  bool IsReady(const ModelTask& task) const {
    return task.state == v1::TASK_STATE_QUEUED && !task.delayed &&
           !paused.contains(task.account) &&
           !paused_queues.contains(task.queue) &&
           !paused_batches.contains(task.batch);
  }
  // Live, and nobody's.
  bool IsAdoptable(const ModelTask& task) const {
    return task.on && task.on->lease.worker == 0 && task.on->open.empty() &&
           !paused.contains(task.account);
  }
  // Whose cap is full, of those that bind a batch's tasks.
  v1::CapScope FullCapOf(const OpenBatch& batch) const {
    auto running = [&](auto is_of) {
      return std::ranges::count_if(queue_.tasks, [&](const ModelTask& task) {
        return task.on && !IsParked(task) && is_of(task);
      });
    };
    auto full = [](int64_t on, int cap) { return cap > 0 && on >= cap; };
    auto cap = [&](Controlled of, const std::string& name) {
      auto found = caps.find({of, name});
      return found == caps.end() ? 0 : found->second;
    };
    if (full(running([&](const ModelTask& task) {
               return task.batch == batch.request_id;
             }),
             batch.max_running)) {
      return v1::CAP_SCOPE_BATCH;
    }
    if (full(running([&](auto& task) { return task.queue == batch.queue; }),
             cap(Controlled::kQueue, batch.queue))) {
      return v1::CAP_SCOPE_QUEUE;
    }
    if (full(running([&](auto& task) { return task.tenant == batch.tenant; }),
             cap(Controlled::kTenant, batch.tenant))) {
      return v1::CAP_SCOPE_TENANT;
    }
    if (full(running([&](auto& task) { return task.account == batch.account; }),
             cap(Controlled::kAccount, batch.account))) {
      return v1::CAP_SCOPE_ACCOUNT;
    }
    return v1::CAP_SCOPE_UNSPECIFIED;
  }

  // Why the task may not start now; "" where it may.
  std::string WhyNot(const ModelTask& task) const {
    if (!IsReady(task)) return "is not ready";
    int of_key = 0;  // that are on
    for (const ModelTask& other : queue_.tasks) {
      if (IsReady(other) && SameLane(other, task) &&
          TurnOf(other) < TurnOf(task)) {
        return "is not the first of its lane";
      }
      if (other.on && other.tenant == task.tenant &&
          other.is.concurrency_key == task.is.concurrency_key) {
        ++of_key;
      }
    }
    auto set = key_caps.find({task.tenant, task.is.concurrency_key});
    if (!task.is.concurrency_key.empty() &&
        of_key >= (set == key_caps.end() ? 1 : set->second)) {
      return "is one too many of its key";
    }
    OpenBatch of{
        .tenant = task.tenant, .queue = task.queue, .account = task.account};
    if (auto batch = queue_.batches.find(task.batch);
        batch != queue_.batches.end()) {
      of = batch->second.opened;
    }
    if (v1::CapScope full = FullCapOf(of); full != v1::CAP_SCOPE_UNSPECIFIED) {
      return "is one too many by " + v1::CapScope_Name(full);
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
  // The batch's request_id; refuses one that is over.
  std::string GoingOn(RowKey key) const {
    for (const auto& [request, batch] : queue_.batches) {
      if (batch.key != key) continue;
      if (!GoesOn(request)) throw kFailedPrecondition;
      return request;
    }
    throw kNotFound;
  }
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
