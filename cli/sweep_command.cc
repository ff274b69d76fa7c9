// `midwatch account sweep` and `reconcile`: what the service has, against what
// the queue knows.
#include <cstdio>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/real_clock.h"
#include "base/real_executor.h"
#include "base/status_macros.h"
#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/json_views.h"
#include "cli/money.h"
#include "cli/service_check.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/times.h"
#include "cli/utf8.h"
#include "net/curl_transport.h"
#include "worker/grpc_scheduler_client.h"
#include "worker/sweep.h"

namespace midwatch::cli {
namespace {

struct Swept {
  SweepFindings findings;
  std::vector<SweptSession> sessions;
};

Async<void> Sweep(Executor& executor, AgentsClient& client,
                  SchedulerClient& scheduler, SweepOptions options,
                  std::promise<absl::StatusOr<Swept>>& done) {
  Swept swept;
  const std::string account = options.account;
  const bool changes = options.end;
  absl::StatusOr<SweepFindings> found = co_await SweepAccount(
      executor, client, scheduler, std::move(options),
      [&](const SweptSession& session) { swept.sessions.push_back(session); });
  if (!found.ok()) {
    done.set_value(found.status());
    co_return;
  }
  swept.findings = *std::move(found);
  if (changes) {
    v1::CompleteSweepRequest request;
    request.set_account(account);
    *request.mutable_counts() = swept.findings.counts;
    (void)co_await scheduler.CompleteSweep(std::move(request));
  }
  done.set_value(std::move(swept));
}

// Blocks. The executor is stopped before what runs on it goes.
absl::StatusOr<Swept> SweepNow(SchedulerConnection& connection,
                               const AccountSweepOptions& asked,
                               SweepOptions options) {
  if (asked.service.base_url.empty()) {
    return absl::InvalidArgumentError(
        "which service? name the one that the account's workers use: "
        "--base-url");
  }
  // So that a mistyped name is not an account in which all is well.
  RETURN_IF_ERROR(connection.GetAccount(asked.account).status());
  ASSIGN_OR_RETURN(AccountOptions account, FindAccount(asked.service));
  RETURN_IF_ERROR(CheckAccount(account));
  options.account = asked.account;
  if (!asked.since.empty()) {
    google::protobuf::Timestamp since;
    RETURN_IF_ERROR(ReadInstant("--since", asked.since, since));
    options.created_from = absl::FromUnixSeconds(since.seconds());
  }
  RealExecutor executor("sweep");
  std::unique_ptr<HttpTransport> transport;
  std::unique_ptr<AgentsClient> client;
  std::unique_ptr<SchedulerClient> scheduler;
  std::promise<absl::StatusOr<Swept>> done;
  executor.Post([&] {
    transport = MakeCurlTransport(executor, WayTo(account));
    AgentsClientOptions client_options;
    client_options.base_url = account.base_url;
    client_options.api_key = account.api_key;
    client = std::make_unique<AgentsClient>(*transport, executor, RealClock(),
                                            std::move(client_options));
    scheduler = MakeGrpcSchedulerClient(connection.channel(), executor);
    Spawn(executor,
          Sweep(executor, *client, *scheduler, std::move(options), done));
  });
  absl::StatusOr<Swept> swept = done.get_future().get();
  executor.Stop();
  return swept;
}

std::string FateOf(const SweptSession& session) {
  switch (session.fate) {
    case v1::SESSION_FATE_LIVE:
      return "live";
    case v1::SESSION_FATE_PENDING:
      return "pending";
    case v1::SESSION_FATE_SETTLED:
      return "settled";
    case v1::SESSION_FATE_SUPERSEDED:
      return "superseded";
    case v1::SESSION_FATE_FOREIGN:
      return "of another queue";
    default:
      return "unexplained";
  }
}

std::string Marked(const SweptSession& session, const char* key) {
  auto found = session.session.metadata.find(key);
  return found == session.session.metadata.end() ? "" : found->second;
}

std::string CostOf(const std::optional<int64_t>& usd_micros) {
  return usd_micros ? FormatUsd(*usd_micros) : "-";
}

Json JsonOf(const SweptSession& session) {
  Json line = {{"session_id", session.session.id},
               {"fate", FateOf(session)},
               {"status", session.session.status},
               {"archived", session.session.archived || session.ended},
               {"ended_now", session.ended},
               {"task_id", Marked(session, "midwatch_task")},
               {"attempt", Marked(session, "midwatch_attempt")}};
  if (session.session.list_cost_usd_micros) {
    line["list_cost_usd_micros"] = *session.session.list_cost_usd_micros;
  }
  if (session.charged_usd_micros) {
    line["charged_usd_micros"] = *session.charged_usd_micros;
  }
  return line;
}

bool IsOver(const SweptSession& session) {
  return session.fate == v1::SESSION_FATE_SETTLED ||
         session.fate == v1::SESSION_FATE_SUPERSEDED;
}

void PrintSweep(const GlobalOptions& global, const AccountSweepOptions& options,
                const Swept& swept) {
  std::vector<std::vector<std::string>> rows;
  for (const SweptSession& session : swept.sessions) {
    if (global.json) {
      std::puts(ToLine(JsonOf(session)).c_str());
      continue;
    }
    // What is as it should be is counted below.
    if (!IsOver(session) && session.fate != v1::SESSION_FATE_UNEXPLAINED) {
      continue;
    }
    rows.push_back({session.session.id, FateOf(session),
                    session.ended ? "archived" : session.session.status,
                    CostOf(session.session.list_cost_usd_micros),
                    Printable(Marked(session, "midwatch_task")),
                    Printable(Marked(session, "midwatch_attempt"))});
  }
  if (global.json) return;
  if (!rows.empty()) {
    std::fputs(
        FormatTable(
            {{"SESSION"}, {"IS"}, {"STATUS"}, {"COST"}, {"TASK"}, {"ATTEMPT"}},
            rows, Terminal().width())
            .c_str(),
        stdout);
  }
  const v1::SweepCounts& counts = swept.findings.counts;
  std::puts(absl::StrCat(counts.listed(), " sessions: ", counts.live(),
                         " live, ", counts.pending(), " just begun, ",
                         counts.superseded(), " superseded, ", counts.settled(),
                         " settled, ", counts.unexplained(), " unexplained, ",
                         counts.listed() - counts.live() - counts.pending() -
                             counts.superseded() - counts.settled() -
                             counts.unexplained(),
                         " of others")
                .c_str());
  const int64_t over = counts.superseded() + counts.settled();
  if (options.end && over > 0) {
    std::puts(absl::StrCat(counts.archived(), " of ", over, " archived, ",
                           counts.stopped(), " of them still ran")
                  .c_str());
  } else if (over > 0) {
    std::puts("--end archives those that are superseded or settled");
  }
  if (counts.unexplained() > 0) {
    std::puts(
        "Unexplained sessions carry this queue's mark, but nothing here says "
        "that it made them:\na copy of the database may have. They are never "
        "ended from here.");
  }
}

// Of one settled session whose cost is not what was charged.
struct Difference {
  const SweptSession* session;
  int64_t service, charged;
};

void PrintReconciliation(const GlobalOptions& global, const Swept& swept,
                         const std::vector<Difference>& differences) {
  int64_t service = 0, charged = 0;
  int compared = 0, silent = 0;
  for (const SweptSession& session : swept.sessions) {
    if (!session.charged_usd_micros) continue;
    if (!session.session.list_cost_usd_micros) {
      silent += *session.charged_usd_micros > 0;
      continue;
    }
    ++compared;
    service += *session.session.list_cost_usd_micros;
    charged += *session.charged_usd_micros;
  }
  if (global.json) {
    Json report = {{"sessions", compared},
                   {"service_usd_micros", service},
                   {"charged_usd_micros", charged},
                   {"without_cost", silent},
                   {"differences", Json::array()}};
    for (const Difference& each : differences) {
      report["differences"].push_back(JsonOf(*each.session));
    }
    std::puts(ToLine(report).c_str());
    return;
  }
  std::vector<std::vector<std::string>> rows;
  for (const Difference& each : differences) {
    rows.push_back({each.session->session.id,
                    Printable(Marked(*each.session, "midwatch_task")),
                    Printable(Marked(*each.session, "midwatch_attempt")),
                    FormatUsd(each.service), FormatUsd(each.charged)});
  }
  if (!rows.empty()) {
    std::fputs(
        FormatTable(
            {{"SESSION"}, {"TASK"}, {"ATTEMPT"}, {"SERVICE"}, {"CHARGED"}},
            rows, Terminal().width())
            .c_str(),
        stdout);
  }
  std::puts(absl::StrCat(compared, " settled sessions: the service says ",
                         FormatUsd(service), ", charged are ",
                         FormatUsd(charged),
                         differences.empty() ? ": equal" : "")
                .c_str());
  if (silent > 0) {
    std::puts(absl::StrCat(silent,
                           " more were charged, and the service names no cost")
                  .c_str());
  }
}

}  // namespace

int AccountSweep(const GlobalOptions& global,
                 const AccountSweepOptions& options) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        SweepOptions sweep;
        sweep.end = options.end;
        ASSIGN_OR_RETURN(Swept swept,
                         SweepNow(scheduler, options, std::move(sweep)));
        PrintSweep(global, options, swept);
        return kExitSucceeded;
      });
}

int AccountReconcile(const GlobalOptions& global,
                     const AccountSweepOptions& options) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        SweepOptions sweep;
        sweep.end = false;
        sweep.with_archived = true;
        ASSIGN_OR_RETURN(Swept swept,
                         SweepNow(scheduler, options, std::move(sweep)));
        std::vector<Difference> differences;
        for (const SweptSession& session : swept.sessions) {
          const std::optional<int64_t>& service =
              session.session.list_cost_usd_micros;
          if (!service || !session.charged_usd_micros) continue;
          if (*service == *session.charged_usd_micros) continue;
          differences.push_back(
              {&session, *service, *session.charged_usd_micros});
        }
        PrintReconciliation(global, swept, differences);
        return differences.empty() ? kExitSucceeded : kExitFailed;
      });
}

}  // namespace midwatch::cli
