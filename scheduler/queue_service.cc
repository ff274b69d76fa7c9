#include "midwatch/v1/queue_service.grpc.pb.h"
#include "scheduler/grpc_unary.h"
#include "scheduler/scheduler.h"
#include "scheduler/services.h"

namespace midwatch {
namespace {

class QueueServiceImpl final : public v1::QueueService::CallbackService {
 public:
  QueueServiceImpl(Executor& executor, Scheduler& scheduler)
      : executor_(executor), scheduler_(scheduler) {}

  MIDWATCH_SERVE_UNARY(ListQueues, scheduler_)
  MIDWATCH_SERVE_UNARY(GetQueue, scheduler_)
  MIDWATCH_SERVE_UNARY(UpdateQueue, scheduler_)
  MIDWATCH_SERVE_UNARY(PauseQueue, scheduler_)
  MIDWATCH_SERVE_UNARY(ResumeQueue, scheduler_)

 private:
  Executor& executor_;
  Scheduler& scheduler_;
};

class TenantServiceImpl final : public v1::TenantService::CallbackService {
 public:
  TenantServiceImpl(Executor& executor, Scheduler& scheduler)
      : executor_(executor), scheduler_(scheduler) {}

  MIDWATCH_SERVE_UNARY(ListTenants, scheduler_)
  MIDWATCH_SERVE_UNARY(GetTenant, scheduler_)
  MIDWATCH_SERVE_UNARY(UpdateTenant, scheduler_)
  MIDWATCH_SERVE_UNARY(ListConcurrencyKeys, scheduler_)
  MIDWATCH_SERVE_UNARY(UpdateConcurrencyKey, scheduler_)

 private:
  Executor& executor_;
  Scheduler& scheduler_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeQueueService(Executor& executor,
                                                Scheduler& scheduler) {
  return std::make_unique<QueueServiceImpl>(executor, scheduler);
}

std::unique_ptr<grpc::Service> MakeTenantService(Executor& executor,
                                                 Scheduler& scheduler) {
  return std::make_unique<TenantServiceImpl>(executor, scheduler);
}

}  // namespace midwatch
