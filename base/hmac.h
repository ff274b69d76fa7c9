#ifndef MIDWATCH_BASE_HMAC_H_
#define MIDWATCH_BASE_HMAC_H_

#include <string>

#include "absl/strings/string_view.h"

namespace midwatch {

// HMAC-SHA256 (RFC 2104) of `message`: 32 raw bytes.
std::string HmacSha256(absl::string_view key, absl::string_view message);

}  // namespace midwatch

#endif  // MIDWATCH_BASE_HMAC_H_
