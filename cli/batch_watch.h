#ifndef MIDWATCH_CLI_BATCH_WATCH_H_
#define MIDWATCH_CLI_BATCH_WATCH_H_

#include <grpcpp/completion_queue.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "cli/scheduler_connection.h"

namespace midwatch::cli {

// A batch's changes as they commit, over as many streams as that takes. Used on
// one thread.
class BatchWatch {
 public:
  // A resume token that comes before every change.
  static constexpr int64_t kFromBeginning = 1;
  static constexpr int64_t kFromNow = 0;

  // `scheduler` and `clock` outlive the watch.
  BatchWatch(SchedulerConnection& scheduler, const Clock& clock,
             const std::string& batch_id, int64_t resume_token);
  ~BatchWatch();

  // The next message, or nothing where `timeout` has passed without one.
  //   kUnavailable  the scheduler has been out of reach for a minute
  absl::StatusOr<std::optional<v1::WatchBatchResponse>> Next(
      absl::Duration timeout);

  // The batch is done, and every change was returned.
  bool ended() const { return ended_; }

  // Its first message came before every change.
  bool from_beginning() const { return from_beginning_; }

  // How long the scheduler has been out of reach; unset while it is not.
  std::optional<absl::Duration> lost_for() const;

 private:
  struct Stream;
  // What the stream under way waits for.
  enum class Step { kNone, kStart, kRead, kFinish };

  void Begin();
  absl::Status OnStep(bool ok, std::optional<v1::WatchBatchResponse>& message);
  absl::Status OnFinish();

  SchedulerConnection& scheduler_;
  const Clock& clock_;
  const bool from_beginning_;
  v1::WatchBatchRequest request_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<Stream> stream_;
  Step step_ = Step::kNone;
  bool ended_ = false;
  absl::Duration begin_at_;  // on the steady clock
  std::optional<absl::Duration> lost_since_;
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_BATCH_WATCH_H_
