#include "node/direct_scheduler_client.h"

#include <optional>
#include <utility>

#include "scheduler/scheduler.h"

namespace midwatch {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(10);
// A lease stream whose scheduler is gone says nothing at all. The carriers of
// real ones notice; this one asks whether the stream is still known.
constexpr absl::Duration kStreamCheckEvery = absl::Seconds(10);

// What a call ends with: the answer or the timeout, whichever comes first.
// Everything happens on the worker's executor.
template <typename Response>
struct PendingCall {
  absl::AnyInvocable<void(absl::StatusOr<Response>)> done;
  Executor::TimerId timer = 0;

  void End(Executor& executor, absl::StatusOr<Response> result) {
    executor.Cancel(std::exchange(timer, 0));
    if (auto once = std::exchange(done, nullptr)) once(std::move(result));
  }
};

// The worker's end of a lease stream. The scheduler's end is a sink that posts
// here, and outlives it.
struct StreamState {
  explicit StreamState(Executor& home) : executor(home), mailbox(home) {}
  Executor& executor;
  Mailbox<absl::StatusOr<v1::StreamLeasesResponse>> mailbox;
};

class DirectSink final : public StreamSink<v1::StreamLeasesResponse> {
 public:
  explicit DirectSink(std::shared_ptr<StreamState> state)
      : state_(std::move(state)) {}

  void Send(v1::StreamLeasesResponse message,
            absl::AnyInvocable<void()> /*written*/) override {
    Push(std::move(message));
  }
  void Finish(absl::Status status) override {
    Push(status.ok() ? absl::UnavailableError("the lease stream ended")
                     : std::move(status));
  }

 private:
  void Push(absl::StatusOr<v1::StreamLeasesResponse> value) {
    state_->executor.Post([state = state_, value = std::move(value)]() mutable {
      state->mailbox.Push(std::move(value));
    });
  }

  std::shared_ptr<StreamState> state_;
};

class DirectLeaseStream final : public LeaseStream {
 public:
  DirectLeaseStream(std::shared_ptr<StreamState> state,
                    std::shared_ptr<DirectSink> sink, PostToScheduler post)
      : state_(std::move(state)),
        sink_(std::move(sink)),
        post_(std::move(post)) {}

  ~DirectLeaseStream() override {
    post_([sink = sink_](Scheduler& scheduler) {
      scheduler.leases().LoseStream(sink.get());
    });
  }

  Async<absl::StatusOr<v1::StreamLeasesResponse>> Next() override {
    while (true) {
      std::optional<absl::StatusOr<v1::StreamLeasesResponse>> next =
          co_await state_->mailbox.Pop(kStreamCheckEvery);
      if (next.has_value()) co_return *std::move(next);
      post_([state = state_, sink = sink_](Scheduler& scheduler) {
        if (scheduler.leases().HasStream(sink.get())) return;
        sink->Finish(absl::UnavailableError("the lease stream is not known"));
      });
    }
  }

  void Close() override {
    state_->mailbox.Push(absl::CancelledError("closed"));
  }

 private:
  std::shared_ptr<StreamState> state_;
  std::shared_ptr<DirectSink> sink_;
  PostToScheduler post_;
};

class DirectSchedulerClient final : public SchedulerClient {
 public:
  DirectSchedulerClient(Executor& executor, PostToScheduler post)
      : executor_(executor), post_(std::move(post)) {}

#define MIDWATCH_CALL(method, target)                                      \
  Async<absl::StatusOr<v1::method##Response>> method(                      \
      v1::method##Request request) override {                              \
    return Call<v1::method##Response>(                                     \
        std::move(request),                                                \
        [](Scheduler& scheduler, const v1::method##Request& r,             \
           Reply<v1::method##Response> reply) {                            \
          scheduler.target method(r, std::move(reply));                    \
        });                                                                \
  }
  MIDWATCH_CALL(RegisterWorker, leases().)
  MIDWATCH_CALL(RenewWorker, leases().)
  MIDWATCH_CALL(BeginCreate, )
  MIDWATCH_CALL(RecordSession, )
  MIDWATCH_CALL(ClearSession, )
  MIDWATCH_CALL(AppendEvents, )
  MIDWATCH_CALL(ReadEvents, )
  MIDWATCH_CALL(Advise, )
  MIDWATCH_CALL(MarkSaid, )
  MIDWATCH_CALL(Settle, )
  MIDWATCH_CALL(HandBack, )
  MIDWATCH_CALL(FindRemoteIds, )
  MIDWATCH_CALL(RecordRemoteId, )
#undef MIDWATCH_CALL

  Async<absl::StatusOr<std::unique_ptr<LeaseStream>>> StreamLeases(
      v1::StreamLeasesRequest request) override {
    auto state = std::make_shared<StreamState>(executor_);
    auto sink = std::make_shared<DirectSink>(state);
    post_([request = std::move(request), sink](Scheduler& scheduler) {
      scheduler.leases().StreamLeases(request, sink);
    });
    std::unique_ptr<LeaseStream> stream =
        std::make_unique<DirectLeaseStream>(state, sink, post_);
    co_return stream;
  }

 private:
  template <typename Response, typename Request, typename Method>
  Async<absl::StatusOr<Response>> Call(Request request, Method method) {
    using Result = absl::StatusOr<Response>;
    absl::AnyInvocable<void(absl::AnyInvocable<void(Result)>)> start =
        [this, method, request = std::move(request)](
            absl::AnyInvocable<void(Result)> done) mutable {
          auto call = std::make_shared<PendingCall<Response>>();
          call->done = std::move(done);
          call->timer = executor_.After(kCallTimeout, [this, call] {
            call->End(executor_, absl::DeadlineExceededError(
                                     "the scheduler does not answer"));
          });
          post_([this, method, call,
                 request = std::move(request)](Scheduler& scheduler) {
            method(scheduler, request, [this, call](Result result) {
              executor_.Post([this, call, result = std::move(result)]() mutable {
                call->End(executor_, std::move(result));
              });
            });
          });
        };
    co_return co_await AwaitCallback<Result>(executor_, std::move(start));
  }

  Executor& executor_;
  PostToScheduler post_;
};

}  // namespace

std::unique_ptr<SchedulerClient> MakeDirectSchedulerClient(
    Executor& executor, PostToScheduler post) {
  return std::make_unique<DirectSchedulerClient>(executor, std::move(post));
}

}  // namespace midwatch
