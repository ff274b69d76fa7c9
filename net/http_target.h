#ifndef MIDWATCH_NET_HTTP_TARGET_H_
#define MIDWATCH_NET_HTTP_TARGET_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace midwatch {

// What a request line asks for, decoded.
struct HttpTarget {
  std::string path;
  std::vector<std::pair<std::string, std::string>> query;

  friend bool operator==(const HttpTarget&, const HttpTarget&) = default;
};

// Decodes `/path?name=value&...`: %XX everywhere, and `+` as a space in the
// query, as forms and most clients write it.
//   kInvalidArgument  no path from the root, a broken %XX, or a NUL byte
absl::StatusOr<HttpTarget> ParseHttpTarget(absl::string_view text);

}  // namespace midwatch

#endif  // MIDWATCH_NET_HTTP_TARGET_H_
