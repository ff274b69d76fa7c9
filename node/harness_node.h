// A harness in this process: what `midwatch harness` runs and `midwatch run`
// embeds.
#ifndef MIDWATCH_NODE_HARNESS_NODE_H_
#define MIDWATCH_NODE_HARNESS_NODE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "harness/faults.h"
#include "harness/messages_options.h"
#include "harness/rate_limits.h"

namespace midwatch {

struct HarnessNodeOptions {
  std::string data_dir;
  std::string address = "127.0.0.1";
  int port = 0;  // 0: any free one
  // Empty: a random one, in memory only.
  std::string api_key;
  // Where it is set, the key is what this file holds at the moment.
  std::string api_key_file;
  bool unsafe_no_sandbox = false;
  // Where models other than `runbook` are; without a base_url there are none.
  MessagesOptions messages;
  // How to get there: see CurlTransportOptions.
  std::string model_proxy;
  std::string model_ca_file;
  // For rehearsals: see HarnessOptions.
  harness::RateLimits rate_limits;
  harness::FaultPlan faults;
  std::optional<int64_t> spend_cap_usd_micros;
};

class HarnessNode {
 public:
  //   kInvalidArgument  the proxy is no URL, or the CA file holds no
  //   certificate
  static absl::StatusOr<std::unique_ptr<HarnessNode>> Start(
      const HarnessNodeOptions& options);
  virtual ~HarnessNode() = default;
  virtual std::string base_url() const = 0;
  virtual const std::string& api_key() const = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_NODE_HARNESS_NODE_H_
