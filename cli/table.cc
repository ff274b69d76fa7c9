#include "cli/table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

constexpr char kGap[] = "  ";
constexpr size_t kLastColumnMin = 10;

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
  size_t before_last = 0;
  for (size_t i = 0; i + 1 < widths.size(); ++i) before_last += widths[i] + 2;
  const size_t limit = static_cast<size_t>(std::max(width, 0));
  const size_t room = limit > before_last ? limit - before_last : 0;
  widths.back() = std::min(widths.back(), std::max(room, kLastColumnMin));

  std::string out;
  auto add_row = [&](const auto& cell_of) {
    std::string line;
    for (size_t i = 0; i < columns.size(); ++i) {
      const std::string cell = Shorten(cell_of(i), widths[i]);
      const std::string padding(widths[i] - DisplayWidth(cell), ' ');
      absl::StrAppend(&line, i == 0 ? "" : kGap,
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
