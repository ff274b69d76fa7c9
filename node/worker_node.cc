#include "node/worker_node.h"

#include <grpc/support/time.h>
#include <grpcpp/channel.h>
#include <unistd.h>

#include <climits>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "agents/agents_client.h"
#include "artifacts/directory_store.h"
#include "base/blocking_pool.h"
#include "base/random.h"
#include "base/real_clock.h"
#include "base/real_executor.h"
#include "base/status_macros.h"
#include "net/curl_transport.h"
#include "node/account_check.h"
#include "node/scheduler_node.h"
#include "worker/check_folder.h"
#include "worker/grpc_artifact_store.h"
#include "worker/grpc_scheduler_client.h"
#include "worker/worker.h"

namespace midwatch {
namespace {

constexpr int kWorkerPoolThreads = 4;
// Commands of custom tools that run at once; further ones wait. And of checks,
// which may take long and hold up no agent.
constexpr int kToolThreads = 16;
constexpr int kCheckThreads = 8;
constexpr int kConnectSeconds = 10;

std::string DescribeThisProcess() {
  char host[HOST_NAME_MAX + 1] = {};
  gethostname(host, HOST_NAME_MAX);
  return absl::StrCat(host, ":", getpid());
}

class WorkerNodeImpl final : public WorkerNode {
 public:
  ~WorkerNodeImpl() override {
    // Coroutines go first, then the work that they wait for, then what both
    // refer to.
    executor_.Stop();
    pool_.reset();
    // Before the threads that run their commands, which they stop.
    tools_.clear();
    tool_pool_.reset();
    checks_.clear();
    check_pool_.reset();
  }

  absl::Status Start(const WorkerNodeOptions& options) {
    if (options.scheduler == nullptr) {
      RETURN_IF_ERROR(Connect(options.scheduler_address));
    }
    RETURN_IF_ERROR(OpenArtifacts(options));
    RunOn(executor_, [&] { StartWorker(options); });
    return absl::OkStatus();
  }

  void Drain() override {
    std::promise<void> drained;
    executor_.Post([&] { worker_->Drain([&] { drained.set_value(); }); });
    drained.get_future().wait();
  }

 private:
  absl::Status Connect(const std::string& address) {
    channel_ = MakeSchedulerChannel(address);
    const gpr_timespec deadline =
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                     gpr_time_from_seconds(kConnectSeconds, GPR_TIMESPAN));
    if (channel_->WaitForConnected(deadline)) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat(
        "no scheduler answers at ", address, " within ", kConnectSeconds,
        " s; start one with `midwatch scheduler`, or check --server"));
  }

  absl::Status OpenArtifacts(const WorkerNodeOptions& options) {
    const bool shared = !options.artifacts_dir.empty();
    ASSIGN_OR_RETURN(ArtifactDirectory directory,
                     ArtifactDirectory::Open(shared ? options.artifacts_dir
                                                    : options.cache_dir));
    if (shared) {
      artifacts_ =
          MakeDirectoryArtifactStore(std::move(directory), *pool_, executor_);
    } else {
      artifacts_ =
          MakeGrpcArtifactStore(channel_, std::move(directory), executor_);
    }
    return absl::OkStatus();
  }

  // On the executor.
  void StartWorker(const WorkerNodeOptions& options) {
    scheduler_ = options.scheduler != nullptr
                     ? options.scheduler->MakeDirectClient(executor_)
                     : MakeGrpcSchedulerClient(channel_, executor_);
    WorkerParts parts{executor_,   RealClock(), random_,
                      *scheduler_, *artifacts_, {}};
    WorkerOptions worker;
    for (const auto& [name, account] : options.accounts) {
      AgentsClientOptions client;
      client.base_url = account.base_url;
      client.api_key = account.api_key;
      transports_.push_back(MakeCurlTransport(executor_, WayTo(account)));
      clients_.push_back(std::make_unique<AgentsClient>(
          *transports_.back(), executor_, RealClock(), std::move(client)));
      parts.accounts[name] = clients_.back().get();
      if (account.limits) worker.limits.push_back(*account.limits);
    }
    parts.pool = pool_.get();
    MakeTools(options.tools);
    for (const auto& [name, handler] : tools_)
      parts.tools[name] = handler.get();
    MakeChecks(options.checks);
    for (const auto& [name, check] : checks_) parts.checks[name] = check.get();
    worker.description = DescribeThisProcess();
    worker.capacity = options.capacity;
    worker.prices = options.prices;
    worker_ = std::make_unique<Worker>(std::move(parts), std::move(worker));
    worker_->Start();
  }

  // On the executor.
  void MakeTools(const std::map<std::string, ToolOptions>& tools) {
    for (const auto& [name, tool] : tools) {
      ToolLimits limits;
      limits.timeout = tool.timeout;
      if (!tool.command.empty()) {
        // Of their own, since they may take long: files do not wait for them.
        if (tool_pool_ == nullptr) {
          tool_pool_ =
              std::make_unique<ThreadBlockingPool>("tool-pool", kToolThreads);
        }
        tools_[name] = MakeCommandToolHandler(
            *tool_pool_, executor_, RealClock(), tool.command, limits);
        continue;
      }
      if (tool_transport_ == nullptr) {
        tool_transport_ = MakeCurlTransport(executor_, {});
      }
      tools_[name] = MakeHttpToolHandler(*tool_transport_, tool.url, limits);
    }
  }

  // On the executor.
  void MakeChecks(const std::map<std::string, CheckOptions>& checks) {
    if (checks.empty()) return;
    check_pool_ =
        std::make_unique<ThreadBlockingPool>("check-pool", kCheckThreads);
    // Of a worker that was killed amid a check.
    check_pool_->Run(RemoveLeftCheckFolders);
    for (const auto& [name, check] : checks) {
      checks_[name] = MakeCommandCheck(*check_pool_, executor_, RealClock(),
                                       check.command, check.timeout);
    }
  }

  // In the order in which each refers to those before it.
  RealExecutor executor_{"worker"};
  RealRandom random_;
  std::unique_ptr<ThreadBlockingPool> pool_ =
      std::make_unique<ThreadBlockingPool>("worker-pool", kWorkerPoolThreads);
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<ArtifactStore> artifacts_;
  std::unique_ptr<SchedulerClient> scheduler_;
  std::vector<std::unique_ptr<HttpTransport>> transports_;  // of the clients
  std::vector<std::unique_ptr<AgentsClient>> clients_;
  std::unique_ptr<ThreadBlockingPool> tool_pool_;
  std::unique_ptr<HttpTransport> tool_transport_;
  std::map<std::string, std::unique_ptr<ToolHandler>> tools_;
  std::unique_ptr<ThreadBlockingPool> check_pool_;
  std::map<std::string, std::unique_ptr<OutputCheck>> checks_;
  std::unique_ptr<Worker> worker_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<WorkerNode>> WorkerNode::Start(
    const WorkerNodeOptions& options) {
  const bool embedded = options.scheduler != nullptr;
  if (embedded == !options.scheduler_address.empty()) {
    return absl::InvalidArgumentError(
        "a worker needs a scheduler in its process or the address of one");
  }
  if (options.artifacts_dir.empty() &&
      (embedded || options.cache_dir.empty())) {
    return absl::InvalidArgumentError(
        "a worker needs the scheduler's artifact directory, or a cache of its "
        "own and the scheduler's address");
  }
  if (options.accounts.empty()) {
    return absl::InvalidArgumentError("a worker needs at least one account");
  }
  auto node = std::make_unique<WorkerNodeImpl>();
  RETURN_IF_ERROR(node->Start(options));
  return node;
}

}  // namespace midwatch
