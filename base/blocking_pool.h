// For work that blocks or computes long (files, hashes, zstd, database reads),
// which must never run on an Executor.
#ifndef MIDWATCH_BASE_BLOCKING_POOL_H_
#define MIDWATCH_BASE_BLOCKING_POOL_H_

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "base/coro.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "base/thread.h"

namespace midwatch {

class BlockingPool {
 public:
  virtual ~BlockingPool() = default;
  // Runs `work` on a thread of the pool. Thread-safe, never blocks. The
  // simulator runs it inline on the calling node, before Run returns.
  virtual void Run(absl::AnyInvocable<void()> work) = 0;
};

// Threads started at once. The destructor finishes what runs and drops what
// waits.
class ThreadBlockingPool final : public BlockingPool {
 public:
  ThreadBlockingPool(const std::string& name, int threads);
  ~ThreadBlockingPool() override;
  void Run(absl::AnyInvocable<void()> work) override;

 private:
  void Serve();

  Mutex mutex_;
  CondVar wake_;
  std::deque<absl::AnyInvocable<void()>> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<Thread> threads_;
};

class InlineBlockingPool final : public BlockingPool {
 public:
  void Run(absl::AnyInvocable<void()> work) override { work(); }
};

// Runs `work` on `pool` and goes on with its result on `executor`, the calling
// coroutine's own. `work` owns what it uses: where the executor is stopped, the
// caller is destroyed while `work` may still run.
template <typename T>
Async<T> RunBlocking(BlockingPool& pool, Executor& executor,
                     absl::AnyInvocable<T()> work) {
  absl::AnyInvocable<void(absl::AnyInvocable<void(T)>)> start =
      [&pool, &work](absl::AnyInvocable<void(T)> done) mutable {
        pool.Run([work = std::move(work), done = std::move(done)]() mutable {
          done(work());
        });
      };
  co_return co_await AwaitCallback<T>(executor, std::move(start));
}

}  // namespace midwatch

#endif  // MIDWATCH_BASE_BLOCKING_POOL_H_
