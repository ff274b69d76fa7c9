#include "scheduler/plan_night.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "scheduler/admission.h"

namespace midwatch {
namespace {

// Slots that are a moment apart are given away in one pass, as the scheduler
// does it.
constexpr absl::Duration kPlanTogether = absl::Milliseconds(20);
// What was learned of a task begins with its grant, so it holds what a start
// takes where no class of requests is behind. Where it takes longer here, its
// session begins later.
constexpr absl::Duration kUsualStart = absl::Seconds(5);
// Outputs are listed until two lists agree, or the expected files are there.
constexpr int kOutputLists = 2;

// Ready tasks of one lane, by rank. Nearly all are ready from the beginning.
class ReadyList {
 public:
  void Add(int64_t rank, int32_t task) {
    if (later_.empty() &&
        (first_.empty() || first_.back() <= Entry{rank, task})) {
      first_.push_back({rank, task});
    } else {
      later_.insert({rank, task});
    }
  }
  bool empty() const { return next_ == first_.size() && later_.empty(); }
  int64_t head() const {
    const int64_t last = std::numeric_limits<int64_t>::max();
    return std::min(next_ < first_.size() ? first_[next_].first : last,
                    later_.empty() ? last : later_.begin()->first);
  }
  // The first `most` of them.
  template <typename Visit>
  void ForFirst(size_t most, Visit visit) const {
    auto later = later_.begin();
    for (size_t i = next_; most > 0; --most) {
      const bool more = i < first_.size();
      if (later != later_.end() && (!more || *later < first_[i])) {
        visit(*later++);
      } else if (more) {
        visit(first_[i++]);
      } else {
        return;
      }
    }
  }
  void PopFirst() {
    const bool more = next_ < first_.size();
    if (!later_.empty() && (!more || *later_.begin() < first_[next_])) {
      later_.erase(later_.begin());
    } else {
      ++next_;
    }
  }
  size_t size() const { return first_.size() - next_ + later_.size(); }

 private:
  using Entry = std::pair<int64_t, int32_t>;
  std::vector<Entry> first_;  // rising
  size_t next_ = 0;
  std::set<Entry> later_;
};

class Night {
 public:
  Night(const PlanInput& input, const std::vector<Sample>& goes)
      : input_(input),
        goes_(goes),
        free_(input.jobs),
        create_(MakeBucket(input.rates.create)),
        write_(MakeBucket(input.rates.write)),
        read_(MakeBucket(input.rates.read)),
        files_(MakeBucket(input.rates.files)),
        caps_(input.caps.size()),
        one_max_cost_(HasOneMaxCost(input)) {
    night_.tasks.resize(input.tasks.size());
    for (const PlanBudget& budget : input.budgets) {
      rooms_.push_back(budget.room);
    }
    for (const PlanKind& kind : input.kinds) {
      p90_.push_back(kind.assumed ? absl::ZeroDuration()
                                  : Predict(kind.samples).time_p90);
    }
  }

  PlannedNight Play() {
    SetUp();
    while (true) {
      Admit();
      night_.series.Note(now_, BoundBy(), running_, night_.cost, reserved_);
      if (events_.empty()) break;
      now_ = std::max(now_, events_.top().at);
      while (!events_.empty() && events_.top().at <= now_) {
        const Event event = events_.top();
        events_.pop();
        Handle(event);
      }
      // Renewals of budgets do not matter once nothing waits for one.
      if (running_ == 0 && delayed_ == 0 && !MayYetStart()) break;
    }
    Conclude();
    return std::move(night_);
  }

 private:
  enum class Step {
    kSettled,  // first: it makes room
    kUnheld,
    kDelayOver,
    kRenewed,
    kSlot,  // a create may have one
    kCreated,
    kOpened,
    kSent,
    kReopened,
    kTurnOver,
  };
  struct Event {
    absl::Duration at;
    Step step;
    int32_t task;  // or a budget
    bool operator>(const Event& other) const {
      return std::tie(at, step, task) >
             std::tie(other.at, other.step, other.task);
    }
  };
  struct Lane {
    ReadyList ready;
    int32_t key = -1;
    bool blocked = false;  // its key is busy
    bool without_money = false;
    int running = 0;
  };

  static std::unique_ptr<RateBucket> MakeBucket(
      const std::optional<RateLimit>& limit) {
    if (!limit) return nullptr;
    return std::make_unique<RateBucket>(*limit, absl::ZeroDuration());
  }

  // ---- What is ready ----

  void SetUp() {
    const size_t tasks = input_.tasks.size();
    open_needs_.resize(tasks);
    needed_by_.resize(tasks);
    int32_t keys = -1;
    for (size_t i = 0; i < tasks; ++i) {
      const PlanTask& task = input_.tasks[i];
      keys = std::max(keys, task.key);
      open_needs_[i] = static_cast<int32_t>(task.needs.size());
      for (int32_t needed : task.needs) {
        needed_by_[static_cast<size_t>(needed)].push_back(
            static_cast<int32_t>(i));
      }
      if (task.needs_all && i > 0) {
        all_before_.push_back(static_cast<int32_t>(i));
      }
    }
    // A lane for those without a key, then one for each.
    lanes_.resize(static_cast<size_t>(keys) + 2);
    for (int32_t key = 0; key <= keys; ++key) {
      lanes_[static_cast<size_t>(key) + 1].key = key;
    }
    unsettled_ = unstarted_ = static_cast<int64_t>(tasks);
    canary_tally_.lines = unsettled_;
    canary_tally_.sealed = true;
    canary_.verdict = input_.canary.tasks > 0 ? v1::CANARY_VERDICT_UNDECIDED
                                              : v1::CANARY_VERDICT_PASSED;
    for (size_t i = 0; i < tasks; ++i) MakeReadyIfMet(static_cast<int32_t>(i));
    if (input_.held_for > absl::ZeroDuration()) {
      events_.push({input_.held_for, Step::kUnheld, 0});
    }
    for (size_t i = 0; i < input_.budgets.size(); ++i) {
      if (input_.budgets[i].renews_in < absl::InfiniteDuration()) {
        events_.push({input_.budgets[i].renews_in, Step::kRenewed,
                      static_cast<int32_t>(i)});
      }
    }
  }

  void MakeReadyIfMet(int32_t id) {
    const auto task = static_cast<size_t>(id);
    if (open_needs_[task] > 0) return;
    if (input_.tasks[task].needs_all && first_unsettled_ < task) return;
    if (input_.tasks[task].not_before > now_) {
      events_.push({input_.tasks[task].not_before, Step::kDelayOver, id});
      ++delayed_;
      return;
    }
    if (task >= CanaryTasks() && canary_.verdict != v1::CANARY_VERDICT_PASSED) {
      behind_canary_.push_back(id);
      return;
    }
    absl::Time latest = absl::InfiniteFuture();
    if (input_.deadline < absl::InfiniteDuration()) {
      latest = input_.start + input_.deadline -
               p90_[static_cast<size_t>(input_.tasks[task].kind)];
    }
    const int64_t rank =
        RankOf(input_.start + now_,
               input_.tasks[task].priority.value_or(input_.priority), latest);
    Lane& lane = LaneOf(id);
    // For a new first one there may be money, where there was none.
    if (lane.without_money && rank < lane.ready.head()) {
      without_money_.erase({lane.ready.head(), LaneNumber(id)});
      lane.without_money = false;
    }
    const bool waits = lane.blocked || lane.without_money;
    if (!waits && !lane.ready.empty()) {
      heads_.erase({lane.ready.head(), LaneNumber(id)});
    }
    lane.ready.Add(rank, id);
    ++ready_;
    if (!waits) heads_.insert({lane.ready.head(), LaneNumber(id)});
  }

  size_t CanaryTasks() const {
    return static_cast<size_t>(input_.canary.tasks);
  }
  // Once it has passed, the others are ready.
  void JudgeCanaryWith(int32_t id, int64_t cost) {
    if (static_cast<size_t>(id) >= CanaryTasks()) return;
    ++canary_tally_.succeeded;
    canary_tally_.charged += cost;
    if (canary_.verdict != v1::CANARY_VERDICT_UNDECIDED) return;
    canary_ = JudgeCanary(input_.canary, canary_tally_);
    if (canary_.verdict != v1::CANARY_VERDICT_PASSED) return;
    for (int32_t other : std::exchange(behind_canary_, {})) {
      MakeReadyIfMet(other);
    }
  }

  static int64_t LaneIndex(int32_t key) { return int64_t{key} + 1; }
  int64_t LaneNumber(int32_t task) const {
    return LaneIndex(input_.tasks[static_cast<size_t>(task)].key);
  }
  Lane& LaneOf(int32_t task) {
    return lanes_[static_cast<size_t>(LaneNumber(task))];
  }
  int64_t MaxCost(int32_t task) const {
    return MaxCostOf(input_, input_.tasks[static_cast<size_t>(task)]);
  }
  int64_t FirstMaxCost(int64_t lane) const {
    int64_t max_cost = 0;
    lanes_[static_cast<size_t>(lane)].ready.ForFirst(
        1, [&](const std::pair<int64_t, int32_t>& first) {
          max_cost = MaxCost(first.second);
        });
    return max_cost;
  }
  // Not for ever without room.
  bool MayHaveRoom(int64_t reserve) const {
    return std::all_of(
        input_.budgets.begin(), input_.budgets.end(),
        [&](const PlanBudget& budget) {
          const auto i = static_cast<size_t>(&budget - input_.budgets.data());
          return rooms_[i] >= reserve ||
                 (budget.renews_in < absl::InfiniteDuration() &&
                  budget.limit >= reserve);
        });
  }
  // Something is ready and not for ever without room.
  bool MayYetStart() const {
    auto may_start = [this](const std::pair<int64_t, int64_t>& head) {
      return MayHaveRoom(FirstMaxCost(head.second));
    };
    return ready_ > 0 &&
           (std::any_of(heads_.begin(), heads_.end(), may_start) ||
            std::any_of(without_money_.begin(), without_money_.end(),
                        may_start));
  }

  // ---- Who starts ----

  // The scheduler's pass, again and again as it does, where it would do
  // anything: it would find no room in vain otherwise.
  void Admit() {
    waits_for_slot_ = false;
    if (now_ < input_.held_for) return;
    while (!heads_.empty() && free_ > 0 && CapRoom() > 0 && !no_money_) {
      StartRoom room;
      if (create_ != nullptr) {
        const int slots = create_->Room(now_, SlotPurpose::kStart,
                                        AdmissionBounds::kGrantsPerPass);
        if (slots == 0) {
          waits_for_slot_ = true;
          AwaitSlot();
          return;
        }
        room[account_] = slots;
      }
      const AdmissionView view = MakeView(room);
      const AdmissionDecisions decisions = DecideAdmission(
          input_.start + now_, {{1, free_, {account_}}}, view, std::move(room));
      for (const auto& grant : decisions.grants) {
        Grant(static_cast<int32_t>(grant.task - 1), grant.overshoot);
      }
      for (const auto& block : decisions.blocks) Block(block);
      if (decisions.grants.empty() && decisions.blocks.empty()) return;
    }
  }

  int64_t CapRoom() const {
    int64_t room = std::numeric_limits<int64_t>::max();
    for (const PlanCap& cap : input_.caps) {
      room = std::min(room, cap.max - running_);
    }
    return room;
  }

  AdmissionView MakeView(const StartRoom& room) const {
    AdmissionView view;
    size_t most = static_cast<size_t>(
        std::min<int64_t>({free_, AdmissionBounds::kTasksPerLane, CapRoom()}));
    if (auto slots = room.find(account_); slots != room.end()) {
      most = std::min(most, static_cast<size_t>(slots->second));
    }
    // Lowest ranks first: what is behind so many that may start has no turn.
    size_t may_start = 0;
    for (const auto& [head, number] : heads_) {
      if (view.lanes.size() == AdmissionBounds::kLanes || may_start == most) {
        break;
      }
      const Lane& lane = lanes_[static_cast<size_t>(number)];
      LaneView& shown = view.lanes.emplace_back();
      shown.lane = number + 1;
      shown.tenant = shown.queue = shown.batch = 1;
      shown.account = account_;
      if (lane.key >= 0) {
        shown.concurrency_key = absl::StrCat(lane.key);
        shown.key_room = KeyMax(lane.key) - lane.running;
      }
      if (lane.key < 0 || shown.key_room > 0) ++may_start;
      lane.ready.ForFirst(most, [&](const std::pair<int64_t, int32_t>& ready) {
        const PlanTask& task = input_.tasks[static_cast<size_t>(ready.second)];
        const PlanKind& kind = input_.kinds[static_cast<size_t>(task.kind)];
        shown.ready.push_back({ready.second + 1, ready.first,
                               MaxCost(ready.second), kind.dearest});
      });
      for (size_t i = 0; i < rooms_.size(); ++i) {
        shown.budgets.push_back(static_cast<int64_t>(i));
      }
      for (size_t i = 0; i < caps_; ++i) {
        shown.caps.push_back(static_cast<int64_t>(i));
      }
    }
    for (size_t i = 0; i < rooms_.size(); ++i) {
      view.budgets.push_back({static_cast<int64_t>(i), rooms_[i]});
    }
    for (size_t i = 0; i < caps_; ++i) {
      view.caps.push_back(
          {static_cast<int64_t>(i), running_, input_.caps[i].max});
    }
    return view;
  }

  int64_t KeyMax(int32_t key) const {
    const auto index = static_cast<size_t>(key);
    return index < input_.key_max.size() ? input_.key_max[index] : 1;
  }

  void Block(const AdmissionDecisions::Block& block) {
    const int64_t number = block.lane - 1;
    Lane& lane = lanes_[static_cast<size_t>(number)];
    switch (block.why) {
      case LaneBlock::kKeyBusy:
        lane.blocked = true;
        heads_.erase({lane.ready.head(), number});
        break;
      case LaneBlock::kBudget:
        if (one_max_cost_) {
          // No other finds room either, before one ends.
          no_money_ = true;
          break;
        }
        lane.without_money = true;
        heads_.erase({lane.ready.head(), number});
        without_money_.insert({lane.ready.head(), number});
        break;
      default:
        break;  // CapRoom says so before
    }
  }

  // There is money again. Of many lanes the first may try: those behind them
  // have their turn with the next settle, and all of them once nothing runs.
  void TryMoney() {
    no_money_ = false;
    size_t tried = 0;
    while (!without_money_.empty() &&
           (running_ == 0 || tried < AdmissionBounds::kLanes)) {
      const int64_t number = without_money_.begin()->second;
      without_money_.erase(without_money_.begin());
      Lane& lane = lanes_[static_cast<size_t>(number)];
      lane.without_money = false;
      heads_.insert({lane.ready.head(), number});
      ++tried;
    }
  }

  void AwaitSlot() {
    const absl::Duration at = std::max(
        create_->NextRoom(now_, SlotPurpose::kStart), now_ + kPlanTogether);
    if (slot_at_ > now_ && slot_at_ <= at) return;
    slot_at_ = at;
    events_.push({at, Step::kSlot, 0});
  }

  // ---- An attempt ----

  // When a request may leave, of those that are sent in the order in which they
  // are asked for.
  absl::Duration SlotOf(RateBucket* bucket, int64_t& count, int requests = 1) {
    count += requests;
    absl::Duration last = now_;
    if (bucket == nullptr) return last;
    for (int i = 0; i < requests; ++i) last = bucket->TakeNext(now_);
    return last;
  }
  RateBucket* writes() {
    return write_ != nullptr ? write_.get() : create_.get();
  }

  void Grant(int32_t id, int64_t overshoot) {
    const auto index = static_cast<size_t>(id);
    Lane& lane = LaneOf(id);
    heads_.erase({lane.ready.head(), LaneNumber(id)});
    lane.ready.PopFirst();
    ++lane.running;
    if (!lane.ready.empty()) heads_.insert({lane.ready.head(), LaneNumber(id)});
    --ready_;
    --unstarted_;
    --free_;
    ++running_;
    night_.peak = std::max(night_.peak, running_);
    night_.tasks[index].start = now_;
    if (!rooms_.empty()) {
      const int64_t reserve = MaxCost(id) + overshoot;
      for (int64_t& room : rooms_) room -= reserve;
      reserves_[id] = reserve;
    }
    reserved_ += MaxCost(id);
    const absl::Duration create = SlotOf(create_.get(), night_.requests.create);
    const absl::Duration upload = SlotOf(files_.get(), night_.requests.files,
                                         input_.tasks[index].new_inputs);
    events_.push({std::max(create, upload), Step::kCreated, id});
  }

  void Handle(const Event& event) {
    switch (event.step) {
      case Step::kUnheld:
      case Step::kSlot:
        return;
      case Step::kDelayOver:
        --delayed_;
        MakeReadyIfMet(event.task);
        return;
      case Step::kRenewed: {
        const auto budget = static_cast<size_t>(event.task);
        rooms_[budget] = input_.budgets[budget].limit;
        TryMoney();
        events_.push(
            {now_ + input_.budgets[budget].every, Step::kRenewed, event.task});
        return;
      }
      case Step::kCreated:
        // One that has its message already is read from its beginning.
        events_.push(
            {SlotOf(read_.get(), night_.requests.read, input_.one_call ? 2 : 1),
             Step::kOpened, event.task});
        return;
      case Step::kOpened:
        events_.push(
            {input_.one_call ? now_ : SlotOf(writes(), night_.requests.write),
             Step::kSent, event.task});
        return;
      case Step::kSent:
        Send(event.task);
        return;
      case Step::kReopened:
        (void)SlotOf(read_.get(), night_.requests.read, 2);
        return;
      case Step::kTurnOver:
        Collect(event.task);
        return;
      case Step::kSettled:
        Settle(event.task);
        return;
    }
  }

  void Send(int32_t id) {
    const auto index = static_cast<size_t>(id);
    const absl::Duration begin =
        std::max(night_.tasks[index].start, now_ - kUsualStart);
    const absl::Duration over =
        std::max(now_, begin + absl::Microseconds(goes_[index].time_micros));
    for (absl::Duration at = now_ + input_.stream_age; at < over;
         at += input_.stream_age) {
      events_.push({at, Step::kReopened, id});
    }
    events_.push({over, Step::kTurnOver, id});
  }

  void Collect(int32_t id) {
    const auto index = static_cast<size_t>(id);
    const PlanKind& kind =
        input_.kinds[static_cast<size_t>(input_.tasks[index].kind)];
    const int files =
        kind.expected_files > 0 ? 1 + kind.expected_files : kOutputLists;
    events_.push({SlotOf(files_.get(), night_.requests.files, files),
                  Step::kSettled, id});
  }

  void Settle(int32_t id) {
    const auto index = static_cast<size_t>(id);
    ++night_.requests.write;  // its archive
    const int64_t cost = goes_[index].cost;
    PlannedTask& task = night_.tasks[index];
    task.end = now_;
    task.cost = cost;
    night_.cost += cost;
    night_.end = now_;
    ++night_.run;
    if (now_ > input_.deadline) ++night_.late;
    ++free_;
    --running_;
    reserved_ -= MaxCost(id);
    if (auto reserve = reserves_.extract(id); !reserve.empty()) {
      for (size_t i = 0; i < rooms_.size(); ++i) {
        // Money belongs to the window in which it was set aside.
        if (WindowOf(i, task.start) != WindowOf(i, now_)) continue;
        rooms_[i] += reserve.mapped() - cost;
      }
      TryMoney();
    }
    Lane& lane = LaneOf(id);
    --lane.running;
    if (std::exchange(lane.blocked, false) && !lane.ready.empty()) {
      heads_.insert({lane.ready.head(), LaneNumber(id)});
    }
    --unsettled_;
    JudgeCanaryWith(id, cost);
    Meet(id);
  }

  // From 0, of the budget's windows.
  int64_t WindowOf(size_t budget, absl::Duration at) const {
    const PlanBudget& is = input_.budgets[budget];
    return at < is.renews_in ? 0 : 1 + (at - is.renews_in) / is.every;
  }

  // Those that need it, and those that need all before them.
  void Meet(int32_t id) {
    for (int32_t other : needed_by_[static_cast<size_t>(id)]) {
      if (--open_needs_[static_cast<size_t>(other)] == 0) MakeReadyIfMet(other);
    }
    while (first_unsettled_ < night_.tasks.size() &&
           night_.tasks[first_unsettled_].end < absl::InfiniteDuration()) {
      ++first_unsettled_;
      if (next_all_ < all_before_.size() &&
          static_cast<size_t>(all_before_[next_all_]) <= first_unsettled_) {
        MakeReadyIfMet(all_before_[next_all_++]);
      }
    }
  }

  // ---- What binds ----

  static bool IsBehind(const RateBucket* bucket, absl::Duration now) {
    return bucket != nullptr &&
           bucket->NextRoom(now, SlotPurpose::kNormal) > now;
  }

  PlanLimit BoundBy() const {
    if (unstarted_ == 0) return PlanLimit::kNone;
    if (now_ < input_.held_for) return PlanLimit::kPause;
    if (ready_ == 0) return WhatMakesReady();
    if (no_money_ || (!without_money_.empty() && heads_.empty())) {
      return PlanLimit::kBudget;
    }
    if (IsBehind(read_.get(), now_)) return PlanLimit::kRead;
    if (IsBehind(files_.get(), now_)) return PlanLimit::kFiles;
    if (waits_for_slot_) return PlanLimit::kCreate;
    if (CapRoom() <= 0) return PlanLimit::kCap;
    if (free_ <= 0) return PlanLimit::kPlaces;
    return heads_.empty() ? PlanLimit::kKey : PlanLimit::kNone;
  }

  // Of what has not started nothing is ready.
  PlanLimit WhatMakesReady() const {
    if (!behind_canary_.empty()) return PlanLimit::kCanary;
    return delayed_ > 0 && running_ == 0 ? PlanLimit::kDelay
                                         : PlanLimit::kNeeds;
  }

  void Conclude() {
    night_.series.Note(now_, BoundBy(), running_, night_.cost, reserved_);
    night_.without_room = ready_;
    night_.without_canary = static_cast<int64_t>(behind_canary_.size());
    night_.without_needs = unstarted_ - ready_ - night_.without_canary;
    const auto& waiting = without_money_.empty() ? heads_ : without_money_;
    if (waiting.empty()) return;
    night_.reserve_without_room = FirstMaxCost(waiting.begin()->second);
    for (size_t i = 0; i < rooms_.size(); ++i) {
      if (rooms_[i] >= night_.reserve_without_room) continue;
      night_.budget_without_room = input_.budgets[i].of;
      break;
    }
  }

  const std::string account_ = "a";  // there is one
  const PlanInput& input_;
  const std::vector<Sample>& goes_;
  PlannedNight night_;
  absl::Duration now_;
  std::priority_queue<Event, std::vector<Event>, std::greater<Event>> events_;
  std::vector<absl::Duration> p90_;  // of the kinds
  int free_;
  int running_ = 0;
  int64_t ready_ = 0, unstarted_ = 0, unsettled_ = 0;
  int64_t reserved_ = 0;
  const std::unique_ptr<RateBucket> create_, write_, read_, files_;
  const size_t caps_;
  const bool one_max_cost_;
  std::vector<int64_t> rooms_;  // by budget
  std::map<int32_t, int64_t> reserves_;
  CanaryTally canary_tally_;
  CanaryOutcome canary_;
  std::vector<int32_t> behind_canary_;
  int64_t delayed_ = 0;  // would be ready otherwise
  bool no_money_ = false;
  bool waits_for_slot_ = false;
  absl::Duration slot_at_;
  std::vector<Lane> lanes_;
  std::set<std::pair<int64_t, int64_t>> heads_;  // unblocked ones: rank, lane
  // Those whose first task finds no room in a budget, as they were then.
  std::set<std::pair<int64_t, int64_t>> without_money_;
  std::vector<int32_t> open_needs_;
  std::vector<std::vector<int32_t>> needed_by_;
  std::vector<int32_t> all_before_;  // rising
  size_t next_all_ = 0;
  // All tasks before it are settled.
  size_t first_unsettled_ = 0;
};

}  // namespace

PlannedNight PlayNight(const PlanInput& input,
                       const std::vector<Sample>& goes) {
  return Night(input, goes).Play();
}

}  // namespace midwatch
