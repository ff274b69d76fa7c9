#include "scheduler/why.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"

namespace midwatch {
namespace {

constexpr int64_t kMicrosPerCent = 10'000;

// "$0.60", and digits past the cents only where they are not zero.
std::string Dollars(int64_t usd_micros) {
  const char* sign = usd_micros < 0 ? "-" : "";
  const uint64_t size = static_cast<uint64_t>(std::abs(usd_micros));
  const uint64_t fraction = size % 1'000'000;
  if (fraction % kMicrosPerCent == 0) {
    return absl::StrFormat("%s$%d.%02d", sign, size / 1'000'000,
                           fraction / kMicrosPerCent);
  }
  return absl::StrFormat("%s$%d.%06d", sign, size / 1'000'000, fraction);
}

std::string Count(int64_t count, const char* what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

// Instants for people: of another day with its date.
class Times {
 public:
  Times(absl::Time now, absl::TimeZone zone) : now_(now), zone_(zone) {}

  std::string At(absl::Time time) const { return Format(time, "%H:%M:%S"); }
  // As exact as a guess is.
  std::string About(absl::Time time) const {
    return Format(time, time - now_ < absl::Minutes(10) ? "%H:%M:%S" : "%H:%M");
  }

 private:
  std::string Format(absl::Time time, const char* format) const {
    const bool today =
        absl::ToCivilDay(time, zone_) == absl::ToCivilDay(now_, zone_);
    return absl::FormatTime(
        absl::StrCat(today ? "" : "%Y-%m-%d ", format,
                     zone_ == absl::UTCTimeZone() ? " UTC" : ""),
        time, zone_);
  }

  absl::Time now_;
  absl::TimeZone zone_;
};

// ": why", or nothing. What follows is the sentence's own end.
std::string Because(absl::string_view why) {
  while (absl::ConsumeSuffix(&why, ".")) {
  }
  return why.empty() ? "" : absl::StrCat(": ", why);
}

class Explainer {
 public:
  Explainer(const TaskStanding& standing, const ServingFacts& serving,
            absl::Time now, absl::TimeZone zone)
      : is_(standing),
        task_(standing.task),
        serving_(serving),
        now_(now),
        times_(now, zone) {}

  Why Run() {
    std::optional<Why> why = WhereItStands();
    if (!why) why = WhatAPersonEnds();
    if (!why) why = WhatEndsAtATime();
    if (!why) why = WhatOthersEnd();
    if (!why) why = Queueing();
    Predict(*why);
    return *std::move(why);
  }

 private:
  template <typename... Args>
  static Why Say(v1::WaitReason reason, const Args&... words) {
    return {.reason = reason,
            .sentence = absl::StrCat(words...),
            .until = {},
            .start = {},
            .prediction = ""};
  }

  // ---- 1 ----

  std::optional<Why> WhereItStands() const {
    switch (task_.state) {
      case v1::TASK_STATE_SUCCEEDED:
      case v1::TASK_STATE_FAILED:
      case v1::TASK_STATE_CANCELLED:
      case v1::TASK_STATE_SKIPPED:
        return HowItEnded();
      case v1::TASK_STATE_CANCELLING:
        return Say(v1::WAIT_REASON_CANCELLING,
                   "It is being cancelled: its session is brought to a rest.");
      case v1::TASK_STATE_RUNNING:
        return HowItRuns();
      case v1::TASK_STATE_WAITING:
        return WhatItAsks();
      case v1::TASK_STATE_BLOCKED:
        return Say(v1::WAIT_REASON_NEEDS, "It needs ",
                   absl::StrJoin(task_.waits_for, ", "),
                   task_.waits_for_others ? " and others" : "",
                   task_.waits_for.size() > 1 || task_.waits_for_others
                       ? ", which are not done."
                       : ", which is not done.");
      default:
        break;
    }
    if (is_.batch_state == v1::BATCH_STATE_CANCELLING) {
      return Say(v1::WAIT_REASON_CANCELLING, "Its batch is being cancelled.");
    }
    return std::nullopt;
  }

  Why HowItEnded() const {
    const char* how = task_.state == v1::TASK_STATE_SUCCEEDED ? "succeeded"
                      : task_.state == v1::TASK_STATE_FAILED  ? "failed"
                      : task_.state == v1::TASK_STATE_CANCELLED
                          ? "was cancelled"
                          : "was skipped";
    const std::string words =
        absl::StrCat("It ", how, " at ", times_.At(task_.ended_at));
    if (task_.state == v1::TASK_STATE_SUCCEEDED) {
      return Say(v1::WAIT_REASON_FINAL, words, ", after ",
                 Count(task_.attempts, "attempt"), " and for ",
                 Dollars(task_.charged), ".");
    }
    return Say(v1::WAIT_REASON_FINAL, words, Because(task_.reason), ".");
  }

  Why HowItRuns() const {
    const std::string attempt = absl::StrCat("Attempt ", task_.attempts);
    if (is_.held) {
      return Say(v1::WAIT_REASON_ACCOUNT_SHUT, attempt,
                 " keeps its session until account ", is_.account, " opens",
                 Because(is_.account_standing.why), ".");
    }
    if (task_.session_id.empty() || is_.worker.empty()) {
      const std::string since =
          absl::StrCat(" since ", times_.At(is_.granted_at),
                       task_.session_id.empty()
                           ? std::string()
                           : absl::StrCat(" (session ", task_.session_id, ")"));
      return is_.worker.empty()
                 ? Say(v1::WAIT_REASON_RUNNING, attempt, " is on", since,
                       "; no worker holds it now, and the next that has a "
                       "place takes it up.")
                 : Say(v1::WAIT_REASON_RUNNING, attempt, " is being started",
                       since, " by worker ", is_.worker,
                       "; it has no session yet.");
    }
    return Say(v1::WAIT_REASON_RUNNING, attempt, " runs since ",
               times_.At(is_.granted_at), " on worker ", is_.worker,
               " (session ", task_.session_id, ").");
  }

  Why WhatItAsks() const {
    std::string what = "an answer";
    if (!task_.questions.empty()) {
      const v1::Question& first = task_.questions[0];
      what = first.has_spent_usd_micros()
                 ? absl::StrCat("a higher budget, since its session has cost ",
                                Dollars(first.spent_usd_micros()))
             : first.wants_result()
                 ? absl::StrCat("the result of ", first.tool())
                 : absl::StrCat("leave to use ", first.tool());
      if (task_.questions.size() > 1) {
        absl::StrAppend(&what, " (and ", task_.questions.size() - 1, " more)");
      }
    }
    Why why =
        Say(v1::WAIT_REASON_PERSON, "It waits for a person to give it ", what,
            task_.answer_by < absl::InfiniteFuture()
                ? absl::StrCat(", until ", times_.At(task_.answer_by))
                : "",
            ".");
    if (task_.answer_by < absl::InfiniteFuture()) why.until = task_.answer_by;
    return why;
  }

  // ---- 2 ----

  std::optional<Why> WhatAPersonEnds() const {
    const AccountStanding& account = is_.account_standing;
    if (account.state == v1::ACCOUNT_STATE_PAUSED &&
        account.until == absl::InfiniteFuture()) {
      return Say(v1::WAIT_REASON_ACCOUNT_SHUT, "Account ", is_.account,
                 " is paused until somebody resumes it", Because(account.why),
                 ".");
    }
    if (is_.queue_pause && !Ends(*is_.queue_pause)) {
      return Say(v1::WAIT_REASON_QUEUE_PAUSED, "Queue ", task_.queue,
                 " is paused until somebody resumes it",
                 Because(is_.queue_pause->why), ".");
    }
    if (is_.batch_pause && !Ends(*is_.batch_pause)) {
      return Say(v1::WAIT_REASON_BATCH_PAUSED, "Batch ", is_.batch_name,
                 " is paused until somebody resumes it",
                 Because(is_.batch_pause->why), ".");
    }
    if (serving_.workers == 0) {
      return Say(v1::WAIT_REASON_NO_WORKER, "No worker for account ",
                 is_.account, " is connected.");
    }
    for (const StandingBudget& budget : is_.budgets) {
      if (is_.ready && budget.window_end == absl::InfiniteFuture() &&
          budget.limit - budget.charged < is_.lane_wants) {
        return SayBudget(budget);
      }
    }
    return std::nullopt;
  }

  static bool Ends(const PauseRecord& pause) {
    return pause.until < absl::InfiniteFuture();
  }

  // What a new attempt may still set aside.
  static int64_t RoomOf(const StandingBudget& budget) {
    return budget.limit - budget.charged - budget.reserved;
  }

  Why SayBudget(const StandingBudget& budget) const {
    const char* scope = budget.scope == v1::BUDGET_SCOPE_TENANT  ? "tenant "
                        : budget.scope == v1::BUDGET_SCOPE_QUEUE ? "queue "
                                                                 : "batch ";
    const char* window = budget.window == v1::BUDGET_WINDOW_DAY     ? " a day"
                         : budget.window == v1::BUDGET_WINDOW_MONTH ? " a month"
                                                                    : "";
    Why why = Say(v1::WAIT_REASON_BUDGET, "The budget of ", scope, budget.name,
                  ", ", Dollars(budget.limit), window, ", has ",
                  Dollars(std::max<int64_t>(0, RoomOf(budget))), " left",
                  budget.reserved > 0
                      ? absl::StrCat(" beside ", Dollars(budget.reserved),
                                     " set aside for what runs")
                      : "",
                  ", and ", is_.is_first ? "it" : "the task before it",
                  " needs ", Dollars(is_.lane_wants), " of it to start.");
    if (budget.window_end < absl::InfiniteFuture()) {
      why.until = budget.window_end;
    }
    return why;
  }

  // ---- 3 ----

  std::optional<Why> WhatEndsAtATime() const {
    std::optional<Why> last;
    auto consider = [&](absl::Time until, Why why) {
      if (until <= now_ || (last && *last->until >= until)) return;
      why.until = until;
      last = std::move(why);
    };
    if (!is_.ready && task_.not_before > absl::InfinitePast()) {
      consider(task_.not_before, Delay());
    }
    const AccountStanding& account = is_.account_standing;
    if (account.state != v1::ACCOUNT_STATE_OPEN) {
      const absl::Time next = std::min(account.until, account.next_probe);
      if (next < absl::InfiniteFuture()) {
        consider(std::max(next, now_ + absl::Seconds(1)), Shut(next));
      }
    }
    if (is_.queue_pause) {
      consider(is_.queue_pause->until,
               Say(v1::WAIT_REASON_QUEUE_PAUSED, "Queue ", task_.queue,
                   " is paused until ", times_.At(is_.queue_pause->until),
                   Because(is_.queue_pause->why), "."));
    }
    if (is_.batch_pause) {
      consider(is_.batch_pause->until,
               Say(v1::WAIT_REASON_BATCH_PAUSED, "Batch ", is_.batch_name,
                   " is paused until ", times_.At(is_.batch_pause->until),
                   Because(is_.batch_pause->why), "."));
    }
    for (const StandingBudget& budget : is_.budgets) {
      // What runs may yet leave enough of it.
      if (is_.ready && budget.window_end < absl::InfiniteFuture() &&
          budget.limit - budget.charged < is_.lane_wants) {
        consider(budget.window_end, SayBudget(budget));
      }
    }
    return last;
  }

  Why Delay() const {
    if (task_.attempts == 0) {
      return Say(v1::WAIT_REASON_DELAY, "It is not to start before ",
                 times_.At(task_.not_before), ".");
    }
    return Say(v1::WAIT_REASON_DELAY, "It is tried again at ",
               times_.At(task_.not_before), ", since attempt ", task_.attempts,
               " ended", Because(task_.reason), ".");
  }

  Why Shut(absl::Time next) const {
    const AccountStanding& account = is_.account_standing;
    const char* how = account.state == v1::ACCOUNT_STATE_PAUSED
                          ? " is paused until "
                      : account.state == v1::ACCOUNT_STATE_SPEND_CAP
                          ? " is at its spend cap, and tried again at "
                          : " is refused by the service, and tried again at ";
    return Say(v1::WAIT_REASON_ACCOUNT_SHUT, "Account ", is_.account, how,
               times_.At(next), Because(account.why), ".");
  }

  // ---- 4 ----

  std::optional<Why> WhatOthersEnd() const {
    if (is_.canary_tasks > 0) {
      return Say(v1::WAIT_REASON_CANARY, "Of the canary of batch ",
                 is_.batch_name, " ", is_.canary_over, " of ",
                 Count(is_.canary_tasks, "task"),
                 is_.canary_over == 1 ? " is" : " are",
                 " done, and it has no verdict yet.");
    }
    if (!is_.key_holder.empty() && is_.key_max > 1) {
      return Say(v1::WAIT_REASON_KEY, "As many tasks of its concurrency key (",
                 is_.concurrency_key, ") are on as may be, ", is_.key_max,
                 " of them, task ", is_.key_holder, " among them", Before(),
                 ".");
    }
    if (!is_.key_holder.empty()) {
      return Say(v1::WAIT_REASON_KEY, "Task ", is_.key_holder,
                 " is on, which has the same concurrency key (",
                 is_.concurrency_key, ")", Before(), ".");
    }
    for (const StandingCap& cap : is_.caps) {
      if (cap.running < cap.max) continue;
      const char* scope = cap.scope == v1::CAP_SCOPE_BATCH    ? "Batch "
                          : cap.scope == v1::CAP_SCOPE_QUEUE  ? "Queue "
                          : cap.scope == v1::CAP_SCOPE_TENANT ? "Tenant "
                                                              : "Account ";
      return Say(v1::WAIT_REASON_CAP, scope, cap.name,
                 " runs as many tasks as it may, ", cap.running, " of ",
                 cap.max, Before(), ".");
    }
    for (const StandingBudget& budget : is_.budgets) {
      if (is_.ready && RoomOf(budget) < is_.lane_wants) {
        Why why = SayBudget(budget);
        why.until.reset();  // what runs leaves some of it
        return why;
      }
    }
    if (serving_.free <= 0) {
      return Say(
          v1::WAIT_REASON_CAPACITY,
          serving_.capacity == 1
              ? std::string("The one place")
              : absl::StrCat("All ", serving_.capacity, " places"),
          " at the ",
          serving_.workers == 1 ? std::string("worker")
                                : absl::StrCat(serving_.workers, " workers"),
          " for account ", is_.account,
          serving_.capacity == 1 ? " is taken" : " are taken", Before(), ".");
    }
    return std::nullopt;
  }

  // Who else is before it, as the end of a sentence.
  std::string Before() const {
    std::vector<std::string> parts;
    if (is_.before > 0) {
      const bool one = is_.before == 1 && !is_.more_before;
      parts.push_back(absl::StrCat(is_.more_before ? "more than " : "",
                                   Count(is_.before, "ready task"),
                                   one ? " goes" : " go", " before it"));
    }
    return parts.empty() ? "" : absl::StrCat(", and ", parts[0]);
  }

  // ---- 5 ----

  Why Queueing() const {
    if (serving_.until_create > absl::ZeroDuration()) {
      const absl::Time next = now_ + serving_.until_create;
      Why why =
          serving_.resting
              ? Say(v1::WAIT_REASON_RATE,
                    "The service refused requests: no session is created "
                    "before ",
                    times_.At(next), Before(), ".")
              : Say(v1::WAIT_REASON_RATE, "The service lets ",
                    absl::StrFormat("%g", serving_.creates_per_minute),
                    " sessions a minute begin, and the next ones are taken",
                    Before(), ".");
      if (serving_.resting) why.until = next;
      return why;
    }
    if (is_.before > 0) {
      return Say(v1::WAIT_REASON_ORDER, is_.more_before ? "More than " : "",
                 Count(is_.before, "ready task"), " of its queue ",
                 is_.before == 1 && !is_.more_before ? "goes" : "go",
                 " before it",
                 is_.other_queues > 0
                     ? absl::StrCat(", and ", OtherQueues(), " with it")
                     : "",
                 ".");
    }
    if (is_.other_queues > 0) {
      return Say(v1::WAIT_REASON_ORDER, "It is the first of its queue, and ",
                 OtherQueues(), " with it.");
    }
    return Say(v1::WAIT_REASON_NOTHING,
               "Nothing holds it back: it starts at once.");
  }

  std::string OtherQueues() const {
    return is_.other_queues == 1
               ? std::string("1 other queue takes turns")
               : absl::StrCat(is_.other_queues, " other queues take turns");
  }

  // ---- When ----

  // How many may run at once before which it waits; 0: no such bound.
  int64_t Width() const {
    if (!is_.key_holder.empty()) return is_.key_max;
    int64_t width = serving_.free <= 0 ? serving_.capacity : 0;
    for (const StandingCap& cap : is_.caps) {
      if (cap.running >= cap.max && (width == 0 || cap.max < width)) {
        width = cap.max;
      }
    }
    return width;
  }

  void Predict(Why& why) const {
    auto unknown = [&](const char* words) {
      why.prediction = absl::StrCat("unknown: ", words);
    };
    switch (why.reason) {
      case v1::WAIT_REASON_FINAL:
      case v1::WAIT_REASON_RUNNING:
      case v1::WAIT_REASON_CANCELLING:
        return;
      case v1::WAIT_REASON_PERSON:
        return unknown("it has started, and goes on once it is answered");
      case v1::WAIT_REASON_NEEDS:
        return unknown("it is ready once what it needs is done");
      case v1::WAIT_REASON_NO_WORKER:
        return unknown("a worker has to be started");
      default:
        break;
    }
    if (task_.state == v1::TASK_STATE_RUNNING) return;
    if (why.reason == v1::WAIT_REASON_ACCOUNT_SHUT && why.until) {
      return unknown("its account has to open");
    }
    if (why.reason == v1::WAIT_REASON_BUDGET && !why.until) {
      return unknown(
          "what runs has to leave room in the budget, or it has to be raised");
    }
    if (why.reason == v1::WAIT_REASON_CANARY) {
      return unknown("the canary has to pass, or somebody has to go on");
    }
    if (IsAPersons(why)) return unknown("somebody has to resume it");
    const std::optional<absl::Duration> wait = WaitForOthers();
    if (!wait) return unknown("no task of its kind has succeeded yet");
    why.start = std::max(now_ + *wait, why.until.value_or(now_));
    // Behind a time nobody knows what else will be there.
    why.prediction =
        *why.start <= now_ + absl::Seconds(1)
            ? "at once"
            : absl::StrCat(why.until && *why.start == *why.until ? "not before "
                                                                 : "about ",
                           times_.About(*why.start));
  }

  static bool IsAPersons(const Why& why) {
    return !why.until && (why.reason == v1::WAIT_REASON_ACCOUNT_SHUT ||
                          why.reason == v1::WAIT_REASON_QUEUE_PAUSED ||
                          why.reason == v1::WAIT_REASON_BATCH_PAUSED);
  }

  // Until those before it have started: as fast as places come free where they
  // are taken, each after half of what a task of this kind takes, and as fast
  // as the rate allows. Other queues count as one each that takes turns.
  std::optional<absl::Duration> WaitForOthers() const {
    const double places = static_cast<double>(is_.before + 1) *
                          static_cast<double>(is_.other_queues + 1);
    absl::Duration wait = serving_.until_create;
    if (serving_.creates_per_minute > 0) {
      wait += absl::Minutes(1) * ((places - 1) / serving_.creates_per_minute);
    }
    const int64_t width = Width();
    if (width == 0) return wait;
    if (task_.forecast.samples == 0) return std::nullopt;
    return std::max(
        wait, task_.forecast.time_p50 * (places / static_cast<double>(width)));
  }

  const TaskStanding& is_;
  const TaskRecord& task_;
  const ServingFacts& serving_;
  const absl::Time now_;
  const Times times_;
};

}  // namespace

Why Explain(const TaskStanding& standing, const ServingFacts& serving,
            absl::Time now, absl::TimeZone zone) {
  return Explainer(standing, serving, now, zone).Run();
}

}  // namespace midwatch
