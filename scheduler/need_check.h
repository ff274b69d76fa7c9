// What a line may say of the tasks that it needs, and of what they leave.
#ifndef MIDWATCH_SCHEDULER_NEED_CHECK_H_
#define MIDWATCH_SCHEDULER_NEED_CHECK_H_

#include <vector>

#include "midwatch/v1/task.pb.h"
#include "scheduler/parameters.h"
#include "scheduler/rich_error.h"
#include "store/writes.h"

namespace midwatch {

enum class LineOf { kBatch, kTaskAlone };

// Bounds of the line's needs and of the inputs that come from them; what the
// store alone can tell (whether there are such tasks) it tells. Fields are the
// line's.
void CheckNeeds(const v1::TaskLine& line, LineOf of, FieldViolations& wrong);

// The line's needs, with those that `spec` (the line's own things in it) wants
// the messages of. Adds to `values` an empty value for each of these messages,
// as which they are filled in to see that all other parameters are there.
// Complains of messages of other tasks, and of messages that do not stand in
// the prompt.
// REQUIRES: CheckNeeds had nothing to complain of.
std::vector<NewNeed> ReadNeeds(const v1::TaskSpec& spec,
                               const v1::TaskLine& line, Parameters& values,
                               FieldViolations& wrong);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_NEED_CHECK_H_
