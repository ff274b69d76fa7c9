#include "agents/session_feed.h"

#include <gtest/gtest.h>

#include "tests/testing/fake_agents_service.h"
#include "tests/testing/fake_agents_transport.h"
#include "tests/testing/fake_executor.h"
#include "tests/testing/fake_http.h"
#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using testing::StatusIs;

std::string EventJson(const std::string& id, int second = -1) {
  std::string time =
      second < 0 ? "null"
                 : "\"" +
                       absl::FormatTime(absl::RFC3339_sec,
                                        absl::FromUnixSeconds(1'800'000'000) +
                                            absl::Seconds(second),
                                        absl::UTCTimeZone()) +
                       "\"";
  return R"({"type":"user.message","id":")" + id + R"(","processed_at":)" +
         time + "}";
}

std::string Frame(const std::string& json) {
  return "event: e\ndata: " + json + "\n\n";
}

std::string PageJson(const std::vector<std::string>& events) {
  std::string data;
  for (const std::string& event : events) {
    data += (data.empty() ? "" : ",") + event;
  }
  return R"({"data":[)" + data + R"(],"next_page":null})";
}

class SessionFeedTest : public ::testing::Test {
 protected:
  template <typename T>
  T Run(Async<T> call) {
    return testing::RunFake(time_, executor_, std::move(call));
  }
  // Id and state of the next event.
  std::string Next() {
    absl::StatusOr<Event> event = Run(feed_.Next());
    if (!event.ok()) return event.status().ToString();
    return event->id + (event->processed_at ? "" : "?");
  }

  testing::VirtualTime time_;
  testing::FakeExecutor executor_{time_};
  testing::FakeClock clock_{time_};
  SeededRandom random_{1};
  testing::FakeHttpTransport http_{executor_};
  AgentsClient client_{http_, executor_, clock_,
                       AgentsClientOptions{"https://host", "key"}};
  SessionFeed feed_{client_, executor_, random_, "sesn_1"};
};

TEST_F(SessionFeedTest, FreshFeedReadsNoHistory) {
  auto script = http_.ReplyStream();
  ASSERT_OK(Run(feed_.Open()));
  script->Write(Frame(EventJson("a")) + Frame(EventJson("a", 1)));
  EXPECT_EQ(Next(), "a?");
  EXPECT_EQ(Next(), "a");
  EXPECT_EQ(http_.asked.size(), 1u);
}

TEST_F(SessionFeedTest, HistoryComesFirstAndNothingTwice) {
  auto script = http_.ReplyStream();
  http_.Reply(200, PageJson({EventJson("a", 1), EventJson("b", 2)}));
  // Came while the history was read; the last one queued before that.
  script->Write(Frame(EventJson("b", 2)) + Frame(EventJson("a")) +
                Frame(EventJson("c", 3)) + Frame(EventJson("c", 3)));
  ASSERT_OK(Run(feed_.CatchUp(true)));
  EXPECT_TRUE(feed_.has_backlog());
  EXPECT_EQ(Next(), "a");
  EXPECT_EQ(Next(), "b");
  EXPECT_FALSE(feed_.has_backlog());
  EXPECT_EQ(Next(), "c");
  script->Write(Frame(EventJson("d", 4)));
  EXPECT_EQ(Next(), "d");
  EXPECT_THAT(http_.asked[1].request.url, Not(HasSubstr("created_at")));
}

TEST_F(SessionFeedTest, ReopensWhereItWasCutAndReadsAMinuteBack) {
  auto first = http_.ReplyStream();
  ASSERT_OK(Run(feed_.Open()));
  first->Write(Frame(EventJson("a", 100)));
  EXPECT_EQ(Next(), "a");
  first->Cut();
  auto second = http_.ReplyStream();
  http_.Reply(200, PageJson({EventJson("a", 100), EventJson("b", 101)}));
  second->Write(Frame(EventJson("b", 101)) + Frame(EventJson("c", 102)));
  EXPECT_EQ(Next(), "b");
  EXPECT_EQ(Next(), "c");
  // 100 s less a minute.
  EXPECT_THAT(http_.asked[2].request.url, HasSubstr("08%3A00%3A40.000000Z"));
  // The stream was opened before the history was read.
  EXPECT_THAT(http_.asked[1].request.url, HasSubstr("/events/stream"));
}

TEST_F(SessionFeedTest, BacksOffAndGoesOnThroughPassingFailures) {
  auto first = http_.ReplyStream();
  ASSERT_OK(Run(feed_.Open()));
  first->Cut();
  for (int i = 0; i < 4; ++i) http_.FailStream(absl::UnavailableError("away"));
  http_.ReplyStream();
  http_.Reply(503, "");  // the history; the stream before it is of no use
  auto last = http_.ReplyStream();
  http_.Reply(200, PageJson({EventJson("a", 1)}));
  EXPECT_EQ(Next(), "a");
  // 0.5 + 1 + 2 + 4 + 8 + 10 s, each at least half of it.
  EXPECT_GE(time_.Elapsed(), absl::Seconds(25.5 / 2));
  EXPECT_LE(time_.Elapsed(), absl::Seconds(25.5));
}

TEST_F(SessionFeedTest, WaitsAsLongAsTheServiceAsks) {
  auto first = http_.ReplyStream();
  ASSERT_OK(Run(feed_.Open()));
  first->Cut();
  auto limited = http_.ReplyStream(429);
  limited->headers = {{"retry-after", "40"}};
  limited->End();
  http_.ReplyStream();
  http_.Reply(200, PageJson({EventJson("a", 1)}));
  EXPECT_EQ(Next(), "a");
  EXPECT_GE(time_.Elapsed(), absl::Seconds(40));
}

TEST_F(SessionFeedTest, OtherFailuresAreReturned) {
  auto first = http_.ReplyStream();
  ASSERT_OK(Run(feed_.Open()));
  first->Cut();
  http_.ReplyStream(404)->End();
  EXPECT_THAT(Run(feed_.Next()), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(SessionFeedTest, SessionWithoutAStreamStillHasItsHistory) {
  http_.ReplyStream(400)->End();
  http_.Reply(200, PageJson({EventJson("a", 1)}));
  ASSERT_OK(Run(feed_.CatchUp(true)));
  EXPECT_EQ(Next(), "a");
  EXPECT_THAT(Run(feed_.Next()), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(SessionFeedTest, WhatWasMarkedIsNotDelivered) {
  feed_.MarkSeen(ParseEvent(EventJson("a", 1)).value());
  feed_.MarkSeen(ParseEvent(EventJson("b", 90)).value());
  http_.ReplyStream();
  http_.Reply(200, PageJson({EventJson("b", 90), EventJson("c", 95)}));
  ASSERT_OK(Run(feed_.CatchUp(false)));
  EXPECT_EQ(Next(), "c");
  EXPECT_THAT(http_.asked[1].request.url, HasSubstr("08%3A00%3A30.000000Z"));
}

TEST_F(SessionFeedTest, CloseEndsAWaitForTheStream) {
  http_.ReplyStream();
  ASSERT_OK(Run(feed_.Open()));
  executor_.After(absl::Seconds(1), [&] { feed_.Close(); });
  EXPECT_THAT(Run(feed_.Next()), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(time_.Elapsed(), absl::Seconds(1));
}

TEST_F(SessionFeedTest, CloseEndsAWaitForItsReturn) {
  http_.ReplyStream()->Cut();
  ASSERT_OK(Run(feed_.Open()));
  for (int i = 0; i < 9; ++i) http_.FailStream(absl::UnavailableError("away"));
  executor_.After(absl::Seconds(5), [&] { feed_.Close(); });
  EXPECT_THAT(Run(feed_.Next()), StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(time_.Elapsed(), absl::Seconds(5));
}

// The same against a service: however often the stream is cut, the feed shows
// the session's history, once and in order.
TEST(SessionFeedStoryTest, ShowsTheWholeHistoryOnce) {
  testing::VirtualTime time;
  testing::FakeClock clock(time);
  testing::FakeExecutor service_executor(time), node(time);
  testing::FakeAgentsService service(service_executor, clock);
  testing::FakeAgentsTransport transport(service, node, "node");
  SeededRandom random(7);
  AgentsClient client(transport, node, clock,
                      AgentsClientOptions{"https://host", "key"});
  int written = 0;
  service.hooks.on_stream_event = [&](const std::string&) {
    return ++written % 3 == 0 ? testing::FakeStreamFault::kCut
                              : testing::FakeStreamFault::kNone;
  };
  service.hooks.script = [](const testing::FakePrompt&) {
    testing::FakeTurn turn;
    turn.duration = absl::Seconds(30);
    turn.tool_calls = 10;
    return turn;
  };
  auto story = [&]() -> Async<std::vector<std::string>> {
    AgentRef agent = (co_await client.CreateAgent("{}")).value();
    std::string environment = (co_await client.CreateEnvironment("{}")).value();
    SessionSpec spec;
    spec.agent = agent;
    spec.environment_id = environment;
    spec.budget_usd_micros = 1'000'000;
    Session session =
        (co_await client.CreateSession(spec, absl::Seconds(30))).value();
    SessionFeed feed(client, node, random, session.id);
    EXPECT_OK(co_await feed.Open());
    std::vector<OutgoingEvent> events;
    events.push_back(OutgoingMessage{"go"});
    EXPECT_OK(co_await client.SendEvents(session.id, std::move(events),
                                         absl::Seconds(30)));
    std::vector<std::string> seen;
    while (true) {
      Event event = (co_await feed.Next()).value();
      if (event.processed_at) seen.push_back(event.json);
      if (event.type == "session.status_idle") break;
    }
    co_return seen;
  };
  std::vector<std::string> seen = testing::RunFake(time, node, story());
  EXPECT_EQ(seen, service.History(service.Sessions()[0].id));
  EXPECT_GE(service.Calls("stream_events"), 3);
}

}  // namespace
}  // namespace midwatch
