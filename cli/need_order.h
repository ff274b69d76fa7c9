// The order in which the tasks of a batch are submitted: each behind those that
// it needs, since a line may need only what is there before it.
#ifndef MIDWATCH_CLI_NEED_ORDER_H_
#define MIDWATCH_CLI_NEED_ORDER_H_

#include <cstddef>
#include <vector>

namespace midwatch::cli {

struct TaskNeeds {
  std::vector<size_t> tasks;  // by their places
  // Every task that does not need this one, itself or by way of others; and of
  // several such tasks each one before it.
  bool all = false;
};

struct NeedOrder {
  // Places of the tasks: as they stand, but for what has to be later.
  std::vector<size_t> order;
  // Where there is no order: tasks of which each needs the next one, and the
  // last the first.
  std::vector<size_t> circle;
};

NeedOrder OrderByNeeds(const std::vector<TaskNeeds>& tasks);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_NEED_ORDER_H_
