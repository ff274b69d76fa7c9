#include "harness/messages_error.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "net/retry_after.h"

namespace midwatch::harness {
namespace {

constexpr size_t kForeignBytesMax = 200;

// Limits on spending: they hold until the month, or the limit, changes.
bool IsSpendLimit(const std::string& code) {
  return code == "enforced_spend_limit_reached" ||
         code == "contract_spend_limit_reached";
}

ModelFailure FailureOf(int status, const std::string& error_type,
                       const std::string& code, const std::string& message) {
  ModelFailure failure;
  failure.type = "model_request_failed_error";
  failure.message = message;
  if (status == 402 || error_type == "billing_error" || IsSpendLimit(code)) {
    failure.type = "billing_error";
  } else if (status == 429 || error_type == "rate_limit_error") {
    failure.type = "model_rate_limited_error";
    failure.retry = true;
  } else if (status == 529 || error_type == "overloaded_error") {
    failure.type = "model_overloaded_error";
    failure.retry = true;
  } else {
    failure.retry = status >= 500 || status == 408 || status == 409 ||
                    error_type == "api_error" || error_type == "timeout_error";
  }
  if (status == 400 && absl::StrContains(message, "prompt is too long")) {
    failure.message = absl::StrCat(
        "the conversation no longer fits the model's context; start another "
        "session: ",
        message);
  }
  return failure;
}

}  // namespace

ModelFailure FailureOfAnswer(int status, const HttpHeaders& headers,
                             const std::string& body, absl::Time now) {
  Json envelope = ParseJson(body);
  const Json* error = Member(envelope, "error");
  std::string type, code, said;
  if (error != nullptr) {
    type = StringMember(*error, "type");
    said = StringMember(*error, "message");
    if (const Json* details = Member(*error, "details")) {
      code = StringMember(*details, "error_code");
    }
  } else {
    said = ValidUtf8(body.substr(0, kForeignBytesMax));
  }
  ModelFailure failure =
      FailureOf(status, type, code,
                absl::StrCat("HTTP ", status, type.empty() ? "" : " ", type,
                             said.empty() ? "" : ": ", said));
  failure.retry_after = RetryAfter(headers, now);
  return failure;
}

ModelFailure FailureOfEvent(const Json& envelope) {
  const Json* error = Member(envelope, "error");
  if (error == nullptr) {
    return FailureOf(500, "", "", "the answer ended with an unknown error");
  }
  const std::string type = StringMember(*error, "type");
  return FailureOf(0, type, "",
                   absl::StrCat(type, ": ", StringMember(*error, "message")));
}

ModelFailure FailureOfLoss(const absl::Status& status) {
  return {"model_request_failed_error", std::string(status.message()),
          !absl::IsInvalidArgument(status) && !absl::IsUnauthenticated(status),
          std::nullopt};
}

}  // namespace midwatch::harness
