// How an HTTP exchange with the service reads as an ApiError.
#ifndef MIDWATCH_AGENTS_HTTP_ERRORS_H_
#define MIDWATCH_AGENTS_HTTP_ERRORS_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agents/api_error.h"
#include "net/http.h"

namespace midwatch {

// An answer with an error status. Where the body holds no envelope (empty, or a
// proxy's HTML) the message is the status and the body's first 200 bytes.
// `now` turns a retry-after that names a date into a delay.
ApiError ErrorOfAnswer(std::string operation, const HttpResponse& response,
                       absl::Time now);

// No answer: `status` is the transport's.
ApiError ErrorOfLoss(std::string operation, const absl::Status& status);

// The data of an SSE frame called "error", which comes in place of a status.
ApiError ErrorOfFrame(std::string operation, absl::string_view data);

}  // namespace midwatch

#endif  // MIDWATCH_AGENTS_HTTP_ERRORS_H_
