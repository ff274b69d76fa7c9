// How the curl transport goes through a proxy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/real_executor.h"
#include "net/curl_transport.h"
#include "tests/net/tls_server.h"
#include "tests/testing/connect_proxy.h"
#include "tests/testing/coro_test.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace midwatch {
namespace {

using ::testing::AllOf;
using testing::ConnectProxy;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::RunCoro;
using ::testing::StartsWith;
using testing::StatusIs;

// A host that exists behind the proxy alone (RFC 2606).
constexpr char kHost[] = "remote.invalid";

class CurlProxyTest : public ::testing::Test {
 protected:
  CurlProxyTest() {
    for (const char* name : kVariables) unsetenv(name);
    server_.WriteCertificate(options_.ca_file = dir_ / "ca.pem");
  }
  ~CurlProxyTest() override {
    executor_.Stop();
    for (const char* name : kVariables) unsetenv(name);
  }

  absl::StatusOr<HttpResponse> Fetch() {
    HttpRequest request;
    request.url = absl::StrCat("https://", kHost, "/");
    std::unique_ptr<HttpTransport> transport;
    RunOn(executor_,
          [&] { transport = MakeCurlTransport(executor_, options_); });
    absl::StatusOr<HttpResponse> response =
        RunCoro<absl::StatusOr<HttpResponse>>(
            executor_, [&] { return transport->Fetch(request); });
    RunOn(executor_, [&] { transport.reset(); });
    return response;
  }

  std::string UrlOf(const ConnectProxy& proxy) const {
    return absl::StrCat("http://user:pass%20word@127.0.0.1:", proxy.port());
  }

  static constexpr const char* kVariables[] = {
      "https_proxy", "HTTPS_PROXY", "no_proxy",  "NO_PROXY",
      "all_proxy",   "ALL_PROXY",   "http_proxy"};
  testing::TempDir dir_;
  RealExecutor executor_{"test"};
  TlsServer server_{kHost};
  CurlTransportOptions options_;
};

TEST_F(CurlProxyTest, GoesThroughTheProxyThatWasNamed) {
  ConnectProxy proxy(server_.port());
  options_.proxy = UrlOf(proxy);
  ASSERT_OK(CheckCurlTransportOptions(options_));
  absl::StatusOr<HttpResponse> response = Fetch();
  ASSERT_OK(response);
  EXPECT_EQ(response->body, "secret");
  EXPECT_THAT(
      proxy.heads(),
      ElementsAre(AllOf(StartsWith("CONNECT remote.invalid:443 HTTP/1.1\r\n"),
                        // user:pass word
                        HasSubstr("Basic dXNlcjpwYXNzIHdvcmQ="))));
}

TEST_F(CurlProxyTest, GoesThroughTheProxyOfTheEnvironment) {
  ConnectProxy proxy(server_.port());
  setenv("HTTPS_PROXY", UrlOf(proxy).c_str(), 1);
  absl::StatusOr<HttpResponse> response = Fetch();
  ASSERT_OK(response);
  EXPECT_THAT(proxy.heads(), ElementsAre(StartsWith("CONNECT remote")));
}

TEST_F(CurlProxyTest, HostsOfNoProxyAreReachedWithout) {
  ConnectProxy proxy(server_.port());
  setenv("HTTPS_PROXY", UrlOf(proxy).c_str(), 1);
  setenv("NO_PROXY", "other.invalid,.invalid", 1);
  // The name does not resolve, so it cannot be reached.
  absl::StatusOr<HttpResponse> response = Fetch();
  EXPECT_THAT(response, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(IsHttpUnresolved(response.status()));
  EXPECT_THAT(proxy.heads(), IsEmpty());
}

TEST_F(CurlProxyTest, TheServerIsVerifiedBehindAProxyToo) {
  ConnectProxy proxy(server_.port());
  options_.proxy = UrlOf(proxy);
  options_.ca_file.clear();
  absl::StatusOr<HttpResponse> response = Fetch();
  EXPECT_THAT(response, StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_EQ(GetHttpExecuted(response.status()), HttpExecuted::kNo);
  EXPECT_EQ(server_.requests(), 0);
}

TEST_F(CurlProxyTest, AProxyThatRefusesIsUnavailableAndNoPasswordIsSaid) {
  ConnectProxy proxy(0);
  options_.proxy = UrlOf(proxy);
  absl::StatusOr<HttpResponse> response = Fetch();
  EXPECT_THAT(response, StatusIs(absl::StatusCode::kUnavailable,
                                 AllOf(HasSubstr("403"), Not(HasSubstr("pass")),
                                       Not(HasSubstr("user")))));
  EXPECT_EQ(GetHttpExecuted(response.status()), HttpExecuted::kNo);
}

TEST_F(CurlProxyTest, AProxyThatIsNotThereIsUnavailable) {
  options_.proxy = "http://user:pass@127.0.0.1:1";
  EXPECT_THAT(Fetch(),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("127.0.0.1"), Not(HasSubstr("pass")))));
}

TEST_F(CurlProxyTest, WhatIsWrongWithTheOptionsIsOneSentence) {
  std::ofstream(dir_ / "text") << "no certificate\n";
  struct {
    CurlTransportOptions options;
    const char* want;
  } cases[] = {
      {{.ca_file = dir_ / "none"}, "cannot read the CA file"},
      {{.ca_file = dir_ / "text"}, "does not begin with a certificate"},
      {{.ca_file = dir_.path()}, "the CA file"},
      {{.proxy = "socks5://user:pass@host"}, "no http or https URL"},
      {{.proxy = "http://user:pass@ho st:1"}, "no http or https URL"},
      {{.proxy = "user:pass"}, "no http or https URL"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(CheckCurlTransportOptions(c.options),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(c.want), Not(HasSubstr("pass")))));
  }
  EXPECT_OK(CheckCurlTransportOptions({}));
}

TEST(ShownProxyTest, HasNoCredentials) {
  EXPECT_EQ(ShownProxy("http://user:pass@host:3128"), "http://host:3128/");
  EXPECT_EQ(ShownProxy(""), "");
  EXPECT_EQ(ShownProxy("http://user:pass@ho st"), "(no URL)");
}

}  // namespace
}  // namespace midwatch
