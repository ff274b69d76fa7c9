#include "net/http_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <future>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/coro.h"
#include "net/http_target.h"
#include "tests/net/loopback_test.h"

namespace midwatch {
namespace {

using ::testing::HasSubstr;
using testing::IsOk;
using testing::LoopbackTest;
using ::testing::StartsWith;
using testing::StatusIs;

// A client that says what no well-behaved one would.
class RawClient {
 public:
  explicit RawClient(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    timeval patience{30, 0};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&address),
                         sizeof address) == 0;
  }
  ~RawClient() { close(fd_); }

  bool connected() const { return connected_; }
  bool Send(const std::string& bytes) {
    return send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
           static_cast<ssize_t>(bytes.size());
  }
  // All that came once `text` is in it, or the connection or patience ended.
  std::string ReadUntil(const std::string& text) {
    while (!absl::StrContains(read_, text) && ReadSome()) {
    }
    return std::exchange(read_, std::string());
  }
  std::string ReadToEnd() {
    while (ReadSome()) {
    }
    return std::exchange(read_, std::string());
  }

 private:
  bool ReadSome() {
    char bytes[4096];
    ssize_t n = recv(fd_, bytes, sizeof bytes, 0);
    if (n > 0) read_.append(bytes, static_cast<size_t>(n));
    return n > 0;
  }

  int fd_;
  bool connected_ = false;
  std::string read_;
};

class HttpServerTest : public LoopbackTest {
 protected:
  ~HttpServerTest() override { server_thread_.Stop(); }

  void Start() {
    Serve([this](ServerRequest request, ServerResponder& reply) {
      return Handle(std::move(request), reply);
    });
  }

  Async<void> Handle(ServerRequest request, ServerResponder& reply) {
    handled_.push_back(request.path);
    if (request.path == "/echo") {
      std::string body =
          request.body_path.empty()
              ? request.body
              : absl::StrCat("spooled:", ReadFile(request.body_path));
      (void)co_await reply.Send(200, {}, std::move(body));
    }
    if (request.path == "/stream") {
      (void)co_await reply.StartStream(200, {});
      std::string piece = "0123456789abcdef!";
      (void)co_await reply.Write(std::move(piece));
      std::string none;
      (void)co_await reply.Write(std::move(none));
      std::string last = "end";
      (void)co_await reply.Write(std::move(last));
    }
    if (request.path == "/twice") co_await Twice(reply);
    if (request.path == "/keep") {
      EXPECT_EQ(rename(request.body_path.c_str(), (dir_ / "kept").c_str()), 0);
      (void)co_await reply.Send(204, {}, std::string());
    }
    if (request.path == "/no-file") {
      absl::Status status = co_await reply.SendFile(200, {}, "/nowhere");
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound));
      (void)co_await reply.Send(404, {}, std::string());
    }
    if (request.path == "/split") {
      HttpHeaders headers = {{"X-A", "1\r\nX-B: 2"}};
      (void)co_await reply.Send(200, std::move(headers), std::string());
    }
  }

  Async<void> Twice(ServerResponder& reply) {
    std::string first = "first";
    std::string early = "x";
    absl::Status status = co_await reply.Write(std::move(early));
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal));
    EXPECT_OK(co_await reply.Send(200, {}, std::move(first)));
    std::string second = "second";
    status = co_await reply.Send(200, {}, std::move(second));
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal));
    status = co_await reply.StartStream(200, {});
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInternal));
    reply.Abort();
    status = co_await reply.Send(200, {}, std::string());
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
  }

  std::vector<std::string> handled_;  // read once server_thread_ is stopped
};

TEST_F(HttpServerTest, ServesManyRequestsOnOneConnection) {
  Start();
  RawClient client(server_->port());
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.Send(absl::StrCat(
        "POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nbody", i)));
    EXPECT_EQ(
        client.ReadUntil(absl::StrCat("body", i)),
        absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody", i));
  }
}

TEST_F(HttpServerTest, ClosesWhereTheClientAsksForIt) {
  Start();
  for (const char* head : {"GET /echo HTTP/1.1\r\nConnection: close\r\n\r\n",
                           "GET /echo HTTP/1.0\r\n\r\n"}) {
    RawClient client(server_->port());
    ASSERT_TRUE(client.Send(head));
    EXPECT_EQ(client.ReadToEnd(),
              "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: "
              "close\r\n\r\n");
  }
}

TEST_F(HttpServerTest, StreamsInChunks) {
  Start();
  RawClient client(server_->port());
  ASSERT_TRUE(client.Send("GET /stream HTTP/1.1\r\n\r\n"));
  EXPECT_EQ(client.ReadUntil("\r\n0\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            "11\r\n0123456789abcdef!\r\n3\r\nend\r\n0\r\n\r\n");
  RawClient old(server_->port());
  ASSERT_TRUE(old.Send("GET /stream HTTP/1.0\r\n\r\n"));
  EXPECT_EQ(old.ReadToEnd(),
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
            "0123456789abcdef!end");
}

TEST_F(HttpServerTest, AsksForABodyThatWaits) {
  Start();
  RawClient client(server_->port());
  ASSERT_TRUE(
      client.Send("POST /echo HTTP/1.1\r\nExpect: 100-continue\r\n"
                  "Content-Length: 4\r\n\r\n"));
  EXPECT_EQ(client.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  ASSERT_TRUE(client.Send("body"));
  EXPECT_THAT(client.ReadUntil("body"), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_F(HttpServerTest, RefusesAWaitingBodyThatIsTooLarge) {
  Start();
  RawClient client(server_->port());
  ASSERT_TRUE(
      client.Send("POST /echo HTTP/1.1\r\nExpect: 100-continue\r\n"
                  "Content-Length: 40000000\r\n\r\n"));
  EXPECT_THAT(client.ReadUntil("bytes"), StartsWith("HTTP/1.1 413 "));
}

TEST_F(HttpServerTest, SpoolsWhatIsLargerThanTheBound) {
  options_.body_memory_bytes_max = 10;
  Start();
  for (int size : {10, 11}) {
    HttpRequest request = Request("POST", "/echo");
    request.body = {{std::string(static_cast<size_t>(size), 'x'), ""}};
    absl::StatusOr<HttpResponse> response = Fetch(request);
    ASSERT_OK(response);
    EXPECT_EQ(response->body,
              size == 10 ? "xxxxxxxxxx" : "spooled:xxxxxxxxxxx");
  }
  // Chunks are counted as they come.
  RawClient client(server_->port());
  ASSERT_TRUE(
      client.Send("POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "8\r\n01234567\r\n3\r\n89a\r\n0\r\n\r\n"));
  EXPECT_THAT(client.ReadUntil("spooled:0123456789a"),
              HasSubstr("spooled:0123456789a"));
  HttpRequest request = Request("POST", "/keep");
  request.body = {{"keep this very file", ""}};
  ASSERT_OK(Fetch(request));
  EXPECT_EQ(ReadFile((dir_ / "kept").string()), "keep this very file");
  ASSERT_OK(Get("/echo"));
  EXPECT_TRUE(std::filesystem::is_empty(options_.spool_dir));
}

TEST_F(HttpServerTest, RefusesBodiesByMethodAndPath) {
  options_.body_bytes_max = [](const std::string& method,
                               const std::string& path) -> int64_t {
    EXPECT_EQ(method, "POST");
    return path == "/echo" ? 100000 : 10;
  };
  Start();
  HttpRequest request = Request("POST", "/other");
  request.body = {{"0123456789a", ""}};
  absl::StatusOr<HttpResponse> response = Fetch(request);
  ASSERT_OK(response);
  EXPECT_EQ(response->status, 413);
  EXPECT_EQ(response->body, "413 the request's body is larger than 10 bytes");

  request = Request("POST", "/echo");
  request.body = {{std::string(100000, 'x'), ""}};
  ASSERT_OK(Fetch(request));
  // Far more than the sockets hold: the client sees the answer while it sends.
  request.body = {{std::string(30 << 20, 'x'), ""}};
  response = Fetch(request);
  ASSERT_OK(response);
  EXPECT_EQ(response->status, 413);

  RawClient client(server_->port());
  ASSERT_TRUE(
      client.Send("POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "b\r\n0123456789a\r\n0\r\n\r\n"));
  EXPECT_THAT(client.ReadToEnd(), StartsWith("HTTP/1.1 413 "));
  server_thread_.Stop();
  EXPECT_EQ(handled_, std::vector<std::string>{"/echo"});
}

struct RefusedCase {
  const char* name;
  std::string request;
  int status;
};

class RefusedRequestTest : public HttpServerTest,
                           public ::testing::WithParamInterface<RefusedCase> {};

TEST_P(RefusedRequestTest, IsAnsweredAndTheConnectionClosed) {
  Start();
  RawClient client(server_->port());
  ASSERT_TRUE(client.Send(GetParam().request));
  std::string answer = client.ReadToEnd();
  EXPECT_THAT(answer,
              StartsWith(absl::StrCat("HTTP/1.1 ", GetParam().status, " ")));
  EXPECT_THAT(answer, HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_THAT(answer, HasSubstr("Connection: close\r\n"));
  server_thread_.Stop();
  EXPECT_TRUE(handled_.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Table, RefusedRequestTest,
    ::testing::ValuesIn<RefusedCase>({
        {"Garbage", "\x16\x03\x01 this is TLS\r\n\r\n", 400},
        {"NoVersion", "GET /\r\n\r\n", 400},
        {"OtherVersion", "GET / HTTP/9.9\r\n\r\n", 400},
        {"NoPath", "GET * HTTP/1.1\r\n\r\n", 400},
        {"BrokenPercent", "GET /%4 HTTP/1.1\r\n\r\n", 400},
        {"NulInPath", "GET /a%00b HTTP/1.1\r\n\r\n", 400},
        {"BadHeader", "GET / HTTP/1.1\r\nno colon\r\n\r\n", 400},
        {"BadLength", "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400},
        {"TwoLengths",
         "POST / HTTP/1.1\r\nContent-Length: 1\r\n"
         "Transfer-Encoding: chunked\r\n\r\n",
         400},
        {"BadChunk",
         "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
        {"HugeHeader",
         "GET / HTTP/1.1\r\nX: " + std::string(70000, 'x') + "\r\n\r\n", 431},
    }),
    [](const auto& c) { return std::string(c.param.name); });

TEST_F(HttpServerTest, NoAnswerIsA500) {
  Start();
  absl::StatusOr<HttpResponse> response = Get("/unknown");
  ASSERT_OK(response);
  EXPECT_EQ(response->status, 500);
}

TEST_F(HttpServerTest, ASecondAnswerIsRefused) {
  Start();
  absl::StatusOr<HttpResponse> response = Get("/twice");
  ASSERT_OK(response);
  EXPECT_EQ(response->body, "first");
}

TEST_F(HttpServerTest, AMissingFileLeavesRoomForAnotherAnswer) {
  Start();
  absl::StatusOr<HttpResponse> response = Get("/no-file");
  ASSERT_OK(response);
  EXPECT_EQ(response->status, 404);
}

TEST_F(HttpServerTest, AHeaderCannotSmuggleAnother) {
  Start();
  absl::StatusOr<HttpResponse> response = Get("/split");
  ASSERT_OK(response);
  EXPECT_EQ(HeaderValue(response->headers, "X-B"), "");
}

TEST_F(HttpServerTest, IdleConnectionsAreClosed) {
  options_.idle_timeout = absl::Milliseconds(50);
  Start();
  for (const char* begun : {"", "GET /echo HT",
                            "POST /echo HTTP/1.1\r\nContent-Length: 9\r\n\r\n"
                            "half"}) {
    RawClient client(server_->port());
    ASSERT_TRUE(client.Send(begun));
    EXPECT_EQ(client.ReadToEnd(), "");
  }
}

TEST_F(HttpServerTest, ConnectionsAreBounded) {
  options_.connections_max = 2;
  Start();
  RawClient first(server_->port());
  ASSERT_TRUE(first.Send("GET /echo HTTP/1.1\r\n\r\n"));
  EXPECT_THAT(first.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  {
    RawClient second(server_->port());
    ASSERT_TRUE(second.Send("GET /echo HTTP/1.1\r\n\r\n"));
    EXPECT_THAT(second.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 200"));
    RawClient third(server_->port());
    EXPECT_THAT(third.ReadToEnd(), StartsWith("HTTP/1.1 503"));
  }
  // The second's place is free as soon as the server has seen it go.
  std::string answer;
  while (!absl::StartsWith(answer, "HTTP/1.1 200")) {
    RawClient fourth(server_->port());
    fourth.Send("GET /echo HTTP/1.1\r\n\r\n");
    answer = fourth.ReadUntil("\r\n\r\n");
  }
}

TEST_F(HttpServerTest, ListenSaysWhyItCannot) {
  Start();
  struct {
    std::string address;
    int port;
    const char* cause;
  } cases[] = {{"127.0.0.1", server_->port(), "Address already in use"},
               {"localhost", 0, "no IP address"},
               {"192.0.2.1", 0, "Cannot assign requested address"},
               {"127.0.0.1", 70000, "no such port"}};
  for (const auto& c : cases) {
    HttpServerOptions options;
    options.address = c.address;
    options.port = c.port;
    RunOn(server_thread_, [&] {
      EXPECT_THAT(
          HttpServer::Listen(server_thread_, options, nullptr, nullptr),
          StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(c.cause)));
    });
  }
}

TEST_F(HttpServerTest, DestroyingItEndsItsConnections) {
  Start();
  RawClient client(server_->port());
  ASSERT_TRUE(client.Send("GET /echo HTTP/1.1\r\n\r\n"));
  EXPECT_THAT(client.ReadUntil("\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  int port = server_->port();
  RunOn(server_thread_, [this] { server_.reset(); });
  EXPECT_EQ(client.ReadToEnd(), "");
  EXPECT_FALSE(RawClient(port).connected());
}

struct TargetCase {
  const char* text;
  HttpTarget want;
};

TEST(HttpTargetTest, Decodes) {
  const TargetCase cases[] = {
      {"/", {"/", {}}},
      {"/a/b", {"/a/b", {}}},
      {"/a%2Fb%c3%a9+c", {"/a/b\xc3\xa9+c", {}}},
      {"/?", {"/", {}}},
      {"/?a=1&a=2", {"/", {{"a", "1"}, {"a", "2"}}}},
      {"/?types%5B%5D=x&&=y&z",
       {"/", {{"types[]", "x"}, {"", "y"}, {"z", ""}}}},
      {"/?a=b=c?d", {"/", {{"a", "b=c?d"}}}},
      {"/?t=2024-01-01T00:00:00%2B02:00+x",
       {"/", {{"t", "2024-01-01T00:00:00+02:00 x"}}}},
  };
  for (const TargetCase& c : cases) {
    absl::StatusOr<HttpTarget> target = ParseHttpTarget(c.text);
    ASSERT_THAT(target, IsOk()) << c.text;
    EXPECT_EQ(*target, c.want) << c.text;
  }
}

TEST(HttpTargetTest, RefusesWhatIsNone) {
  for (const char* text : {"", "*", "a", "http://host/", "/%", "/%4", "/%4x",
                           "/%x4", "/%00", "/?a=%", "/?%=a", "/?a=%00"}) {
    EXPECT_THAT(ParseHttpTarget(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

}  // namespace
}  // namespace midwatch
