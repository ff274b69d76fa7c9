#include "cli/submit.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/fault_points.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "cli/counts.h"
#include "cli/shell_words.h"

namespace midwatch::cli {
namespace {

constexpr int kChunkLinesMax = 1000;
constexpr size_t kChunkBytesMax = 4 << 20;
constexpr int kChunkNeedsMax = 20'000;
constexpr int kConnectionsMax = 10;
constexpr absl::Duration kResubmitTimeout = absl::Seconds(30);
// Old unfinished batches of one name beyond these are not looked at.
constexpr int kCandidatesMax = 100;
constexpr int kRequestIdBytes = 16;

// One connection's worth of submitting: each step is answered before the next
// is sent.
class Submission {
 public:
  Submission(SchedulerConnection& scheduler, const std::string& request_id)
      : request_id_(request_id),
        stream_(scheduler.batches().SubmitBatch(&context_)) {}
  ~Submission() {
    if (stream_ == nullptr) return;
    context_.TryCancel();
    stream_->Finish();
  }

  absl::StatusOr<v1::SubmitBatchResponse> Send(v1::SubmitBatchRequest request) {
    request.set_request_id(request_id_);
    v1::SubmitBatchResponse response;
    if (stream_->Write(request) && stream_->Read(&response)) {
      FaultPoint("client.submit.after");
      return response;
    }
    const absl::Status status = AnswerFromGrpc(
        std::exchange(stream_, nullptr)->Finish(), "SubmitBatch");
    if (!status.ok()) return status;
    return absl::UnavailableError("the scheduler ended the submission");
  }

 private:
  grpc::ClientContext context_;
  const std::string request_id_;
  std::unique_ptr<
      grpc::ClientReaderWriter<v1::SubmitBatchRequest, v1::SubmitBatchResponse>>
      stream_;
};

// The lines from `first` on that go into one message.
absl::StatusOr<v1::SubmitBatchRequest> MakeChunk(const BatchFile& file,
                                                 int64_t first) {
  v1::SubmitBatchRequest request;
  v1::TaskChunk& chunk = *request.mutable_chunk();
  chunk.set_first_line(first);
  if (file.stream != nullptr) {
    ASSIGN_OR_RETURN(std::vector<v1::TaskLine> tasks,
                     file.stream->Read(first, kChunkLinesMax, kChunkBytesMax));
    for (v1::TaskLine& task : tasks) *chunk.add_lines() = std::move(task);
    return request;
  }
  const std::vector<v1::TaskLine>& lines = file.lines;
  size_t bytes = 0;
  int needs = 0;
  for (size_t i = static_cast<size_t>(first); i < lines.size(); ++i) {
    bytes += lines[i].ByteSizeLong();
    needs += lines[i].needs_size();
    const bool full = chunk.lines_size() == kChunkLinesMax ||
                      (chunk.lines_size() > 0 &&
                       (bytes > kChunkBytesMax || needs > kChunkNeedsMax));
    if (full) break;
    *chunk.add_lines() = lines[i];
  }
  return request;
}

// Tasks of a batch run before the last of them is there.
absl::Status WithBegun(const GlobalOptions& global, const absl::Status& why,
                       const v1::SubmitBatchResponse& answer) {
  return absl::Status(
      why.code(),
      absl::StrCat(
          why.message(), "; batch ", answer.batch_id(), " holds the first ",
          CountOf(answer.accepted_lines(), "task"), ": `",
          CommandLine(global, absl::StrCat("batch cancel ", answer.batch_id())),
          "` ends what runs"));
}

// Whether the scheduler read the lines and wants none like them.
bool IsRefusal(const absl::Status& status) {
  return absl::IsInvalidArgument(status) || absl::IsNotFound(status) ||
         absl::IsFailedPrecondition(status);
}

// The scheduler counts tasks from 0, and knows no file: of JSONL, whose first
// line is the batch, the line is named, of other files the task stands in the
// message.
absl::Status AtPlace(const BatchFile& file, const absl::Status& why) {
  absl::string_view message = why.message();
  int64_t task = 0;
  const size_t end = message.find(": ");
  if (!absl::ConsumePrefix(&message, "line ") || end == message.npos ||
      !absl::SimpleAtoi(why.message().substr(5, end - 5), &task)) {
    return why;
  }
  return absl::Status(
      why.code(),
      absl::StrCat(file.path,
                   file.stream != nullptr ? absl::StrCat(":", task + 2) : "",
                   ": ", why.message().substr(end + 2)));
}

// A batch whose first lines are refused is none: nobody can go on with it.
absl::Status AfterRefusal(SchedulerConnection& scheduler,
                          const GlobalOptions& global, const absl::Status& why,
                          const v1::SubmitBatchResponse& answer) {
  if (answer.accepted_lines() > 0) return WithBegun(global, why, answer);
  const absl::Status cancelled =
      scheduler.CancelBatch(answer.batch_id(), "its tasks were refused")
          .status();
  if (!cancelled.ok()) {
    return absl::Status(
        why.code(),
        absl::StrCat(why.message(), "; the empty batch ", answer.batch_id(),
                     " is left: ", cancelled.message()));
  }
  // Where a hook has to tell of its end, it stays until that is done.
  v1::DeleteBatchRequest request;
  request.set_batch_id(answer.batch_id());
  request.set_reason("its tasks were refused");
  (void)scheduler.DeleteBatch(request);
  return why;
}

absl::StatusOr<std::string> SubmitOnce(SchedulerConnection& scheduler,
                                       const BatchFile& file,
                                       const GlobalOptions& global,
                                       const std::string& request_id,
                                       absl::FunctionRef<bool()> stop) {
  Submission submission(scheduler, request_id);
  v1::SubmitBatchRequest open;
  *open.mutable_open() = file.open;
  ASSIGN_OR_RETURN(v1::SubmitBatchResponse answer, submission.Send(open));
  while (answer.accepted_lines() < file.tasks()) {
    if (stop()) return absl::CancelledError("interrupted");
    const int64_t before = answer.accepted_lines();
    absl::StatusOr<v1::SubmitBatchRequest> chunk = MakeChunk(file, before);
    if (!chunk.ok())
      return AfterRefusal(scheduler, global, chunk.status(), answer);
    absl::StatusOr<v1::SubmitBatchResponse> taken =
        submission.Send(*std::move(chunk));
    if (IsRefusal(taken.status())) {
      return AfterRefusal(scheduler, global, AtPlace(file, taken.status()),
                          answer);
    }
    RETURN_IF_ERROR(taken.status());
    answer = *std::move(taken);
    if (answer.accepted_lines() <= before) {
      return absl::InternalError("the scheduler took no line of a chunk");
    }
  }
  v1::SubmitBatchRequest seal;
  seal.mutable_seal()->set_lines(file.tasks());
  ASSIGN_OR_RETURN(answer, submission.Send(seal));
  return answer.batch_id();
}

// The request id of the batch that is continued, or "".
absl::StatusOr<std::string> FindBegun(SchedulerConnection& scheduler,
                                      const BatchFile& file,
                                      const std::string& begun) {
  const v1::OpenBatch& open = file.open;
  ASSIGN_OR_RETURN(std::vector<v1::Batch> batches,
                   scheduler.ListBatches(open.name(), kCandidatesMax));
  for (const v1::Batch& batch : batches) {
    if (!begun.empty() && batch.request_id() == begun &&
        batch.state() == v1::BATCH_STATE_DONE &&
        batch.counts().cancelled() == 0 &&
        // One that was cancelled before all of its lines were there takes no
        // more.
        TotalOf(batch.counts()) == file.tasks()) {
      return begun;
    }
  }
  const std::string account =
      open.account().empty() ? "default" : open.account();
  for (const v1::Batch& batch : batches) {
    const bool unfinished = batch.state() == v1::BATCH_STATE_OPEN ||
                            batch.state() == v1::BATCH_STATE_SEALED;
    if (unfinished && batch.content_sha256() == open.content_sha256() &&
        batch.account() == account) {
      return batch.request_id();
    }
  }
  return "";
}

}  // namespace

absl::StatusOr<Submitted> SubmitBatch(SchedulerConnection& scheduler,
                                      const BatchFile& file,
                                      const SubmitRules& rules,
                                      absl::FunctionRef<bool()> stop) {
  std::string request_id;
  if (!rules.always_new) {
    ASSIGN_OR_RETURN(request_id, FindBegun(scheduler, file, rules.begun));
  }
  Submitted submitted;
  submitted.continued = !request_id.empty();
  if (request_id.empty()) request_id = RealRandom().Hex(kRequestIdBytes);
  if (rules.on_request_id) RETURN_IF_ERROR(rules.on_request_id(request_id));

  for (int connection = 1;; ++connection) {
    absl::Status status = scheduler.UploadMissing(file.input_paths, stop);
    if (status.ok()) {
      absl::StatusOr<std::string> batch_id =
          SubmitOnce(scheduler, file, rules.global, request_id, stop);
      status = batch_id.status();
      if (status.ok()) {
        submitted.batch_id = *std::move(batch_id);
        return submitted;
      }
    }
    if (!absl::IsUnavailable(status) || connection == kConnectionsMax ||
        !scheduler.WaitUntilConnected(kResubmitTimeout)) {
      return status;
    }
  }
}

}  // namespace midwatch::cli
