// Resources, lists, errors and streams over the API.
#include <set>

#include "absl/strings/str_replace.h"
#include "net/http.h"
#include "tests/harness/harness_test_base.h"

namespace midwatch::harness {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

std::vector<std::string> IdsOf(const Reply& page) {
  std::vector<std::string> ids;
  for (const Json& item : page.body["data"]) {
    ids.push_back(StringMember(item, "id"));
  }
  return ids;
}

void ExpectError(const Reply& reply, int status, const std::string& type) {
  EXPECT_EQ(reply.status, status) << reply.text;
  EXPECT_EQ(StringMember(reply.body, "type"), "error") << reply.text;
  EXPECT_EQ(reply.type(), type) << reply.text;
  EXPECT_NE(StringMember(reply.body, "request_id"), "");
}

TEST_F(HarnessTest, EveryAnswerHasARequestId) {
  Reply reply = client_.Get("/v1/agents");
  EXPECT_THAT(std::string(HeaderValue(reply.headers, "request-id")),
              HasSubstr("req_"));
  reply = client_.Get("/v1/agents/none");
  EXPECT_EQ(StringMember(reply.body, "request_id"),
            std::string(HeaderValue(reply.headers, "request-id")));
}

TEST_F(HarnessTest, WhoMayAsk) {
  client_.headers[0] = {"Authorization", "Bearer test-key"};
  EXPECT_EQ(client_.Get("/v1/agents?beta=true").status, 200);
  client_.headers[0] = {"x-api-key", "wrong"};
  ExpectError(client_.Get("/v1/agents"), 401, "authentication_error");
  client_.headers[0] = {"x-other", ""};
  ExpectError(client_.Get("/v1/agents"), 401, "authentication_error");

  client_.headers[0] = {"x-api-key", "test-key"};
  client_.headers[1] = {"anthropic-version", "2023-06-01"};
  EXPECT_EQ(client_.Get("/v1/agents").status, 200);
  client_.headers[1] = {"anthropic-version", "2020-01-01"};
  ExpectError(client_.Get("/v1/agents"), 400, "invalid_request_error");

  client_.headers[1] = {"anthropic-version", "2026-10-21"};
  client_.headers[2] = {"anthropic-beta", "a, managed-agents-2026-04-01 ,b"};
  EXPECT_EQ(client_.Get("/v1/agents").status, 200);
  client_.headers[2] = {"anthropic-beta", "other"};
  ExpectError(client_.Get("/v1/agents"), 404, "not_found_error");
  ExpectError(client_.Get("/v1/sessions/x/events/stream"), 404,
              "not_found_error");
  EXPECT_EQ(client_.Get("/v1/files").status, 200) << "needs no beta";
}

TEST_F(HarnessTest, UnknownPathsAndBadBodies) {
  ExpectError(client_.Get("/"), 404, "not_found_error");
  ExpectError(client_.Get("/v1/agents//versions"), 404, "not_found_error");
  ExpectError(client_.Delete("/v1/agents"), 404, "not_found_error");
  ExpectError(client_.Send(client_.Request("POST", "/v1/agents", "{\"a\":")),
              400, "invalid_request_error");
  ExpectError(client_.Send(client_.Request("POST", "/v1/agents", "[1]")), 400,
              "invalid_request_error");
  ExpectError(client_.Send(client_.Request("POST", "/v1/agents",
                                           std::string(33 << 20, ' '))),
              413, "request_too_large");
  // To store it would use up the stack.
  const std::string deep = "{\"name\":" + std::string(100'000, '[') +
                           std::string(100'000, ']') + "}";
  ExpectError(client_.Send(client_.Request("POST", "/v1/agents", deep)), 400,
              "invalid_request_error");
}

TEST_F(HarnessTest, BodiesTooLargeForMemoryAreRead) {
  Json agent = {{"name", "n"}, {"model", "runbook"}};
  std::string body = Dump(agent) + std::string(3 << 20, ' ');
  EXPECT_EQ(client_.Send(client_.Request("POST", "/v1/agents", body)).status,
            200);
}

TEST_F(HarnessTest, WhatThisServerLacksIsRefused) {
  struct Case {
    const char* path;
    const char* body;
    const char* says;
  };
  const Case kCases[] = {
      {"/v1/agents", R"({"name":"n","model":"claude-opus-5"})", "only runbook"},
      {"/v1/agents", R"({"name":"","model":"runbook"})", "name"},
      {"/v1/agents", R"({"name":"n","model":"runbook","nmae":1})",
       "nmae: unknown field"},
      {"/v1/agents", R"({"name":"n","model":{"id":"runbook","speed":"fast"}})",
       "not supported"},
      {"/v1/agents",
       R"({"name":"n","model":"runbook","skills":[{"type":"custom"}]})",
       "skills is not supported"},
      {"/v1/agents",
       R"({"name":"n","model":"runbook","multiagent":{"type":"coordinator"}})",
       "multiagent is not supported"},
      {"/v1/agents", R"({"name":"n","model":"runbook","tools":[{"type":"custom",
          "name":"x"}]})",
       "input_schema"},
      {"/v1/agents", R"({"name":"n","model":"runbook","tools":[{"type":
          "agent_toolset_20260401","default_config":{"permission_policy":
          {"type":"auto"}}}]})",
       "auto is not supported"},
      {"/v1/environments", R"({"name":"n","config":{"type":"self_hosted"}})",
       "not supported"},
      {"/v1/environments",
       R"({"name":"n","config":{"type":"cloud","packages":{"pip":["x"]}}})",
       "pip is not supported"},
      {"/v1/sessions", R"({"agent":"A","environment_id":"E",
          "vault_ids":["v"]})",
       "vault_ids is not supported"},
      {"/v1/sessions", R"({"agent":{"type":"agent_with_overrides",
          "model":null}})",
       "cannot be cleared"},
      {"/v1/sessions", R"({"agent":{"type":"agent_with_overrides",
          "skills":[{"type":"anthropic","skill_id":"pdf"}]}})",
       "skills is not supported"},
      {"/v1/sessions", R"({"agent":"A","environment_id":"E","resources":
          [{"type":"github_repository"}]})",
       "not supported"},
      {"/v1/sessions", R"({"agent":"A","environment_id":"E","initial_events":
          [{"type":"user.define_outcome"}]})",
       "user.define_outcome\" is not supported"},
      {"/v1/sessions", R"({"agent":"A","environment_id":"E","budget":
          {"type":"limit","max_list_cost":{"amount":"1.00",
          "currency":"USD"}}})",
       "whole number of cents"},
      {"/v1/sessions",
       R"({"agent":"A","environment_id":"E","metadata":{"a":1}})", "metadata"},
  };
  for (const Case& c : kCases) {
    Reply reply = client_.Send(client_.Request("POST", c.path, c.body));
    ExpectError(reply, 400, "invalid_request_error");
    EXPECT_THAT(reply.message(), HasSubstr(c.says)) << c.body;
  }
}

TEST_F(HarnessTest, AgentsHaveVersions) {
  Reply created =
      client_.Post("/v1/agents", {{"name", "a"},
                                  {"model", {{"id", "runbook"}}},
                                  {"metadata", {{"k", "1"}, {"gone", "x"}}}});
  ASSERT_EQ(created.status, 200) << created.text;
  std::string path = "/v1/agents/" + StringMember(created.body, "id");
  EXPECT_EQ(created.body["version"], 1);
  EXPECT_EQ(StringMember(created.body["model"], "id"), "runbook");
  EXPECT_EQ(client_.Get(path).body, created.body);

  EXPECT_EQ(client_.Post(path, {{"name", "a"}}).body["version"], 1)
      << "nothing changed";
  Reply updated =
      client_.Post(path, {{"version", 1},
                          {"name", "b"},
                          {"metadata", {{"gone", nullptr}, {"new", "y"}}}});
  EXPECT_EQ(updated.body["version"], 2);
  Json metadata = {{"k", "1"}, {"new", "y"}};
  EXPECT_EQ(updated.body["metadata"], metadata);
  Reply conflict = client_.Post(path, {{"version", 1}, {"name", "c"}});
  ExpectError(conflict, 409, "conflict_error");

  EXPECT_EQ(StringMember(client_.Get(path + "?version=1").body, "name"), "a");
  EXPECT_EQ(client_.Get(path + "?version=9").status, 404);
  EXPECT_THAT(IdsOf(client_.Get(path + "/versions")), SizeIs(2));

  EXPECT_TRUE(client_.Post(path + "/archive").body["archived_at"].is_string());
  EXPECT_THAT(IdsOf(client_.Get("/v1/agents")), ElementsAre(agent_id_));
  EXPECT_THAT(IdsOf(client_.Get("/v1/agents?include_archived=true")),
              SizeIs(2));
  ExpectError(client_.Post(path, {{"name", "d"}}), 409,
              "invalid_request_error");
  Json session = {{"agent", StringMember(created.body, "id")},
                  {"environment_id", environment_id_}};
  ExpectError(client_.Post("/v1/sessions", session), 400,
              "invalid_request_error");
}

TEST_F(HarnessTest, EnvironmentsCanBeArchivedAndDeleted) {
  std::string path = "/v1/environments/" + environment_id_;
  EXPECT_EQ(StringMember(client_.Get(path).body["config"], "type"), "cloud");
  std::string session = NewSession();
  ExpectError(client_.Delete(path), 400, "invalid_request_error");
  EXPECT_EQ(client_.Post(path + "/archive").status, 200);
  EXPECT_THAT(IdsOf(client_.Get("/v1/environments")), IsEmpty());
  Reply refused = client_.Post("/v1/sessions", SessionBody());
  ExpectError(refused, 400, "invalid_request_error");
  EXPECT_EQ(refused.code(), "environment_archived");
  EXPECT_EQ(client_.Delete(Path(session)).status, 200);
  EXPECT_EQ(client_.Delete(path).status, 200);
  EXPECT_EQ(client_.Get(path).status, 404);
}

TEST_F(HarnessTest, ASessionIsShownWhole) {
  std::string id = NewSession({{"title", "t"},
                               {"metadata", {{"task", "7"}}},
                               {"budget", Budget("200")}});
  Json session = client_.Get(Path(id)).body;
  EXPECT_EQ(StringMember(session, "status"), "idle");
  EXPECT_EQ(StringMember(session, "title"), "t");
  EXPECT_EQ(StringMember(session["metadata"], "task"), "7");
  EXPECT_EQ(session["budget"], Budget("200"));
  EXPECT_EQ(StringMember(session["agent"], "id"), agent_id_);
  EXPECT_EQ(session["agent"]["version"], 1);
  EXPECT_FALSE(session["agent"].contains("created_at"));

  EventReader reader(client_, id);
  Reply updated = client_.Post(
      Path(id), {{"title", nullptr}, {"metadata", {{"more", "x"}}}});
  EXPECT_EQ(updated.status, 200);
  Json event = reader.Until("session.updated").back();
  EXPECT_TRUE(event["title"].is_null());
  EXPECT_EQ(StringMember(event["metadata"], "task"), "7");
  EXPECT_EQ(StringMember(client_.Get(Path(id)).body["metadata"], "more"), "x");
  EXPECT_THAT(TypesOf(History(id)), ElementsAre("session.updated"));
  EXPECT_EQ(client_.Get("/v1/sessions/none").status, 404);
  Json nowhere = {{"agent", "agent_none"}, {"environment_id", "env_none"}};
  EXPECT_EQ(client_.Post("/v1/sessions", nowhere).status, 404);
}

TEST_F(HarnessTest, ASessionMayHaveOverrides) {
  Json agent = {{"type", "agent_with_overrides"},
                {"id", agent_id_},
                {"system", "Other."},
                {"tools", Json::array()}};
  Json shown = client_.Get(Path(NewSession({{"agent", agent}}))).body["agent"];
  EXPECT_EQ(shown["id"], agent_id_);
  EXPECT_EQ(shown["system"], "Other.");
  EXPECT_EQ(shown["model"]["id"], "runbook") << "not named, so inherited";
  EXPECT_TRUE(shown["tools"].empty());
  Json kept = client_.Get("/v1/agents/" + agent_id_).body;
  EXPECT_TRUE(kept["system"].is_null());
  EXPECT_EQ(kept["tools"].size(), 1u);
}

TEST_F(HarnessTest, SessionListsPageBothWays) {
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.insert(ids.begin(), NewSession());
  Reply first = client_.Get("/v1/sessions?limit=2");
  EXPECT_THAT(IdsOf(first), ElementsAre(ids[0], ids[1]));
  EXPECT_TRUE(first.body["prev_page"].is_null());
  auto page = [&](const Json& cursor) {
    return client_.Get("/v1/sessions?limit=2&page=" +
                       cursor.get<std::string>());
  };
  Reply second = page(first.body["next_page"]);
  EXPECT_THAT(IdsOf(second), ElementsAre(ids[2], ids[3]));
  Reply third = page(second.body["next_page"]);
  EXPECT_THAT(IdsOf(third), ElementsAre(ids[4]));
  EXPECT_TRUE(third.body["next_page"].is_null());
  Reply back = page(third.body["prev_page"]);
  EXPECT_EQ(IdsOf(back), IdsOf(second));
  EXPECT_EQ(back.body["next_page"], second.body["next_page"]);
  back = page(back.body["prev_page"]);
  EXPECT_EQ(IdsOf(back), IdsOf(first));
  EXPECT_TRUE(back.body["prev_page"].is_null());

  EXPECT_THAT(IdsOf(client_.Get("/v1/sessions?limit=1&order=asc")),
              ElementsAre(ids[4]));
  ExpectError(client_.Get("/v1/sessions?order=asc&page=" +
                          first.body["next_page"].get<std::string>()),
              400, "invalid_request_error");
  for (const char* bad :
       {"limit=0", "limit=x", "limit=101", "page=x", "order=up",
        "created_at[gt]=yesterday", "statuses[]=odd", "agent_version=1"}) {
    EXPECT_EQ(client_.Get(absl::StrCat("/v1/sessions?", bad)).status, 400)
        << bad;
  }
}

TEST_F(HarnessTest, SessionListsFilter) {
  std::string first = NewSession();
  std::string second = NewSession();
  std::string archived = NewSession();
  client_.Post(Path(archived, "/archive"));
  std::string time = StringMember(client_.Get(Path(second)).body, "created_at");
  auto list = [&](const std::string& query) {
    return IdsOf(client_.Get("/v1/sessions?" + query));
  };
  EXPECT_THAT(list(""), ElementsAre(second, first));
  EXPECT_THAT(list("include_archived=true"),
              ElementsAre(archived, second, first));
  EXPECT_THAT(list("created_at[gte]=" + time), ElementsAre(second));
  EXPECT_THAT(list("created_at%5Bgt%5D=" + time), IsEmpty());
  EXPECT_THAT(list("created_at[lte]=" + time), ElementsAre(second, first));
  EXPECT_THAT(list("created_at[lt]=" + time), ElementsAre(first));
  EXPECT_THAT(list("agent_id=" + agent_id_), SizeIs(2));
  EXPECT_THAT(list("agent_id=" + agent_id_ + "&agent_version=2"), IsEmpty());
  EXPECT_THAT(list("agent_id=other"), IsEmpty());
  EXPECT_THAT(list("statuses[]=running"), IsEmpty());
  EXPECT_THAT(list("statuses[]=running&statuses[]=idle"), SizeIs(2));
  EXPECT_THAT(list("statuses[]=terminated&include_archived=true"),
              ElementsAre(archived));
}

TEST_F(HarnessTest, EventListsPageAndFilter) {
  std::string session = NewSession();
  RunTurn(session, Block("true"));
  std::vector<Json> all = History(session);
  std::vector<Json> paged;
  std::string cursor;
  do {
    Reply page = client_.Get(Path(session, "/events?limit=3&page=" + cursor));
    EXPECT_LE(page.body["data"].size(), 3u);
    for (const Json& event : page.body["data"]) paged.push_back(event);
    cursor = StringMember(page.body, "next_page");
  } while (!cursor.empty());
  EXPECT_EQ(paged, all);

  std::vector<Json> reversed = History(session, "?order=desc");
  EXPECT_EQ(std::vector<Json>(reversed.rbegin(), reversed.rend()), all);
  EXPECT_THAT(
      TypesOf(History(session, "?types[]=agent.message&types[]=user.message")),
      ElementsAre("user.message", "agent.message"));
  std::string time = StringMember(all[3], "processed_at");
  EXPECT_EQ(History(session, "?created_at[gte]=" + time).front(), all[3]);
  EXPECT_EQ(History(session, "?created_at[lt]=" + time).size(), 3u);
}

TEST_F(HarnessTest, QueuedEventsAreLastAndHaveNoTime) {
  std::string session = NewSession();
  EventReader reader(client_, session);
  Say(session, Block("sleep 600"));
  reader.Until("agent.tool_use");
  Say(session, "queued 1");
  Say(session, "queued 2");
  std::vector<Json> all = History(session);
  EXPECT_TRUE(all.back()["processed_at"].is_null());
  EXPECT_THAT(Dump(all.back()), HasSubstr("queued 2"));
  // Page by page, in both orders.
  for (const char* order : {"asc", "desc"}) {
    std::vector<Json> paged;
    std::string cursor;
    do {
      Reply page = client_.Get(Path(
          session,
          absl::StrCat("/events?limit=1&order=", order, "&page=", cursor)));
      for (const Json& event : page.body["data"]) paged.push_back(event);
      cursor = StringMember(page.body, "next_page");
    } while (!cursor.empty());
    if (order[0] == 'd') std::reverse(paged.begin(), paged.end());
    EXPECT_EQ(paged, all) << order;
  }
  EXPECT_THAT(History(session, "?types[]=user.message"), SizeIs(3));
  EXPECT_THAT(History(session,
                      "?types[]=user.message&created_at[gt]=2020-01-01T00:00:"
                      "00Z"),
              SizeIs(1));
}

TEST_F(HarnessTest, BadEventsAreRefusedWhole) {
  std::string session = NewSession();
  for (const Json& bad :
       {Json{{"type", "user.tool_result"}, {"tool_use_id", "x"}},
        Json{{"type", "user.message"}, {"content", "text"}},
        Json{{"type", "user.message"}, {"content", Json::array()}},
        Json{{"type", "user.interrupt"}, {"session_thread_id", "other"}},
        Json{{"type", "agent.message"}}, Json("text")}) {
    Reply reply = client_.Post(Path(session, "/events"),
                               Events({UserMessage("fine"), bad}));
    ExpectError(reply, 400, "invalid_request_error");
  }
  ExpectError(client_.Post(Path(session, "/events"), {{"events", 1}}), 400,
              "invalid_request_error");
  EXPECT_THAT(History(session), IsEmpty());
}

TEST_F(HarnessTest, StreamsPingAndShowOnlyWhatComesAfterThem) {
  StopHarness();
  options_.ping_interval = absl::Milliseconds(50);
  StartHarness();
  std::string session = NewSession({{"title", "before"}});
  client_.Post(Path(session), {{"title", "earlier"}});
  EventReader one(client_, session);
  EventReader two(client_, session);
  EXPECT_EQ(StringMember(one.Next(), "type"), "ping");
  client_.Post(Path(session), {{"title", "later"}});
  for (EventReader* reader : {&one, &two}) {
    std::vector<Json> events = reader->Until("session.updated");
    ASSERT_THAT(events, SizeIs(1));
    EXPECT_EQ(StringMember(events[0], "title"), "later");
  }
  ExpectError(client_.Get(Path(session, "/events/stream?event_deltas[]=x")),
              400, "invalid_request_error");
  EXPECT_EQ(client_.Get("/v1/sessions/none/events/stream").status, 404);
}

// Files.

class FilesTest : public HarnessTest {
 protected:
  Reply Upload(const std::string& name, const std::string& content,
               const std::string& more_parts = "") {
    const std::string boundary = "----boundary4711";
    HttpRequest request = client_.Request("POST", "/v1/files");
    request.headers.emplace_back("content-type",
                                 "multipart/form-data; boundary=" + boundary);
    request.body.push_back(
        {absl::StrCat("--", boundary,
                      "\r\nContent-Disposition: form-data; name=\"file\"; "
                      "filename=\"",
                      name, "\"\r\nContent-Type: text/x-test\r\n\r\n", content,
                      "\r\n",
                      absl::StrReplaceAll(more_parts, {{"@", boundary}}), "--",
                      boundary, "--\r\n"),
         ""});
    return client_.Send(request);
  }
};

TEST_F(FilesTest, UploadsAreListedAndNotDownloadable) {
  Reply uploaded = Upload("data.csv", "a,b\n1,2\n");
  ASSERT_EQ(uploaded.status, 200) << uploaded.text;
  std::string id = StringMember(uploaded.body, "id");
  EXPECT_EQ(StringMember(uploaded.body, "filename"), "data.csv");
  EXPECT_EQ(StringMember(uploaded.body, "mime_type"), "text/x-test");
  EXPECT_EQ(uploaded.body["size_bytes"], 8);
  EXPECT_EQ(uploaded.body["downloadable"], false);
  EXPECT_TRUE(uploaded.body["scope"].is_null());
  EXPECT_EQ(client_.Get("/v1/files/" + id).body, uploaded.body);
  Reply content = client_.Get("/v1/files/" + id + "/content");
  ExpectError(content, 400, "invalid_request_error");
  EXPECT_EQ(content.code(), "file_not_downloadable");

  std::string second = StringMember(Upload("b", "").body, "id");
  EXPECT_THAT(IdsOf(client_.Get("/v1/files")), ElementsAre(second, id));
  EXPECT_THAT(IdsOf(client_.Get("/v1/files?ids[]=" + id + "&ids[]=none")),
              ElementsAre(id));
  EXPECT_EQ(client_.Get("/v1/files?limit=5&ids[]=" + id).status, 400);
  EXPECT_EQ(client_.Delete("/v1/files/" + id).status, 200);
  EXPECT_EQ(client_.Get("/v1/files/" + id).status, 404);
  EXPECT_EQ(client_.Delete("/v1/files/" + id).status, 404);
}

TEST_F(FilesTest, UploadsMayExpire) {
  const char kPart[] =
      "--@\r\nContent-Disposition: form-data; "
      "name=\"expires_in_seconds\"\r\n\r\n3600\r\n";
  Reply uploaded = Upload("x", "y", kPart);
  ASSERT_EQ(uploaded.status, 200) << uploaded.text;
  EXPECT_TRUE(uploaded.body["expires_at"].is_string());
  EXPECT_EQ(
      Upload("x", "y", absl::StrReplaceAll(kPart, {{"3600", "1"}})).status,
      400);
  EXPECT_EQ(
      Upload("x", "y", absl::StrReplaceAll(kPart, {{"expires", "e"}})).status,
      400);
}

TEST_F(FilesTest, BadUploads) {
  HttpRequest request = client_.Request("POST", "/v1/files", "{}");
  ExpectError(client_.Send(request), 400, "invalid_request_error");
  request = client_.Request("POST", "/v1/files");
  request.headers.emplace_back("content-type",
                               "multipart/form-data; boundary=x");
  for (const char* body : {"--x", "--x--", "--x\r\n\r\n", "nothing",
                           "--x\r\nA: b\r\n\r\ncontent"}) {
    request.body = {{body, ""}};
    ExpectError(client_.Send(request), 400, "invalid_request_error");
  }
}

TEST_F(FilesTest, FilesAreMountedReadOnlyAsCopies) {
  // Larger than what a request keeps in memory.
  std::string content;
  SeededRandom random(1);
  while (content.size() < 3 << 20) content += random.Hex(32) + "\r\n--";
  std::string id = StringMember(Upload("big", content).body, "id");
  std::string session = NewSession(
      {{"resources", Json::array({{{"type", "file"}, {"file_id", id}},
                                  {{"type", "file"},
                                   {"file_id", id},
                                   {"mount_path", "/sub/dir/big"}}})}});
  Json resources = client_.Get(Path(session, "/resources")).body["data"];
  ASSERT_EQ(resources.size(), 2u);
  EXPECT_EQ(StringMember(resources[0], "mount_path"),
            "/mnt/session/uploads/" + id);
  std::string copy = StringMember(resources[0], "file_id");
  EXPECT_NE(copy, id);
  EXPECT_EQ(client_.Get(Path(session)).body["resources"], resources);
  // The copy stays when the original goes.
  client_.Delete("/v1/files/" + id);

  std::vector<Json> events = RunTurn(
      session,
      Block(absl::StrCat("cd /mnt/session/uploads; wc -c < ", id, "; cmp ", id,
                         " sub/dir/big && echo same; "
                         "echo x 2>/dev/null >> sub/dir/big || echo read-only; "
                         "rm -f sub/dir/big 2>/dev/null || echo kept")));
  EXPECT_EQ(StringMember(events[7]["content"][0], "text"),
            absl::StrCat(content.size(), "\nsame\nread-only\nkept\n"));
  Json file = client_.Get("/v1/files/" + copy).body;
  EXPECT_EQ(StringMember(file["scope"], "id"), session);
  EXPECT_EQ(file["downloadable"], false);

  for (const char* path : {"/../x", "/a//b", "/", "/."}) {
    Json body = SessionBody();
    body["resources"] = Json::array(
        {{{"type", "file"}, {"file_id", copy}, {"mount_path", path}}});
    EXPECT_EQ(client_.Post("/v1/sessions", body).status, 400) << path;
  }
}

TEST_F(FilesTest, OutputsBecomeFilesBeforeTheSessionIsIdle) {
  std::string session = NewSession();
  std::vector<Json> events = RunTurn(
      session,
      Block("cd /mnt/session/outputs; mkdir -p a/b; echo one > one.txt; "
            "printf '\\0\\1' > a/b/two.bin; ln -s /etc/passwd link; "
            "mkfifo pipe; echo secret > a/closed; chmod 0 a/closed"));
  EXPECT_EQ(StringMember(events[7]["content"][0], "text"), "");
  EXPECT_THAT(TypesOf(events), Not(Contains("session.error")))
      << Dump(Json(events));
  auto list = [&] {
    std::map<std::string, Json> files;
    Reply reply = client_.Get("/v1/files?scope_id=" + session);
    for (const Json& file : reply.body["data"]) {
      files[StringMember(file, "filename")] = file;
    }
    return files;
  };
  std::map<std::string, Json> files = list();
  ASSERT_THAT(files, SizeIs(geteuid() == 0 ? 3 : 2));
  EXPECT_EQ(StringMember(files["one.txt"], "mime_type"), "text/plain");
  EXPECT_EQ(files["one.txt"]["downloadable"], true);
  std::string path =
      "/v1/files/" + StringMember(files["a/b/two.bin"], "id") + "/content";
  EXPECT_EQ(client_.Get(path).text, std::string("\0\1", 2));

  // Only what changed is registered again.
  RunTurn(session, Block("echo two > /mnt/session/outputs/one.txt"));
  std::map<std::string, Json> later = list();
  ASSERT_EQ(later.size(), files.size());
  EXPECT_EQ(later["a/b/two.bin"], files["a/b/two.bin"]);
  EXPECT_NE(later["one.txt"]["id"], files["one.txt"]["id"]);
  path = "/v1/files/" + StringMember(later["one.txt"], "id") + "/content";
  EXPECT_EQ(client_.Get(path).text, "two\n");

  // They outlive the sandbox, and go with the session.
  client_.Post(Path(session, "/archive"));
  EXPECT_EQ(client_.Get(path).status, 200);
  client_.Delete(Path(session));
  EXPECT_EQ(client_.Get(path).status, 404);
}

TEST_F(HarnessTest, OptionsThatContradictEachOther) {
  StopHarness();
  auto start = [&](HarnessOptions options) {
    absl::Status status;
    RealExecutor executor("harness");
    RunOn(executor, [&] {
      status = Harness::Start(executor, *pool_, RealClock(), random_, options)
                   .status();
    });
    return status;
  };
  HarnessOptions options = options_;
  options.api_key = "";
  EXPECT_THAT(start(options),
              testing::StatusIs(absl::StatusCode::kInvalidArgument));
  options.allow_no_key = true;
  options.address = "0.0.0.0";
  EXPECT_THAT(start(options),
              testing::StatusIs(absl::StatusCode::kInvalidArgument));
  options.address = "127.0.0.1";
  EXPECT_OK(start(options));
  StartHarness();
}

TEST_F(HarnessTest, EverythingIsThereAfterARestart) {
  std::string session = NewSession({{"metadata", {{"task", "1"}}}});
  RunTurn(session, Block("echo x > /mnt/session/outputs/x; echo kept > y"));
  Json shown = client_.Get(Path(session)).body;
  std::vector<Json> history = History(session);
  Json files = client_.Get("/v1/files").body;
  StopHarness();
  StartHarness();
  EXPECT_EQ(client_.Get(Path(session)).body, shown);
  EXPECT_EQ(History(session), history);
  EXPECT_EQ(client_.Get("/v1/files").body, files);
  std::vector<Json> events = RunTurn(session, Block("cat y"));
  EXPECT_EQ(StringMember(events[7]["content"][0], "text"), "kept\n");
  EXPECT_LT(StringMember(history.back(), "processed_at"),
            StringMember(events[1], "processed_at"));
}

}  // namespace
}  // namespace midwatch::harness
