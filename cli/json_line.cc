#include "cli/json_line.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/utf8.h"

namespace midwatch::cli {

YAML::Mark PlaceIn(const LineFile& file, size_t at) {
  YAML::Mark mark;
  // Of an empty file there is no line yet.
  mark.line = static_cast<int>(std::max<int64_t>(file.line(), 1) - 1);
  mark.column = static_cast<int>(at);
  return mark;
}

std::optional<JsonValue> ReadJsonLine(const LineFile& file,
                                      absl::string_view line,
                                      absl::string_view expected,
                                      Complaints& complaints) {
  if (absl::StripAsciiWhitespace(line).empty()) {
    complaints.Add(PlaceIn(file, 0),
                   absl::StrCat("an empty line; expected ", expected));
    return std::nullopt;
  }
  if (size_t at = FindInvalidUtf8(line); at != absl::string_view::npos) {
    complaints.Add(PlaceIn(file, at),
                   absl::StrCat("byte 0x",
                                absl::Hex(static_cast<unsigned char>(line[at]),
                                          absl::kZeroPad2),
                                " is not UTF-8; expected a file in UTF-8"));
    return std::nullopt;
  }
  JsonValue value;
  std::optional<JsonMistake> mistake = ParseJson(line, value);
  if (!mistake) return value;
  complaints.Add(
      PlaceIn(file, mistake->at),
      absl::StrCat("no JSON: ", mistake->what,
                   file.has_end() ? ""
                                  : " (the file ends within this line: was it "
                                    "cut short?)",
                   "; expected ", expected));
  return std::nullopt;
}

void ForEachMember(const LineFile& file, const JsonValue& value,
                   absl::string_view what, Complaints& complaints,
                   absl::FunctionRef<void(const JsonMember&)> read) {
  if (value.kind != JsonValue::Kind::kMap) {
    complaints.Add(PlaceIn(file, value.at),
                   absl::StrCat(what, " is ", KindOf(value),
                                "; expected a map: {\"key\": \"value\"}"));
    return;
  }
  std::set<absl::string_view> seen;
  for (const JsonMember& member : value.members) {
    if (seen.insert(member.name).second) {
      read(member);
    } else {
      complaints.Add(
          PlaceIn(file, member.at),
          absl::StrCat("'", Printable(member.name), "' is there twice in ",
                       what, "; expected once"));
    }
  }
}

}  // namespace midwatch::cli
