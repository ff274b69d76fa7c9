#include "scheduler/grpc_services.h"

#include <grpcpp/impl/service_type.h>

#include "scheduler/services.h"

namespace midwatch {

std::vector<std::unique_ptr<grpc::Service>> MakeGrpcServices(
    Executor& executor, Scheduler& scheduler, BlockingPool& pool,
    const ArtifactDirectory& artifacts, Backups& backups) {
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(MakeTaskService(executor, scheduler));
  services.push_back(MakeBatchService(executor, scheduler));
  services.push_back(MakeAccountService(executor, scheduler));
  services.push_back(MakeBudgetService(executor, scheduler));
  services.push_back(MakeQueueService(executor, scheduler));
  services.push_back(MakeTenantService(executor, scheduler));
  services.push_back(MakeScheduleService(executor, scheduler));
  services.push_back(MakeWorkerService(executor, scheduler));
  services.push_back(MakeArtifactService(pool, artifacts));
  services.push_back(MakeAdminService(backups));
  return services;
}

}  // namespace midwatch
