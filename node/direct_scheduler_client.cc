#include "node/direct_scheduler_client.h"

#include <memory>
#include <optional>
#include <utility>

#include "base/mutex.h"
#include "scheduler/scheduler.h"

namespace midwatch {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(10);
// A lease stream whose scheduler is gone says nothing at all. The carriers of
// real ones notice; this one asks whether the stream is still known.
constexpr absl::Duration kStreamCheckEvery = absl::Seconds(10);

// The worker's executor, for as long as the client lives. The scheduler may
// answer after both are gone.
class Home {
 public:
  explicit Home(Executor& executor) : executor_(&executor) {}

  // Thread-safe.
  void Post(Executor::Task task) {
    MutexLock lock(mutex_);
    if (executor_ != nullptr) executor_->Post(std::move(task));
  }
  void Leave() {
    MutexLock lock(mutex_);
    executor_ = nullptr;
  }

 private:
  Mutex mutex_;
  Executor* executor_ ABSL_GUARDED_BY(mutex_);
};

// What a call ends with: the answer or the timeout, whichever comes first.
// Everything happens on the worker's executor, and the calling coroutine owns
// it: the scheduler's side knows it weakly.
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
// here, and may outlive it.
using StreamMailbox = Mailbox<absl::StatusOr<v1::StreamLeasesResponse>>;

class DirectSink final : public StreamSink<v1::StreamLeasesResponse> {
 public:
  DirectSink(std::shared_ptr<Home> home, std::weak_ptr<StreamMailbox> mailbox)
      : home_(std::move(home)), mailbox_(std::move(mailbox)) {}

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
    home_->Post([mailbox = mailbox_, value = std::move(value)]() mutable {
      if (auto open = mailbox.lock()) open->Push(std::move(value));
    });
  }

  std::shared_ptr<Home> home_;
  std::weak_ptr<StreamMailbox> mailbox_;
};

class DirectLeaseStream final : public LeaseStream {
 public:
  DirectLeaseStream(std::shared_ptr<StreamMailbox> mailbox,
                    std::shared_ptr<DirectSink> sink, PostToScheduler post)
      : mailbox_(std::move(mailbox)),
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
          co_await mailbox_->Pop(kStreamCheckEvery);
      if (next.has_value()) co_return *std::move(next);
      post_([sink = sink_](Scheduler& scheduler) {
        if (scheduler.leases().HasStream(sink.get())) return;
        sink->Finish(absl::UnavailableError("the lease stream is not known"));
      });
    }
  }

  void Close() override { mailbox_->Push(absl::CancelledError("closed")); }

 private:
  std::shared_ptr<StreamMailbox> mailbox_;
  std::shared_ptr<DirectSink> sink_;
  PostToScheduler post_;
};

class DirectSchedulerClient final : public SchedulerClient {
 public:
  DirectSchedulerClient(Executor& executor, PostToScheduler post)
      : executor_(executor),
        home_(std::make_shared<Home>(executor)),
        post_(std::move(post)) {}
  ~DirectSchedulerClient() override { home_->Leave(); }

#define MIDWATCH_CALL(method, target)                          \
  Async<absl::StatusOr<v1::method##Response>> method(          \
      v1::method##Request request) override {                  \
    return Call<v1::method##Response>(                         \
        std::move(request),                                    \
        [](Scheduler& scheduler, const v1::method##Request& r, \
           Reply<v1::method##Response> reply) {                \
          scheduler.target method(r, std::move(reply));        \
        });                                                    \
  }
  MIDWATCH_CALL(RegisterWorker, leases().)
  MIDWATCH_CALL(RenewWorker, leases().)
  MIDWATCH_CALL(AskSlots, rates().)
  MIDWATCH_CALL(BeginCreate, )
  MIDWATCH_CALL(RecordSession, )
  MIDWATCH_CALL(ClearSession, )
  MIDWATCH_CALL(AppendEvents, )
  MIDWATCH_CALL(ReadEvents, )
  MIDWATCH_CALL(Advise, )
  MIDWATCH_CALL(AddAnswer, )
  MIDWATCH_CALL(MarkSaid, )
  MIDWATCH_CALL(Park, )
  MIDWATCH_CALL(Settle, )
  MIDWATCH_CALL(HandBack, )
  MIDWATCH_CALL(FindRemoteIds, )
  MIDWATCH_CALL(RecordRemoteId, )
  MIDWATCH_CALL(LeaseErrands, )
  MIDWATCH_CALL(CompleteErrands, )
  MIDWATCH_CALL(ExplainSessions, )
  MIDWATCH_CALL(CompleteSweep, )
#undef MIDWATCH_CALL

  Async<absl::StatusOr<std::unique_ptr<LeaseStream>>> StreamLeases(
      v1::StreamLeasesRequest request) override {
    auto mailbox = std::make_shared<StreamMailbox>(executor_);
    auto sink = std::make_shared<DirectSink>(home_, mailbox);
    post_([request = std::move(request), sink](Scheduler& scheduler) {
      scheduler.leases().StreamLeases(request, sink);
    });
    std::unique_ptr<LeaseStream> stream =
        std::make_unique<DirectLeaseStream>(mailbox, sink, post_);
    co_return stream;
  }

 private:
  template <typename Response, typename Request, typename Method>
  Async<absl::StatusOr<Response>> Call(Request request, Method method) {
    using Result = absl::StatusOr<Response>;
    using Pending = PendingCall<Response>;
    auto call = std::make_shared<Pending>();
    absl::AnyInvocable<void(absl::AnyInvocable<void(Result)>)> start =
        [this, method, weak = std::weak_ptr<Pending>(call),
         request = std::move(request)](
            absl::AnyInvocable<void(Result)> done) mutable {
          // Everything that ends the call runs on the worker's executor.
          auto end = [this, weak](Result result) {
            if (auto pending = weak.lock()) {
              pending->End(executor_, std::move(result));
            }
          };
          std::shared_ptr<Pending> pending = weak.lock();
          pending->done = std::move(done);
          pending->timer = executor_.After(kCallTimeout, [end] {
            end(absl::DeadlineExceededError("the scheduler does not answer"));
          });
          post_([method, home = home_, end,
                 request = std::move(request)](Scheduler& scheduler) {
            method(scheduler, request, [home, end](Result result) {
              home->Post([end, result = std::move(result)]() mutable {
                end(std::move(result));
              });
            });
          });
        };
    co_return co_await AwaitCallback<Result>(executor_, std::move(start));
  }

  Executor& executor_;
  const std::shared_ptr<Home> home_;
  const PostToScheduler post_;
};

}  // namespace

std::unique_ptr<SchedulerClient> MakeDirectSchedulerClient(
    Executor& executor, PostToScheduler post) {
  return std::make_unique<DirectSchedulerClient>(executor, std::move(post));
}

}  // namespace midwatch
