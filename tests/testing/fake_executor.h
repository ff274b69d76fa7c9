// Executors and clocks on virtual time: nothing runs but inside RunUntilIdle
// and Advance, in an order that depends on nothing but the program.
//
//   VirtualTime time;
//   FakeClock clock(time);
//   FakeExecutor node(time);          // as many nodes as wanted
//   node.Post(...); time.RunUntilIdle();
//   time.Advance(absl::Seconds(30));  // runs what falls due on the way
#ifndef MIDWATCH_TESTS_TESTING_FAKE_EXECUTOR_H_
#define MIDWATCH_TESTS_TESTING_FAKE_EXECUTOR_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/coro.h"
#include "base/executor.h"

namespace midwatch::testing {

class FakeExecutor;

// Thrown by a task of a node where it ends its process itself: as with Stop(),
// nothing of the node runs any more.
struct NodeEnded {};

// One thread only, here and below.
class VirtualTime {
 public:
  // Since the beginning.
  absl::Duration Elapsed() const { return elapsed_; }

  // Runs posted tasks of all executors, one each in turn, until there is none.
  // Timers that are not due stay.
  void RunUntilIdle();

  // Moves time forward, running each timer at its time and all that follows
  // from it before the next.
  void Advance(absl::Duration delay);

  // Called between two tasks, whosever they are: a moment at which a process
  // may die and whatever always holds must hold. It may stop executors and
  // change the world, but not advance the time.
  std::function<void()> after_task;

  // Advances until `done` or, at the latest, for `limit`; returns whether it is
  // done.
  bool AdvanceUntil(absl::FunctionRef<bool()> done, absl::Duration limit);

 private:
  friend class FakeExecutor;
  struct Timer {
    FakeExecutor* executor;
    Executor::TimerId id;
    Executor::Task task;
  };
  // Runs the earliest timer not after `until`; false where there is none.
  bool FireNext(absl::Duration until);

  absl::Duration elapsed_;
  uint64_t next_id_ = 1;
  // Timers of one moment run in the order in which they were set.
  std::map<std::pair<absl::Duration, uint64_t>, Timer> timers_;
  std::vector<FakeExecutor*> executors_;
};

class FakeExecutor final : public Executor {
 public:
  explicit FakeExecutor(VirtualTime& time);
  ~FakeExecutor() override;
  FakeExecutor(const FakeExecutor&) = delete;
  FakeExecutor& operator=(const FakeExecutor&) = delete;

  void Post(Task task) override;
  TimerId After(absl::Duration delay, Task task) override;
  void Cancel(TimerId timer) override;
  boost::asio::any_io_executor asio() override;

  // As when the process stands still (stopped, swapped out) and goes on later:
  // nothing of it runs, timers and messages pile up.
  void SetStalled(bool stalled) { stalled_ = stalled; }

  // As when the process is killed: drops tasks, timers and coroutines, and
  // ignores whatever is posted later. Not from one of its own tasks.
  void Stop();
  bool stopped() const { return impl_ == nullptr; }

 private:
  friend class VirtualTime;
  // Runs one task; false where none waits.
  bool RunOne();

  VirtualTime& time_;
  std::map<TimerId, std::pair<absl::Duration, uint64_t>> timers_;
  bool stalled_ = false;
  struct Impl;
  std::unique_ptr<Impl> impl_;  // null once stopped
};

class FakeClock final : public Clock {
 public:
  explicit FakeClock(const VirtualTime& time) : time_(time) {}
  absl::Time Now() const override {
    return absl::FromUnixSeconds(1'800'000'000) + time_.Elapsed() + wall_step_;
  }
  absl::Duration Steady() const override {
    return time_.Elapsed() - stood_still_;
  }
  absl::Duration Boot() const override { return time_.Elapsed() + asleep_; }

  // The wall clock is set.
  void StepWall(absl::Duration by) { wall_step_ += by; }
  // From its right time.
  absl::Duration wall_step() const { return wall_step_; }
  // The machine slept, which nobody else did: its steady clock stood still.
  void StandStill(absl::Duration by) { stood_still_ += by; }
  // The machine slept for so long: only the boot-time and wall clocks went on.
  void Suspend(absl::Duration by) {
    asleep_ += by;
    wall_step_ += by;
  }

 private:
  const VirtualTime& time_;
  absl::Duration wall_step_;
  absl::Duration asleep_;
  absl::Duration stood_still_;
};

// Runs the coroutine on `executor` until it has returned, for at most `limit`
// of virtual time; throws where it has not by then, which fails the test.
template <typename T>
T RunFake(VirtualTime& time, Executor& executor, Async<T> coroutine,
          absl::Duration limit = absl::Hours(24)) {
  std::optional<T> result;
  auto body = [](Async<T> inner, std::optional<T>& out) -> Async<void> {
    out.emplace(co_await std::move(inner));
  };
  Spawn(executor, body(std::move(coroutine), result));
  time.AdvanceUntil([&] { return result.has_value(); }, limit);
  return std::move(result).value();
}

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_TESTING_FAKE_EXECUTOR_H_
