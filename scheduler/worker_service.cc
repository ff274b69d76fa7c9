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

  MIDWATCH_SERVE_UNARY(RegisterWorker, scheduler_.leases())
  MIDWATCH_SERVE_UNARY(RenewWorker, scheduler_.leases())
  MIDWATCH_SERVE_UNARY(AskSlots, scheduler_.rates())
  MIDWATCH_SERVE_UNARY(BeginCreate, scheduler_)
  MIDWATCH_SERVE_UNARY(RecordSession, scheduler_)
  MIDWATCH_SERVE_UNARY(ClearSession, scheduler_)
  MIDWATCH_SERVE_UNARY(AppendEvents, scheduler_)
  MIDWATCH_SERVE_UNARY(ReadEvents, scheduler_)
  MIDWATCH_SERVE_UNARY(Advise, scheduler_)
  MIDWATCH_SERVE_UNARY(AddAnswer, scheduler_)
  MIDWATCH_SERVE_UNARY(MarkSaid, scheduler_)
  MIDWATCH_SERVE_UNARY(Park, scheduler_)
  MIDWATCH_SERVE_UNARY(Settle, scheduler_)
  MIDWATCH_SERVE_UNARY(HandBack, scheduler_)
  MIDWATCH_SERVE_UNARY(FindRemoteIds, scheduler_)
  MIDWATCH_SERVE_UNARY(RecordRemoteId, scheduler_)
  MIDWATCH_SERVE_UNARY(LeaseErrands, scheduler_)
  MIDWATCH_SERVE_UNARY(CompleteErrands, scheduler_)
  MIDWATCH_SERVE_UNARY(ExplainSessions, scheduler_)
  MIDWATCH_SERVE_UNARY(CompleteSweep, scheduler_)

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
