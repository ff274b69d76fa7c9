#include "tests/testing/fake_executor.h"

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace midwatch::testing {

namespace asio = boost::asio;

struct FakeExecutor::Impl {
  asio::io_context io{1};
};

void VirtualTime::RunUntilIdle() {
  bool ran = true;
  while (ran) {
    ran = false;
    // By index: a task may make or destroy executors.
    for (size_t i = 0; i < executors_.size(); ++i) {
      if (!executors_[i]->RunOne()) continue;
      ran = true;
      if (after_task) after_task();
    }
  }
}

bool VirtualTime::FireNext(absl::Duration until) {
  auto first = timers_.begin();
  if (first == timers_.end() || first->first.first > until) return false;
  elapsed_ = std::max(elapsed_, first->first.first);
  Timer timer = std::move(first->second);
  timers_.erase(first);
  timer.executor->timers_.erase(timer.id);
  timer.executor->Post(std::move(timer.task));
  return true;
}

void VirtualTime::Advance(absl::Duration delay) {
  absl::Duration until = elapsed_ + delay;
  RunUntilIdle();
  while (FireNext(until)) RunUntilIdle();
  elapsed_ = until;
}

bool VirtualTime::AdvanceUntil(absl::FunctionRef<bool()> done,
                               absl::Duration limit) {
  absl::Duration until = elapsed_ + limit;
  RunUntilIdle();
  while (!done()) {
    if (!FireNext(until)) return false;
    RunUntilIdle();
  }
  return true;
}

FakeExecutor::FakeExecutor(VirtualTime& time)
    : time_(time), impl_(std::make_unique<Impl>()) {
  time_.executors_.push_back(this);
}

FakeExecutor::~FakeExecutor() {
  Stop();
  std::erase(time_.executors_, this);
}

void FakeExecutor::Stop() {
  // First out of reach, then destroyed: destructors of what it drops may post.
  std::unique_ptr<Impl> dropped = std::move(impl_);
  if (dropped == nullptr) return;
  std::map<TimerId, std::pair<absl::Duration, uint64_t>> timers;
  timers.swap(timers_);
  for (const auto& [id, place] : timers) {
    auto node = time_.timers_.extract(place);
  }
}

void FakeExecutor::Post(Task task) {
  if (impl_ == nullptr) return;
  asio::post(impl_->io,
             [task = std::move(task)]() mutable { std::move(task)(); });
}

Executor::TimerId FakeExecutor::After(absl::Duration delay, Task task) {
  TimerId id = time_.next_id_++;
  if (impl_ == nullptr || delay == absl::InfiniteDuration()) return id;
  std::pair<absl::Duration, uint64_t> place(
      time_.elapsed_ + std::max(delay, absl::ZeroDuration()), id);
  time_.timers_.emplace(place, VirtualTime::Timer{this, id, std::move(task)});
  timers_.emplace(id, place);
  return id;
}

void FakeExecutor::Cancel(TimerId timer) {
  auto it = timers_.find(timer);
  if (it == timers_.end()) return;
  std::pair<absl::Duration, uint64_t> place = it->second;
  timers_.erase(it);
  auto dropped = time_.timers_.extract(place);
}

asio::any_io_executor FakeExecutor::asio() {
  // Only a running node's code asks for it.
  return impl_->io.get_executor();
}

bool FakeExecutor::RunOne() {
  if (impl_ == nullptr || stalled_) return false;
  impl_->io.restart();
  try {
    return impl_->io.poll_one() > 0;
  } catch (const NodeEnded&) {
    Stop();
    return true;
  }
}

}  // namespace midwatch::testing
