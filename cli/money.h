#ifndef MIDWATCH_CLI_MONEY_H_
#define MIDWATCH_CLI_MONEY_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace midwatch::cli {

// "$0.60", exactly: digits past the cents show only where they are not zero.
std::string FormatUsd(int64_t usd_micros);

// About so much, to the next cent: "$0.61".
std::string FormatAboutUsd(int64_t usd_micros);

// "$1", "0.50", "$0.000001": what FormatUsd writes, with or without the sign.
// Returns micro-dollars.
//   kInvalidArgument  anything else: an exponent, a thousands separator, more
//                     than six decimals, more than 10^12 dollars
absl::StatusOr<int64_t> ParseUsd(absl::string_view text);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_MONEY_H_
