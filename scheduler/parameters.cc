#include "scheduler/parameters.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' ||
         c == '-' || c == '.';
}

bool IsSpace(char c) {
  return absl::ascii_isspace(static_cast<unsigned char>(c));
}

// Takes `name}}`, with spaces around the name, off the beginning of `text`;
// returns "" and takes nothing where it begins otherwise. Never looks past the
// next brace: many open braces must not make a text slow.
absl::string_view TakeName(absl::string_view& text) {
  size_t begin = 0;
  while (begin < text.size() && IsSpace(text[begin])) ++begin;
  size_t end = begin;
  while (end < text.size() && IsNameCharacter(text[end])) ++end;
  size_t close = end;
  while (close < text.size() && IsSpace(text[close])) ++close;
  if (text.substr(close, 2) != "}}") return "";
  absl::string_view name = text.substr(begin, end - begin);
  if (!name.empty()) text.remove_prefix(close + 2);
  return name;
}

}  // namespace

absl::StatusOr<std::string> FillIn(absl::string_view text,
                                   const Parameters& parameters) {
  std::string out;
  for (size_t open = text.find("{{"); open != text.npos;
       open = text.find("{{")) {
    absl::string_view rest = text.substr(open + 2);
    absl::string_view name = TakeName(rest);
    if (name.empty()) {
      // Somebody else's braces.
      absl::StrAppend(&out, text.substr(0, open + 2));
    } else {
      auto value = parameters.find(std::string(name));
      if (value == parameters.end()) {
        return absl::InvalidArgumentError(
            absl::StrCat("{{", name, "}} names no parameter of the task"));
      }
      absl::StrAppend(&out, text.substr(0, open), value->second);
    }
    text = rest;
  }
  absl::StrAppend(&out, text);
  return out;
}

std::vector<std::string> ParameterNames(absl::string_view text) {
  std::vector<std::string> names;
  for (size_t open = text.find("{{"); open != text.npos;
       open = text.find("{{")) {
    text.remove_prefix(open + 2);
    const absl::string_view name = TakeName(text);
    if (!name.empty()) names.emplace_back(name);
  }
  return names;
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
