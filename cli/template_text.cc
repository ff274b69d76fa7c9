#include "cli/template_text.h"

#include "absl/strings/ascii.h"

namespace midwatch::cli {
namespace {

bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' ||
         c == '-' || c == '.';
}

bool IsSpace(char c) {
  return absl::ascii_isspace(static_cast<unsigned char>(c));
}

}  // namespace

bool IsParameterName(absl::string_view name) {
  if (name.empty()) return false;
  for (char c : name) {
    if (!IsNameCharacter(c)) return false;
  }
  return true;
}

std::string FillIn(absl::string_view text, const Values& values,
                   std::vector<std::string>* unknown) {
  std::string out;
  size_t done = 0;  // text[0, done) is in `out`
  for (size_t open = text.find("{{"); open != absl::string_view::npos;
       open = text.find("{{", open)) {
    size_t begin = open + 2;
    while (begin < text.size() && IsSpace(text[begin])) ++begin;
    size_t end = begin;
    while (end < text.size() && IsNameCharacter(text[end])) ++end;
    size_t close = end;
    while (close < text.size() && IsSpace(text[close])) ++close;
    if (begin == end || text.substr(close, 2) != "}}") {
      open += 2;
      continue;
    }
    const std::string name(text.substr(begin, end - begin));
    auto value = values.find(name);
    if (value == values.end()) {
      if (unknown != nullptr) unknown->push_back(name);
    } else {
      out.append(text.data() + done, open - done);
      out += value->second;
      done = close + 2;
    }
    open = close + 2;
  }
  out.append(text.data() + done, text.size() - done);
  return out;
}

}  // namespace midwatch::cli
