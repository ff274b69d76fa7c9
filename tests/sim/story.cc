#include "tests/sim/story.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/random.h"

namespace midwatch::sim {
namespace {

class Dice {
 public:
  explicit Dice(uint64_t seed) : random_(seed) {}
  // From `low` to `high`, both possible.
  int Pick(int low, int high) {
    return low + static_cast<int>(random_.Next() %
                                  static_cast<uint64_t>(high - low + 1));
  }
  absl::Duration Seconds(int low, int high) {
    return absl::Milliseconds(Pick(low * 1000, high * 1000));
  }
  bool OneIn(int n) { return Pick(1, n) == 1; }
  double Up(double to) { return to * random_.Fraction(); }

 private:
  SeededRandom random_;
};

// What goes wrong, as often as it is named: what must be survived together with
// something else comes oftener.
constexpr FaultKind kDrawn[] = {
    FaultKind::kSchedulerKill, FaultKind::kSchedulerKill,
    FaultKind::kPowerLoss,     FaultKind::kPowerLoss,
    FaultKind::kDiskFull,      FaultKind::kDiskError,
    FaultKind::kWorkerKill,    FaultKind::kWorkerKill,
    FaultKind::kWorkerStall,   FaultKind::kWorkerStall,
    FaultKind::kWorkerStall,   FaultKind::kWorkerSleep,
    FaultKind::kWorkerDrain,   FaultKind::kLinkCut,
    FaultKind::kLinkCut,       FaultKind::kLinkCut,
    FaultKind::kFlakyLinks,    FaultKind::kFlakyLinks,
    FaultKind::kFlakyLinks,    FaultKind::kLostRequests,
    FaultKind::kWallStep,      FaultKind::kRateLimited,
    FaultKind::kSpendCap,      FaultKind::kOverloaded,
    FaultKind::kServerError,   FaultKind::kKeyRefused,
    FaultKind::kNoConnection,  FaultKind::kLostRequests,
    FaultKind::kLostAnswers,   FaultKind::kLateRequests,
    FaultKind::kLateRequests,  FaultKind::kLateAnswers,
    FaultKind::kCutStreams,    FaultKind::kDoubledEvents};

constexpr uint64_t kNeedsSeed = 0x6e65656473;        // "needs"
constexpr uint64_t kStartsSeed = 0x737461727473;     // "starts"
constexpr uint64_t kHooksSeed = 0x686f6f6b73;        // "hooks"
constexpr uint64_t kRisksSeed = 0x7269736b73;        // "risks"
constexpr uint64_t kOutputsSeed = 0x6f757470757473;  // "outputs"
constexpr uint64_t kSidesSeed = 0x7369646573;        // "sides"
constexpr uint64_t kTimesSeed = 0x74696d6573;        // "times"
constexpr uint64_t kBudgetsSeed = 0x62756467657473;  // "budgets"

constexpr FaultKind kHolds[] = {FaultKind::kQueuePaused,
                                FaultKind::kBatchPaused, FaultKind::kCapSet};

// Longer than a request is waited for, and than a term: 30 s both.
constexpr int kBeyond = 31;

// How long a fault lasts, and how much of what it can befall it does.
void Shape(Fault& fault, Dice& dice) {
  switch (fault.kind) {
    case FaultKind::kSchedulerKill:
    case FaultKind::kPowerLoss:
      fault.lasts = dice.Seconds(1, 40);
      fault.tasks = dice.Pick(1, 400);
      break;
    case FaultKind::kDiskFull:
      fault.lasts = dice.Seconds(1, 60);
      break;
    case FaultKind::kDiskError:
      fault.tasks = dice.Pick(1, 60);
      break;
    case FaultKind::kWorkerKill:
      fault.lasts = dice.Seconds(1, 90);
      fault.tasks = dice.Pick(1, 400);
      break;
    case FaultKind::kWorkerStall:
    case FaultKind::kWorkerSleep:
      fault.lasts = dice.Seconds(5, 120);
      break;
    case FaultKind::kWorkerDrain:
      fault.lasts = dice.Seconds(5, 60);
      break;
    case FaultKind::kLinkCut:
      fault.lasts = dice.Seconds(5, 90);
      break;
    case FaultKind::kFlakyLinks:
      fault.lasts = dice.Seconds(30, 300);
      fault.likelihood = dice.Up(0.1);
      break;
    case FaultKind::kWallStep:
      // Less than what lists are asked for beyond a session's create.
      fault.by = absl::Seconds(dice.Pick(-540, 540));
      break;
    case FaultKind::kSpendCap:
    case FaultKind::kKeyRefused:
      fault.lasts = dice.Seconds(10, 600);
      break;
    case FaultKind::kLateRequests:
    case FaultKind::kLateAnswers:
      fault.lasts = dice.Seconds(20, 120);
      fault.likelihood = dice.Up(0.4);
      fault.by = dice.Seconds(kBeyond, 120);
      break;
    case FaultKind::kCutStreams:
    case FaultKind::kDoubledEvents:
      fault.lasts = dice.Seconds(30, 300);
      fault.likelihood = dice.Up(0.2);
      break;
    default:
      fault.lasts = dice.Seconds(5, 120);
      fault.likelihood = dice.Up(0.6);
  }
}

}  // namespace

namespace {

Sides DrawSides(uint64_t seed) {
  Dice dice(SeededRandom(seed ^ kSidesSeed).Next());
  Sides sides;
  if (!dice.OneIn(3)) return sides;
  sides.batches = dice.Pick(2, 6);
  sides.cancels = dice.OneIn(2) ? dice.Pick(1, 2) : 0;
  sides.batch_retries = dice.Pick(0, 3);
  sides.task_retries = dice.Pick(0, 3);
  sides.deletes = dice.Pick(1, 8);
  sides.deaths = dice.OneIn(2) ? dice.Up(0.8) : 0;
  if (dice.OneIn(3)) sides.keep_newest = dice.Pick(1, 3);
  if (dice.OneIn(3)) sides.keep_for = dice.Seconds(30, 1800);
  // Drawn last: what was drawn before there were any stays as it was.
  if (dice.OneIn(4)) return sides;
  sides.singles = dice.OneIn(4) ? dice.Pick(20, 50) : dice.Pick(1, 20);
  sides.single_cancels = dice.Pick(0, 3);
  sides.single_retries = dice.Pick(0, 5);
  if (dice.OneIn(2)) sides.keep_newest_singles = dice.Pick(1, 5);
  if (dice.OneIn(2)) sides.keep_singles_for = dice.Seconds(1, 1800);
  sides.single_changes = dice.Pick(0, 6);
  return sides;
}

Timetable DrawTimetable(uint64_t seed) {
  Dice dice(SeededRandom(seed ^ kTimesSeed).Next());
  Timetable times;
  if (!dice.OneIn(4)) return times;
  times.every = dice.Pick(1, 2);
  times.until = dice.Seconds(150, 600);
  times.lines = dice.Pick(1, 6);
  times.runs = dice.OneIn(2) ? dice.Pick(1, 3) : 0;
  if (dice.OneIn(3)) times.jitter = absl::Seconds(dice.Pick(5, 50));
  times.overlap = static_cast<v1::OverlapPolicy>(dice.Pick(1, 3));
  times.missed = static_cast<v1::MissedPolicy>(dice.Pick(1, 3));
  times.deaths = dice.OneIn(2) ? dice.Up(1) : 0;
  if (dice.OneIn(2)) times.pauses = dice.Pick(1, 3);
  // Drawn last: what was drawn before there were any stays as it was.
  if (dice.OneIn(3)) times.deletes = dice.Pick(1, 3);
  times.goes = dice.OneIn(2);
  return times;
}

// Of their own dice: other nights stay as they were.
void DrawHooks(Story& story) {
  Dice dice(SeededRandom(story.seed ^ kHooksSeed).Next());
  story.hooks = dice.OneIn(4);
  if (story.hooks) story.hook_trouble = dice.Up(0.7);
  Dice risks(SeededRandom(story.seed ^ kRisksSeed).Next());
  if (!story.hooks || risks.OneIn(4)) return;
  if (risks.OneIn(2)) story.budget_tenths = risks.Pick(2, 14);
  if (risks.OneIn(2)) story.deadline = absl::Seconds(risks.Pick(20, 900));
}

// Of their own, too.
void DrawBadOutputs(Story& story) {
  Dice dice(SeededRandom(story.seed ^ kOutputsSeed).Next());
  if (dice.OneIn(3)) story.bad_outputs = 0.02 + dice.Up(0.3);
}

// People who delete budgets, of their own dice, too.
void DrawBudgets(Story& story) {
  Dice dice(SeededRandom(story.seed ^ kBudgetsSeed).Next());
  const int deletes = dice.OneIn(2) ? dice.Pick(1, 4) : 0;
  for (int i = 0; i < deletes; ++i) {
    Fault fault;
    fault.kind = FaultKind::kBudgetDeleted;
    fault.at = dice.Seconds(0, 240);
    fault.lasts = dice.Seconds(1, 200);
    fault.worker = 1;
    fault.budget = static_cast<v1::BudgetScope>(dice.Pick(1, 3));
    fault.for_good = dice.OneIn(4);
    if (story.HasBudgetOf(fault.budget)) story.faults.push_back(fault);
  }
}

}  // namespace

const char* NameOf(FaultKind kind) {
  switch (kind) {
    case FaultKind::kSchedulerKill:
      return "scheduler killed";
    case FaultKind::kPowerLoss:
      return "power lost";
    case FaultKind::kDiskFull:
      return "disk full";
    case FaultKind::kDiskError:
      return "disk error";
    case FaultKind::kWorkerKill:
      return "worker killed";
    case FaultKind::kWorkerStall:
      return "worker stalled";
    case FaultKind::kWorkerSleep:
      return "worker suspended";
    case FaultKind::kWorkerDrain:
      return "worker drained";
    case FaultKind::kLinkCut:
      return "link cut";
    case FaultKind::kFlakyLinks:
      return "flaky links";
    case FaultKind::kWallStep:
      return "clock set";
    case FaultKind::kRateLimited:
      return "429 with retry-after";
    case FaultKind::kSpendCap:
      return "429 at a spend cap";
    case FaultKind::kOverloaded:
      return "529";
    case FaultKind::kServerError:
      return "500";
    case FaultKind::kKeyRefused:
      return "401";
    case FaultKind::kNoConnection:
      return "no connection";
    case FaultKind::kLostRequests:
      return "requests lost";
    case FaultKind::kLostAnswers:
      return "answers lost";
    case FaultKind::kLateRequests:
      return "requests late";
    case FaultKind::kLateAnswers:
      return "answers late";
    case FaultKind::kCutStreams:
      return "streams cut";
    case FaultKind::kDoubledEvents:
      return "events doubled";
    case FaultKind::kQueuePaused:
      return "queue paused";
    case FaultKind::kBatchPaused:
      return "batch paused";
    case FaultKind::kCapSet:
      return "cap set";
    case FaultKind::kBudgetDeleted:
      return "budget deleted";
  }
  return "?";
}

absl::Duration Story::Calm() const {
  absl::Duration calm;
  for (const Fault& fault : faults) {
    calm = std::max(calm, fault.at + fault.lasts);
  }
  return calm;
}

Story MakeStory(uint64_t seed, int tasks) {
  // Not the world's own dice: a story that was made smaller plays with them
  // unchanged. And not the seed itself, but a number drawn with it: those of
  // neighbours have nothing in common.
  Dice dice(SeededRandom(seed).Next());
  Story story;
  story.seed = seed;
  story.tasks = dice.OneIn(10) ? dice.Pick(60, 200) : dice.Pick(5, 60);
  if (tasks > 0) story.tasks = tasks;
  story.workers = dice.Pick(1, 3);
  story.capacity = dice.Pick(3, 25);
  story.lines_a_step = dice.Pick(1, 40);
  story.budgets = dice.OneIn(2);
  story.one_call = dice.OneIn(5);
  if (dice.OneIn(4)) {
    story.told = dice.Pick(60, 600);
    story.allowed = dice.OneIn(2) ? story.told : story.told / 2;
  }
  story.asks = dice.OneIn(2) ? dice.Up(0.4) : 0;
  story.own_faults = dice.OneIn(2) ? dice.Up(0.2) : 0;
  story.overshoots = dice.OneIn(4) ? dice.Up(0.2) : 0;
  story.flushes = dice.OneIn(2) ? dice.Up(0.3) : 0;
  story.hides_cost = dice.OneIn(2) ? dice.Up(0.3) : 0;
  story.cancels = dice.OneIn(3) ? dice.Pick(1, 8) : 0;
  story.turn_max = dice.Seconds(5, 120);
  story.queued_max = dice.OneIn(3) ? dice.Seconds(1, 20) : absl::Seconds(0.1);
  story.list_spread = dice.Seconds(0, 60);
  story.status_lag = dice.OneIn(2) ? dice.Seconds(0, 3) : absl::ZeroDuration();
  const int faults = dice.Pick(0, 14);
  for (int i = 0; i < faults; ++i) {
    Fault fault;
    fault.kind = kDrawn[dice.Pick(0, static_cast<int>(std::size(kDrawn)) - 1)];
    fault.at = dice.Seconds(0, 240);
    fault.worker = dice.Pick(1, story.workers);
    Shape(fault, dice);
    story.faults.push_back(fault);
  }
  // After all else, so that a night without them is what it was before there
  // were any.
  const int holds = dice.OneIn(3) ? dice.Pick(1, 4) : 0;
  for (int i = 0; i < holds; ++i) {
    Fault fault;
    fault.kind = kHolds[dice.Pick(0, static_cast<int>(std::size(kHolds)) - 1)];
    fault.at = dice.Seconds(0, 240);
    fault.lasts = dice.Seconds(5, 400);
    fault.worker = 1;
    fault.cap = dice.Pick(1, 6);
    fault.of = static_cast<v1::CapScope>(dice.Pick(1, 4));
    fault.ends_itself = dice.OneIn(2);
    story.faults.push_back(fault);
  }
  std::sort(story.faults.begin(), story.faults.end(),
            [](const Fault& a, const Fault& b) { return a.at < b.at; });
  // Drawn last: what was drawn before there were any stays as it was.
  if (dice.OneIn(3)) story.needs = dice.Up(0.7);
  story.merges = dice.OneIn(4);
  if (dice.OneIn(3)) story.waits = dice.Up(0.5);
  if (dice.OneIn(4)) {
    story.canary = dice.Pick(1, 8);
    story.canary_tenths = dice.Pick(5, 10);
    if (dice.OneIn(3)) story.canary_cents = story.canary * dice.Pick(5, 40);
  }
  if (dice.OneIn(4)) {
    story.stop_failed = dice.OneIn(2) ? dice.Pick(1, 4) : 0;
    if (story.stop_failed == 0) {
      story.stop_tenths = dice.Pick(1, 4);
      story.stop_after = dice.Pick(2, 12);
    }
  }
  // Else nearly every task succeeds in the end.
  if (story.HasRules()) story.max_failures = dice.Pick(1, 2);
  DrawHooks(story);
  DrawBadOutputs(story);
  story.sides = DrawSides(seed);
  story.timetable = DrawTimetable(seed);
  DrawBudgets(story);
  return story;
}

std::vector<TaskNeeds> DrawNeeds(const Story& story) {
  if (story.needs == 0 && !story.merges) return {};
  // Of its own: a story with fewer tasks has the same needs.
  Dice dice(SeededRandom(story.seed ^ kNeedsSeed).Next());
  std::vector<TaskNeeds> needs(static_cast<size_t>(story.tasks));
  for (int line = 1; line < story.tasks; ++line) {
    TaskNeeds& task = needs[static_cast<size_t>(line)];
    const bool needy = dice.Up(1) < story.needs;
    const int how_many = dice.Pick(1, 3);
    for (int i = 0; i < how_many; ++i) {
      // Mostly of what is near: chains grow.
      const int back = dice.OneIn(3) ? dice.Pick(1, line) : dice.Pick(1, 5);
      const int needed = std::max(0, line - back);
      const bool there = std::find(task.lines.begin(), task.lines.end(),
                                   needed) != task.lines.end();
      if (needy && !there) task.lines.push_back(needed);
    }
    if (dice.OneIn(4)) task.policy = v1::NEED_POLICY_RUN_ANYWAY;
  }
  if (story.merges) {
    TaskNeeds& last = needs.back();
    last.lines.clear();
    last.all = true;
    last.policy = dice.OneIn(3)   ? v1::NEED_POLICY_FAIL_BATCH
                  : dice.OneIn(2) ? v1::NEED_POLICY_RUN_ANYWAY
                                  : v1::NEED_POLICY_SKIP;
  }
  return needs;
}

std::vector<TaskStart> DrawStarts(const Story& story) {
  if (story.waits == 0) return {};
  Dice dice(SeededRandom(story.seed ^ kStartsSeed).Next());
  std::vector<TaskStart> starts(static_cast<size_t>(story.tasks));
  for (TaskStart& start : starts) {
    const absl::Duration delay = absl::Seconds(dice.Pick(1, 300));
    const absl::Duration expiry = absl::Seconds(dice.Pick(5, 200));
    const int key = dice.Pick(1, 5);
    if (dice.Up(1) < story.waits) start.delay = delay;
    if (dice.Up(1) < story.waits) start.expires_after = expiry;
    if (dice.Up(1) < story.waits) start.key = key;
  }
  return starts;
}

std::string Describe(const Story& story) {
  std::string text = absl::StrFormat(
      "seed %d: %d tasks in steps of %d, %d workers of %d%s%s", story.seed,
      story.tasks, story.lines_a_step, story.workers, story.capacity,
      story.budgets ? ", budgets" : "", story.one_call ? ", one call" : "");
  if (story.needs > 0) {
    absl::StrAppendFormat(&text, ", %.0f %% need others", 100 * story.needs);
  }
  if (story.merges) absl::StrAppend(&text, ", the last one all");
  if (story.waits > 0) {
    absl::StrAppendFormat(&text,
                          ", of delays, expiries and unique keys %.0f %% each",
                          100 * story.waits);
  }
  if (story.canary > 0) {
    absl::StrAppend(&text, ", a canary of ", story.canary, " for ",
                    story.canary_cents, " cents (", story.canary_tenths,
                    " tenths)");
  }
  if (story.stop_failed > 0) {
    absl::StrAppend(&text, ", stops after ", story.stop_failed);
  }
  if (story.stop_tenths > 0) {
    absl::StrAppend(&text, ", stops at ", story.stop_tenths, " tenths after ",
                    story.stop_after);
  }
  if (story.hooks) {
    absl::StrAppendFormat(&text, ", hooks of which %.0f %% of tries fail",
                          100 * story.hook_trouble);
  }
  if (story.budget_tenths > 0) {
    absl::StrAppend(&text, ", a budget of ", story.budget_tenths, " tenths");
  }
  if (story.deadline > absl::ZeroDuration()) {
    absl::StrAppend(&text, ", a deadline of ",
                    absl::FormatDuration(story.deadline));
  }
  if (story.bad_outputs > 0) {
    absl::StrAppendFormat(&text, ", checked outputs of which %.0f %% are bad",
                          100 * story.bad_outputs);
  }
  if (story.told > 0) {
    absl::StrAppend(&text, ", ", story.allowed, " requests a minute, told ",
                    story.told);
  }
  absl::StrAppendFormat(
      &text,
      "\n  turns up to %s: %.0f %% ask, %.0f %% fail, %.0f %% overshoot, "
      "%.0f %% flush, %.0f %% hide their cost; %d cancels; messages queue up "
      "to %s, lists are up to %s late, status %s\n",
      absl::FormatDuration(story.turn_max), 100 * story.asks,
      100 * story.own_faults, 100 * story.overshoots, 100 * story.flushes,
      100 * story.hides_cost, story.cancels,
      absl::FormatDuration(story.queued_max),
      absl::FormatDuration(story.list_spread),
      absl::FormatDuration(story.status_lag));
  if (const Sides& sides = story.sides; sides.batches > 0) {
    absl::StrAppendFormat(
        &text,
        "  beside it %d batches: %d cancels, retries of %d batches and %d "
        "tasks, %d deletions, amid which of %.0f %% the scheduler dies",
        sides.batches, sides.cancels, sides.batch_retries, sides.task_retries,
        sides.deletes, 100 * sides.deaths);
    if (sides.keep_newest > 0) {
      absl::StrAppend(&text, "; the newest ", sides.keep_newest, " stay");
    }
    if (sides.keep_for > absl::ZeroDuration()) {
      absl::StrAppend(&text, "; they stay for ",
                      absl::FormatDuration(sides.keep_for));
    }
    if (sides.singles > 0) {
      absl::StrAppend(&text, "; ", sides.singles, " single tasks, ",
                      sides.single_cancels, " cancels, ", sides.single_retries,
                      " retries and ", sides.single_changes,
                      " changes of them");
    }
    if (sides.keep_newest_singles > 0) {
      absl::StrAppend(&text, "; the newest ", sides.keep_newest_singles,
                      " of those stay");
    }
    if (sides.keep_singles_for > absl::ZeroDuration()) {
      absl::StrAppend(&text, "; those stay for ",
                      absl::FormatDuration(sides.keep_singles_for));
    }
    text += "\n";
  }
  if (const Timetable& times = story.timetable; times.every > 0) {
    absl::StrAppendFormat(
        &text,
        "  every %d minutes until %s a batch of %d (%s, %s, up to %s late), %d "
        "by hand, paused %d times, deleted %d times%s; at %.0f %% of its times "
        "the scheduler dies\n",
        times.every, absl::FormatDuration(times.until), times.lines,
        v1::OverlapPolicy_Name(times.overlap),
        v1::MissedPolicy_Name(times.missed), absl::FormatDuration(times.jitter),
        times.runs, times.pauses, times.deletes,
        times.goes ? " and in the end" : "", 100 * times.deaths);
  }
  for (const Fault& fault : story.faults) {
    absl::StrAppendFormat(
        &text, "  %8s  %s",
        absl::FormatDuration(absl::Trunc(fault.at, absl::Milliseconds(1))),
        NameOf(fault.kind));
    const bool of_worker = fault.kind >= FaultKind::kWorkerKill &&
                           fault.kind <= FaultKind::kLinkCut;
    if (of_worker) absl::StrAppend(&text, " (w", fault.worker, ")");
    if (fault.tasks > 0) absl::StrAppend(&text, ", after ", fault.tasks);
    if (fault.lasts > absl::ZeroDuration()) {
      absl::StrAppend(&text, ", for ", absl::FormatDuration(fault.lasts));
    }
    if (fault.kind == FaultKind::kCapSet) {
      absl::StrAppend(&text, ", ", fault.cap, " of ",
                      v1::CapScope_Name(fault.of));
    }
    if (fault.kind == FaultKind::kBudgetDeleted) {
      absl::StrAppend(&text, ", ", v1::BudgetScope_Name(fault.budget));
    }
    if (fault.for_good) absl::StrAppend(&text, ", for good");
    if (fault.ends_itself) absl::StrAppend(&text, ", ends by itself");
    if (fault.likelihood < 1) {
      absl::StrAppendFormat(&text, ", %.0f %%", 100 * fault.likelihood);
    }
    if (fault.by != absl::ZeroDuration()) {
      absl::StrAppend(&text, ", by ", absl::FormatDuration(fault.by));
    }
    text += "\n";
  }
  return text;
}

}  // namespace midwatch::sim
