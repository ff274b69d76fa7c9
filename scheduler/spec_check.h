// What a task's spec may hold.
#ifndef MIDWATCH_SCHEDULER_SPEC_CHECK_H_
#define MIDWATCH_SCHEDULER_SPEC_CHECK_H_

#include <string>

#include "absl/strings/string_view.h"
#include "midwatch/v1/task.pb.h"
#include "scheduler/rich_error.h"

namespace midwatch {

inline constexpr size_t kPromptBytesMax = 12 << 20;

// Bounds, and defaults filled in where they are numbers. What has parameters is
// left to CheckFilledIn. Fields are named "spec.".
void CheckSpec(v1::TaskSpec& spec, FieldViolations& wrong);

// What the line has in place of the spec's, which is checked already. Fields
// are the line's.
void CheckOwnSpec(const v1::TaskSpec& spec, const v1::TaskLine& line,
                  FieldViolations& wrong);

// What a line's parameters make of `spec`. Names the line's field "parameters".
void CheckFilledIn(const v1::TaskSpec& spec, const v1::TaskSpec& filled,
                   FieldViolations& wrong);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_SPEC_CHECK_H_
