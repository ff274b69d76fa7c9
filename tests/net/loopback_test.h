// An HttpServer with a handler of the test's own and a curl transport, each on
// its own thread.
#ifndef MIDWATCH_TESTS_NET_LOOPBACK_TEST_H_
#define MIDWATCH_TESTS_NET_LOOPBACK_TEST_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "base/real_executor.h"
#include "net/curl_transport.h"
#include "net/http_server.h"
#include "tests/testing/coro_test.h"
#include "tests/testing/status_matchers.h"

namespace midwatch::testing {

class LoopbackTest : public ::testing::Test {
 protected:
  LoopbackTest() {
    std::filesystem::create_directories(dir_ / "spool");
    options_.spool_dir = (dir_ / "spool").string();
    RunOn(client_, [this] { transport_ = MakeCurlTransport(client_); });
  }

  ~LoopbackTest() override {
    // As a process ends: the executors first, the objects after them.
    client_.Stop();
    transport_.reset();
    server_thread_.Stop();
    server_.reset();
    std::filesystem::remove_all(dir_);
  }

  // With `options_`; errors are answered "STATUS MESSAGE".
  void Serve(HttpServer::Handler handler) {
    RunOn(server_thread_, [&] {
      absl::StatusOr<std::unique_ptr<HttpServer>> server =
          HttpServer::Listen(server_thread_, options_, std::move(handler),
                             [](int status, std::string message) {
                               return absl::StrCat(status, " ", message);
                             });
      ASSERT_OK(server);
      server_ = *std::move(server);
    });
  }

  std::string Url(const std::string& target) const {
    return absl::StrCat("http://127.0.0.1:", server_->port(), target);
  }

  HttpRequest Request(const std::string& method,
                      const std::string& target) const {
    HttpRequest request;
    request.method = method;
    request.url = Url(target);
    request.timeout = absl::Seconds(30);
    return request;
  }

  absl::StatusOr<HttpResponse> Fetch(const HttpRequest& request) {
    return RunCoro<absl::StatusOr<HttpResponse>>(
        client_, [&] { return transport_->Fetch(request); });
  }
  absl::StatusOr<HttpResponse> Get(const std::string& target) {
    return Fetch(Request("GET", target));
  }
  absl::StatusOr<HttpResponse> Download(const HttpRequest& request,
                                        const std::string& path) {
    return RunCoro<absl::StatusOr<HttpResponse>>(
        client_, [&] { return transport_->Download(request, path); });
  }
  absl::StatusOr<std::unique_ptr<HttpStream>> OpenStream(
      const HttpRequest& request) {
    return RunCoro<absl::StatusOr<std::unique_ptr<HttpStream>>>(
        client_, [&] { return transport_->OpenStream(request); });
  }
  absl::StatusOr<std::string> Read(HttpStream& stream) {
    return RunCoro<absl::StatusOr<std::string>>(client_,
                                                [&] { return stream.Read(); });
  }
  // A stream is destroyed on its executor's thread.
  void Drop(std::unique_ptr<HttpStream> stream) {
    RunOn(client_, [&] { stream.reset(); });
  }

  std::string WriteFile(const std::string& name, const std::string& bytes) {
    std::string path = (dir_ / name).string();
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
  static std::string ReadFile(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }

  const std::filesystem::path dir_ =
      std::filesystem::path(::testing::TempDir()) /
      ("midwatch-net-" + RealRandom().Hex(8));
  HttpServerOptions options_;
  RealExecutor server_thread_{"test-server"};
  RealExecutor client_{"test-client"};
  std::unique_ptr<HttpServer> server_;
  std::unique_ptr<HttpTransport> transport_;
};

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_NET_LOOPBACK_TEST_H_
