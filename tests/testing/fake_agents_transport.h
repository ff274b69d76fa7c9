#ifndef MIDWATCH_TESTS_TESTING_FAKE_AGENTS_TRANSPORT_H_
#define MIDWATCH_TESTS_TESTING_FAKE_AGENTS_TRANSPORT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "base/executor.h"
#include "net/http.h"
#include "tests/testing/fake_agents_service.h"

namespace midwatch::testing {

// The way from one node to a FakeAgentsService: each request and each answer
// takes `latency`, whatever befalls it is what the service's hooks say. The
// node's executor and the service outlive it; the node's executor object also
// outlives the service, stopped or not.
class FakeAgentsTransport final : public HttpTransport {
 public:
  FakeAgentsTransport(FakeAgentsService& service, Executor& node,
                      std::string node_name,
                      absl::Duration latency = absl::Milliseconds(5));
  ~FakeAgentsTransport() override;

  Async<absl::StatusOr<HttpResponse>> Fetch(HttpRequest request) override;
  Async<absl::StatusOr<HttpResponse>> Download(HttpRequest request,
                                               std::string path) override;
  Async<absl::StatusOr<std::unique_ptr<HttpStream>>> OpenStream(
      HttpRequest request) override;

 private:
  class Stream;
  using Done = absl::AnyInvocable<void(absl::StatusOr<FakeReply>)>;

  // All that the service's side of a call knows: it outlives a crashed node's
  // transport, which it reaches only through the node's executor.
  struct Link {
    FakeAgentsTransport* transport;
    FakeAgentsService* service;
    Executor* node;
    std::string node_name;
    absl::Duration latency;
  };
  static void Execute(const Link& link, HttpRequest request, std::string body,
                      int64_t call, int64_t stream_key);
  static void Answer(const Link& link, int64_t call, absl::Duration delay,
                     absl::StatusOr<FakeReply> reply);
  static FakeAgentsService::Sink SinkOf(const Link& link, int64_t stream_key);

  Async<absl::StatusOr<FakeReply>> Exchange(HttpRequest request,
                                            int64_t stream_key);
  void Finish(int64_t call, absl::StatusOr<FakeReply> reply);

  Link link_;
  int64_t next_key_ = 1;
  // By number, which is what the service's side holds. Destroying a call
  // destroys the coroutine that waits for it, and with it streams.
  std::map<int64_t, Stream*> streams_;
  std::map<int64_t, Done> calls_;
};

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_TESTING_FAKE_AGENTS_TRANSPORT_H_
