#include "scheduler/fair_share.h"

#include <algorithm>

namespace midwatch {
namespace {

constexpr std::pair<int64_t, int64_t> kAll = {0, 0};

}  // namespace

FairShare::FairShare(const std::vector<ShareView>& shares,
                     const std::vector<WeightView>& weights) {
  for (const WeightView& weight : weights) weights_[weight.of] = weight.weight;
  for (const ShareView& share : shares) {
    shares_[{share.tenant, share.queue}] = share;
  }
}

int64_t FairShare::FinishOf(Key key) const {
  auto found = shares_.find(key);
  return found == shares_.end() ? 0 : found->second.finish;
}

int64_t FairShare::ClockOf(Key key) const {
  auto found = shares_.find(key);
  return found == shares_.end() ? 0 : found->second.clock;
}

std::pair<int64_t, int64_t> FairShare::BeginOf(int64_t tenant,
                                               int64_t queue) const {
  return {std::max(ClockOf(kAll), FinishOf({tenant, 0})),
          std::max(ClockOf({tenant, 0}), FinishOf({tenant, queue}))};
}

// Rounded up: every start gets somewhere.
int64_t FairShare::SpanOf(int64_t flow, int64_t cost) const {
  auto weight = weights_.find(flow);
  if (weight == weights_.end()) return cost;
  return (cost + weight->second - 1) / weight->second;
}

void FairShare::Start(int64_t tenant, int64_t queue, int64_t cost) {
  const auto [tenant_begin, queue_begin] = BeginOf(tenant, queue);
  auto at = [this](Key key) -> ShareView& {
    changed_.insert(key);
    ShareView& share = shares_[key];
    share.tenant = key.first;
    share.queue = key.second;
    return share;
  };
  at(kAll).clock = tenant_begin;
  at({tenant, 0}).finish = tenant_begin + SpanOf(tenant, cost);
  at({tenant, 0}).clock = queue_begin;
  at({tenant, queue}).finish = queue_begin + SpanOf(queue, cost);
}

std::vector<ShareView> FairShare::Changes() const {
  std::vector<ShareView> changes;
  for (const Key& key : changed_) changes.push_back(shares_.at(key));
  return changes;
}

}  // namespace midwatch
