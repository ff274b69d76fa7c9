#include "cli/csv_parser.h"

namespace midwatch::cli {

bool CsvParser::Fail(size_t at, absl::string_view what) {
  mistake_at_ = at;
  mistake_ = std::string(what);
  return false;
}

bool CsvParser::ReadQuoted(absl::string_view line, size_t& at) {
  std::string& field = fields_.back();
  while (true) {
    const size_t quote = line.find('"', at);
    if (quote == absl::string_view::npos) {
      field.append(line.data() + at, line.size() - at);
      at = line.size();
      return false;
    }
    field.append(line.data() + at, quote - at);
    at = quote + 1;
    if (at == line.size() || line[at] != '"') break;
    field += '"';
    ++at;
  }
  in_quotes_ = false;
  if (at == line.size()) return false;
  if (line[at] != ',') {
    return Fail(at,
                "text behind a closing quote; expected ',' or the end of "
                "the line (a quote within quotes is doubled)");
  }
  ++at;
  return true;
}

bool CsvParser::ReadPlain(absl::string_view line, size_t& at) {
  const size_t end = line.find_first_of(",\"", at);
  if (end != absl::string_view::npos && line[end] == '"') {
    return Fail(end,
                "a quote within a field that does not begin with one; "
                "expected the field in quotes, and the quote doubled");
  }
  const size_t stop = end == absl::string_view::npos ? line.size() : end;
  fields_.back().append(line.data() + at, stop - at);
  at = stop + 1;
  return end != absl::string_view::npos;
}

CsvParser::Result CsvParser::Feed(absl::string_view line) {
  size_t at = 0;
  bool more = true;
  if (in_quotes_) {
    fields_.back() += '\n';
    more = ReadQuoted(line, at);
  } else {
    fields_.clear();
    bytes_ = 0;
  }
  bytes_ += line.size() + 1;
  while (more) {
    fields_.emplace_back();
    if (at < line.size() && line[at] == '"') {
      in_quotes_ = true;
      ++at;
      more = ReadQuoted(line, at);
    } else {
      more = ReadPlain(line, at);
    }
  }
  if (!mistake_.empty()) return Result::kMistake;
  return in_quotes_ ? Result::kMore : Result::kRecord;
}

}  // namespace midwatch::cli
