// What the harness adds to the work that a turn does.
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agents/agents_client.h"
#include "base/real_clock.h"
#include "base/real_executor.h"
#include "base/status_macros.h"
#include "bench/benchmarks.h"
#include "bench/process.h"
#include "bench/workload.h"
#include "net/curl_transport.h"
#include "tests/testing/coro_test.h"

namespace midwatch::bench {
namespace {

constexpr char kServing[] = "midwatch harness: serving ";
constexpr char kBlock[] = "```bash\ntrue\n```\n";

// A session of the harness, as a worker would use it.
class Client {
 public:
  explicit Client(std::string base_url, std::string key) {
    RunOn(executor_, [&] {
      transport_ = MakeCurlTransport(executor_);
      agents_.emplace(*transport_, executor_, RealClock(),
                      AgentsClientOptions{.base_url = std::move(base_url),
                                          .api_key = std::move(key)});
    });
  }
  ~Client() { executor_.Stop(); }

  absl::Status Open() {
    return testing::RunCoro<absl::Status>(
        executor_, [this] { return OpenSession(*this); });
  }

  // From before the message is sent until the session is idle again, in
  // milliseconds.
  absl::StatusOr<double> Turn(std::string prompt) {
    return testing::RunCoro<absl::StatusOr<double>>(
        executor_, [&] { return RunTurn(*this, prompt); });
  }

 private:
  static Async<absl::Status> OpenSession(Client& self) {
    CO_ASSIGN_OR_RETURN(AgentRef agent,
                        co_await self.agents_->CreateAgent(
                            R"({"name":"bench","model":"runbook",)"
                            R"("tools":[{"type":"agent_toolset_20260401"}]})"));
    CO_ASSIGN_OR_RETURN(std::string environment,
                        co_await self.agents_->CreateEnvironment(
                            R"({"name":"bench","config":{"type":"cloud"}})"));
    SessionSpec spec;
    spec.agent = agent;
    spec.environment_id = environment;
    spec.title = "bench";
    spec.budget_usd_micros = int64_t{1'000'000'000};
    CO_ASSIGN_OR_RETURN(Session session,
                        co_await self.agents_->CreateSession(
                            std::move(spec), absl::Seconds(30)));
    self.session_ = session.id;
    CO_ASSIGN_OR_RETURN(self.events_,
                        co_await self.agents_->OpenStream(session.id));
    co_return absl::OkStatus();
  }

  static Async<absl::StatusOr<double>> RunTurn(Client& self,
                                               std::string prompt) {
    std::vector<OutgoingEvent> messages;
    messages.push_back(OutgoingMessage{std::move(prompt)});
    const absl::Duration begin = RealClock().Steady();
    CO_RETURN_IF_ERROR(co_await self.agents_->SendEvents(
        self.session_, std::move(messages), absl::Seconds(30)));
    while (true) {
      CO_ASSIGN_OR_RETURN(Event event, co_await self.events_->Next());
      if (std::holds_alternative<SessionIdle>(event.body)) break;
    }
    co_return absl::ToDoubleMilliseconds(RealClock().Steady() - begin);
  }

  RealExecutor executor_{"client"};
  std::unique_ptr<HttpTransport> transport_;
  std::optional<AgentsClient> agents_;
  std::string session_;
  std::unique_ptr<EventStream> events_;
};

absl::StatusOr<double> MedianTurn(Client& client, int64_t turns,
                                  const std::string& prompt) {
  std::vector<double> millis;
  for (int64_t i = 0; i < turns; ++i) {
    ASSIGN_OR_RETURN(double one, client.Turn(prompt));
    millis.push_back(one);
  }
  return Quantile(std::move(millis), 0.5);
}

}  // namespace

absl::Status HarnessTurn(Context& context) {
  context.report.Begin(context.dir,
                       "SQLite WAL; an event is committed before it is seen");
  const std::string key_file = context.dir + "/key";
  std::filesystem::create_directories(context.dir + "/harness");
  ASSIGN_OR_RETURN(
      std::unique_ptr<Process> harness,
      Process::Start(
          {context.midwatch, "--state-dir", context.dir + "/state", "harness",
           "--data-dir", context.dir + "/harness", "--port", "0"},
          context.dir + "/harness.log"));
  ASSIGN_OR_RETURN(std::string line, harness->ReadLine());
  const std::string with_key = " with the key in ";
  size_t key_at = line.find(with_key);
  if (line.rfind(kServing, 0) != 0 || key_at == std::string::npos) {
    return absl::InternalError(absl::StrCat("the harness said: ", line));
  }
  std::string key;
  {
    std::FILE* file =
        std::fopen(line.substr(key_at + with_key.size()).c_str(), "r");
    if (file == nullptr) return absl::InternalError("no key file");
    char text[256] = {};
    size_t n = std::fread(text, 1, sizeof text - 1, file);
    std::fclose(file);
    key = std::string(text, n);
    while (!key.empty() && key.back() == '\n') key.pop_back();
  }
  Client client(line.substr(sizeof kServing - 1, key_at - sizeof kServing + 1),
                key);
  RETURN_IF_ERROR(client.Open());
  const int64_t turns = context.Scaled(20, 2);
  const std::string one_block = kBlock, two_blocks = one_block + "\n" + kBlock;
  std::vector<double> whole, block, start, rest;
  for (int run = 0; run <= context.runs; ++run) {
    ASSIGN_OR_RETURN(double none, MedianTurn(client, turns, "No block."));
    ASSIGN_OR_RETURN(double one, MedianTurn(client, turns, one_block));
    ASSIGN_OR_RETURN(double two, MedianTurn(client, turns, two_blocks));
    if (run == 0) continue;
    whole.push_back(one);
    block.push_back(two - one);
    // The shell is started with a turn's first block.
    start.push_back(one - none - (two - one));
    rest.push_back(none + (two - one));
  }
  const std::string what =
      absl::StrCat("medians of ", turns,
                   " turns of the runbook model over HTTP, from the "
                   "message's being sent to the idle event");
  context.report.Add(
      {"harness_turn.whole", what + "; one block, `true`", "ms", whole, {}});
  context.report.Add({"harness_turn.without_sandbox_start",
                      what + "; a turn without blocks and what a second block "
                             "adds to one",
                      "ms",
                      rest,
                      {}});
  context.report.Add({"harness_turn.sandbox_start",
                      what + "; what is left of the whole",
                      "ms",
                      start,
                      {}});
  context.report.Add({"harness_turn.further_block",
                      what + "; two blocks less one",
                      "ms",
                      block,
                      {}});
  return absl::OkStatus();
}

}  // namespace midwatch::bench
