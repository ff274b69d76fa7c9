#include "node/harness_node.h"

#include <utility>

#include "base/blocking_pool.h"
#include "base/random.h"
#include "base/real_clock.h"
#include "base/real_executor.h"
#include "harness/harness.h"
#include "net/curl_transport.h"

namespace midwatch {
namespace {

constexpr int kKeyBytes = 32;
constexpr int kHarnessPoolThreads = 4;

class HarnessNodeImpl final : public HarnessNode {
 public:
  explicit HarnessNodeImpl(const HarnessNodeOptions& options)
      : api_key_(options.api_key.empty() ? random_.Hex(kKeyBytes)
                                         : options.api_key) {}

  ~HarnessNodeImpl() override {
    RunOn(executor_, [this] { harness_.reset(); });
    executor_.Stop();
  }

  absl::Status Start(const HarnessNodeOptions& options) {
    HarnessOptions harness;
    harness.data_dir = options.data_dir;
    harness.address = options.address;
    harness.port = options.port;
    harness.api_key = api_key_;
    harness.api_key_file = options.api_key_file;
    harness.rate_limits = options.rate_limits;
    harness.faults = options.faults;
    harness.spend_cap_usd_micros = options.spend_cap_usd_micros;
    harness.unsafe_no_sandbox = options.unsafe_no_sandbox;
    harness.messages = options.messages;
    CurlTransportOptions way;
    way.proxy = options.model_proxy;
    way.ca_file = options.model_ca_file;
    absl::Status status = CheckCurlTransportOptions(way);
    if (!status.ok()) return status;
    RunOn(executor_, [&] {
      if (!options.messages.base_url.empty()) {
        transport_ = MakeCurlTransport(executor_, way);
        harness.transport = transport_.get();
      }
      absl::StatusOr<std::unique_ptr<Harness>> started = Harness::Start(
          executor_, pool_, RealClock(), random_, std::move(harness));
      status = started.status();
      if (!started.ok()) return;
      harness_ = *std::move(started);
      base_url_ = harness_->base_url();
    });
    return status;
  }

  std::string base_url() const override { return base_url_; }
  const std::string& api_key() const override { return api_key_; }

 private:
  RealRandom random_;
  const std::string api_key_;
  std::string base_url_;
  RealExecutor executor_{"harness"};
  // Outlived by the executor, on which its results arrive.
  ThreadBlockingPool pool_{"harness-pool", kHarnessPoolThreads};
  std::unique_ptr<HttpTransport> transport_;  // to the models, if any
  std::unique_ptr<Harness> harness_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<HarnessNode>> HarnessNode::Start(
    const HarnessNodeOptions& options) {
  auto node = std::make_unique<HarnessNodeImpl>(options);
  if (absl::Status status = node->Start(options); !status.ok()) return status;
  return node;
}

}  // namespace midwatch
