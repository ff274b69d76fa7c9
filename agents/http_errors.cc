#include "agents/http_errors.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agents/json_fields.h"
#include "net/retry_after.h"

namespace midwatch {
namespace {

using nlohmann::json;

// Fills in what the envelope says; false where `body` is none.
bool ReadEnvelope(absl::string_view body, ApiError& error) {
  json envelope = json::parse(body.begin(), body.end(), nullptr, false);
  const json& inner = Member(envelope, "error");
  error.type = StringMember(inner, "type");
  if (error.type.empty()) return false;
  error.message = StringMember(inner, "message");
  error.error_code = StringMember(Member(inner, "details"), "error_code");
  error.request_id = StringMember(envelope, "request_id");
  return true;
}

// What somebody else's server sent, for people: cut, and with a ? for whatever
// is not printable ASCII, since it may be in any encoding or none.
std::string Printable(absl::string_view body) {
  std::string text(body.substr(0, 200));
  for (char& c : text) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  return text;
}

// The status that goes with an error type, for errors without one.
int StatusOfType(absl::string_view type) {
  static constexpr std::pair<absl::string_view, int> kStatuses[] = {
      {"invalid_request_error", 400}, {"authentication_error", 401},
      {"billing_error", 402},         {"permission_error", 403},
      {"not_found_error", 404},       {"conflict_error", 409},
      {"request_too_large", 413},     {"rate_limit_error", 429},
      {"timeout_error", 504},         {"overloaded_error", 529}};
  for (const auto& [name, status] : kStatuses) {
    if (name == type) return status;
  }
  return 500;
}

}  // namespace

ApiError ErrorOfAnswer(std::string operation, const HttpResponse& response,
                       absl::Time now) {
  ApiError error;
  error.operation = std::move(operation);
  error.http_status = response.status;
  if (!ReadEnvelope(response.body, error)) {
    error.message = absl::StrCat("HTTP ", response.status,
                                 " without an error "
                                 "object: ",
                                 Printable(response.body));
  }
  if (error.request_id.empty()) {
    error.request_id = std::string(HeaderValue(response.headers, "request-id"));
  }
  error.retry_after = RetryAfter(response.headers, now);
  error.maybe_executed =
      response.status < 400 || response.status >= 500 || response.status == 408;
  return error;
}

ApiError ErrorOfLoss(std::string operation, const absl::Status& status) {
  ApiError error;
  error.operation = std::move(operation);
  error.message = std::string(status.message());
  if (IsHttpUnresolved(status)) error.type = kUnresolvedHost;
  if (absl::IsUnauthenticated(status)) error.type = kUntrustedCertificate;
  error.maybe_executed = GetHttpExecuted(status) != HttpExecuted::kNo;
  return error;
}

ApiError ErrorOfFrame(std::string operation, absl::string_view data) {
  ApiError error;
  error.operation = std::move(operation);
  if (!ReadEnvelope(data, error)) {
    error.message =
        absl::StrCat("error frame without an error object: ", Printable(data));
  }
  error.http_status = StatusOfType(error.type);
  return error;
}

}  // namespace midwatch
