#include "cli/probe.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agents/agents_client.h"
#include "agents/http_errors.h"
#include "base/coro.h"
#include "base/real_clock.h"
#include "base/real_executor.h"
#include "base/status_macros.h"
#include "cli/money.h"
#include "cli/times.h"
#include "cli/write_limit.h"
#include "net/curl_transport.h"
#include "node/account_check.h"

namespace midwatch::cli {
namespace {

constexpr absl::Duration kProbeTimeout = absl::Seconds(30);
constexpr absl::Duration kBetweenLooks = absl::Milliseconds(200);
constexpr absl::Duration kStartsWithin = absl::Seconds(30);
constexpr absl::Duration kRestsWithin = absl::Minutes(2);
constexpr absl::Duration kListedWithin = absl::Seconds(30);
constexpr absl::Duration kReadWithin = absl::Seconds(30);
// Of a request that is refused for its rate, and what is waited between them.
constexpr int kArchiveTries = 4;
constexpr absl::Duration kRestMin = absl::Seconds(1);
constexpr absl::Duration kRestMax = absl::Minutes(1);
constexpr absl::Duration kInterruptEvery = absl::Milliseconds(100);
// To a language model a request; to the harness's runbook a shell block. Long
// enough to be looked at while it runs.
constexpr char kPrompt[] =
    "Run this command with your bash tool, then say done.\n\n"
    "```sh\nsleep 5\n```\n";
constexpr char kRemaining[] = "anthropic-ratelimit-requests-remaining";

// Remembers what the last answer said beside its body.
class HeaderWatch final : public HttpTransport {
 public:
  explicit HeaderWatch(HttpTransport& transport) : transport_(transport) {}

  Async<absl::StatusOr<HttpResponse>> Fetch(HttpRequest request) override {
    absl::StatusOr<HttpResponse> response =
        co_await transport_.Fetch(std::move(request));
    if (response.ok()) last_ = response->headers;
    co_return response;
  }
  Async<absl::StatusOr<HttpResponse>> Download(HttpRequest request,
                                               std::string path) override {
    co_return co_await transport_.Download(std::move(request), std::move(path));
  }
  Async<absl::StatusOr<std::unique_ptr<HttpStream>>> OpenStream(
      HttpRequest request) override {
    co_return co_await transport_.OpenStream(std::move(request));
  }

  std::string Last(absl::string_view name) const {
    return std::string(HeaderValue(last_, name));
  }

 private:
  HttpTransport& transport_;
  HttpHeaders last_;
};

int HttpStatusOf(const absl::Status& status) {
  const std::optional<ApiError> error = GetApiError(status);
  return error ? error->http_status : 0;
}

// The service said no, as opposed to not answering.
bool IsRefusal(const absl::Status& status) {
  const int code = HttpStatusOf(status);
  return code >= 400 && code < 500 && code != 408 && code != 429;
}

class Prober {
 public:
  Prober(HttpTransport& transport, Executor& executor, AccountOptions account,
         ProbeOptions options)
      : transport_(transport),
        executor_(executor),
        account_(std::move(account)),
        options_(std::move(options)),
        client_(transport_, executor, RealClock(),
                {.base_url = account_.base_url, .api_key = account_.api_key}) {}

  Async<void> Run(std::promise<ProbeReport>& done) {
    const absl::Status status = co_await Try();
    if (!status.ok()) {
      Add(Problem("probe", absl::StrCat("it ended early: ", status.message()),
                  "what was settled before holds; run it again"));
    }
    co_await CleanUp();
    done.set_value(std::move(report_));
  }

  // Ends the holding of the stream, or that which would come.
  void StopHolding() {
    stopped_ = true;
    if (held_ != nullptr) held_->Close();
  }

 private:
  void Add(Finding finding) { report_.findings.push_back(std::move(finding)); }
  void NotSettled(const char* topic, const std::string& why) {
    Add(Ok(topic, absl::StrCat("not settled: ", why)));
  }

  Async<absl::Status> Try() {
    CO_RETURN_IF_ERROR(co_await Prepare());
    CO_RETURN_IF_ERROR(co_await LookAtAnIdleSession());
    CO_RETURN_IF_ERROR(co_await LookAtARunningSession());
    if (!options_.limits && options_.stream_age == absl::ZeroDuration()) {
      co_return absl::OkStatus();
    }
    CO_ASSIGN_OR_RETURN(Session made, co_await CreateSession());
    if (options_.limits) co_await UseUpTheLimits(made.id);
    if (options_.stream_age > absl::ZeroDuration()) {
      co_await HoldAStream(made.id);
    }
    co_return absl::OkStatus();
  }

  Async<absl::Status> Prepare() {
    const nlohmann::json toolset = {
        {"type", "agent_toolset_20260401"},
        {"default_config",
         {{"enabled", true},
          {"permission_policy", {{"type", "always_allow"}}}}}};
    nlohmann::json agent = {{"name", "midwatch-probe"},
                            {"model", options_.model}};
    agent["tools"] = nlohmann::json::array({toolset});
    const nlohmann::json environment = {
        {"name", "midwatch-probe"},
        {"config", {{"type", "cloud"}, {"networking", {{"type", "limited"}}}}}};
    CO_ASSIGN_OR_RETURN(agent_, co_await client_.CreateAgent(agent.dump()));
    CO_ASSIGN_OR_RETURN(environment_,
                        co_await client_.CreateEnvironment(environment.dump()));
    co_return absl::OkStatus();
  }

  Async<absl::StatusOr<Session>> CreateSession() {
    SessionSpec spec;
    spec.agent = agent_;
    spec.environment_id = environment_;
    spec.title = "midwatch doctor --probe";
    spec.metadata["midwatch"] = "probe";
    spec.budget_usd_micros = kProbeUsdMicrosMax;
    absl::StatusOr<Session> session =
        co_await client_.CreateSession(std::move(spec), kProbeTimeout);
    if (session.ok()) sessions_.push_back(session->id);
    co_return session;
  }

  Async<absl::Status> Say(std::string session, OutgoingEvent event) {
    std::vector<OutgoingEvent> events;
    events.push_back(std::move(event));
    co_return co_await client_.SendEvents(std::move(session), std::move(events),
                                          kProbeTimeout);
  }

  // How late a list is; whether the session costs; whether archive closes it.
  Async<absl::Status> LookAtAnIdleSession() {
    CO_ASSIGN_OR_RETURN(Session made, co_await CreateSession());
    create_remaining_ = transport_.Last(kRemaining);
    co_await MeasureListDelay(made);
    CO_ASSIGN_OR_RETURN(Session seen, co_await client_.GetSession(made.id));
    const int64_t cost = seen.list_cost_usd_micros.value_or(0);
    if (cost == 0) {
      Add(Ok("idle",
             "an idle session costs nothing, as the start protocol "
             "assumes"));
    } else {
      Add(Problem("idle",
                  absl::StrCat("an idle session cost ", FormatUsd(cost)),
                  "a create that is repeated costs as much again"));
    }
    CO_RETURN_IF_ERROR((co_await client_.ArchiveSession(made.id)).status());
    OutgoingMessage message{kPrompt};
    const absl::Status sent = co_await Say(made.id, std::move(message));
    if (IsRefusal(sent)) {
      Add(Ok("archived", absl::StrCat("an archived session refuses events "
                                      "(HTTP ",
                                      HttpStatusOf(sent), ")")));
    } else if (sent.ok()) {
      Add(Problem("archived", "an archived session took an event",
                  "the fence does not hold here: run one worker at a time"));
    } else {
      NotSettled("archived", std::string(sent.message()));
    }
    co_return absl::OkStatus();
  }

  Async<void> MeasureListDelay(const Session& made) {
    const absl::Duration begun = RealClock().Steady();
    while (RealClock().Steady() - begun < kListedWithin) {
      HttpRequest request = Request("GET", "/v1/sessions?limit=20");
      absl::StatusOr<HttpResponse> page =
          co_await transport_.Fetch(std::move(request));
      if (page.ok() && page->status == 200 &&
          page->body.find(made.id) != std::string::npos) {
        Add(Ok("lists",
               absl::StrFormat(
                   "a new session is listed after %.1f s at most",
                   absl::ToDoubleSeconds(RealClock().Steady() - begun))));
        co_return;
      }
      co_await Sleep(executor_, kBetweenLooks);
    }
    NotSettled("lists",
               absl::StrCat("the session was not among the newest for ",
                            absl::FormatDuration(kListedWithin)));
  }

  Async<absl::Status> LookAtARunningSession() {
    CO_ASSIGN_OR_RETURN(Session made, co_await CreateSession());
    create_remaining_ = transport_.Last(kRemaining);
    const absl::Duration opened = RealClock().Steady();
    CO_ASSIGN_OR_RETURN(std::unique_ptr<EventStream> stream,
                        co_await client_.OpenStream(made.id));
    OutgoingMessage message{kPrompt};
    CO_RETURN_IF_ERROR(co_await Say(made.id, std::move(message)));
    CompareLimits(transport_.Last(kRemaining));
    CO_ASSIGN_OR_RETURN(bool runs,
                        co_await WaitFor(made.id, true, kStartsWithin));
    if (runs) {
      const absl::Status archived =
          (co_await client_.ArchiveSession(made.id)).status();
      if (IsRefusal(archived)) {
        Add(Ok("running", absl::StrCat("a running session refuses to be "
                                       "archived (HTTP ",
                                       HttpStatusOf(archived), ")")));
      } else if (archived.ok()) {
        Add(Problem("running", "a running session was archived",
                    "the fence does not hold here: run one worker at a time"));
      } else {
        NotSettled("running", std::string(archived.message()));
      }
    } else {
      NotSettled("running", "the session was never seen to run");
    }
    CO_ASSIGN_OR_RETURN(bool rests,
                        co_await WaitFor(made.id, false, kRestsWithin));
    if (!rests) {
      OutgoingInterrupt interrupt;
      CO_RETURN_IF_ERROR(co_await Say(made.id, interrupt));
      CO_RETURN_IF_ERROR(
          (co_await WaitFor(made.id, false, kRestsWithin)).status());
    }
    co_await ReadToTheEnd(*stream, opened);
    co_return absl::OkStatus();
  }

  // Whether the session came to run (to rest) in time.
  Async<absl::StatusOr<bool>> WaitFor(std::string session, bool running,
                                      absl::Duration limit) {
    const absl::Duration begun = RealClock().Steady();
    while (RealClock().Steady() - begun < limit) {
      CO_ASSIGN_OR_RETURN(Session seen, co_await client_.GetSession(session));
      if ((seen.status == "running") == running) co_return true;
      co_await Sleep(executor_, kBetweenLooks);
    }
    co_return false;
  }

  // A create and a write, one after the other: if the second left one less of
  // what the first left, they share a limit.
  void CompareLimits(const std::string& write_remaining) {
    if (create_remaining_.empty() || write_remaining.empty()) {
      if (options_.limits) return;  // settled in another way
      return NotSettled("limits",
                        "answers carry no rate-limit headers, so whether "
                        "events share the limit of creates does not show; "
                        "--limits settles it");
    }
    int64_t before = 0, after = 0;
    if (!absl::SimpleAtoi(create_remaining_, &before) ||
        !absl::SimpleAtoi(write_remaining, &after)) {
      return NotSettled("limits", "the rate-limit headers hold no numbers");
    }
    Add(Ok("limits",
           absl::StrCat("after a create ", create_remaining_,
                        " requests remained, after an event ", write_remaining,
                        before > after
                            ? ": they seem to share a limit"
                            : ": they seem to have limits of their own")));
  }

  // How a stream was read.
  struct Reading {
    int events = 0;
    bool came_to_rest = false;
    absl::Status ended;  // OK: it was still open
  };
  // Until the stream ends, or `limit` has passed; `to_rest`: or the session
  // comes to rest.
  Async<Reading> Read(EventStream& stream, absl::Duration limit, bool to_rest) {
    bool closed = false;
    const Executor::TimerId timer = executor_.After(limit, [&] {
      closed = true;
      stream.Close();
    });
    Reading reading;
    while (!reading.came_to_rest && reading.ended.ok() && !closed) {
      absl::StatusOr<Event> event = co_await stream.Next();
      if (event.ok()) {
        ++reading.events;
        reading.came_to_rest = to_rest && event->type == "session.status_idle";
      } else if (absl::IsCancelled(event.status())) {
        closed = true;  // by us
      } else {
        reading.ended = event.status();
      }
    }
    executor_.Cancel(timer);
    co_return reading;
  }

  Async<void> ReadToTheEnd(EventStream& stream, absl::Duration opened) {
    const Reading reading = co_await Read(stream, kReadWithin, true);
    Add(Ok("stream",
           absl::StrCat(
               "one brought ", reading.events, " events in ",
               FormatSpan(RealClock().Steady() - opened),
               reading.ended.ok() ? " and was still open" : " and ended",
               options_.stream_age > absl::ZeroDuration()
                   ? ""
                   : "; how long one may live is not settled: --stream-age "
                     "settles it")));
  }

  // Interrupts, since a session at rest has nothing to interrupt: they begin no
  // turn, and cost as little as the session.
  Async<void> UseUpTheLimits(std::string session) {
    SendRequest write = [this, session] {
      return Say(session, OutgoingInterrupt());
    };
    SendRequest create = [this] { return CreateAnother(); };
    const WriteLimitOptions options;
    WriteLimit found =
        co_await FindWriteLimit(executor_, RealClock(), write, create, options);
    Add(Ok("write limit", found.says));
    co_await Sleep(executor_, std::min(found.rest, kRestMax));
  }

  Async<absl::Status> CreateAnother() {
    co_return (co_await CreateSession()).status();
  }

  Async<void> HoldAStream(std::string session) {
    absl::StatusOr<std::unique_ptr<EventStream>> stream =
        co_await client_.OpenStream(session);
    if (!stream.ok()) {
      NotSettled("stream age", std::string(stream.status().message()));
      co_return;
    }
    const absl::Duration opened = RealClock().Steady();
    held_ = stream->get();
    if (stopped_) held_->Close();
    const Reading reading = co_await Read(**stream, options_.stream_age, false);
    held_ = nullptr;
    const std::string age = FormatSpan(RealClock().Steady() - opened);
    if (reading.ended.ok()) {
      Add(Ok(
          "stream age",
          absl::StrCat("one of an idle session was still open after ", age)));
    } else if (absl::IsDeadlineExceeded(reading.ended)) {
      NotSettled("stream age",
                 absl::StrCat("one of an idle session fell silent, without a "
                              "ping, and was given up after ",
                              age));
    } else {
      Add(Ok("stream age",
             absl::StrCat("one of an idle session ended after ", age, " (",
                          reading.ended.message(),
                          "); streams are reopened when they end")));
    }
  }

  HttpRequest Request(const char* method, const std::string& path) {
    HttpRequest request;
    request.method = method;
    request.url = account_.base_url + path;
    request.headers = {{"x-api-key", account_.api_key},
                       {"anthropic-version", "2023-06-01"},
                       {"anthropic-beta", "managed-agents-2026-04-01"},
                       {"content-type", "application/json"},
                       {"accept", "application/json"}};
    request.timeout = kProbeTimeout;
    return request;
  }

  Async<void> Archive(std::string path) {
    for (int i = 0; i < kArchiveTries; ++i) {
      HttpRequest request = Request("POST", path + "/archive");
      request.body.push_back({"{}", ""});
      absl::StatusOr<HttpResponse> answer =
          co_await transport_.Fetch(std::move(request));
      if (answer.ok() && answer->status < 300) co_return;
      if (!answer.ok() || answer->status != 429) break;
      const absl::Duration rest =
          ErrorOfAnswer("archive", *answer, RealClock().Now())
              .retry_after.value_or(kRestMin);
      co_await Sleep(executor_, std::clamp(rest, kRestMin, kRestMax));
    }
    Add(Warning("clean-up", absl::StrCat(path, " could not be archived"),
                "archive it by hand; at rest it costs nothing"));
  }

  Async<void> CleanUp() {
    for (const std::string& id : sessions_) {
      absl::StatusOr<Session> seen = co_await client_.GetSession(id);
      if (seen.ok()) {
        report_.cost_usd_micros += seen->list_cost_usd_micros.value_or(0);
      }
      co_await Archive("/v1/sessions/" + id);
    }
    if (!environment_.empty()) {
      co_await Archive("/v1/environments/" + environment_);
    }
    if (!agent_.id.empty()) co_await Archive("/v1/agents/" + agent_.id);
    Add(Ok("cost", absl::StrCat("the probe cost ",
                                FormatUsd(report_.cost_usd_micros))));
  }

  HeaderWatch transport_;
  Executor& executor_;
  const AccountOptions account_;
  const ProbeOptions options_;
  AgentsClient client_;
  AgentRef agent_;
  std::string environment_;
  std::vector<std::string> sessions_;
  std::string create_remaining_;
  EventStream* held_ = nullptr;  // while there is one
  bool stopped_ = false;
  ProbeReport report_;
};

}  // namespace

ProbeReport ProbeService(const AccountOptions& account,
                         const ProbeOptions& options, Interrupts* interrupts) {
  RealExecutor executor("probe");
  std::unique_ptr<HttpTransport> transport;
  std::unique_ptr<Prober> prober;
  std::promise<ProbeReport> done;
  executor.Post([&] {
    transport = MakeCurlTransport(executor, WayTo(account));
    prober = std::make_unique<Prober>(*transport, executor, account, options);
    Spawn(executor, prober->Run(done));
  });
  std::future<ProbeReport> report = done.get_future();
  while (interrupts != nullptr && report.wait_for(std::chrono::seconds(0)) !=
                                      std::future_status::ready) {
    if (!interrupts->Wait(kInterruptEvery)) continue;
    std::fputs("midwatch: telling what was seen; again to stop at once\n",
               stderr);
    executor.Post([&] { prober->StopHolding(); });
    interrupts->Unblock();
    break;
  }
  ProbeReport found = report.get();
  executor.Stop();
  return found;
}

}  // namespace midwatch::cli
