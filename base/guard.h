// The guards that the promises rest on, by name: tests take each away and must
// see that it is missed (tests/sim). Nothing of the product can: what takes
// them away is in tests/, which it does not link.
#ifndef MIDWATCH_BASE_GUARD_H_
#define MIDWATCH_BASE_GUARD_H_

#include <atomic>

namespace midwatch {

enum class Guard {
  kNone,
  // The first session recorded for an attempt is its session.
  kSessionCompareAndSet,
  // Whoever cannot see the first message archives the session before another
  // one is made.
  kArchiveFence,
  // A write whose lease is lost changes nothing.
  kLeaseCheck,
  // Nothing starts for which its budgets have no room.
  kReservation,
  // What is said to a session is a row before it is sent.
  kOutbox,
  // An event that comes twice is stored once.
  kEventDedupe,
  // Before its canary's verdict nothing else of a batch starts.
  kCanary,
  // A retry's spec stays where the batch that it shares it with is deleted.
  kSharedSpec,
  // A batch stays while an unfinished task elsewhere needs one of its tasks, or
  // tries one again.
  kDeletionWaits,
  // A single task stays while it is of use yet: an unfinished task needs it, a
  // retry of it is there, or it does a task of a batch that is not over.
  kSingleDeletionWaits,
  // A batch's risk is told where it is first seen, and never again.
  kRiskOnce,
};

namespace guard_internal {
extern std::atomic<Guard> removed;
}  // namespace guard_internal

// A relaxed load: free beside whatever it guards.
inline bool Stands(Guard guard) {
  return guard_internal::removed.load(std::memory_order_relaxed) != guard;
}

}  // namespace midwatch

#endif  // MIDWATCH_BASE_GUARD_H_
