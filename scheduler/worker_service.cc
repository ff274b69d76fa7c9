#include "midwatch/v1/worker_service.grpc.pb.h"
#include "scheduler/grpc_unary.h"
#include "scheduler/scheduler.h"
#include "scheduler/services.h"

namespace midwatch {
namespace {

class WorkerServiceImpl final : public v1::WorkerService::CallbackService {
 public:
  WorkerServiceImpl(Executor& executor, Scheduler& scheduler)
      : executor_(executor), scheduler_(scheduler) {}

#define MIDWATCH_SERVE(method, target)                                        \
  grpc::ServerUnaryReactor* method(grpc::CallbackServerContext* context,      \
                                   const v1::method##Request* request,        \
                                   v1::method##Response* response) override { \
    return ServeUnary(context, request, response, executor_,                  \
                      [this](const auto& r, auto reply) {                     \
                        target.method(r, std::move(reply));                   \
                      });                                                     \
  }
  MIDWATCH_SERVE(RegisterWorker, scheduler_.leases())
  MIDWATCH_SERVE(RenewWorker, scheduler_.leases())
  MIDWATCH_SERVE(BeginCreate, scheduler_)
  MIDWATCH_SERVE(RecordSession, scheduler_)
  MIDWATCH_SERVE(ClearSession, scheduler_)
  MIDWATCH_SERVE(AppendEvents, scheduler_)
  MIDWATCH_SERVE(ReadEvents, scheduler_)
  MIDWATCH_SERVE(Advise, scheduler_)
  MIDWATCH_SERVE(MarkSaid, scheduler_)
  MIDWATCH_SERVE(Settle, scheduler_)
  MIDWATCH_SERVE(HandBack, scheduler_)
  MIDWATCH_SERVE(FindRemoteIds, scheduler_)
  MIDWATCH_SERVE(RecordRemoteId, scheduler_)
#undef MIDWATCH_SERVE

  grpc::ServerWriteReactor<v1::StreamLeasesResponse>* StreamLeases(
      grpc::CallbackServerContext*,
      const v1::StreamLeasesRequest* request) override {
    return StreamWriter<v1::StreamLeasesResponse>::Start(
        executor_,
        [this, request = *request](auto sink) {
          scheduler_.leases().StreamLeases(request, sink);
        },
        [this](const auto* sink) { scheduler_.leases().LoseStream(sink); });
  }

 private:
  Executor& executor_;
  Scheduler& scheduler_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeWorkerService(Executor& executor,
                                                 Scheduler& scheduler) {
  return std::make_unique<WorkerServiceImpl>(executor, scheduler);
}

}  // namespace midwatch
