// When tasks that need others go on: looked at one after the other, in the
// order of their submission. Not in it: tasks of other batches, and needs that
// cancel a batch.
#ifndef MIDWATCH_TESTS_CONTRACT_NEED_MODEL_H_
#define MIDWATCH_TESTS_CONTRACT_NEED_MODEL_H_

#include <algorithm>
#include <vector>

#include "absl/time/time.h"
#include "midwatch/v1/task.pb.h"

namespace midwatch::testing {

// What `task`, one of `tasks`, needs stands in these states: of tasks before it
// in its batch.
template <typename Task>
std::vector<v1::TaskState> StatesOfNeeds(const std::vector<Task>& tasks,
                                         const Task& task) {
  std::vector<v1::TaskState> states;
  for (const Task& other : tasks) {
    if (&other == &task) break;
    const bool needed =
        std::ranges::any_of(task.is.line.needs(), [&](const v1::Need& need) {
          return need.all_earlier() || need.name() == other.is.line.name();
        });
    if (needed && other.batch == task.batch) states.push_back(other.state);
  }
  return states;
}

// What is skipped, others need.
template <typename Task>
void LookAtNeeds(std::vector<Task>& tasks, absl::Time now) {
  for (Task& task : tasks) {
    if (task.state != v1::TASK_STATE_BLOCKED) continue;
    bool open = false, bad = false;
    for (v1::TaskState state : StatesOfNeeds(tasks, task)) {
      open |= state < v1::TASK_STATE_SUCCEEDED;
      bad |= state > v1::TASK_STATE_SUCCEEDED;
    }
    const bool anyway =
        task.is.line.on_need_failure() == v1::NEED_POLICY_RUN_ANYWAY;
    if (bad && !anyway) {
      task.state = v1::TASK_STATE_SKIPPED;
    } else if (!open) {
      task.state = v1::TASK_STATE_QUEUED;
      task.ready_at = now;
    }
  }
}

}  // namespace midwatch::testing

#endif  // MIDWATCH_TESTS_CONTRACT_NEED_MODEL_H_
