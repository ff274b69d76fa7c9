#ifndef MIDWATCH_CLI_TABLE_H_
#define MIDWATCH_CLI_TABLE_H_

#include <string>
#include <vector>

namespace midwatch::cli {

struct Column {
  std::string title;
  bool right = false;  // numbers
};

// Rows under titles, each column as wide as its widest cell, two blanks between
// them; a last column that would pass `width` is cut. Cells hold no control
// characters. Every row has as many cells as there are columns.
std::string FormatTable(const std::vector<Column>& columns,
                        const std::vector<std::vector<std::string>>& rows,
                        int width);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_TABLE_H_
