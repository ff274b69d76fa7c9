// The words of the API's enums.
#ifndef MIDWATCH_CLI_STATE_NAMES_H_
#define MIDWATCH_CLI_STATE_NAMES_H_

#include <string>

#include "midwatch/v1/account_service.pb.h"
#include "midwatch/v1/batch_service.pb.h"
#include "midwatch/v1/task.pb.h"
#include "midwatch/v1/task_service.pb.h"

namespace midwatch::cli {

// "succeeded", "queued"; "open", "done"; "service", "spend cap".
std::string NameOf(v1::TaskState state);
std::string NameOf(v1::BatchState state);
std::string NameOf(v1::FailureClass failure_class);
// "open", "paused", "refused", "at its spend cap".
std::string NameOf(v1::AccountState state);
std::string NameOf(v1::RequestClass request_class);
std::string NameOf(v1::WaitReason reason);
// TASK_STATE_UNSPECIFIED where there is none of that name.
v1::TaskState TaskStateNamed(const std::string& name);
// BATCH_STATE_UNSPECIFIED likewise.
v1::BatchState BatchStateNamed(const std::string& name);

bool IsFinal(v1::TaskState state);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_STATE_NAMES_H_
