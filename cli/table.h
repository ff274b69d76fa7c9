#ifndef MIDWATCH_CLI_TABLE_H_
#define MIDWATCH_CLI_TABLE_H_

#include <string>
#include <vector>

namespace midwatch::cli {

struct Column {
  std::string title;
  bool right = false;  // numbers
  // Left out where the last column would have little room: the highest first.
  // 0: never.
  int drop = 0;
};

// Rows under titles, each column as wide as its widest cell, two blanks between
// them. Where they would pass `width`, columns are left out, and the last is
// cut. Cells hold no control characters. Every row has as many cells as there
// are columns.
std::string FormatTable(const std::vector<Column>& columns,
                        const std::vector<std::vector<std::string>>& rows,
                        int width);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_TABLE_H_
