// gRPC in front of the scheduler: translates and posts, decides nothing.
#ifndef MIDWATCH_SCHEDULER_GRPC_SERVICES_H_
#define MIDWATCH_SCHEDULER_GRPC_SERVICES_H_

#include <memory>
#include <vector>

#include "artifacts/directory_store.h"
#include "base/blocking_pool.h"
#include "base/executor.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace midwatch {

class Backups;
class Scheduler;

// Largest message in either direction: a prompt of 12 MiB and 32 MiB of events
// fit.
inline constexpr int kGrpcMessageBytesMax = 64 << 20;

// The services of midwatch.v1. Everything outlives them; `scheduler` lives on
// `executor`. Methods run on gRPC's threads, which never wait: they post to the
// scheduler, and files are read and written on `pool`.
std::vector<std::unique_ptr<grpc::Service>> MakeGrpcServices(
    Executor& executor, Scheduler& scheduler, BlockingPool& pool,
    const ArtifactDirectory& artifacts, Backups& backups);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_GRPC_SERVICES_H_
