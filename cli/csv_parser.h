#ifndef MIDWATCH_CLI_CSV_PARSER_H_
#define MIDWATCH_CLI_CSV_PARSER_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace midwatch::cli {

// CSV as RFC 4180 has it: fields between commas, in double quotes where they
// hold a comma, a quote (doubled) or the end of a line, which becomes LF.
class CsvParser {
 public:
  enum class Result { kRecord, kMore, kMistake };

  // The next line, without its end. kRecord: fields() is complete; kMore: a
  // quoted field goes on in the next line; kMistake: see mistake_at(), and
  // nothing can be parsed behind it.
  Result Feed(absl::string_view line);

  std::vector<std::string>& fields() { return fields_; }
  // Of the unfinished or finished record.
  size_t bytes() const { return bytes_; }
  // Byte of the line, and what is wrong with it.
  size_t mistake_at() const { return mistake_at_; }
  const std::string& mistake() const { return mistake_; }

 private:
  // Each reads from `at` on, and returns false after a mistake or at the end of
  // the line.
  bool ReadQuoted(absl::string_view line, size_t& at);
  bool ReadPlain(absl::string_view line, size_t& at);
  bool Fail(size_t at, absl::string_view what);

  std::vector<std::string> fields_;
  size_t bytes_ = 0;
  bool in_quotes_ = false;
  size_t mistake_at_ = 0;
  std::string mistake_;
};

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_CSV_PARSER_H_
