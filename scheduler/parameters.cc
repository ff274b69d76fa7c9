#include "scheduler/parameters.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

bool IsName(absl::string_view text) {
  if (text.empty()) return false;
  for (char c : text) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_' &&
        c != '-' && c != '.') {
      return false;
    }
  }
  return true;
}

}  // namespace

absl::StatusOr<std::string> FillIn(absl::string_view text,
                                   const Parameters& parameters) {
  std::string out;
  while (true) {
    size_t open = text.find("{{");
    size_t close = open == text.npos ? text.npos : text.find("}}", open + 2);
    if (close == text.npos) break;
    absl::string_view name =
        absl::StripAsciiWhitespace(text.substr(open + 2, close - open - 2));
    if (!IsName(name)) {
      // Somebody else's braces.
      absl::StrAppend(&out, text.substr(0, open + 2));
      text.remove_prefix(open + 2);
      continue;
    }
    auto value = parameters.find(std::string(name));
    if (value == parameters.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("{{", name, "}} names no parameter of the task"));
    }
    absl::StrAppend(&out, text.substr(0, open), value->second);
    text.remove_prefix(close + 2);
  }
  absl::StrAppend(&out, text);
  return out;
}

absl::StatusOr<v1::TaskSpec> FillIn(v1::TaskSpec spec,
                                    const Parameters& parameters) {
  ASSIGN_OR_RETURN(*spec.mutable_prompt(), FillIn(spec.prompt(), parameters));
  ASSIGN_OR_RETURN(*spec.mutable_concurrency_key(),
                   FillIn(spec.concurrency_key(), parameters));
  if (spec.has_expect()) {
    for (std::string& file : *spec.mutable_expect()->mutable_files()) {
      ASSIGN_OR_RETURN(file, FillIn(file, parameters));
    }
  }
  return spec;
}

}  // namespace midwatch
