#include "midwatch/v1/batch_service.grpc.pb.h"
#include "scheduler/grpc_unary.h"
#include "scheduler/scheduler.h"
#include "scheduler/services.h"

namespace midwatch {
namespace {

// Bulk submit: one message is read, handed over, and acknowledged once it is
// durable, before the next is read. So a stream holds one chunk at most, and a
// client that wants more in flight opens its chunks larger.
class SubmitStream final
    : public grpc::ServerBidiReactor<v1::SubmitBatchRequest,
                                     v1::SubmitBatchResponse> {
 public:
  SubmitStream(Executor& executor, Scheduler& scheduler)
      : executor_(executor), scheduler_(scheduler) {
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    executor_.Post([this] {
      scheduler_.SubmitBatchStep(
          request_, [this](absl::StatusOr<v1::SubmitBatchResponse> response) {
            if (!response.ok()) return Finish(ToGrpc(response.status()));
            response_ = *std::move(response);
            StartWrite(&response_);
          });
    });
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    StartRead(&request_);
  }

  // Every step above ends in exactly one of Finish, StartWrite and StartRead,
  // so gRPC calls this only when nothing is under way.
  void OnDone() override { delete this; }

 private:
  Executor& executor_;
  Scheduler& scheduler_;
  v1::SubmitBatchRequest request_;
  v1::SubmitBatchResponse response_;
};

class BatchServiceImpl final : public v1::BatchService::CallbackService {
 public:
  BatchServiceImpl(Executor& executor, Scheduler& scheduler)
      : executor_(executor), scheduler_(scheduler) {}

  MIDWATCH_SERVE_UNARY(GetBatch, scheduler_)
  MIDWATCH_SERVE_UNARY(ListBatches, scheduler_)
  MIDWATCH_SERVE_UNARY(CancelBatch, scheduler_)
  MIDWATCH_SERVE_UNARY(UpdateBatch, scheduler_)
  MIDWATCH_SERVE_UNARY(PauseBatch, scheduler_)
  MIDWATCH_SERVE_UNARY(ResumeBatch, scheduler_)
  MIDWATCH_SERVE_UNARY(RetryBatch, scheduler_)
  MIDWATCH_SERVE_UNARY(DeleteBatch, scheduler_)

  grpc::ServerBidiReactor<v1::SubmitBatchRequest, v1::SubmitBatchResponse>*
  SubmitBatch(grpc::CallbackServerContext*) override {
    return new SubmitStream(executor_, scheduler_);
  }

  grpc::ServerWriteReactor<v1::WatchBatchResponse>* WatchBatch(
      grpc::CallbackServerContext*,
      const v1::WatchBatchRequest* request) override {
    return StreamWriter<v1::WatchBatchResponse>::Start(
        executor_,
        [this, request = *request](auto sink) {
          scheduler_.watches().Watch(request, sink);
        },
        [this](const auto* sink) { scheduler_.watches().Lose(sink); });
  }

 private:
  Executor& executor_;
  Scheduler& scheduler_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeBatchService(Executor& executor,
                                                Scheduler& scheduler) {
  return std::make_unique<BatchServiceImpl>(executor, scheduler);
}

}  // namespace midwatch
