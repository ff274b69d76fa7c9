// start: one_call. A create that carries the first message cannot be repeated
// while it may have made a session: that one would run, and be paid. So it is
// looked for, by the mark that it carries, until it is found or cannot be
// there.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "worker/attempt.h"

namespace midwatch {
namespace {

// Within this a service is taken to list what it created: sessions show after
// seconds, and the request that was lost may still be under way for a minute.
constexpr absl::Duration kListedWithin = absl::Minutes(10);
// Without any list for so long, nobody will know.
constexpr absl::Duration kGiveUpAfter = absl::Hours(24);
constexpr absl::Duration kFirstLookAfter = absl::Seconds(5);
constexpr absl::Duration kLookEveryMax = absl::Minutes(1);
// How far the service's clock may be behind ours.
constexpr absl::Duration kServiceClockMargin = absl::Minutes(10);

}  // namespace

Async<Attempt::Step> Attempt::FindLostSession() {
  LogInfo("looking for a session that may have been created",
          {{"task", token().task_id()}, {"attempt", token().attempt()}});
  const absl::Duration since = parts_.clock.Steady();
  const absl::Duration give_up = since + kGiveUpAfter;
  Backoff backoff(parts_.random, kFirstLookAfter, kLookEveryMax);
  while (true) {
    const bool late = parts_.clock.Steady() - since >= kListedWithin;
    auto own = co_await ListOwnSessions();
    if (own.ok()) {
      for (auto& [nonce, id] : *own) {
        FaultPoint("worker.find.after");
        absl::Status recorded = co_await Record(nonce, id);
        // Of an earlier session of the attempt, which was cleared.
        if (absl::IsFailedPrecondition(recorded)) continue;
        if (!recorded.ok()) co_return recorded;
        lost_create_ = false;
        // What was to be stopped can be stopped only from now on.
        if (cancelling_) cancel_since_ = parts_.clock.Steady();
        co_return std::nullopt;
      }
      if (late) {
        lost_create_ = false;
        // Nothing has begun yet.
        started_ += parts_.clock.Steady() - since;
        co_return std::nullopt;
      }
    }
    // An outage of lists is no time of the attempt's.
    if (parts_.clock.Steady() >= give_up) break;
    CO_RETURN_IF_ERROR(co_await Wait(backoff.Next()));
  }
  // The service could not be asked: it may have run, and cost what was set
  // aside for it.
  assume_charged_ = true;
  at_rest_ = false;
  Verdict verdict;
  verdict.kind = v1::Ending::KIND_BROKEN;
  verdict.failure.emplace().set_operation("create_session");
  verdict.failure->set_message(
      "the answer was lost, and no list could tell whether a session runs");
  co_return verdict;
}

Async<absl::StatusOr<std::vector<std::pair<std::string, std::string>>>>
Attempt::ListOwnSessions() {
  std::vector<std::pair<std::string, std::string>> own;
  ListSessionsQuery query;
  // In an outage many look at once, and others have more use for the reads.
  query.purpose = RequestPurpose::kSpare;
  query.created_from = FromProto(lease_.granted_at()) - kServiceClockMargin;
  do {
    ListSessionsQuery copy = query;
    CO_ASSIGN_OR_RETURN(Page<Session> page,
                        co_await parts_.agents.ListSessions(std::move(copy)));
    for (Session& session : page.items) {
      std::map<std::string, std::string>& mark = session.metadata;
      if (mark["midwatch_cluster"] != parts_.cluster ||
          mark["midwatch_task"] != token().task_id() ||
          mark["midwatch_attempt"] != absl::StrCat(token().attempt())) {
        continue;
      }
      own.emplace_back(mark["midwatch_nonce"], session.id);
    }
    query.page = page.next_page;
  } while (!query.page.empty());
  co_return own;
}

}  // namespace midwatch
