// How an error of the Messages API, or of the way to it, reads as a failure of
// the model.
#ifndef MIDWATCH_HARNESS_MESSAGES_ERROR_H_
#define MIDWATCH_HARNESS_MESSAGES_ERROR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "harness/json.h"
#include "harness/model.h"
#include "net/http.h"

namespace midwatch::harness {

// An answer with an error status. `now` turns a retry-after that names a date
// into a delay.
ModelFailure FailureOfAnswer(int status, const HttpHeaders& headers,
                             const std::string& body, absl::Time now);

// An `error` event in a stream that began well.
ModelFailure FailureOfEvent(const Json& envelope);

// No answer, or a cut one: `status` is the transport's.
ModelFailure FailureOfLoss(const absl::Status& status);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_MESSAGES_ERROR_H_
