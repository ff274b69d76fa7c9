#include "tests/contract/queue_trial.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "scheduler/admission.h"
#include "tests/contract/shrink.h"
#include "tests/contract/story_writes.h"

namespace midwatch::testing {

namespace {

// How long a pause lasts.
absl::Duration SpanOf(const Step& step) {
  const absl::Duration spans[] = {absl::Minutes(5), absl::Hours(1),
                                  absl::InfiniteDuration()};
  return spans[step.how % std::size(spans)];
}

}  // namespace

QueueTrial::QueueTrial(std::unique_ptr<StoreFactory> factory)
    : StoreHost(std::move(factory)) {
  for (int i = 0; i < 2; ++i) {
    auto worker = Apply(RegisterWorker{
        absl::StrCat("worker", i), "", {kAccounts[0], kAccounts[1]}});
    EXPECT_OK(worker);
    workers_.push_back(worker.ok() ? worker->worker : 0);
  }
}

std::string QueueTrial::Play(const Story& story) {
  for (const Step& step : story) {
    const size_t writes = told_.size();
    Take(step);
    if (told_.size() == writes) continue;  // it means nothing here
    if (difference_.empty()) Compare();
    if (!difference_.empty()) break;
  }
  return difference_;
}

template <typename W>
absl::StatusCode QueueTrial::TryModel(const W& write) {
  constexpr bool kOfMoney = requires { money_.Do(write); };
  constexpr bool kOfAdmission = requires { admission_.Do(write); };
  constexpr bool kOfQueue = std::is_same_v<W, FireTimers> ||
                            std::is_same_v<W, AnswerTask> ||
                            (!kOfMoney && !kOfAdmission);
  try {
    if constexpr (kOfMoney) money_.Do(write);
    if constexpr (kOfAdmission) admission_.Do(write);
    if constexpr (kOfQueue) queue_.Do(write);
  } catch (absl::StatusCode refusal) {
    return refusal;
  }
  return absl::StatusCode::kOk;
}

template <typename W>
absl::StatusOr<typename W::Result> QueueTrial::Both(const Step& step,
                                                    absl::string_view name,
                                                    const W& write,
                                                    const std::string& how) {
  absl::StatusOr<typename W::Result> result;
  for (int i = 0; i < (step.twice ? 2 : 1); ++i) {
    result = Apply(write);
    const std::string code = absl::StatusCodeToString(result.status().code());
    told_.push_back(absl::StrCat(name, " ", how, i > 0 ? ", again" : "",
                                 result.ok() ? "" : ": ",
                                 result.ok() ? "" : code));
    ++answers_[absl::StrCat(name, " ", code)];
    Same(told_.back(), "answer", code,
         absl::StatusCodeToString(TryModel(write)));
  }
  return result;
}

void QueueTrial::Take(const Step& step) {
  switch (step.act) {
    case Act::kOpen:
      return Open(step);
    case Act::kAddLines:
    case Act::kSeal:
    case Act::kCancelBatch:
    case Act::kPauseBatch:
    case Act::kResumeBatch:
    case Act::kSetBatchCap:
      return OfBatch(step);
    case Act::kSubmit:
      return Submit(step);
    case Act::kAdmit:
      return AdmitSome(step);
    case Act::kBegin:
    case Act::kRecord:
    case Act::kClear:
    case Act::kStart:
    case Act::kSettle:
    case Act::kPark:
    case Act::kHandBack:
      return OfLease(step);
    case Act::kCancelTask:
    case Act::kSetMaxCost:
      return OfTask(step);
    case Act::kAnswer:
      return Answer(step);
    case Act::kCostLate:
      return CostLate(step);
    case Act::kSetBudget:
    case Act::kDeleteBudget:
      return OfBudget(step);
    case Act::kRegister:
    case Act::kLapse:
      return OfWorker(step);
    case Act::kPause:
    case Act::kResume:
      return OfAccount(step);
    case Act::kPauseQueue:
    case Act::kResumeQueue:
      return OfQueue(step);
    case Act::kSetCap:
      return SetCap(step);
    case Act::kAdvance:
    case Act::kSleep:
    case Act::kCrash:
      return Pass(step);
  }
}

void QueueTrial::Open(const Step& step) {
  OpenBatch open = BatchAt(step.which % kBatches);
  const bool is_new = !queue_.batches.contains(open.request_id);
  // Once in a while with other content.
  if (step.how == kRare && !is_new) open.name = "another";
  auto opened = Both(step, "OpenBatch", open, open.name);
  if (!is_new || !opened.ok()) return;
  queue_.batches.at(open.request_id).key = opened->batch;
  if (open.budget > 0) {
    money_.Do(SetBudget{.scope = v1::BUDGET_SCOPE_BATCH,
                        .row = opened->batch,
                        .window = v1::BUDGET_WINDOW_TOTAL,
                        .limit = open.budget});
  }
}

void QueueTrial::OfBatch(const Step& step) {
  const std::string request = BatchAt(step.which % kBatches).request_id;
  auto batch = queue_.batches.find(request);
  if (batch == queue_.batches.end()) return;
  const int64_t lines = std::ssize(batch->second.lines);
  if (step.act == Act::kCancelBatch) {
    (void)Both(step, "CancelBatch", CancelBatch{batch->second.key, ""},
               request);
  } else if (step.act == Act::kPauseBatch) {
    const absl::Duration span = SpanOf(step);
    (void)Both(step, "PauseBatch",
               PauseBatch{batch->second.key, "", clock_.Now() + span},
               absl::StrCat(request, " for ", absl::FormatDuration(span)));
  } else if (step.act == Act::kResumeBatch) {
    (void)Both(step, "ResumeBatch", ResumeBatch{batch->second.key}, request);
  } else if (step.act == Act::kSetBatchCap) {
    const int cap = static_cast<int>(step.much % 4);
    (void)Both(step, "SetBatchCap", SetBatchCap{batch->second.key, cap},
               absl::StrCat(request, " ", cap));
  } else if (step.act == Act::kSeal) {
    const SealBatch seal{request, lines + (step.how == kRare ? 1 : 0)};
    (void)Both(step, "SealBatch", seal,
               absl::StrCat(request, " of ", seal.lines));
  } else {
    // What follows; sent again, all or in part; or with a gap before.
    static constexpr int64_t kFrom[] = {0, 0, 0, 0, -1, -2, 1};
    AddTasks add{request, std::max<int64_t>(0, lines + kFrom[step.how % 7])};
    const int64_t end =
        add.first_line + 1 + static_cast<int64_t>(step.much % 3);
    for (int64_t line = add.first_line; line < end; ++line) {
      add.tasks.push_back(TaskNamed(absl::StrCat(request, ".", line), line));
      AddNeeds(request, line, add.tasks.back());
    }
    // A name that is there.
    if (step.much == kRare && lines > 0)
      add.tasks.back().line.set_name(request + ".0");
    (void)Both(
        step, "AddTasks", add,
        absl::StrCat(request, " lines ", add.first_line, " to ", end - 1));
  }
}

void QueueTrial::Submit(const Step& step) {
  const size_t number = step.which % kSinglesMax;
  SubmitTask submit{.request_id = absl::StrCat("single", number),
                    .tenant = "ann",
                    .queue = "fast",
                    .account = kAccounts[0],
                    .spec = BatchAt(0).spec};
  submit.task =
      TaskNamed(absl::StrCat(submit.request_id, step.how == kRare ? "'" : ""),
                static_cast<int64_t>(number));
  (void)Both(step, "SubmitTask", submit, submit.task.line.name());
}

void QueueTrial::OfWorker(const Step& step) {
  const size_t index = step.which % workers_.size();
  const int64_t worker = workers_[index];
  if (step.act == Act::kRegister) {
    auto again = Apply(RegisterWorker{absl::StrCat("worker", index), "", {}});
    told_.push_back(absl::StrCat("RegisterWorker worker", index));
    Same(told_.back(), "number", again.ok() ? again->worker : 0, worker);
    return;
  }
  FreeLeases free{worker, {}};
  std::vector<LeaseKey> lost;
  for (const ModelTask& task : queue_.tasks) {
    if (!task.on || task.on->lease.worker != worker) continue;
    // Some are still held.
    const bool held = step.how % 3 == 2 && lost.size() % 2 == 1;
    (held ? free.held : lost).push_back(task.on->lease);
  }
  auto freed =
      Both(Step{}, "FreeLeases", free,
           absl::StrCat("worker", index, free.held.empty() ? "" : " but some"));
  if (freed.ok())
    Same(told_.back(), "freed leases", freed->leases == lost, true);
}

void QueueTrial::AdmitSome(const Step& step) {
  const size_t index = step.which % workers_.size();
  const int slots = 1 + static_cast<int>(step.much % 4);
  WorkerOffer offer{workers_[index], slots, {kAccounts[0], kAccounts[1]}};
  if (step.how == kRare) offer.accounts.pop_back();
  auto granted =
      Apply(Admit{{offer},
                  [](absl::Time now, const std::vector<WorkerOffer>& offers,
                     const AdmissionView& view) {
                    return DecideAdmission(now, offers, view);
                  }});
  told_.push_back(absl::StrCat("Admit ", slots, " to worker", index, ":"));
  if (!granted.ok())
    return Differ(absl::StrCat(told_.back(), " ", granted.status().ToString()));
  for (const GrantRecord& grant : granted->grants) {
    absl::StrAppend(&told_.back(), " ", grant.name);
    ++answers_[grant.lease.epoch == grant.grant_seq ? "granted" : "adopted"];
    const std::string wrong = admission_.Take(grant);
    if (!wrong.empty())
      return Differ(absl::StrCat(told_.back(), ", which ", wrong));
    leases_[grant.lease.task].push_back(grant.lease);
  }
}

void QueueTrial::OfLease(const Step& step) {
  // Mostly of those that are held.
  std::vector<int64_t> rows;
  for (const auto& [row, leases] : leases_) {
    const ModelTask& task = queue_.Find(row);
    const bool held = task.on && task.on->lease.worker != 0;
    if (held || step.which == kRare) rows.push_back(row);
  }
  if (rows.empty()) return;
  const int64_t row = rows[step.which % rows.size()];
  const std::vector<LeaseKey>& all = leases_.at(row);
  // Once in a while one that was lost.
  const size_t late = step.how % 6 == 5 && all.size() > 1 ? 2 : 1;
  const LeaseKey lease = all[all.size() - late];
  ModelTask& task = queue_.Find(row);
  const std::string whose = absl::StrCat(
      task.is.line.name(), late == 2 ? " by an earlier lease" : "");
  const std::string nonce = absl::StrCat("nonce", step.much % 4 == 3);
  const std::string session =
      absl::StrCat("session", row, ".", lease.attempt, ".", step.much % 4 == 3);
  switch (step.act) {
    case Act::kBegin:
      (void)Both(step, "BeginCreate", BeginCreate{lease, nonce},
                 absl::StrCat(whose, " ", nonce));
      return;
    case Act::kRecord: {
      auto recorded =
          Both(step, "RecordSession", RecordSession{lease, nonce, session},
               absl::StrCat(whose, " ", nonce, " ", session));
      if (recorded.ok())
        Same(told_.back(), "session", recorded->session_id, task.on->session);
      return;
    }
    case Act::kClear:
      (void)Both(step, "ClearSession", ClearSession{lease, session},
                 absl::StrCat(whose, " ", session));
      return;
    case Act::kStart:
      (void)Both(step, "MarkStarted", MarkStarted{lease}, whose);
      return;
    case Act::kHandBack:
      (void)Both(step, "HandBack", HandBack{lease}, whose);
      return;
    case Act::kPark: {
      auto parked = Both(Step{}, "Park", AskFor(lease, step.much), whose);
      if (parked.ok()) {
        Same(told_.back(), "parked", parked->parked,
             task.state == v1::TASK_STATE_WAITING);
        Same(told_.back(), "cancelling", parked->cancelling,
             task.state == v1::TASK_STATE_CANCELLING);
      }
      return;
    }
    default: {
      const bool first = late == 1 && task.on.has_value();
      const NamedEnding& ending = kEndings[step.much % std::size(kEndings)];
      auto settled = Both(step, "Settle", SettleAs(lease, EndingOf(ending)),
                          absl::StrCat(whose, ": ", ending.name));
      if (settled.ok() && first)
        Same(told_.back(), "state", settled->state, task.state);
    }
  }
}

void QueueTrial::OfTask(const Step& step) {
  if (queue_.tasks.empty()) return;
  const ModelTask& task = queue_.tasks[step.which % queue_.tasks.size()];
  const std::string& name = task.is.line.name();
  if (step.act == Act::kCancelTask) {
    auto cancelled = Both(step, "CancelTask", CancelTask{task.key, ""}, name);
    if (cancelled.ok()) Same(name, "state", cancelled->state, task.state);
    return;
  }
  static constexpr int64_t kLimits[] = {5 * kCent, 30 * kCent, 100 * kCent,
                                        200 * kCent};
  SetBudget set{.scope = v1::BUDGET_SCOPE_TASK,
                .row = task.key,
                .window = v1::BUDGET_WINDOW_TOTAL,
                .limit = kLimits[step.how % std::size(kLimits)]};
  (void)Both(step, "SetBudget", set,
             absl::StrCat(name, " ", set.limit / kCent, " cents"));
}

void QueueTrial::Answer(const Step& step) {
  // Mostly of those that wait.
  std::vector<const ModelTask*> asked;
  for (const ModelTask& task : queue_.tasks) {
    const bool waits = task.state == v1::TASK_STATE_WAITING;
    if (step.which == kRare || waits) asked.push_back(&task);
  }
  if (asked.empty()) return;
  const ModelTask& task = *asked[step.which % asked.size()];
  AnswerTask answer{.task = task.key};
  const std::set<std::string> open =
      task.on ? task.on->open : std::set<std::string>();
  answer.question = step.much % 4 == 1 || open.empty() ? "question1" : "";
  if (step.much % 4 == 0 && !open.empty()) answer.question = *open.begin();
  const bool raises = (open.contains(MoneyModel::kRaise) &&
                       answer.question != "question1") != (step.how == kRare);
  answer.kind = raises              ? v1::SAY_KIND_BUDGET
                : step.how % 3 == 2 ? v1::SAY_KIND_DENY
                                    : v1::SAY_KIND_ALLOW;
  if (raises) answer.text = absl::StrCat(150 * kCent);
  auto answered = Both(step, "AnswerTask", answer,
                       absl::StrCat(task.is.line.name(), " ", answer.question,
                                    raises              ? " with 150 cents"
                                    : step.how % 3 == 2 ? " with no"
                                                        : " with yes"));
  if (answered.ok()) {
    Same(told_.back(), "state", answered->state, task.state);
  }
}

void QueueTrial::CostLate(const Step& step) {
  std::vector<std::pair<const ModelTask*, std::string>> ended;
  for (const ModelTask& task : queue_.tasks) {
    for (const ModelAttempt& each : task.over) {
      if (!each.session.empty()) ended.emplace_back(&task, each.session);
    }
  }
  if (ended.empty()) return;
  const auto& [task, session] = ended[step.which % ended.size()];
  static constexpr int64_t kCosts[] = {20 * kCent, 0, 95 * kCent, 140 * kCent};
  const int64_t cost = kCosts[step.how % std::size(kCosts)];
  (void)Both(step, "CompleteErrands",
             CompleteErrands{task->account, {{session, cost}}},
             absl::StrCat(session, " of ", task->is.line.name(), ": ",
                          cost / kCent, " cents"));
}

void QueueTrial::OfBudget(const Step& step) {
  SetBudget set{.scope = v1::BUDGET_SCOPE_TENANT,
                .name = "ann",
                .window = v1::BUDGET_WINDOW_TOTAL};
  // What he spends, he spends by the day.
  if (step.which % 4 == 1) {
    set.name = "bob";
    set.window = v1::BUDGET_WINDOW_DAY;
    set.zone = "UTC";
  }
  if (step.which % 4 == 2) {
    set.scope = v1::BUDGET_SCOPE_QUEUE;
    set.name = "slow";
  }
  std::string whose = set.name;
  if (step.which % 4 == 3) {
    whose = BatchAt(step.how % kBatches).request_id;
    auto batch = queue_.batches.find(whose);
    if (batch == queue_.batches.end()) return;
    set.scope = v1::BUDGET_SCOPE_BATCH;
    set.row = batch->second.key;
    set.name = "";
  }
  if (step.act == Act::kDeleteBudget) {
    (void)Both(step, "DeleteBudget",
               DeleteBudget{set.scope, set.name, set.row, set.window}, whose);
    return;
  }
  static constexpr int64_t kLimits[] = {0, 100 * kCent, 150 * kCent,
                                        250 * kCent, 1000 * kCent};
  set.limit = kLimits[step.much % std::size(kLimits)];
  (void)Both(step, "SetBudget", set,
             absl::StrCat(whose, " ", set.limit / kCent, " cents"));
}

void QueueTrial::OfAccount(const Step& step) {
  const std::string account = kAccounts[step.which % std::size(kAccounts)];
  if (step.act == Act::kResume) {
    (void)Both(step, "ResumeAccount", ResumeAccount{account}, account);
    return;
  }
  const absl::Duration span = SpanOf(step);
  (void)Both(step, "PauseAccount",
             PauseAccount{account, "enough", clock_.Now() + span},
             absl::StrCat(account, " for ", absl::FormatDuration(span)));
}

void QueueTrial::OfQueue(const Step& step) {
  // One that a batch has named.
  if (queue_.batches.empty()) return;
  const auto batch =
      std::next(queue_.batches.begin(),
                static_cast<int64_t>(step.which % queue_.batches.size()));
  const std::string& queue = batch->second.opened.queue;
  if (step.act == Act::kResumeQueue) {
    (void)Both(step, "ResumeQueue", ResumeQueue{queue}, queue);
    return;
  }
  const absl::Duration span = SpanOf(step);
  (void)Both(step, "PauseQueue",
             PauseQueue{queue, "enough", clock_.Now() + span},
             absl::StrCat(queue, " for ", absl::FormatDuration(span)));
}

void QueueTrial::SetCap(const Step& step) {
  static const std::pair<Controlled, const char*> kOf[] = {
      {Controlled::kQueue, "slow"},
      {Controlled::kQueue, "fast"},
      {Controlled::kTenant, "ann"},
      {Controlled::kTenant, "bob"},
      {Controlled::kAccount, kAccounts[0]}};
  if (step.how < kNumbers / 4) {
    const char* tenant = step.which % 2 == 0 ? "ann" : "bob";
    const int cap = 1 + static_cast<int>(step.much % 3);
    (void)Both(step, "SetKeyCap", SetKeyCap{tenant, "key", cap},
               absl::StrCat(tenant, " ", cap));
    return;
  }
  const auto& [of, name] = kOf[step.which % std::size(kOf)];
  const int cap = static_cast<int>(step.much % 4);
  (void)Both(step, "SetControl",
             SetControl{.of = of, .name = name, .max_running = cap},
             absl::StrCat(name, " ", cap));
}

void QueueTrial::Pass(const Step& step) {
  if (step.act == Act::kCrash) {
    told_.push_back("the store is killed, and opened again");
    return Restart();
  }
  const absl::Duration spans[] = {absl::Seconds(1), absl::Seconds(10),
                                  absl::Minutes(1), absl::Minutes(20),
                                  absl::Hours(1),   absl::Hours(12)};
  const absl::Duration span = spans[step.how % std::size(spans)];
  time_.Advance(span);
  timers_are_due_ = step.act == Act::kSleep;
  const std::string after = absl::StrCat("after ", absl::FormatDuration(span));
  if (step.act == Act::kSleep) return told_.push_back(after);
  // Again while something is due, as the scheduler does.
  auto fired = Both(step, "FireTimers", FireTimers{}, after);
  while (fired.ok() && fired->next <= clock_.Now() && difference_.empty()) {
    fired = Both(step, "FireTimers", FireTimers{}, "again");
  }
}

Story ShrinkStory(const Story& story, const MakeFactory& make) {
  auto fails = [&](const Story& rest) {
    return !QueueTrial(make()).Play(rest).empty();
  };
  // Simpler steps may make others needless.
  return Shrink(Simplify(Shrink(story, fails), SimplerSteps, fails), fails);
}

std::string Retell(const Story& story, const MakeFactory& make) {
  QueueTrial trial(make());
  const std::string difference = trial.Play(story);
  return absl::StrCat("  ", absl::StrJoin(trial.told(), "\n  "), "\n",
                      difference);
}

}  // namespace midwatch::testing
