// Databases of a given depth: what waits, what is settled, what is on.
#ifndef MIDWATCH_BENCH_FILLED_STORE_H_
#define MIDWATCH_BENCH_FILLED_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/blocking_pool.h"
#include "base/random.h"
#include "base/real_executor.h"
#include "scheduler/scheduler.h"
#include "store/store.h"

namespace midwatch::bench {

// The scheduler with its store in this process, without gRPC.
class LocalScheduler {
 public:
  static absl::StatusOr<std::unique_ptr<LocalScheduler>> Open(
      const std::string& dir);
  ~LocalScheduler();

  // Adds usual tasks to the batch named `batch`, from its line `first` on; the
  // batch is opened where it is not there. Blocks.
  absl::Status Queue(const std::string& batch, int64_t first, int64_t tasks);

  // Grants `tasks` tasks to a worker with `capacity` slots. Blocks until they
  // are settled, and says how long that took, or, where not `settle`, granted
  // (they stay on then). No other leases are left.
  absl::StatusOr<absl::Duration> Admit(int64_t tasks, int capacity,
                                       bool settle);

 private:
  class Worker;

  RealExecutor executor_{"scheduler"};
  ThreadBlockingPool pool_{"pool", 2};
  RealRandom random_;
  std::unique_ptr<Store> store_;
  std::optional<Scheduler> scheduler_;
};

// Makes `tasks` settled ones in the store at `dir`, which must not exist: a
// thousand by the scheduler, the rest as copies of their rows, since what
// matters of them is only that they are there. Rounds up to thousands.
absl::Status MakeHistory(const std::string& dir, int64_t tasks);

}  // namespace midwatch::bench

#endif  // MIDWATCH_BENCH_FILLED_STORE_H_
