#ifndef MIDWATCH_CLI_FOLLOW_H_
#define MIDWATCH_CLI_FOLLOW_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/clock.h"
#include "cli/batch_watch.h"
#include "cli/interrupts.h"
#include "cli/progress.h"
#include "cli/scheduler_connection.h"

namespace midwatch::cli {

// Follows a batch until it is done, a signal has come or `on_message` returns
// false, and shows it on the
// way: its changes as `watch` brings them, what the tasks on the screen did
// last, and, where the watch does not begin with the batch, the tasks that ran
// and some of those that had failed. Calls `on_message` with each message.
absl::Status FollowBatch(
    SchedulerConnection& scheduler, const Clock& clock, BatchWatch& watch,
    Interrupts& interrupts, Progress& progress,
    absl::FunctionRef<bool(const v1::WatchBatchResponse&)> on_message);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_FOLLOW_H_
