#include "scheduler/parameters.h"

#include "absl/strings/str_cat.h"
#include "base/placeholder.h"
#include "base/status_macros.h"

namespace midwatch {
absl::StatusOr<std::string> FillIn(absl::string_view text,
                                   const Parameters& parameters) {
  std::string out;
  for (size_t open = text.find("{{"); open != text.npos;
       open = text.find("{{")) {
    absl::string_view rest = text.substr(open + 2);
    if (TakeLiteralBraces(rest)) {
      absl::StrAppend(&out, text.substr(0, open), "{{");
      text = rest;
      continue;
    }
    absl::string_view name = TakePlaceholder(rest);
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
    if (TakeLiteralBraces(text)) continue;
    const absl::string_view name = TakePlaceholder(text);
    if (!name.empty()) names.emplace_back(name);
  }
  return names;
}

absl::StatusOr<v1::TaskSpec> FillIn(v1::TaskSpec spec,
                                    const Parameters& parameters) {
  ASSIGN_OR_RETURN(*spec.mutable_prompt(), FillIn(spec.prompt(), parameters));
  ASSIGN_OR_RETURN(*spec.mutable_concurrency_key(),
                   FillIn(spec.concurrency_key(), parameters));
  if (spec.has_unique()) {
    ASSIGN_OR_RETURN(*spec.mutable_unique()->mutable_key(),
                     FillIn(spec.unique().key(), parameters));
  }
  if (spec.has_expect()) {
    for (std::string& file : *spec.mutable_expect()->mutable_files()) {
      ASSIGN_OR_RETURN(file, FillIn(file, parameters));
    }
    for (v1::JsonCheck& check : *spec.mutable_expect()->mutable_json()) {
      ASSIGN_OR_RETURN(*check.mutable_path(), FillIn(check.path(), parameters));
    }
  }
  return spec;
}

}  // namespace midwatch
