// Limits, faults, the spend cap and keys, through real sockets.
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "tests/harness/harness_test_base.h"

namespace midwatch::harness {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class ApiGateTest : public HarnessTest {
 protected:
  void Restart() {
    StopHarness();
    StartHarness();
  }
  void RestartWith(const std::string& faults) {
    absl::StatusOr<FaultPlan> plan = ParseFaults(faults);
    ASSERT_OK(plan);
    options_.faults = *plan;
    Restart();
  }
  Json Stats() {
    Reply reply = client_.Get("/harness/stats");
    EXPECT_EQ(reply.status, 200) << reply.text;
    return reply.body;
  }
  int64_t Fired(Fault fault) {
    return Stats()["faults"][NameOf(fault)].get<int64_t>();
  }
  int64_t Sessions() {
    return static_cast<int64_t>(
        client_.Get("/v1/sessions").body["data"].size());
  }
};

std::string Header(const Reply& reply, const std::string& name) {
  return std::string(HeaderValue(reply.headers, name));
}

TEST_F(ApiGateTest, OverALimitNothingIsExecuted) {
  options_.rate_limits.create_per_minute = 2;
  options_.rate_limits.burst = 3;
  Restart();
  Reply first = client_.Post("/v1/sessions", SessionBody());
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(Header(first, "anthropic-ratelimit-requests-limit"), "2");
  EXPECT_EQ(Header(first, "anthropic-ratelimit-requests-remaining"), "2");
  EXPECT_THAT(Header(first, "anthropic-ratelimit-requests-reset"),
              HasSubstr("Z"));
  const std::string session = NewSession();
  // Writes share the limit of creates.
  EXPECT_EQ(client_.Post(Path(session, "/archive")).status, 200);
  Reply refused = client_.Post("/v1/sessions", SessionBody());
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.type(), "rate_limit_error");
  EXPECT_NE(StringMember(refused.body, "request_id"), "");
  int seconds = 0;
  ASSERT_TRUE(absl::SimpleAtoi(Header(refused, "retry-after"), &seconds));
  EXPECT_GE(seconds, 1);
  EXPECT_LE(seconds, 30);

  EXPECT_EQ(
      client_.Get("/v1/sessions?include_archived=true").body["data"].size(),
      2u);
  EXPECT_EQ(Header(client_.Get("/v1/sessions"), "retry-after"), "");
  Json stats = Stats();
  EXPECT_EQ(stats["over_limit"]["create"], 1);
  EXPECT_EQ(stats["requests"]["create"]["POST /v1/sessions"], 3);
  EXPECT_EQ(stats["requests"]["write"]["POST /v1/sessions/{}/archive"], 1);
  EXPECT_EQ(stats["requests"]["read"]["GET /v1/sessions"], 2);
}

TEST_F(ApiGateTest, StatsNeedTheKey) {
  client_.headers[0] = {"x-api-key", "wrong"};
  EXPECT_EQ(client_.Get("/harness/stats").status, 401);
}

struct InsteadCase {
  const char* faults;
  Fault fault;
  int status;
  const char* type;
  const char* retry_after;
};

TEST_F(ApiGateTest, RequestsThatFailInsteadAreNotExecuted) {
  constexpr InsteadCase kCases[] = {
      {"429=1", Fault::kLimited, 429, "rate_limit_error", "1"},
      {"429-bare=1", Fault::kLimitedBare, 429, "rate_limit_error", ""},
      {"529=1", Fault::kOverloaded, 529, "overloaded_error", ""},
      {"500=1", Fault::kBroken, 500, "api_error", ""},
  };
  for (const InsteadCase& c : kCases) {
    RestartWith(c.faults);
    Reply reply = client_.Post("/v1/sessions", SessionBody());
    EXPECT_EQ(reply.status, c.status) << c.faults;
    EXPECT_EQ(reply.type(), c.type) << c.faults;
    EXPECT_EQ(Header(reply, "retry-after"), c.retry_after) << c.faults;
    EXPECT_EQ(Fired(c.fault), 1) << c.faults;
  }
  RestartWith("");
  EXPECT_EQ(Sessions(), 0);
}

TEST_F(ApiGateTest, ARestartDoesNotBeginTheFaultsAgain) {
  auto fates = [&] {
    std::vector<int> statuses;
    for (int i = 0; i < 32; ++i) {
      statuses.push_back(client_.Get("/v1/sessions").status);
    }
    return statuses;
  };
  RestartWith("529=0.5");
  const std::vector<int> before = fates();
  Restart();
  EXPECT_NE(fates(), before);
}

TEST_F(ApiGateTest, ALostAnswerWasExecuted) {
  RestartWith("lost=1");
  HttpRequest request =
      client_.Request("POST", "/v1/sessions", Dump(SessionBody()));
  auto fetch = [&] { return client_.transport().Fetch(request); };
  EXPECT_FALSE(
      RunCoro<absl::StatusOr<HttpResponse>>(client_executor_, fetch).ok());
  EXPECT_EQ(Fired(Fault::kLost), 1);
  RestartWith("");
  EXPECT_EQ(Sessions(), 1);
}

TEST_F(ApiGateTest, ANewSessionIsMissingFromListsOnly) {
  RestartWith("late-list=1h");
  const std::string session = NewSession();
  EXPECT_EQ(Sessions(), 0);
  EXPECT_EQ(client_.Get(Path(session)).status, 200);
  EXPECT_GE(Fired(Fault::kLateList), 1);
  RestartWith("late-list=1us");
  EXPECT_EQ(Sessions(), 1);
  EXPECT_EQ(Fired(Fault::kLateList), 0);
}

TEST_F(ApiGateTest, AStreamIsCut) {
  options_.ping_interval = absl::Milliseconds(20);
  RestartWith("cut=50ms");
  const std::string session = NewSession();
  EventReader reader(client_, session);
  EXPECT_EQ(reader.Until("session.status_idle").size(), 0u)
      << "pings, and then the end";
  EXPECT_EQ(Fired(Fault::kCut), 1);
}

TEST_F(ApiGateTest, EveryFrameComesTwice) {
  RestartWith("double=1");
  const std::string session = NewSession();
  EventReader reader(client_, session);
  EXPECT_EQ(Say(session, Block("echo hi")).status, 200);
  const Json first = reader.Next();
  EXPECT_EQ(first, reader.Next());
  EXPECT_GE(Fired(Fault::kDoubled), 1);
}

TEST_F(ApiGateTest, ASlowStreamBringsAllInOrder) {
  RestartWith("slow=1");
  const std::string session = NewSession();
  const absl::Duration began = RealClock().Steady();
  std::vector<Json> events = RunTurn(session, "nothing to run");
  EXPECT_EQ(TypesOf(events).back(), "session.status_idle");
  EXPECT_GE(RealClock().Steady() - began,
            absl::Milliseconds(500) * events.size());
  EXPECT_EQ(Fired(Fault::kSlow), 1);
}

TEST_F(ApiGateTest, ASessionOvershootsByOneRequest) {
  RestartWith("overshoot=1");
  const std::string session = NewSession({{"budget", Budget("10")}});
  std::vector<Json> events = RunTurn(session, Block("echo hi"));
  EXPECT_EQ(events.back()["stop_reason"]["type"], "end_turn");
  // A cent for the block's request, then the nine left and a cent.
  EXPECT_EQ(client_.Get(Path(session)).body["usage"]["list_cost"]["amount"],
            "11");
  EXPECT_EQ(Fired(Fault::kOvershoot), 1);
}

TEST_F(ApiGateTest, AtTheSpendCapNothingMoreStarts) {
  options_.spend_cap_usd_micros = 10'000;
  Restart();
  const std::string session = NewSession();
  const std::string waiting = NewSession();
  std::vector<Json> events = RunTurn(session, Block("echo hi"));
  // The cap is met in the middle of the turn.
  EXPECT_THAT(TypesOf(events), Contains("session.error"));
  for (const Json& event : events) {
    if (StringMember(event, "type") != "session.error") continue;
    EXPECT_EQ(event["error"]["type"], "billing_error");
  }
  for (const Reply& reply : {client_.Post("/v1/sessions", SessionBody()),
                             Say(waiting, Block("echo hi"))}) {
    EXPECT_EQ(reply.status, 429);
    EXPECT_EQ(reply.type(), "rate_limit_error");
    EXPECT_EQ(reply.code(), "enforced_spend_limit_reached");
    EXPECT_EQ(Header(reply, "retry-after"), "");
  }
  EXPECT_EQ(client_.Get(Path(session)).status, 200);
  EXPECT_EQ(client_.Post(Path(session, "/archive")).status, 200);
}

TEST_F(ApiGateTest, AKeyIsReplacedAndRevokedWhileItRuns) {
  options_.api_key_file = options_.data_dir + "/key";
  const auto write = [this](const std::string& key) {
    std::ofstream(options_.api_key_file) << key << "\n";
  };
  write("test-key");
  Restart();
  EXPECT_EQ(client_.Get("/v1/agents").status, 200);
  write("another");
  EXPECT_EQ(client_.Get("/v1/agents").status, 401);
  client_.headers[0] = {"x-api-key", "another"};
  EXPECT_EQ(client_.Get("/v1/agents").status, 200);
  std::filesystem::remove(options_.api_key_file);
  EXPECT_EQ(client_.Get("/v1/agents").status, 401);
  client_.headers[0] = {"x-api-key", ""};
  EXPECT_EQ(client_.Get("/v1/agents").status, 401)
      << "no key is no key, not the empty one";
}

}  // namespace
}  // namespace midwatch::harness
