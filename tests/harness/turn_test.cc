// Turns, from the message to the session being idle again, over the API.
#include <algorithm>

#include "tests/harness/harness_test_base.h"
#include "tests/harness/processes.h"

namespace midwatch::harness {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string FinalText(const std::vector<Json>& events) {
  std::string text;
  for (const Json& event : events) {
    if (StringMember(event, "type") == "agent.message") {
      text = StringMember(event["content"][0], "text");
    }
  }
  return text;
}

std::string StopReason(const std::vector<Json>& events) {
  if (events.empty()) return "no events";
  return StringMember(events.back()["stop_reason"], "type");
}

std::vector<std::string> Asked(const std::vector<Json>& events) {
  std::vector<std::string> ids;
  for (const Json& id : events.back()["stop_reason"]["event_ids"]) {
    ids.push_back(id.get<std::string>());
  }
  return ids;
}

class AskingTest : public HarnessTest {
 protected:
  void SetUp() override {
    HarnessTest::SetUp();
    Json toolset = {
        {"type", "agent_toolset_20260401"},
        {"default_config", {{"permission_policy", {{"type", "always_ask"}}}}}};
    Json custom = {{"type", "custom"},
                   {"name", "lookup"},
                   {"input_schema", {{"type", "object"}}}};
    Json agent = {{"name", "asks"},
                  {"model", "runbook"},
                  {"tools", Json::array({toolset, custom})}};
    agent_id_ = StringMember(client_.Post("/v1/agents", agent).body, "id");
  }
  // Answers, and reads until the session is idle again.
  std::vector<Json> Answer(const std::string& session, const Json& event) {
    EventReader reader(client_, session);
    Reply reply = client_.Post(Path(session, "/events"), Events({event}));
    EXPECT_EQ(reply.status, 200) << reply.text;
    return reader.Until("session.status_idle");
  }
};

TEST_F(AskingTest, APermissionIsAskedForAndGiven) {
  std::string session = NewSession();
  std::vector<Json> events = RunTurn(session, Block("echo hello"));
  EXPECT_EQ(StopReason(events), "requires_action");
  ASSERT_EQ(Asked(events).size(), 1u);
  Json allow = {{"type", "user.tool_confirmation"},
                {"tool_use_id", Asked(events)[0]},
                {"result", "allow"}};
  // The question outlives the harness.
  StopHarness();
  StartHarness();
  events = Answer(session, allow);
  EXPECT_EQ(StopReason(events), "end_turn");
  EXPECT_THAT(FinalText(events), HasSubstr("hello"));
  Reply again = client_.Post(Path(session, "/events"), Events({allow}));
  EXPECT_EQ(again.status, 400);
  EXPECT_THAT(again.message(), HasSubstr("waits for such an answer"));
}

TEST_F(AskingTest, ARefusalIsTheCallsResult) {
  std::string session = NewSession();
  std::vector<Json> events = RunTurn(session, Block("echo hello"));
  events = Answer(session, {{"type", "user.tool_confirmation"},
                            {"tool_use_id", Asked(events).at(0)},
                            {"result", "deny"},
                            {"deny_message", "not today"}});
  EXPECT_EQ(StopReason(events), "end_turn");
  EXPECT_THAT(FinalText(events), HasSubstr("Denied: not today"));
}

TEST_F(AskingTest, ACustomToolIsTheClients) {
  std::string session = NewSession();
  std::vector<Json> events =
      RunTurn(session, "```tool lookup\n{\"key\": 7}\n```\n");
  EXPECT_EQ(StopReason(events), "requires_action");
  EXPECT_THAT(TypesOf(events), Contains("agent.custom_tool_use"));
  events = Answer(
      session,
      {{"type", "user.custom_tool_result"},
       {"custom_tool_use_id", Asked(events).at(0)},
       {"content", Json::array({{{"type", "text"}, {"text", "it is 42"}}})}});
  EXPECT_EQ(StopReason(events), "end_turn");
  EXPECT_THAT(FinalText(events), HasSubstr("it is 42"));
}

TEST_F(AskingTest, AnAnswerInALongSession) {
  std::string session = NewSession();
  for (int turn = 0; turn < 3; ++turn) RunTurn(session, "nothing to run");
  std::vector<Json> events =
      RunTurn(session, Block("echo one") + Block("echo two"));
  for (int question = 0; question < 2; ++question) {
    EXPECT_EQ(StopReason(events), "requires_action");
    events = Answer(session, {{"type", "user.tool_confirmation"},
                              {"tool_use_id", Asked(events).at(0)},
                              {"result", "allow"}});
  }
  EXPECT_EQ(StopReason(events), "end_turn");
  EXPECT_THAT(FinalText(events), HasSubstr("two"));
}

TEST_F(AskingTest, AnInterruptEndsTheWaiting) {
  std::string session = NewSession();
  RunTurn(session, Block("echo hello"));
  std::vector<Json> events = Answer(session, {{"type", "user.interrupt"}});
  EXPECT_EQ(StopReason(events), "end_turn");
  EXPECT_EQ(StopReason(RunTurn(session, "nothing to run")), "end_turn");
}

TEST_F(HarnessTest, ATurnHasTheDocumentedSequence) {
  std::string session = NewSession();
  std::vector<Json> events = RunTurn(session, Block("echo hello"));
  EXPECT_THAT(
      TypesOf(events),
      ElementsAre("user.message", "user.message", "session.status_running",
                  "session.thread_status_running", "span.model_request_start",
                  "agent.tool_use", "span.model_request_end",
                  "agent.tool_result", "span.model_request_start",
                  "agent.message", "span.model_request_end",
                  "session.thread_status_idle", "session.usage",
                  "session.status_idle"));
  // Queued, then processed: the same event.
  EXPECT_EQ(events[0]["id"], events[1]["id"]);
  EXPECT_TRUE(events[0]["processed_at"].is_null());
  EXPECT_TRUE(events[1]["processed_at"].is_string());
  for (size_t i = 2; i < events.size(); ++i) {
    EXPECT_LT(StringMember(events[i - 1], "processed_at"),
              StringMember(events[i], "processed_at"));
  }
  EXPECT_EQ(StringMember(events[5]["input"], "command"), "echo hello\n");
  EXPECT_EQ(events[7]["tool_use_id"], events[5]["id"]);
  EXPECT_EQ(events[7]["is_error"], false);
  EXPECT_EQ(StringMember(events[7]["content"][0], "text"), "hello\n");
  EXPECT_EQ(events[6]["model_request_start_id"], events[4]["id"]);
  EXPECT_GT(events[6]["model_usage"]["input_tokens"].get<int>(), 0);
  EXPECT_THAT(FinalText(events), HasSubstr("Ran 1 of 1 blocks."));
  EXPECT_EQ(StopReason(events), "end_turn");
  // Two requests, a cent each.
  EXPECT_EQ(StringMember(events[12]["usage"]["list_cost"], "amount"), "2");

  // The history is what the stream showed, without the queued form.
  events.erase(events.begin());
  EXPECT_EQ(History(session), events);
  Json shown = client_.Get(Path(session)).body;
  EXPECT_EQ(StringMember(shown, "status"), "idle");
  EXPECT_EQ(StringMember(shown["usage"]["list_cost"], "amount"), "2");
  EXPECT_GT(shown["usage"]["active_seconds"].get<double>(), 0);
}

TEST_F(HarnessTest, InitialEventsStartTheSession) {
  Json more = {{"initial_events", Json::array({UserMessage(Block("true"))})}};
  std::string session = NewSession(more);
  EventReader reader(client_, session);
  // It may have ended before the stream was open.
  std::vector<Json> history = History(session);
  if (TypesOf(history).back() != "session.status_idle") {
    reader.Until("session.status_idle");
  }
  EXPECT_EQ(StopReason(History(session)), "end_turn");
}

TEST_F(HarnessTest, AFailingBlockIsAnErrorAndStopsTheRunbook) {
  std::string session = NewSession();
  std::vector<Json> events =
      RunTurn(session, Block("echo out; exit 3") + Block("echo never"));
  auto result = std::find_if(events.begin(), events.end(), [](const Json& e) {
    return StringMember(e, "type") == "agent.tool_result";
  });
  ASSERT_NE(result, events.end());
  EXPECT_EQ((*result)["is_error"], true);
  EXPECT_EQ(StringMember((*result)["content"][0], "text"),
            "out\n[exit status 3]");
  EXPECT_THAT(FinalText(events), HasSubstr("Ran 1 of 2 blocks."));
}

TEST_F(HarnessTest, FilesLastFromTurnToTurnVariablesDoNot) {
  std::string session = NewSession();
  RunTurn(session, Block("echo kept > file; x=5"));
  EXPECT_THAT(FinalText(RunTurn(session, Block("cat file; echo \"[$x]\""))),
              HasSubstr("kept\n[]"));
}

TEST_F(HarnessTest, BinaryOutputBecomesValidJson) {
  std::string session = NewSession();
  std::vector<Json> events =
      RunTurn(session, Block("printf 'a\\377\\000\\303b'; head -c 300000 "
                             "/dev/urandom"));
  EXPECT_EQ(StopReason(events), "end_turn");
  EXPECT_THAT(TypesOf(events), Contains("agent.tool_result"));
  EXPECT_THAT(Dump(events[7]), HasSubstr("[output truncated]"));
}

TEST_F(HarnessTest, QueuedMessagesTakeATurnEach) {
  std::string session = NewSession();
  EventReader reader(client_, session);
  Reply reply = client_.Post(Path(session, "/events"),
                             Events({UserMessage(Block("echo first")),
                                     UserMessage(Block("echo second"))}));
  ASSERT_EQ(reply.status, 200);
  ASSERT_EQ(reply.body["data"].size(), 2u);
  EXPECT_TRUE(reply.body["data"][1]["processed_at"].is_null());
  EXPECT_THAT(FinalText(reader.Until("session.status_idle")),
              HasSubstr("first"));
  std::vector<Json> second = reader.Until("session.status_idle");
  EXPECT_EQ(second[0]["id"], reply.body["data"][1]["id"]);
  EXPECT_THAT(FinalText(second), HasSubstr("second"));
}

TEST_F(HarnessTest, AnInterruptKillsTheCommandAndOvertakesTheQueue) {
  std::string session = NewSession();
  EventReader reader(client_, session);
  Say(session, Block("sleep 600"));
  reader.Until("agent.tool_use");
  Say(session, Block("echo next"));
  client_.Post(Path(session, "/events"),
               Events({Json{{"type", "user.interrupt"}}}));
  std::vector<Json> events = reader.Until("session.status_idle");
  EXPECT_EQ(StopReason(events), "end_turn");
  std::vector<std::string> types = TypesOf(events);
  // The interrupt is processed, the tool answered, the message still waits.
  EXPECT_THAT(std::vector<std::string>(types.end() - 5, types.end()),
              ElementsAre("user.interrupt", "agent.tool_result",
                          "session.thread_status_idle", "session.usage",
                          "session.status_idle"));
  EXPECT_THAT(FinalText(reader.Until("session.status_idle")),
              HasSubstr("next"));
  // Without a turn there is nothing to end.
  client_.Post(Path(session, "/events"),
               Events({Json{{"type", "user.interrupt"}}}));
  events = reader.Until("user.interrupt");
  events = reader.Until("user.interrupt");
  EXPECT_TRUE(events.back()["processed_at"].is_string());
  EXPECT_EQ(StringMember(client_.Get(Path(session)).body, "status"), "idle");
}

TEST_F(HarnessTest, ABudgetPausesAndARaiseResumes) {
  std::string session = NewSession({{"budget", Budget("2")}});
  EventReader reader(client_, session);
  Say(session, Block("echo 1") + Block("echo 2") + Block("echo 3"));
  std::vector<Json> events = reader.Until("session.status_idle");
  EXPECT_EQ(StopReason(events), "budget_reached");
  EXPECT_EQ(
      StringMember(events[events.size() - 2]["usage"]["list_cost"], "amount"),
      "2");

  Reply refused = Say(session, "more");
  EXPECT_EQ(refused.status, 400);
  Reply ignored = client_.Post(Path(session, "/events"),
                               Events({Json{{"type", "user.interrupt"}}}));
  EXPECT_EQ(ignored.status, 200);
  EXPECT_EQ(History(session, "?types[]=user.interrupt").size(), 0u);
  refused = client_.Post(Path(session), {{"budget", Budget("2")}});
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.code(), "budget_not_raised");

  Reply raised = client_.Post(Path(session), {{"budget", Budget("3")}});
  ASSERT_EQ(raised.status, 200);
  EXPECT_EQ(StringMember(raised.body, "status"), "running");
  events = reader.Until("session.status_idle");
  EXPECT_EQ(TypesOf(events)[0], "session.updated");
  EXPECT_EQ(StopReason(events), "budget_reached");

  Reply removed = client_.Post(Path(session), {{"budget", nullptr}});
  ASSERT_EQ(removed.status, 200);
  events = reader.Until("session.status_idle");
  EXPECT_EQ(StopReason(events), "end_turn");
  EXPECT_THAT(FinalText(events), HasSubstr("Ran 3 of 3 blocks."));
  refused = client_.Post(Path(session), {{"budget", Budget("9")}});
  EXPECT_EQ(refused.code(), "budget_create_only");
}

TEST_F(HarnessTest, ARunningSessionIsNeitherArchivedNorDeleted) {
  std::string session = NewSession();
  EventReader reader(client_, session);
  Say(session, Block("sleep 600"));
  reader.Until("agent.tool_use");
  EXPECT_EQ(client_.Post(Path(session, "/archive")).status, 400);
  EXPECT_EQ(client_.Delete(Path(session)).status, 400);
  client_.Post(Path(session, "/events"),
               Events({Json{{"type", "user.interrupt"}}}));
  reader.Until("session.status_idle");

  Reply archived = client_.Post(Path(session, "/archive"));
  EXPECT_EQ(archived.status, 200);
  EXPECT_EQ(StringMember(archived.body, "status"), "terminated");
  EXPECT_THAT(TypesOf(reader.Until("session.status_terminated")),
              Contains("session.status_terminated"));
  EXPECT_EQ(Say(session, "more").status, 409);
  EXPECT_EQ(client_.Post(Path(session), {{"title", "x"}}).status, 409);
  EXPECT_EQ(client_.Post(Path(session, "/archive")).status, 200);

  EXPECT_EQ(client_.Delete(Path(session)).status, 200);
  EXPECT_EQ(TypesOf(reader.Until("session.deleted")).back(), "session.deleted");
  EXPECT_TRUE(reader.Next().is_null());
  EXPECT_EQ(client_.Get(Path(session)).status, 404);
  EXPECT_EQ(client_.Delete(Path(session)).status, 404);
}

TEST_F(HarnessTest, AToolCallThatTakesTooLongIsKilled) {
  StopHarness();
  options_.tool_timeout = absl::Seconds(1);
  StartHarness();
  std::string session = NewSession();
  std::vector<Json> events =
      RunTurn(session, "runbook: continue-on-error\n" + Block("sleep 600") +
                           Block("echo a fresh shell"));
  EXPECT_THAT(FinalText(events), HasSubstr("1. timed out after 1s"));
  EXPECT_THAT(FinalText(events), HasSubstr("a fresh shell"));
}

TEST_F(HarnessTest, ShellsAreBoundedAndTurnsWait) {
  StopHarness();
  options_.max_concurrent_shells = 1;
  StartHarness();
  std::string first = NewSession();
  std::string second = NewSession();
  std::string third = NewSession();
  EventReader first_reader(client_, first);
  EventReader second_reader(client_, second);
  EventReader third_reader(client_, third);
  Say(first, Block("sleep 600"));
  first_reader.Until("agent.tool_use");
  Say(second, Block("echo second"));
  Say(third, Block("echo third"));
  second_reader.Until("span.model_request_end");
  third_reader.Until("span.model_request_end");
  EXPECT_EQ(StringMember(client_.Get(Path(second)).body, "status"), "running");
  // One that waits can be interrupted.
  Json interrupt = Events({Json{{"type", "user.interrupt"}}});
  client_.Post(Path(second, "/events"), interrupt);
  EXPECT_EQ(StopReason(second_reader.Until("session.status_idle")), "end_turn");
  client_.Post(Path(first, "/events"), interrupt);
  first_reader.Until("session.status_idle");
  EXPECT_THAT(FinalText(third_reader.Until("session.status_idle")),
              HasSubstr("third"));
}

TEST_F(HarnessTest, AnIdleSessionHasNoProcess) {
  std::string session = NewSession();
  const std::string marker = absl::StrCat("33", getpid(), "7");
  RunTurn(session, Block(absl::StrCat(
                       "setsid sleep ", marker,
                       " & until [ \"$(cat /proc/$!/comm)\" = sleep ]; do :; "
                       "done; echo up")));
  EXPECT_EQ(ProcessesWith(marker), 0);
  EXPECT_EQ(ProcessesWith(options_.data_dir + "/sessions/" + session), 0);
}

}  // namespace
}  // namespace midwatch::harness
