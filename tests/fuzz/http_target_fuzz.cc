// What a request line asks for, once decoded, is a path from the root without
// NUL; encoded anew it decodes to the same.

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "net/http_target.h"
#include "tests/fuzz/fuzz.h"

namespace midwatch {
namespace {

std::string Encode(absl::string_view text) {
  std::string out;
  for (unsigned char c : text) {
    absl::StrAppend(&out, "%", absl::Hex(c, absl::kZeroPad2));
  }
  return out;
}

void Check(absl::string_view text) {
  absl::StatusOr<HttpTarget> target = ParseHttpTarget(text);
  if (!target.ok()) {
    RequireInvalidArgument(target.status(), 200);
    return;
  }
  Require(absl::StartsWith(target->path, "/"), "a path from the root");
  Require(!absl::StrContains(target->path, '\0'), "no NUL in the path");
  Require(target->path.size() <= text.size(), "decoding adds nothing");
  std::string encoded = "/" + Encode(target->path.substr(1));
  char mark = '?';
  for (const auto& [name, value] : target->query) {
    Require(!absl::StrContains(name + value, '\0'), "no NUL in the query");
    absl::StrAppend(&encoded, std::string(1, mark), Encode(name), "=",
                    Encode(value));
    mark = '&';
  }
  absl::StatusOr<HttpTarget> again = ParseHttpTarget(encoded);
  Require(again.ok() && *again == *target,
          "a target encoded anew decodes to the same");
}

}  // namespace
}  // namespace midwatch

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  midwatch::Check(midwatch::AsText(bytes, size));
  return 0;
}
