// A harness that is killed goes on where its log says: kill -9 in the middle of
// a tool call, and after each durable event in turn.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault_points.h"
#include "base/process.h"
#include "tests/harness/harness_test_base.h"
#include "tests/testing/fake_messages.h"

namespace midwatch::harness {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class ServerProcess {
 public:
  // `fault` is the value of MIDWATCH_FAULT, `model_url` a server of the
  // Messages API; empty for none.
  ServerProcess(const std::string& data_dir, const std::string& fault,
                const std::string& model_url) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return;
    OwnedFd reader(fds[0]), writer(fds[1]);
    SpawnRequest request;
    request.argv = {(fs::read_symlink("/proc/self/exe").parent_path() /
                     "harness_test_server")
                        .string(),
                    data_dir};
    if (!model_url.empty()) request.argv.push_back(model_url);
    request.environment = {"PATH=/usr/bin:/bin", "MIDWATCH_FAULT=" + fault};
    request.fds = {STDIN_FILENO, writer.get(), STDERR_FILENO};
    absl::StatusOr<pid_t> pid = SpawnProcess(request);
    EXPECT_OK(pid);
    if (!pid.ok()) return;
    pid_ = *pid;
    writer = OwnedFd();
    char byte;
    while (read(reader.get(), &byte, 1) == 1 && byte != '\n') {
      url_ += byte;
    }
  }
  ~ServerProcess() { End(SIGKILL); }
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  void End(int signal) {
    if (pid_ <= 0) return;
    kill(pid_, signal);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  const std::string& url() const { return url_; }

 private:
  pid_t pid_ = -1;
  std::string url_;
};

class RestartTest : public HarnessTest {
 protected:
  void SetUp() override {
    HarnessTest::SetUp();
    StopHarness();
  }
  void TearDown() override {
    server_.reset();
    HarnessTest::TearDown();
  }

  void Serve(const std::string& fault = "") {
    server_.reset();
    server_ =
        std::make_unique<ServerProcess>(options_.data_dir, fault, model_url_);
    client_.base_url = server_->url();
  }

  // Whether the request was answered; the server may be killed meanwhile.
  bool Answered(const HttpRequest& request, Json& body) {
    auto fetch = [&] { return client_.transport().Fetch(request); };
    auto response =
        RunCoro<absl::StatusOr<HttpResponse>>(client_executor_, fetch);
    if (!response.ok()) return false;
    EXPECT_EQ(response->status, 200) << response->body;
    body = ParseJson(response->body);
    return true;
  }

  // A command in a sandbox has come so far. Where it does not, the test's own
  // time limit ends it.
  static void AwaitFile(const std::string& path) {
    while (!fs::exists(path)) usleep(1000);
  }

  void AwaitIdle(const std::string& session) {
    EventReader reader(client_, session);
    std::vector<Json> history = History(session);
    if (history.empty() ||
        StringMember(history.back(), "type") != "session.status_idle") {
      reader.Until("session.status_idle");
    }
  }

  int64_t Number(const char* sql, const std::string& session) {
    SqliteOptions read_only;
    read_only.read_only = true;
    auto db = Sqlite::Open(options_.data_dir + "/harness.db", read_only);
    if (!db.ok()) {
      ADD_FAILURE() << db.status();
      return -1;
    }
    SqliteStatement row = (*db)->Query(sql, session);
    EXPECT_TRUE(row.Step()) << row.status();
    return row.Int(0);
  }

  std::unique_ptr<ServerProcess> server_;
  std::string model_url_;
};

TEST_F(RestartTest, AnAnswerThatWasStreamingIsAskedForAgain) {
  testing::FakeMessages messages;
  model_url_ = messages.base_url();
  Json call = {{"command", "echo run >> count; cat count"}};
  messages.Add(testing::Calls("bash", nlohmann::json(call)));
  messages.Add(
      Cut(testing::Says("lost"), 5, testing::MessagesReply::Then::kHang));
  messages.Add(testing::Says("done"));
  Serve();
  Json toolset = {{"type", "agent_toolset_20260401"}};
  Json agent = {{"name", "claude"},
                {"model", "claude-haiku-4-5"},
                {"tools", Json::array({toolset})}};
  agent_id_ = StringMember(client_.Post("/v1/agents", agent).body, "id");
  std::string session = NewSession();
  ASSERT_EQ(Say(session, "go").status, 200);
  messages.AwaitRequests(2);
  server_->End(SIGKILL);
  Serve();
  AwaitIdle(session);

  std::vector<Json> history = History(session);
  EXPECT_THAT(
      TypesOf(history),
      ::testing::ElementsAre(
          "user.message", "session.status_running",
          "session.thread_status_running", "span.model_request_start",
          "agent.tool_use", "span.model_request_end", "agent.tool_result",
          "span.model_request_start", "span.model_request_end",
          "span.model_request_start", "agent.message", "span.model_request_end",
          "session.thread_status_idle", "session.usage",
          "session.status_idle"));
  EXPECT_EQ(history[8]["is_error"], true);
  EXPECT_EQ(StringMember(history[6]["content"][0], "text"), "run\n");
  EXPECT_EQ(StringMember(history[10]["content"][0], "text"), "done");
  // The same question, byte for byte.
  ASSERT_EQ(messages.requests().size(), 3u);
  EXPECT_EQ(messages.requests()[2].body, messages.requests()[1].body);
  EXPECT_EQ(Number("SELECT count(*) FROM model_request WHERE session_id = ?",
                   session),
            2);
}

TEST_F(RestartTest, ABlockThatWasRunningIsRunAgainInTheSameDirectory) {
  Serve();
  std::string session = NewSession();
  // The second run finds what the first left, and ends.
  Say(session, Block("echo run >> runs; x=$(wc -l < runs); "
                     "[ $x = 1 ] && sleep 600; cat runs"));
  AwaitFile(options_.data_dir + "/sessions/" + session + "/workspace/runs");
  server_->End(SIGKILL);

  Serve();
  AwaitIdle(session);
  std::vector<Json> results = History(session, "?types[]=agent.tool_result");
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(StringMember(results[0]["content"][0], "text"), "run\nrun\n");
  EXPECT_EQ(Number("SELECT count(*) FROM model_request WHERE session_id = ?",
                   session),
            2);
}

TEST_F(RestartTest, ASteadyEndLeavesTheTurnForTheNextStart) {
  Serve();
  std::string session = NewSession();
  Say(session, Block("[ -e once ] || { touch once; sleep 600; }; echo done"));
  AwaitFile(options_.data_dir + "/sessions/" + session + "/workspace/once");
  server_->End(SIGTERM);
  Serve();
  AwaitIdle(session);
  EXPECT_THAT(Dump(Json(History(session, "?types[]=agent.message"))),
              HasSubstr("done"));
}

TEST_F(RestartTest, KilledAfterEachEventTheTurnIsCompletedOnce) {
  const std::string script =
      Block("echo 1 > /mnt/session/outputs/one.txt") + Block("echo 2");
  bool killed = true;
  int points = 0;
  for (int n = 1; killed; ++n) {
    ASSERT_LT(n, 50);
    killed = false;
    Serve(absl::StrCat("harness.event.after:", n));
    // The create may be lost; it was durable then.
    Json body = SessionBody();
    body["metadata"] = {{"task", absl::StrCat(n)}};
    Json answer;
    if (!Answered(client_.Request("POST", "/v1/sessions", Dump(body)),
                  answer)) {
      killed = true;
      Serve();
      answer = client_.Get("/v1/sessions?limit=1").body["data"][0];
      ASSERT_EQ(StringMember(answer["metadata"], "task"), absl::StrCat(n));
    }
    std::string session = StringMember(answer, "id");
    Json said;
    bool sent = Answered(client_.Request("POST", Path(session, "/events"),
                                         Dump(Events({UserMessage(script)}))),
                         said);
    if (!sent) {
      killed = true;
      Serve();
    }
    // The rest of the turn, over another death if it comes. The stream ends
    // when the server does.
    if (!killed) {
      HttpRequest read = client_.Request("GET", Path(session, "/events"));
      while (true) {
        Json history;
        if (!Answered(read, history)) {
          killed = true;
          Serve();
          break;
        }
        if (Dump(history).find("session.status_idle") != std::string::npos) {
          break;
        }
      }
    }
    AwaitIdle(session);
    points += killed ? 1 : 0;

    SCOPED_TRACE(absl::StrCat("killed after event ", n));
    auto count = [&](const std::string& type) {
      return History(session, "?types[]=" + type).size();
    };
    EXPECT_EQ(count("user.message"), 1u);
    EXPECT_EQ(count("agent.tool_use"), 2u);
    EXPECT_EQ(count("agent.tool_result"), 2u);
    EXPECT_EQ(count("agent.message"), 1u);
    EXPECT_EQ(count("session.status_running"), 1u);
    EXPECT_EQ(count("session.status_idle"), 1u);
    EXPECT_EQ(count("span.model_request_start"),
              count("span.model_request_end"));
    EXPECT_EQ(Number("SELECT count(*) FROM model_request WHERE session_id = ?",
                     session),
              3);
    EXPECT_EQ(
        Number("SELECT cost_usd_micros FROM session WHERE id = ?", session),
        30'000);
    Json files = client_.Get("/v1/files?scope_id=" + session).body["data"];
    ASSERT_EQ(files.size(), 1u);
    EXPECT_EQ(StringMember(files[0], "filename"), "one.txt");
  }
  // Every commit of the turn was a place to die.
  EXPECT_GE(points, 10);
}

TEST_F(RestartTest, WhatASessionAtRestWasSentIsDealtWithAfterADeath) {
  Serve("harness.send.after");
  std::string session = NewSession();
  Json answer;
  const Json interrupt = Events({Json{{"type", "user.interrupt"}}});
  EXPECT_FALSE(Answered(
      client_.Request("POST", Path(session, "/events"), Dump(interrupt)),
      answer));
  const char* unseen =
      "SELECT count(*) FROM event WHERE session_id = ? AND processed_at IS "
      "NULL";
  EXPECT_EQ(Number(unseen, session), 1);
  Serve();
  // Where nobody looks at it, the test's own time limit ends it.
  while (Number(unseen, session) > 0) usleep(1000);
  EXPECT_EQ(History(session, "?types[]=user.interrupt").size(), 1u);
}

TEST_F(RestartTest, OneHarnessPerDirectory) {
  Serve();
  ServerProcess second(options_.data_dir, "", "");
  EXPECT_EQ(second.url(), "");
}

}  // namespace
}  // namespace midwatch::harness
