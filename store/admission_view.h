// What admission may look at, and what it may decide. The store fills the view
// and carries out the decisions in one transaction; between the two stands a
// pure function (scheduler/admission.h).
#ifndef MIDWATCH_STORE_ADMISSION_VIEW_H_
#define MIDWATCH_STORE_ADMISSION_VIEW_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace midwatch {

// A worker with an open lease stream.
struct WorkerOffer {
  int64_t worker = 0;
  int free_slots = 0;
  std::vector<std::string> accounts;
};

struct ReadyTask {
  int64_t task = 0;
  // Lower goes first: see RankOf.
  int64_t rank = 0;
  // Micro-dollars that its next attempt sets aside; known where the lane has
  // budgets.
  int64_t reserve = 0;
  // What its session may cost beyond that, by the dearest model request of its
  // kind: a session stops at its budget only after the request that crosses it.
  int64_t overshoot = 0;
  // About what it will cost: the median of its kind, or what it may cost where
  // none of its kind has succeeded yet. Known where shares count.
  int64_t predicted = 0;
};

// How far the starts of a tenant's queue have come, in micro-dollars; of a
// tenant where the queue is 0, of all where the tenant is 0, too. See
// scheduler/fair_share.h.
struct ShareView {
  int64_t tenant = 0;
  int64_t queue = 0;
  int64_t finish = 0;  // where its last start ends
  int64_t clock = 0;   // where the last one among its parts began
};

// Ready tasks of one (tenant, queue, batch, concurrency key, account).
struct LaneView {
  int64_t lane = 0;
  int64_t tenant = 0;
  int64_t queue = 0;
  std::string account;
  int64_t batch = 0;  // 0: none
  // Of tasks whose keys are equal so many more may start; "" for none, which
  // bounds nothing. Distinct tenants' keys are distinct here.
  std::string concurrency_key;
  int64_t key_room = 1;
  std::vector<ReadyTask> ready;  // the first ones, by rank
  std::vector<int64_t> budgets;  // that bind it
  std::vector<int64_t> caps;     // likewise: of its queue, tenant and account
};

struct BatchCapView {
  int64_t batch = 0;
  int running = 0;
  int cap = 0;
};

// How many may run at once in a queue, of a tenant or on an account. More may
// run: nothing is stopped where a cap is lowered.
struct CapView {
  int64_t cap = 0;
  int64_t running = 0;
  int64_t max = 0;
};

// A tenant's part beside the other tenants, or a queue's beside its tenant's
// other queues.
struct WeightView {
  int64_t of = 0;
  int64_t weight = 1;
};

// What may still be reserved in the window of a budget that is on; negative
// where the limit is below what is charged and reserved.
struct BudgetRoomView {
  int64_t budget = 0;
  int64_t room = 0;
};

// A live attempt that no worker holds.
struct AdoptableView {
  int64_t task = 0;
  std::string account;
};

struct AdmissionView {
  std::vector<LaneView> lanes;           // unblocked, with ready tasks
  std::vector<BatchCapView> batch_caps;  // of the lanes' batches that have one
  std::vector<CapView> caps;             // of the lanes
  std::vector<BudgetRoomView> budgets;   // of the lanes
  std::vector<AdoptableView> adoptable;
  // More than one queue or tenant wants to start something: how far each has
  // come. Those that nothing was counted for are left out.
  bool shared = false;
  std::vector<ShareView> shares;
  std::vector<WeightView> weights;  // of those that share, where it is not 1
};

// How much of the queue one view shows: enough to fill every slot that one pass
// may fill, whatever the depth behind it.
struct AdmissionBounds {
  static constexpr int kLanes = 256;
  static constexpr int kTasksPerLane = 64;
  static constexpr int kAdoptable = 64;
  static constexpr int kGrantsPerPass = 64;
  // Queues of tenants in one view, and lanes of each of them at least; where
  // there are more, the next view shows the next ones.
  static constexpr int kShares = 64;
  static constexpr int kLanesPerShareMin = 4;
};

// Why a lane is left out of views until somebody makes room, or resumes what is
// paused. Bits of a set.
enum class LaneBlock : int {
  kKeyBusy = 1,
  kBatchCap = 2,
  kBudget = 4,  // one of its budgets has no room for its first task
  kCap = 8,     // as many run as its queue, tenant or account may
  // Not decided by admission: set and taken away by a person, a timer, or what
  // became of a batch's tasks.
  kQueuePaused = 16,
  kBatchPaused = 32,
  kCanary = 64,  // its batch's canary is not decided, and it is not of that
};

struct AdmissionDecisions {
  struct Assign {
    int64_t task = 0;
    int64_t worker = 0;
    // Of a grant: what is set aside for overshoot, beside the reservation.
    int64_t overshoot = 0;
    // What counts for its tenant's and its queue's share until its cost is
    // known; 0 where shares do not count.
    int64_t counted = 0;
  };
  struct Block {
    int64_t lane = 0;
    LaneBlock why{};
  };
  std::vector<Assign> adoptions;  // of AdmissionView::adoptable
  std::vector<Assign> grants;     // of AdmissionView::lanes
  std::vector<Block> blocks;
  std::vector<ShareView> shares;  // those that changed
  // Some task may start as soon as its account has a slot for a create.
  bool waits_for_slot = false;
};

// Pure: no I/O, no clock but `now`.
using AdmitFunction = std::function<AdmissionDecisions(
    absl::Time now, const std::vector<WorkerOffer>& offers,
    const AdmissionView& view)>;

// A task's rank is fixed when it becomes ready, in milliseconds since the
// epoch: when it is due by its priority, one step of which outweighs 30 minutes
// of waiting, or when it has to start to be done by its deadline, if that is
// sooner. So nothing starves, and nothing has to be moved.
int64_t RankOf(absl::Time ready_at, int priority,
               absl::Time latest_start = absl::InfiniteFuture());
// When a task was ready that has this rank by its priority. Earlier than it was
// where its rank is that of its latest start.
absl::Time ReadyAtOf(int64_t rank, int priority);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_ADMISSION_VIEW_H_
