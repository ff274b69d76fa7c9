// Which requests for single tasks came before, and what became of them: so that
// a request that is said again is answered as it was. Kept for some days.
//
// Clients choose request ids at random, and a B-tree that is keyed by them
// would have a page changed, split and written to the log at a place of its own
// by every submit. So a request is appended to `request_log`, which is in the
// order of its tasks, and found by a fingerprint of its id: the newest in
// memory, the others in `request_index`, which some thousands enter together
// and sorted, a few between two groups of writes.
#ifndef MIDWATCH_STORE_REQUEST_BOOK_H_
#define MIDWATCH_STORE_REQUEST_BOOK_H_

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/sqlite.h"
#include "store/group_commit.h"

namespace midwatch {

struct KnownRequest {
  int64_t task = 0;
  std::string hash;  // of what it asked for
};

// Used by the writer's thread alone. What was rolled back needs not be told:
// whatever is in memory is looked up in the log before it counts.
class RequestBook {
 public:
  // So many are in memory, of about 100 bytes each, and as many again while
  // they are filed.
  static constexpr size_t kRecentMax = 32'768;
  // Of them, how many are filed at a time: under a millisecond.
  static constexpr size_t kFiledAtOnce = 512;

  explicit RequestBook(Sqlite& db, size_t recent_max = kRecentMax)
      : db_(db), recent_max_(recent_max) {}

  // Reads what was not filed before the process ended. Once, before all else.
  absl::Status Load();

  // Within a transaction.
  absl::StatusOr<std::optional<KnownRequest>> Find(const std::string& key);
  // REQUIRES: Find does not know it. `day` is of the submit, and rises.
  absl::Status Add(const std::string& key, const std::string& hash,
                   int64_t task, int64_t day);
  // Drops some of the oldest, of days before this one: more than come.
  absl::Status Forget(int64_t before_day);

  // Between two transactions: what files some in one of its own, where there is
  // something to be filed. One that fails (a full disk) is tried again.
  std::optional<WriteOp> NextFiling();

 private:
  struct Entry {
    int64_t day = 0, fingerprint = 0, task = 0;

    friend auto operator<=>(const Entry&, const Entry&) = default;
  };

  void Remember(const Entry& entry);
  absl::StatusOr<std::optional<KnownRequest>> Look(int64_t task,
                                                   const std::string& key);
  // What is filed next: the recent ones, sorted.
  absl::Status BeginFiling();
  absl::Status File(size_t end);
  void Filed(size_t end);

  Sqlite& db_;
  const size_t recent_max_;
  // Those in memory, in the order of their tasks, but for those being filed.
  std::vector<Entry> recent_;
  std::vector<Entry> filing_;
  size_t filed_ = 0;  // of `filing_`
  // Tasks of both by fingerprint.
  std::multimap<int64_t, int64_t> tasks_;
  // Days that request_index has entries of, rising. Some may have none any
  // more.
  std::vector<int64_t> days_;
};

}  // namespace midwatch

#endif  // MIDWATCH_STORE_REQUEST_BOOK_H_
