// What a Managed Agents endpoint said when it refused: attached to the Status
// of every failed call, so that whoever judges failures has the facts.
#ifndef MIDWATCH_AGENTS_API_ERROR_H_
#define MIDWATCH_AGENTS_API_ERROR_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace midwatch {

struct ApiError {
  // Which call: "create_session", "send_events", "list_files", ...
  std::string operation;
  int http_status = 0;  // 0: no answer came
  // error.type, "" where the body had no envelope; where no answer came, one of
  // those below or "".
  std::string type;
  std::string error_code;  // error.details.error_code
  std::string message;     // the service's words, cut to 2,000 bytes
  std::string request_id;
  std::optional<absl::Duration> retry_after;
  // False only where the request certainly had no effect: no connection came
  // up, or the service answered 4xx. Any other failure may hide a success.
  bool maybe_executed = true;

  friend bool operator==(const ApiError&, const ApiError&) = default;
};

// Why no answer can come as long as nobody mends the address, or the network.
inline constexpr char kUnresolvedHost[] = "unresolved_host";
inline constexpr char kUntrustedCertificate[] = "untrusted_certificate";

// What is said of a refusal, once it is known that the session is archived: the
// service itself does not tell it from other requests that it will not take.
inline constexpr char kSessionArchived[] = "session_archived";

// A Status with `error` attached and named in its message. Codes:
//   kUnavailable         no answer, 408, 429, 5xx, 529: try again later
//   kUnauthenticated     401
//   kPermissionDenied    402, 403
//   kNotFound            404
//   kFailedPrecondition  409, 412
//   kInvalidArgument     every other 4xx
absl::Status ToStatus(const ApiError& error);

// Nothing where `status` carries none.
std::optional<ApiError> GetApiError(const absl::Status& status);

}  // namespace midwatch

#endif  // MIDWATCH_AGENTS_API_ERROR_H_
