// Failures as the Managed Agents API words them. Inside the harness they are
// absl::Status; this file alone knows which HTTP status and `error.type` each
// code becomes:
//
//   kInvalidArgument     400 invalid_request_error
//   kUnauthenticated     401 authentication_error
//   kNotFound            404 not_found_error
//   kFailedPrecondition  409 invalid_request_error  (it is read-only)
//   kAborted             409 conflict_error         (it has a newer version)
//   kOutOfRange          413 request_too_large
//   kResourceExhausted   429 rate_limit_error
//   kUnavailable         529 overloaded_error
//   others               500 api_error
#ifndef MIDWATCH_HARNESS_API_ERROR_H_
#define MIDWATCH_HARNESS_API_ERROR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace midwatch::harness {

// A kInvalidArgument; `error_code` is what a client may branch on, empty for
// none.
absl::Status InvalidRequest(absl::string_view message,
                            absl::string_view error_code = "");

// A kResourceExhausted: nothing more that costs may start.
absl::Status SpendLimitReached();

// For what the API has and this server does not: refused, never ignored.
absl::Status NotSupported(absl::string_view what);

// `kind` is "session", "file", ...
absl::Status NoSuch(absl::string_view kind, absl::string_view id);

int HttpStatusOf(const absl::Status& status);

// The error envelope for `status`.
std::string ErrorEnvelope(const absl::Status& status,
                          const std::string& request_id);

// The same where only an HTTP status is known.
std::string ErrorEnvelope(int http_status, const std::string& message,
                          const std::string& request_id);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_API_ERROR_H_
