#include "cli/follow.h"

#include <grpc/support/time.h>
#include <grpcpp/completion_queue.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "cli/event_words.h"

namespace midwatch::cli {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);
constexpr absl::Duration kAskEvery = absl::Milliseconds(500);
constexpr absl::Duration kAskRatesEvery = absl::Seconds(1);
constexpr absl::Duration kAnswerWithin = absl::Seconds(10);
constexpr size_t kAskedMax = 100;  // ListLastEventsRequest.task_ids
constexpr int kKnownMax = 200;

// One question that is asked again and again, one call at a time, and never
// waits: a slow scheduler makes an old view, not a dead one. A failure is the
// watch's to tell.
template <typename Response>
class Question {
 public:
  using Reader = std::unique_ptr<grpc::ClientAsyncResponseReader<Response>>;

  Question(const Clock& clock, absl::Duration every)
      : clock_(clock), every_(every), ask_at_(clock.Steady()) {}
  ~Question() {
    if (call_ != nullptr) call_->context.TryCancel();
    queue_.Shutdown();
    void* tag;
    bool ok;
    while (queue_.Next(&tag, &ok)) {
    }
  }
  Question(const Question&) = delete;
  Question& operator=(const Question&) = delete;

  // Whether it is time to ask.
  bool IsDue() const { return call_ == nullptr && clock_.Steady() >= ask_at_; }

  // `start(context, queue)` begins the call and returns its reader.
  template <typename Start>
  void Ask(Start start) {
    ask_at_ = clock_.Steady() + every_;
    call_ = std::make_unique<Call>();
    SetTimeout(call_->context, kAnswerWithin);
    call_->reader = start(&call_->context, &queue_);
    call_->reader->Finish(&call_->response, &call_->status, this);
  }

  // The answer, once it has come.
  std::optional<Response> Take() {
    void* tag;
    bool ok;
    if (call_ == nullptr ||
        queue_.AsyncNext(&tag, &ok, gpr_time_0(GPR_CLOCK_MONOTONIC)) !=
            grpc::CompletionQueue::GOT_EVENT) {
      return std::nullopt;
    }
    std::unique_ptr<Call> call = std::move(call_);
    if (!call->status.ok()) return std::nullopt;
    return std::move(call->response);
  }

 private:
  struct Call {
    grpc::ClientContext context;
    Reader reader;
    Response response;
    grpc::Status status;
  };

  const Clock& clock_;
  const absl::Duration every_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<Call> call_;
  absl::Duration ask_at_;
};

// What the view shows beside what the watch brings: what the tasks did last,
// and how the account's rates stand.
class Details {
 public:
  Details(SchedulerConnection& scheduler, const Clock& clock)
      : scheduler_(scheduler),
        events_(clock, kAskEvery),
        rates_(clock, kAskRatesEvery) {}

  void Poll(Progress& progress) {
    PollEvents(progress);
    PollRates(progress);
  }

 private:
  void PollEvents(Progress& progress) {
    if (auto answer = events_.Take()) {
      for (const v1::LastEvents& last : answer->tasks()) {
        SetDoing(last, progress);
      }
    }
    if (!events_.IsDue()) return;
    v1::ListLastEventsRequest request;
    std::vector<std::string> ids = progress.ShownTasks();
    ids.resize(std::min(ids.size(), kAskedMax));
    for (std::string& id : ids) request.add_task_ids(std::move(id));
    if (request.task_ids().empty()) return;
    events_.Ask([&](auto* context, auto* queue) {
      return scheduler_.tasks().AsyncListLastEvents(context, request, queue);
    });
  }

  void PollRates(Progress& progress) {
    if (auto answer = rates_.Take()) progress.SetAccount(answer->account());
    if (!rates_.IsDue() || progress.batch().account().empty()) return;
    v1::GetAccountRequest request;
    request.set_name(progress.batch().account());
    rates_.Ask([&](auto* context, auto* queue) {
      return scheduler_.accounts().AsyncGetAccount(context, request, queue);
    });
  }

  // The newest that says something.
  static void SetDoing(const v1::LastEvents& last, Progress& progress) {
    for (int i = last.events_size() - 1; i >= 0; --i) {
      const std::string words = EventInWords(last.events(i).json());
      if (words.empty()) continue;
      progress.SetDoing(last.task_id(), words);
      return;
    }
  }

  SchedulerConnection& scheduler_;
  Question<v1::ListLastEventsResponse> events_;
  Question<v1::GetAccountResponse> rates_;
};

// Tells `progress` what was going on before it came: two short lists, however
// large the batch is.
absl::Status CatchUp(SchedulerConnection& scheduler,
                     const std::string& batch_id, Progress& progress) {
  for (v1::TaskState state : {v1::TASK_STATE_RUNNING, v1::TASK_STATE_FAILED}) {
    int left = kKnownMax;
    absl::Status listed =
        scheduler.ForEachTask(batch_id, {state}, [&](const v1::Task& task) {
          progress.AddKnown(task);
          return --left > 0 ? absl::OkStatus() : absl::CancelledError("enough");
        });
    if (!listed.ok() && left > 0) return listed;
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status FollowBatch(
    SchedulerConnection& scheduler, const Clock& clock, BatchWatch& watch,
    Interrupts& interrupts, Progress& progress,
    absl::FunctionRef<bool(const v1::WatchBatchResponse&)> on_message) {
  Details details(scheduler, clock);
  bool caught_up = watch.from_beginning() || !progress.is_live();
  while (!watch.ended() && !interrupts.requested()) {
    ASSIGN_OR_RETURN(std::optional<v1::WatchBatchResponse> message,
                     watch.Next(kTick));
    if (message) {
      progress.Add(*message);
      if (!on_message(*message)) return absl::OkStatus();
      // After the first message, so that what changes meanwhile comes after it.
      if (!caught_up) {
        caught_up = true;
        RETURN_IF_ERROR(
            CatchUp(scheduler, message->batch().batch_id(), progress));
      }
    }
    progress.SetLostFor(watch.lost_for());
    if (progress.is_live()) details.Poll(progress);
    progress.Tick();
  }
  return absl::OkStatus();
}

}  // namespace midwatch::cli
