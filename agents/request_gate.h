// What every request to a service passes before it leaves: the seam at which
// rates are kept.
#ifndef MIDWATCH_AGENTS_REQUEST_GATE_H_
#define MIDWATCH_AGENTS_REQUEST_GATE_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/coro.h"

namespace midwatch {

// What services limit apart.
enum class RequestClass {
  kCreate,  // sessions, agents, environments
  kWrite,   // events, archives
  kRead,    // gets, lists, opened streams
  kFiles,
};

enum class RequestPurpose {
  kUrgent,  // somebody waits for it: a cancel
  kNormal,
  kSpare,  // only where nobody else has a use for the turn
};

// Used on one executor's thread.
class RequestGate {
 public:
  virtual ~RequestGate() = default;
  // Waits for the request's turn.
  //   kDeadlineExceeded  it did not come `within` that time
  virtual Async<absl::Status> Pass(RequestClass request_class,
                                   RequestPurpose purpose,
                                   absl::Duration within) = 0;
  // The service answered with `http_status`.
  virtual void Note(RequestClass request_class, int http_status,
                    std::optional<absl::Duration> retry_after) = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_AGENTS_REQUEST_GATE_H_
