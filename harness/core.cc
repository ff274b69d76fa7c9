#include "harness/core.h"

#include "base/log.h"

namespace midwatch::harness {

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
