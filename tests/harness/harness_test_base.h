// A harness on a loopback port and a client of it, each on a thread of its own.
#ifndef MIDWATCH_TESTS_HARNESS_HARNESS_TEST_BASE_H_
#define MIDWATCH_TESTS_HARNESS_HARNESS_TEST_BASE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/blocking_pool.h"
#include "base/random.h"
#include "base/real_clock.h"
#include "base/real_executor.h"
#include "base/sqlite.h"
#include "harness/harness.h"
#include "harness/json.h"
#include "net/curl_transport.h"
#include "net/sse.h"
#include "tests/testing/coro_test.h"
#include "tests/testing/status_matchers.h"

namespace midwatch::harness {

using ::midwatch::testing::RunCoro;

struct Reply {
  int status = 0;
  HttpHeaders headers;
  std::string text;
  Json body;

  // Of an error.
  std::string type() const { return StringMember(body["error"], "type"); }
  std::string message() const { return StringMember(body["error"], "message"); }
  std::string code() const {
    const Json* details = Member(body["error"], "details");
    return details ? StringMember(*details, "error_code") : "";
  }
};

// Speaks to whatever listens at `base_url`.
class Client {
 public:
  explicit Client(RealExecutor& executor) : executor_(executor) {
    RunOn(executor_, [this] { transport_ = MakeCurlTransport(executor_); });
  }
  ~Client() {
    RunOn(executor_, [this] { transport_.reset(); });
  }

  HttpRequest Request(const std::string& method, const std::string& target,
                      const std::string& body = "") {
    HttpRequest request;
    request.method = method;
    request.url = base_url + target;
    request.headers = headers;
    if (!body.empty()) {
      request.headers.emplace_back("content-type", "application/json");
      request.body.push_back({body, ""});
    }
    return request;
  }

  Reply Send(HttpRequest request) {
    auto fetch = [&] { return transport_->Fetch(request); };
    absl::StatusOr<HttpResponse> response =
        RunCoro<absl::StatusOr<HttpResponse>>(executor_, fetch);
    Reply reply;
    reply.body = Json::object();
    if (!response.ok()) {
      ADD_FAILURE() << response.status();
      return reply;
    }
    reply.status = response->status;
    reply.headers = response->headers;
    reply.text = response->body;
    reply.body = ParseJson(response->body);
    return reply;
  }
  Reply Call(const std::string& method, const std::string& target,
             const Json& body) {
    return Send(Request(method, target, Dump(body)));
  }
  Reply Post(const std::string& target, const Json& body = Json::object()) {
    return Call("POST", target, body);
  }
  Reply Get(const std::string& target) { return Send(Request("GET", target)); }
  Reply Delete(const std::string& target) {
    return Send(Request("DELETE", target));
  }

  RealExecutor& executor() { return executor_; }
  HttpTransport& transport() { return *transport_; }

  std::string base_url;
  HttpHeaders headers = {{"x-api-key", "test-key"},
                         {"anthropic-version", "2026-10-21"},
                         {"anthropic-beta", "managed-agents-2026-04-01"}};

 private:
  RealExecutor& executor_;
  std::unique_ptr<HttpTransport> transport_;
};

// An open event stream of a session.
class EventReader {
 public:
  EventReader(Client& client, const std::string& session_id) : client_(client) {
    HttpRequest request = client.Request(
        "GET", absl::StrCat("/v1/sessions/", session_id, "/events/stream"));
    auto open = [&] { return client_.transport().OpenStream(request); };
    auto stream = RunCoro<absl::StatusOr<std::unique_ptr<HttpStream>>>(
        client_.executor(), open);
    EXPECT_OK(stream);
    if (stream.ok()) stream_ = *std::move(stream);
    if (stream_) {
      EXPECT_EQ(stream_->status(), 200);
    }
  }
  ~EventReader() {
    RunOn(client_.executor(), [this] { stream_.reset(); });
  }

  // The next frame, pings included; null at the end.
  Json Next() {
    while (frames_.empty()) {
      auto read = [&] { return stream_->Read(); };
      absl::StatusOr<std::string> bytes =
          RunCoro<absl::StatusOr<std::string>>(client_.executor(), read);
      if (!bytes.ok() || bytes->empty()) return nullptr;
      std::vector<SseFrame> frames;
      EXPECT_OK(parser_.Feed(*bytes, frames));
      for (SseFrame& frame : frames) frames_.push_back(std::move(frame));
    }
    Json event = ParseJson(frames_.front().data);
    EXPECT_EQ(StringMember(event, "type"), frames_.front().event);
    frames_.pop_front();
    return event;
  }

  // All up to and with the first event of this type (or the end), no pings.
  std::vector<Json> Until(const std::string& type) {
    std::vector<Json> events;
    while (true) {
      Json event = Next();
      if (event.is_null()) return events;
      if (StringMember(event, "type") == "ping") continue;
      events.push_back(event);
      if (StringMember(event, "type") == type) return events;
    }
  }

 private:
  Client& client_;
  std::unique_ptr<HttpStream> stream_;
  SseParser parser_;
  std::deque<SseFrame> frames_;
};

inline std::vector<std::string> TypesOf(const std::vector<Json>& events) {
  std::vector<std::string> types;
  for (const Json& event : events) types.push_back(StringMember(event, "type"));
  return types;
}

inline Json UserMessage(const std::string& text) {
  return {{"type", "user.message"},
          {"content", Json::array({{{"type", "text"}, {"text", text}}})}};
}
inline std::string Block(const std::string& script) {
  return absl::StrCat("```bash\n", script, "\n```\n");
}
inline Json Events(std::vector<Json> events) {
  return {{"events", std::move(events)}};
}
inline Json Budget(const std::string& cents) {
  return {{"type", "limit"},
          {"max_list_cost", {{"amount", cents}, {"currency", "USD"}}}};
}

class HarnessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/midwatch-harness-XXXXXX";
    options_.data_dir = mkdtemp(name);
    options_.api_key = "test-key";
    StartHarness();
    MakeDefinitions();
  }

  void TearDown() override {
    StopHarness();
    // What it has begun to remove is gone before the rest is removed.
    pool_.reset();
    std::filesystem::remove_all(options_.data_dir);
  }

  void StartHarness() {
    executor_.emplace("harness");
    RunOn(*executor_, [this] {
      transport_ = MakeCurlTransport(*executor_);
      options_.transport = transport_.get();
      absl::StatusOr<std::unique_ptr<Harness>> harness =
          Harness::Start(*executor_, *pool_, RealClock(), random_, options_);
      ASSERT_OK(harness);
      harness_ = *std::move(harness);
    });
    ASSERT_NE(harness_, nullptr);
    client_.base_url = harness_->base_url();
  }
  // As a program does it that lives on.
  void StopHarness() {
    if (harness_ == nullptr) return;
    RunOn(*executor_, [this] { harness_.reset(); });
    executor_->Stop();
    transport_.reset();
  }

  void MakeDefinitions() {
    Json toolset = {{"type", "agent_toolset_20260401"}};
    Json agent = {{"name", "runner"},
                  {"model", "runbook"},
                  {"tools", Json::array({toolset})}};
    agent_id_ = StringMember(client_.Post("/v1/agents", agent).body, "id");
    environment_id_ = StringMember(
        client_.Post("/v1/environments", {{"name", "env"}}).body, "id");
  }

  Json SessionBody() {
    return {{"agent", agent_id_}, {"environment_id", environment_id_}};
  }
  std::string NewSession(const Json& more = Json::object()) {
    Json body = SessionBody();
    body.update(more);
    Reply reply = client_.Post("/v1/sessions", body);
    EXPECT_EQ(reply.status, 200) << reply.text;
    return StringMember(reply.body, "id");
  }
  Reply Say(const std::string& session_id, const std::string& text) {
    return client_.Post(Path(session_id, "/events"),
                        Events({UserMessage(text)}));
  }
  static std::string Path(const std::string& session_id,
                          const std::string& rest = "") {
    return absl::StrCat("/v1/sessions/", session_id, rest);
  }
  // Says `text` and reads the stream until the session is idle.
  std::vector<Json> RunTurn(const std::string& session_id,
                            const std::string& text) {
    EventReader reader(client_, session_id);
    EXPECT_EQ(Say(session_id, text).status, 200);
    return reader.Until("session.status_idle");
  }
  std::vector<Json> History(const std::string& session_id,
                            const std::string& query = "") {
    Reply reply = client_.Get(Path(session_id, "/events" + query));
    EXPECT_EQ(reply.status, 200) << reply.text;
    std::vector<Json> events;
    for (const Json& event : reply.body["data"]) events.push_back(event);
    return events;
  }

  HarnessOptions options_;
  RealRandom random_;
  std::optional<RealExecutor> executor_;
  RealExecutor client_executor_{"client"};
  std::optional<ThreadBlockingPool> pool_{std::in_place, "pool", 2};
  Client client_{client_executor_};
  std::unique_ptr<HttpTransport> transport_;  // of the harness, to its models
  std::unique_ptr<Harness> harness_;
  std::string agent_id_;
  std::string environment_id_;
};

}  // namespace midwatch::harness

#endif  // MIDWATCH_TESTS_HARNESS_HARNESS_TEST_BASE_H_
