#include "bench/canned_service.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/coro.h"
#include "base/real_clock.h"
#include "base/real_executor.h"
#include "base/status_macros.h"
#include "bench/workload.h"
#include "net/http_server.h"
#include "net/sse.h"

namespace midwatch::bench {
namespace {

using harness::RequestClass;
using nlohmann::json;

constexpr absl::Duration kPingEvery = absl::Seconds(15);
constexpr int64_t kSessionsPage = 100;
constexpr int64_t kEventsPage = 1000;
constexpr char kIdPrefix[] = "sesn_01bench";
constexpr char kFileBytes[] = "Two files in contrib/ carry an MIT header.\n";
// A turn begins with the user's message and session.status_running, and ends
// with what the agent says, what it cost, and session.status_idle.
constexpr int64_t kFirstEvents = 2;
constexpr int64_t kLastEvents = 3;

struct CannedStream {
  explicit CannedStream(Executor& executor) : wake(executor) {}
  Mailbox<bool> wake;
};

struct CannedSession {
  int64_t number = 0;
  std::string metadata;  // JSON
  // On the steady clock.
  absl::Duration created;
  absl::Duration begun = absl::InfiniteDuration();  // its turn
  absl::Duration ended = absl::InfiniteDuration();
  bool archived = false;
  std::set<CannedStream*> streams;
  // See CannedService::Watch.
  bool watched = false;
  bool streamed = false;
  absl::Duration known = absl::InfiniteDuration();
  absl::Duration attached = absl::InfiniteDuration();
};

std::string IdOf(const CannedSession& session) {
  return absl::StrCat(kIdPrefix, absl::Dec(session.number, absl::kZeroPad8));
}

std::string EventId(const CannedSession& session, int64_t k) {
  // As long as the service's, and each once.
  return absl::StrFormat("sevt_01%08dk%012d", session.number, k);
}

std::string ErrorJson(const char* type, const std::string& message) {
  json error = {{"type", type}, {"message", message}};
  return json({{"type", "error"}, {"error", error}}).dump();
}

struct CannedAnswer {
  int status = 200;
  std::string body;
  HttpHeaders headers;
  // What the answer tells the state of, and whose history it ends.
  std::vector<CannedSession*> tells;
  CannedSession* history = nullptr;
};

CannedAnswer Refusal(int status, const char* type, const std::string& message) {
  CannedAnswer answer;
  answer.status = status;
  answer.body = ErrorJson(type, message);
  return answer;
}

CannedAnswer NotFound() { return Refusal(404, "not_found_error", "not found"); }

CannedAnswer Ok(std::string body) {
  CannedAnswer answer;
  answer.body = std::move(body);
  return answer;
}

std::string PageJson(const std::vector<std::string>& items, int64_t next) {
  return absl::StrCat(R"({"data":[)", absl::StrJoin(items, ","),
                      R"(],"next_page":)",
                      next < 0 ? "null" : absl::StrCat("\"", next, "\""), "}");
}

int64_t PageOf(const ServerRequest& request) {
  int64_t page = 0;
  return absl::SimpleAtoi(request.QueryValue("page"), &page) ? page : 0;
}

}  // namespace

struct CannedService::Impl {
  explicit Impl(absl::Duration every) : event_every(every) {}

  // ---- What sessions emit ----

  absl::Duration Now() const { return RealClock().Steady(); }
  std::string Stamp(absl::Duration steady) const {
    return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ",
                            wall_base + (steady - steady_base),
                            absl::UTCTimeZone());
  }
  // An event's time before the first of the turn's work.
  absl::Duration WorkFrom(const CannedSession& session) const {
    // The golden ratio spreads any number of sessions evenly.
    double whole = 0;
    const double share = std::modf(
        static_cast<double>(session.number) * 0.6180339887498949, &whole);
    return std::max(session.begun, work_begun) - event_every * (1 - share);
  }
  // Events of the turn's work that have come by `when`.
  int64_t WorkBy(const CannedSession& session, absl::Duration when) const {
    if (std::min(when, session.ended) < std::max(session.begun, work_begun)) {
      return 0;
    }
    absl::Duration rest;
    return absl::IDivDuration(std::min(when, session.ended) - WorkFrom(session),
                              event_every, &rest);
  }
  int64_t EventsBy(const CannedSession& session, absl::Duration when) const {
    if (when < session.begun) return 0;
    return kFirstEvents + WorkBy(session, when) +
           (when >= session.ended ? kLastEvents : 0);
  }
  // How many of the last events are left from event `k` on; 0: it is none.
  int64_t LastLeft(const CannedSession& session, int64_t k) const {
    if (session.ended == absl::InfiniteDuration()) return 0;
    const int64_t left = EventsBy(session, session.ended) - k;
    return left <= kLastEvents ? left : 0;
  }
  absl::Duration TimeOf(const CannedSession& session, int64_t k) const {
    if (k < kFirstEvents) return session.begun;
    if (LastLeft(session, k) > 0) return session.ended;
    if (work_begun == absl::InfiniteDuration()) return work_begun;
    return WorkFrom(session) + (k - kFirstEvents + 1) * event_every;
  }
  const char* TypeOf(const CannedSession& session, int64_t k) const;
  std::string EventJson(const CannedSession& session, int64_t k) const;
  bool Running(const CannedSession& session) const {
    return session.begun < absl::InfiniteDuration() &&
           session.ended == absl::InfiniteDuration();
  }
  std::string SessionJson(const CannedSession& session) const;
  void End(CannedSession& session) {
    session.ended = Now();
    Wake(session);
  }
  static void Wake(CannedSession& session) {
    for (CannedStream* stream : session.streams) stream->wake.Push(true);
  }

  // ---- Requests ----

  static Async<void> Serve(Impl& self, ServerRequest request,
                           ServerResponder& reply);
  static Async<void> ServeStream(Impl& self, CannedSession& session,
                                 ServerResponder& reply);
  std::optional<CannedAnswer> Limit(const std::string& method,
                                    const std::vector<std::string>& path);
  CannedAnswer Handle(const ServerRequest& request,
                      const std::vector<std::string>& path);
  CannedAnswer HandleFiles(const ServerRequest& request,
                           const std::vector<std::string>& path);
  CannedAnswer Create(const ServerRequest& request);
  CannedAnswer ListSessions(const ServerRequest& request);
  CannedAnswer Send(CannedSession& session, const ServerRequest& request);
  CannedAnswer History(CannedSession& session, const ServerRequest& request);
  CannedSession* Find(const std::string& id);
  void Told(const CannedAnswer& answer);

  const absl::Duration event_every;
  const absl::Time wall_base = RealClock().Now();
  const absl::Duration steady_base = RealClock().Steady();
  RealExecutor executor{"service"};
  // All on it.
  std::deque<CannedSession> sessions;  // by number; they keep their address
  harness::RateLimiter limiter{harness::RateLimits()};
  Counts counts;
  absl::Duration work_begun = absl::InfiniteDuration();
  bool ends_at_once = false;
  absl::Duration watch_begun;
  std::unique_ptr<HttpServer> server;
};

const char* CannedService::Impl::TypeOf(const CannedSession& session,
                                        int64_t k) const {
  switch (LastLeft(session, k)) {
    case 3:
      return "agent.message";
    case 2:
      return "session.usage";
    case 1:
      return "session.status_idle";
    default:
      break;
  }
  if (k == 0) return "user.message";
  if (k == 1) return "session.status_running";
  return k % 2 == 0 ? "agent.tool_use" : "agent.tool_result";
}

std::string CannedService::Impl::EventJson(const CannedSession& session,
                                           int64_t k) const {
  const std::string id = EventId(session, k);
  const std::string stamp = Stamp(TimeOf(session, k));
  const absl::string_view type = TypeOf(session, k);
  if (type == "agent.tool_use") {
    return UsualToolUse(id, stamp, session.number * 1'000'003 + k);
  }
  std::string event = absl::StrCat(R"({"id":")", id, R"(","type":")", type,
                                   R"(","processed_at":")", stamp, "\"");
  if (type == "agent.tool_result") {
    // Its call is the event before.
    absl::StrAppend(&event, R"(,"tool_use_id":")", EventId(session, k - 1),
                    R"(","content":[{"type":"text","text":")",
                    UsualToolOutput(session.number * 1'000'003 + k),
                    R"("}],"is_error":false)");
  } else if (type == "user.message" || type == "agent.message") {
    absl::StrAppend(&event, R"(,"content":[{"type":"text","text":")",
                    k == 0 ? "Look at it." : "All is well.", R"("}])");
  } else if (type == "session.usage") {
    event += R"(,"usage":{"list_cost":{"amount":"2","currency":"USD"}})";
  } else if (type == "session.status_idle") {
    event += R"(,"stop_reason":{"type":"end_turn"})";
  }
  return event + "}";
}

std::string CannedService::Impl::SessionJson(
    const CannedSession& session) const {
  const char* status = "idle";
  if (session.archived) status = "terminated";
  if (Running(session)) status = "running";
  const bool charged = session.begun < absl::InfiniteDuration();
  return absl::StrCat(
      R"({"id":")", IdOf(session), R"(","type":"session","status":")", status,
      R"(","metadata":)", session.metadata, R"(,"usage":{)",
      charged ? R"("list_cost":{"amount":"2","currency":"USD"})" : "",
      R"(},"created_at":")", Stamp(session.created), R"(","archived_at":)",
      session.archived ? absl::StrCat("\"", Stamp(session.created), "\"")
                       : "null",
      "}");
}

CannedSession* CannedService::Impl::Find(const std::string& id) {
  size_t number = 0;
  if (!absl::SimpleAtoi(absl::StripPrefix(id, kIdPrefix), &number) ||
      number >= sessions.size()) {
    return nullptr;
  }
  return &sessions[number];
}

std::optional<CannedAnswer> CannedService::Impl::Limit(
    const std::string& method, const std::vector<std::string>& path) {
  std::string pattern = absl::StrCat("/v1/", path.empty() ? "" : path[0]);
  if (path.size() > 1) pattern += "/{}";
  const RequestClass request_class = harness::ClassOf(method, pattern);
  std::optional<harness::RateLimiter::Room> room =
      limiter.Take(request_class, Now());
  if (!room || room->wait == absl::ZeroDuration()) {
    counts.reads += request_class == RequestClass::kRead;
    return std::nullopt;
  }
  ++counts.refused;
  CannedAnswer answer = Refusal(429, "rate_limit_error", "too many requests");
  answer.headers.emplace_back(
      "retry-after",
      absl::StrCat(std::max<int64_t>(
          1, std::llround(std::ceil(absl::ToDoubleSeconds(room->wait))))));
  return answer;
}

CannedAnswer CannedService::Impl::Create(const ServerRequest& request) {
  json body = json::parse(request.body, nullptr, false);
  if (!body.is_object()) {
    return Refusal(400, "invalid_request_error", "no JSON object");
  }
  CannedSession& session = sessions.emplace_back();
  session.number = static_cast<int64_t>(sessions.size()) - 1;
  session.metadata = body.value("metadata", json::object()).dump();
  session.created = Now();
  if (!body.value("initial_events", json::array()).empty()) {
    session.begun = session.created;
  }
  return Ok(SessionJson(session));
}

CannedAnswer CannedService::Impl::ListSessions(const ServerRequest& request) {
  absl::Time from = absl::InfinitePast();
  std::string ignored;
  absl::ParseTime(absl::RFC3339_full, request.QueryValue("created_at[gte]"),
                  &from, &ignored);
  const bool archived = request.QueryValue("include_archived") == "true";
  CannedAnswer answer;
  std::vector<std::string> items;
  int64_t next = -1;
  for (auto i = static_cast<size_t>(PageOf(request)); i < sessions.size();
       ++i) {
    CannedSession& session = sessions[i];
    if (session.archived && !archived) continue;
    if (wall_base + (session.created - steady_base) < from) continue;
    if (static_cast<int64_t>(items.size()) == kSessionsPage) {
      next = static_cast<int64_t>(i);
      break;
    }
    items.push_back(SessionJson(session));
    answer.tells.push_back(&session);
  }
  answer.body = PageJson(items, next);
  return answer;
}

CannedAnswer CannedService::Impl::Send(CannedSession& session,
                                       const ServerRequest& request) {
  if (session.archived) {
    return Refusal(400, "invalid_request_error", "it takes no more events");
  }
  json body = json::parse(request.body, nullptr, false);
  for (const json& event : body.value("events", json::array())) {
    const std::string type = event.value("type", "");
    if (type == "user.message" && session.begun == absl::InfiniteDuration()) {
      session.begun = Now();
      if (ends_at_once) session.ended = session.begun;
      Wake(session);
    } else if (type == "user.interrupt" && Running(session)) {
      End(session);
    }
  }
  return Ok(R"({"data":[]})");
}

CannedAnswer CannedService::Impl::History(CannedSession& session,
                                          const ServerRequest& request) {
  absl::Time from = absl::InfinitePast();
  std::string ignored;
  absl::ParseTime(absl::RFC3339_full, request.QueryValue("created_at[gte]"),
                  &from, &ignored);
  const std::string type = request.QueryValue("types[]");
  const int64_t end = EventsBy(session, Now());
  CannedAnswer answer;
  std::vector<std::string> items;
  int64_t next = -1;
  for (int64_t k = PageOf(request); k < end; ++k) {
    if (wall_base + (TimeOf(session, k) - steady_base) < from) continue;
    if (!type.empty() && type != TypeOf(session, k)) continue;
    if (static_cast<int64_t>(items.size()) == kEventsPage) {
      next = k;
      break;
    }
    items.push_back(EventJson(session, k));
  }
  answer.body = PageJson(items, next);
  if (next < 0) answer.history = &session;
  return answer;
}

CannedAnswer CannedService::Impl::HandleFiles(
    const ServerRequest& request, const std::vector<std::string>& path) {
  if (request.method == "POST") return Ok(R"({"id":"file_01up"})");
  if (path.size() > 1) return Ok(kFileBytes);
  CannedSession* session = Find(request.QueryValue("scope_id"));
  std::vector<std::string> files;
  if (session != nullptr && session->ended < absl::InfiniteDuration()) {
    files.push_back(absl::StrCat(R"({"id":"file_01)", session->number,
                                 R"(","filename":"report.md","size_bytes":)",
                                 sizeof kFileBytes - 1,
                                 R"(,"downloadable":true})"));
  }
  return Ok(PageJson(files, -1));
}

CannedAnswer CannedService::Impl::Handle(const ServerRequest& request,
                                         const std::vector<std::string>& path) {
  if (path.empty()) return NotFound();
  if (path[0] == "agents") return Ok(R"({"id":"agent_01bench","version":1})");
  if (path[0] == "environments") return Ok(R"({"id":"env_01bench"})");
  if (path[0] == "files") return HandleFiles(request, path);
  if (path[0] != "sessions") return NotFound();
  const bool post = request.method == "POST";
  if (path.size() == 1) return post ? Create(request) : ListSessions(request);
  CannedSession* session = Find(path[1]);
  if (session == nullptr) return NotFound();
  if (path.size() == 3 && path[2] == "events") {
    return post ? Send(*session, request) : History(*session, request);
  }
  if (path.size() == 3 && path[2] == "archive" && post) {
    if (Running(*session)) {
      return Refusal(400, "invalid_request_error", "it runs");
    }
    session->archived = true;
    Wake(*session);
  } else if (path.size() != 2) {
    return NotFound();
  }
  CannedAnswer answer = Ok(SessionJson(*session));
  answer.tells.push_back(session);
  return answer;
}

void CannedService::Impl::Told(const CannedAnswer& answer) {
  const absl::Duration now = Now();
  for (CannedSession* session : answer.tells) {
    session->known = std::min(session->known, now);
  }
  if (answer.history == nullptr) return;
  CannedSession& session = *answer.history;
  session.known = std::min(session.known, now);
  if (session.streamed) session.attached = std::min(session.attached, now);
}

Async<void> CannedService::Impl::Serve(Impl& self, ServerRequest request,
                                       ServerResponder& reply) {
  std::vector<std::string> path = absl::StrSplit(
      absl::StripPrefix(request.path, "/v1/"), '/', absl::SkipEmpty());
  std::optional<CannedAnswer> answer = self.Limit(request.method, path);
  if (!answer && path.size() == 4 && path[3] == "stream") {
    CannedSession* session = self.Find(path[1]);
    if (session != nullptr && !session->archived) {
      co_await ServeStream(self, *session, reply);
      co_return;
    }
  }
  if (!answer) answer = self.Handle(request, path);
  HttpHeaders headers = std::move(answer->headers);
  headers.emplace_back("content-type", "application/json");
  absl::Status sent = co_await reply.Send(answer->status, std::move(headers),
                                          std::move(answer->body));
  if (sent.ok()) self.Told(*answer);
}

Async<void> CannedService::Impl::ServeStream(Impl& self, CannedSession& session,
                                             ServerResponder& reply) {
  int64_t next = self.EventsBy(session, self.Now());
  CannedStream stream(self.executor);
  session.streams.insert(&stream);
  ++self.counts.streams;
  session.streamed = true;
  HttpHeaders headers{{"content-type", "text/event-stream"}};
  absl::Status status = co_await reply.StartStream(200, std::move(headers));
  while (status.ok() && !session.archived) {
    absl::Duration wait = kPingEvery;
    if (self.Running(session)) {
      wait = std::min(wait, self.TimeOf(session, next) - self.Now());
    }
    if (self.EventsBy(session, self.Now()) == next) {
      co_await stream.wake.Pop(wait);
    }
    std::string bytes;
    const int64_t end = self.EventsBy(session, self.Now());
    self.counts.written += end - next;
    for (; next < end; ++next) {
      bytes += FormatSseFrame(self.TypeOf(session, next),
                              self.EventJson(session, next));
    }
    // A ping, or woken for the work that is to come.
    if (bytes.empty()) bytes = FormatSseFrame("ping", R"({"type":"ping"})");
    status = co_await reply.Write(std::move(bytes));
  }
  session.streams.erase(&stream);
  --self.counts.streams;
}

absl::StatusOr<std::unique_ptr<CannedService>> CannedService::Start(
    absl::Duration event_every) {
  auto impl = std::make_unique<Impl>(event_every);
  absl::Status status;
  RunOn(impl->executor, [&] {
    auto handler = [self = impl.get()](ServerRequest request,
                                       ServerResponder& reply) {
      return Impl::Serve(*self, std::move(request), reply);
    };
    absl::StatusOr<std::unique_ptr<HttpServer>> server =
        HttpServer::Listen(impl->executor, {.connections_max = 100'000},
                           handler, [](int, std::string message) {
                             return ErrorJson("invalid_request_error", message);
                           });
    status = server.status();
    if (server.ok()) impl->server = *std::move(server);
  });
  RETURN_IF_ERROR(status);
  return std::unique_ptr<CannedService>(new CannedService(std::move(impl)));
}

CannedService::CannedService(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

CannedService::~CannedService() { impl_->executor.Stop(); }

std::string CannedService::base_url() const {
  return absl::StrCat("http://127.0.0.1:", impl_->server->port());
}

void CannedService::SetLimits(harness::RateLimits limits) {
  RunOn(impl_->executor,
        [&] { impl_->limiter = harness::RateLimiter(limits); });
}

void CannedService::BeginWork() {
  RunOn(impl_->executor, [&] {
    impl_->work_begun = impl_->Now();
    for (CannedSession& session : impl_->sessions) Impl::Wake(session);
  });
}

void CannedService::EndAtOnce() {
  RunOn(impl_->executor, [&] { impl_->ends_at_once = true; });
}

int CannedService::Finish(int count) {
  int finished = 0;
  RunOn(impl_->executor, [&] {
    for (CannedSession& session : impl_->sessions) {
      if (finished == count) break;
      if (!impl_->Running(session)) continue;
      impl_->End(session);
      ++finished;
    }
  });
  return finished;
}

CannedService::Counts CannedService::counts() {
  Counts counts;
  RunOn(impl_->executor, [&] {
    counts = impl_->counts;
    counts.created = static_cast<int64_t>(impl_->sessions.size());
    for (const CannedSession& session : impl_->sessions) {
      counts.begun += session.begun < absl::InfiniteDuration();
      counts.running += impl_->Running(session);
      counts.archived += session.archived;
    }
  });
  return counts;
}

std::vector<std::string> CannedService::EventIds(
    const std::string& session_id) {
  std::vector<std::string> ids;
  RunOn(impl_->executor, [&] {
    CannedSession* session = impl_->Find(session_id);
    if (session == nullptr) return;
    const int64_t end = impl_->EventsBy(*session, impl_->Now());
    for (int64_t k = 0; k < end; ++k) ids.push_back(EventId(*session, k));
  });
  return ids;
}

int64_t CannedService::Events() {
  int64_t events = 0;
  RunOn(impl_->executor, [&] {
    const absl::Duration now = impl_->Now();
    for (const CannedSession& session : impl_->sessions) {
      events += impl_->EventsBy(session, now);
    }
  });
  return events;
}

void CannedService::BeginWatch() {
  RunOn(impl_->executor, [&] {
    impl_->watch_begun = impl_->Now();
    for (CannedSession& session : impl_->sessions) {
      session.watched = impl_->Running(session);
      session.streamed = false;
      session.known = session.attached = absl::InfiniteDuration();
    }
  });
}

CannedService::Watch CannedService::watch() {
  Watch watch;
  RunOn(impl_->executor, [&] {
    for (const CannedSession& session : impl_->sessions) {
      if (!session.watched) continue;
      ++watch.watched;
      if (session.known < absl::InfiniteDuration()) {
        ++watch.known;
        watch.last_known =
            std::max(watch.last_known, session.known - impl_->watch_begun);
      }
      if (!impl_->Running(session)) continue;
      ++watch.running;
      if (session.attached == absl::InfiniteDuration()) continue;
      ++watch.attached;
      watch.last_attached =
          std::max(watch.last_attached, session.attached - impl_->watch_begun);
    }
  });
  return watch;
}

}  // namespace midwatch::bench
