#include "tests/sim/hook_endpoint.h"

#include "base/coro.h"

namespace midwatch::sim {
namespace {

// Half of it before a message is taken.
constexpr absl::Duration kHookLatencyMax = absl::Seconds(10);

}  // namespace

class HookEndpoint::Transport final : public HttpTransport {
 public:
  Transport(HookEndpoint& endpoint, Executor& executor)
      : endpoint_(endpoint), executor_(executor) {}

  Async<absl::StatusOr<HttpResponse>> Fetch(HttpRequest request) override {
    HookEndpoint& to = endpoint_;
    const absl::Duration latency = kHookLatencyMax * to.random_.Fraction();
    const bool fails = to.random_.Fraction() < to.trouble;
    const bool takes = !fails || to.random_.Fraction() < 0.5;
    const bool is_heard = !fails || !takes;
    co_await Sleep(executor_, latency / 2);
    if (takes) {
      const std::string id(HeaderValue(request.headers, "webhook-id"));
      to.taken_[id].push_back(request.body.at(0).bytes);
      to.counts_.Add("hooks taken");
    }
    co_await Sleep(executor_, latency / 2);
    if (fails) to.counts_.Add("tries of hooks that failed");
    if (!is_heard) co_return absl::UnavailableError("the answer is lost");
    HttpResponse response;
    response.status = takes ? 200 : 500;
    co_return response;
  }

  Async<absl::StatusOr<HttpResponse>> Download(HttpRequest,
                                               std::string) override {
    co_return absl::UnimplementedError("no downloads here");
  }
  Async<absl::StatusOr<std::unique_ptr<HttpStream>>> OpenStream(
      HttpRequest) override {
    co_return absl::UnimplementedError("no streams here");
  }

 private:
  HookEndpoint& endpoint_;
  Executor& executor_;
};

std::unique_ptr<HttpTransport> HookEndpoint::MakeTransport(Executor& executor) {
  return std::make_unique<Transport>(*this, executor);
}

}  // namespace midwatch::sim
