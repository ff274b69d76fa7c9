#include "cli/progress.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/account_views.h"
#include "cli/control_views.h"
#include "cli/counts.h"
#include "cli/money.h"
#include "cli/rule_views.h"
#include "cli/state_names.h"
#include "cli/times.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

constexpr absl::Duration kPlainStatusEvery = absl::Seconds(5);
constexpr absl::Duration kLiveStatusEvery = absl::Milliseconds(100);
// Larger batches show no line for each task that succeeds.
constexpr int64_t kEachTaskMax = 1000;
// Reasons may hold names and numbers: past these, causes are put together.
constexpr size_t kCausesMax = 200;
// Rates that are older are not shown.
constexpr absl::Duration kRatesFor = absl::Seconds(15);
constexpr char kOtherTroubles[] = "other causes";

bool IsRunning(v1::TaskState state) {
  return state == v1::TASK_STATE_RUNNING || state == v1::TASK_STATE_WAITING ||
         state == v1::TASK_STATE_CANCELLING;
}

const char* PluralOf(v1::RequestClass request_class) {
  switch (request_class) {
    case v1::REQUEST_CLASS_CREATE:
      return "creates";
    case v1::REQUEST_CLASS_WRITE:
      return "writes";
    case v1::REQUEST_CLASS_READ:
      return "reads";
    default:
      return "files";
  }
}

std::string CauseOf(v1::FailureClass failure_class, absl::string_view reason) {
  std::string cause;
  if (failure_class != v1::FAILURE_CLASS_UNSPECIFIED) {
    cause = NameOf(failure_class);
  }
  const std::string words = OneLine(reason);
  if (!cause.empty() && !words.empty()) cause += ": ";
  return cause + words;
}

}  // namespace

Progress::Progress(Terminal& terminal, const Clock& clock,
                   const GlobalOptions& global)
    : terminal_(terminal),
      clock_(clock),
      global_(global),
      begun_(clock.Steady()),
      shown_at_(begun_),
      pace_(begun_) {}

void Progress::Add(const v1::WatchBatchResponse& message) {
  if (message.has_batch()) {
    PrintAccount(message.batch());
    PrintCanary(message.batch());
    PrintPauses(message.batch());
    batch_ = message.batch();
  }
  if (message.has_change()) AddChange(message.change());
}

void Progress::AddKnown(const v1::Task& task) {
  if (task.state() == v1::TASK_STATE_FAILED) {
    v1::TaskChange change;
    change.set_state(task.state());
    change.set_failure_class(task.failure_class());
    change.set_reason(task.reason());
    return AddTrouble(change);
  }
  if (!IsRunning(task.state())) return;
  auto [entry, is_new] = open_.try_emplace(task.task_id());
  if (!is_new) return;
  entry->second.name = OneLine(task.name());
  entry->second.state = task.state();
  entry->second.since = clock_.Steady() - ToDuration(task.run_time());
  entry->second.charged_usd_micros = task.charged_usd_micros();
  Show(entry, true);
}

void Progress::Show(OpenTasks::iterator task, bool shown) {
  const std::pair<absl::Duration, std::string> key(task->second.since,
                                                   task->first);
  if (shown) {
    running_.insert(key);
  } else {
    running_.erase(key);
  }
}

void Progress::AddChange(const v1::TaskChange& change) {
  auto entry = open_.find(change.task_id());
  if (entry == open_.end()) {
    if (!IsRunning(change.state()) && !IsFinal(change.state())) return;
    entry = open_.try_emplace(change.task_id()).first;
    entry->second.name = OneLine(change.name());
    entry->second.seen_whole =
        change.attempt() <= 1 && change.state() == v1::TASK_STATE_RUNNING;
  }
  Open& task = entry->second;
  task.charged_usd_micros += change.charged_usd_micros();
  Show(entry, false);
  if (IsRunning(change.state()) && !IsRunning(task.state)) {
    task.since = clock_.Steady();
    if (task.granted_at == absl::Time()) task.granted_at = ToTime(change.at());
    task.doing.clear();
  }
  if (change.state() == v1::TASK_STATE_WAITING &&
      task.state != change.state()) {
    task.doing = OneLine(change.reason());
    PrintState(change, task);
  }
  task.state = change.state();
  if (change.state() == v1::TASK_STATE_FAILED ||
      (change.state() == v1::TASK_STATE_QUEUED &&
       change.failure_class() != v1::FAILURE_CLASS_UNSPECIFIED)) {
    AddTrouble(change);
  }
  if (!IsFinal(change.state())) return Show(entry, IsRunning(change.state()));
  // A task that never ran says nothing of the pace.
  if (change.attempt() > 0) {
    pace_.Ended(clock_.Steady(), task.seen_whole
                                     ? std::optional(task.charged_usd_micros)
                                     : std::nullopt);
  }
  PrintState(change, task);
  open_.erase(entry);
}

void Progress::AddTrouble(const v1::TaskChange& change) {
  std::string cause = CauseOf(change.failure_class(), change.reason());
  if (troubles_.size() >= kCausesMax && !troubles_.contains(cause)) {
    cause = kOtherTroubles;
  }
  Trouble& trouble = troubles_[cause];
  trouble.counts.cause = cause;
  ++(change.state() == v1::TASK_STATE_FAILED ? trouble.counts.failed
                                             : trouble.counts.retried);
  trouble.last = ++troubles_seen_;
}

void Progress::PrintAccount(const v1::Batch& batch) {
  const v1::Account& now = batch.account_trouble();
  if (global_.json || now.state() == batch_.account_trouble().state()) return;
  terminal_.Print(batch.has_account_trouble()
                      ? AccountLine(global_, now)
                      : absl::StrCat("account ", OneLine(batch.account()),
                                     " is open again"));
}

void Progress::PrintPauses(const v1::Batch& batch) {
  // A view that is drawn anew says so all along.
  if (global_.json || terminal_.is_live()) return;
  auto print = [&](bool was, bool is, const std::string& line,
                   const std::string& what) {
    if (was == is) return;
    terminal_.Print(is ? line : absl::StrCat(what, " is not paused any more"));
  };
  // Its end comes in another way.
  if (FinalOf(batch.counts()) == TotalOf(batch.counts())) return;
  print(batch_.has_pause(), batch.has_pause(), BatchPauseLine(global_, batch),
        "the batch");
  print(batch_.has_queue_pause(), batch.has_queue_pause(),
        QueuePauseLine(global_, batch),
        absl::StrCat("queue ", OneLine(batch.queue())));
}

void Progress::PrintCanary(const v1::Batch& batch) {
  if (global_.json || terminal_.is_live()) return;
  if (batch_.canary().verdict() != v1::CANARY_VERDICT_UNDECIDED ||
      batch.canary().verdict() == v1::CANARY_VERDICT_UNDECIDED) {
    return;
  }
  terminal_.Print(absl::StrCat("the canary ", CanaryLine(batch)));
}

void Progress::PrintState(const v1::TaskChange& change, const Open& task) {
  if (global_.json || terminal_.is_live()) return;
  const bool succeeded = change.state() == v1::TASK_STATE_SUCCEEDED;
  if (succeeded && TotalOf(batch_.counts()) > kEachTaskMax) return;
  std::string line = absl::StrCat(
      PadRight(NameOf(change.state()), 9), "  ", PadRight(task.name, 28), "  ",
      absl::StrFormat("%7s", FormatUsd(task.charged_usd_micros)));
  if (task.granted_at != absl::Time()) {
    absl::StrAppendFormat(&line, "  %7s",
                          FormatSpan(ToTime(change.at()) - task.granted_at));
  }
  if (!succeeded && !change.reason().empty()) {
    absl::StrAppend(&line, "  ", OneLine(change.reason()));
  }
  terminal_.Print(line);
}

std::vector<std::string> Progress::ShownTasks() const {
  std::vector<std::string> ids;
  const size_t rows = static_cast<size_t>(terminal_.height());
  for (auto it = running_.begin(); it != running_.end() && ids.size() < rows;
       ++it) {
    ids.push_back(it->second);
  }
  return ids;
}

void Progress::SetDoing(const std::string& task_id, const std::string& doing) {
  if (auto entry = open_.find(task_id); entry != open_.end()) {
    entry->second.doing = doing;
  }
}

void Progress::SetAccount(const v1::Account& account) {
  account_ = account;
  account_at_ = clock_.Steady();
}

std::vector<LiveMoment::Rate> Progress::Rates() const {
  std::vector<LiveMoment::Rate> rates;
  if (clock_.Steady() - account_at_ > kRatesFor) return rates;
  for (const v1::RequestRate& now : account_.rates()) {
    if (now.allowed_per_minute() == 0) continue;
    LiveMoment::Rate rate;
    rate.what = PluralOf(now.request_class());
    rate.accepted = now.accepted();
    rate.allowed_per_minute = now.allowed_per_minute();
    rate.lowered = now.allowed_per_minute() < now.limit_per_minute();
    const absl::Duration rest = ToTime(now.resting_until()) - clock_.Now();
    if (now.has_resting_until() && rest > absl::ZeroDuration()) {
      rate.rests_for = rest;
    }
    rates.push_back(std::move(rate));
  }
  return rates;
}

LiveMoment Progress::Moment(size_t running_max) const {
  const absl::Duration now = clock_.Steady();
  const v1::TaskCounts& counts = batch_.counts();
  LiveMoment moment;
  moment.counts = counts;
  moment.charged_usd_micros = batch_.charged_usd_micros();
  moment.estimated_usd_micros = batch_.estimated_cost_usd_micros();
  moment.elapsed = elapsed();
  const int64_t open = TotalOf(counts) - FinalOf(counts);
  moment.left = pace_.Left(now, open, counts.running());
  if (const v1::Forecast& forecast = batch_.forecast();
      forecast.samples() > 0 && open > 0) {
    const int64_t each = forecast.cost_p50_usd_micros();
    moment.foretold_usd_micros = batch_.charged_usd_micros() + open * each;
    // Until enough has ended here to tell.
    if (!moment.left && counts.running() > 0) {
      moment.left = ToDuration(forecast.time_p50()) *
                    static_cast<double>(open) /
                    static_cast<double>(counts.running());
    }
  }
  moment.ends_per_minute = pace_.EndsPerMinute(now);
  moment.median_usd_micros = pace_.MedianUsdMicros();
  moment.lost_for = lost_for_;
  if (counts.queued() > 0) {
    // That its own cap is reached is how such a batch runs.
    const bool own = batch_.full_cap() == v1::CAP_SCOPE_BATCH;
    for (const std::string& hold :
         {BatchPauseLine(global_, batch_), QueuePauseLine(global_, batch_),
          CanaryHoldLine(batch_), own ? std::string() : FullCapLine(batch_)}) {
      if (!hold.empty()) moment.holds.push_back(hold);
    }
  }
  moment.rates = Rates();
  for (const auto& [since, id] : running_) {
    if (moment.running.size() == running_max) break;
    const Open& task = open_.at(id);
    moment.running.push_back({task.name, now - since, task.doing});
  }
  std::vector<const Trouble*> latest;
  for (const auto& entry : troubles_) latest.push_back(&entry.second);
  std::sort(
      latest.begin(), latest.end(),
      [](const Trouble* a, const Trouble* b) { return a->last > b->last; });
  for (const Trouble* trouble : latest) {
    moment.troubles.push_back(trouble->counts);
  }
  return moment;
}

std::string Progress::StatusLine() const {
  const v1::TaskCounts& counts = batch_.counts();
  std::string line = absl::StrCat(FinalOf(counts), "/", TotalOf(counts));
  auto add = [&](int64_t count, absl::string_view what) {
    if (count > 0) absl::StrAppend(&line, "  ", count, " ", what);
  };
  add(counts.running(), "running");
  add(counts.waiting(), "waiting");
  add(counts.cancelling(), "cancelling");
  add(counts.failed(), "failed");
  add(counts.cancelled(), "cancelled");
  add(counts.skipped(), "skipped");
  return absl::StrCat(line, "  ", FormatUsd(batch_.charged_usd_micros()), "  ",
                      FormatSpan(elapsed()));
}

void Progress::Tick() {
  if (global_.json || batch_.batch_id().empty()) return;
  const bool live = terminal_.is_live();
  const absl::Duration now = clock_.Steady();
  // Who resizes a terminal goes on doing so: the sooner the view is drawn
  // again, the less is lost (LiveWidth).
  if (now - shown_at_ < (live ? kLiveStatusEvery : kPlainStatusEvery) &&
      !terminal_.resized()) {
    return;
  }
  shown_at_ = now;
  if (!live) return terminal_.Print(StatusLine());
  // One row is left to what was printed before.
  const int rows = std::max(1, terminal_.height() - 1);
  terminal_.SetLines(RenderLive(Moment(static_cast<size_t>(rows)),
                                LiveWidth(terminal_.width()), rows,
                                terminal_.colours()));
}

void Progress::Finish() { terminal_.ClearLines(); }

void Progress::Keep() { terminal_.KeepLines(); }

}  // namespace midwatch::cli
