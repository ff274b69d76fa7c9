#ifndef MIDWATCH_CLI_PRICE_FILE_H_
#define MIDWATCH_CLI_PRICE_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "base/prices.h"

namespace midwatch::cli {

// The built-in prices with those of the file at `path` in their place, by
// model; the built-in ones alone where `path` is empty. YAML or JSON, in
// dollars for a million tokens:
//
//   as_of: 2026-10-09
//   models:
//     my-model: {input: 1, output: 5}
//     other: [{prompt_up_to: 100000, input: 0.10, output: 0.50},
//             {input: 0.50, cache_read: 0.05, output: 2.50}]
//     by-the-request: {request: 0.01}
//
// Where they are left out, writing to the cache costs 1.25 (5 minutes) and 2
// times the input (an hour), and reading from it a tenth, as at the hosted
// service; input, output and request are 0.
//   kInvalidArgument  every complaint, with its line and column
absl::StatusOr<PriceTable> LoadPrices(const std::string& path);

// The table in that form, as JSON.
std::string PricesToJson(const PriceTable& table);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_PRICE_FILE_H_
