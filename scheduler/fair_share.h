// Who is next among tenants, and among a tenant's queues, so that each gets a
// share of what is spent by its weight while it has something to start:
// start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), in
// micro-dollars of predicted cost instead of bytes.
//
// A start takes the later of its level's clock and of where the flow's last
// start ended, and ends its predicted cost, divided by the flow's weight,
// further; the one that begins first is next, and the clock goes to where it
// begins. So who was idle for a week begins at the clock, with no claim to what
// it did not use; and a weight that is changed counts from the next start on.
//
// Pure.
#ifndef MIDWATCH_SCHEDULER_FAIR_SHARE_H_
#define MIDWATCH_SCHEDULER_FAIR_SHARE_H_

#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "store/admission_view.h"

namespace midwatch {

class FairShare {
 public:
  FairShare(const std::vector<ShareView>& shares,
            const std::vector<WeightView>& weights);

  // Where the next start of this tenant's queue begins: lower goes first, by
  // the tenant, then by the queue.
  std::pair<int64_t, int64_t> BeginOf(int64_t tenant, int64_t queue) const;
  // It starts something that will cost about so much.
  void Start(int64_t tenant, int64_t queue, int64_t cost);
  // What Start has changed, in a fixed order.
  std::vector<ShareView> Changes() const;

 private:
  using Key = std::pair<int64_t, int64_t>;  // tenant, queue
  // At its parent's clock where nothing was ever started.
  int64_t FinishOf(Key key) const;
  int64_t ClockOf(Key key) const;
  // How far a start of that cost reaches.
  int64_t SpanOf(int64_t flow, int64_t cost) const;

  std::map<Key, ShareView> shares_;
  std::map<int64_t, int64_t> weights_;  // of tenants and queues, where not 1
  std::set<Key> changed_;
};

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_FAIR_SHARE_H_
