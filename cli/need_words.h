// What batch files call the tasks that others need, in whichever form.
#ifndef MIDWATCH_CLI_NEED_WORDS_H_
#define MIDWATCH_CLI_NEED_WORDS_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "midwatch/v1/task.pb.h"

namespace midwatch::cli {

inline constexpr size_t kTaskNeedsMax = 100;
inline constexpr char kAllTasks[] = "all";

// What inputs call it.
std::string NeedLabel(const v1::Need& need);
bool IsNeeded(const v1::TaskLine& task, absl::string_view label);

// What parameters that are messages of tasks begin with.
inline constexpr char kOfTasks[] = "tasks.";
// Whether `name` is the message of something that the task needs, as prompts
// name it: "tasks.NAME.message", "tasks.all.messages".
bool IsMessageOfNeed(const v1::TaskLine& task, absl::string_view name);

inline constexpr char kNeedPolicies[] = "skip, run_anyway or fail_batch";
// Of on_need_failure; nothing where it is none of these.
std::optional<v1::NeedPolicy> ReadNeedPolicy(absl::string_view word);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_NEED_WORDS_H_
