// An HttpTransport that gives scripted answers, in order, and remembers what it
// was asked.
#ifndef MIDWATCH_TESTS_TESTING_FAKE_HTTP_H_
#define MIDWATCH_TESTS_TESTING_FAKE_HTTP_H_

#include <deque>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/coro.h"
#include "base/executor.h"
#include "net/http.h"

namespace midwatch::testing {

// The test's end of a stream. Shared with the stream that a client holds, so
// either may go first.
class FakeStreamScript {
 public:
  explicit FakeStreamScript(Executor& executor) : bytes(executor) {}

  void Write(std::string text) { bytes.Push(std::move(text)); }
  void End() { bytes.Push(std::string()); }
  void Cut() { bytes.Push(absl::UnavailableError("cut")); }

  int status = 200;
  HttpHeaders headers;
  Mailbox<absl::StatusOr<std::string>> bytes;
  bool closed = false;
};

class FakeHttpTransport final : public HttpTransport {
 public:
  explicit FakeHttpTransport(Executor& executor) : executor_(executor) {}

  struct Asked {
    HttpRequest request;
    std::string body;  // with the bytes of its files
  };
  std::vector<Asked> asked;

  void Reply(int status, std::string body, HttpHeaders headers = {}) {
    HttpResponse response;
    response.status = status;
    response.headers = std::move(headers);
    response.body = std::move(body);
    replies_.push_back(std::move(response));
  }
  void Fail(absl::Status status) { replies_.push_back(std::move(status)); }
  // The next OpenStream gets this one.
  std::shared_ptr<FakeStreamScript> ReplyStream(int status = 200) {
    auto script = std::make_shared<FakeStreamScript>(executor_);
    script->status = status;
    streams_.push_back(script);
    return script;
  }
  void FailStream(absl::Status status) {
    streams_.push_back(std::move(status));
  }

  Async<absl::StatusOr<HttpResponse>> Fetch(HttpRequest request) override {
    Record(request);
    if (replies_.empty()) co_return absl::InternalError("nothing scripted");
    absl::StatusOr<HttpResponse> reply = std::move(replies_.front());
    replies_.pop_front();
    co_return reply;
  }

  Async<absl::StatusOr<HttpResponse>> Download(HttpRequest request,
                                               std::string path) override {
    absl::StatusOr<HttpResponse> reply = co_await Fetch(std::move(request));
    if (reply.ok() && reply->status == 200) {
      std::ofstream(path, std::ios::binary) << std::exchange(reply->body, "");
    }
    co_return reply;
  }

  Async<absl::StatusOr<std::unique_ptr<HttpStream>>> OpenStream(
      HttpRequest request) override {
    Record(request);
    if (streams_.empty()) co_return absl::InternalError("nothing scripted");
    absl::StatusOr<std::shared_ptr<FakeStreamScript>> script =
        std::move(streams_.front());
    streams_.pop_front();
    if (!script.ok()) co_return script.status();
    std::unique_ptr<HttpStream> stream =
        std::make_unique<Stream>(*std::move(script));
    co_return stream;
  }

 private:
  class Stream final : public HttpStream {
   public:
    explicit Stream(std::shared_ptr<FakeStreamScript> script)
        : script_(std::move(script)) {}
    ~Stream() override { script_->closed = true; }
    int status() const override { return script_->status; }
    const HttpHeaders& headers() const override { return script_->headers; }
    Async<absl::StatusOr<std::string>> Read() override {
      if (script_->closed) co_return absl::CancelledError("closed");
      std::shared_ptr<FakeStreamScript> script = script_;
      std::optional<absl::StatusOr<std::string>> next =
          co_await script->bytes.Pop();
      if (script->closed) co_return absl::CancelledError("closed");
      co_return *std::move(next);
    }
    void Close() override {
      script_->closed = true;
      script_->bytes.Push(std::string());
    }

   private:
    std::shared_ptr<FakeStreamScript> script_;
  };

  void Record(const HttpRequest& request) {
    std::ostringstream body;
    for (const HttpBodyPart& part : request.body) {
      body << part.bytes;
      if (!part.path.empty()) {
        body << std::ifstream(part.path, std::ios::binary).rdbuf();
      }
    }
    asked.push_back({request, body.str()});
  }

  Executor& executor_;
  std::deque<absl::StatusOr<HttpResponse>> replies_;
  std::deque<absl::StatusOr<std::shared_ptr<FakeStreamScript>>> streams_;
};

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_TESTING_FAKE_HTTP_H_
