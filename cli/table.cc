#include "cli/table.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

constexpr char kGap[] = "  ";
constexpr size_t kLastColumnMin = 10;
constexpr size_t kLastColumnWanted = 16;

}  // namespace

std::string FormatTable(const std::vector<Column>& columns,
                        const std::vector<std::vector<std::string>>& rows,
                        int width) {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns.size(); ++i) {
    size_t widest = DisplayWidth(columns[i].title);
    for (const std::vector<std::string>& row : rows) {
      widest = std::max(widest, DisplayWidth(row[i]));
    }
    widths.push_back(widest);
  }
  std::vector<size_t> shown(columns.size());
  std::iota(shown.begin(), shown.end(), 0);
  const size_t limit = static_cast<size_t>(std::max(width, 0));
  // What the others leave to the last one.
  auto room = [&] {
    size_t others = 0;
    for (size_t i : shown) others += i + 1 < columns.size() ? widths[i] + 2 : 0;
    return limit > others ? limit - others : 0;
  };
  auto earlier = [&](size_t a, size_t b) {
    return columns[a].drop < columns[b].drop;
  };
  while (room() < std::min(widths.back(), kLastColumnWanted)) {
    auto next = std::max_element(shown.begin(), shown.end(), earlier);
    if (columns[*next].drop == 0) break;
    shown.erase(next);
  }
  widths.back() = std::min(widths.back(), std::max(room(), kLastColumnMin));

  std::string out;
  auto add_row = [&](const auto& cell_of) {
    std::string line;
    for (size_t i : shown) {
      const std::string cell = Shorten(cell_of(i), widths[i]);
      const std::string padding(widths[i] - DisplayWidth(cell), ' ');
      absl::StrAppend(&line, i == shown.front() ? "" : kGap,
                      columns[i].right ? padding + cell : cell + padding);
    }
    while (!line.empty() && line.back() == ' ') line.pop_back();
    absl::StrAppend(&out, line, "\n");
  };
  add_row([&](size_t i) { return columns[i].title; });
  for (const std::vector<std::string>& row : rows) {
    add_row([&](size_t i) { return row[i]; });
  }
  return out;
}

}  // namespace midwatch::cli
