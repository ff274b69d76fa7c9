#include "base/blocking_pool.h"

namespace midwatch {

ThreadBlockingPool::ThreadBlockingPool(const std::string& name, int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back(name, [this] { Serve(); });
  }
}

ThreadBlockingPool::~ThreadBlockingPool() {
  std::deque<absl::AnyInvocable<void()>> dropped;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    dropped.swap(waiting_);
  }
  wake_.SignalAll();
  for (Thread& thread : threads_) thread.Join();
}

void ThreadBlockingPool::Run(absl::AnyInvocable<void()> work) {
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    waiting_.push_back(std::move(work));
  }
  wake_.Signal();
}

void ThreadBlockingPool::Serve() {
  while (true) {
    absl::AnyInvocable<void()> work;
    {
      MutexLock lock(mutex_);
      while (waiting_.empty() && !stopping_) wake_.Wait(mutex_);
      if (stopping_) return;
      work = std::move(waiting_.front());
      waiting_.pop_front();
    }
    work();
  }
}

}  // namespace midwatch
