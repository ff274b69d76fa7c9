#ifndef MIDWATCH_WORKER_GRPC_SCHEDULER_CLIENT_H_
#define MIDWATCH_WORKER_GRPC_SCHEDULER_CLIENT_H_

#include <memory>
#include <string>

#include "base/executor.h"
#include "worker/scheduler_client.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace midwatch {

// A channel to the scheduler at `address` ("127.0.0.1:7410", "unix:/path"),
// with the limits that its messages need. It connects when it is used and,
// after a loss, again and again within seconds.
std::shared_ptr<grpc::Channel> MakeSchedulerChannel(const std::string& address);

// WorkerService over gRPC. Answers come back on `executor`, the worker's own,
// which outlives the client; destroying the client ends the calls that are on.
std::unique_ptr<SchedulerClient> MakeGrpcSchedulerClient(
    std::shared_ptr<grpc::Channel> channel, Executor& executor);

}  // namespace midwatch

#endif  // MIDWATCH_WORKER_GRPC_SCHEDULER_CLIENT_H_
