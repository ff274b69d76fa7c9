#ifndef MIDWATCH_CLI_JSON_LINE_H_
#define MIDWATCH_CLI_JSON_LINE_H_

#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "cli/json_text.h"
#include "cli/line_file.h"
#include "cli/yaml_reader.h"

namespace midwatch::cli {

// `line`, which `file` gave last, as a value. Complains of an empty line, of
// bytes that are not UTF-8 and of what is no JSON, and then returns nothing.
// `expected` says what a line holds: "a task, such as {...}".
std::optional<JsonValue> ReadJsonLine(const LineFile& file,
                                      absl::string_view line,
                                      absl::string_view expected,
                                      Complaints& complaints);

// Byte `at` of the line that `file` gave last.
YAML::Mark PlaceIn(const LineFile& file, size_t at);

// Calls `read` with each member of a map; complains of another kind and of
// doubled keys.
void ForEachMember(const LineFile& file, const JsonValue& value,
                   absl::string_view what, Complaints& complaints,
                   absl::FunctionRef<void(const JsonMember&)> read);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_JSON_LINE_H_
