#include "scheduler/retry.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "scheduler/account_state.h"
#include "scheduler/failure.h"
#include "store/proto_time.h"

namespace midwatch {
namespace {

constexpr int kAdviceMax = 6;
constexpr int kUnreachableAdviceMax = 3;
// Of a task, those that began nothing included: half a day of an outage.
constexpr int kAttemptsMax = 100;

// A day at most: a task that waits longer looks forgotten, and asking once a
// day costs nothing.
absl::Duration RetryAfter(const v1::Failure& failure) {
  constexpr absl::Duration kRetryAfterMax = absl::Hours(24);
  return std::min(FromDuration(failure.retry_after()), kRetryAfterMax);
}

int64_t Charge(const Tally& tally, const v1::Ending& ending) {
  if (!ending.charged()) return 0;
  // A negative cost would make room in the budget.
  return ending.has_list_cost_usd_micros()
             ? std::max<int64_t>(0, ending.list_cost_usd_micros())
             : tally.reserved;
}

bool IsAccountTrouble(v1::FailureClass failure) {
  return failure == v1::FAILURE_CLASS_ACCOUNT ||
         failure == v1::FAILURE_CLASS_SPEND_CAP;
}

// Nothing began: the account refused, or the service was down for so long that
// no session came to be. An outage must not use up a task's starts.
bool IsExcused(const Tally& tally, v1::FailureClass failure, bool charges) {
  if (charges) return false;
  return IsAccountTrouble(failure) ||
         (failure == v1::FAILURE_CLASS_SERVICE && !tally.has_session);
}

// What the policy says of the class alone: nothing, where it does not name it.
v1::ClassRetry RuleOf(const v1::RetryPolicy& policy, v1::FailureClass failure) {
  for (const v1::ClassRetry& each : policy.classes()) {
    if (each.failure_class() == failure) return each;
  }
  return {};
}

int32_t EarlierAs(const Tally& tally, v1::FailureClass failure) {
  return tally.failed_as[static_cast<size_t>(failure)];
}

// Before this one, by the task's own fault, of classes without a bound of their
// own.
int32_t SharedFailures(const Tally& tally) {
  int32_t shared = tally.failures;
  for (v1::FailureClass own :
       {v1::FAILURE_CLASS_TASK, v1::FAILURE_CLASS_REFUSAL}) {
    if (RuleOf(tally.spec.retry(), own).max_failures() > 0) {
      shared -= EarlierAs(tally, own);
    }
  }
  return shared;
}

std::string HowOften(v1::FailureClass failure, int32_t times) {
  if (times == 1) return "no further try is allowed";
  return absl::StrCat(failure == v1::FAILURE_CLASS_SERVICE
                          ? "the service broke it "
                      : failure == v1::FAILURE_CLASS_REFUSAL ? "it was refused "
                                                             : "it failed ",
                      times, " times");
}

// "" where another attempt may begin.
std::string WhyNoMore(const Tally& tally, v1::FailureClass failure,
                      bool charges) {
  const v1::RetryPolicy& policy = tally.spec.retry();
  int32_t max_failures =
      policy.max_failures() > 0 ? policy.max_failures() : kMaxFailuresDefault;
  int32_t max_starts =
      policy.max_starts() > 0 ? policy.max_starts() : kMaxStartsDefault;
  if (failure == v1::FAILURE_CLASS_SPEC) return "it cannot work";
  const int32_t bound = RuleOf(policy, failure).max_failures();
  if (failure == v1::FAILURE_CLASS_REFUSAL && !policy.retry_refusals() &&
      bound == 0) {
    return "refusals are not tried again";
  }
  const bool own =
      failure == v1::FAILURE_CLASS_TASK || failure == v1::FAILURE_CLASS_REFUSAL;
  if (bound > 0) {
    const int32_t times = EarlierAs(tally, failure) + 1;
    if (times >= bound && !IsExcused(tally, failure, charges)) {
      return HowOften(failure, times);
    }
  } else if (own && SharedFailures(tally) + 1 >= max_failures) {
    return max_failures == 1
               ? "no further try is allowed"
               : absl::StrCat("it failed ", SharedFailures(tally) + 1,
                              " times");
  }
  if (!IsExcused(tally, failure, charges) && tally.starts >= max_starts) {
    return absl::StrCat("it was started ", tally.starts, " times");
  }
  if (!IsAccountTrouble(failure) &&
      tally.attempts >= std::max(kAttemptsMax, max_starts)) {
    return absl::StrCat("it was tried ", tally.attempts, " times");
  }
  return "";
}

// An unknown cost is charged as the whole reservation, which leaves nothing:
// what is really left shows once the service names it.
bool AwaitsCost(const Tally& tally, const Disposition& next) {
  return tally.cost_pending || (next.cost_unknown && tally.has_session);
}

}  // namespace

absl::Duration Backoff(int earlier, double jitter, absl::Duration first,
                       absl::Duration max) {
  absl::Duration whole = first;
  for (int i = 0; i < earlier && whole < max; ++i) whole *= 2;
  return std::min(whole, max) * jitter;
}

Disposition Decide(const Tally& tally, const v1::Ending& ending,
                   double jitter) {
  Disposition next;
  next.charged = Charge(tally, ending);
  next.cost_unknown = ending.charged() && !ending.has_list_cost_usd_micros();
  v1::FailureClass failure = ClassifyEnding(ending);
  next.account = DecideAccount(tally.account,
                               {tally.granted_at, failure, ending.failure(),
                                tally.template_id, DescribeEnding(ending)},
                               tally.now);
  if (tally.cancelling) {
    next.state = v1::TASK_STATE_CANCELLED;
    next.reason = "cancelled";
    return next;
  }
  next.failure_class = failure;
  if (next.failure_class == v1::FAILURE_CLASS_UNSPECIFIED) {
    next.state = v1::TASK_STATE_SUCCEEDED;
    return next;
  }
  next.counts_as_failure = next.failure_class == v1::FAILURE_CLASS_TASK ||
                           next.failure_class == v1::FAILURE_CLASS_REFUSAL;
  next.reason = DescribeEnding(ending);
  if (KeepsSession(ending, failure, tally.has_session)) {
    next.state = v1::TASK_STATE_RUNNING;
    next.charged = 0;
    return next;
  }
  std::string why_no_more = WhyNoMore(tally, failure, ending.charged());
  if (why_no_more.empty() &&
      !IsEnoughLeft(tally.max_cost, tally.charged + next.charged)) {
    next.awaits_cost = AwaitsCost(tally, next);
    if (!next.awaits_cost) why_no_more = kCostExhausted;
  }
  if (!why_no_more.empty()) {
    next.state = v1::TASK_STATE_FAILED;
    // What happened says it all where the first failure is also the last.
    if (next.failure_class != v1::FAILURE_CLASS_SPEC) {
      absl::StrAppend(&next.reason, " (", why_no_more, ")");
    }
    return next;
  }
  next.state = v1::TASK_STATE_QUEUED;
  next.excused = IsExcused(tally, failure, ending.charged());
  if (next.awaits_cost) absl::StrAppend(&next.reason, kAwaitsCost);
  // What it waits for is its account.
  if (IsAccountTrouble(failure)) return next;
  const v1::ClassRetry rule = RuleOf(tally.spec.retry(), failure);
  const absl::Duration first =
      rule.has_backoff() ? FromDuration(rule.backoff()) : kBackoffFirst;
  const absl::Duration longest = rule.has_backoff_max()
                                     ? FromDuration(rule.backoff_max())
                                     : std::max(first, kBackoffMax);
  next.delay = Backoff(tally.attempts - 1, jitter, first, longest);
  next.delay = std::max(next.delay, RetryAfter(ending.failure()));
  return next;
}

Advice DecideAdvice(const v1::AdviseRequest& request, double jitter) {
  const v1::FailureClass failure = ClassifyFailure(request.failure());
  // What does not resolve for once need not be the account's trouble.
  const bool unreachable = failure == v1::FAILURE_CLASS_ACCOUNT &&
                           request.failure().http_status() == 0;
  if ((failure != v1::FAILURE_CLASS_SERVICE && !unreachable) ||
      request.earlier_failures() >=
          (unreachable ? kUnreachableAdviceMax : kAdviceMax)) {
    return {};
  }
  Advice advice;
  advice.action = request.session_idle() ? v1::AdviseResponse::ACTION_NUDGE
                                         : v1::AdviseResponse::ACTION_RETRY;
  advice.delay = std::max(Backoff(request.earlier_failures(), jitter),
                          RetryAfter(request.failure()));
  return advice;
}

}  // namespace midwatch
