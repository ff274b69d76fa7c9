#ifndef MIDWATCH_SCHEDULER_COST_ESTIMATES_H_
#define MIDWATCH_SCHEDULER_COST_ESTIMATES_H_

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "midwatch/v1/batch_service.pb.h"
#include "midwatch/v1/task.pb.h"
#include "store/records.h"

namespace midwatch {

// About what the attempts that are on have cost so far, as their workers tell.
// In memory only, since it is shown and never booked: a scheduler that starts
// knows nothing until the next events come.
class CostEstimates {
 public:
  // Of a task's attempt, which is of `batch` (0: of none).
  void Note(int64_t task, int64_t batch, int64_t usd_micros);
  // The attempt is over.
  void Forget(int64_t task);

  // Into what clients see.
  void Describe(const TaskRecord& task, v1::Task& out) const;
  void Describe(const BatchRecord& batch, v1::Batch& out) const;

  // Batches whose estimate has changed since the last call, rising.
  std::vector<int64_t> TakeChanged();
  bool changed() const { return !changed_.empty(); }

 private:
  struct Estimate {
    int64_t batch = 0;
    int64_t usd_micros = 0;
  };
  void Add(int64_t batch, int64_t usd_micros);

  std::map<int64_t, Estimate> tasks_;
  std::map<int64_t, int64_t> batches_;  // those that are not 0
  std::set<int64_t> changed_;
};

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_COST_ESTIMATES_H_
