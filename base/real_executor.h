#ifndef MIDWATCH_BASE_REAL_EXECUTOR_H_
#define MIDWATCH_BASE_REAL_EXECUTOR_H_

#include <memory>
#include <string>

#include "base/executor.h"

namespace midwatch {

// An executor on a thread of its own, started at once. The destructor stops
// the thread after the task that runs, and drops what had not run.
class RealExecutor final : public Executor {
 public:
  // `name` is what debuggers and `top -H` show, up to 15 characters.
  explicit RealExecutor(const std::string& name);
  ~RealExecutor() override;
  RealExecutor(const RealExecutor&) = delete;
  RealExecutor& operator=(const RealExecutor&) = delete;

  void Post(Task task) override;
  TimerId After(absl::Duration delay, Task task) override;
  void Cancel(TimerId timer) override;
  boost::asio::any_io_executor asio() override;

  // Stops the thread and drops all pending tasks, timers and coroutines, while
  // the objects that they refer to still live. Again: no effect. Not from this
  // executor's own thread.
  void Stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Runs `task` on `executor` and waits until it has run. For setting up and
// tearing down objects that live on an executor, from `main` and from tests;
// never call it on the executor's own thread.
void RunOn(Executor& executor, Executor::Task task);

}  // namespace midwatch

#endif  // MIDWATCH_BASE_REAL_EXECUTOR_H_
