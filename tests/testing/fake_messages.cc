#include "tests/testing/fake_messages.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "base/coro.h"
#include "net/sse.h"

namespace midwatch::testing {
namespace {

using nlohmann::json;

std::string Frame(const json& event) {
  return FormatSseFrame(event["type"].get<std::string>(), event.dump());
}

// In two pieces, as a stream has it.
void AppendBlock(MessagesReply& reply, int index, json start,
                 const char* delta_type, const char* delta_key,
                 const std::string& content) {
  reply.frames.push_back(Frame({{"type", "content_block_start"},
                                {"index", index},
                                {"content_block", std::move(start)}}));
  const size_t half = content.size() / 2;
  for (const std::string& part :
       {content.substr(0, half), content.substr(half)}) {
    reply.frames.push_back(
        Frame({{"type", "content_block_delta"},
               {"index", index},
               {"delta", {{"type", delta_type}, {delta_key, part}}}}));
  }
  reply.frames.push_back(
      Frame({{"type", "content_block_stop"}, {"index", index}}));
}

MessagesReply Begin() {
  MessagesReply reply;
  reply.frames.push_back(Frame({{"type", "message_start"},
                                {"message",
                                 {{"id", "msg_1"},
                                  {"role", "assistant"},
                                  {"usage",
                                   {{"input_tokens", 100},
                                    {"output_tokens", 1},
                                    {"cache_read_input_tokens", 0},
                                    {"cache_creation_input_tokens", 0}}}}}}));
  reply.frames.push_back(Frame({{"type", "ping"}}));
  return reply;
}

void End(MessagesReply& reply, const std::string& stop_reason) {
  reply.frames.push_back(Frame({{"type", "message_delta"},
                                {"delta", {{"stop_reason", stop_reason}}},
                                {"usage", {{"output_tokens", 10}}}}));
  reply.frames.push_back(Frame({{"type", "message_stop"}}));
}

}  // namespace

MessagesReply Says(const std::string& text, const std::string& stop_reason) {
  MessagesReply reply = Begin();
  AppendBlock(reply, 0, {{"type", "text"}, {"text", ""}}, "text_delta", "text",
              text);
  End(reply, stop_reason);
  return reply;
}

MessagesReply Calls(const std::string& tool, const json& input,
                    const std::string& text) {
  MessagesReply reply = Begin();
  int index = 0;
  if (!text.empty()) {
    AppendBlock(reply, index++, {{"type", "text"}, {"text", ""}}, "text_delta",
                "text", text);
  }
  json start = {{"type", "tool_use"},
                {"id", "toolu_1"},
                {"name", tool},
                {"input", json::object()}};
  AppendBlock(reply, index, std::move(start), "input_json_delta",
              "partial_json", input.dump());
  End(reply, "tool_use");
  return reply;
}

MessagesReply Refuses(int status, const std::string& type,
                      const std::string& message, HttpHeaders headers) {
  MessagesReply reply;
  reply.status = status;
  reply.headers = std::move(headers);
  json error = {{"type", type}, {"message", message}};
  json envelope = {{"type", "error"}, {"error", std::move(error)}};
  reply.body = envelope.dump();
  return reply;
}

MessagesReply Cut(MessagesReply reply, size_t frames,
                  MessagesReply::Then then) {
  reply.frames.resize(frames);
  reply.then = then;
  return reply;
}

FakeMessages::FakeMessages() {
  RunOn(executor_, [this] {
    HttpServerOptions options;
    options.body_memory_bytes_max = 32 << 20;
    auto handler = [this](ServerRequest request, ServerResponder& responder) {
      return Handle(std::move(request), responder);
    };
    auto error_body = [](int, std::string message) { return message; };
    auto server =
        HttpServer::Listen(executor_, std::move(options), handler, error_body);
    if (!server.ok()) std::abort();
    server_ = *std::move(server);
    base_url_ = absl::StrCat("http://127.0.0.1:", server_->port());
  });
}

FakeMessages::~FakeMessages() {
  RunOn(executor_, [this] { server_.reset(); });
  executor_.Stop();
}

void FakeMessages::Add(MessagesReply reply) {
  MutexLock lock(mutex_);
  replies_.push_back(std::move(reply));
}

std::vector<FakeMessages::Request> FakeMessages::requests() const {
  MutexLock lock(mutex_);
  return requests_;
}

void FakeMessages::AwaitRequests(size_t count) const {
  MutexLock lock(mutex_);
  while (requests_.size() < count) taken_.Wait(mutex_);
}

MessagesReply FakeMessages::Take(ServerRequest request) {
  MutexLock lock(mutex_);
  requests_.push_back(
      {std::move(request.headers), json::parse(request.body, nullptr, false)});
  taken_.SignalAll();
  if (request.method != "POST" || request.path != "/v1/messages" ||
      replies_.empty()) {
    return Refuses(400, "invalid_request_error", "nobody expected this");
  }
  MessagesReply reply = std::move(replies_.front());
  replies_.pop_front();
  return reply;
}

Async<void> FakeMessages::Handle(ServerRequest request,
                                 ServerResponder& responder) {
  MessagesReply reply = Take(std::move(request));
  HttpHeaders headers = std::move(reply.headers);
  if (reply.status != 200) {
    headers.emplace_back("content-type", "application/json");
    (void)co_await responder.Send(reply.status, std::move(headers),
                                  std::move(reply.body));
    co_return;
  }
  headers.emplace_back("content-type", "text/event-stream");
  absl::Status status =
      co_await responder.StartStream(reply.status, std::move(headers));
  for (std::string& frame : reply.frames) {
    if (!status.ok()) co_return;
    status = co_await responder.Write(std::move(frame));
  }
  if (reply.then == MessagesReply::Then::kAbort) responder.Abort();
  // Until the server is stopped.
  if (reply.then == MessagesReply::Then::kHang) {
    co_await Sleep(executor_, absl::Hours(1));
  }
}

}  // namespace midwatch::testing
