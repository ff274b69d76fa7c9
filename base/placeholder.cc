#include "base/placeholder.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace midwatch {
namespace {

// A task's name has 200 bytes at most; the words around it, and spaces.
constexpr size_t kMessageNameMax = 256;

bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' ||
         c == '-' || c == '.';
}

bool IsSpace(char c) {
  return absl::ascii_isspace(static_cast<unsigned char>(c));
}

bool EndsMessageName(char c) {
  return c == '{' || c == '}' ||
         absl::ascii_iscntrl(static_cast<unsigned char>(c));
}

}  // namespace

bool TakeLiteralBraces(absl::string_view& text) {
  absl::string_view rest = absl::StripLeadingAsciiWhitespace(text);
  if (!absl::ConsumePrefix(&rest, "\"{{\"")) return false;
  rest = absl::StripLeadingAsciiWhitespace(rest);
  if (!absl::ConsumePrefix(&rest, "}}")) return false;
  text = rest;
  return true;
}

bool IsPlaceholderName(absl::string_view name) {
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), IsNameCharacter);
}

absl::string_view TakePlaceholder(absl::string_view& text) {
  size_t begin = 0;
  while (begin < text.size() && IsSpace(text[begin])) ++begin;
  size_t end = begin;
  while (end < text.size() && IsNameCharacter(text[end])) ++end;
  size_t close = end;
  while (close < text.size() && IsSpace(text[close])) ++close;
  absl::string_view name = text.substr(begin, end - begin);
  if (text.substr(close, 2) != "}}" && absl::StartsWith(name, "tasks.")) {
    const absl::string_view rest = text.substr(begin, kMessageNameMax);
    close = begin + static_cast<size_t>(std::find_if(rest.begin(), rest.end(),
                                                     EndsMessageName) -
                                        rest.begin());
    name =
        absl::StripTrailingAsciiWhitespace(text.substr(begin, close - begin));
    if (!absl::EndsWith(name, ".message")) return "";
  }
  if (name.empty() || text.substr(close, 2) != "}}") return "";
  text.remove_prefix(close + 2);
  return name;
}

}  // namespace midwatch
