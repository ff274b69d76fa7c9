// What workers say to the scheduler about work that no attempt is left to do.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "scheduler/scheduler.h"
#include "scheduler/session_fate.h"
#include "scheduler/to_proto.h"

namespace midwatch {
namespace {

// One line for the journal; empty where nothing was to be found.
std::string Summarize(const v1::SweepCounts& counts) {
  if (counts.settled() + counts.superseded() + counts.unexplained() == 0) {
    return "";
  }
  return absl::StrCat(counts.superseded(), " superseded and ", counts.settled(),
                      " settled sessions found, ", counts.archived(),
                      " archived (", counts.stopped(), " still ran), ",
                      counts.unexplained(), " unexplained");
}

}  // namespace

void Scheduler::LeaseErrands(const v1::LeaseErrandsRequest& request,
                             Reply<v1::LeaseErrandsResponse> reply) {
  constexpr int kLeasedMax = 100;
  if (request.max() < 1 || request.max() > kLeasedMax) {
    return reply(absl::InvalidArgumentError(
        absl::StrCat("max: expected 1 to ", kLeasedMax)));
  }
  store_.Apply(
      midwatch::LeaseErrands{request.account(), request.max()},
      [reply = std::move(reply)](absl::StatusOr<LeasedErrands> leased) mutable {
        if (!leased.ok()) return reply(leased.status());
        if (!leased->sessions.empty()) FaultPoint("scheduler.lease.after");
        v1::LeaseErrandsResponse response;
        for (std::string& session : leased->sessions) {
          response.add_errands()->set_session_id(std::move(session));
        }
        if (leased->sweep_from) {
          *response.mutable_sweep()->mutable_created_from() =
              ToTimestamp(*leased->sweep_from);
        }
        reply(std::move(response));
      });
}

void Scheduler::CompleteErrands(const v1::CompleteErrandsRequest& request,
                                Reply<v1::CompleteErrandsResponse> reply) {
  constexpr int kCompletedMax = 1000;
  if (request.errands_size() > kCompletedMax) {
    return reply(absl::InvalidArgumentError(
        absl::StrCat("errands: expected at most ", kCompletedMax)));
  }
  midwatch::CompleteErrands write{request.account(), {}};
  for (const v1::DoneErrand& errand : request.errands()) {
    DoneErrand& done = write.errands.emplace_back();
    done.session = errand.session_id();
    done.gone = errand.gone();
    if (errand.has_list_cost_usd_micros()) {
      done.cost = errand.list_cost_usd_micros();
    }
  }
  store_.Apply(std::move(write), [this, reply = std::move(reply)](
                                     absl::StatusOr<Done> done) mutable {
    if (!done.ok()) return reply(done.status());
    FaultPoint("scheduler.errand.after");
    // What cost less than was charged leaves room.
    leases_.WantAdmission();
    reply(v1::CompleteErrandsResponse());
  });
}

void Scheduler::ExplainSessions(const v1::ExplainSessionsRequest& request,
                                Reply<v1::ExplainSessionsResponse> reply) {
  constexpr int kClaimsMax = 100;
  if (request.claims_size() > kClaimsMax) {
    return reply(absl::InvalidArgumentError(
        absl::StrCat("claims: expected at most ", kClaimsMax)));
  }
  midwatch::ExplainSessions write{
      request.account(),
      {},
      [mark = store_.cluster_mark(), now = clock_.Now()](
          const SessionFacts& facts) { return DecideFate(facts, mark, now); }};
  for (const v1::SessionClaim& said : request.claims()) {
    SessionClaim& claim = write.claims.emplace_back();
    claim.session = said.session_id();
    claim.cluster = said.cluster();
    claim.attempt = said.attempt();
    claim.nonce = said.nonce();
    // Whatever else it is, an id of another queue's or none is not ours.
    absl::StatusOr<RowKey> task = ids_.Parse("task_id", said.task_id());
    if (task.ok()) claim.task = *task;
  }
  store_.Apply(std::move(write),
               [reply = std::move(reply)](
                   absl::StatusOr<ExplainedSessions> explained) mutable {
                 if (!explained.ok()) return reply(explained.status());
                 FaultPoint("scheduler.explain.after");
                 v1::ExplainSessionsResponse response;
                 for (const ExplainedSession& session : explained->sessions) {
                   auto& answer = *response.add_sessions();
                   answer.set_fate(session.fate);
                   if (session.charged)
                     answer.set_charged_usd_micros(*session.charged);
                 }
                 reply(std::move(response));
               });
}

void Scheduler::CompleteSweep(const v1::CompleteSweepRequest& request,
                              Reply<v1::CompleteSweepResponse> reply) {
  midwatch::CompleteSweep write{.account = request.account(),
                                .summary = Summarize(request.counts())};
  if (request.has_created_from()) {
    write.sweep_from = FromTimestamp(request.created_from());
  }
  if (request.has_oldest_open()) {
    write.oldest_open = FromTimestamp(request.oldest_open());
  }
  LogInfo("swept", {{"account", request.account()},
                    {"listed", request.counts().listed()},
                    {"superseded", request.counts().superseded()},
                    {"settled", request.counts().settled()},
                    {"unexplained", request.counts().unexplained()},
                    {"archived", request.counts().archived()}});
  store_.Apply(std::move(write),
               [reply = std::move(reply)](absl::StatusOr<Done> done) mutable {
                 if (!done.ok()) return reply(done.status());
                 FaultPoint("scheduler.sweep.after");
                 reply(v1::CompleteSweepResponse());
               });
}

}  // namespace midwatch
