#include "worker/sweep.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/numbers.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "worker/end_session.h"

namespace midwatch {
namespace {

constexpr size_t kClaimsMax = 100;  // ExplainSessionsRequest.claims

std::string MetadataOf(const Session& session, const char* key) {
  auto found = session.metadata.find(key);
  return found == session.metadata.end() ? "" : found->second;
}

v1::SessionClaim ClaimOf(const Session& session) {
  v1::SessionClaim claim;
  claim.set_session_id(session.id);
  claim.set_cluster(MetadataOf(session, "midwatch_cluster"));
  claim.set_task_id(MetadataOf(session, "midwatch_task"));
  int32_t attempt = 0;
  if (absl::SimpleAtoi(MetadataOf(session, "midwatch_attempt"), &attempt)) {
    claim.set_attempt(attempt);
  }
  claim.set_nonce(MetadataOf(session, "midwatch_nonce"));
  return claim;
}

void Count(v1::SessionFate fate, v1::SweepCounts& counts) {
  switch (fate) {
    case v1::SESSION_FATE_LIVE:
      return counts.set_live(counts.live() + 1);
    case v1::SESSION_FATE_PENDING:
      return counts.set_pending(counts.pending() + 1);
    case v1::SESSION_FATE_SETTLED:
      return counts.set_settled(counts.settled() + 1);
    case v1::SESSION_FATE_SUPERSEDED:
      return counts.set_superseded(counts.superseded() + 1);
    case v1::SESSION_FATE_FOREIGN:
      return counts.set_foreign(counts.foreign() + 1);
    default:
      return counts.set_unexplained(counts.unexplained() + 1);
  }
}

bool IsOver(v1::SessionFate fate) {
  return fate == v1::SESSION_FATE_SETTLED ||
         fate == v1::SESSION_FATE_SUPERSEDED;
}

// One sweep; see SweepAccount.
class Sweeper {
 public:
  Sweeper(Executor& executor, AgentsClient& client, SchedulerClient& scheduler,
          SweepOptions options, std::function<void(const SweptSession&)> visit)
      : executor_(executor),
        client_(client),
        scheduler_(scheduler),
        options_(std::move(options)),
        visit_(std::move(visit)) {}

  Async<absl::StatusOr<SweepFindings>> Run() {
    CO_ASSIGN_OR_RETURN(std::vector<Session> marked, co_await ListMarked());
    for (size_t begin = 0; begin < marked.size(); begin += kClaimsMax) {
      const size_t end = std::min(begin + kClaimsMax, marked.size());
      std::vector<Session> some(std::make_move_iterator(marked.begin() + begin),
                                std::make_move_iterator(marked.begin() + end));
      CO_RETURN_IF_ERROR(co_await Explain(std::move(some)));
    }
    co_return std::move(findings_);
  }

 private:
  // The whole list before anything is ended: what is archived leaves it, and a
  // cursor that counts would then skip as many.
  Async<absl::StatusOr<std::vector<Session>>> ListMarked() {
    std::vector<Session> marked;
    ListSessionsQuery query;
    query.created_from = options_.created_from;
    query.with_archived = options_.with_archived;
    do {
      if (options_.stop()) co_return absl::CancelledError("stopped");
      ListSessionsQuery copy = query;
      CO_ASSIGN_OR_RETURN(Page<Session> page,
                          co_await client_.ListSessions(std::move(copy)));
      query.page = page.next_page;
      findings_.counts.set_listed(findings_.counts.listed() +
                                  static_cast<int64_t>(page.items.size()));
      for (Session& session : page.items) {
        if (MetadataOf(session, "midwatch_cluster").empty()) continue;
        marked.push_back(std::move(session));
      }
    } while (!query.page.empty());
    co_return marked;
  }

  Async<absl::Status> Explain(std::vector<Session> sessions) {
    v1::ExplainSessionsRequest request;
    request.set_account(options_.account);
    for (const Session& session : sessions) {
      *request.add_claims() = ClaimOf(session);
    }
    CO_ASSIGN_OR_RETURN(
        v1::ExplainSessionsResponse explained,
        co_await scheduler_.ExplainSessions(std::move(request)));
    if (explained.sessions_size() != static_cast<int>(sessions.size())) {
      co_return absl::InternalError("not every session was explained");
    }
    for (int i = 0; i < explained.sessions_size(); ++i) {
      SweptSession swept;
      swept.session = std::move(sessions[static_cast<size_t>(i)]);
      swept.fate = explained.sessions(i).fate();
      if (explained.sessions(i).has_charged_usd_micros()) {
        swept.charged_usd_micros = explained.sessions(i).charged_usd_micros();
      }
      CO_RETURN_IF_ERROR(co_await TakeOne(std::move(swept)));
    }
    co_return absl::OkStatus();
  }

  Async<absl::Status> TakeOne(SweptSession swept) {
    Count(swept.fate, findings_.counts);
    const bool over = swept.session.archived || IsOver(swept.fate);
    if (!swept.session.archived && over && options_.end) {
      CO_RETURN_IF_ERROR(co_await End(swept));
    }
    // What nobody explains is a person's: it keeps no window open.
    const bool ours = over || swept.fate == v1::SESSION_FATE_LIVE ||
                      swept.fate == v1::SESSION_FATE_PENDING;
    if (ours && !swept.session.archived && !swept.ended) {
      findings_.oldest_open =
          std::min(findings_.oldest_open, swept.session.created_at);
    }
    visit_(swept);
    co_return absl::OkStatus();
  }

  Async<absl::Status> End(SweptSession& swept) {
    if (options_.stop()) co_return absl::CancelledError("stopped");
    FaultPoint("sweep.end.before");
    absl::StatusOr<EndedSession> ended = co_await EndSession(
        executor_, client_, swept.session.id, options_.stop);
    if (!ended.ok()) {
      LogInfo(
          "session left to the next sweep",
          {{"session", swept.session.id}, {"why", ended.status().ToString()}});
      co_return absl::OkStatus();
    }
    FaultPoint("sweep.end.after");
    swept.ended = true;
    v1::SweepCounts& counts = findings_.counts;
    counts.set_archived(counts.archived() + 1);
    counts.set_stopped(counts.stopped() + (ended->stopped ? 1 : 0));
    LogInfo("swept up a session",
            {{"session", swept.session.id},
             {"fate", v1::SessionFate_Name(swept.fate)},
             {"task", MetadataOf(swept.session, "midwatch_task")},
             {"attempt", MetadataOf(swept.session, "midwatch_attempt")}});
    // Where a settle left an errand, that is done, and its cost known.
    v1::CompleteErrandsRequest request;
    request.set_account(options_.account);
    v1::DoneErrand& done = *request.add_errands();
    done.set_session_id(swept.session.id);
    done.set_gone(ended->gone);
    if (ended->list_cost_usd_micros) {
      done.set_list_cost_usd_micros(*ended->list_cost_usd_micros);
    }
    absl::StatusOr<v1::CompleteErrandsResponse> told =
        co_await scheduler_.CompleteErrands(std::move(request));
    FaultPoint("sweep.errand.after");
    co_return told.status();
  }

  Executor& executor_;
  AgentsClient& client_;
  SchedulerClient& scheduler_;
  const SweepOptions options_;
  const std::function<void(const SweptSession&)> visit_;
  SweepFindings findings_;
};

}  // namespace

Async<absl::StatusOr<SweepFindings>> SweepAccount(
    Executor& executor, AgentsClient& client, SchedulerClient& scheduler,
    SweepOptions options, std::function<void(const SweptSession&)> visit) {
  Sweeper sweeper(executor, client, scheduler, std::move(options),
                  std::move(visit));
  co_return co_await sweeper.Run();
}

}  // namespace midwatch
