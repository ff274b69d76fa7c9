// JSON (RFC 8259) with the place of each of its parts, for files of a value a
// line: what is wrong in one of a million lines must be told where it stands.
#ifndef MIDWATCH_CLI_JSON_TEXT_H_
#define MIDWATCH_CLI_JSON_TEXT_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace midwatch::cli {

struct JsonMember;

struct JsonValue {
  enum class Kind { kNull, kBool, kNumber, kString, kList, kMap };
  Kind kind = Kind::kNull;
  size_t at = 0;  // where it begins, in bytes
  // A string without its escapes; of a number of any size, true and false: as
  // it is written; of a list and a map: nothing.
  std::string text;
  std::vector<JsonValue> items;
  std::vector<JsonMember> members;  // in their order, doubled ones too
};

struct JsonMember {
  size_t at = 0;  // of its name
  std::string name;
  JsonValue value;
  size_t end = 0;  // behind the value
};

struct JsonMistake {
  size_t at = 0;
  std::string what;  // "a string without its end; expected '\"'"
};

// Reads all of `text` as one value of at most 64 levels. `text` is UTF-8 (see
// FindInvalidUtf8). Returns the first mistake; then `value` is of no use.
std::optional<JsonMistake> ParseJson(absl::string_view text, JsonValue& value);

// What the value is, in words: "a list", "text".
absl::string_view KindOf(const JsonValue& value);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_JSON_TEXT_H_
