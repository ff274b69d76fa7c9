#include "harness/multipart.h"

#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "harness/api_error.h"

namespace midwatch::harness {
namespace {

// Where `needle` begins, from `from` on; npos where it does not. memmem takes
// hundreds of megabytes at memory speed.
size_t Find(absl::string_view body, absl::string_view needle, size_t from) {
  const void* at = memmem(body.data() + from, body.size() - from, needle.data(),
                          needle.size());
  if (at == nullptr) return absl::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(at) - body.data());
}

// The parameter `name` of a header such as `form-data; name="file"`.
std::string Parameter(absl::string_view header, absl::string_view name) {
  size_t at = 0;
  while ((at = header.find(';', at)) != absl::string_view::npos) {
    absl::string_view rest =
        absl::StripLeadingAsciiWhitespace(header.substr(++at));
    if (!absl::StartsWithIgnoreCase(rest, name)) continue;
    rest.remove_prefix(name.size());
    if (!absl::ConsumePrefix(&rest, "=")) continue;
    if (!absl::ConsumePrefix(&rest, "\"")) {
      return std::string(absl::StripAsciiWhitespace(
          rest.substr(0, std::min(rest.find(';'), rest.size()))));
    }
    std::string value;
    for (size_t i = 0; i < rest.size() && rest[i] != '"'; ++i) {
      if (rest[i] == '\\' && i + 1 < rest.size()) ++i;
      value.push_back(rest[i]);
    }
    return value;
  }
  return "";
}

FormPart ParseHeaders(absl::string_view headers) {
  FormPart part;
  for (absl::string_view line : absl::StrSplit(headers, "\r\n")) {
    std::pair<absl::string_view, absl::string_view> header =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    absl::string_view value = absl::StripAsciiWhitespace(header.second);
    if (absl::EqualsIgnoreCase(header.first, "content-disposition")) {
      part.name = Parameter(value, "name");
      part.filename = Parameter(value, "filename");
    } else if (absl::EqualsIgnoreCase(header.first, "content-type")) {
      part.content_type = std::string(value);
    }
  }
  return part;
}

}  // namespace

absl::StatusOr<std::vector<FormPart>> ParseForm(absl::string_view content_type,
                                                absl::string_view body) {
  std::string boundary = Parameter(content_type, "boundary");
  if (!absl::StartsWithIgnoreCase(content_type, "multipart/form-data") ||
      boundary.empty()) {
    return InvalidRequest(
        "content-type: must be multipart/form-data with a boundary");
  }
  const absl::Status malformed =
      InvalidRequest("the request's body is no valid multipart/form-data");
  const std::string first = absl::StrCat("--", boundary);
  const std::string delimiter = absl::StrCat("\r\n", first);
  size_t at = Find(body, first, 0);
  if (at == absl::string_view::npos) return malformed;
  at += first.size();

  std::vector<FormPart> parts;
  while (!absl::StartsWith(body.substr(at), "--")) {
    size_t headers = Find(body, "\r\n", at);
    if (headers == absl::string_view::npos) return malformed;
    size_t content = Find(body, "\r\n\r\n", headers);
    if (content == absl::string_view::npos) return malformed;
    content += 4;
    size_t end = Find(body, delimiter, content);
    if (end == absl::string_view::npos) return malformed;
    parts.push_back(ParseHeaders(body.substr(
        headers + 2, content - 4 - std::min(headers + 2, content - 4))));
    parts.back().content = body.substr(content, end - content);
    at = end + delimiter.size();
  }
  return parts;
}

}  // namespace midwatch::harness
