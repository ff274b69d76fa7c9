// The query of a list is refused, or asks for a page within the list's bounds,
// whose cursors are accepted where the query stays the same.

#include <string>

#include "absl/strings/str_cat.h"
#include "harness/page.h"
#include "net/http_target.h"
#include "tests/fuzz/fuzz.h"

namespace midwatch::harness {
namespace {

// The query once more, with another cursor.
QueryParams WithCursor(const QueryParams& query, const std::string& cursor) {
  QueryParams out;
  for (const auto& pair : query) {
    if (pair.first != "page") out.push_back(pair);
  }
  out.emplace_back("page", cursor);
  return out;
}

void CheckCursors(const QueryParams& query, const PageRules& rules,
                  const PageQuery& page) {
  // A time that the page could have shown.
  if (page.after >= page.before - 1) return;
  const int64_t time = page.before - 1;
  for (bool backwards : {false, true}) {
    absl::StatusOr<PageQuery> next = ParsePageQuery(
        WithCursor(query, MakeCursor(page, time, backwards)), rules);
    Require(next.ok(), "a cursor of the page is accepted");
    Require(next->has_cursor && next->backwards == backwards,
            "a cursor keeps its direction");
    Require((next->descending() ? next->before : next->after) == time,
            "a cursor continues where it stood");
    Require(next->limit == page.limit, "a cursor leaves the limit alone");
  }
}

void Check(const QueryParams& query, const PageRules& rules) {
  absl::StatusOr<PageQuery> page = ParsePageQuery(query, rules);
  if (!page.ok()) {
    RequireInvalidArgument(page.status(), 10'000);
    return;
  }
  Require(page->limit >= 1 && page->limit <= rules.max_limit,
          "the limit is within the list's bounds");
  Require(rules.may_order || page->newest_first == rules.newest_first,
          "a list without `order` keeps its own");
  CheckCursors(query, rules, *page);
}

}  // namespace
}  // namespace midwatch::harness

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  absl::StatusOr<midwatch::HttpTarget> target = midwatch::ParseHttpTarget(
      absl::StrCat("/v1/list?", midwatch::AsText(bytes, size)));
  if (!target.ok()) return 0;
  midwatch::harness::Check(target->query, {.default_limit = 20,
                                           .max_limit = 100,
                                           .newest_first = true,
                                           .may_order = false});
  midwatch::harness::Check(target->query, {.default_limit = 100,
                                           .max_limit = 1000,
                                           .newest_first = false,
                                           .may_order = true});
  return 0;
}
