#include "base/real_executor.h"

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <future>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/mutex.h"
#include "base/thread.h"

namespace midwatch {

namespace asio = boost::asio;

struct RealExecutor::Impl {
  // One thread runs it, and others only post.
  std::optional<asio::io_context> io{std::in_place, 1};
  asio::any_io_executor executor{io->get_executor()};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>>
      work{asio::make_work_guard(*io)};
  std::unordered_map<TimerId, asio::steady_timer> timers;
  TimerId next_timer = 1;
  Mutex mutex;
  // Posting is refused from here on: `io` goes while other threads live.
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  Thread thread;
};

RealExecutor::RealExecutor(const std::string& name)
    : impl_(std::make_unique<Impl>()) {
  impl_->thread = Thread(name, [impl = impl_.get()] { impl->io->run(); });
}

RealExecutor::~RealExecutor() { Stop(); }

void RealExecutor::Stop() {
  if (!impl_->thread.joinable()) return;
  impl_->io->stop();
  impl_->thread.Join();
  {
    MutexLock lock(impl_->mutex);
    impl_->stopped = true;
  }
  impl_->timers.clear();
  impl_->work.reset();
  // Destroys tasks and coroutines where they wait, without running them.
  impl_->io.reset();
}

void RealExecutor::Post(Task task) {
  MutexLock lock(impl_->mutex);
  if (impl_->stopped) return;
  asio::post(*impl_->io,
             [task = std::move(task)]() mutable { std::move(task)(); });
}

Executor::TimerId RealExecutor::After(absl::Duration delay, Task task) {
  TimerId id = impl_->next_timer++;
  // Without `io` the executor is stopped, and its coroutines being destroyed.
  if (delay == absl::InfiniteDuration() || !impl_->io) return id;
  auto [it, inserted] = impl_->timers.try_emplace(id, impl_->executor);
  it->second.expires_after(
      absl::ToChronoNanoseconds(std::max(delay, absl::ZeroDuration())));
  it->second.async_wait([impl = impl_.get(), id, task = std::move(task)](
                            const boost::system::error_code& error) mutable {
    // A timer that had fired when it was cancelled reports success, so ask
    // the map, which Cancel has taken it from.
    if (error || impl->timers.erase(id) == 0) return;
    std::move(task)();
  });
  return id;
}

void RealExecutor::Cancel(TimerId timer) { impl_->timers.erase(timer); }

asio::any_io_executor RealExecutor::asio() { return impl_->executor; }

void RunOn(Executor& executor, Executor::Task task) {
  std::promise<void> done;
  executor.Post([&] {
    std::move(task)();
    done.set_value();
  });
  done.get_future().wait();
}

}  // namespace midwatch
