// How many tasks, in all and in words.
#ifndef MIDWATCH_CLI_COUNTS_H_
#define MIDWATCH_CLI_COUNTS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "midwatch/v1/batch_service.pb.h"

namespace midwatch::cli {

// "1 task", "24 tasks".
std::string CountOf(int64_t count, absl::string_view what);

// How many tasks in all, and how many of them are final.
int64_t TotalOf(const v1::TaskCounts& counts);
int64_t FinalOf(const v1::TaskCounts& counts);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_COUNTS_H_
