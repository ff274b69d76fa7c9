#include "tests/testing/fake_agents_transport.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace midwatch::testing {
namespace {

absl::Status Lost(HttpExecuted executed, const char* why) {
  absl::Status status = absl::UnavailableError(why);
  SetHttpExecuted(status, executed);
  return status;
}

std::string ReadBody(const std::vector<HttpBodyPart>& parts) {
  std::ostringstream out;
  for (const HttpBodyPart& part : parts) {
    out << part.bytes;
    if (!part.path.empty()) {
      out << std::ifstream(part.path, std::ios::binary).rdbuf();
    }
  }
  return out.str();
}

FakeReply Refusal(const FakeFault& fault) {
  nlohmann::json error = {{"type", fault.error_type}, {"message", "injected"}};
  if (!fault.error_code.empty()) {
    error["details"]["error_code"] = fault.error_code;
  }
  FakeReply reply;
  reply.status = fault.status;
  reply.body = nlohmann::json({{"type", "error"}, {"error", error}}).dump();
  if (fault.retry_after) {
    reply.headers.emplace_back(
        "retry-after", absl::StrCat(absl::ToDoubleSeconds(*fault.retry_after)));
  }
  return reply;
}

HttpResponse ToResponse(FakeReply reply) {
  HttpResponse response;
  response.status = reply.status;
  response.headers = std::move(reply.headers);
  response.body = std::move(reply.body);
  return response;
}

}  // namespace

// The node's end of a stream.
class FakeAgentsTransport::Stream final : public HttpStream {
 public:
  Stream(FakeAgentsTransport& transport, int64_t key)
      : transport_(transport), key_(key), bytes_(*transport.link_.node) {
    transport_.streams_[key_] = this;
  }
  ~Stream() override { Close(); }

  void Opened(FakeReply reply) {
    service_stream_ = reply.stream;
    status_ = reply.status;
    headers_ = std::move(reply.headers);
    if (reply.stream == 0) {
      if (!reply.body.empty()) bytes_.Push(std::move(reply.body));
      bytes_.Push("");
    }
  }
  // Empty: cut, or Close was called.
  void Push(std::string bytes) { bytes_.Push(std::move(bytes)); }

  int status() const override { return status_; }
  const HttpHeaders& headers() const override { return headers_; }

  Async<absl::StatusOr<std::string>> Read() override {
    if (closed_) co_return absl::CancelledError("closed");
    std::optional<std::string> bytes = co_await bytes_.Pop();
    if (closed_) co_return absl::CancelledError("closed");
    if (bytes->empty() && service_stream_ != 0) {
      bytes_.Push("");  // so is every later one
      co_return Lost(HttpExecuted::kUnknown, "the stream was cut");
    }
    co_return *std::move(bytes);
  }

  void Close() override {
    if (closed_) return;
    closed_ = true;
    transport_.streams_.erase(key_);
    bytes_.Push("");
    if (service_stream_ == 0) return;
    FakeAgentsService* service = transport_.link_.service;
    service->executor().Post(
        [service, stream = service_stream_] { service->CloseStream(stream); });
  }

 private:
  FakeAgentsTransport& transport_;
  int64_t key_;
  Mailbox<std::string> bytes_;
  int64_t service_stream_ = 0;
  int status_ = 0;
  HttpHeaders headers_;
  bool closed_ = false;
};

FakeAgentsTransport::FakeAgentsTransport(FakeAgentsService& service,
                                         Executor& node, std::string node_name,
                                         absl::Duration latency)
    : link_{this, &service, &node, std::move(node_name), latency} {}

FakeAgentsTransport::~FakeAgentsTransport() = default;

void FakeAgentsTransport::Finish(int64_t call,
                                 absl::StatusOr<FakeReply> reply) {
  auto it = calls_.find(call);
  if (it == calls_.end()) return;  // timed out before
  Done done = std::move(it->second);
  calls_.erase(it);
  done(std::move(reply));
}

void FakeAgentsTransport::Answer(const Link& link, int64_t call,
                                 absl::Duration delay,
                                 absl::StatusOr<FakeReply> reply) {
  link.service->executor().After(
      delay + link.latency, [link, call, reply = std::move(reply)]() mutable {
        link.node->Post([transport = link.transport, call,
                         reply = std::move(reply)]() mutable {
          transport->Finish(call, std::move(reply));
        });
      });
}

FakeAgentsService::Sink FakeAgentsTransport::SinkOf(const Link& link,
                                                    int64_t stream_key) {
  return [link, stream_key](std::string bytes) {
    auto deliver = [transport = link.transport, stream_key,
                    bytes = std::move(bytes)] {
      auto it = transport->streams_.find(stream_key);
      if (it != transport->streams_.end()) it->second->Push(bytes);
    };
    link.service->executor().After(
        link.latency,
        [node = link.node, deliver = std::move(deliver)]() mutable {
          node->Post(std::move(deliver));
        });
  };
}

void FakeAgentsTransport::Execute(const Link& link, HttpRequest request,
                                  std::string body, int64_t call,
                                  int64_t stream_key) {
  using Kind = FakeFault::Kind;
  FakeAgentsService& service = *link.service;
  FakeCall what = service.Describe(link.node_name, request);
  FakeFault fault =
      service.hooks.on_call ? service.hooks.on_call(what) : FakeFault();
  if (fault.kind == Kind::kNoConnection) {
    Answer(link, call, fault.answer_delay,
           Lost(HttpExecuted::kNo, "no connection"));
    return;
  }
  if (fault.kind == Kind::kLoseRequest) {
    Answer(link, call, fault.answer_delay,
           Lost(HttpExecuted::kUnknown, "the connection was lost"));
    return;
  }
  if (fault.kind == Kind::kRefuse) {
    Answer(link, call, fault.answer_delay, Refusal(fault));
    return;
  }
  service.executor().After(
      fault.request_delay, [link, fault, call, stream_key, request, body] {
        FakeReply reply =
            link.service->Handle(request, body, SinkOf(link, stream_key));
        if (fault.kind != Kind::kLoseAnswer) {
          Answer(link, call, fault.answer_delay, std::move(reply));
          return;
        }
        if (reply.stream != 0) link.service->CloseStream(reply.stream);
        Answer(link, call, fault.answer_delay,
               Lost(HttpExecuted::kUnknown, "the connection was lost"));
      });
}

Async<absl::StatusOr<FakeReply>> FakeAgentsTransport::Exchange(
    HttpRequest request, int64_t stream_key) {
  int64_t call = next_key_++;
  absl::Duration timeout = request.timeout;
  std::string body = ReadBody(request.body);
  absl::AnyInvocable<void()> arrive = [link = link_, call, stream_key, request,
                                       body] {
    Execute(link, request, body, call, stream_key);
  };
  absl::AnyInvocable<void(Done)> start = [this, call, &arrive](Done done) {
    calls_[call] = std::move(done);
    FakeAgentsService* service = link_.service;
    service->executor().Post([service, latency = link_.latency,
                              arrive = std::move(arrive)]() mutable {
      service->executor().After(latency, std::move(arrive));
    });
  };
  Executor::TimerId timer = link_.node->After(timeout, [this, call] {
    Finish(call, absl::DeadlineExceededError("the request timed out"));
  });
  absl::StatusOr<FakeReply> reply =
      co_await AwaitCallback<absl::StatusOr<FakeReply>>(*link_.node,
                                                        std::move(start));
  link_.node->Cancel(timer);
  co_return reply;
}

Async<absl::StatusOr<HttpResponse>> FakeAgentsTransport::Fetch(
    HttpRequest request) {
  CO_ASSIGN_OR_RETURN(FakeReply reply,
                      co_await Exchange(std::move(request), 0));
  co_return ToResponse(std::move(reply));
}

Async<absl::StatusOr<HttpResponse>> FakeAgentsTransport::Download(
    HttpRequest request, std::string path) {
  CO_ASSIGN_OR_RETURN(FakeReply reply,
                      co_await Exchange(std::move(request), 0));
  HttpResponse response = ToResponse(std::move(reply));
  if (response.status == 200) {
    std::ofstream(path, std::ios::binary) << response.body;
    response.body.clear();
  }
  co_return response;
}

Async<absl::StatusOr<std::unique_ptr<HttpStream>>>
FakeAgentsTransport::OpenStream(HttpRequest request) {
  int64_t key = next_key_++;
  // Before the request: what the service writes may arrive with its answer.
  auto stream = std::make_unique<Stream>(*this, key);
  CO_ASSIGN_OR_RETURN(FakeReply reply,
                      co_await Exchange(std::move(request), key));
  stream->Opened(std::move(reply));
  std::unique_ptr<HttpStream> opened = std::move(stream);
  co_return opened;
}

}  // namespace midwatch::testing
