// Coroutines on an Executor.
//
// A coroutine started on its own (Spawn) takes its data by value, and
// references only to what outlives the executor. It is single-threaded with
// everything else on its executor, so it may touch shared state between two
// co_awaits without a lock, and must expect it changed after each.
//
// gcc 12 miscompiles some temporaries inside a co_await expression (aggregates
// with braces, lambdas with captures): name them first, then std::move them in.
#ifndef MIDWATCH_BASE_CORO_H_
#define MIDWATCH_BASE_CORO_H_

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <iterator>
#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/time/time.h"
#include "base/executor.h"

namespace midwatch {

// What an asynchronous function returns: `Async<absl::StatusOr<Session>>`.
// Failures travel as Status; no exception leaves a coroutine.
template <typename T = void>
using Async = boost::asio::awaitable<T>;

// Starts `coroutine` on `executor`; it runs until its first suspension in a
// later task. It ends by returning, or when the executor is stopped, which
// destroys it where it waits.
void Spawn(Executor& executor, Async<void> coroutine);

namespace coro_internal {

// Suspended coroutines that wait for a callback. They belong to the executor's
// context and not to whoever holds the callback, so that a stopped executor
// destroys them while what they refer to still lives.
struct Waiter {
  virtual ~Waiter() = default;
};
using Waiters = std::list<std::unique_ptr<Waiter>>;
Waiters& WaitersOf(Executor& executor);

template <typename Handler>
struct HandlerWaiter final : Waiter {
  explicit HandlerWaiter(Handler h) : handler(std::move(h)) {}
  Handler handler;
};

// What AwaitCallback hands out. Touches the waiters only in tasks of the
// executor, which a stopped one refuses.
template <typename T, typename Handler>
class Callback {
 public:
  Callback(Executor& executor, Handler handler)
      : executor_(&executor), waiters_(&WaitersOf(executor)) {
    waiters_->push_back(
        std::make_unique<HandlerWaiter<Handler>>(std::move(handler)));
    waiter_ = std::prev(waiters_->end());
  }
  Callback(Callback&& other) noexcept
      : executor_(std::exchange(other.executor_, nullptr)),
        waiters_(other.waiters_),
        waiter_(other.waiter_) {}
  ~Callback() {
    if (executor_ == nullptr) return;
    executor_->Post(
        [waiters = waiters_, waiter = waiter_] { waiters->erase(waiter); });
  }

  // Through a task even on the same thread: the coroutine may not be resumed
  // before it is suspended.
  void operator()(T value) {
    std::exchange(executor_, nullptr)
        ->Post([waiters = waiters_, waiter = waiter_,
                value = std::move(value)]() mutable {
          std::unique_ptr<Waiter> taken = std::move(*waiter);
          waiters->erase(waiter);
          static_cast<HandlerWaiter<Handler>&>(*taken).handler(
              std::move(value));
        });
  }

 private:
  Executor* executor_;  // null once called or moved from
  Waiters* waiters_;
  Waiters::iterator waiter_;
};

}  // namespace coro_internal

// Waits for `start` to call its argument, once, from any thread; the
// awaiting coroutine goes on in a task of its own on `executor`. Where the
// argument is dropped without a call, the coroutine is destroyed, in a task of
// its own too. Once the executor is stopped, calling and dropping do nothing.
template <typename T>
Async<T> AwaitCallback(
    Executor& executor,
    absl::AnyInvocable<void(absl::AnyInvocable<void(T)>)> start) {
  auto initiate = [&executor](auto handler, auto begin) {
    begin(coro_internal::Callback<T, decltype(handler)>(executor,
                                                        std::move(handler)));
  };
  co_return co_await boost::asio::async_initiate<
      const boost::asio::use_awaitable_t<>, void(T)>(
      std::move(initiate), boost::asio::use_awaitable, std::move(start));
}

// Suspends the calling coroutine. Wakes on `executor`, which must be its own.
Async<void> Sleep(Executor& executor, absl::Duration delay);

// A queue with one reader, a coroutine. All calls are on one executor's
// thread. Unbounded: whoever pushes keeps to a bound of its own (a credit, a
// window), named where it is kept.
template <typename T>
class Mailbox {
 public:
  explicit Mailbox(Executor& executor) : executor_(executor) {}
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  ~Mailbox() { executor_.Cancel(timer_); }

  void Push(T value) {
    values_.push_back(std::move(value));
    Wake();
  }

  bool empty() const { return values_.empty(); }
  size_t size() const { return values_.size(); }

  // The oldest value, or nothing when `timeout` has passed without one.
  Async<std::optional<T>> Pop(
      absl::Duration timeout = absl::InfiniteDuration()) {
    if (values_.empty()) {
      absl::AnyInvocable<void(absl::AnyInvocable<void(bool)>)> start =
          [this, timeout](absl::AnyInvocable<void(bool)> wake) {
            wake_ = std::move(wake);
            timer_ = executor_.After(timeout, [this] {
              timer_ = 0;
              Wake();
            });
          };
      co_await AwaitCallback<bool>(executor_, std::move(start));
      executor_.Cancel(std::exchange(timer_, 0));
    }
    if (values_.empty()) co_return std::nullopt;
    std::optional<T> value(std::move(values_.front()));
    values_.pop_front();
    co_return value;
  }

 private:
  void Wake() {
    if (!wake_) return;
    absl::AnyInvocable<void(bool)> wake = std::move(wake_);
    wake_ = nullptr;
    std::move(wake)(true);
  }

  Executor& executor_;
  // No deque: an empty one holds half a KiB, and a worker's thousands of
  // attempts have several mailboxes each.
  std::list<T> values_;
  absl::AnyInvocable<void(bool)> wake_;
  Executor::TimerId timer_ = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_BASE_CORO_H_
