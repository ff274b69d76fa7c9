#include "harness/core.h"

#include "base/log.h"
#include "base/status_macros.h"

namespace midwatch::harness {

absl::StatusOr<bool> Core::AtSpendCap() {
  if (!options.spend_cap_usd_micros) return false;
  ASSIGN_OR_RETURN(int64_t cost, sessions.TotalCostUsdMicros());
  return cost >= *options.spend_cap_usd_micros;
}

void Core::RemoveLater(std::vector<std::string> paths) {
  if (paths.empty()) return;
  pool.Run([paths = std::move(paths)] {
    for (const std::string& path : paths) {
      absl::Status status = RemoveTree(path);
      if (!status.ok()) {
        LogWarning("left behind", {{"error", status.ToString()}});
      }
    }
  });
}

}  // namespace midwatch::harness
