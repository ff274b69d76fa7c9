#include "base/coro.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/execution/context_as.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>
#include <cstdlib>
#include <exception>

#include "base/log.h"

namespace midwatch {
namespace coro_internal {
namespace {

namespace asio = boost::asio;

class WaiterService final : public asio::execution_context::service {
 public:
  using key_type = WaiterService;
  static asio::execution_context::id id;

  explicit WaiterService(asio::execution_context& context) : service(context) {}

  Waiters waiters;

 private:
  void shutdown() override {
    // A coroutine's destruction may reach this list again.
    Waiters dropped = std::move(waiters);
    waiters.clear();
  }
};

asio::execution_context::id WaiterService::id;

}  // namespace

Waiters& WaitersOf(Executor& executor) {
  asio::execution_context& context = asio::query(
      executor.asio(), asio::execution::context_as<asio::execution_context&>);
  return asio::use_service<WaiterService>(context).waiters;
}

}  // namespace coro_internal

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
