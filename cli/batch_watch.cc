#include "cli/batch_watch.h"

#include <grpc/support/time.h>

#include <algorithm>
#include <utility>

namespace midwatch::cli {
namespace {

constexpr absl::Duration kBetweenStreams = absl::Seconds(1);
constexpr absl::Duration kGiveUpAfter = absl::Minutes(1);

gpr_timespec DeadlineAfter(absl::Duration timeout) {
  const int64_t millis =
      std::max<int64_t>(0, absl::ToInt64Milliseconds(timeout));
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_millis(millis, GPR_TIMESPAN));
}

}  // namespace

struct BatchWatch::Stream {
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientAsyncReader<v1::WatchBatchResponse>> reader;
  v1::WatchBatchResponse message;
  grpc::Status status;
};

BatchWatch::BatchWatch(SchedulerConnection& scheduler, const Clock& clock,
                       const std::string& batch_id, int64_t resume_token)
    : scheduler_(scheduler),
      clock_(clock),
      from_beginning_(resume_token == kFromBeginning),
      begin_at_(clock.Steady()) {
  request_.set_batch_id(batch_id);
  request_.set_resume_token(resume_token);
}

BatchWatch::~BatchWatch() {
  if (stream_ != nullptr) stream_->context.TryCancel();
  queue_.Shutdown();
  void* tag;
  bool ok;
  while (queue_.Next(&tag, &ok)) {
  }
}

void BatchWatch::Begin() {
  stream_ = std::make_unique<Stream>();
  stream_->reader = scheduler_.batches().AsyncWatchBatch(
      &stream_->context, request_, &queue_, this);
  step_ = Step::kStart;
}

absl::StatusOr<std::optional<v1::WatchBatchResponse>> BatchWatch::Next(
    absl::Duration timeout) {
  const absl::Duration until = clock_.Steady() + timeout;
  std::optional<v1::WatchBatchResponse> message;
  while (!ended_ && !message) {
    absl::Duration wait = until - clock_.Steady();
    if (step_ == Step::kNone) {
      if (clock_.Steady() >= begin_at_) Begin();
      wait = std::min(wait, begin_at_ - clock_.Steady());
    }
    void* tag;
    bool ok = false;
    if (queue_.AsyncNext(&tag, &ok, DeadlineAfter(wait)) ==
        grpc::CompletionQueue::GOT_EVENT) {
      if (absl::Status status = OnStep(ok, message); !status.ok()) {
        return status;
      }
    } else if (clock_.Steady() >= until) {
      break;
    }
  }
  return message;
}

std::optional<absl::Duration> BatchWatch::lost_for() const {
  if (!lost_since_) return std::nullopt;
  return clock_.Steady() - *lost_since_;
}

absl::Status BatchWatch::OnStep(
    bool ok, std::optional<v1::WatchBatchResponse>& message) {
  if (step_ == Step::kFinish) return OnFinish();
  if (!ok) {
    step_ = Step::kFinish;
    stream_->reader->Finish(&stream_->status, this);
    return absl::OkStatus();
  }
  if (step_ == Step::kRead) {
    lost_since_.reset();
    message = std::move(stream_->message);
    request_.set_resume_token(
        std::max(request_.resume_token(), message->resume_token()));
  }
  step_ = Step::kRead;
  stream_->reader->Read(&stream_->message, this);
  return absl::OkStatus();
}

absl::Status BatchWatch::OnFinish() {
  absl::Status status = AnswerFromGrpc(stream_->status, "WatchBatch");
  stream_.reset();
  step_ = Step::kNone;
  if (status.ok()) {
    ended_ = true;
    return status;
  }
  // A scheduler that stops cancels its streams.
  if (!absl::IsUnavailable(status) && !absl::IsCancelled(status)) return status;
  const absl::Duration now = clock_.Steady();
  if (!lost_since_) lost_since_ = now;
  if (now - *lost_since_ >= kGiveUpAfter) return status;
  begin_at_ = now + kBetweenStreams;
  return absl::OkStatus();
}

}  // namespace midwatch::cli
