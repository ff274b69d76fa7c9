#include "midwatch/v1/task_service.grpc.pb.h"
#include "scheduler/grpc_unary.h"
#include "scheduler/scheduler.h"
#include "scheduler/services.h"

namespace midwatch {
namespace {

class TaskServiceImpl final : public v1::TaskService::CallbackService {
 public:
  TaskServiceImpl(Executor& executor, Scheduler& scheduler)
      : executor_(executor), scheduler_(scheduler) {}

#define MIDWATCH_SERVE(method)                                                \
  grpc::ServerUnaryReactor* method(grpc::CallbackServerContext* context,      \
                                   const v1::method##Request* request,        \
                                   v1::method##Response* response) override { \
    return ServeUnary(context, request, response, executor_,                  \
                      [this](const auto& r, auto reply) {                     \
                        scheduler_.method(r, std::move(reply));               \
                      });                                                     \
  }
  MIDWATCH_SERVE(SubmitTask)
  MIDWATCH_SERVE(GetTask)
  MIDWATCH_SERVE(ListTasks)
  MIDWATCH_SERVE(CancelTask)
  MIDWATCH_SERVE(RetryTask)
  MIDWATCH_SERVE(ListTaskEvents)
#undef MIDWATCH_SERVE

 private:
  Executor& executor_;
  Scheduler& scheduler_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeTaskService(Executor& executor,
                                               Scheduler& scheduler) {
  return std::make_unique<TaskServiceImpl>(executor, scheduler);
}

}  // namespace midwatch
