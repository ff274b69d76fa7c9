// A server of the Messages API on a loopback port that answers as it is told,
// one reply after the other.
#ifndef MIDWATCH_TESTS_TESTING_FAKE_MESSAGES_H_
#define MIDWATCH_TESTS_TESTING_FAKE_MESSAGES_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/real_executor.h"
#include "net/http.h"
#include "net/http_server.h"

namespace midwatch::testing {

struct MessagesReply {
  int status = 200;
  HttpHeaders headers;
  std::string body;                 // of an error
  std::vector<std::string> frames;  // of a stream, as they go over the wire
  // What happens after the last frame, where it is not the stream's end.
  enum class Then { kEnd, kAbort, kHang } then = Then::kEnd;
};

// Replies, whole. Each counts 100 tokens in and 10 out.
MessagesReply Says(const std::string& text,
                   const std::string& stop_reason = "end_turn");
MessagesReply Calls(const std::string& tool, const nlohmann::json& input,
                    const std::string& text = "");
MessagesReply Refuses(int status, const std::string& type,
                      const std::string& message, HttpHeaders headers = {});
// `reply`, of which only the first frames come, and then `then`.
MessagesReply Cut(MessagesReply reply, size_t frames, MessagesReply::Then then);

class FakeMessages {
 public:
  struct Request {
    HttpHeaders headers;
    nlohmann::json body;
  };

  FakeMessages();
  ~FakeMessages();
  FakeMessages(const FakeMessages&) = delete;
  FakeMessages& operator=(const FakeMessages&) = delete;

  // Thread-safe, like all below. A request that finds no reply gets a 400.
  void Add(MessagesReply reply);
  std::string base_url() const { return base_url_; }
  std::vector<Request> requests() const;
  // Waits until so many requests have come. The test's own time limit ends it.
  void AwaitRequests(size_t count) const;

 private:
  Async<void> Handle(ServerRequest request, ServerResponder& responder);
  MessagesReply Take(ServerRequest request);

  mutable Mutex mutex_;
  mutable CondVar taken_;
  std::deque<MessagesReply> replies_ ABSL_GUARDED_BY(mutex_);
  std::vector<Request> requests_ ABSL_GUARDED_BY(mutex_);
  RealExecutor executor_{"fake-messages"};
  std::unique_ptr<HttpServer> server_;
  std::string base_url_;
};

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_TESTING_FAKE_MESSAGES_H_
