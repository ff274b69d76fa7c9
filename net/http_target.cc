#include "net/http_target.h"

#include "absl/strings/str_split.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

absl::StatusOr<std::string> PercentDecode(absl::string_view text,
                                          bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      int high = i + 2 < text.size() ? HexValue(text[i + 1]) : -1;
      int low = i + 2 < text.size() ? HexValue(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        return absl::InvalidArgumentError(
            "a '%' in the URL is not followed by two hexadecimal digits");
      }
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    // Would end the name where it reaches the operating system.
    if (c == '\0') return absl::InvalidArgumentError("a NUL byte in the URL");
    out.push_back(c);
  }
  return out;
}

}  // namespace

absl::StatusOr<HttpTarget> ParseHttpTarget(absl::string_view text) {
  if (text.empty() || text[0] != '/') {
    return absl::InvalidArgumentError("the request's target is no path");
  }
  HttpTarget target;
  size_t mark = text.find('?');
  ASSIGN_OR_RETURN(target.path, PercentDecode(text.substr(0, mark), false));
  if (mark == text.npos) return target;
  for (absl::string_view pair :
       absl::StrSplit(text.substr(mark + 1), '&', absl::SkipEmpty())) {
    size_t equals = pair.find('=');
    ASSIGN_OR_RETURN(std::string name,
                     PercentDecode(pair.substr(0, equals), true));
    std::string value;
    if (equals != pair.npos) {
      ASSIGN_OR_RETURN(value, PercentDecode(pair.substr(equals + 1), true));
    }
    target.query.emplace_back(std::move(name), std::move(value));
  }
  return target;
}

}  // namespace midwatch
