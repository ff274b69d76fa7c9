// The hooks of `midwatch run` that are commands: of the person's own command
// line, never of a batch file.
#ifndef MIDWATCH_CLI_RUN_HOOKS_H_
#define MIDWATCH_CLI_RUN_HOOKS_H_

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "base/blocking_pool.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "cli/commands.h"
#include "midwatch/v1/batch_service.pb.h"

namespace midwatch::cli {

// Runs each at most once, beside all else, with what a webhook's body would be
// on its standard input, MIDWATCH_HOOK (on_finish, ...) and this process's
// whole environment. Nothing is run again: where this process ends first, it
// was not told. Used on one thread.
class RunHooks {
 public:
  static constexpr absl::Duration kTimeout = absl::Minutes(1);

  // `clock` outlives it.
  RunHooks(const Clock& clock, HookCommands commands,
           absl::Duration timeout = kTimeout);
  // Stops what still runs.
  ~RunHooks();

  // Looks at what came of the batch: on_failure, with the batch that comes
  // next, and on_risk.
  void See(const v1::WatchBatchResponse& message);
  // The batch is done.
  void Finish(const v1::Batch& batch);

  // Waits for what runs, for its timeout at most; what still runs when `stop`,
  // which waits a moment, says so is ended. Returns what went wrong, each in a
  // line.
  std::vector<std::string> Await(absl::FunctionRef<bool()> stop);

 private:
  void TellFailure(const v1::Batch& batch);
  void Begin(std::string& command, v1::HookNews news);

  const Clock& clock_;
  const absl::Duration timeout_;
  HookCommands commands_;                  // "" once it was begun
  std::optional<v1::TaskChange> failure_;  // the first
  std::atomic<bool> stop_ = false;
  Mutex mutex_;
  CondVar done_;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> troubles_ ABSL_GUARDED_BY(mutex_);
  ThreadBlockingPool pool_;  // last: its threads use the rest
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_RUN_HOOKS_H_
