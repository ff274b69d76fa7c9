// Where a node's own code runs: one thread, its tasks in the order in which
// they were posted, and timers.
//
// Scheduler, worker and harness each have one Executor and no locks: whatever
// comes from another thread (gRPC, a database writer, the blocking pool) is
// posted here first. The simulator's executor runs on virtual time, and a
// crashed node's executor drops all it was given.
#ifndef MIDWATCH_BASE_EXECUTOR_H_
#define MIDWATCH_BASE_EXECUTOR_H_

#include <cstdint>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"

namespace boost::asio {
class any_io_executor;
}  // namespace boost::asio

namespace midwatch {

class Executor {
 public:
  using Task = absl::AnyInvocable<void()>;
  // Never 0, so that 0 can stand for "no timer".
  using TimerId = uint64_t;

  virtual ~Executor() = default;

  // Runs `task` on this executor's thread, soon, never inside this call.
  // Thread-safe. Tasks posted by one thread run in its order.
  virtual void Post(Task task) = 0;

  // Runs `task` once, `delay` from now (at once where it is not positive,
  // never where it is infinite). Call only on this executor's thread.
  virtual TimerId After(absl::Duration delay, Task task) = 0;

  // Drops a timer that has not run; no effect on others, 0 included. Call only
  // on this executor's thread.
  virtual void Cancel(TimerId timer) = 0;

  // For coroutines (base/coro.h) and sockets (net/). Thread-safe.
  virtual boost::asio::any_io_executor asio() = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_BASE_EXECUTOR_H_
