#ifndef MIDWATCH_BASE_END_PROCESS_H_
#define MIDWATCH_BASE_END_PROCESS_H_

#include <functional>

#include "absl/strings/string_view.h"

namespace midwatch {

// Ends the process where going on could do harm, without a destructor and with
// a line in the log that says why: the next start begins from what is durable.
[[noreturn]] void EndProcess(absl::string_view why);

// Called instead, and does not return either: the simulator's nodes are not
// processes. Empty restores the rule.
void SetEndProcess(std::function<void(absl::string_view why)> handler);

}  // namespace midwatch

#endif  // MIDWATCH_BASE_END_PROCESS_H_
