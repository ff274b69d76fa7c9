// The scheduler as a worker in the same process sees it: the same messages,
// without gRPC. `midwatch run` and the simulator use it.
#ifndef MIDWATCH_NODE_DIRECT_SCHEDULER_CLIENT_H_
#define MIDWATCH_NODE_DIRECT_SCHEDULER_CLIENT_H_

#include <functional>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "base/executor.h"
#include "worker/scheduler_client.h"

namespace midwatch {

class Scheduler;

// Runs a call on the scheduler's executor. Dropping the call is a lost request,
// as is dropping the scheduler before it has answered: the worker's call then
// ends with kDeadlineExceeded.
using PostToScheduler =
    std::function<void(absl::AnyInvocable<void(Scheduler&)> call)>;

// `executor` is the worker's and outlives the client.
std::unique_ptr<SchedulerClient> MakeDirectSchedulerClient(
    Executor& executor, PostToScheduler post);

}  // namespace midwatch

#endif  // MIDWATCH_NODE_DIRECT_SCHEDULER_CLIENT_H_
