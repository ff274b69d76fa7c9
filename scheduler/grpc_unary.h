// The one way in which a unary method is served. For the *_service.cc files.
#ifndef MIDWATCH_SCHEDULER_GRPC_UNARY_H_
#define MIDWATCH_SCHEDULER_GRPC_UNARY_H_

#include <grpcpp/grpcpp.h>

#include <deque>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "base/executor.h"
#include "base/mutex.h"
#include "scheduler/reply.h"

namespace midwatch {

// absl's codes are gRPC's. What is beside them (rich_error.h) goes as a
// google.rpc.Status in the trailer grpc-status-details-bin.
grpc::Status ToGrpc(absl::Status status);

// Calls `method` on `executor` and finishes the call with its answer. gRPC has
// as few as two threads: nothing waits here.
template <typename Request, typename Response, typename Method>
grpc::ServerUnaryReactor* ServeUnary(grpc::CallbackServerContext* context,
                                     const Request* request, Response* response,
                                     Executor& executor, Method method) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  executor.Post([=, method = std::move(method)]() mutable {
    Reply<Response> reply = [=](absl::StatusOr<Response> result) {
      grpc::Status status = ToGrpc(result.status());
      if (result.ok()) *response = *std::move(result);
      reactor->Finish(status);
    };
    method(*request, std::move(reply));
  });
  return reactor;
}

// Defines `method` of a CallbackService whose messages are named after it:
// calls target.method on `executor_`.
#define MIDWATCH_SERVE_UNARY(method, target)                                  \
  grpc::ServerUnaryReactor* method(grpc::CallbackServerContext* context,      \
                                   const v1::method##Request* request,        \
                                   v1::method##Response* response) override { \
    return ServeUnary(context, request, response, executor_,                  \
                      [this](const auto& r, auto reply) {                     \
                        (target).method(r, std::move(reply));                 \
                      });                                                     \
  }

// A server stream as a sink of the scheduler's: messages wait here in order
// while one is being written, which is all that gRPC allows at a time.
//
// Owned by gRPC until OnDone and by the scheduler as a sink: the shared state
// lives as long as either.
template <typename Response>
class StreamWriter final : public grpc::ServerWriteReactor<Response> {
 public:
  class Sink final : public StreamSink<Response> {
   public:
    explicit Sink(Executor& executor) : executor_(executor) {}

    void Send(Response message, absl::AnyInvocable<void()> written) override {
      MutexLock lock(mutex_);
      if (writer_ == nullptr || finished_) return;
      waiting_.emplace_back(std::move(message), std::move(written));
      if (waiting_.size() == 1) writer_->StartWrite(&waiting_.front().first);
    }

    void Finish(absl::Status status) override {
      MutexLock lock(mutex_);
      if (writer_ == nullptr || finished_) return;
      finished_ = true;
      status_ = ToGrpc(status);
      if (waiting_.empty()) writer_->Finish(status_);
    }

    // A write is over. A failed one ends the stream.
    void Written(bool ok) {
      absl::AnyInvocable<void()> written;
      {
        MutexLock lock(mutex_);
        written = std::move(waiting_.front().second);
        waiting_.pop_front();
        if (!ok) waiting_.clear();
        if (!waiting_.empty()) {
          writer_->StartWrite(&waiting_.front().first);
        } else if (finished_ || !ok) {
          if (!finished_) status_ = grpc::Status::CANCELLED;
          finished_ = true;
          writer_->Finish(status_);
        }
      }
      if (ok) executor_.Post(std::move(written));
    }

    void Cancelled() {
      MutexLock lock(mutex_);
      if (finished_) return;
      finished_ = true;
      status_ = grpc::Status::CANCELLED;
      // With a write under way, its end finishes the stream.
      if (waiting_.empty()) writer_->Finish(status_);
    }

    void Attach(StreamWriter* writer) {
      MutexLock lock(mutex_);
      writer_ = writer;
    }

   private:
    Executor& executor_;
    Mutex mutex_;
    StreamWriter* writer_ ABSL_GUARDED_BY(mutex_) = nullptr;
    // The first is being written. A deque keeps addresses.
    std::deque<std::pair<Response, absl::AnyInvocable<void()>>> waiting_
        ABSL_GUARDED_BY(mutex_);
    bool finished_ ABSL_GUARDED_BY(mutex_) = false;
    grpc::Status status_ ABSL_GUARDED_BY(mutex_);
  };

  // `open` is called on `executor` with the sink, `lost` once the stream is
  // over, whoever ended it.
  template <typename Open, typename Lost>
  static grpc::ServerWriteReactor<Response>* Start(Executor& executor,
                                                   Open open, Lost lost) {
    auto* writer = new StreamWriter(executor);
    writer->lost_ = [&executor, lost, sink = writer->sink_] {
      executor.Post([lost, sink] { lost(sink.get()); });
    };
    executor.Post([open = std::move(open), sink = writer->sink_]() mutable {
      open(sink);
    });
    return writer;
  }

  void OnWriteDone(bool ok) override { sink_->Written(ok); }
  void OnCancel() override { sink_->Cancelled(); }
  void OnDone() override {
    sink_->Attach(nullptr);
    lost_();
    delete this;
  }

 private:
  explicit StreamWriter(Executor& executor)
      : sink_(std::make_shared<Sink>(executor)) {
    sink_->Attach(this);
  }

  std::shared_ptr<Sink> sink_;
  absl::AnyInvocable<void()> lost_;
};

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_GRPC_UNARY_H_
