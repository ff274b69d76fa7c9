#ifndef MIDWATCH_CLI_DOUBLED_H_
#define MIDWATCH_CLI_DOUBLED_H_

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace midwatch::cli {

// Which of any number of numbers came twice. At most `held_max` are in memory:
// the others wait, sorted, in a temporary file without a name.
class Doubled {
 public:
  static constexpr size_t kHeldMax = 1 << 20;

  explicit Doubled(size_t held_max = kHeldMax) : held_max_(held_max) {}

  // kFailedPrecondition: the temporary file could not be written; says why.
  absl::Status Add(uint64_t number);

  // The least `max` of those that were added more than once, ascending. Once,
  // after the last Add. Errors as above.
  absl::StatusOr<std::vector<uint64_t>> Find(size_t max);

 private:
  // Sorts what is held and appends it to the file.
  absl::Status PutAway();

  const size_t held_max_;
  std::vector<uint64_t> held_;
  std::vector<size_t> runs_;  // how many numbers each run in the file has
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_{nullptr, std::fclose};
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_DOUBLED_H_
