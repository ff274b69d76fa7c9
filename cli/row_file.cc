#include "cli/row_file.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/csv_parser.h"
#include "cli/json_line.h"
#include "cli/line_file.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

constexpr size_t kRowBytesMax = LineFile::kLineBytesMax;

// The next line, or nothing behind the last and after a complaint.
std::optional<absl::string_view> NextLine(LineFile& file,
                                          Complaints& complaints) {
  absl::StatusOr<std::optional<absl::string_view>> line = file.Next();
  if (line.ok()) return *line;
  YAML::Mark mark;
  mark.line = static_cast<int>(file.line());
  mark.column = 0;
  complaints.Add(mark, line.status().message());
  return std::nullopt;
}

class CsvRows final : public RowFile {
 public:
  CsvRows(std::unique_ptr<LineFile> file, Complaints& complaints)
      : file_(std::move(file)), complaints_(complaints) {}

  std::optional<Values> Next() override {
    if (columns_.empty() && !ReadColumns()) return std::nullopt;
    if (!ReadRecord()) return std::nullopt;
    std::vector<std::string>& fields = parser_.fields();
    if (fields.size() != columns_.size()) {
      Complain(0, absl::StrCat(fields.size(),
                               fields.size() == 1 ? " field" : " fields",
                               "; expected ", columns_.size(),
                               ", as the first line has"));
      return std::nullopt;
    }
    Values row;
    for (size_t i = 0; i < fields.size(); ++i) {
      if (IsParameterName(columns_[i])) row[columns_[i]] = std::move(fields[i]);
    }
    return row;
  }

  int64_t line() const override { return first_line_; }

 private:
  bool ReadColumns() {
    if (!ReadRecord()) {
      if (complaints_.count() == 0) {
        Complain(0,
                 "an empty file; expected a first line with the names of "
                 "its columns");
      }
      return false;
    }
    columns_ = parser_.fields();
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string& name = columns_[i];
      if (!IsParameterName(name) ||
          std::find(columns_.begin(), columns_.begin() + static_cast<int>(i),
                    name) == columns_.begin() + static_cast<int>(i)) {
        continue;
      }
      Complain(0, absl::StrCat("two columns are named '", name,
                               "'; expected names to differ"));
      return false;
    }
    return true;
  }

  // False at the end and after a complaint.
  bool ReadRecord() {
    first_line_ = file_->line() + 1;
    while (true) {
      std::optional<absl::string_view> line = NextLine(*file_, complaints_);
      if (!line) {
        if (complaints_.count() == 0 && file_->line() >= first_line_) {
          Complain(0, absl::StrCat("a quoted field without its end (the row "
                                   "begins in line ",
                                   first_line_, "); expected '\"'"));
        }
        return false;
      }
      if (size_t at = FindInvalidUtf8(*line); at != absl::string_view::npos) {
        Complain(at, "a byte that is not UTF-8; expected a file in UTF-8");
        return false;
      }
      const CsvParser::Result result = parser_.Feed(*line);
      if (result == CsvParser::Result::kMistake) {
        Complain(parser_.mistake_at(), parser_.mistake());
        return false;
      }
      if (parser_.bytes() > kRowBytesMax) {
        Complain(0, absl::StrCat("the row that begins in line ", first_line_,
                                 " has more than ", kRowBytesMax,
                                 " bytes; expected at most so many"));
        return false;
      }
      if (result == CsvParser::Result::kRecord) return true;
    }
  }

  void Complain(size_t at, absl::string_view what) {
    complaints_.Add(PlaceIn(*file_, at), what);
  }

  const std::unique_ptr<LineFile> file_;
  Complaints& complaints_;
  CsvParser parser_;
  std::vector<std::string> columns_;
  int64_t first_line_ = 0;
};

class JsonlRows final : public RowFile {
 public:
  JsonlRows(std::unique_ptr<LineFile> file, Complaints& complaints)
      : file_(std::move(file)), complaints_(complaints) {}

  std::optional<Values> Next() override {
    constexpr char kExpected[] = "a row, such as {\"city\": \"Graz\"}";
    std::optional<absl::string_view> line = NextLine(*file_, complaints_);
    if (!line) return std::nullopt;
    std::optional<JsonValue> value =
        ReadJsonLine(*file_, *line, kExpected, complaints_);
    if (!value) return std::nullopt;
    if (value->kind != JsonValue::Kind::kMap) {
      complaints_.Add(
          PlaceIn(*file_, value->at),
          absl::StrCat("a row is ", KindOf(*value), "; expected ", kExpected));
      return std::nullopt;
    }
    Values row;
    for (JsonMember& member : value->members) {
      if (!IsParameterName(member.name)) continue;
      if (!row.emplace(member.name, TextOf(member, *line)).second) {
        complaints_.Add(PlaceIn(*file_, member.at),
                        absl::StrCat("'", member.name,
                                     "' is there twice in a row; expected "
                                     "once"));
        return std::nullopt;
      }
    }
    return row;
  }

  int64_t line() const override { return file_->line(); }

 private:
  static std::string TextOf(JsonMember& member, absl::string_view line) {
    switch (member.value.kind) {
      case JsonValue::Kind::kNull:
        return "";
      case JsonValue::Kind::kList:
      case JsonValue::Kind::kMap:
        return std::string(
            line.substr(member.value.at, member.end - member.value.at));
      case JsonValue::Kind::kBool:
      case JsonValue::Kind::kNumber:
      case JsonValue::Kind::kString:
        break;
    }
    return std::move(member.value.text);
  }

  const std::unique_ptr<LineFile> file_;
  Complaints& complaints_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<RowFile>> OpenCsvRows(const std::string& path,
                                                     Complaints& complaints) {
  ASSIGN_OR_RETURN(std::unique_ptr<LineFile> file,
                   LineFile::Open(path, "a CSV file"));
  return std::make_unique<CsvRows>(std::move(file), complaints);
}

absl::StatusOr<std::unique_ptr<RowFile>> OpenJsonlRows(const std::string& path,
                                                       Complaints& complaints) {
  ASSIGN_OR_RETURN(std::unique_ptr<LineFile> file,
                   LineFile::Open(path, "a JSONL file"));
  return std::make_unique<JsonlRows>(std::move(file), complaints);
}

}  // namespace midwatch::cli
