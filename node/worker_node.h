// A worker in this process: what `midwatch worker` runs and `midwatch run`
// embeds.
#ifndef MIDWATCH_NODE_WORKER_NODE_H_
#define MIDWATCH_NODE_WORKER_NODE_H_

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "base/prices.h"
#include "midwatch/v1/worker_service.pb.h"

namespace midwatch {

class SchedulerNode;

struct AccountOptions {
  std::string base_url;
  std::string api_key;
  // How to get there: see CurlTransportOptions.
  std::string proxy;
  std::string ca_file;
  // What it accepts; nothing: no limit is known.
  std::optional<v1::AccountLimits> limits;
};

// What answers a custom tool's calls: a command, or a URL.
struct ToolOptions {
  std::vector<std::string> command;
  std::string url;
  absl::Duration timeout = absl::Minutes(1);
};

// What outputs are checked with: see MakeCommandCheck.
struct CheckOptions {
  std::vector<std::string> command;
  absl::Duration timeout = absl::Minutes(5);
};

struct WorkerNodeOptions {
  // Exactly one of the two: a scheduler in this process (which outlives the
  // node), or the gRPC address of one.
  SchedulerNode* scheduler = nullptr;
  std::string scheduler_address;
  // Where artifacts are kept, when shared with the scheduler. Empty: they are
  // fetched from and sent to the scheduler, and cached in `cache_dir`.
  std::string artifacts_dir;
  std::string cache_dir;
  std::map<std::string, AccountOptions> accounts;
  int capacity = 32;
  std::map<std::string, ToolOptions> tools;    // by name
  std::map<std::string, CheckOptions> checks;  // by name
  // What models cost, to tell what a session has cost so far.
  PriceTable prices = BuiltInPrices();
};

class WorkerNode {
 public:
  static absl::StatusOr<std::unique_ptr<WorkerNode>> Start(
      const WorkerNodeOptions& options);
  virtual ~WorkerNode() = default;
  // Blocks until every attempt is stored and handed back. Sessions go on at the
  // service.
  virtual void Drain() = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_NODE_WORKER_NODE_H_
