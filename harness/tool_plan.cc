#include "harness/tool_plan.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/status_macros.h"

namespace midwatch::harness {

std::string ShellQuoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

absl::StatusOr<std::string> TextInput(const Json& input, const char* key) {
  const Json* value = Member(input, key);
  if (value == nullptr || !value->is_string()) {
    return absl::InvalidArgumentError(absl::StrCat(key, ": must be a string"));
  }
  std::string text = value->get<std::string>();
  if (absl::StrContains(text, absl::string_view("\0", 1))) {
    return absl::InvalidArgumentError(
        absl::StrCat(key, ": holds a NUL, which no shell can take"));
  }
  return text;
}

absl::StatusOr<std::string> FilledInput(const Json& input, const char* key) {
  ASSIGN_OR_RETURN(std::string text, TextInput(input, key));
  if (text.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(key, ": must not be empty"));
  }
  return text;
}

absl::StatusOr<std::string> TextInputOr(const Json& input, const char* key,
                                        const char* otherwise) {
  if (Member(input, key) == nullptr) return std::string(otherwise);
  return FilledInput(input, key);
}

}  // namespace midwatch::harness
