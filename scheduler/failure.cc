#include "scheduler/failure.h"

#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/utf8.h"

namespace midwatch {
namespace {

bool IsOneOf(absl::string_view text,
             std::initializer_list<absl::string_view> list) {
  return absl::c_linear_search(list, text);
}

// Errors of a running session (session.error). Types come without notice, so
// an unknown one is judged by whether the service itself would go on.
v1::FailureClass ClassifySessionError(const v1::Failure& failure) {
  absl::string_view type = failure.error_type();
  if (type == "billing_error") return v1::FAILURE_CLASS_SPEND_CAP;
  if (IsOneOf(type, {"model_overloaded_error", "model_rate_limited_error",
                     "model_request_failed_error"})) {
    return v1::FAILURE_CLASS_SERVICE;
  }
  return failure.retry_status() == "retrying" ? v1::FAILURE_CLASS_SERVICE
                                              : v1::FAILURE_CLASS_TASK;
}

// What a limit that the customer set looks like: a 400 without a code.
bool IsOwnSpendLimit(const v1::Failure& failure) {
  return absl::StartsWith(failure.message(),
                          "You have reached your specified API usage limits") ||
         absl::StartsWith(
             failure.message(),
             "You have reached your specified workspace API usage limits");
}

// Not in the service's own words, or for what needs nothing to be there before
// (an agent may name skills that are not): no path is known, so it is the
// address.
bool IsAnotherServers404(const v1::Failure& failure) {
  return failure.error_type().empty() ||
         IsOneOf(failure.operation(),
                 {"create_environment", "upload_file", "list_sessions"});
}

}  // namespace

v1::FailureClass ClassifyFailure(const v1::Failure& failure) {
  if (failure.operation() == "session") return ClassifySessionError(failure);
  absl::string_view code = failure.error_code();
  if (IsOneOf(code,
              {"enforced_spend_limit_reached", "contract_spend_limit_reached",
               "linked_organization_spend_limit_reached",
               "linked_organization_billing_unavailable"})) {
    return v1::FAILURE_CLASS_SPEND_CAP;
  }
  if (IsOneOf(code,
              {"organization_on_hold", "organization_not_enrolled_in_beta",
               "environment_create_disabled"})) {
    return v1::FAILURE_CLASS_ACCOUNT;
  }
  // Not by the task: another session may end as it should.
  if (failure.error_type() == "session_archived") {
    return v1::FAILURE_CLASS_SERVICE;
  }
  switch (failure.http_status()) {
    case 0:  // no answer
      return IsOneOf(failure.error_type(),
                     {"unresolved_host", "untrusted_certificate"})
                 ? v1::FAILURE_CLASS_ACCOUNT
                 : v1::FAILURE_CLASS_SERVICE;
    case 404:
      return IsAnotherServers404(failure) ? v1::FAILURE_CLASS_ACCOUNT
                                          : v1::FAILURE_CLASS_SPEC;
    case 408:
    case 409:  // the worker has read again, and the conflict stayed
    case 412:
      return v1::FAILURE_CLASS_SERVICE;
    case 401:
    case 403:
      return v1::FAILURE_CLASS_ACCOUNT;
    case 402:
      return v1::FAILURE_CLASS_SPEND_CAP;
    case 429:
      // Without a time to come back it is a spend cap, whatever it is called.
      return failure.has_retry_after() || code == "ramp_limit_exceeded"
                 ? v1::FAILURE_CLASS_SERVICE
                 : v1::FAILURE_CLASS_SPEND_CAP;
    case 400:
      return IsOwnSpendLimit(failure) ? v1::FAILURE_CLASS_SPEND_CAP
                                      : v1::FAILURE_CLASS_SPEC;
    default:
      return failure.http_status() >= 500 ? v1::FAILURE_CLASS_SERVICE
                                          : v1::FAILURE_CLASS_SPEC;
  }
}

v1::FailureClass ClassifyEnding(const v1::Ending& ending) {
  switch (ending.kind()) {
    case v1::Ending::KIND_IDLE:
      if (ending.stop_reason() == "end_turn") {
        return v1::FAILURE_CLASS_UNSPECIFIED;
      }
      if (ending.stop_reason() == "refusal") return v1::FAILURE_CLASS_REFUSAL;
      // Nobody answered: another attempt would ask the same again.
      if (ending.stop_reason() == "requires_action") {
        return v1::FAILURE_CLASS_SPEC;
      }
      if (ending.stop_reason() == "retries_exhausted" && ending.has_failure()) {
        return ClassifyFailure(ending.failure());
      }
      return v1::FAILURE_CLASS_TASK;
    case v1::Ending::KIND_NOT_STARTED:
    case v1::Ending::KIND_BROKEN:
      return ClassifyFailure(ending.failure());
    case v1::Ending::KIND_TERMINATED:
      // Ended by an error of the account, or by the task's own.
      return ending.has_failure() && ClassifyFailure(ending.failure()) ==
                                         v1::FAILURE_CLASS_SPEND_CAP
                 ? v1::FAILURE_CLASS_SPEND_CAP
                 : v1::FAILURE_CLASS_TASK;
    // Another attempt would look for it in vain.
    case v1::Ending::KIND_NO_CHECK:
      return v1::FAILURE_CLASS_SPEC;
    default:
      return v1::FAILURE_CLASS_TASK;
  }
}

namespace {

std::string DescribeFailure(const v1::Failure& failure) {
  std::string text = failure.operation();
  if (failure.http_status() != 0) {
    absl::StrAppend(&text, " ", failure.http_status());
  }
  if (!failure.error_type().empty()) {
    absl::StrAppend(&text, " ", failure.error_type());
  }
  if (!failure.error_code().empty()) {
    absl::StrAppend(&text, " (", failure.error_code(), ")");
  }
  if (!failure.message().empty()) {
    absl::StrAppend(&text, ": ", failure.message());
  }
  return text;
}

}  // namespace

std::string DescribeEnding(const v1::Ending& ending) {
  std::string text;
  switch (ending.kind()) {
    case v1::Ending::KIND_IDLE:
      if (ending.stop_reason() == "end_turn") return "";
      if (ending.stop_reason() == "refusal") {
        text = "the model refused";
      } else if (ending.stop_reason() == "budget_reached") {
        text = "the session reached its budget";
      } else if (ending.stop_reason() == "requires_action") {
        text = "the agent asked for an answer, and none came in time";
      } else {
        text = absl::StrCat("the turn ended with ", ending.stop_reason());
      }
      break;
    case v1::Ending::KIND_TERMINATED:
      text = "the session was terminated";
      break;
    case v1::Ending::KIND_DELETED:
      text = "the session was deleted";
      break;
    case v1::Ending::KIND_TIMED_OUT:
      text = "timed out";
      break;
    case v1::Ending::KIND_NOT_STARTED:
      text = "not started";
      break;
    case v1::Ending::KIND_LOOPED:
      text = "the agent was in a loop";
      break;
    case v1::Ending::KIND_OUTPUT_MISSING:
      return absl::StrCat("expected output missing: ", ending.missing_output());
    case v1::Ending::KIND_CHECK_FAILED:
      text = absl::StrCat("check failed: ", ending.failed_check());
      break;
    case v1::Ending::KIND_NO_CHECK:
      text = absl::StrCat("check cannot be made: ", ending.failed_check());
      break;
    default:
      text = "the session broke off";
  }
  if (ending.has_failure()) {
    absl::StrAppend(&text, ": ", DescribeFailure(ending.failure()));
  }
  // One line, whatever the service wrote.
  absl::c_replace(text, '\n', ' ');
  constexpr size_t kReasonBytesMax = 500;
  return std::string(CutUtf8(text, kReasonBytesMax));
}

}  // namespace midwatch
