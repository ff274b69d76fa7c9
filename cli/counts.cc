#include "cli/counts.h"

#include "absl/strings/str_cat.h"

namespace midwatch::cli {

std::string CountOf(int64_t count, absl::string_view what) {
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

int64_t FinalOf(const v1::TaskCounts& counts) {
  return counts.succeeded() + counts.failed() + counts.cancelled() +
         counts.skipped();
}

int64_t TotalOf(const v1::TaskCounts& counts) {
  return FinalOf(counts) + counts.blocked() + counts.queued() +
         counts.running() + counts.waiting() + counts.cancelling();
}

}  // namespace midwatch::cli
