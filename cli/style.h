#ifndef MIDWATCH_CLI_STYLE_H_
#define MIDWATCH_CLI_STYLE_H_

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace midwatch::cli {

enum class Style { kPlain, kBold, kDim, kGood, kBad, kBusy };

// `text` in a style; as it is without `colours`.
inline std::string Paint(bool colours, Style style, absl::string_view text) {
  if (!colours || style == Style::kPlain || text.empty()) {
    return std::string(text);
  }
  const char* code = "";
  switch (style) {
    case Style::kPlain:
      break;
    case Style::kBold:
      code = "1";
      break;
    case Style::kDim:
      code = "2";
      break;
    case Style::kGood:
      code = "32";
      break;
    case Style::kBad:
      code = "31";
      break;
    case Style::kBusy:
      code = "36";
      break;
  }
  return absl::StrCat("\x1b[", code, "m", text, "\x1b[0m");
}

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_STYLE_H_
