// One maker for each service; grpc_services.cc puts them together.
#ifndef MIDWATCH_SCHEDULER_SERVICES_H_
#define MIDWATCH_SCHEDULER_SERVICES_H_

#include <memory>

#include "artifacts/directory_store.h"
#include "base/blocking_pool.h"
#include "base/executor.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace midwatch {

class Backups;
class Scheduler;

std::unique_ptr<grpc::Service> MakeTaskService(Executor& executor,
                                               Scheduler& scheduler);
std::unique_ptr<grpc::Service> MakeBatchService(Executor& executor,
                                                Scheduler& scheduler);
std::unique_ptr<grpc::Service> MakeAccountService(Executor& executor,
                                                  Scheduler& scheduler);
std::unique_ptr<grpc::Service> MakeBudgetService(Executor& executor,
                                                 Scheduler& scheduler);
std::unique_ptr<grpc::Service> MakeQueueService(Executor& executor,
                                                Scheduler& scheduler);
std::unique_ptr<grpc::Service> MakeTenantService(Executor& executor,
                                                 Scheduler& scheduler);
std::unique_ptr<grpc::Service> MakeScheduleService(Executor& executor,
                                                   Scheduler& scheduler);
std::unique_ptr<grpc::Service> MakeWorkerService(Executor& executor,
                                                 Scheduler& scheduler);
std::unique_ptr<grpc::Service> MakeArtifactService(
    BlockingPool& pool, const ArtifactDirectory& artifacts);
std::unique_ptr<grpc::Service> MakeAdminService(Backups& backups);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_SERVICES_H_
