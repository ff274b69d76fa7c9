#include "agents/agents_client.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/testing/fake_executor.h"
#include "tests/testing/fake_http.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace midwatch {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using testing::StatusIs;

class AgentsClientTest : public ::testing::Test {
 protected:
  template <typename T>
  T Run(Async<T> call) {
    return testing::RunFake(time_, executor_, std::move(call));
  }
  const HttpRequest& Asked(size_t i = 0) { return http_.asked.at(i).request; }

  testing::VirtualTime time_;
  testing::FakeExecutor executor_{time_};
  testing::FakeClock clock_{time_};
  testing::FakeHttpTransport http_{executor_};
  AgentsClient client_{http_, executor_, clock_,
                       AgentsClientOptions{"https://host", "secret-key"}};
};

TEST_F(AgentsClientTest, CreateSessionSendsTheWholeSpecAndNoEvents) {
  http_.Reply(200, R"({"id":"sesn_1","status":"idle","metadata":{"k":"v"},)"
                   R"("usage":{},"created_at":"2026-11-23T10:00:00Z",)"
                   R"("archived_at":null})");
  SessionSpec spec;
  spec.agent = {"agent_1", 3};
  spec.environment_id = "env_1";
  spec.title = "name #1";
  spec.metadata = {{"k", "v"}};
  spec.budget_usd_micros = 1'239'999;
  spec.files = {{"file_1", "in/a.csv"}};
  absl::StatusOr<Session> session =
      Run(client_.CreateSession(spec, absl::Seconds(20)));
  ASSERT_OK(session);
  EXPECT_EQ(session->id, "sesn_1");
  EXPECT_EQ(session->status, "idle");
  EXPECT_EQ(session->metadata.at("k"), "v");
  EXPECT_FALSE(session->archived);
  EXPECT_EQ(session->list_cost_usd_micros, std::nullopt);
  EXPECT_EQ(session->created_at, absl::FromUnixSeconds(1795428000));

  EXPECT_EQ(Asked().method, "POST");
  EXPECT_EQ(Asked().url, "https://host/v1/sessions");
  EXPECT_EQ(Asked().timeout, absl::Seconds(20));
  EXPECT_EQ(HeaderValue(Asked().headers, "x-api-key"), "secret-key");
  EXPECT_EQ(HeaderValue(Asked().headers, "anthropic-version"), "2023-06-01");
  EXPECT_EQ(HeaderValue(Asked().headers, "anthropic-beta"),
            "managed-agents-2026-04-01");
  EXPECT_EQ(HeaderValue(Asked().headers, "content-type"), "application/json");
  EXPECT_EQ(Json::parse(http_.asked[0].body), Json::parse(R"({
    "agent": {"type": "agent", "id": "agent_1", "version": 3},
    "environment_id": "env_1", "title": "name #1", "metadata": {"k": "v"},
    "budget": {"type": "limit",
               "max_list_cost": {"amount": "123", "currency": "USD"}},
    "resources": [{"type": "file", "file_id": "file_1",
                   "mount_path": "in/a.csv"}]})"));
}

TEST_F(AgentsClientTest, NewestAgentAndSmallestBudget) {
  http_.Reply(200, R"({"id":"sesn_1"})");
  SessionSpec spec;
  spec.agent = {"agent_1", 0};
  spec.budget_usd_micros = 5;
  ASSERT_OK(Run(client_.CreateSession(spec, absl::Minutes(5))));
  Json body = Json::parse(http_.asked[0].body);
  EXPECT_FALSE(body["agent"].contains("version"));
  EXPECT_FALSE(body.contains("resources"));
  EXPECT_EQ(body["budget"]["max_list_cost"]["amount"], "1");
  EXPECT_EQ(Asked().timeout, absl::Seconds(60));  // the options' is shorter
}

TEST_F(AgentsClientTest, UnreadableAnswerMayHaveBeenExecuted) {
  for (const char* body : {"", "<html>", "{}", "[]"}) {
    http_.Reply(200, body);
    absl::Status status =
        Run(client_.CreateSession(SessionSpec(), absl::Seconds(9))).status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_TRUE(GetApiError(status)->maybe_executed);
    EXPECT_EQ(GetApiError(status)->operation, "create_session");
  }
}

TEST_F(AgentsClientTest, FailuresNeverShowTheKey) {
  http_.Reply(401, R"({"error":{"type":"authentication_error"}})");
  absl::Status status = Run(client_.GetSession("s")).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnauthenticated));
  EXPECT_THAT(status.ToString(), Not(HasSubstr("secret-key")));
}

TEST_F(AgentsClientTest, SendsMessagesAndInterrupts) {
  http_.Reply(200, "{}");
  std::vector<OutgoingEvent> events = {OutgoingMessage{"Do \"it\"\n"},
                                       OutgoingInterrupt{}};
  ASSERT_OK(Run(client_.SendEvents("sesn/1", events, absl::Seconds(5))));
  EXPECT_EQ(Asked().url, "https://host/v1/sessions/sesn%2F1/events");
  EXPECT_EQ(Json::parse(http_.asked[0].body), Json::parse(R"({"events": [
      {"type": "user.message",
       "content": [{"type": "text", "text": "Do \"it\"\n"}]},
      {"type": "user.interrupt"}]})"));
}

TEST_F(AgentsClientTest, ListsEventsPageByPage) {
  http_.Reply(200, R"({"data":[{"id":"1","type":"user.message"},7],)"
                   R"("next_page":"p/2"})");
  http_.Reply(200, R"({"data":[{"id":"2","type":"session.status_running"}],)"
                   R"("next_page":null})");
  ListEventsQuery query;
  query.types = {"user.message"};
  query.processed_from = absl::FromUnixMillis(1795428000250);
  absl::StatusOr<std::vector<Event>> events =
      Run(client_.ListAllEvents("sesn_1", query));
  ASSERT_OK(events);
  ASSERT_THAT(*events, SizeIs(2));
  EXPECT_EQ((*events)[1].id, "2");
  EXPECT_EQ(Asked(0).url,
            "https://host/v1/sessions/sesn_1/events?limit=1000"
            "&types%5B%5D=user.message"
            "&created_at%5Bgte%5D=2026-11-23T10%3A00%3A00.250000Z");
  EXPECT_THAT(Asked(1).url, HasSubstr("&page=p%2F2"));
}

TEST_F(AgentsClientTest, FilesNeedTheBetaHeaderOnlyForTheirScope) {
  testing::TempDir dir;
  std::ofstream(dir / "in") << "bytes";
  http_.Reply(200, R"({"id":"file_1","filename":"a","size_bytes":5})");
  http_.Reply(200,
              R"({"data":[{"id":"f","filename":"x","downloadable":false}],)"
              R"("next_page":"2"})");
  http_.Reply(200, R"({"data":[{"id":"g","filename":"y","size_bytes":3}],)"
                   R"("next_page":null})");
  http_.Reply(200, "content");
  http_.Reply(200, "held");
  absl::StatusOr<RemoteFile> uploaded =
      Run(client_.UploadFile(dir / "in", "a\"b.csv"));
  ASSERT_OK(uploaded);
  EXPECT_EQ(uploaded->id, "file_1");
  absl::StatusOr<std::vector<RemoteFile>> files =
      Run(client_.ListSessionFiles("sesn_1"));
  ASSERT_OK(files);
  ASSERT_THAT(*files, SizeIs(2));
  EXPECT_FALSE((*files)[0].downloadable);
  EXPECT_TRUE((*files)[1].downloadable);
  EXPECT_EQ((*files)[1].size_bytes, 3);
  ASSERT_OK(Run(client_.DownloadFile("g", dir / "out")));
  std::ostringstream out;
  out << std::ifstream(dir / "out").rdbuf();
  EXPECT_EQ(out.str(), "content");
  absl::StatusOr<std::string> held = Run(client_.ReadFileBytes("g"));
  ASSERT_OK(held);
  EXPECT_EQ(*held, "held");

  EXPECT_EQ(HeaderValue(Asked(0).headers, "anthropic-beta"), "");
  EXPECT_EQ(HeaderValue(Asked(1).headers, "anthropic-beta"),
            "managed-agents-2026-04-01");
  EXPECT_EQ(HeaderValue(Asked(3).headers, "anthropic-beta"), "");
  EXPECT_EQ(Asked(3).url, "https://host/v1/files/g/content");
  EXPECT_EQ(Asked(4).url, Asked(3).url);
  EXPECT_EQ(HeaderValue(Asked(4).headers, "accept"), "application/binary");
  // One part, whose boundary is the one announced.
  std::string type(HeaderValue(Asked(0).headers, "content-type"));
  std::string boundary = type.substr(type.find('=') + 1);
  EXPECT_EQ(http_.asked[0].body,
            "--" + boundary +
                "\r\ncontent-disposition: form-data; name=\"file\"; "
                "filename=\"a%22b.csv\"\r\n"
                "content-type: application/octet-stream\r\n\r\nbytes\r\n--" +
                boundary + "--\r\n");
}

TEST_F(AgentsClientTest, StreamDeliversEventsByTheirDataAndSkipsPings) {
  auto script = http_.ReplyStream();
  absl::StatusOr<std::unique_ptr<EventStream>> stream =
      Run(client_.OpenStream("sesn_1"));
  ASSERT_OK(stream);
  EXPECT_EQ(HeaderValue(Asked().headers, "accept"), "text/event-stream");
  script->Write("event: ping\ndata: {\"type\":\"ping\"}\n\n: comment\n\n");
  script->Write("event: whatever\ndata: {\"type\":\"user.mess");
  script->Write("age\",\"id\":\"1\"}\n\nevent: x\ndata: garbage\n\n");
  script->Write("event: x\ndata: {\"type\":\"new.type\",\"id\":\"2\"}\n\n");
  script->End();
  EXPECT_EQ(Run((*stream)->Next())->id, "1");
  EXPECT_EQ(Run((*stream)->Next())->id, "2");
  EXPECT_THAT(Run((*stream)->Next()), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(AgentsClientTest, ErrorFrameIsAFailure) {
  auto script = http_.ReplyStream();
  auto stream = Run(client_.OpenStream("sesn_1"));
  script->Write(
      "event: error\ndata: {\"type\":\"error\",\"error\":"
      "{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n");
  absl::Status status = Run((*stream)->Next()).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(GetApiError(status)->type, "overloaded_error");
}

TEST_F(AgentsClientTest, RefusedStreamReadsTheEnvelope) {
  auto script = http_.ReplyStream(404);
  script->Write(R"({"error":{"type":"not_)");
  script->Write(R"(found_error","message":"gone"}})");
  script->End();
  absl::Status status = Run(client_.OpenStream("sesn_1")).status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(GetApiError(status)->type, "not_found_error");
  EXPECT_EQ(GetApiError(status)->message, "gone");
}

TEST_F(AgentsClientTest, SilentStreamCountsAsLostAndAnyByteResetsThat) {
  auto script = http_.ReplyStream();
  auto stream = Run(client_.OpenStream("sesn_1"));
  std::optional<absl::StatusOr<Event>> next;
  auto read = [](EventStream& from,
                 std::optional<absl::StatusOr<Event>>& to) -> Async<void> {
    to = co_await from.Next();
  };
  Spawn(executor_, read(**stream, next));
  for (int i = 0; i < 5; ++i) {
    time_.Advance(absl::Seconds(70));
    script->Write(":");
  }
  EXPECT_FALSE(next.has_value());
  time_.Advance(absl::Seconds(74));
  EXPECT_FALSE(next.has_value());
  time_.Advance(absl::Seconds(2));
  ASSERT_TRUE(next.has_value());
  EXPECT_THAT(*next, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_TRUE(script->closed);
}

TEST_F(AgentsClientTest, CloseEndsAWaitingNext) {
  auto script = http_.ReplyStream();
  auto stream = Run(client_.OpenStream("sesn_1"));
  executor_.After(absl::Seconds(1), [&] { (*stream)->Close(); });
  EXPECT_THAT(Run((*stream)->Next()), StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace midwatch
