#include "harness/api_error.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "harness/json.h"

namespace midwatch::harness {
namespace {

constexpr char kErrorCodeUrl[] = "midwatch/api-error-code";

const char* TypeOf(int http_status) {
  switch (http_status) {
    case 401:
      return "authentication_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 529:
      return "overloaded_error";
    default:
      return http_status >= 500 ? "api_error" : "invalid_request_error";
  }
}

std::string Envelope(const char* type, absl::string_view message,
                     const std::string& code, const std::string& request_id) {
  Json error = {{"type", type}, {"message", std::string(message)}};
  if (!code.empty()) error["details"] = {{"error_code", code}};
  return Dump(
      {{"type", "error"}, {"error", error}, {"request_id", request_id}});
}

}  // namespace

absl::Status InvalidRequest(absl::string_view message,
                            absl::string_view error_code) {
  absl::Status status = absl::InvalidArgumentError(message);
  if (!error_code.empty()) {
    status.SetPayload(kErrorCodeUrl, absl::Cord(error_code));
  }
  return status;
}

absl::Status SpendLimitReached() {
  absl::Status status = absl::ResourceExhaustedError(
      "what all sessions cost has reached this server's spend cap");
  status.SetPayload(kErrorCodeUrl, absl::Cord("enforced_spend_limit_reached"));
  return status;
}

absl::Status NotSupported(absl::string_view what) {
  return InvalidRequest(absl::StrCat(
      what, " is not supported by this server (midwatch harness)"));
}

absl::Status NoSuch(absl::string_view kind, absl::string_view id) {
  return absl::NotFoundError(absl::StrCat("no ", kind, " has the id ", id));
}

int HttpStatusOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
      return 409;
    case absl::StatusCode::kOutOfRange:
      return 413;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnavailable:
      return 529;
    default:
      return 500;
  }
}

std::string ErrorEnvelope(const absl::Status& status,
                          const std::string& request_id) {
  absl::optional<absl::Cord> code = status.GetPayload(kErrorCodeUrl);
  const char* type = status.code() == absl::StatusCode::kAborted
                         ? "conflict_error"
                         : TypeOf(HttpStatusOf(status));
  return Envelope(type, status.message(),
                  code.has_value() ? std::string(*code) : "", request_id);
}

std::string ErrorEnvelope(int http_status, const std::string& message,
                          const std::string& request_id) {
  return Envelope(TypeOf(http_status), message, "", request_id);
}

}  // namespace midwatch::harness
