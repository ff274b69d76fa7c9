#include "base/coro.h"

#include <boost/asio/co_spawn.hpp>
#include <cstdlib>
#include <exception>

#include "base/log.h"

namespace midwatch {

void Spawn(Executor& executor, Async<void> coroutine) {
  boost::asio::co_spawn(
      executor.asio(), std::move(coroutine), [](std::exception_ptr thrown) {
        if (!thrown) return;
        try {
          std::rethrow_exception(thrown);
        } catch (const std::exception& e) {
          LogError("a coroutine threw; stopping", {{"what", e.what()}});
        }
        // Failures travel as Status, so this is a bug in the program, and what
        // the coroutine left half done is unknown.
        std::abort();
      });
}

Async<void> Sleep(Executor& executor, absl::Duration delay) {
  absl::AnyInvocable<void(absl::AnyInvocable<void(bool)>)> start =
      [&executor, delay](absl::AnyInvocable<void(bool)> wake) {
        executor.After(delay,
                       [wake = std::move(wake)]() mutable { wake(true); });
      };
  co_await AwaitCallback<bool>(executor, std::move(start));
}

}  // namespace midwatch
