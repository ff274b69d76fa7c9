// Running a coroutine from a test's own thread.
#ifndef MIDWATCH_TESTS_TESTING_CORO_TEST_H_
#define MIDWATCH_TESTS_TESTING_CORO_TEST_H_

#include <future>
#include <memory>
#include <utility>

#include "base/coro.h"
#include "base/executor.h"

namespace midwatch::testing {

// Runs the coroutine that `start()` makes on `executor` and returns its result.
// `start` is called on the executor's thread; captured references stay valid,
// since this waits.
template <typename T, typename Start>
T RunCoro(Executor& executor, Start start) {
  std::promise<T> result;
  auto body = [](Start& s, std::promise<T>& out) -> Async<void> {
    out.set_value(co_await s());
  };
  executor.Post([&] { Spawn(executor, body(start, result)); });
  return result.get_future().get();
}

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_TESTING_CORO_TEST_H_
