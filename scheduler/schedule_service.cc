#include "midwatch/v1/schedule_service.grpc.pb.h"
#include "scheduler/grpc_unary.h"
#include "scheduler/scheduler.h"
#include "scheduler/services.h"

namespace midwatch {
namespace {

class ScheduleServiceImpl final : public v1::ScheduleService::CallbackService {
 public:
  ScheduleServiceImpl(Executor& executor, Scheduler& scheduler)
      : executor_(executor), scheduler_(scheduler) {}

  MIDWATCH_SERVE_UNARY(PutSchedule, scheduler_)
  MIDWATCH_SERVE_UNARY(GetSchedule, scheduler_)
  MIDWATCH_SERVE_UNARY(ListSchedules, scheduler_)
  MIDWATCH_SERVE_UNARY(DeleteSchedule, scheduler_)
  MIDWATCH_SERVE_UNARY(PauseSchedule, scheduler_)
  MIDWATCH_SERVE_UNARY(ResumeSchedule, scheduler_)
  MIDWATCH_SERVE_UNARY(RunSchedule, scheduler_)

 private:
  Executor& executor_;
  Scheduler& scheduler_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeScheduleService(Executor& executor,
                                                   Scheduler& scheduler) {
  return std::make_unique<ScheduleServiceImpl>(executor, scheduler);
}

}  // namespace midwatch
