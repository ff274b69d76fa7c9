#include "scheduler/cost_estimates.h"

#include <utility>

namespace midwatch {

void CostEstimates::Note(int64_t task, int64_t batch, int64_t usd_micros) {
  Estimate& known = tasks_[task];
  known.batch = batch;
  Add(batch, usd_micros - known.usd_micros);
  known.usd_micros = usd_micros;
}

void CostEstimates::Forget(int64_t task) {
  auto known = tasks_.find(task);
  if (known == tasks_.end()) return;
  Add(known->second.batch, -known->second.usd_micros);
  tasks_.erase(known);
}

void CostEstimates::Add(int64_t batch, int64_t usd_micros) {
  if (batch == 0 || usd_micros == 0) return;
  changed_.insert(batch);
  auto sum = batches_.try_emplace(batch, 0).first;
  sum->second += usd_micros;
  if (sum->second == 0) batches_.erase(sum);
}

void CostEstimates::Describe(const TaskRecord& task, v1::Task& out) const {
  auto known = tasks_.find(task.key.row);
  if (known == tasks_.end()) return;
  // Read from the store a moment ago, it may have ended since.
  if (task.state != v1::TASK_STATE_RUNNING &&
      task.state != v1::TASK_STATE_WAITING &&
      task.state != v1::TASK_STATE_CANCELLING) {
    return;
  }
  out.set_estimated_cost_usd_micros(known->second.usd_micros);
}

void CostEstimates::Describe(const BatchRecord& batch, v1::Batch& out) const {
  auto sum = batches_.find(batch.key.row);
  if (sum == batches_.end()) return;
  out.set_estimated_cost_usd_micros(sum->second);
}

std::vector<int64_t> CostEstimates::TakeChanged() {
  std::set<int64_t> changed = std::exchange(changed_, {});
  return std::vector<int64_t>(changed.begin(), changed.end());
}

}  // namespace midwatch
