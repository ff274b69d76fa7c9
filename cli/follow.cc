#include "cli/follow.h"

#include <grpc/support/time.h>
#include <grpcpp/completion_queue.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "cli/event_words.h"

namespace midwatch::cli {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);
constexpr absl::Duration kAskEvery = absl::Milliseconds(500);
constexpr absl::Duration kAnswerWithin = absl::Seconds(10);
constexpr size_t kAskedMax = 100;  // ListLastEventsRequest.task_ids
constexpr int kKnownMax = 200;

// Asks now and then what the tasks that are shown did last, one call at a time,
// and never waits: a slow scheduler makes an old view, not a dead one.
class LastEvents {
 public:
  LastEvents(SchedulerConnection& scheduler, const Clock& clock)
      : scheduler_(scheduler), clock_(clock), ask_at_(clock.Steady()) {}
  ~LastEvents() {
    if (call_ != nullptr) call_->context.TryCancel();
    queue_.Shutdown();
    void* tag;
    bool ok;
    while (queue_.Next(&tag, &ok)) {
    }
  }

  void Poll(Progress& progress) {
    if (call_ != nullptr) Take(progress);
    if (call_ == nullptr && clock_.Steady() >= ask_at_) Ask(progress);
  }

 private:
  struct Call {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::ListLastEventsResponse>>
        reader;
    v1::ListLastEventsResponse response;
    grpc::Status status;
  };

  void Ask(const Progress& progress) {
    v1::ListLastEventsRequest request;
    std::vector<std::string> ids = progress.ShownTasks();
    ids.resize(std::min(ids.size(), kAskedMax));
    for (std::string& id : ids) request.add_task_ids(std::move(id));
    ask_at_ = clock_.Steady() + kAskEvery;
    if (request.task_ids().empty()) return;
    call_ = std::make_unique<Call>();
    SetTimeout(call_->context, kAnswerWithin);
    call_->reader = scheduler_.tasks().AsyncListLastEvents(&call_->context,
                                                           request, &queue_);
    call_->reader->Finish(&call_->response, &call_->status, this);
  }

  // A failure is the watch's to tell.
  void Take(Progress& progress) {
    void* tag;
    bool ok;
    if (queue_.AsyncNext(&tag, &ok, gpr_time_0(GPR_CLOCK_MONOTONIC)) !=
        grpc::CompletionQueue::GOT_EVENT) {
      return;
    }
    for (const v1::LastEvents& last : call_->response.tasks()) {
      // The newest that says something.
      for (int i = last.events_size() - 1; i >= 0; --i) {
        const std::string words = EventInWords(last.events(i).json());
        if (words.empty()) continue;
        progress.SetDoing(last.task_id(), words);
        break;
      }
    }
    call_.reset();
  }

  SchedulerConnection& scheduler_;
  const Clock& clock_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<Call> call_;
  absl::Duration ask_at_;
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
  LastEvents last_events(scheduler, clock);
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
    if (progress.is_live()) last_events.Poll(progress);
    progress.Tick();
  }
  return absl::OkStatus();
}

}  // namespace midwatch::cli
