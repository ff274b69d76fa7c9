// How many event streams one worker's thread carries: the worker's own HTTP
// transport, feed and transcript, against a server that sends an event a second
// on each.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agents/agents_client.h"
#include "agents/session_feed.h"
#include "base/random.h"
#include "base/real_clock.h"
#include "base/real_executor.h"
#include "base/status_macros.h"
#include "bench/benchmarks.h"
#include "bench/process.h"
#include "bench/workload.h"
#include "net/curl_transport.h"
#include "net/http_server.h"
#include "worker/transcript.h"

namespace midwatch::bench {
namespace {

// A few descriptors beside the streams.
constexpr int kSpareFiles = 200;
// Opened at once, so that the server's backlog is not the first limit.
constexpr size_t kOpening = 64;

// The worker's reading half: streams that fold what they receive and count what
// a transcript would store.
class Streams {
 public:
  Streams(const std::string& base_url, size_t wanted) : wanted_(wanted) {
    RunOn(executor_, [&] {
      transport_ = MakeCurlTransport(executor_);
      client_.emplace(
          *transport_, executor_, RealClock(),
          AgentsClientOptions{.base_url = base_url, .api_key = "bench"});
      for (size_t i = 0; i < std::min(kOpening, wanted_); ++i) OpenNext();
    });
  }
  ~Streams() {
    executor_.Stop();
    streams_.clear();
  }

  struct State {
    size_t open = 0;
    int64_t events = 0;
    int64_t chunks = 0;
    absl::Status failure;
  };
  State state() {
    State state;
    RunOn(executor_, [&] { state = state_; });
    return state;
  }

 private:
  struct Stream {
    Stream(Streams& owner, size_t number)
        : feed(*owner.client_, owner.executor_, owner.random_,
               absl::StrCat("sesn_", number)),
          transcript(RealClock(), BuiltInPrices(), 0) {}
    SessionFeed feed;
    Transcript transcript;
  };

  void OpenNext() {
    if (streams_.size() == wanted_) return;
    streams_.push_back(std::make_unique<Stream>(*this, streams_.size()));
    Spawn(executor_, Read(*this, *streams_.back()));
  }

  static Async<void> Read(Streams& self, Stream& stream) {
    absl::Status opened = co_await stream.feed.Open();
    self.state_.failure.Update(opened);
    if (!opened.ok()) co_return;
    ++self.state_.open;
    self.OpenNext();
    while (true) {
      absl::StatusOr<Event> event = co_await stream.feed.Next();
      if (!event.ok()) {
        self.state_.failure.Update(event.status());
        --self.state_.open;
        co_return;
      }
      ++self.state_.events;
      stream.transcript.Add(*std::move(event));
      if (stream.transcript.DueIn() > absl::ZeroDuration()) continue;
      std::vector<std::string> chunk = stream.transcript.NextBatch();
      stream.transcript.MarkStored(stream.transcript.stored() +
                                   static_cast<int64_t>(chunk.size()));
      ++self.state_.chunks;
    }
  }

  const size_t wanted_;
  RealExecutor executor_{"worker"};
  RealRandom random_;
  std::unique_ptr<HttpTransport> transport_;
  std::optional<AgentsClient> client_;
  std::vector<std::unique_ptr<Stream>> streams_;
  State state_;
};

Async<void> SendEvents(Executor& executor, ServerResponder& reply) {
  HttpHeaders headers{{"content-type", "text/event-stream"}};
  absl::Status status = co_await reply.StartStream(200, std::move(headers));
  for (int64_t number = 0; status.ok(); ++number) {
    co_await Sleep(executor, absl::Seconds(1));
    std::string event = absl::StrCat("data: ", UsualEvent(number), "\n\n");
    status = co_await reply.Write(std::move(event));
  }
}

absl::StatusOr<std::unique_ptr<Process>> StartServer(const Context& context,
                                                     std::string& base_url) {
  ASSIGN_OR_RETURN(std::unique_ptr<Process> server,
                   Process::Start({context.self, "serve-streams"},
                                  context.dir + "/server.log"));
  ASSIGN_OR_RETURN(std::string port, server->ReadLine());
  base_url = absl::StrCat("http://127.0.0.1:", port);
  return server;
}

}  // namespace

int ServeStreams() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  FilesMax();
  RealExecutor executor("server");
  std::unique_ptr<HttpServer> server;
  auto handler = [&executor](ServerRequest, ServerResponder& reply) {
    return SendEvents(executor, reply);
  };
  RunOn(executor, [&] {
    auto listening =
        HttpServer::Listen(executor, {.connections_max = 100'000}, handler,
                           [](int, std::string message) { return message; });
    if (!listening.ok()) return;
    server = *std::move(listening);
    std::printf("%d\n", server->port());
    std::fflush(stdout);
  });
  if (server == nullptr) return 1;
  while (true) pause();
}

absl::Status StreamsPerWorker(Context& context) {
  context.report.Begin(context.dir, "nothing is stored");
  const int64_t wanted =
      std::min<int64_t>(context.Scaled(10'000, 20), FilesMax() - kSpareFiles);
  std::string base_url;
  ASSIGN_OR_RETURN(std::unique_ptr<Process> server,
                   StartServer(context, base_url));
  const Usage empty = UsageOf(getpid());
  Streams streams(base_url, static_cast<size_t>(wanted));
  while (streams.state().open < static_cast<size_t>(wanted)) {
    RETURN_IF_ERROR(streams.state().failure);
    Wait(absl::Milliseconds(20));
  }
  const absl::Duration window =
      context.tiny ? absl::Milliseconds(1500) : absl::Seconds(5);
  Wait(window);
  std::vector<double> kib, cores, rates;
  for (int run = 0; run < context.runs; ++run) {
    const absl::Duration begin = RealClock().Steady();
    const Usage before = UsageOf(getpid());
    const Streams::State first = streams.state();
    Wait(window);
    const Streams::State last = streams.state();
    const Usage after = UsageOf(getpid());
    const absl::Duration took = RealClock().Steady() - begin;
    RETURN_IF_ERROR(last.failure);
    kib.push_back((after.rss_mib - empty.rss_mib) * 1024 /
                  static_cast<double>(wanted));
    cores.push_back(absl::FDivDuration(after.cpu - before.cpu, took));
    rates.push_back(static_cast<double>(last.events - first.events) /
                    absl::ToDoubleSeconds(took));
  }
  const std::string what = absl::StrCat(
      wanted,
      " streams over HTTP/1.1 without TLS, an event of 520 bytes a "
      "second on each, parsed, folded and batched by a worker's thread, not "
      "stored");
  context.report.Add(
      {"streams_per_worker.memory", what, "KiB/stream", kib, AtMost(50)});
  context.report.Add({"streams_per_worker.events", what, "events/s", rates,
                      AtLeast(0.98 * static_cast<double>(wanted))});
  context.report.Add(
      {"streams_per_worker.cpu", what, "cores", cores, AtMost(1)});
  return absl::OkStatus();
}

}  // namespace midwatch::bench
