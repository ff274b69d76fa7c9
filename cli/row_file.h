// The rows of a table: what `foreach` makes a task of, each.
#ifndef MIDWATCH_CLI_ROW_FILE_H_
#define MIDWATCH_CLI_ROW_FILE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "cli/template_text.h"
#include "cli/yaml_reader.h"

namespace midwatch::cli {

// Read once, a row at a time.
class RowFile {
 public:
  virtual ~RowFile() = default;

  // The next row's values by the names of its columns. Columns whose names
  // cannot be a parameter's are left out. Nothing behind the last row, and
  // after a complaint.
  virtual std::optional<Values> Next() = 0;

  // Where the row that Next gave last begins, from 1.
  virtual int64_t line() const = 0;
};

// `complaints` are of the file at `path`, and outlive what is returned.
//   kInvalidArgument  missing, not a regular file, or unreadable; says which

// CSV (RFC 4180) whose first line names the columns. A value may be of several
// lines; a row has at most 16 MiB.
absl::StatusOr<std::unique_ptr<RowFile>> OpenCsvRows(const std::string& path,
                                                     Complaints& complaints);

// A JSON object in each line. A value that is no text stands for its JSON, null
// for no text.
absl::StatusOr<std::unique_ptr<RowFile>> OpenJsonlRows(const std::string& path,
                                                       Complaints& complaints);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_ROW_FILE_H_
