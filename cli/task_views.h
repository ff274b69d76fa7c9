// Tasks as people read them.
#ifndef MIDWATCH_CLI_TASK_VIEWS_H_
#define MIDWATCH_CLI_TASK_VIEWS_H_

#include <string>
#include <vector>

#include "midwatch/v1/task.pb.h"
#include "midwatch/v1/task_service.pb.h"

namespace midwatch::cli {

// A task in one line: the first line of what the agent said last, or why there
// is nothing. Without control characters.
std::string ResultLine(const v1::Task& task);

std::string TaskTable(const std::vector<v1::Task>& tasks, int width);
// All that is known of one, a line each.
std::string TaskDetails(const v1::Task& task, int width);
// Why it waits, and about when it starts: a line each.
std::string WhyText(const v1::ExplainTaskResponse& why);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_TASK_VIEWS_H_
