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

  MIDWATCH_SERVE_UNARY(SubmitTask, scheduler_)
  MIDWATCH_SERVE_UNARY(GetTask, scheduler_)
  MIDWATCH_SERVE_UNARY(ListTasks, scheduler_)
  MIDWATCH_SERVE_UNARY(CancelTask, scheduler_)
  MIDWATCH_SERVE_UNARY(RetryTask, scheduler_)
  MIDWATCH_SERVE_UNARY(AnswerTask, scheduler_)
  MIDWATCH_SERVE_UNARY(UpdateTask, scheduler_)
  MIDWATCH_SERVE_UNARY(ListTaskEvents, scheduler_)
  MIDWATCH_SERVE_UNARY(ListLastEvents, scheduler_)
  MIDWATCH_SERVE_UNARY(ExplainTask, scheduler_)
  MIDWATCH_SERVE_UNARY(ForecastTasks, scheduler_)

  grpc::ServerWriteReactor<v1::FollowTaskEventsResponse>* FollowTaskEvents(
      grpc::CallbackServerContext*,
      const v1::FollowTaskEventsRequest* request) override {
    return StreamWriter<v1::FollowTaskEventsResponse>::Start(
        executor_,
        [this, request = *request](auto sink) {
          scheduler_.feeds().Follow(request, sink);
        },
        [this](const auto* sink) { scheduler_.feeds().Lose(sink); });
  }

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
