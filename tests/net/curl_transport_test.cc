#include "net/curl_transport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/coro.h"
#include "base/sha256.h"
#include "tests/net/loopback_test.h"

namespace midwatch {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using testing::LoopbackTest;
using ::testing::Not;
using ::testing::Pair;
using testing::StatusIs;

constexpr int64_t kFloodBytes = 64 << 20;

// `size` bytes that no shift or truncation leaves the same.
std::string Bytes(size_t size) {
  SeededRandom random(size);
  std::string bytes;
  while (bytes.size() < size) absl::StrAppend(&bytes, random.Next());
  bytes.resize(size);
  return bytes;
}

class CurlTransportTest : public LoopbackTest {
 protected:
  CurlTransportTest() {
    Serve([this](ServerRequest request, ServerResponder& reply) {
      return Handle(std::move(request), reply);
    });
  }

  ~CurlTransportTest() override {
    // Waiting handlers refer to this object.
    server_thread_.Stop();
  }

  Async<void> Handle(ServerRequest request, ServerResponder& reply) {
    ++calls_;
    if (request.path == "/echo")
      co_return co_await Echo(std::move(request), reply);
    if (request.path == "/hash")
      co_return co_await Hash(std::move(request), reply);
    if (request.path == "/status")
      co_return co_await Status(std::move(request), reply);
    if (request.path == "/file") {
      (void)co_await reply.SendFile(200, {}, request.QueryValue("path"));
    }
    if (request.path == "/gzip") co_await Gzip(reply);
    if (request.path == "/abort") reply.Abort();
    if (request.path == "/cut") co_await Cut(reply);
    if (request.path == "/hang") co_await Sleep(server_thread_, kForever);
    if (request.path == "/silent") co_await Silent(reply);
    if (request.path == "/flood") co_await Flood(reply);
    if (request.path == "/together") co_await Together(reply);
    if (request.path == "/tick") co_await Tick(reply);
  }

  Async<void> Echo(ServerRequest request, ServerResponder& reply) {
    std::string body = absl::StrCat(request.method, " ", request.path, "\n");
    for (auto& [name, value] : request.query) {
      absl::StrAppend(&body, "query ", name, "=", value, "\n");
    }
    for (auto& [name, value] : request.headers) {
      absl::StrAppend(&body, name, ": ", value, "\n");
    }
    absl::StrAppend(&body, "\n", request.body);
    HttpHeaders headers = {{"X-Answer", "yes"}, {"X-Empty", ""}};
    (void)co_await reply.Send(200, std::move(headers), std::move(body));
  }

  Async<void> Hash(ServerRequest request, ServerResponder& reply) {
    std::string hash = request.body_path.empty()
                           ? Sha256Hex(request.body)
                           : Sha256HexOfFile(request.body_path).value();
    (void)co_await reply.Send(200, {}, std::move(hash));
  }

  Async<void> Status(ServerRequest request, ServerResponder& reply) {
    int status = 0;
    EXPECT_TRUE(absl::SimpleAtoi(request.QueryValue("code"), &status));
    (void)co_await reply.Send(status, {}, request.QueryValue("body"));
  }

  Async<void> Gzip(ServerResponder& reply) {
    std::string body = absl::HexStringToBytes(
        "1f8b0800000000000203cb48cdc9c95728cf2fca49010085114a0d0b000000");
    HttpHeaders headers = {{"Content-Encoding", "gzip"}};
    (void)co_await reply.Send(200, std::move(headers), std::move(body));
  }

  Async<void> Cut(ServerResponder& reply) {
    (void)co_await reply.StartStream(200, {});
    std::string bytes = "half";
    (void)co_await reply.Write(std::move(bytes));
    reply.Abort();
  }

  Async<void> Silent(ServerResponder& reply) {
    (void)co_await reply.StartStream(200, {});
    co_await Sleep(server_thread_, kForever);
  }

  Async<void> Flood(ServerResponder& reply) {
    (void)co_await reply.StartStream(200, {});
    int64_t left = kFloodBytes;
    while (left > 0) {
      std::string piece(64 << 10, 'x');
      left -= static_cast<int64_t>(piece.size());
      absl::Status status = co_await reply.Write(std::move(piece));
      if (!status.ok()) break;
    }
    flooded_.Notify();
  }

  // Answers nobody until all have come.
  Async<void> Together(ServerResponder& reply) {
    (void)co_await reply.StartStream(200, {});
    if (++together_ == kTogether) {
      for (Mailbox<int>* waiting : waiting_) waiting->Push(0);
    } else {
      Mailbox<int> mailbox(server_thread_);
      waiting_.push_back(&mailbox);
      co_await mailbox.Pop();
    }
    for (int i = 0; i < 20; ++i) {
      std::string chunk = absl::StrCat(i, ",");
      (void)co_await reply.Write(std::move(chunk));
      co_await Sleep(server_thread_, absl::Milliseconds(1));
    }
  }

  Async<void> Tick(ServerResponder& reply) {
    absl::Status status = co_await reply.StartStream(200, {});
    while (status.ok()) {
      std::string tick = "tick";
      status = co_await reply.Write(std::move(tick));
      co_await Sleep(server_thread_, absl::Milliseconds(1));
    }
    tick_end_.set_value(status);
  }

  static constexpr int kTogether = 500;
  static constexpr absl::Duration kForever = absl::Hours(24);
  std::atomic<int> calls_{0};
  absl::Notification flooded_;
  int together_ = 0;
  std::vector<Mailbox<int>*> waiting_;
  std::promise<absl::Status> tick_end_;
};

TEST_F(CurlTransportTest, SendsMethodQueryHeadersAndBody) {
  HttpRequest request =
      Request("POST", "/echo%20it?a%5B%5D=1&a%5B%5D=x+y%2Bz&b");
  request.url = Url("/e%63ho?a%5B%5D=1&a%5B%5D=x+y%2Bz&b");
  request.headers = {{"X-Mark", "m"}, {"X-None", ""}};
  request.body = {{"hello ", ""}, {"world", ""}};
  absl::StatusOr<HttpResponse> response = Fetch(request);
  ASSERT_OK(response);
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(HeaderValue(response->headers, "x-answer"), "yes");
  EXPECT_THAT(response->headers, Contains(Pair("X-Empty", "")));
  EXPECT_THAT(response->body, ::testing::StartsWith("POST /echo\n"
                                                    "query a[]=1\n"
                                                    "query a[]=x y+z\n"
                                                    "query b=\n"));
  EXPECT_THAT(response->body, HasSubstr("X-Mark: m\n"));
  EXPECT_THAT(response->body, HasSubstr("X-None: \n"));
  EXPECT_THAT(response->body, HasSubstr("Content-Length: 11\n"));
  EXPECT_THAT(response->body, HasSubstr("User-Agent: midwatch\n"));
  EXPECT_THAT(response->body, Not(HasSubstr("Expect:")));
  EXPECT_THAT(response->body, ::testing::EndsWith("\n\nhello world"));
}

TEST_F(CurlTransportTest, AnEmptyPostSaysItsLength) {
  absl::StatusOr<HttpResponse> response = Fetch(Request("POST", "/echo"));
  ASSERT_OK(response);
  EXPECT_THAT(response->body, HasSubstr("Content-Length: 0\n"));
}

TEST_F(CurlTransportTest, EveryStatusIsAnAnswer) {
  for (int code : {204, 304, 400, 404, 429, 500, 529}) {
    absl::StatusOr<HttpResponse> response =
        Get(absl::StrCat("/status?code=", code));
    ASSERT_OK(response);
    EXPECT_EQ(response->status, code);
  }
}

TEST_F(CurlTransportTest, RedirectsAreNotFollowed) {
  absl::StatusOr<HttpResponse> response = Get("/status?code=302");
  ASSERT_OK(response);
  EXPECT_EQ(response->status, 302);
}

TEST_F(CurlTransportTest, DecodesGzip) {
  absl::StatusOr<HttpResponse> response = Get("/gzip");
  ASSERT_OK(response);
  EXPECT_EQ(response->body, "hello world");
}

TEST_F(CurlTransportTest, SendsLargeBodiesFromMemoryAndFiles) {
  std::string bytes = Bytes(10 << 20);
  std::string path = WriteFile("upload", bytes);
  std::string empty = WriteFile("empty", "");
  HttpRequest request = Request("POST", "/hash");
  request.body = {{bytes, ""}};
  absl::StatusOr<HttpResponse> response = Fetch(request);
  ASSERT_OK(response);
  EXPECT_EQ(response->body, Sha256Hex(bytes));

  request.body = {{"head", path}, {"", empty}, {"tail", ""}};
  response = Fetch(request);
  ASSERT_OK(response);
  EXPECT_EQ(response->body, Sha256Hex("head" + bytes + "tail"));
  // What was spooled is removed once the handler has returned, which is before
  // the connection takes the next request.
  ASSERT_OK(Get("/echo"));
  EXPECT_TRUE(std::filesystem::is_empty(options_.spool_dir));
}

TEST_F(CurlTransportTest, AMissingFileIsNotSent) {
  HttpRequest request = Request("POST", "/hash");
  request.body = {{"", "/nowhere/at/all"}};
  absl::StatusOr<HttpResponse> response = Fetch(request);
  EXPECT_THAT(response, StatusIs(absl::StatusCode::kNotFound,
                                 HasSubstr("/nowhere/at/all")));
  EXPECT_EQ(GetHttpExecuted(response.status()), HttpExecuted::kNo);
  EXPECT_EQ(calls_, 0);
}

TEST_F(CurlTransportTest, TheAnswersSizeIsBounded) {
  std::string path = WriteFile("answer", Bytes(100001));
  HttpRequest request = Request("GET", "/file?path=" + PercentEncode(path));
  request.response_bytes_max = 100000;
  EXPECT_THAT(Fetch(request), StatusIs(absl::StatusCode::kResourceExhausted,
                                       HasSubstr("100000 bytes")));
  request.response_bytes_max = 100001;
  EXPECT_OK(Fetch(request));
}

TEST_F(CurlTransportTest, DownloadsToAFile) {
  std::string bytes = Bytes(5 << 20);
  std::string from = WriteFile("from", bytes);
  std::string to = WriteFile("to", "of an earlier try");
  HttpRequest request = Request("GET", "/file?path=" + PercentEncode(from));
  request.response_bytes_max = 1;  // bounds Fetch only
  absl::StatusOr<HttpResponse> response = Download(request, to);
  ASSERT_OK(response);
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "");
  EXPECT_EQ(Sha256Hex(ReadFile(to)), Sha256Hex(bytes));
}

TEST_F(CurlTransportTest, AnEmptyDownloadMakesAnEmptyFile) {
  std::string to = (dir_ / "to").string();
  ASSERT_OK(Download(Request("GET", "/status?code=200"), to));
  EXPECT_TRUE(std::filesystem::exists(to));
}

TEST_F(CurlTransportTest, ARefusedDownloadMakesNoFile) {
  std::string to = (dir_ / "to").string();
  absl::StatusOr<HttpResponse> response =
      Download(Request("GET", "/status?code=404&body=gone"), to);
  ASSERT_OK(response);
  EXPECT_EQ(response->status, 404);
  EXPECT_EQ(response->body, "gone");
  EXPECT_FALSE(std::filesystem::exists(to));
}

TEST_F(CurlTransportTest, ADownloadThatCannotBeWrittenFails) {
  EXPECT_THAT(
      Download(Request("GET", "/status?code=200&body=x"), "/nowhere/file"),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nowhere/file")));
}

TEST_F(CurlTransportTest, RefusedConnectionExecutedNothing) {
  HttpRequest request = Request("POST", "/echo?secret=1");
  RunOn(server_thread_, [this] { server_.reset(); });
  absl::StatusOr<HttpResponse> response = Fetch(request);
  EXPECT_THAT(response, StatusIs(absl::StatusCode::kUnavailable,
                                 HasSubstr("POST http://127.0.0.1:")));
  EXPECT_THAT(response, StatusIs(absl::StatusCode::kUnavailable,
                                 Not(HasSubstr("secret"))));
  EXPECT_EQ(GetHttpExecuted(response.status()), HttpExecuted::kNo);
}

// The embedded harness is on loopback, and many machines name a proxy.
TEST_F(CurlTransportTest, LoopbackNeedsNoProxy) {
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  EXPECT_OK(Get("/echo"));
  unsetenv("http_proxy");
}

TEST_F(CurlTransportTest, WhatIsNoUrlIsRefused) {
  for (const char* url : {"", "nonsense", "ftp://127.0.0.1/x", "http://",
                          "file:///etc/passwd", "http://host:99999/"}) {
    HttpRequest request;
    request.url = url;
    absl::StatusOr<HttpResponse> response = Fetch(request);
    EXPECT_THAT(response, StatusIs(absl::StatusCode::kInvalidArgument)) << url;
    EXPECT_EQ(GetHttpExecuted(response.status()), HttpExecuted::kNo);
  }
}

TEST_F(CurlTransportTest, AHeaderCannotSmuggleAnother) {
  HttpRequest request = Request("GET", "/echo");
  request.headers = {{"X-A", "1\r\nX-B: 2"}};
  EXPECT_THAT(Fetch(request), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(calls_, 0);
}

TEST_F(CurlTransportTest, ALostAnswerMayHaveBeenExecuted) {
  absl::StatusOr<HttpResponse> response = Get("/abort");
  EXPECT_THAT(response, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(GetHttpExecuted(response.status()), HttpExecuted::kUnknown);
  response = Get("/cut");
  EXPECT_THAT(response, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(GetHttpExecuted(response.status()), HttpExecuted::kUnknown);
}

// libcurl repeats what it sent on a connection that it had used before and that
// closed without an answer. For a POST that would be a second message.
TEST_F(CurlTransportTest, OnlyWhatChangesNothingIsRepeated) {
  ASSERT_OK(Get("/echo"));  // leaves a connection
  calls_ = 0;
  EXPECT_THAT(Get("/abort"), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(calls_, 2);

  for (const char* body : {"", "body"}) {
    ASSERT_OK(Get("/echo"));
    calls_ = 0;
    HttpRequest request = Request("POST", "/abort");
    request.body = {{body, ""}};
    absl::StatusOr<HttpResponse> response = Fetch(request);
    EXPECT_THAT(response, StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_EQ(GetHttpExecuted(response.status()), HttpExecuted::kUnknown);
    EXPECT_EQ(calls_, 1);
  }
}

TEST_F(CurlTransportTest, TimeoutEndsTheRequest) {
  HttpRequest request = Request("GET", "/hang");
  request.timeout = absl::Milliseconds(50);
  absl::StatusOr<HttpResponse> response = Fetch(request);
  EXPECT_THAT(response, StatusIs(absl::StatusCode::kDeadlineExceeded,
                                 HasSubstr("no answer within 50ms")));
  EXPECT_EQ(GetHttpExecuted(response.status()), HttpExecuted::kUnknown);
  EXPECT_THAT(OpenStream(request),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(CurlTransportTest, AStreamsTimeoutEndsAtItsHeaders) {
  HttpRequest request = Request("GET", "/tick");
  request.timeout = absl::Milliseconds(200);
  absl::StatusOr<std::unique_ptr<HttpStream>> stream = OpenStream(request);
  ASSERT_OK(stream);
  // Far more ticks than fit into the timeout, a millisecond apart.
  for (size_t bytes = 0; bytes < 4 * 400;) {
    absl::StatusOr<std::string> piece = Read(**stream);
    ASSERT_OK(piece);
    bytes += piece->size();
  }
  Drop(*std::move(stream));
}

TEST_F(CurlTransportTest, AStreamOfAnyStatusIsRead) {
  absl::StatusOr<std::unique_ptr<HttpStream>> stream =
      OpenStream(Request("GET", "/status?code=503&body=later"));
  ASSERT_OK(stream);
  EXPECT_EQ((*stream)->status(), 503);
  EXPECT_EQ(HeaderValue((*stream)->headers(), "content-length"), "5");
  EXPECT_EQ(Read(**stream).value(), "later");
  EXPECT_EQ(Read(**stream).value(), "");
  EXPECT_EQ(Read(**stream).value(), "");
  Drop(*std::move(stream));
}

TEST_F(CurlTransportTest, ACutStreamSaysSoAfterItsBytes) {
  absl::StatusOr<std::unique_ptr<HttpStream>> stream =
      OpenStream(Request("GET", "/cut"));
  ASSERT_OK(stream);
  EXPECT_EQ(Read(**stream).value(), "half");
  EXPECT_THAT(Read(**stream), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Read(**stream), StatusIs(absl::StatusCode::kUnavailable));
  Drop(*std::move(stream));
}

TEST_F(CurlTransportTest, ASlowReaderSlowsTheServer) {
  absl::StatusOr<std::unique_ptr<HttpStream>> stream =
      OpenStream(Request("GET", "/flood"));
  ASSERT_OK(stream);
  // Takes a fraction of this where nobody holds it back.
  EXPECT_FALSE(flooded_.WaitForNotificationWithTimeout(absl::Seconds(1)));
  int64_t total = 0;
  while (true) {
    absl::StatusOr<std::string> piece = Read(**stream);
    ASSERT_OK(piece);
    if (piece->empty()) break;
    ASSERT_LE(piece->size(), 256u << 10);
    total += static_cast<int64_t>(piece->size());
  }
  EXPECT_EQ(total, kFloodBytes);
  Drop(*std::move(stream));
}

TEST_F(CurlTransportTest, AStreamIsDroppedWhileItIsPaused) {
  absl::StatusOr<std::unique_ptr<HttpStream>> stream =
      OpenStream(Request("GET", "/flood"));
  ASSERT_OK(stream);
  ASSERT_OK(Read(**stream));
  Drop(*std::move(stream));
  EXPECT_TRUE(flooded_.WaitForNotificationWithTimeout(absl::Seconds(30)));
}

TEST_F(CurlTransportTest, TheServerSeesThatTheClientCloses) {
  absl::StatusOr<std::unique_ptr<HttpStream>> stream =
      OpenStream(Request("GET", "/tick"));
  ASSERT_OK(stream);
  ASSERT_OK(Read(**stream));
  Drop(*std::move(stream));
  EXPECT_THAT(tick_end_.get_future().get(),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(CurlTransportTest, CloseEndsAReadThatWaits) {
  absl::StatusOr<std::unique_ptr<HttpStream>> stream =
      OpenStream(Request("GET", "/silent"));
  ASSERT_OK(stream);
  std::atomic<bool> begun{false};
  std::promise<absl::Status> read;
  auto body = [](HttpStream& s, std::atomic<bool>& started,
                 std::promise<absl::Status>& out) -> Async<void> {
    started = true;
    absl::StatusOr<std::string> bytes = co_await s.Read();
    out.set_value(bytes.status());
  };
  RunOn(client_, [&] { Spawn(client_, body(**stream, begun, read)); });
  while (RunOn(client_, [] {}), !begun) {
  }
  RunOn(client_, [&] { (*stream)->Close(); });
  EXPECT_THAT(read.get_future().get(), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_THAT(Read(**stream), StatusIs(absl::StatusCode::kCancelled));
  Drop(*std::move(stream));
}

TEST_F(CurlTransportTest, ManyStreamsAtOnce) {
  std::atomic<int> left{kTogether};
  std::atomic<int> right{0};
  absl::Notification done;
  auto body = [](HttpTransport& transport, HttpRequest request,
                 std::atomic<int>& whole, std::atomic<int>& waiting,
                 absl::Notification& end) -> Async<void> {
    absl::StatusOr<std::unique_ptr<HttpStream>> stream =
        co_await transport.OpenStream(std::move(request));
    std::string all;
    while (stream.ok()) {
      absl::StatusOr<std::string> piece = co_await (*stream)->Read();
      if (!piece.ok() || piece->empty()) break;
      all += *piece;
    }
    if (all == "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,") ++whole;
    if (--waiting == 0) end.Notify();
  };
  RunOn(client_, [&] {
    for (int i = 0; i < kTogether; ++i) {
      Spawn(client_,
            body(*transport_, Request("GET", "/together"), right, left, done));
    }
  });
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(absl::Seconds(60)));
  EXPECT_EQ(right, kTogether);
}

TEST_F(CurlTransportTest, NothingResumesOnceTheTransportIsGone) {
  absl::StatusOr<std::unique_ptr<HttpStream>> stream =
      OpenStream(Request("GET", "/silent"));
  ASSERT_OK(stream);
  struct Ends {
    std::atomic<int> resumed{0};
    std::atomic<int> left{2};
    absl::Notification destroyed;
  } ends;
  struct Guard {
    Ends& ends;
    ~Guard() {
      if (--ends.left == 0) ends.destroyed.Notify();
    }
  };
  auto fetch = [](HttpTransport& transport, HttpRequest request,
                  Ends& out) -> Async<void> {
    Guard guard{out};
    (void)co_await transport.Fetch(std::move(request));
    ++out.resumed;
  };
  auto read = [](HttpStream& s, Ends& out) -> Async<void> {
    Guard guard{out};
    (void)co_await s.Read();
    ++out.resumed;
  };
  RunOn(client_, [&] {
    Spawn(client_, fetch(*transport_, Request("GET", "/hang"), ends));
    Spawn(client_, read(**stream, ends));
  });
  ASSERT_OK(Get("/echo"));  // by then, both of them wait
  RunOn(client_, [&] { transport_.reset(); });
  EXPECT_TRUE(ends.destroyed.WaitForNotificationWithTimeout(absl::Seconds(30)));
  EXPECT_EQ(ends.resumed, 0);
  EXPECT_THAT(Read(**stream), StatusIs(absl::StatusCode::kCancelled));
  Drop(*std::move(stream));
}

}  // namespace
}  // namespace midwatch
