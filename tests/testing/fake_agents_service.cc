#include "tests/testing/fake_agents_service.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "net/sse.h"

namespace midwatch::testing {
namespace {

using nlohmann::json;

constexpr absl::Duration kInterruptDelay = absl::Milliseconds(50);

// A request's address, taken apart.
struct Route {
  std::string method;
  std::vector<std::string> path;  // without "v1"
  std::multimap<std::string, std::string> query;

  std::string QueryValue(const std::string& name) const {
    auto it = query.find(name);
    return it == query.end() ? "" : it->second;
  }
  bool Is(const char* wanted_method, const char* first, size_t segments,
          const char* last = nullptr) const {
    return method == wanted_method && path.size() == segments &&
           path[0] == first && (last == nullptr || path.back() == last);
  }
};

std::string PercentDecode(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    int value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        absl::SimpleHexAtoi(text.substr(i + 1, 2), &value)) {
      out.push_back(static_cast<char>(value));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

Route ParseRoute(const HttpRequest& request) {
  Route route;
  route.method = request.method;
  size_t start = request.url.find("/v1/");
  if (start == std::string::npos) return route;
  std::pair<std::string, std::string> parts =
      absl::StrSplit(request.url.substr(start + 4), absl::MaxSplits('?', 1));
  for (absl::string_view segment : absl::StrSplit(parts.first, '/')) {
    route.path.push_back(PercentDecode(segment));
  }
  for (absl::string_view pair :
       absl::StrSplit(parts.second, '&', absl::SkipEmpty())) {
    std::pair<absl::string_view, absl::string_view> kv =
        absl::StrSplit(pair, absl::MaxSplits('=', 1));
    route.query.emplace(PercentDecode(kv.first), PercentDecode(kv.second));
  }
  return route;
}

std::string OperationOf(const Route& route) {
  if (route.Is("POST", "agents", 1)) return "create_agent";
  if (route.Is("GET", "agents", 2)) return "get_agent";
  if (route.Is("POST", "environments", 1)) return "create_environment";
  if (route.Is("POST", "sessions", 1)) return "create_session";
  if (route.Is("GET", "sessions", 1)) return "list_sessions";
  if (route.Is("GET", "sessions", 2)) return "get_session";
  if (route.Is("POST", "sessions", 2)) return "update_session";
  if (route.Is("POST", "sessions", 3, "archive")) return "archive_session";
  if (route.Is("POST", "sessions", 3, "events")) return "send_events";
  if (route.Is("GET", "sessions", 3, "events")) return "list_events";
  if (route.Is("GET", "sessions", 4, "stream")) return "stream_events";
  if (route.Is("POST", "files", 1)) return "upload_file";
  if (route.Is("GET", "files", 1)) return "list_files";
  if (route.Is("GET", "files", 3, "content")) return "download_file";
  return "unknown";
}

FakeReply Ok(std::string body) {
  FakeReply reply;
  reply.body = std::move(body);
  return reply;
}

FakeReply Ok(const json& body) { return Ok(body.dump()); }

FakeReply Refuse(int status, const std::string& type,
                 const std::string& message) {
  FakeReply reply;
  reply.status = status;
  json error = {{"type", type}, {"message", message}};
  reply.body = json({{"type", "error"}, {"error", error}}).dump();
  return reply;
}

FakeReply NotFound(const std::string& what) {
  return Refuse(404, "not_found_error", absl::StrCat(what, " not found"));
}

FakeReply Invalid(const std::string& message) {
  return Refuse(400, "invalid_request_error", message);
}

std::string Text(const json& content) {
  std::string text;
  for (const json& block : content) text += block.value("text", "");
  return text;
}

json Money(int64_t cents) {
  return {{"amount", absl::StrCat(cents)}, {"currency", "USD"}};
}

std::string MoneyText(int64_t cents) {
  return absl::StrCat(R"({"amount":")", cents, R"(","currency":"USD"})");
}

struct Queued {
  json event;
  std::string text;
};

struct StoredFile {
  std::string id;
  std::string name;
  std::string bytes;
  std::string session_id;  // "" for uploads
  absl::Time listed_at;
};

struct Session {
  FakeSessionView view;
  std::vector<FakeShown> history;
  std::deque<Queued> queue;
  int turns = 0;
  std::set<std::string> asked;  // tool uses without their answer
  // Set from the moment at which the next turn is certain until its end.
  std::optional<FakeTurn> turn;
  std::optional<FakeTurn> out_of_budget;  // goes on with a higher one
  bool hides_cost = false;
  absl::Time rests_from;  // since when it is idle after a turn
  absl::Duration listed_after;
  Executor::TimerId timer = 0;
};

}  // namespace

struct FakeAgentsService::Impl {
  Impl(FakeAgentsService& owner, Executor& on, const Clock& with,
       FakeAgentsOptions opts)
      : service(owner), executor(on), clock(with), options(opts) {
    Ping();
  }
  ~Impl() {
    executor.Cancel(ping);
    for (auto& [id, session] : sessions) executor.Cancel(session.timer);
  }

  struct Stream {
    std::string session_id;
    Sink sink;
  };

  std::string NewId(const char* prefix) {
    return absl::StrFormat("%s_%06d", prefix, next_id++);
  }
  std::string Stamp() const {
    return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", clock.Now(),
                            absl::UTCTimeZone());
  }

  void Ping() {
    ping = executor.After(options.ping_every, [this] {
      for (auto& [id, stream] : streams) {
        stream.sink(FormatSseFrame("ping", "{\"type\":\"ping\"}"));
      }
      Ping();
    });
  }

  // ---- Events ----

  void WriteToStreams(const std::string& session_id, const json& event) {
    WriteToStreams(session_id, event["type"].get<std::string>(), event.dump());
  }

  void WriteToStreams(const std::string& session_id, const std::string& type,
                      const std::string& event) {
    const std::string frame = FormatSseFrame(type, event);
    std::vector<int64_t> ids;
    for (auto& [id, stream] : streams) {
      if (stream.session_id == session_id) ids.push_back(id);
    }
    for (int64_t id : ids) {
      FakeStreamFault fault = service.hooks.on_stream_event
                                  ? service.hooks.on_stream_event(session_id)
                                  : FakeStreamFault::kNone;
      if (fault == FakeStreamFault::kCut) {
        Cut(id);
        continue;
      }
      streams.at(id).sink(fault == FakeStreamFault::kDouble ? frame + frame
                                                            : frame);
    }
  }

  void Cut(int64_t id) {
    Sink sink = std::move(streams.at(id).sink);
    streams.erase(id);
    sink("");
  }

  void CutAll(const std::string& session_id) {
    std::vector<int64_t> ids;
    for (auto& [id, stream] : streams) {
      if (session_id.empty() || stream.session_id == session_id) {
        ids.push_back(id);
      }
    }
    for (int64_t id : ids) Cut(id);
  }

  // Records an event as processed now and shows it.
  json Emit(Session& session, json event) {
    if (!event.contains("id")) event["id"] = NewId("sevt");
    event["processed_at"] = Stamp();
    session.history.push_back(
        {event["id"], event["type"], event["processed_at"], event.dump()});
    // A copy, since a cut stream's owner may speak at once.
    const FakeShown shown = session.history.back();
    WriteToStreams(session.view.id, shown.type, shown.json);
    return event;
  }

  // ---- Turns ----

  void ScheduleTurn(Session& session) {
    if (session.turn || session.queue.empty()) return;
    FakePrompt prompt{session.view.id, session.view.metadata,
                      session.queue.front().text, session.turns + 1};
    session.turn =
        service.hooks.script ? service.hooks.script(prompt) : FakeTurn();
    session.timer = executor.After(session.turn->queued_for,
                                   [this, &session] { StartTurn(session); });
  }

  void StartTurn(Session& session) {
    Queued message = std::move(session.queue.front());
    session.queue.pop_front();
    ++session.turns;
    const bool first = !std::exchange(session.view.charged, true);
    if (first && service.hooks.on_charged) {
      service.hooks.on_charged(session.view);
    }
    session.hides_cost = session.turn->hides_cost;
    session.view.status = "running";
    Emit(session, std::move(message.event));
    Emit(session, {{"type", "session.status_running"}});
    Emit(session, {{"type", "span.model_request_start"}});
    bool asks = session.turn->stop_reason == "requires_action";
    for (int i = 0; i < session.turn->tool_calls; ++i) {
      const std::string& custom = session.turn->custom_tool;
      json call = {{"type", "agent.tool_use"},
                   {"name", "bash"},
                   {"input", {{"command", "true"}}},
                   {"evaluated_permission", asks ? "ask" : "allow"}};
      if (!custom.empty()) {
        call = {{"type", "agent.custom_tool_use"},
                {"name", custom},
                {"input", {{"key", absl::StrCat("k", i)}}}};
      }
      json use = Emit(session, std::move(call));
      if (session.turn->loops) {
        Emit(session, {{"type", "agent.tool_result"},
                       {"tool_use_id", use["id"]},
                       {"content", json::array()}});
        continue;
      }
      open_tools[session.view.id].push_back(use["id"]);
      if (asks) session.asked.insert(use["id"].get<std::string>());
    }
    if (session.turn->stop_reason == "never") return;
    session.timer = executor.After(session.turn->duration,
                                   [this, &session] { FinishTurn(session); });
  }

  void Rest(Session& session) {
    session.view.status = "idle";
    session.rests_from = clock.Now();
  }

  // What the session itself answers, which lags behind its stream.
  std::string ShownStatus(const Session& session) const {
    const bool lags = session.view.status == "idle" && session.view.charged &&
                      clock.Now() < session.rests_from + options.status_lag;
    return lags ? "running" : session.view.status;
  }

  void AskForAnswers(Session& session) {
    Rest(session);
    session.view.cost_cents += session.turn->cost_cents;
    json reason = {{"type", "requires_action"}, {"event_ids", session.asked}};
    Emit(session, {{"type", "session.status_idle"}, {"stop_reason", reason}});
  }

  FakeReply Answer(Session& session, json event) {
    const std::string answered = event.value(
        "tool_use_id", event.value("custom_tool_use_id", std::string()));
    if (session.asked.erase(answered) == 0) {
      return Invalid("no tool use waits for that answer");
    }
    ++session.view.answers;
    Said(session, event.value("type", ""));
    json shown = Emit(session, std::move(event));
    if (session.asked.empty()) {
      session.turn->stop_reason = "end_turn";
      session.view.status = "running";
      Emit(session, {{"type", "session.status_running"}});
      session.timer = executor.After(session.turn->duration,
                                     [this, &session] { FinishTurn(session); });
    }
    return Ok({{"data", json::array({shown})}});
  }

  void FinishTurn(Session& session) {
    if (!session.asked.empty()) return AskForAnswers(session);
    FakeTurn turn = *session.turn;
    for (const std::string& id : open_tools[session.view.id]) {
      // Each another, so that they are no loop.
      json text = {{"type", "text"}, {"text", id}};
      Emit(session, {{"type", "agent.tool_result"},
                     {"tool_use_id", id},
                     {"content", json::array({text})}});
    }
    json block = {{"type", "text"}, {"text", turn.message}};
    Emit(session,
         {{"type", "agent.message"}, {"content", json::array({block})}});
    Emit(session, {{"type", "span.model_request_end"}});
    const bool kept =
        clock.Now() < session.view.created_at + options.sandbox_life;
    for (const FakeFile& file : kept ? turn.files : std::vector<FakeFile>()) {
      std::string id = NewId("file");
      files.push_back({id, file.name, file.bytes, session.view.id,
                       clock.Now() + options.file_delay});
    }
    if (!turn.error_type.empty()) {
      Emit(session, {{"type", "session.error"},
                     {"error",
                      {{"type", turn.error_type},
                       {"message", "scripted"},
                       {"retry_status", {{"type", "exhausted"}}}}}});
      session.queue.clear();
    }
    if (turn.stop_reason == "terminated") {
      EndSession(session);
      return;
    }
    GoIdle(session, turn.stop_reason, turn.cost_cents);
  }

  void GoIdle(Session& session, std::string reason, int64_t cents) {
    open_tools.erase(session.view.id);
    session.view.cost_cents += cents;
    if (AtBudget(session)) reason = "budget_reached";
    Rest(session);
    session.out_of_budget = AtBudget(session) ? session.turn : std::nullopt;
    session.turn.reset();
    json usage = json::object();
    if (!session.hides_cost)
      usage["list_cost"] = Money(session.view.cost_cents);
    Emit(session, {{"type", "session.usage"}, {"usage", usage}});
    Emit(session, {{"type", "session.status_idle"},
                   {"stop_reason", {{"type", reason}}}});
    ScheduleTurn(session);
  }

  bool AtBudget(const Session& session) const {
    return session.view.cost_cents >= session.view.budget_cents;
  }

  void EndSession(Session& session) {
    executor.Cancel(session.timer);
    session.turn.reset();
    session.view.status = "terminated";
    Emit(session, {{"type", "session.status_terminated"}});
    CutAll(session.view.id);
  }

  void Interrupt(Session& session) {
    ++session.view.interrupts;
    if (AtBudget(session)) return;
    bool running = session.view.status == "running" || !session.asked.empty();
    session.asked.clear();
    Emit(session, {{"type", "user.interrupt"}});
    if (!running) return;
    executor.Cancel(session.timer);
    session.timer = executor.After(kInterruptDelay, [this, &session] {
      GoIdle(session, "end_turn", session.turn->cost_cents);
    });
  }

  void Said(const Session& session, const std::string& type) {
    if (service.hooks.on_said) service.hooks.on_said(session.view, type);
  }

  // ---- Requests ----

  // Text, since lists of thousands of these are most of what a night of
  // `start: one_call` answers.
  std::string Object(const Session& session) const {
    const FakeSessionView& view = session.view;
    const bool tells = view.charged && (view.archived || !session.hides_cost);
    return absl::StrCat(
        R"({"id":")", view.id, R"(","type":"session","status":")",
        ShownStatus(session), R"(","title":)", json(view.title).dump(),
        R"(,"metadata":)", json(view.metadata).dump(), R"(,"usage":{)",
        tells ? R"("list_cost":)" : "", tells ? MoneyText(view.cost_cents) : "",
        R"(},"budget":{"type":"limit","max_list_cost":)",
        MoneyText(view.budget_cents), R"(},"created_at":")",
        absl::FormatTime(view.created_at), R"(","archived_at":)",
        view.archived ? absl::StrCat("\"", Stamp(), "\"") : "null", "}");
  }

  FakeReply CreateSession(const json& body) {
    std::string agent = body["agent"].is_string()
                            ? body["agent"].get<std::string>()
                            : body["agent"].value("id", "");
    if (!agents.contains(agent)) return NotFound(agent);
    std::string environment = body.value("environment_id", "");
    if (!environments.contains(environment)) return NotFound(environment);
    std::string id = NewId("sesn");
    Session& session = sessions[id];
    session.view.id = id;
    session.view.status = "idle";
    session.view.title = body.value("title", "");
    session.view.agent_id = agent;
    if (body["agent"].is_object()) {
      session.view.agent_version = body["agent"].value("version", 0);
    }
    session.view.environment_id = environment;
    session.view.created_at = clock.Now();
    // Of ids that rise by one, spread like the golden ratio's multiples.
    session.listed_after =
        options.list_delay +
        options.list_spread * std::fmod(next_id * 0.618033988749895, 1.0);
    session.view.metadata =
        body.value("metadata", std::map<std::string, std::string>());
    session.view.budget_cents = INT64_MAX;
    if (!SetBudget(session, body)) return Invalid("budget");
    for (const json& resource : body.value("resources", json::array())) {
      session.view.mounts.push_back(resource.value("mount_path", ""));
    }
    for (const json& event : body.value("initial_events", json::array())) {
      session.view.status = "running";
      Enqueue(session, event);
      Said(session, "user.message");
    }
    return Ok(Object(session));
  }

  // Not written to streams: whoever sent it decides.
  json Enqueue(Session& session, const json& event) {
    json queued = event;
    queued["id"] = NewId("sevt");
    queued["processed_at"] = nullptr;
    std::string text = Text(event["content"]);
    session.view.user_messages.push_back(text);
    session.queue.push_back({queued, text});
    ScheduleTurn(session);
    return queued;
  }

  bool SetBudget(Session& session, const json& body) {
    if (!body.contains("budget")) return true;
    std::string amount = body["budget"]["max_list_cost"]["amount"];
    return absl::SimpleAtoi(amount, &session.view.budget_cents);
  }

  FakeReply Update(Session& session, const json& body) {
    const int64_t before = session.view.budget_cents;
    if (!SetBudget(session, body)) return Invalid("budget");
    if (body.contains("budget") && AtBudget(session)) {
      session.view.budget_cents = before;
      return Invalid("budget: must be above what the session has cost");
    }
    ++session.view.updates;
    Said(session, "update");
    if (session.out_of_budget && !AtBudget(session)) {
      session.turn = std::exchange(session.out_of_budget, std::nullopt);
      session.view.status = "running";
      Emit(session, {{"type", "session.status_running"}});
      session.timer = executor.After(session.turn->duration,
                                     [this, &session] { FinishTurn(session); });
    }
    return Ok(Object(session));
  }

  FakeReply Archive(Session& session) {
    if (ShownStatus(session) == "running") {
      return Invalid("a running session cannot be archived");
    }
    if (!session.view.archived) {
      session.view.archived = true;
      if (service.hooks.on_archived) service.hooks.on_archived(session.view);
      EndSession(session);
    }
    return Ok(Object(session));
  }

  FakeReply Send(Session& session, const json& body) {
    if (session.view.status == "terminated") {
      return Refuse(options.archived_refusal, "invalid_request_error",
                    "the session takes no more events");
    }
    json data = json::array();
    for (const json& event : body.value("events", json::array())) {
      std::string type = event.value("type", "");
      if (type == "user.interrupt") {
        Said(session, type);
        Interrupt(session);
      } else if (type == "user.tool_confirmation" ||
                 type == "user.custom_tool_result") {
        return Answer(session, event);
      } else if (type != "user.message" || AtBudget(session)) {
        return Invalid(absl::StrCat(type, " is not accepted now"));
      } else {
        json queued = Enqueue(session, event);
        Said(session, type);
        WriteToStreams(session.view.id, queued);
        data.push_back(queued);
      }
    }
    return Ok({{"data", data}});
  }

  FakeReply ListEvents(const Session& session, const Route& route) const {
    auto types = route.query.equal_range("types[]");
    std::string from = route.QueryValue("created_at[gte]");
    std::vector<std::string> data;
    auto wanted = [&](const std::string& type) {
      bool any = types.first == types.second;
      for (auto it = types.first; it != types.second; ++it) {
        any |= type == it->second;
      }
      return any;
    };
    for (const FakeShown& event : session.history) {
      // The stamps are of one form, so they compare as text.
      if (wanted(event.type) && event.processed_at >= from) {
        data.push_back(event.json);
      }
    }
    for (const Queued& queued : session.queue) {
      if (from.empty() && wanted(queued.event["type"].get<std::string>())) {
        data.push_back(queued.event.dump());
      }
    }
    return PageOf(data.size(), route, [&](size_t i) { return data[i]; });
  }

  // Pages, so that clients' paging is exercised: a cursor is an offset.
  static FakeReply PageOf(size_t size, const Route& route,
                          absl::FunctionRef<std::string(size_t)> item) {
    size_t offset = 0, limit = 1000;
    (void)absl::SimpleAtoi(route.QueryValue("page"), &offset);
    (void)absl::SimpleAtoi(route.QueryValue("limit"), &limit);
    offset = std::min(offset, size);
    const size_t end = offset + std::min(size - offset, limit);
    FakeReply reply;
    reply.body = "{\"data\":[";
    for (size_t i = offset; i < end; ++i) {
      absl::StrAppend(&reply.body, i == offset ? "" : ",", item(i));
    }
    absl::StrAppend(&reply.body, "],\"next_page\":",
                    end < size ? absl::StrCat("\"", end, "\"") : "null", "}");
    return reply;
  }

  FakeReply OpenStream(const Session& session, Sink sink) {
    FakeReply reply;
    reply.stream = next_stream++;
    reply.headers = {{"content-type", "text/event-stream"}};
    streams[reply.stream] = {session.view.id, std::move(sink)};
    return reply;
  }

  FakeReply ListSessions(const Route& route) const {
    std::vector<const Session*> listed;
    bool archived = route.QueryValue("include_archived") == "true";
    absl::Time from = absl::InfinitePast();
    (void)absl::ParseTime(absl::RFC3339_full,
                          route.QueryValue("created_at[gte]"), &from, nullptr);
    for (const auto& [id, session] : sessions) {
      if (session.view.created_at + session.listed_after > clock.Now()) {
        continue;
      }
      if (!archived && session.view.archived) continue;
      if (session.view.created_at >= from) listed.push_back(&session);
    }
    return PageOf(listed.size(), route,
                  [&](size_t i) { return Object(*listed[i]); });
  }

  FakeReply ListFiles(const Route& route) const {
    std::string scope = route.QueryValue("scope_id");
    json data = json::array();
    for (auto file = files.rbegin(); file != files.rend(); ++file) {
      if (file->session_id != scope || file->listed_at > clock.Now()) continue;
      data.push_back({{"id", file->id},
                      {"type", "file"},
                      {"filename", file->name},
                      {"size_bytes", file->bytes.size()},
                      {"downloadable", !scope.empty()}});
    }
    return Ok({{"data", data}, {"next_page", nullptr}});
  }

  FakeReply Download(const std::string& id) const {
    for (const StoredFile& file : files) {
      if (file.id != id) continue;
      FakeReply reply;
      reply.body = file.bytes;
      return reply;
    }
    return NotFound(id);
  }

  FakeReply Upload(const std::string& body) {
    std::string id = NewId("file");
    files.push_back({id, "upload", body, "", clock.Now()});
    return Ok({{"id", id}, {"filename", "upload"}, {"downloadable", false}});
  }

  FakeReply HandleSession(const std::string& operation, const Route& route,
                          const json& body, Sink sink) {
    auto it = sessions.find(route.path[1]);
    if (it == sessions.end()) return NotFound(route.path[1]);
    Session& session = it->second;
    if (operation == "get_session") return Ok(Object(session));
    if (operation == "update_session") return Update(session, body);
    if (operation == "archive_session") return Archive(session);
    if (operation == "send_events") return Send(session, body);
    if (operation == "list_events") return ListEvents(session, route);
    return OpenStream(session, std::move(sink));
  }

  FakeReply Handle(const Route& route, const std::string& text, Sink sink) {
    std::string operation = OperationOf(route);
    if (operation == "upload_file") return Upload(text);
    if (operation == "download_file") return Download(route.path[1]);
    if (operation == "list_files") return ListFiles(route);
    json body = text.empty() ? json::object() : json::parse(text);
    if (operation == "create_agent") {
      std::string id = NewId("agent");
      agents[id] = text;
      ++agents_made;
      return Ok({{"id", id}, {"type", "agent"}, {"version", 1}});
    }
    if (operation == "get_agent") {
      if (!agents.contains(route.path[1])) return NotFound(route.path[1]);
      return Ok({{"id", route.path[1]}, {"type", "agent"}, {"version", 1}});
    }
    if (operation == "create_environment") {
      std::string id = NewId("env");
      environments[id] = text;
      return Ok({{"id", id}, {"type", "environment"}});
    }
    if (operation == "create_session") return CreateSession(body);
    if (operation == "list_sessions") return ListSessions(route);
    if (operation == "unknown") return NotFound("path");
    return HandleSession(operation, route, body, std::move(sink));
  }

  FakeAgentsService& service;
  Executor& executor;
  const Clock& clock;
  const FakeAgentsOptions options;
  int next_id = 1;
  int64_t next_stream = 1;
  int agents_made = 0;
  std::map<std::string, std::string> agents;  // definitions by id
  std::map<std::string, std::string> environments;
  // Values keep their address: timers refer to them.
  std::map<std::string, Session> sessions;
  std::map<std::string, std::vector<std::string>> open_tools;
  std::vector<StoredFile> files;
  std::map<int64_t, Stream> streams;
  std::map<std::string, int> calls;
  Executor::TimerId ping = 0;
};

FakeAgentsService::FakeAgentsService(Executor& executor, const Clock& clock,
                                     FakeAgentsOptions options)
    : executor_(executor),
      impl_(std::make_unique<Impl>(*this, executor, clock, options)) {}

FakeAgentsService::~FakeAgentsService() = default;

FakeCall FakeAgentsService::Describe(const std::string& node,
                                     const HttpRequest& request) {
  Route route = ParseRoute(request);
  FakeCall call;
  call.node = node;
  call.operation = OperationOf(route);
  if (route.path.size() > 1 && route.path[0] == "sessions") {
    call.session_id = route.path[1];
  }
  call.number = ++impl_->calls[call.operation];
  return call;
}

FakeReply FakeAgentsService::Handle(const HttpRequest& request,
                                    const std::string& body, Sink sink) {
  Route route = ParseRoute(request);
  if (HeaderValue(request.headers, "x-api-key").empty()) {
    return Refuse(401, "authentication_error", "no key");
  }
  bool file_bytes = !route.path.empty() && route.path[0] == "files" &&
                    route.query.find("scope_id") == route.query.end();
  if (HeaderValue(request.headers, "anthropic-beta").empty() != file_bytes) {
    return NotFound("path (beta header)");
  }
  FakeReply reply = impl_->Handle(route, body, std::move(sink));
  reply.headers.emplace_back("request-id", impl_->NewId("req"));
  return reply;
}

void FakeAgentsService::CloseStream(int64_t stream) {
  impl_->streams.erase(stream);
}

void FakeAgentsService::CutStreams(const std::string& session_id) {
  impl_->CutAll(session_id);
}

std::vector<FakeSessionView> FakeAgentsService::Sessions() const {
  std::vector<FakeSessionView> views;
  for (const auto& [id, session] : impl_->sessions) {
    views.push_back(session.view);
  }
  return views;
}

std::vector<FakeSessionView> FakeAgentsService::SessionsWith(
    const std::string& key, const std::string& value) const {
  std::vector<FakeSessionView> views;
  for (const auto& [id, session] : impl_->sessions) {
    auto it = session.view.metadata.find(key);
    if (it != session.view.metadata.end() && it->second == value) {
      views.push_back(session.view);
    }
  }
  return views;
}

std::optional<FakeSessionView> FakeAgentsService::Find(
    const std::string& session_id) const {
  auto it = impl_->sessions.find(session_id);
  if (it == impl_->sessions.end()) return std::nullopt;
  return it->second.view;
}

const FakeSessionView* FakeAgentsService::View(
    const std::string& session_id) const {
  auto it = impl_->sessions.find(session_id);
  return it == impl_->sessions.end() ? nullptr : &it->second.view;
}

const std::vector<FakeShown>& FakeAgentsService::Shown(
    const std::string& session_id) const {
  static const std::vector<FakeShown>* none = new std::vector<FakeShown>();
  auto it = impl_->sessions.find(session_id);
  return it == impl_->sessions.end() ? *none : it->second.history;
}

std::vector<std::string> FakeAgentsService::History(
    const std::string& session_id) const {
  std::vector<std::string> out;
  for (const FakeShown& event : Shown(session_id)) out.push_back(event.json);
  return out;
}

int FakeAgentsService::Calls(const std::string& operation) const {
  auto it = impl_->calls.find(operation);
  return it == impl_->calls.end() ? 0 : it->second;
}

int FakeAgentsService::Streams(const std::string& session_id) const {
  int count = 0;
  for (const auto& [id, stream] : impl_->streams) {
    count += stream.session_id == session_id;
  }
  return count;
}

int FakeAgentsService::agents() const { return impl_->agents_made; }

int FakeAgentsService::environments() const {
  return static_cast<int>(impl_->environments.size());
}

void FakeAgentsService::ForgetAgents() { impl_->agents.clear(); }

void FakeAgentsService::ArchiveSession(const std::string& session_id) {
  auto it = impl_->sessions.find(session_id);
  if (it != impl_->sessions.end()) (void)impl_->Archive(it->second);
}

void FakeAgentsService::DeleteSession(const std::string& session_id) {
  auto it = impl_->sessions.find(session_id);
  if (it == impl_->sessions.end()) return;
  executor_.Cancel(it->second.timer);
  impl_->WriteToStreams(session_id, {{"type", "session.deleted"},
                                     {"id", impl_->NewId("sevt")},
                                     {"processed_at", impl_->Stamp()}});
  impl_->CutAll(session_id);
  impl_->sessions.erase(it);
}

}  // namespace midwatch::testing
