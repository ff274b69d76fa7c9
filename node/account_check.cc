#include "node/account_check.h"

#include <future>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agents/http_errors.h"
#include "base/coro.h"
#include "base/real_clock.h"
#include "base/real_executor.h"
#include "net/curl_transport.h"

namespace midwatch {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(10);

using Answer = absl::StatusOr<HttpResponse>;

Async<void> Ask(HttpTransport& transport, HttpRequest request,
                std::promise<Answer>& answer) {
  answer.set_value(co_await transport.Fetch(std::move(request)));
}

HttpRequest ListEnvironments(const AccountOptions& account) {
  HttpRequest request;
  request.url = absl::StrCat(absl::StripSuffix(account.base_url, "/"),
                             "/v1/environments?limit=1");
  request.headers = {{"x-api-key", account.api_key},
                     {"anthropic-version", "2023-06-01"},
                     {"anthropic-beta", "managed-agents-2026-04-01"},
                     {"accept", "application/json"}};
  request.timeout = kTimeout;
  return request;
}

}  // namespace

absl::Status CheckAccount(const AccountOptions& account) {
  RealExecutor executor("account-check");
  std::unique_ptr<HttpTransport> transport;
  std::promise<Answer> promise;
  executor.Post([&] {
    transport = MakeCurlTransport(executor);
    Spawn(executor, Ask(*transport, ListEnvironments(account), promise));
  });
  const Answer answer = promise.get_future().get();
  executor.Stop();

  const std::string& url = account.base_url;
  if (!answer.ok()) {
    return absl::Status(
        answer.status().code(),
        absl::StrCat("cannot reach ", url, ": ", answer.status().message()));
  }
  const ApiError error =
      ErrorOfAnswer("list environments", *answer, RealClock().Now());
  switch (answer->status) {
    case 401:
    case 403:
      return absl::UnauthenticatedError(
          absl::StrCat(url, " refuses the key: ", error.message));
    case 404:
      return absl::NotFoundError(absl::StrCat(
          url, " does not serve the Managed Agents API: ", error.message));
    default:
      return absl::OkStatus();
  }
}

}  // namespace midwatch
