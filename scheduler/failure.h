// Whose fault a failure was: pure functions of what the worker reports.
#ifndef MIDWATCH_SCHEDULER_FAILURE_H_
#define MIDWATCH_SCHEDULER_FAILURE_H_

#include <string>

#include "midwatch/v1/task.pb.h"
#include "midwatch/v1/worker_service.pb.h"

namespace midwatch {

// Judged by operation, status, error_code, retry_status, and the message where
// the service gives no code; never by the status alone. A 429 is judged by its
// code before its retry-after.
v1::FailureClass ClassifyFailure(const v1::Failure& failure);

// UNSPECIFIED where the attempt succeeded.
v1::FailureClass ClassifyEnding(const v1::Ending& ending);

// One line for people on how the attempt ended; "" where it succeeded.
std::string DescribeEnding(const v1::Ending& ending);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_FAILURE_H_
