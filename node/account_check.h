#ifndef MIDWATCH_NODE_ACCOUNT_CHECK_H_
#define MIDWATCH_NODE_ACCOUNT_CHECK_H_

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "net/curl_transport.h"
#include "node/worker_node.h"

namespace midwatch {

// Asks the service, once, for something harmless, so that a wrong address or
// key is told at the start and not by a queue of failed tasks. Blocks, for ten
// seconds at most. What may pass (a rate limit, a 5xx) is OK.
//   kUnauthenticated  the service refuses the key
//   kUnavailable      nothing answers there, or the proxy does not
//   kInvalidArgument  the proxy is no URL, or the CA file holds no certificate
//   kNotFound         something answers, and it is not this API
absl::Status CheckAccount(const AccountOptions& account);

// The same, with what the service's clock said (Date, to the second) and ours
// as the answer came; unset where it named no time.
struct AccountAnswer {
  absl::Status status;
  std::optional<absl::Time> service_time;
  absl::Time our_time;
};
AccountAnswer AskAccount(const AccountOptions& account);

// How a transport gets to the account's service.
CurlTransportOptions WayTo(const AccountOptions& account);

}  // namespace midwatch

#endif  // MIDWATCH_NODE_ACCOUNT_CHECK_H_
