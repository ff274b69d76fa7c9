#include "tests/sim/checks.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "store/event_log.h"

namespace midwatch::sim {
namespace {

// A night that breaks one rule often breaks it a thousand times.
constexpr size_t kViolationsMax = 50;
// See testing::FakeClock.
constexpr absl::Time kBeginning = absl::FromUnixSeconds(1'800'000'000);

JournalRow RowOf(const SqliteStatement& row) {
  return {.seq = row.Int(0),
          .at = absl::FromUnixMicros(row.Int(12)),
          .kind = static_cast<JournalKind>(row.Int(1)),
          .batch = row.Int(2),
          .task = row.Int(3),
          .attempt = static_cast<int32_t>(row.Int(4)),
          .state = static_cast<v1::TaskState>(row.Int(5)),
          .who = row.Int(6),
          .reserved = row.Int(7),
          .charged = row.Int(8),
          .over = row.Int(9),
          .failure = static_cast<v1::FailureClass>(row.Int(10)),
          .why = row.Text(11)};
}

SqliteStatement JournalFrom(Sqlite& db, int64_t seq, int64_t until) {
  return db.Query(
      "SELECT seq, kind, ifnull(batch, 0), ifnull(task, 0), ifnull(n, 0), "
      "ifnull(state, 0), ifnull(who, 0), ifnull(reserve_d, 0), "
      "ifnull(charge_d, 0), ifnull(over_d, 0), ifnull(class, 0), "
      "ifnull(why, ''), at FROM journal WHERE seq >= ? AND seq <= ? ORDER BY "
      "seq",
      seq, until);
}

// The row of a batch's end takes up what its deletion leaves out.
JournalRow WithoutMoney(JournalRow row) {
  if (row.kind == JournalKind::kBatchDone ||
      row.kind == JournalKind::kBatchDeleted) {
    row.reserved = row.charged = row.over = 0;
  }
  return row;
}

int64_t One(Sqlite& db, const char* sql) {
  SqliteStatement row = db.Query(sql);
  return row.Step() ? row.Int(0) : -1;
}

std::string AttemptOf(const testing::FakeSessionView& session) {
  auto value = [&](const char* key) {
    auto it = session.metadata.find(key);
    return it == session.metadata.end() ? std::string() : it->second;
  };
  return absl::StrCat(value("midwatch_task"), "/", value("midwatch_attempt"));
}

const char* NameOf(JournalKind kind) {
  switch (kind) {
    case JournalKind::kGranted:
      return "starts";
    case JournalKind::kAdopted:
      return "adoptions";
    case JournalKind::kSessionCleared:
      return "fences";
    case JournalKind::kHandedBack:
      return "leases handed back";
    case JournalKind::kFreed:
      return "leases freed";
    case JournalKind::kRetry:
      return "attempts tried again";
    case JournalKind::kSettled:
      return "settles";
    case JournalKind::kCancelAsked:
    case JournalKind::kCancelled:
      return "cancels";
    case JournalKind::kSaid:
      return "messages from the outbox";
    case JournalKind::kParked:
      return "parks";
    case JournalKind::kAnswered:
      return "answers";
    case JournalKind::kAccountShut:
      return "accounts shut";
    case JournalKind::kHeld:
      return "attempts held for their account";
    case JournalKind::kAdjusted:
      return "costs corrected";
    case JournalKind::kSwept:
      return "sweeps that found something";
    case JournalKind::kUnblocked:
      return "tasks unblocked";
    case JournalKind::kSkipped:
      return "tasks skipped";
    case JournalKind::kExpired:
      return "tasks expired";
    case JournalKind::kPaused:
      return "pauses";
    case JournalKind::kResumed:
      return "pauses over";
    case JournalKind::kControlSet:
      return "caps set";
    case JournalKind::kCanaryPassed:
      return "canaries passed";
    case JournalKind::kCanaryFailed:
      return "canaries failed";
    case JournalKind::kStopped:
      return "batches stopped";
    default:
      return nullptr;
  }
}

testing::FakeShown Read(const std::string& text) {
  const auto event = nlohmann::json::parse(text);
  const nlohmann::json& at = event["processed_at"];
  return {event["id"], event["type"], at.is_null() ? "" : at.get<std::string>(),
          text};
}

}  // namespace

Checks::Checks(const testing::VirtualTime& time,
               testing::FakeAgentsService& service)
    : time_(time),
      service_(service),
      journal_(Reporter()),
      budgets_(Reporter(), counts_, journal_),
      hooks_(Reporter()),
      risks_(Reporter(), counts_),
      deletions_(Reporter(), hooks_, counts_),
      singles_(Reporter(), counts_),
      firings_(Reporter(), counts_),
      outputs_(Reporter(), counts_) {
  singles_.is_open = [this](int64_t batch) { return deletions_.IsOpen(batch); };
  singles_.is_archived = [this](const std::string& session) {
    const testing::FakeSessionView* view = service_.View(session);
    return view == nullptr || view->archived;
  };
  service.hooks.on_charged = [this](const auto& session) {
    OnCharged(session);
  };
  service.hooks.on_said = [this](const auto& session, const auto& type) {
    OnSaid(session, type);
  };
  service.hooks.on_archived = [this](const auto& session) {
    OnArchived(session);
  };
}

void Checks::Report(const char* invariant, std::string what) {
  if (violations_.size() >= kViolationsMax) return;
  violations_.push_back({invariant, std::move(what), time_.Elapsed()});
}

void Checks::Opened(std::unique_ptr<Sqlite> queue,
                    std::unique_ptr<Sqlite> events) {
  queue_ = std::move(queue);
  events_ = std::move(events);
  // What was read was committed, and a commit is durable.
  if (const JournalRow& last = journal_.last(); last.seq > 0) {
    SqliteStatement row = JournalFrom(*queue_, last.seq, last.seq);
    if (IsDeletedSince(last)) {
      counts_.Add("deletions that nobody lived to tell of");
    } else if (!row.Step()) {
      Report(kKept, absl::StrCat("journal ", last.seq, " is gone"));
    } else if (!(WithoutMoney(RowOf(row)) == WithoutMoney(last))) {
      Report(kKept, absl::StrCat("journal ", last.seq, " is another"));
    }
  }
  deletions_.Opened(*queue_);
  singles_.Opened(*queue_);
  risks_.Opened(clock_stepped_ ? absl::InfiniteFuture()
                               : kBeginning + time_.Elapsed());
  CheckAcknowledged();
  AfterCommit();
}

bool Checks::IsDeletedSince(const JournalRow& row) {
  if (row.batch != 0 || row.task == 0) return false;
  SqliteStatement found = queue_->Query(
      "SELECT seq FROM journal WHERE seq > ? AND kind = ? "
      "AND NOT EXISTS (SELECT 1 FROM task WHERE id = ?)",
      row.seq, static_cast<int>(JournalKind::kTasksDeleted), row.task);
  return found.Step();
}

void Checks::CheckAcknowledged() {
  if (deletions_.IsDeleted(kStorysBatch)) return;
  const int64_t left =
      One(*queue_, "SELECT count(*) FROM task WHERE batch = 1");
  if (acknowledged_ <= left) return;
  Report(kKept, absl::StrCat("of ", acknowledged_, " acknowledged tasks ", left,
                             " are left"));
}

void Checks::Closed() {
  queue_.reset();
  events_.reset();
}

void Checks::Acknowledged(int64_t lines) { acknowledged_ = lines; }
void Checks::AddStranger(const std::string& session) {
  strangers_.insert(session);
}
void Checks::OwnFault(const std::string& session) {
  own_faults_.insert(session);
}

void Checks::AfterCommit() {
  if (queue_ == nullptr) return;
  const int64_t before = journal_.last().seq;
  ReadJournal();
  if (journal_.last().seq == before) return;
  risks_.Committed(*queue_);
  firings_.Committed(*queue_);
  budgets_.Committed(*queue_, came_late_);
  CheckBatchMoney();
}

void Checks::ReadJournal() {
  SqliteStatement row =
      JournalFrom(*queue_, journal_.last().seq + 1, INT64_MAX);
  while (row.Step()) {
    const JournalRow entry = RowOf(row);
    auto task = journal_.tasks().find(entry.task);
    const std::string session =
        task == journal_.tasks().end() ? "" : task->second.session;
    if (on_row) on_row(entry);
    journal_.Fold(entry);
    budgets_.Fold(entry);
    hooks_.Fold(entry, *queue_);
    risks_.Fold(entry, *queue_);
    deletions_.Fold(entry, *queue_);
    singles_.Fold(entry, *queue_);
    firings_.Fold(entry, *queue_);
    Count(entry);
    CheckHolds(entry);
    CheckRules(entry);
    CheckBlame(entry, session);
    if (entry.task != 0) {
      outputs_.Fold(entry, session, journal_.tasks().at(entry.task).failures,
                    *queue_);
    }
    CheckNeeds(entry);
    CheckStart(entry);
  }
}

namespace {

bool IsSkippedForKey(const JournalRow& row) {
  return row.kind == JournalKind::kSkipped &&
         absl::StartsWith(row.why, "unique key ");
}

}  // namespace

// By the clock of the commits, which may have been set back since a delay was
// over.
void Checks::CheckStart(const JournalRow& row) {
  if (starts_.empty() || row.batch != kStorysBatch) return;
  const bool starts = row.kind == JournalKind::kGranted && row.attempt == 1;
  if (!starts && !IsSkippedForKey(row)) return;
  const TaskStart& plan = starts_[static_cast<size_t>(LineOf(row.task))];
  SqliteStatement times = queue_->Query(
      "SELECT t.at, t.granted_at, "
      "(SELECT count(*) FROM task o WHERE o.ukey = t.ukey AND o.state < 6) "
      "FROM task t WHERE t.id = ?",
      row.task);
  if (!times.Step()) return Report(kStarts, "a task vanished");
  if (!starts) {
    counts_.Add("tasks whose key was held");
    if (plan.key > 0) return;
    return Report(kStarts, absl::StrCat("task ", row.task,
                                        " is skipped for a key of its own"));
  }
  const absl::Duration waited = absl::Microseconds(times.Int(1) - times.Int(0));
  if (plan.delay > absl::ZeroDuration()) counts_.Add("starts after a delay");
  if (!clock_stepped_ && waited < plan.delay) {
    Report(kStarts, absl::StrCat("task ", row.task, " starts after ",
                                 absl::FormatDuration(waited), ", and not ",
                                 absl::FormatDuration(plan.delay)));
  }
  if (plan.expires_after > absl::ZeroDuration() &&
      waited >= plan.delay + plan.expires_after) {
    Report(kStarts,
           absl::StrCat("task ", row.task, " starts after ",
                        absl::FormatDuration(waited), ", when it has expired"));
  }
  if (times.Int(2) > 1) {
    Report(kStarts, absl::StrCat("task ", row.task, " starts, and ",
                                 times.Int(2), " have its key"));
  }
}

int64_t Checks::LineOf(int64_t task) {
  auto [it, first] = line_of_.emplace(task, 0);
  if (!first) return it->second;
  SqliteStatement row =
      queue_->Query("SELECT line FROM task WHERE id = ?", task);
  if (row.Step()) it->second = row.Int(0);
  return it->second;
}

int64_t Checks::TaskOf(int64_t line) {
  auto [it, first] = task_of_.emplace(line, 0);
  if (!first && it->second != 0) return it->second;
  SqliteStatement row = queue_->Query(
      "SELECT id FROM task WHERE batch = ? AND line = ?", kStorysBatch, line);
  if (row.Step()) it->second = row.Int(0);
  return it->second;
}

std::vector<int64_t> Checks::NeededBy(int64_t task) {
  std::vector<int64_t> needed;
  if (needs_.empty()) return needed;
  const int64_t line = LineOf(task);
  const TaskNeeds& needs = needs_[static_cast<size_t>(line)];
  for (int each : needs.lines) needed.push_back(TaskOf(each));
  for (int64_t each = 0; needs.all && each < line; ++each) {
    needed.push_back(TaskOf(each));
  }
  return needed;
}

bool Checks::Succeeded(int64_t task) const {
  auto story = journal_.tasks().find(task);
  return story != journal_.tasks().end() && story->second.succeeded;
}

bool Checks::IsOver(int64_t task) const {
  auto story = journal_.tasks().find(task);
  return story != journal_.tasks().end() && story->second.over;
}

void Checks::CheckNeeds(const JournalRow& row) {
  const bool starts = row.kind == JournalKind::kGranted;
  if (row.batch != kStorysBatch) return CheckOthersNeeds(row);
  if (needs_.empty() || (!starts && row.kind != JournalKind::kSkipped)) return;
  if (IsSkippedForKey(row)) return;  // see CheckStart
  const bool anyway = needs_[static_cast<size_t>(LineOf(row.task))].policy ==
                      v1::NEED_POLICY_RUN_ANYWAY;
  bool lost = false;
  for (int64_t needed : NeededBy(row.task)) {
    lost |= IsOver(needed) && !Succeeded(needed);
    if (!starts || Succeeded(needed) || (anyway && IsOver(needed))) continue;
    Report(kNeeds,
           absl::StrCat("task ", row.task, " starts without task ", needed));
  }
  if (starts)
    return counts_.Add("starts of tasks that need others",
                       NeededBy(row.task).empty() ? 0 : 1);
  if (!lost || anyway) {
    Report(kNeeds, absl::StrCat("task ", row.task, " is skipped for nothing"));
  }
}

void Checks::CheckOthersNeeds(const JournalRow& row) {
  if (row.kind != JournalKind::kGranted || row.attempt != 1) return;
  SqliteStatement need = queue_->Query(
      "SELECT need, policy FROM need WHERE task = ? AND need IS NOT NULL",
      row.task);
  while (need.Step()) {
    counts_.Add("starts of tasks that need another batch's");
    const bool anyway = need.Int(1) == v1::NEED_POLICY_RUN_ANYWAY;
    if (Succeeded(need.Int(0)) || (anyway && IsOver(need.Int(0)))) continue;
    Report(kNeeds, absl::StrCat("task ", row.task, " starts without task ",
                                need.Int(0)));
  }
}

void Checks::Count(const JournalRow& row) {
  if (const char* name = NameOf(row.kind)) counts_.Add(name);
  if (row.kind == JournalKind::kAdjusted) {
    came_late_ += std::max<int64_t>(0, row.charged);
  }
}

// One queue, tenant and account: what is held back of these is all of it.
void Checks::CheckHolds(const JournalRow& row) {
  switch (row.kind) {
    case JournalKind::kPaused:
      paused_.insert(row.batch);
      return;
    case JournalKind::kResumed:
      paused_.erase(row.batch);
      return;
    case JournalKind::kControlSet: {
      // "queue default: max_running 3", of a batch "max_running 3".
      const size_t at = row.why.rfind(' ');
      int64_t cap = 0;
      if (at == row.why.npos || !absl::SimpleAtoi(row.why.substr(at), &cap)) {
        Report(kHeld, absl::StrCat("no cap: ", row.why));
      }
      caps_[{row.batch, row.why.substr(0, at)}] = cap;
      return;
    }
    case JournalKind::kGranted:
      CheckHeldStart(row);
      running_[row.task] = row.batch;
      return;
    case JournalKind::kAnswered:
    case JournalKind::kUnanswered:
    case JournalKind::kCancelAsked:
      if (row.state != v1::TASK_STATE_WAITING) running_[row.task] = row.batch;
      return;
    case JournalKind::kParked:
    case JournalKind::kRetry:
    case JournalKind::kSettled:
    case JournalKind::kCancelled:
      running_.erase(row.task);
      return;
    default:
      return;
  }
}

void Checks::CheckHeldStart(const JournalRow& row) {
  const std::string start =
      absl::StrCat("journal ", row.seq, ", task ", row.task, ": ");
  if (paused_.contains(0)) Report(kHeld, start + "its queue is paused");
  if (row.batch != 0 && paused_.contains(row.batch)) {
    Report(kHeld, start + "its batch is paused");
  }
  for (const auto& [of, cap] : caps_) {
    const auto& [batch, whose] = of;
    if (cap == 0 || (batch != 0 && batch != row.batch)) continue;
    counts_.Add("starts under a cap");
    const auto run = std::count_if(
        running_.begin(), running_.end(),
        [&](const auto& task) { return batch == 0 || task.second == batch; });
    if (run < cap) continue;
    Report(kHeld, absl::StrCat(start, run, " run, and ", whose, " is ", cap));
  }
}

bool Checks::AnyWaits() {
  return One(*queue_, "SELECT count(*) FROM question") > 0;
}

void Checks::SetRules(const Story& story) { rules_ = story; }

void Checks::CountOutcome(const JournalRow& row) {
  const bool over = row.kind == JournalKind::kSettled ||
                    row.kind == JournalKind::kCancelled ||
                    row.kind == JournalKind::kSkipped ||
                    row.kind == JournalKind::kExpired;
  const int good = over && row.state == v1::TASK_STATE_SUCCEEDED ? 1 : 0;
  const int bad = over && row.state == v1::TASK_STATE_FAILED ? 1 : 0;
  ended_ += good + bad;
  failed_ += bad;
  if (row.task == 0 || LineOf(row.task) >= rules_.canary) return;
  canary_charged_ += row.charged;
  canary_good_ += good;
  canary_bad_ += bad;
  canary_out_ += over ? 1 - good - bad : 0;
}

bool Checks::IsStopMet() const {
  return (rules_.stop_failed > 0 && failed_ >= rules_.stop_failed) ||
         (rules_.stop_tenths > 0 && ended_ >= rules_.stop_after &&
          10 * failed_ >= rules_.stop_tenths * ended_);
}

// However many lines are still to come.
bool Checks::IsCanaryLost() const {
  const int64_t counted = rules_.canary - canary_out_;
  return (rules_.canary_cents > 0 &&
          canary_charged_ > rules_.canary_cents * 10'000) ||
         10 * canary_bad_ > (10 - rules_.canary_tenths) * counted;
}

void Checks::CheckRuledStart(const JournalRow& row) {
  auto report = [&](const char* what) {
    Report(kRules, absl::StrCat("journal ", row.seq, ": task ", row.task,
                                " starts ", what));
  };
  if (held_by_rule_) report("before anybody resumed its batch");
  if (IsStopMet()) report("though its batch is to stop");
  if (rules_.canary == 0 || canary_decided_) return;
  counts_.Add("starts of canaries");
  if (LineOf(row.task) >= rules_.canary) report("before its canary's verdict");
  if (IsCanaryLost()) report("though its canary has failed");
}

void Checks::CheckVerdict(const JournalRow& row) {
  const int64_t size = std::min(rules_.canary, rules_.tasks);
  const int64_t counted = size - canary_out_;
  const int64_t limit = rules_.canary_cents * int64_t{10'000};
  const bool dear = limit > 0 && canary_charged_ > limit;
  const bool open = canary_good_ + canary_bad_ < counted;
  const bool passed = row.kind == JournalKind::kCanaryPassed;
  const bool justified =
      passed ? 10 * canary_good_ >= rules_.canary_tenths * counted && !dear &&
                   !(limit > 0 && open)
             : dear || counted == 0 ||
                   10 * canary_bad_ > (10 - rules_.canary_tenths) * counted;
  if (canary_decided_ || !justified) {
    Report(kRules,
           absl::StrCat("journal ", row.seq, ": the canary has ",
                        passed ? "passed" : "failed", " with ", canary_good_,
                        " good, ", canary_bad_, " bad, ", canary_out_,
                        " left out, for ", canary_charged_, ": ", row.why));
  }
  canary_decided_ = true;
}

void Checks::CheckRules(const JournalRow& row) {
  if (row.batch != kStorysBatch) return;
  CountOutcome(row);
  switch (row.kind) {
    case JournalKind::kGranted:
      return CheckRuledStart(row);
    case JournalKind::kCanaryFailed:
      held_by_rule_ = true;
      return CheckVerdict(row);
    case JournalKind::kCanaryPassed:
      return CheckVerdict(row);
    case JournalKind::kStopped:
      if (held_by_rule_ || !IsStopMet()) {
        Report(kRules, absl::StrCat("journal ", row.seq, ": stopped with ",
                                    failed_, " of ", ended_, " failed"));
      }
      held_by_rule_ = true;
      return;
    case JournalKind::kResumed:
      if (!held_by_rule_) return;
      held_by_rule_ = false;
      ended_ = failed_ = 0;
      return;
    case JournalKind::kBatchCancelAsked:
      cancelling_ = true;
      return;
    default:
      return;
  }
}

// An attempt that failed by the task's fault had a session that did.
void Checks::CheckBlame(const JournalRow& row, const std::string& session) {
  const bool ended =
      row.kind == JournalKind::kRetry || row.kind == JournalKind::kSettled;
  if (!ended || row.failure == v1::FAILURE_CLASS_UNSPECIFIED) return;
  counts_.Add(absl::StrCat("attempts failed as ",
                           v1::FailureClass_Name(row.failure).substr(14)));
  const bool own = row.failure == v1::FAILURE_CLASS_TASK ||
                   row.failure == v1::FAILURE_CLASS_REFUSAL ||
                   row.failure == v1::FAILURE_CLASS_SPEC;
  const testing::FakeSessionView* view = service_.View(session);
  const bool spent = view != nullptr && view->cost_cents >= view->budget_cents;
  if (own && !spent && !own_faults_.contains(session) &&
      !outputs_.IsBad(session)) {
    Report(kBlame, absl::StrCat("journal ", row.seq, ", task ", row.task,
                                ", session ", session, ": ", row.why));
  }
}

void Checks::CheckBatchMoney() {
  SqliteStatement batch =
      queue_->Query("SELECT id, charged, reserved FROM batch");
  while (batch.Step()) {
    const JournalMoney told = journal_.MoneyOf(batch.Int(0));
    if (batch.Int(1) == told.charged && batch.Int(2) == told.reserved) continue;
    Report(kBalances, absl::StrCat("batch ", batch.Int(0), ": charged ",
                                   batch.Int(1), ", reserved ", batch.Int(2),
                                   "; the journal says ", Describe(told)));
  }
}

void Checks::OnCharged(const testing::FakeSessionView& session) {
  counts_.Add("sessions charged");
  auto [it, first] = charged_.emplace(AttemptOf(session), session.id);
  if (!first) {
    Report(kPaidOnce, absl::StrCat("attempt ", it->first, ": ", it->second,
                                   " and ", session.id));
  }
}

void Checks::OnSaid(const testing::FakeSessionView& session,
                    const std::string& type) {
  if (strangers_.contains(session.id)) {
    Report(kSweeps, absl::StrCat(type, " was said to ", session.id,
                                 ", which is another's"));
    return;
  }
  const int64_t messages = static_cast<int64_t>(session.user_messages.size());
  const bool message = type == "user.message";
  if (message && messages > 1 &&
      session.user_messages.back() == session.user_messages.front()) {
    Report(kSaidOnce, session.id);
  }
  if (message && messages == 1) return;  // its prompt
  int64_t task = 0;
  const TaskStory* story = journal_.Holding(session.id, &task);
  // One that is over is ended by an errand, which says nothing but interrupts.
  if (story == nullptr || queue_ == nullptr) return;
  SqliteStatement row = queue_->Query(
      "SELECT count(*) FROM say WHERE task = ? AND n = ? AND "
      "CASE kind WHEN ? THEN 'user.message' WHEN ? THEN 'user.interrupt' "
      "WHEN ? THEN 'update' ELSE 'answer' END = ?",
      task, story->attempt, static_cast<int>(v1::SAY_KIND_MESSAGE),
      static_cast<int>(v1::SAY_KIND_INTERRUPT),
      static_cast<int>(v1::SAY_KIND_BUDGET),
      message || type == "user.interrupt" || type == "update" ? type
                                                              : "answer");
  if (!row.Step()) return;
  // One that comes late may be said twice: a nudge does no harm.
  if (row.Int(0) == 0) {
    Report(kOutbox, absl::StrCat(type, " to ", session.id));
  }
}

void Checks::OnArchived(const testing::FakeSessionView& session) {
  if (strangers_.contains(session.id)) {
    Report(kSweeps,
           absl::StrCat("archived ", session.id, ", which is another's"));
  }
  int64_t task = 0;
  const TaskStory* story = journal_.Holding(session.id, &task);
  if (story != nullptr && story->started) {
    Report(kSweeps, absl::StrCat("archived ", session.id,
                                 " in the middle of task ", task));
  }
}

int64_t Checks::LinesOfOthers() {
  return One(*queue_,
             "SELECT ifnull(sum(lines), 0) FROM batch "
             "WHERE id != 1 AND retry_of IS NULL");
}

void Checks::CheckHooks(uint16_t cluster, const HookBodies& taken) {
  if (queue_ == nullptr) return;  // reported already
  hooks_.AtEnd(*queue_, cluster, taken, counts_);
}

void Checks::AtEnd(int64_t tasks, absl::Time now) {
  if (queue_ == nullptr) {
    Report(kProgress, "no scheduler is up");
    return;
  }
  AfterCommit();
  if (rules_.canary > 0 && !canary_decided_ && !cancelling_) {
    Report(kRules, "the canary has no verdict");
  }
  CheckTaskRows(tasks);
  deletions_.AtEnd(*queue_, journal_, now);
  singles_.AtEnd(*queue_, now);
  firings_.AtEnd(*queue_);
  CheckSessions();
  CheckEvents();
}

void Checks::CheckTaskRows(int64_t tasks) {
  const int64_t there =
      One(*queue_, "SELECT count(*) FROM task WHERE retry_of IS NULL");
  const int64_t gone = deletions_.gone_originals() + singles_.gone_originals();
  if (there + gone != tasks) {
    Report(kKept, absl::StrCat("of ", tasks, " tasks ", there, " are there, ",
                               gone, " are deleted"));
  }
  SqliteStatement row = queue_->Query(
      "SELECT id, state, failures, ifnull(why, ''), "
      "(SELECT count(*) FROM live l WHERE l.task = task.id), "
      "charged >= max_cost FROM task");
  while (row.Step()) {
    auto it = journal_.tasks().find(row.Int(0));
    const TaskStory story =
        it == journal_.tasks().end() ? TaskStory() : it->second;
    const auto state = static_cast<v1::TaskState>(row.Int(1));
    const std::string task =
        absl::StrCat("task ", row.Int(0), " is ", v1::TaskState_Name(state),
                     " (", row.Text(3), ")");
    counts_.Add(absl::StrCat("tasks ", v1::TaskState_Name(state).substr(11)));
    const bool justified =
        state == v1::TASK_STATE_SUCCEEDED ||
        (state == v1::TASK_STATE_FAILED && story.failures > 0) ||
        (state == v1::TASK_STATE_FAILED && story.expired) ||
        // Its money is spent, whoever is to blame.
        (state == v1::TASK_STATE_FAILED && row.Int(5) != 0) ||
        (state == v1::TASK_STATE_CANCELLED && story.cancel_asked) ||
        state == v1::TASK_STATE_SKIPPED;  // see CheckNeeds
    if (!justified) Report(kProgress, task);
    if (row.Int(2) != story.failures || row.Int(4) != 0 || !story.over) {
      Report(kBalances, absl::StrCat(task, ", which the journal denies"));
    }
  }
}

void Checks::CheckSessions() {
  int64_t cost = 0;
  for (const testing::FakeSessionView& session : service_.Sessions()) {
    if (strangers_.contains(session.id)) continue;
    cost += session.cost_cents * 10'000;
    if (session.status == "running") {
      Report(kAccounts, absl::StrCat(session.id, " still spends"));
    } else if (!session.archived) {
      Report(kAccounts, absl::StrCat(session.id, " is left behind"));
    }
  }
  if (cost != journal_.money().charged) {
    Report(kAccounts,
           absl::StrCat("the service asks for ", cost, ", and charged is ",
                        journal_.money().charged));
  }
  if (journal_.money().reserved != 0) {
    Report(kAccounts,
           absl::StrCat(journal_.money().reserved, " stay reserved"));
  }
}

// Of each attempt with a session: what is stored is what the service's history
// shows, each event in each of its two forms once, the processed ones in order;
// and of one that succeeded all of it up to an end of its turns. (A message
// that was on its way for minutes may have begun another turn behind that.)
void Checks::CheckEvents() {
  SqliteStatement row = queue_->Query(
      "SELECT grant_seq, session, state FROM attempt WHERE session != ''");
  while (row.Step()) {
    absl::StatusOr<std::vector<std::string>> stored =
        ReadStoredEvents(*events_, row.Int(0), 0);
    if (!stored.ok()) {
      Report(kEvents, std::string(stored.status().message()));
      continue;
    }
    std::map<std::string, size_t> history;
    std::map<std::string, std::string> missing;  // types by id
    std::map<std::string_view, const testing::FakeShown*> by_text;
    size_t whole = 0;
    for (const testing::FakeShown& event : service_.Shown(row.Text(1))) {
      by_text[event.json] = &event;
      if (event.type == "session.status_terminated") break;
      // It was settled: who ends it may interrupt it first.
      if (event.type == "user.interrupt") continue;
      history[event.id] = ++whole;
      missing[event.id] = event.type;
    }
    std::set<std::pair<std::string, bool>> seen;
    size_t last = 0;
    bool rests = false;
    for (const std::string& text : *stored) {
      // What is not in the history word for word is read.
      auto shown = by_text.find(text);
      const testing::FakeShown event =
          shown == by_text.end() ? Read(text) : *shown->second;
      const bool done = !event.processed_at.empty();
      auto report = [&](const char* what) {
        Report(kEvents, absl::StrCat(row.Text(1), ": ", event.type, " ",
                                     event.id, what));
      };
      if (!seen.emplace(event.id, done).second) report(" is stored twice");
      if (!done || event.type == "session.status_terminated") continue;
      if (event.type == "user.interrupt") continue;
      auto place = history.find(event.id);
      if (place == history.end()) {
        report(" never was");
      } else {
        if (place->second < last) report(" is out of order");
        last = place->second;
        rests = event.type == "session.status_idle";
        missing.erase(event.id);
      }
    }
    counts_.Add("events stored", static_cast<int64_t>(stored->size()));
    const auto state = static_cast<v1::TaskState>(row.Int(2));
    std::erase_if(missing, [&](const auto& event) {
      return history[event.first] > last;
    });
    if (state != v1::TASK_STATE_SUCCEEDED) continue;
    if (!rests) {
      Report(kEvents, absl::StrCat(row.Text(1), ": its end is not stored"));
    }
    if (!missing.empty()) {
      Report(kEvents, absl::StrCat(row.Text(1), ": of ", whole, " events ",
                                   missing.size(), " are missing, as ",
                                   missing.begin()->second, " ",
                                   missing.begin()->first));
    }
  }
}

}  // namespace midwatch::sim
