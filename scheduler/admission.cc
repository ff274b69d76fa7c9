#include "scheduler/admission.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <queue>
#include <string>
#include <tuple>
#include <utility>

#include "absl/algorithm/container.h"
#include "base/guard.h"
#include "scheduler/fair_share.h"

namespace midwatch {
namespace {

// Free slots that are left while one pass gives them away.
class Slots {
 public:
  Slots(const std::vector<WorkerOffer>& offers, KeptSlots kept)
      : offers_(offers), kept_(std::move(kept)) {
    for (const WorkerOffer& offer : offers_) {
      for (const std::string& account : offer.accounts) {
        free_[account] += offer.free_slots;
      }
    }
  }

  // The worker that serves `account` with the most free slots (the lower id
  // among equals), or 0. Takes one of its slots; `fresh`: for a new attempt.
  int64_t Take(const std::string& account, bool fresh) {
    WorkerOffer* best = nullptr;
    for (WorkerOffer& offer : offers_) {
      if (offer.free_slots <= 0 ||
          !absl::c_linear_search(offer.accounts, account) ||
          (fresh && IsKept(offer))) {
        continue;
      }
      if (best == nullptr || offer.free_slots > best->free_slots ||
          (offer.free_slots == best->free_slots &&
           offer.worker < best->worker)) {
        best = &offer;
      }
    }
    if (best == nullptr) return 0;
    --best->free_slots;
    for (const std::string& served : best->accounts) --free_[served];
    return best->worker;
  }

  // All that serve this account are kept for attempts that are on.
  void KeepAll(const std::string& account) {
    kept_[account] = std::numeric_limits<int>::max();
  }

 private:
  // A slot serves any of its worker's accounts.
  bool IsKept(const WorkerOffer& offer) const {
    return absl::c_any_of(offer.accounts, [this](const std::string& account) {
      auto kept = kept_.find(account);
      return kept != kept_.end() && free_.at(account) <= kept->second;
    });
  }

  std::vector<WorkerOffer> offers_;
  std::map<std::string, int> free_;  // by account
  KeptSlots kept_;
};

// What bounds how many may run at once, as the pass fills it.
class Caps {
 public:
  explicit Caps(const AdmissionView& view) {
    for (const BatchCapView& cap : view.batch_caps) {
      batch_room_[cap.batch] = cap.cap - cap.running;
    }
    for (const CapView& cap : view.caps) {
      cap_room_[cap.cap] = cap.max - cap.running;
    }
    for (const BudgetRoomView& budget : view.budgets) {
      money_room_[budget.budget] = budget.room;
    }
    for (const LaneView& lane : view.lanes) {
      key_room_[lane.concurrency_key] = lane.key_room;
    }
  }

  // Why the lane's `next` task may not start, if so.
  std::optional<LaneBlock> Binding(const LaneView& lane,
                                   const ReadyTask& next) const {
    if (!lane.concurrency_key.empty() &&
        key_room_.at(lane.concurrency_key) <= 0) {
      return LaneBlock::kKeyBusy;
    }
    auto room = batch_room_.find(lane.batch);
    if (room != batch_room_.end() && room->second <= 0) {
      return LaneBlock::kBatchCap;
    }
    for (int64_t cap : lane.caps) {
      if (cap_room_.at(cap) <= 0) return LaneBlock::kCap;
    }
    // The first task waits for room rather than that a cheaper one behind it
    // takes what comes free, again and again.
    if (!Stands(Guard::kReservation)) return std::nullopt;
    for (int64_t budget : lane.budgets) {
      if (money_room_.at(budget) < next.reserve) return LaneBlock::kBudget;
    }
    return std::nullopt;
  }

  // Takes the room that the lane's `task` needs. Returns what is set aside for
  // its overshoot: as much as there is room for, since a budget as large as one
  // task would never let it start otherwise.
  int64_t Use(const LaneView& lane, const ReadyTask& task) {
    if (!lane.concurrency_key.empty()) --key_room_[lane.concurrency_key];
    auto room = batch_room_.find(lane.batch);
    if (room != batch_room_.end()) --room->second;
    for (int64_t cap : lane.caps) --cap_room_[cap];
    if (lane.budgets.empty()) return 0;
    int64_t overshoot = task.overshoot;
    if (!Stands(Guard::kReservation)) return overshoot;
    for (int64_t budget : lane.budgets) {
      overshoot = std::min(overshoot, money_room_.at(budget) - task.reserve);
    }
    for (int64_t budget : lane.budgets) {
      money_room_[budget] -= task.reserve + overshoot;
    }
    return overshoot;
  }

 private:
  std::map<int64_t, int> batch_room_;
  std::map<int64_t, int64_t> cap_room_;    // of queues, tenants and accounts
  std::map<int64_t, int64_t> money_room_;  // by budget, micro-dollars
  std::map<std::string, int64_t> key_room_;
};

}  // namespace

AdmissionDecisions DecideAdmission(absl::Time /*now*/,
                                   const std::vector<WorkerOffer>& offers,
                                   const AdmissionView& view, StartRoom room,
                                   KeptSlots kept) {
  AdmissionDecisions decisions;
  Slots slots(offers, std::move(kept));
  std::map<std::string, int> shown;  // adoptable ones, by account
  for (const AdoptableView& each : view.adoptable) {
    // The next pass sees what is behind the last one.
    if (++shown[each.account] == AdmissionBounds::kAdoptable) {
      slots.KeepAll(each.account);
    }
    if (int64_t worker = slots.Take(each.account, /*fresh=*/false);
        worker != 0) {
      decisions.adoptions.push_back({each.task, worker});
    }
  }

  // Within a tenant's queue the lane with the lowest rank at its head is next;
  // the lane's number makes the order of equals the same in every run.
  struct Head {
    int64_t rank;
    int64_t lane;
    const LaneView* view;
    size_t next;
    bool operator>(const Head& other) const {
      return std::tie(rank, lane) > std::tie(other.rank, other.lane);
    }
  };
  using Heads =
      std::priority_queue<Head, std::vector<Head>, std::greater<Head>>;
  std::map<std::pair<int64_t, int64_t>, Heads> flows;  // by tenant and queue
  for (const LaneView& lane : view.lanes) {
    if (!lane.ready.empty()) {
      flows[{lane.tenant, lane.queue}].push(
          {lane.ready[0].rank, lane.lane, &lane, 0});
    }
  }
  // Among those whose turn is the same, rank decides.
  FairShare shares(view.shares, view.weights);
  auto next_flow = [&] {
    return absl::c_min_element(flows, [&](const auto& a, const auto& b) {
      auto order = [&](const auto& flow) {
        return std::make_tuple(
            shares.BeginOf(flow.first.first, flow.first.second),
            flow.second.top().rank, flow.second.top().lane);
      };
      return order(a) < order(b);
    });
  };
  Caps caps(view);
  while (decisions.grants.size() < AdmissionBounds::kGrantsPerPass) {
    std::erase_if(flows, [](const auto& flow) { return flow.second.empty(); });
    if (flows.empty()) break;
    Heads& heads = next_flow()->second;
    Head head = heads.top();
    heads.pop();
    const ReadyTask& next = head.view->ready[head.next];
    if (std::optional<LaneBlock> why = caps.Binding(*head.view, next)) {
      decisions.blocks.push_back({head.lane, *why});
      continue;
    }
    auto left = room.find(head.view->account);
    if (left != room.end() && left->second <= 0) {
      decisions.waits_for_slot = true;
      continue;
    }
    int64_t worker = slots.Take(head.view->account, /*fresh=*/true);
    // Nobody has a slot for this account any more; others may still be served.
    if (worker == 0) continue;
    const int64_t overshoot = caps.Use(*head.view, next);
    int64_t counted = 0;
    if (view.shared) {
      counted = next.predicted;
      shares.Start(head.view->tenant, head.view->queue, counted);
    }
    decisions.grants.push_back({next.task, worker, overshoot, counted});
    if (left != room.end()) --left->second;
    if (++head.next < head.view->ready.size()) {
      head.rank = head.view->ready[head.next].rank;
      heads.push(head);
    }
  }
  decisions.shares = shares.Changes();
  return decisions;
}

}  // namespace midwatch
