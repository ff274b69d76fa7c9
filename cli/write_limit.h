#ifndef MIDWATCH_CLI_WRITE_LIMIT_H_
#define MIDWATCH_CLI_WRITE_LIMIT_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/coro.h"
#include "base/executor.h"

namespace midwatch::cli {

struct WriteLimitOptions {
  // Until the first refusal. From then on kept up, so that a limit that is
  // shared stays used up, by as many more as `more_max`.
  int writes_max = 1'500;
  int more_max = 500;
  // At once: one after the other would never reach a limit of 20 a second.
  int in_flight = 8;
  absl::Duration time_max = absl::Minutes(5);
};

struct WriteLimit {
  std::string says;  // "not settled: " and why, where it did not show
  // How long the service wants to be left alone now.
  absl::Duration rest;
};

// Whether writes share the limit of creates, by using it up: writes as fast as
// answers come, until one is refused with a retry-after; then two creates, a
// second apart, while writes go on. A create that is refused has the same
// limit. Two, since one alone may meet with the request or two that a shared
// limit allows again meanwhile; a second apart, so that a limit of their own
// has room for both.
//
// `write` and `create` send one request each, which has a timeout, and give
// its status with the ApiError. All outlive the call.
using SendRequest = absl::AnyInvocable<Async<absl::Status>()>;
Async<WriteLimit> FindWriteLimit(Executor& executor, const Clock& clock,
                                 SendRequest& write, SendRequest& create,
                                 WriteLimitOptions options);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_WRITE_LIMIT_H_
