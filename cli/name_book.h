#ifndef MIDWATCH_CLI_NAME_BOOK_H_
#define MIDWATCH_CLI_NAME_BOOK_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace midwatch::cli {

// Whether names, of any number of lines, differ, and whether each that is
// needed is one of an earlier line. Names are known by hashes. At most
// `held_max` entries are in memory: the others wait, sorted, in a temporary
// file without a name.
class NameBook {
 public:
  static constexpr size_t kHeldMax = 1 << 20;

  explicit NameBook(size_t held_max = kHeldMax) : held_max_(held_max) {}

  // In any order.
  //   kFailedPrecondition  the temporary file could not be written; says why
  absl::Status AddName(uint64_t hash, int64_t line);
  absl::Status AddNeed(uint64_t hash, int64_t line);

  // The least `max` hashes of names that come twice, or that are needed by a
  // line before which they do not come; ascending. Once, after the last Add.
  // Errors as above.
  absl::StatusOr<std::vector<uint64_t>> FindWrong(size_t max);

 private:
  // What a line needs is sorted before what it is called.
  struct Entry {
    uint64_t hash = 0;
    int64_t line = 0;
    bool is_name = false;

    friend auto operator<=>(const Entry&, const Entry&) = default;
  };
  struct Run;

  absl::Status Add(const Entry& entry);
  // Sorts what is held and appends it to the file.
  absl::Status PutAway();

  const size_t held_max_;
  std::vector<Entry> held_;
  std::vector<size_t> runs_;  // how many entries each run in the file has
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_{nullptr, std::fclose};
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_NAME_BOOK_H_
