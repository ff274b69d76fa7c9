#include "scheduler/deleted_sweep.h"

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "base/status_macros.h"
#include "store/database_check.h"

namespace midwatch {
namespace {

// A name's first half: two that share it are kept for each other's sake.
absl::StatusOr<uint64_t> PrefixOf(absl::string_view sha256) {
  uint64_t prefix = 0;
  if (IsArtifactName(sha256) &&
      absl::SimpleHexAtoi(sha256.substr(0, 16), &prefix)) {
    return prefix;
  }
  return absl::DataLossError("a row names an artifact that cannot be one");
}

}  // namespace

absl::StatusOr<int64_t> SweepArtifacts(const std::string& dir,
                                       const ArtifactDirectory& artifacts,
                                       absl::Time now,
                                       const std::function<bool()>& stop,
                                       const std::string& vfs) {
  std::vector<uint64_t> wanted;
  size_t distinct = 0;
  auto want = [&](const std::string& sha256) -> absl::Status {
    if (stop()) return absl::CancelledError("the sweep was given up");
    ASSIGN_OR_RETURN(uint64_t prefix, PrefixOf(sha256));
    wanted.push_back(prefix);
    // Many tasks refer to the same few: as often as the list has doubled.
    if (wanted.size() >= 2 * distinct + 100'000) {
      std::sort(wanted.begin(), wanted.end());
      wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
      distinct = wanted.size();
    }
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(ForEachArtifact(dir, want, vfs));
  std::sort(wanted.begin(), wanted.end());
  return artifacts.RemoveUnused(
      now - kArtifactGrace, [&](absl::string_view sha256) {
        absl::StatusOr<uint64_t> prefix = PrefixOf(sha256);
        return stop() || !prefix.ok() ||
               std::binary_search(wanted.begin(), wanted.end(), *prefix);
      });
}

}  // namespace midwatch
