// Ids as people and programs see them: ULIDs that are decoded, never looked up.
//
//   bits 127..80  milliseconds since the epoch at which the row was made
//   bits  79..64  the cluster (16 random bits chosen when a database is made)
//   bits  63..0   the row's number in its table, from 1
//
// 26 characters of Crockford's base32, so they sort by time and can be read
// over the telephone. The row stores its time, so an id whose time does not
// match names no row.
#ifndef MIDWATCH_BASE_EXTERNAL_ID_H_
#define MIDWATCH_BASE_EXTERNAL_ID_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace midwatch {

struct ExternalId {
  int64_t unix_millis = 0;  // 0 .. 2^48-1
  uint16_t cluster = 0;
  int64_t row = 0;  // >= 1

  friend bool operator==(const ExternalId&, const ExternalId&) = default;
};

std::string FormatExternalId(const ExternalId& id);

// Accepts either case, and O, I, L for 0, 1, 1, as Crockford's decoding does.
//   kInvalidArgument  not 26 characters of that alphabet, or no possible row
absl::StatusOr<ExternalId> ParseExternalId(absl::string_view text);

}  // namespace midwatch

#endif  // MIDWATCH_BASE_EXTERNAL_ID_H_
