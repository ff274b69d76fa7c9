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

absl::Status Judge(const Answer& answer, const AccountOptions& account,
                   absl::Time now) {
  const std::string& url = account.base_url;
  if (!answer.ok()) {
    return absl::Status(
        answer.status().code(),
        absl::StrCat("cannot reach ", url,
                     account.proxy.empty() ? "" : " through the proxy ",
                     ShownProxy(account.proxy), ": ",
                     answer.status().message()));
  }
  const ApiError error = ErrorOfAnswer("list environments", *answer, now);
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

std::optional<absl::Time> DateOf(const HttpResponse& response) {
  absl::Time date;
  if (!absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT",
                       HeaderValue(response.headers, "date"), &date, nullptr)) {
    return std::nullopt;
  }
  return date;
}

}  // namespace

CurlTransportOptions WayTo(const AccountOptions& account) {
  CurlTransportOptions way;
  way.proxy = account.proxy;
  way.ca_file = account.ca_file;
  return way;
}

AccountAnswer AskAccount(const AccountOptions& account) {
  const CurlTransportOptions way = WayTo(account);
  AccountAnswer result;
  result.our_time = RealClock().Now();
  result.status = CheckCurlTransportOptions(way);
  if (!result.status.ok()) return result;
  RealExecutor executor("account-check");
  std::unique_ptr<HttpTransport> transport;
  std::promise<Answer> promise;
  executor.Post([&] {
    transport = MakeCurlTransport(executor, way);
    Spawn(executor, Ask(*transport, ListEnvironments(account), promise));
  });
  const Answer answer = promise.get_future().get();
  executor.Stop();

  result.our_time = RealClock().Now();
  result.status = Judge(answer, account, result.our_time);
  if (answer.ok()) result.service_time = DateOf(*answer);
  return result;
}

absl::Status CheckAccount(const AccountOptions& account) {
  return AskAccount(account).status;
}

}  // namespace midwatch
