// Whom the curl transport trusts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/real_executor.h"
#include "net/curl_transport.h"
#include "tests/net/tls_server.h"
#include "tests/testing/coro_test.h"
#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

using testing::RunCoro;
using testing::StatusIs;

class CurlTlsTest : public ::testing::Test {
 protected:
  ~CurlTlsTest() override {
    executor_.Stop();
    std::filesystem::remove(ca_file_);
  }

  absl::StatusOr<HttpResponse> Fetch(const TlsServer& server,
                                     const CurlTransportOptions& options) {
    HttpRequest request;
    request.url = absl::StrCat("https://localhost:", server.port(), "/");
    std::unique_ptr<HttpTransport> transport;
    RunOn(executor_,
          [&] { transport = MakeCurlTransport(executor_, options); });
    absl::StatusOr<HttpResponse> response =
        RunCoro<absl::StatusOr<HttpResponse>>(
            executor_, [&] { return transport->Fetch(request); });
    RunOn(executor_, [&] { transport.reset(); });
    return response;
  }

  RealExecutor executor_{"test"};
  const std::string ca_file_ =
      ::testing::TempDir() + "midwatch-ca-" + RealRandom().Hex(8);
};

TEST_F(CurlTlsTest, TrustsTheGivenCertificate) {
  TlsServer server("localhost");
  CurlTransportOptions options;
  server.WriteCertificate(options.ca_file = ca_file_);
  absl::StatusOr<HttpResponse> response = Fetch(server, options);
  ASSERT_OK(response);
  EXPECT_EQ(response->body, "secret");
}

TEST_F(CurlTlsTest, AnUnknownIssuerGetsNoRequest) {
  TlsServer server("localhost");
  absl::StatusOr<HttpResponse> response = Fetch(server, {});
  EXPECT_THAT(response, StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_EQ(GetHttpExecuted(response.status()), HttpExecuted::kNo);
  EXPECT_EQ(server.requests(), 0);
}

TEST_F(CurlTlsTest, AnotherHostsCertificateGetsNoRequest) {
  TlsServer server("other.example");
  CurlTransportOptions options;
  server.WriteCertificate(options.ca_file = ca_file_);
  absl::StatusOr<HttpResponse> response = Fetch(server, options);
  EXPECT_THAT(response, StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_EQ(GetHttpExecuted(response.status()), HttpExecuted::kNo);
  EXPECT_EQ(server.requests(), 0);
}

}  // namespace
}  // namespace midwatch
