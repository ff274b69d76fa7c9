// Executor, coroutines and the blocking pool, on real threads.
#include "base/coro.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/blocking_pool.h"
#include "base/real_clock.h"
#include "base/real_executor.h"
#include "base/status_macros.h"
#include "tests/testing/coro_test.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using testing::RunCoro;

// Counts itself out when it goes.
struct Guard {
  explicit Guard(std::atomic<int>& l) : left(&l) { ++*left; }
  Guard(Guard&& other) noexcept : left(std::exchange(other.left, nullptr)) {}
  ~Guard() {
    if (left != nullptr) --*left;
  }
  std::atomic<int>* left;
};

TEST(RealExecutorTest, TasksRunInOrderOnItsThread) {
  RealExecutor executor("test");
  std::vector<int> order;
  auto thread = std::this_thread::get_id();
  for (int i = 0; i < 100; ++i) {
    executor.Post([&order, i] { order.push_back(i); });
  }
  RunOn(executor, [&] {
    thread = std::this_thread::get_id();
    executor.Post([&order] { order.push_back(100); });
    order.push_back(-1);  // never inside Post
  });
  RunOn(executor, [&] { EXPECT_EQ(thread, std::this_thread::get_id()); });
  // Once more: between threads there is no order.
  RunOn(executor, [] {});
  EXPECT_NE(thread, std::this_thread::get_id());
  ASSERT_EQ(order.size(), 102u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
  EXPECT_EQ(order[100], -1);
  EXPECT_EQ(order[101], 100);
}

TEST(RealExecutorTest, TimersRunByTheirDelay) {
  RealExecutor executor("test");
  std::vector<int> order;
  std::promise<void> done;
  absl::Duration start = RealClock().Steady();
  RunOn(executor, [&] {
    executor.After(absl::Milliseconds(20), [&] {
      order.push_back(3);
      done.set_value();
    });
    executor.After(absl::Milliseconds(10), [&] { order.push_back(2); });
    executor.After(-absl::InfiniteDuration(), [&] { order.push_back(1); });
    executor.After(absl::InfiniteDuration(), [&] { order.push_back(9); });
    Executor::TimerId dropped =
        executor.After(absl::Milliseconds(5), [&] { order.push_back(8); });
    EXPECT_NE(dropped, 0u);
    executor.Cancel(dropped);
    executor.Cancel(dropped);
    executor.Cancel(0);
  });
  done.get_future().wait();
  EXPECT_GE(RealClock().Steady() - start, absl::Milliseconds(20));
  EXPECT_THAT(order, ElementsAre(1, 2, 3));
}

TEST(RealExecutorTest, ATimerThatIsDueCanStillBeCancelled) {
  RealExecutor executor("test");
  Executor::TimerId second = 0;
  bool first_ran = false, second_ran = false;
  RunOn(executor, [&] {
    executor.After(absl::ZeroDuration(), [&] {
      first_ran = true;
      executor.Cancel(second);
    });
    second = executor.After(absl::ZeroDuration(), [&] { second_ran = true; });
    absl::Duration start = RealClock().Steady();
    while (RealClock().Steady() - start < absl::Milliseconds(1)) {
    }
  });
  bool over = false;
  while (!over) RunOn(executor, [&] { over = first_ran; });
  RunOn(executor, [] {});
  EXPECT_FALSE(second_ran);
}

TEST(RealExecutorTest, StopDropsWhatHasNotRun) {
  std::atomic<int> alive{0};
  RealExecutor executor("test");
  std::promise<void> entered, leave;
  executor.Post([&] {
    entered.set_value();
    leave.get_future().wait();
  });
  entered.get_future().wait();
  executor.Post([guard = Guard(alive)] {});
  Thread stopper("stop", [&] { executor.Stop(); });
  leave.set_value();
  stopper.Join();
  EXPECT_EQ(alive, 0);
  // Late callers find it deaf.
  bool ran = false;
  executor.Post([guard = Guard(alive), &ran] { ran = true; });
  executor.After(absl::ZeroDuration(), [guard = Guard(alive)] {});
  executor.Cancel(1);
  executor.Stop();
  EXPECT_EQ(alive, 0);
  EXPECT_FALSE(ran);
}

Async<int> Add(Executor& executor, int a, int b) {
  co_await Sleep(executor, absl::Milliseconds(1));
  co_return a + b;
}

Async<absl::StatusOr<int>> Half(int n) {
  if (n % 2 != 0) co_return absl::InvalidArgumentError("odd");
  co_return n / 2;
}

Async<absl::StatusOr<int>> Quarter(int n) {
  CO_ASSIGN_OR_RETURN(int half, co_await Half(n));
  CO_ASSIGN_OR_RETURN(int quarter, co_await Half(half));
  co_return quarter;
}

TEST(CoroTest, AwaitsAndReturns) {
  RealExecutor executor("test");
  EXPECT_EQ(RunCoro<int>(executor, [&] { return Add(executor, 2, 3); }), 5);
  EXPECT_EQ(RunCoro<absl::StatusOr<int>>(executor, [] { return Quarter(12); })
                .value(),
            3);
  EXPECT_EQ(RunCoro<absl::StatusOr<int>>(executor, [] { return Quarter(6); })
                .status(),
            absl::InvalidArgumentError("odd"));
}

TEST(AwaitCallbackTest, GoesOnOnItsExecutorWhoeverCalls) {
  RealExecutor executor("test");
  Thread caller;
  auto body = [](RealExecutor& e, Thread& thread) -> Async<std::string> {
    auto mine = std::this_thread::get_id();
    absl::AnyInvocable<void(absl::AnyInvocable<void(std::string)>)> start =
        [&thread](absl::AnyInvocable<void(std::string)> done) {
          thread = Thread("call", [done = std::move(done)]() mutable {
            done("from afar");
          });
        };
    std::string value =
        co_await AwaitCallback<std::string>(e, std::move(start));
    EXPECT_EQ(mine, std::this_thread::get_id());
    // At once, before AwaitCallback has returned.
    absl::AnyInvocable<void(absl::AnyInvocable<void(std::string)>)> now =
        [](absl::AnyInvocable<void(std::string)> done) { done(", at once"); };
    value += co_await AwaitCallback<std::string>(e, std::move(now));
    co_return value;
  };
  EXPECT_EQ(
      RunCoro<std::string>(executor, [&] { return body(executor, caller); }),
      "from afar, at once");
  caller.Join();
}

using Wake = absl::AnyInvocable<void(int)>;

// Waits for `wake` with something to destroy.
Async<void> WaitForever(Executor& executor, std::atomic<int>& alive, Wake& wake,
                        std::atomic<bool>& resumed) {
  Guard guard(alive);
  absl::AnyInvocable<void(Wake)> start = [&wake](Wake w) {
    wake = std::move(w);
  };
  co_await AwaitCallback<int>(executor, std::move(start));
  resumed = true;
}

TEST(AwaitCallbackTest, ADroppedCallbackDestroysTheCoroutine) {
  RealExecutor executor("test");
  std::atomic<int> alive{0};
  std::atomic<bool> resumed{false};
  Wake wake;
  RunOn(executor,
        [&] { Spawn(executor, WaitForever(executor, alive, wake, resumed)); });
  while (RunOn(executor, [] {}), alive == 0) {
  }
  RunOn(executor, [&] { EXPECT_TRUE(wake != nullptr); });
  wake = nullptr;  // from another thread
  while (RunOn(executor, [] {}), alive != 0) {
  }
  EXPECT_FALSE(resumed);
}

// The callback is kept where no stopped executor can reach it, as by a thread
// of gRPC.
TEST(AwaitCallbackTest, StopDestroysTheCoroutineAndDisarmsTheCallback) {
  std::atomic<int> alive{0};
  std::atomic<bool> resumed{false};
  Wake called, dropped;
  RealExecutor executor("test");
  RunOn(executor, [&] {
    Spawn(executor, WaitForever(executor, alive, called, resumed));
    Spawn(executor, WaitForever(executor, alive, dropped, resumed));
  });
  while (RunOn(executor, [] {}), alive < 2) {
  }
  executor.Stop();
  EXPECT_EQ(alive, 0);
  called(1);
  dropped = nullptr;
  EXPECT_FALSE(resumed);
}

TEST(SpawnTest, StopDestroysCoroutinesWhereTheyWait) {
  std::atomic<int> alive{0};
  RealExecutor executor("test");
  Mailbox<int> mailbox(executor);
  auto sleeper = [](Executor& e, std::atomic<int>& counted) -> Async<void> {
    Guard guard(counted);
    co_await Sleep(e, absl::Hours(1));
  };
  auto reader = [](Mailbox<int>& m, std::atomic<int>& counted) -> Async<void> {
    Guard guard(counted);
    co_await m.Pop(absl::Hours(1));
  };
  auto idler = [](Guard) -> Async<void> { co_return; };
  RunOn(executor, [&] {
    Spawn(executor, sleeper(executor, alive));
    Spawn(executor, reader(mailbox, alive));
  });
  while (RunOn(executor, [] {}), alive < 2) {
  }
  // Perhaps not even begun.
  executor.Post([&] { Spawn(executor, idler(Guard(alive))); });
  executor.Stop();
  EXPECT_EQ(alive, 0);
}

TEST(MailboxTest, HandsOutInOrder) {
  RealExecutor executor("test");
  auto body = [](Executor& e) -> Async<std::vector<int>> {
    Mailbox<int> mailbox(e);
    std::vector<int> got;
    mailbox.Push(1);
    mailbox.Push(2);
    e.After(absl::Milliseconds(1), [&mailbox] {
      mailbox.Push(3);
      mailbox.Push(4);
    });
    EXPECT_EQ(mailbox.size(), 2u);
    for (int i = 0; i < 4; ++i) got.push_back(*co_await mailbox.Pop());
    EXPECT_TRUE(mailbox.empty());
    co_return got;
  };
  EXPECT_THAT(
      RunCoro<std::vector<int>>(executor, [&] { return body(executor); }),
      ElementsAre(1, 2, 3, 4));
}

TEST(MailboxTest, TimesOutWithNothing) {
  RealExecutor executor("test");
  auto body = [](Executor& e) -> Async<std::optional<int>> {
    Mailbox<int> mailbox(e);
    absl::Duration start = RealClock().Steady();
    EXPECT_EQ(co_await mailbox.Pop(absl::Milliseconds(10)), std::nullopt);
    EXPECT_GE(RealClock().Steady() - start, absl::Milliseconds(10));
    EXPECT_EQ(co_await mailbox.Pop(absl::ZeroDuration()), std::nullopt);
    // The timer of a Pop that got its value does not end a later one.
    e.After(absl::Milliseconds(1), [&mailbox] { mailbox.Push(1); });
    EXPECT_EQ(co_await mailbox.Pop(absl::Milliseconds(30)), 1);
    e.After(absl::Milliseconds(60), [&mailbox] { mailbox.Push(2); });
    co_return co_await mailbox.Pop(absl::Seconds(60));
  };
  EXPECT_EQ(
      RunCoro<std::optional<int>>(executor, [&] { return body(executor); }), 2);
}

TEST(MailboxTest, DestroyingItDestroysItsReader) {
  RealExecutor executor("test");
  std::atomic<int> alive{0};
  auto mailbox = std::make_unique<Mailbox<int>>(executor);
  auto reader = [](Mailbox<int>& m, std::atomic<int>& counted) -> Async<void> {
    Guard guard(counted);
    co_await m.Pop();
    ADD_FAILURE() << "resumed";
  };
  RunOn(executor, [&] { Spawn(executor, reader(*mailbox, alive)); });
  while (RunOn(executor, [] {}), alive == 0) {
  }
  RunOn(executor, [&] { mailbox.reset(); });
  while (RunOn(executor, [] {}), alive != 0) {
  }
}

TEST(BlockingPoolTest, RunsBesideTheExecutor) {
  RealExecutor executor("test");
  ThreadBlockingPool pool("test-pool", 2);
  auto body = [](Executor& e, BlockingPool& p) -> Async<int> {
    auto mine = std::this_thread::get_id();
    absl::AnyInvocable<int()> work = [mine] {
      return mine == std::this_thread::get_id() ? 0 : 7;
    };
    int value = co_await RunBlocking<int>(p, e, std::move(work));
    EXPECT_EQ(mine, std::this_thread::get_id());
    co_return value;
  };
  EXPECT_EQ(RunCoro<int>(executor, [&] { return body(executor, pool); }), 7);
  InlineBlockingPool inline_pool;
  EXPECT_EQ(RunCoro<int>(executor, [&] { return body(executor, inline_pool); }),
            0);
}

// The pool's thread hands its result to an executor that is gone.
TEST(BlockingPoolTest, StopWhileWorkRuns) {
  std::atomic<int> alive{0};
  // Outlive the pool's thread, which may come to wait only after it was told.
  std::promise<void> entered, leave;
  RealExecutor executor("test");
  ThreadBlockingPool pool("test-pool", 1);
  auto body = [](Executor& e, BlockingPool& p, [[maybe_unused]] Guard guard,
                 std::promise<void>& in,
                 std::promise<void>& out) -> Async<void> {
    absl::AnyInvocable<int()> work = [&in, &out] {
      in.set_value();
      out.get_future().wait();
      return 1;
    };
    co_await RunBlocking<int>(p, e, std::move(work));
    ADD_FAILURE() << "resumed";
  };
  RunOn(executor, [&] {
    Spawn(executor, body(executor, pool, Guard(alive), entered, leave));
  });
  entered.get_future().wait();
  executor.Stop();
  EXPECT_EQ(alive, 0);
  leave.set_value();
}

TEST(BlockingPoolTest, DropsWhatWaitsWhenItGoes) {
  std::atomic<int> alive{0};
  std::promise<void> entered, leave;
  bool ran = false;
  Thread releaser;
  {
    ThreadBlockingPool pool("test-pool", 1);
    pool.Run([&] {
      entered.set_value();
      leave.get_future().wait();
    });
    entered.get_future().wait();
    pool.Run([guard = Guard(alive), &ran] { ran = true; });
    releaser = Thread("release", [&] { leave.set_value(); });
  }
  releaser.Join();
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace midwatch
