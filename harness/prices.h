// What tokens cost: list prices of the hosted models, as of 2026-10-09.
#ifndef MIDWATCH_HARNESS_PRICES_H_
#define MIDWATCH_HARNESS_PRICES_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "harness/model.h"

namespace midwatch::harness {

// Micro-dollars for a million tokens.
struct TokenPrices {
  int64_t input;
  int64_t cache_write_5m;
  int64_t cache_write_1h;
  int64_t cache_read;
  int64_t output;
};

// The price of one request in micro-dollars, rounded up. A dated name
// (claude-haiku-4-5-20251001) costs what its model costs. A model that is not
// in the table costs what its dearest one does: a budget then ends too early,
// never too late.
int64_t PriceOf(absl::string_view model, const TokenUsage& usage);

}  // namespace midwatch::harness

#endif  // MIDWATCH_HARNESS_PRICES_H_
