#include "midwatch/v1/account_service.grpc.pb.h"
#include "scheduler/grpc_unary.h"
#include "scheduler/scheduler.h"
#include "scheduler/services.h"

namespace midwatch {
namespace {

class AccountServiceImpl final : public v1::AccountService::CallbackService {
 public:
  AccountServiceImpl(Executor& executor, Scheduler& scheduler)
      : executor_(executor), scheduler_(scheduler) {}

  MIDWATCH_SERVE_UNARY(ListAccounts, scheduler_)
  MIDWATCH_SERVE_UNARY(GetAccount, scheduler_)
  MIDWATCH_SERVE_UNARY(PauseAccount, scheduler_)
  MIDWATCH_SERVE_UNARY(ResumeAccount, scheduler_)
  MIDWATCH_SERVE_UNARY(UpdateAccount, scheduler_)

 private:
  Executor& executor_;
  Scheduler& scheduler_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAccountService(Executor& executor,
                                                  Scheduler& scheduler) {
  return std::make_unique<AccountServiceImpl>(executor, scheduler);
}

}  // namespace midwatch
