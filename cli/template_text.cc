#include "cli/template_text.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/placeholder.h"

namespace midwatch::cli {
bool IsParameterName(absl::string_view name) { return IsPlaceholderName(name); }

std::string FillIn(absl::string_view text, const Values& values,
                   std::vector<std::string>* unknown, Filling filling) {
  const bool last = filling == Filling::kLast;
  std::string out;
  size_t done = 0;  // text[0, done) is in `out`
  for (size_t open = text.find("{{"); open != absl::string_view::npos;
       open = text.find("{{", open)) {
    absl::string_view rest = text.substr(open + 2);
    if (TakeLiteralBraces(rest)) {
      const size_t end = text.size() - rest.size();
      if (last) {
        absl::StrAppend(&out, text.substr(done, open - done), "{{");
        done = end;
      }
      open = end;
      continue;
    }
    const std::string name(TakePlaceholder(rest));
    const size_t behind = text.size() - rest.size();
    auto value = values.find(name);
    if (name.empty()) {
      // Somebody else's braces.
    } else if (value == values.end()) {
      if (unknown != nullptr) unknown->push_back(name);
    } else {
      out.append(text.data() + done, open - done);
      out += last
                 ? value->second
                 : absl::StrReplaceAll(value->second, {{"{{", kLiteralBraces}});
      done = behind;
    }
    open = behind;
  }
  out.append(text.data() + done, text.size() - done);
  return out;
}

}  // namespace midwatch::cli
