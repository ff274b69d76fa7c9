// Paging (managed-agents-api.md section 1.4): every list is ordered by a time
// that no two rows share, so a cursor is a time and a direction.
#ifndef MIDWATCH_HARNESS_PAGE_H_
#define MIDWATCH_HARNESS_PAGE_H_

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "harness/json.h"

namespace midwatch::harness {

using QueryParams = std::vector<std::pair<std::string, std::string>>;

// Which rows of a list are wanted: times strictly between `after` and `before`,
// the first `limit` in the order of reading.
struct PageQuery {
  int64_t after = std::numeric_limits<int64_t>::min();
  int64_t before = std::numeric_limits<int64_t>::max();
  int64_t limit = 20;
  bool newest_first = true;  // the list's order
  bool backwards = false;    // a previous page: read against the order
  bool has_cursor = false;
  bool has_time_filter = false;
  // Set where the cursor stands among rows that have no time yet: the order
  // number of the last one shown (the event list only).
  int64_t untimed_after = 0;

  // The direction in which the database is read.
  bool descending() const { return newest_first != backwards; }
};

struct PageRules {
  int64_t default_limit = 20;
  int64_t max_limit = 100;
  bool newest_first = true;  // without an `order` parameter
  bool may_order = false;    // whether `order` is a parameter of this list
};

// From `limit`, `page`, `order` and `created_at[gt|gte|lt|lte]`.
//   kInvalidArgument  a value that is none, or a cursor that belongs to another
//                     order or lies outside of the time filter
absl::StatusOr<PageQuery> ParsePageQuery(const QueryParams& query,
                                         const PageRules& rules);

// The cursor that continues after a row of this time; with `backwards`, the one
// that shows what came before it.
std::string MakeCursor(const PageQuery& page, int64_t time,
                       bool backwards = false);
std::string MakeUntimedCursor(const PageQuery& page, int64_t number);

// The answer from up to limit + 1 rows, as the database gave them: data in the
// list's order, next_page, and with `with_previous` prev_page.
Json MakePage(const PageQuery& page, std::vector<std::pair<int64_t, Json>> rows,
              bool with_previous);

// All values of an array parameter: `name[]=a&name[]=b`.
std::vector<std::string> QueryArray(const QueryParams& query,
                                    const std::string& name);
std::string QueryText(const QueryParams& query, const std::string& name);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_PAGE_H_
