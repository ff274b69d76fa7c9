#include "harness/page.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "base/status_macros.h"
#include "harness/api_error.h"

namespace midwatch::harness {
namespace {

// One of `created_at[gt]`, `[gte]`, `[lt]`, `[lte]`. Finer than a microsecond
// is rounded so that the comparison stays exact.
absl::Status ApplyTimeFilter(const std::string& name, const std::string& value,
                             PageQuery& page) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, value, &time, &error)) {
    return InvalidRequest(
        absl::StrCat(name, ": ", value, " is no RFC 3339 time: ", error));
  }
  // Well within what the arithmetic below holds: "infinite-past" is a time too.
  static const absl::Time kFirst = absl::FromUnixSeconds(-(int64_t{1} << 42));
  static const absl::Time kLast = absl::FromUnixSeconds(int64_t{1} << 42);
  time = std::clamp(time, kFirst, kLast);
  int64_t floor = absl::ToUnixMicros(time);
  int64_t ceiling = absl::FromUnixMicros(floor) < time ? floor + 1 : floor;
  page.has_time_filter = true;
  if (name == "created_at[gt]") {
    page.after = std::max(page.after, floor);
  } else if (name == "created_at[gte]") {
    page.after = std::max(page.after, ceiling - 1);
  } else if (name == "created_at[lt]") {
    page.before = std::min(page.before, ceiling);
  } else if (name == "created_at[lte]") {
    page.before = std::min(page.before, floor + 1);
  } else {
    return InvalidRequest(absl::StrCat("unknown parameter ", name));
  }
  return absl::OkStatus();
}

absl::Status ApplyCursor(const std::string& cursor, PageQuery& page) {
  std::vector<std::string> parts = absl::StrSplit(cursor, '.');
  int64_t value;
  if (parts.size() != 3 || (parts[0] != "desc" && parts[0] != "asc") ||
      (parts[1] != "next" && parts[1] != "prev" && parts[1] != "untimed") ||
      !absl::SimpleAtoi(parts[2], &value)) {
    return InvalidRequest("page: not a cursor of this list");
  }
  if ((parts[0] == "desc") != page.newest_first) {
    return InvalidRequest("page: the cursor belongs to the other order");
  }
  page.has_cursor = true;
  if (parts[1] == "untimed") {
    page.untimed_after = value;
    return absl::OkStatus();
  }
  if (value <= page.after || value >= page.before) {
    return InvalidRequest("page: created_at excludes the cursor's position");
  }
  page.backwards = parts[1] == "prev";
  (page.descending() ? page.before : page.after) = value;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PageQuery> ParsePageQuery(const QueryParams& query,
                                         const PageRules& rules) {
  PageQuery page;
  page.limit = rules.default_limit;
  page.newest_first = rules.newest_first;
  std::string cursor;
  for (const auto& [name, value] : query) {
    if (name == "limit") {
      if (!absl::SimpleAtoi(value, &page.limit) || page.limit < 1 ||
          page.limit > rules.max_limit) {
        return InvalidRequest(absl::StrCat("limit: must be a number from 1 to ",
                                           rules.max_limit));
      }
    } else if (name == "order" && rules.may_order) {
      if (value != "asc" && value != "desc") {
        return InvalidRequest("order: must be asc or desc");
      }
      page.newest_first = value == "desc";
    } else if (name == "page") {
      cursor = value;
    } else if (name.rfind("created_at", 0) == 0) {
      RETURN_IF_ERROR(ApplyTimeFilter(name, value, page));
    }
  }
  if (!cursor.empty()) RETURN_IF_ERROR(ApplyCursor(cursor, page));
  return page;
}

std::string MakeCursor(const PageQuery& page, int64_t time, bool backwards) {
  return absl::StrCat(page.newest_first ? "desc" : "asc",
                      backwards ? ".prev." : ".next.", time);
}

std::string MakeUntimedCursor(const PageQuery& page, int64_t number) {
  return absl::StrCat(page.newest_first ? "desc" : "asc", ".untimed.", number);
}

Json MakePage(const PageQuery& page, std::vector<std::pair<int64_t, Json>> rows,
              bool with_previous) {
  bool more = rows.size() > static_cast<size_t>(page.limit);
  if (more) rows.pop_back();
  if (page.backwards) std::reverse(rows.begin(), rows.end());
  // Read backwards, there is always a next page: the one come from.
  bool has_next = !rows.empty() && (page.backwards || more);
  bool has_previous =
      !rows.empty() && page.has_cursor && (!page.backwards || more);
  Json data = Json::array();
  Json next = has_next ? Json(MakeCursor(page, rows.back().first)) : Json();
  Json previous =
      has_previous ? Json(MakeCursor(page, rows.front().first, true)) : Json();
  for (auto& [time, row] : rows) data.push_back(std::move(row));
  Json answer = {{"data", std::move(data)}, {"next_page", std::move(next)}};
  if (with_previous) answer["prev_page"] = std::move(previous);
  return answer;
}

std::vector<std::string> QueryArray(const QueryParams& query,
                                    const std::string& name) {
  std::vector<std::string> values;
  for (const auto& [key, value] : query) {
    if (key == name + "[]") values.push_back(value);
  }
  return values;
}

std::string QueryText(const QueryParams& query, const std::string& name) {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return "";
}

}  // namespace midwatch::harness
