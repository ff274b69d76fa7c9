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
  // Lower goes first. Milliseconds since the epoch, less the weight of the
  // task's priority (see RankOf).
  int64_t rank = 0;
  // Micro-dollars that its next attempt sets aside; known where the lane has
  // budgets.
  int64_t reserve = 0;
  // What its session may cost beyond that, by the dearest model request of its
  // kind: a session stops at its budget only after the request that crosses it.
  int64_t overshoot = 0;
};

// Ready tasks of one (tenant, queue, batch, concurrency key, account).
struct LaneView {
  int64_t lane = 0;
  std::string account;
  int64_t batch = 0;  // 0: none
  // Tasks whose keys are equal run one at a time; "" for none. Distinct
  // tenants' keys are distinct here.
  std::string concurrency_key;
  bool key_busy = false;         // one of the key's tasks is on
  std::vector<ReadyTask> ready;  // the first ones, by rank
  std::vector<int64_t> budgets;  // that bind it
};

struct BatchCapView {
  int64_t batch = 0;
  int running = 0;
  int cap = 0;
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
  std::vector<BudgetRoomView> budgets;   // of the lanes
  std::vector<AdoptableView> adoptable;
};

// How much of the queue one view shows: enough to fill every slot that one pass
// may fill, whatever the depth behind it.
struct AdmissionBounds {
  static constexpr int kLanes = 256;
  static constexpr int kTasksPerLane = 64;
  static constexpr int kAdoptable = 64;
  static constexpr int kGrantsPerPass = 64;
};

// Why a lane is left out of views until somebody makes room. Bits of a set.
enum class LaneBlock : int {
  kKeyBusy = 1,
  kBatchCap = 2,
  kBudget = 4,  // one of its budgets has no room for its first task
};

struct AdmissionDecisions {
  struct Assign {
    int64_t task = 0;
    int64_t worker = 0;
    // Of a grant: what is set aside for overshoot, beside the reservation.
    int64_t overshoot = 0;
  };
  struct Block {
    int64_t lane = 0;
    LaneBlock why{};
  };
  std::vector<Assign> adoptions;  // of AdmissionView::adoptable
  std::vector<Assign> grants;     // of AdmissionView::lanes
  std::vector<Block> blocks;
  // Some task may start as soon as its account has a slot for a create.
  bool waits_for_slot = false;
};

// Pure: no I/O, no clock but `now`.
using AdmitFunction = std::function<AdmissionDecisions(
    absl::Time now, const std::vector<WorkerOffer>& offers,
    const AdmissionView& view)>;

// A task's rank is fixed when it becomes ready: one step of priority outweighs
// `ageing` of waiting, so nothing starves and nothing has to be moved.
int64_t RankOf(absl::Time ready_at, int priority,
               absl::Duration ageing = absl::Minutes(30));

}  // namespace midwatch

#endif  // MIDWATCH_STORE_ADMISSION_VIEW_H_
