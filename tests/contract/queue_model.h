// The queue as plain maps: what each write means, and nothing of how. Who
// starts, and what follows from an ending, the product's pure functions decide.
// Not in it: retried tasks, sweeps, the outbox, events, labels, deadlines.
#ifndef MIDWATCH_TESTS_CONTRACT_QUEUE_MODEL_H_
#define MIDWATCH_TESTS_CONTRACT_QUEUE_MODEL_H_

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "store/store.h"
#include "tests/contract/need_model.h"

namespace midwatch::testing {

using enum absl::StatusCode;  // thrown by a write that is refused

struct ModelAttempt {
  LeaseKey lease;      // the last one; worker 0: nobody's
  int64_t number = 0;  // among all grants
  int64_t reserved = 0, overshoot = 0, charged = 0, late = 0;  // of charged
  std::string session;
  bool started = false;
  std::set<std::string> nonces, open;  // open: questions; parked with any
  std::set<std::pair<std::string, v1::SayKind>> answers;
  absl::Time at, answer_by;  // at: its grant
};

struct ModelTask {
  const Clock& clock;
  std::string tenant, queue, account, batch;  // batch: its request_id
  NewTask is;
  absl::Time ready_at;
  bool delayed = false;  // until a timer has seen that it is ready
  RowKey key = {};       // as the store says
  v1::TaskState state = v1::TASK_STATE_QUEUED;
  int32_t failures = 0;
  int64_t charged = 0;
  std::optional<ModelAttempt> on = {};
  std::vector<ModelAttempt> over = {};
  std::set<std::pair<int64_t, std::string>> settled = {};  // epoch, ending

  void End() { over.push_back(*std::exchange(on, {})); }
  void Cancel() {
    if (state > v1::TASK_STATE_WAITING) return;
    const bool begun = on && !on->session.empty();
    state = begun ? v1::TASK_STATE_CANCELLING : v1::TASK_STATE_CANCELLED;
    if (on) on->open.clear();
    if (on && !begun) End();
  }
  // By the holder of its lease.
  void Do(const HandBack&) { on->lease.worker = 0; }
  void Do(const BeginCreate& w) { on->nonces.insert(w.nonce); }
  void Do(const MarkStarted&) { on->started = !on->session.empty(); }
  void Do(const RecordSession& w) {
    if (!on->session.empty()) return;
    if (on->nonces.erase(w.nonce) == 0) throw kFailedPrecondition;
    on->session = w.session_id;
  }
  void Do(const ClearSession& w) {
    if (on->session.empty()) return;
    if (on->session != w.session_id || on->started) throw kFailedPrecondition;
    on->session.clear();
  }
  void Do(const Park& w) {
    if (state == v1::TASK_STATE_CANCELLING) return;
    for (const v1::Question& q : w.questions) on->open.insert(q.question_id());
    for (const auto& [id, kind] : on->answers) on->open.erase(id);
    if (on->open.empty()) return;
    on->lease.worker = 0;
    on->answer_by = clock.Now() + absl::Hours(12);
    state = v1::TASK_STATE_WAITING;
  }
  void Do(const Settle& w) {
    Tally tally{.failures = failures, .charged = charged};
    tally.starts = tally.attempts = static_cast<int32_t>(over.size() + 1);
    tally.max_cost = is.max_cost;
    tally.reserved = on->reserved;
    tally.cancelling = state == v1::TASK_STATE_CANCELLING;
    tally.has_session = !on->session.empty();
    const Disposition next = w.decide(tally, w.ending);
    settled.insert({w.lease.epoch, w.ending.SerializeAsString()});
    charged += on->charged = next.charged;
    failures += next.counts_as_failure ? 1 : 0;
    state = next.state;
    delayed = next.state == v1::TASK_STATE_QUEUED;
    ready_at = clock.Now() + next.delay;
    End();
  }
  // By one that has lost it.
  void Late(const auto&) const { throw kAborted; }
  void Late(const HandBack&) const {}
  void Late(const Settle& w) const {
    if (!settled.contains({w.lease.epoch, w.ending.SerializeAsString()}))
      throw kAborted;
  }
  // By people, and by time.
  void Do(const AnswerTask& w) {
    if (!on) throw kFailedPrecondition;
    const bool only = w.question.empty() && on->open.size() == 1;
    const std::string id = only ? *on->open.begin() : w.question;
    const bool asked = on->open.erase(id) > 0;
    if (asked) on->answers.insert({id, w.kind});
    if (asked && on->open.empty()) state = v1::TASK_STATE_RUNNING;
    if (!on->answers.contains({id, w.kind})) throw kFailedPrecondition;
  }
  void Do(const FireTimers&) {
    delayed &= ready_at > clock.Now();
    if (state != v1::TASK_STATE_WAITING || on->answer_by > clock.Now()) return;
    on->open.clear();
    state = v1::TASK_STATE_RUNNING;
  }
};

struct ModelBatch {
  OpenBatch opened;
  RowKey key = {};
  std::set<std::string> lines = {};  // their names
  // Sealed or cancelled, it is done once its tasks are.
  v1::BatchState state = v1::BATCH_STATE_OPEN;
};

struct QueueModel {
  const Clock& clock;
  std::vector<ModelTask> tasks = {};
  std::map<std::string, ModelBatch> batches = {};  // by request_id
  std::map<std::string, std::string> alone = {};   // those tasks' names

  void Do(const OpenBatch& w) {
    auto [it, is_new] = batches.try_emplace(w.request_id, ModelBatch{w});
    if (it->second.opened.name != w.name) throw kAlreadyExists;
  }
  void Do(const AddTasks& w) {
    ModelBatch& batch = batches.at(w.request_id);
    const int64_t known = std::ssize(batch.lines) - w.first_line;
    if (known >= std::ssize(w.tasks)) return;
    if (known < 0) throw kOutOfRange;
    if (batch.state != v1::BATCH_STATE_OPEN) throw kFailedPrecondition;
    const std::vector<NewTask> added(w.tasks.begin() + known, w.tasks.end());
    std::set<std::string> lines = batch.lines;
    for (const NewTask& task : added) {
      if (!lines.insert(task.line.name()).second) throw kAlreadyExists;
    }
    batch.lines = lines;
    for (const NewTask& task : added) Add(batch.opened, w.request_id, task);
  }
  void Do(const SealBatch& w) {
    ModelBatch& batch = batches.at(w.request_id);
    if (std::ssize(batch.lines) != w.lines) throw kFailedPrecondition;
    batch.state = std::max(batch.state, v1::BATCH_STATE_SEALED);
  }
  void Do(const SubmitTask& w) {
    auto [it, is_new] = alone.emplace(w.request_id, w.task.line.name());
    if (it->second != w.task.line.name()) throw kAlreadyExists;
    if (is_new) Add(w, "", w.task);
  }
  void Add(const auto& in, const std::string& batch, const NewTask& is) {
    tasks.push_back(
        {clock, in.tenant, in.queue, in.account, batch, is, clock.Now()});
    if (is.line.needs_size() > 0) tasks.back().state = v1::TASK_STATE_BLOCKED;
  }
  void Do(const CancelBatch& w) {
    for (auto& [request, batch] : batches) {
      if (batch.key != w.batch) continue;
      batch.state = v1::BATCH_STATE_CANCELLING;
      for (ModelTask& task : tasks) {
        if (task.batch == request) task.Cancel();
      }
    }
  }
  void Do(const CancelTask& w) { Find(w.task.row).Cancel(); }
  void Do(const AnswerTask& w) { Find(w.task.row).Do(w); }
  void Do(const FireTimers& w) {
    for (ModelTask& task : tasks) task.Do(w);
    LookAtNeeds(tasks, clock.Now());
  }
  void Do(const FreeLeases& w) {
    for (ModelTask& task : tasks) {
      if (!task.on || task.on->lease.worker != w.worker) continue;
      bool kept = std::ranges::count(w.held, task.on->lease) > 0;
      if (!kept) task.on->lease.worker = 0;
    }
  }
  void Do(const auto& of_lease) {
    const LeaseKey& lease = of_lease.lease;
    ModelTask& task = Find(lease.task);
    const bool holds = task.on && lease.worker != 0 && task.on->lease == lease;
    holds ? task.Do(of_lease) : task.Late(of_lease);
  }
  ModelTask& Find(int64_t row) {
    return *std::ranges::find(tasks, row,
                              [](auto& task) { return task.key.row; });
  }
};

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_CONTRACT_QUEUE_MODEL_H_
