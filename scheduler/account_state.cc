#include "scheduler/account_state.h"

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"

namespace midwatch {
namespace {

// The tier's cap is by calendar month; of other caps the service does not say
// when they end.
absl::Time CapEnds(const v1::Failure& failure, absl::Time now) {
  if (failure.error_code() != "enforced_spend_limit_reached") {
    return absl::InfiniteFuture();
  }
  absl::CivilMonth next = absl::ToCivilMonth(now, absl::UTCTimeZone()) + 1;
  return absl::FromCivil(next, absl::UTCTimeZone());
}

AccountStanding Shut(v1::AccountState state, std::string why, absl::Time now) {
  AccountStanding shut;
  shut.state = state;
  shut.why = std::move(why);
  shut.since = now;
  return shut;
}

std::optional<AccountStanding> CountBadTemplate(const AccountStanding& standing,
                                                const AccountEvidence& evidence,
                                                absl::Time now) {
  // Only the service's own refusal says anything about the account.
  if (evidence.failure.http_status() == 0 ||
      absl::c_linear_search(standing.bad_templates, evidence.template_id)) {
    return std::nullopt;
  }
  AccountStanding next = standing;
  next.bad_templates.push_back(evidence.template_id);
  if (next.bad_templates.size() < kBadTemplatesMax) return next;
  return Shut(
      v1::ACCOUNT_STATE_PAUSED,
      absl::StrCat("it is not the tasks: the specs of ", kBadTemplatesMax,
                   " in a row were refused, the last with: ", evidence.reason),
      now);
}

}  // namespace

std::optional<AccountStanding> DecideAccount(const AccountStanding& standing,
                                             const AccountEvidence& evidence,
                                             absl::Time now) {
  if (standing.state == v1::ACCOUNT_STATE_PAUSED) return std::nullopt;
  if (standing.state == v1::ACCOUNT_STATE_OPEN &&
      evidence.failure.operation() == "session" &&
      evidence.granted_at < standing.since) {
    return std::nullopt;
  }
  switch (evidence.failure_class) {
    case v1::FAILURE_CLASS_ACCOUNT: {
      const absl::Duration probe_every = evidence.failure.http_status() == 0
                                             ? kUnreachableProbeEvery
                                             : kRefusedProbeEvery;
      // Again is nothing new; but an answer says more than none.
      const bool answers_now = standing.probe_every == kUnreachableProbeEvery &&
                               probe_every != kUnreachableProbeEvery;
      if (standing.state == v1::ACCOUNT_STATE_REFUSED && !answers_now) {
        return std::nullopt;
      }
      AccountStanding next =
          Shut(v1::ACCOUNT_STATE_REFUSED, evidence.reason, now);
      next.probe_every = probe_every;
      next.next_probe = now + next.probe_every;
      return next;
    }
    case v1::FAILURE_CLASS_SPEND_CAP: {
      // Where somebody has opened it since, a late refusal is no reason to wait
      // for the month's end: an hour will tell.
      const bool opened_since = standing.state == v1::ACCOUNT_STATE_OPEN &&
                                evidence.granted_at < standing.since;
      const absl::Time until = opened_since ? absl::InfiniteFuture()
                                            : CapEnds(evidence.failure, now);
      if (standing.state == v1::ACCOUNT_STATE_SPEND_CAP &&
          (until == absl::InfiniteFuture() ||
           standing.until < absl::InfiniteFuture())) {
        return std::nullopt;
      }
      AccountStanding next =
          Shut(v1::ACCOUNT_STATE_SPEND_CAP, evidence.reason, now);
      if (standing.state == v1::ACCOUNT_STATE_SPEND_CAP) {
        next.since = standing.since;
      }
      next.probe_every = kSpendCapProbeEvery;
      next.until = until;
      next.next_probe = next.until < absl::InfiniteFuture()
                            ? next.until
                            : now + next.probe_every;
      return next;
    }
    case v1::FAILURE_CLASS_SPEC:
      if (standing.state != v1::ACCOUNT_STATE_OPEN) return std::nullopt;
      return CountBadTemplate(standing, evidence, now);
    case v1::FAILURE_CLASS_SERVICE:
      return std::nullopt;
    default: {
      if (standing.bad_templates.empty()) return std::nullopt;
      AccountStanding next = standing;
      next.bad_templates.clear();
      return next;
    }
  }
}

bool KeepsSession(const v1::Ending& ending, v1::FailureClass failure_class,
                  bool has_session) {
  bool account = failure_class == v1::FAILURE_CLASS_ACCOUNT ||
                 failure_class == v1::FAILURE_CLASS_SPEND_CAP;
  bool cut_off = ending.kind() == v1::Ending::KIND_BROKEN ||
                 ending.kind() == v1::Ending::KIND_NOT_STARTED;
  // An error inside the session has ended its turn: to adopt it would find the
  // same end again.
  return account && cut_off && has_session &&
         ending.failure().operation() != "session";
}

}  // namespace midwatch
