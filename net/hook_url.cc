#include "net/hook_url.h"

#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace midwatch {
namespace {

constexpr absl::string_view kExpected =
    "expected https://HOST/PATH, or http:// to 127.0.0.1, [::1] or localhost";

absl::Status Refuse(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(what, "; ", kExpected));
}

// Of "https://host:port/path?query".
absl::string_view AuthorityOf(absl::string_view url) {
  url.remove_prefix(url.find("://") + 3);
  return url.substr(0, url.find_first_of("/?#"));
}

bool IsLoopback(absl::string_view authority) {
  if (absl::StartsWith(authority, "[")) {
    return authority == "[::1]" || absl::StartsWith(authority, "[::1]:");
  }
  const absl::string_view host = authority.substr(0, authority.find(':'));
  if (absl::EqualsIgnoreCase(host, "localhost")) return true;
  // All four numbers: 127.0.0.1.example.com is another machine's.
  const std::vector<absl::string_view> parts = absl::StrSplit(host, '.');
  int number = 0;
  return parts.size() == 4 && parts[0] == "127" &&
         absl::c_all_of(parts, [&](absl::string_view part) {
           return !part.empty() && part.size() <= 3 &&
                  absl::c_all_of(part, absl::ascii_isdigit) &&
                  absl::SimpleAtoi(part, &number) && number <= 255;
         });
}

bool IsAuthority(absl::string_view text) {
  return !text.empty() && absl::c_all_of(text, [](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::StrContains(".-_:[]", c);
  });
}

}  // namespace

absl::Status CheckHookUrl(absl::string_view url, bool plain_http) {
  if (url.size() > kHookUrlBytesMax) {
    return Refuse(
        absl::StrCat(url.size(), " bytes, of ", kHookUrlBytesMax, " at most"));
  }
  const bool printable = absl::c_all_of(
      url, [](unsigned char c) { return absl::ascii_isgraph(c); });
  if (!printable) return Refuse("spaces or other than ASCII");
  const bool https = absl::StartsWith(url, "https://");
  if (!https && !absl::StartsWith(url, "http://")) {
    return Refuse("not http(s)");
  }
  const absl::string_view authority = AuthorityOf(url);
  if (absl::StrContains(authority, '@')) {
    return Refuse("a user or password, which would be stored and shown");
  }
  if (!IsAuthority(authority)) return Refuse("no host");
  if (absl::StrContains(url, '#')) return Refuse("a fragment");
  if (https || plain_http || IsLoopback(authority)) return absl::OkStatus();
  return Refuse(
      "http without TLS to another machine (a scheduler with --hook-http "
      "allows it)");
}

std::string HookOrigin(absl::string_view url) {
  const size_t scheme = url.find("://");
  return absl::AsciiStrToLower(
      absl::StrCat(url.substr(0, scheme), "://", AuthorityOf(url)));
}

}  // namespace midwatch
