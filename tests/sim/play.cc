#include "tests/sim/play.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/sim/sides.h"
#include "tests/sim/sim_world.h"
#include "tests/sim/timetable_client.h"
#include "tests/sim/weather.h"

namespace midwatch::sim {
namespace {

constexpr absl::Duration kTick = absl::Seconds(1);
// Once nothing goes wrong any more, all is done within this: an account that
// refused is probed within the hour, a cost that the service keeps back is
// waited for two.
constexpr absl::Duration kEnough = absl::Hours(6);
constexpr double kAnswersEachTick = 0.05;
// Of the seconds in which a rule holds the batch, in how many somebody resumes
// it.
constexpr double kResumesEachTick = 0.05;
// Of the seconds, in how many a scheduler's process looks for transcripts that
// are nobody's any more.
constexpr double kDropsEachTick = 0.01;
// What a task costs at the mean, and what those that start may set aside.
constexpr int64_t kMeanCost = 155'000;
constexpr int64_t kRoomToStart = 2'500'000;
// Of a scheduler, amid what it deletes by its rules.
constexpr int kDeathsMax = 6;
// When somebody makes room in budgets that hold the night up.
constexpr absl::Duration kMoreMoney = absl::Minutes(20);

// To this far from its right time.
void SetClock(testing::FakeClock& clock, absl::Duration off) {
  clock.StepWall(off - clock.wall_step());
}

class Night {
 public:
  Night(const Story& story, const PlayOptions& options)
      : story_(story),
        world_(story.seed, Quirks(story)),
        weather_(world_, story),
        sides_(world_, story),
        timetable_(world_, story) {
    guard_internal::removed = options.without.guard;
    if (options.without.disk_lies) world_.disk.IgnoreSyncs();
    world_.on_trace = options.on_trace;
    if (options.on_trace) {
      world_.checks.on_row = [this, &options](const JournalRow& row) {
        options.on_trace(world_.time.Elapsed(), Describe(row));
      };
    }
    if (story.told > 0) {
      v1::AccountLimits limits;
      limits.set_account("default");
      limits.mutable_create()->set_per_minute(story.told);
      limits.mutable_read()->set_per_minute(Story::ReadsOf(story.told));
      limits.mutable_files()->set_per_minute(Story::FilesOf(story.told));
      world_.limits = {limits};
    }
    if (story.sides.keep_newest > 0) {
      world_.retention.keep_newest = story.sides.keep_newest;
    }
    if (story.sides.keep_for > absl::ZeroDuration()) {
      world_.retention.keep_for = story.sides.keep_for;
    }
    if (story.sides.keep_newest_singles > 0) {
      world_.single_retention.keep_newest = story.sides.keep_newest_singles;
    }
    if (story.sides.keep_singles_for > absl::ZeroDuration()) {
      world_.single_retention.keep_for = story.sides.keep_singles_for;
    }
    world_.checks.deletions().rules = world_.retention;
    world_.checks.singles().rules = world_.single_retention;
    world_.checks.singles().on_deleted = [this] { DieSometimes(1, 12); };
    world_.checks.firings().times = story.timetable;
    world_.sends_hooks = story.hooks;
    world_.checks_outputs = story.bad_outputs > 0;
    world_.hook_endpoint.trouble = story.hook_trouble;
    worker_back_.resize(static_cast<size_t>(story.workers) + 1);
  }
  ~Night() { guard_internal::removed = Guard::kNone; }

  Outcome Run();

 private:
  static testing::FakeAgentsOptions Quirks(const Story& story) {
    testing::FakeAgentsOptions options;
    options.list_spread = story.list_spread;
    options.status_lag = story.status_lag;
    return options;
  }

  std::string Name(int worker) const { return absl::StrCat("w", worker); }
  void At(absl::Duration when, std::function<void()> act) {
    timeline_.emplace(when, std::move(act));
  }
  bool Done() {
    return world_.Done() && sides_.Done() && timetable_.Done() &&
           world_.checks.deletions().AllOver() &&
           world_.checks.singles().AllOver() && world_.checks.FiringsAreQuiet();
  }
  BatchPlan PlanBatch(int64_t limit) const;
  // Whoever holds the night up by their budgets makes room; false: ask again.
  bool MakeRoom(int64_t limit);
  void Plan();
  void Begin(const Fault& fault);
  void End(const Fault& fault);
  // Somebody holds something back, or not any more.
  void Hold(const Fault& fault, bool on);
  void DeleteBudget(const Fault& fault);
  void SetBudgetAgain(const Fault& fault);
  // What people and process supervisors do: once a second.
  void Tick();
  void Wait(absl::Duration duration);
  void LetSweepsEnd();
  void LetHooksEnd();
  // The scheduler, amid what it deletes by a rule.
  void DieSometimes(int from, int to);
  void CheckAtEnd();

  const Story& story_;
  World world_;
  Weather weather_;
  SideClients sides_;
  TimetableClient timetable_;
  std::multimap<absl::Duration, std::function<void()>> timeline_;
  absl::Duration scheduler_back_;
  std::vector<absl::Duration> worker_back_;  // by number, from 1
  bool open_account_ = false;
  // Of budgets, but for those that are deleted for good.
  std::map<v1::BudgetScope, int64_t> limits_;
  int deaths_left_ = kDeathsMax;
  // What people want, by what it is of: asked for until it is done.
  struct Wish {
    const Fault* of;
    std::function<bool()> ask;
  };
  std::map<std::string, Wish> wishes_;
};

void Night::Begin(const Fault& fault) {
  const absl::Duration back = world_.time.Elapsed() + fault.lasts;
  const std::string worker = Name(fault.worker);
  absl::Duration& worker_back = worker_back_[static_cast<size_t>(fault.worker)];
  world_.Trace(absl::StrCat("fault: ", NameOf(fault.kind)));
  switch (fault.kind) {
    case FaultKind::kSchedulerKill:
    case FaultKind::kPowerLoss:
      scheduler_back_ = std::max(scheduler_back_, back);
      // In the middle of a commit or a checkpoint, or between two tasks.
      if (fault.kind == FaultKind::kPowerLoss && fault.tasks % 4 != 0) {
        world_.disk.LosePowerWithin(1 + fault.tasks / 4);
      } else {
        world_.KillSchedulerSoon(
            fault.tasks, fault.kind == FaultKind::kPowerLoss ? Death::kPowerLoss
                                                             : Death::kKilled);
      }
      return;
    case FaultKind::kDiskFull:
      world_.disk.SetFull(true);
      return;
    case FaultKind::kDiskError:
      world_.disk.FailOneOf(fault.tasks);
      return;
    case FaultKind::kWorkerKill:
      worker_back = std::max(worker_back, back);
      world_.KillWorkerSoon(worker, fault.tasks);
      return;
    case FaultKind::kWorkerStall:
    case FaultKind::kWorkerSleep:
      world_.StallWorker(worker, true);
      return;
    case FaultKind::kWorkerDrain:
      worker_back = std::max(worker_back, back);
      world_.DrainWorker(worker);
      return;
    case FaultKind::kLinkCut:
      world_.CutWorker(worker, true);
      return;
    case FaultKind::kFlakyLinks:
      world_.flakiness = {fault.likelihood, 5 * fault.likelihood};
      return;
    case FaultKind::kWallStep:
      // The scheduler's, or a worker's.
      SetClock(world_.ClockOf(fault.worker == 1 ? "scheduler" : worker),
               fault.by);
      world_.counts.Add("clocks set");
      return;
    case FaultKind::kQueuePaused:
    case FaultKind::kBatchPaused:
    case FaultKind::kCapSet:
      return Hold(fault, true);
    case FaultKind::kBudgetDeleted:
      return DeleteBudget(fault);
    default:
      weather_.Begin(fault);
  }
}

void Night::End(const Fault& fault) {
  const std::string worker = Name(fault.worker);
  switch (fault.kind) {
    case FaultKind::kDiskFull:
      world_.disk.SetFull(false);
      return;
    case FaultKind::kWorkerSleep:
      world_.ClockOf(worker).StandStill(fault.lasts);
      world_.counts.Add("machines suspended");
      [[fallthrough]];
    case FaultKind::kWorkerStall:
      world_.StallWorker(worker, false);
      return;
    case FaultKind::kLinkCut:
      world_.CutWorker(worker, false);
      return;
    case FaultKind::kFlakyLinks:
      world_.flakiness = {};
      return;
    case FaultKind::kSpendCap:
    case FaultKind::kKeyRefused:
      open_account_ = true;
      weather_.End(fault);
      return;
    case FaultKind::kQueuePaused:
    case FaultKind::kBatchPaused:
    case FaultKind::kCapSet:
      return Hold(fault, false);
    case FaultKind::kBudgetDeleted:
      return SetBudgetAgain(fault);
    default:
      weather_.End(fault);
  }
}

void Night::Hold(const Fault& fault, bool on) {
  if (fault.kind == FaultKind::kCapSet) {
    wishes_[absl::StrCat("cap ", static_cast<int>(fault.of))] = {
        &fault, [this, of = fault.of, cap = on ? fault.cap : 0] {
          return world_.SetCap(of, cap);
        }};
    return;
  }
  const bool queue = fault.kind == FaultKind::kQueuePaused;
  const std::string what = queue ? "queue" : "batch";
  if (!on && fault.ends_itself) {
    // Unless nobody has heard of it yet.
    auto wish = wishes_.find(what);
    if (wish != wishes_.end() && wish->second.of == &fault) {
      wishes_.erase(wish);
    }
    return;
  }
  const absl::Duration lasts =
      fault.ends_itself ? fault.lasts : absl::InfiniteDuration();
  wishes_[what] = {&fault, [this, queue, on, lasts] {
                     return on ? world_.Pause(queue, lasts)
                               : world_.Resume(queue);
                   }};
}

void Night::DeleteBudget(const Fault& fault) {
  if (!story_.HasBudgetOf(fault.budget)) return;
  wishes_[absl::StrCat("budget ", static_cast<int>(fault.budget))] = {
      &fault, [this, of = fault.budget, for_good = fault.for_good] {
        if (!world_.DeleteBudget(of)) return false;
        if (for_good) limits_.erase(of);
        return true;
      }};
}

void Night::SetBudgetAgain(const Fault& fault) {
  if (fault.for_good || !story_.HasBudgetOf(fault.budget)) return;
  wishes_[absl::StrCat("budget ", static_cast<int>(fault.budget))] = {
      &fault, [this, of = fault.budget] {
        auto limit = limits_.find(of);
        return limit == limits_.end() || world_.SetBudget(of, limit->second);
      }};
}

void Night::Plan() {
  for (const Fault& fault : story_.faults) {
    At(fault.at, [this, &fault] { Begin(fault); });
    At(fault.at + fault.lasts, [this, &fault] { End(fault); });
  }
  for (int i = 0; i < story_.cancels; ++i) {
    At(absl::Minutes(4) * world_.random.Fraction(),
       [this] { world_.CancelOne(); });
  }
}

void Night::Tick() {
  const absl::Duration now = world_.time.Elapsed();
  if (!world_.scheduler_up() && now >= scheduler_back_) {
    // Looked after by something that waits a little before it tries again.
    if (!world_.StartScheduler()) scheduler_back_ = now + absl::Seconds(2);
    // About when it first looks for what its rules let go.
    if (world_.scheduler_up() && deaths_left_ > 0) {
      At(now + absl::Seconds(10), [this] { DieSometimes(1, 40); });
    }
  }
  for (int worker = 1; worker <= story_.workers; ++worker) {
    if (!world_.worker_up(Name(worker)) &&
        now >= worker_back_[static_cast<size_t>(worker)]) {
      world_.StartWorker(Name(worker), story_.capacity);
    }
  }
  world_.GoOnSubmitting();
  sides_.Tick();
  timetable_.Tick();
  if (story_.sides.batches > 0 && world_.random.Fraction() < kDropsEachTick) {
    world_.DropDeletedEvents();
  }
  world_.AnswerSome(kAnswersEachTick);
  if (open_account_ && world_.OpenAccount()) open_account_ = false;
  if (world_.checks.held_by_rule() &&
      world_.random.Fraction() < kResumesEachTick) {
    world_.Resume(/*queue=*/false);
  }
  std::erase_if(wishes_, [](auto& wish) { return wish.second.ask(); });
}

BatchPlan Night::PlanBatch(int64_t limit) const {
  BatchPlan batch;
  batch.tasks = story_.tasks;
  if (story_.budgets) batch.budget = limit - 500'000;
  if (story_.budget_tenths > 0) {
    const int64_t own =
        story_.tasks * kMeanCost * story_.budget_tenths / 10 + kRoomToStart;
    batch.budget = story_.budgets ? std::min(batch.budget, own) : own;
  }
  batch.start =
      story_.one_call ? v1::START_MODE_ONE_CALL : v1::START_MODE_TWO_CALLS;
  batch.needs = DrawNeeds(story_);
  batch.starts = DrawStarts(story_);
  batch.rules = story_;
  batch.hooks = story_.hooks;
  batch.deadline = story_.deadline;
  return batch;
}

bool Night::MakeRoom(int64_t limit) {
  for (auto& [scope, known] : limits_) {
    known = limit;
    // A disk that fails may end the scheduler amid it.
    if (!world_.SetBudget(scope, limit)) return false;
  }
  return true;
}

Outcome Night::Run() {
  world_.StartScheduler();
  world_.MakeStrangers();
  // Less than all workers at once may reserve, near the end.
  const int64_t limit = int64_t{200'000} * story_.tasks + 3'000'000;
  const BatchPlan batch = PlanBatch(limit);
  if (story_.budgets) {
    limits_ = {{v1::BUDGET_SCOPE_TENANT, limit + 1'000'000},
               {v1::BUDGET_SCOPE_QUEUE, limit}};
    for (const auto& [scope, of] : limits_) world_.SetBudget(scope, of);
  }
  if (batch.budget > 0) limits_[v1::BUDGET_SCOPE_BATCH] = batch.budget;
  const bool steps = std::any_of(
      story_.faults.begin(), story_.faults.end(),
      [](const Fault& fault) { return fault.kind == FaultKind::kWallStep; });
  if (steps) world_.checks.AllowClockSteps();
  world_.BeginSubmit(batch, story_.lines_a_step);
  Plan();
  const absl::Duration calm = story_.Calm();
  bool more_money = limits_.empty();
  while (!(world_.time.Elapsed() >= calm && timeline_.empty() && Done())) {
    const absl::Duration now = world_.time.Elapsed();
    if (now > calm + kEnough) {
      world_.checks.Report(kProgress, world_.Done()
                                          ? "what is beside it is not done"
                                          : "the batch is not done");
      break;
    }
    Tick();
    if (!more_money && now > calm + kMoreMoney && world_.scheduler_up()) {
      more_money = MakeRoom(100 * limit);
    }
    const absl::Duration next = now + kTick;
    while (!timeline_.empty() && timeline_.begin()->first <= next) {
      auto act = timeline_.extract(timeline_.begin());
      world_.time.Advance(
          std::max(absl::ZeroDuration(), act.key() - world_.time.Elapsed()));
      act.mapped()();
    }
    world_.time.Advance(
        std::max(absl::ZeroDuration(), next - world_.time.Elapsed()));
  }
  Outcome outcome;
  outcome.night = world_.time.Elapsed();
  if (Done()) {
    LetSweepsEnd();
    LetHooksEnd();
    CheckAtEnd();
  }
  outcome.violations = world_.checks.violations();
  outcome.counts = world_.counts;
  outcome.counts.Add(world_.checks.counts());
  const DiskCounts& disk = world_.disk.counts();
  outcome.counts.Add("sectors lost with the power", disk.lost_sectors);
  outcome.counts.Add("disk errors", disk.failed);
  outcome.counts.Add("writes to a full disk", disk.full);
  outcome.trace_hash = world_.TraceHash();
  return outcome;
}

void Night::DieSometimes(int from, int to) {
  const double likelihood = story_.sides.deaths;
  if (!world_.single_retention.any() || likelihood == 0 || deaths_left_ == 0 ||
      world_.random.Fraction() >= likelihood) {
    return;
  }
  --deaths_left_;
  world_.counts.Add("deaths amid deletions by a rule");
  const int tasks =
      from + static_cast<int>(world_.random.Next() %
                              static_cast<uint64_t>(to - from + 1));
  if (world_.random.Next() % 3 == 0) {
    world_.disk.LosePowerWithin(tasks);
  } else {
    world_.KillSchedulerSoon(tasks, world_.random.Next() % 2 == 0
                                        ? Death::kPowerLoss
                                        : Death::kKilled);
  }
}

void Night::Wait(absl::Duration duration) {
  for (; duration > absl::ZeroDuration(); duration -= absl::Minutes(1)) {
    Tick();
    world_.time.Advance(absl::Minutes(1));
  }
}

// Archives and other afterthoughts; and once everything is accounted for,
// nobody looks any more.
void Night::LetSweepsEnd() {
  Wait(absl::Minutes(40));
  const int lists = world_.service->Calls("list_sessions");
  Wait(absl::Hours(1));
  if (world_.service->Calls("list_sessions") != lists) {
    world_.checks.Report(kAccounts, "sweeps go on looking");
  }
}

// A server that fails seven times of ten is tried for most of a day, and what
// has a hook that is due stays for so long.
void Night::LetHooksEnd() {
  constexpr int kHoursMax = 30;
  for (int hour = 0; hour < kHoursMax; ++hour) {
    Tick();
    if (world_.scheduler_up() && !world_.checks.hooks().AnyDue()) break;
    world_.time.Advance(absl::Hours(1));
  }
  if (story_.sides.batches == 0) return;
  // Whoever waits for that asks again, and the scheduler looks each hour.
  Wait(absl::Minutes(90));
  // It may have died amid that just now.
  deaths_left_ = 0;
  world_.LetSchedulerLive();
  Wait(absl::Minutes(2));
  if (!sides_.AllDeleted()) {
    world_.checks.Report(kProgress, "a batch still cannot be deleted");
  }
}

void Night::CheckAtEnd() {
  if (!world_.scheduler_up()) {
    world_.checks.Report(kProgress, "no scheduler is up");
    return;
  }
  const int64_t others = world_.checks.LinesOfOthers();
  if (others < sides_.tasks()) {
    world_.checks.Report(kKept, absl::StrCat("of ", sides_.tasks(),
                                             " acknowledged lines of others ",
                                             others, " are left"));
  }
  world_.CheckAtEnd(story_.tasks + others +
                    world_.checks.singles().submitted());
}

}  // namespace

Outcome Play(const Story& story, const PlayOptions& options) {
  return Night(story, options).Run();
}

}  // namespace midwatch::sim
