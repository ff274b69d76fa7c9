#include "cli/scheduler_connection.h"

#include <grpc/support/time.h>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/state_dir.h"
#include "worker/grpc_scheduler_client.h"

namespace midwatch::cli {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(10);

}  // namespace

SchedulerConnection::SchedulerConnection(std::shared_ptr<grpc::Channel> channel)
    : channel_(std::move(channel)),
      batches_(v1::BatchService::NewStub(channel_)),
      tasks_(v1::TaskService::NewStub(channel_)),
      budgets_(v1::BudgetService::NewStub(channel_)),
      accounts_(v1::AccountService::NewStub(channel_)),
      queues_(v1::QueueService::NewStub(channel_)),
      tenants_(v1::TenantService::NewStub(channel_)),
      schedules_(v1::ScheduleService::NewStub(channel_)),
      artifacts_(v1::ArtifactService::NewStub(channel_)),
      admin_(v1::AdminService::NewStub(channel_)) {}

absl::StatusOr<std::unique_ptr<SchedulerConnection>> SchedulerConnection::Open(
    const std::string& server, const std::string& state_dir) {
  std::string address = server;
  if (address.empty()) {
    const std::string local = SocketAddress(state_dir);
    if (IsServed(local)) address = local;
  }
  if (address.empty()) {
    ASSIGN_OR_RETURN(std::unique_ptr<SchedulerNode> node,
                     SchedulerNode::Start({.data_dir = state_dir}));
    auto connection =
        std::make_unique<SchedulerConnection>(node->InProcessChannel());
    connection->embedded_ = std::move(node);
    return connection;
  }
  auto connection =
      std::make_unique<SchedulerConnection>(MakeSchedulerChannel(address));
  if (!connection->WaitUntilConnected(kConnectTimeout)) {
    return absl::UnavailableError(
        absl::StrCat("no scheduler answers at ", address,
                     "; start one with `midwatch scheduler`, or check "
                     "--server"));
  }
  return connection;
}

bool SchedulerConnection::WaitUntilConnected(absl::Duration timeout) {
  return channel_->WaitForConnected(gpr_time_add(
      gpr_now(GPR_CLOCK_MONOTONIC),
      gpr_time_from_millis(absl::ToInt64Milliseconds(timeout), GPR_TIMESPAN)));
}

}  // namespace midwatch::cli
