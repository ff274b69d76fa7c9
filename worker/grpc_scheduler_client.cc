#include "worker/grpc_scheduler_client.h"

#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <functional>
#include <utility>

#include "midwatch/v1/worker_service.grpc.pb.h"
#include "worker/grpc_calls.h"

namespace midwatch {
namespace {

using AsyncStub = v1::WorkerService::StubInterface::async_interface;

constexpr absl::Duration kUnaryTimeout = absl::Seconds(10);

// A call's data, until its callback has run.
template <typename Request, typename Response>
struct UnaryCall {
  grpc::ClientContext context;
  Request request;
  Response response;
  absl::AnyInvocable<void(absl::StatusOr<Response>)> done;
};

// Reads one message whenever it is asked to, so a slow worker slows the
// scheduler's stream. A hold keeps gRPC from finishing between two reads.
class LeaseReactor final
    : public grpc::ClientReadReactor<v1::StreamLeasesResponse> {
 public:
  using Result = absl::StatusOr<v1::StreamLeasesResponse>;
  using Done = absl::AnyInvocable<void(Result)>;

  static std::shared_ptr<LeaseReactor> Start(AsyncStub& stub,
                                             v1::StreamLeasesRequest request,
                                             GrpcCalls& calls) {
    auto reactor = std::make_shared<LeaseReactor>(std::move(request), calls);
    reactor->self_ = reactor;
    calls.Begin(reactor->context_);
    stub.StreamLeases(&reactor->context_, &reactor->request_, reactor.get());
    reactor->AddHold();
    reactor->StartCall();
    return reactor;
  }

  LeaseReactor(v1::StreamLeasesRequest request, GrpcCalls& calls)
      : calls_(calls), request_(std::move(request)) {}

  // One at a time.
  void Read(Done done) {
    absl::Status end;
    {
      MutexLock lock(mutex_);
      if (!released_) {
        done_ = std::move(done);
        reading_ = true;
      } else {
        end = end_.ok() ? absl::CancelledError("closed") : end_;
      }
    }
    if (end.ok()) {
      StartRead(&message_);
    } else {
      done(end);  // NOLINT(bugprone-use-after-move): moved where OK
    }
  }

  void Close() {
    context_.TryCancel();
    {
      MutexLock lock(mutex_);
      closed_ = true;
      // A read that is on sees the cancellation and releases the hold itself.
      if (reading_ || released_) return;
      released_ = true;
    }
    RemoveHold();
  }

 private:
  void OnReadDone(bool ok) override {
    Done done;
    {
      MutexLock lock(mutex_);
      reading_ = false;
      if (ok && !closed_) {
        done = std::move(done_);
      } else {
        released_ = true;
      }
    }
    if (done) {
      done(std::move(message_));
    } else {
      RemoveHold();
    }
  }

  void OnDone(const grpc::Status& status) override {
    Done done;
    absl::Status end;
    {
      MutexLock lock(mutex_);
      done = std::move(done_);
      if (closed_) {
        end = absl::CancelledError("the lease stream was closed");
      } else if (status.ok()) {
        end = absl::UnavailableError("the scheduler ended the lease stream");
      } else {
        end = FromGrpc(status, "StreamLeases");
      }
      end_ = end;
    }
    if (done) done(end);
    std::shared_ptr<LeaseReactor> last = std::move(self_);
    calls_.End(context_, [&last] { last.reset(); });
  }

  GrpcCalls& calls_;
  grpc::ClientContext context_;
  const v1::StreamLeasesRequest request_;
  v1::StreamLeasesResponse message_;
  std::shared_ptr<LeaseReactor> self_;  // until OnDone

  Mutex mutex_;
  Done done_ ABSL_GUARDED_BY(mutex_);
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool released_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
};

class GrpcLeaseStream final : public LeaseStream {
 public:
  GrpcLeaseStream(std::shared_ptr<LeaseReactor> reactor, Executor& executor)
      : reactor_(std::move(reactor)), executor_(executor) {}
  ~GrpcLeaseStream() override { reactor_->Close(); }

  Async<LeaseReactor::Result> Next() override {
    absl::AnyInvocable<void(LeaseReactor::Done)> start =
        [reactor = reactor_](LeaseReactor::Done done) {
          reactor->Read(std::move(done));
        };
    co_return co_await AwaitCallback<LeaseReactor::Result>(executor_,
                                                           std::move(start));
  }
  void Close() override { reactor_->Close(); }

 private:
  const std::shared_ptr<LeaseReactor> reactor_;
  Executor& executor_;
};

class GrpcSchedulerClient final : public SchedulerClient {
 public:
  GrpcSchedulerClient(std::shared_ptr<grpc::Channel> channel,
                      Executor& executor)
      : executor_(executor), stub_(v1::WorkerService::NewStub(channel)) {}

#define MIDWATCH_WORKER_CALL(Name)                                          \
  Async<absl::StatusOr<v1::Name##Response>> Name(v1::Name##Request request) \
      override {                                                            \
    return Call<v1::Name##Request, v1::Name##Response>(                     \
        #Name, &AsyncStub::Name, std::move(request));                       \
  }
  MIDWATCH_WORKER_CALL(RegisterWorker)
  MIDWATCH_WORKER_CALL(RenewWorker)
  MIDWATCH_WORKER_CALL(AskSlots)
  MIDWATCH_WORKER_CALL(BeginCreate)
  MIDWATCH_WORKER_CALL(RecordSession)
  MIDWATCH_WORKER_CALL(ClearSession)
  MIDWATCH_WORKER_CALL(AppendEvents)
  MIDWATCH_WORKER_CALL(ReadEvents)
  MIDWATCH_WORKER_CALL(Advise)
  MIDWATCH_WORKER_CALL(AddAnswer)
  MIDWATCH_WORKER_CALL(MarkSaid)
  MIDWATCH_WORKER_CALL(Park)
  MIDWATCH_WORKER_CALL(Settle)
  MIDWATCH_WORKER_CALL(HandBack)
  MIDWATCH_WORKER_CALL(FindRemoteIds)
  MIDWATCH_WORKER_CALL(RecordRemoteId)
  MIDWATCH_WORKER_CALL(LeaseErrands)
  MIDWATCH_WORKER_CALL(CompleteErrands)
  MIDWATCH_WORKER_CALL(ExplainSessions)
  MIDWATCH_WORKER_CALL(CompleteSweep)
#undef MIDWATCH_WORKER_CALL

  // Answers at once: what the scheduler says to it comes with the first Next.
  Async<absl::StatusOr<std::unique_ptr<LeaseStream>>> StreamLeases(
      v1::StreamLeasesRequest request) override {
    std::unique_ptr<LeaseStream> stream = std::make_unique<GrpcLeaseStream>(
        LeaseReactor::Start(*stub_->async(), std::move(request), calls_),
        executor_);
    co_return stream;
  }

 private:
  template <typename Request, typename Response>
  using Method = void (AsyncStub::*)(grpc::ClientContext*, const Request*,
                                     Response*,
                                     std::function<void(grpc::Status)>);

  template <typename Request, typename Response>
  Async<absl::StatusOr<Response>> Call(const char* name,
                                       Method<Request, Response> method,
                                       Request request) {
    using Result = absl::StatusOr<Response>;
    absl::AnyInvocable<void(absl::AnyInvocable<void(Result)>)> start =
        [this, name, method,
         &request](absl::AnyInvocable<void(Result)> done) mutable {
          auto call = std::make_shared<UnaryCall<Request, Response>>();
          call->request = std::move(request);
          call->done = std::move(done);
          SetTimeout(call->context, kUnaryTimeout);
          calls_.Begin(call->context);
          (stub_->async()->*method)(
              &call->context, &call->request, &call->response,
              [this, name, call](grpc::Status status) mutable {
                if (status.ok()) {
                  call->done(std::move(call->response));
                } else {
                  call->done(FromGrpc(status, name));
                }
                calls_.End(call->context, [&call] { call.reset(); });
              });
        };
    co_return co_await AwaitCallback<Result>(executor_, std::move(start));
  }

  Executor& executor_;
  std::unique_ptr<v1::WorkerService::Stub> stub_;
  GrpcCalls calls_;  // last, so that it ends the calls first
};

}  // namespace

std::shared_ptr<grpc::Channel> MakeSchedulerChannel(
    const std::string& address) {
  constexpr int kMessageBytesMax = 64 << 20;
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMessageBytesMax);
  arguments.SetMaxSendMessageSize(kMessageBytesMax);
  // The scheduler is on this machine; a proxy of the environment is for others.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // By default a lost scheduler would be tried again only minutes later.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 2000);
  // A peer that vanished without a word is noticed.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(),
                                   arguments);
}

std::unique_ptr<SchedulerClient> MakeGrpcSchedulerClient(
    std::shared_ptr<grpc::Channel> channel, Executor& executor) {
  return std::make_unique<GrpcSchedulerClient>(std::move(channel), executor);
}

}  // namespace midwatch
