#include "midwatch/v1/budget_service.grpc.pb.h"
#include "scheduler/grpc_unary.h"
#include "scheduler/scheduler.h"
#include "scheduler/services.h"

namespace midwatch {
namespace {

class BudgetServiceImpl final : public v1::BudgetService::CallbackService {
 public:
  BudgetServiceImpl(Executor& executor, Scheduler& scheduler)
      : executor_(executor), scheduler_(scheduler) {}

  MIDWATCH_SERVE_UNARY(SetBudget, scheduler_)
  MIDWATCH_SERVE_UNARY(ListBudgets, scheduler_)
  MIDWATCH_SERVE_UNARY(DeleteBudget, scheduler_)
  MIDWATCH_SERVE_UNARY(ListJournal, scheduler_)

 private:
  Executor& executor_;
  Scheduler& scheduler_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeBudgetService(Executor& executor,
                                                 Scheduler& scheduler) {
  return std::make_unique<BudgetServiceImpl>(executor, scheduler);
}

}  // namespace midwatch
