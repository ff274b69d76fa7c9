// What tokens cost: a table that is configuration, with the list prices of the
// hosted models built in.
#ifndef MIDWATCH_BASE_PRICES_H_
#define MIDWATCH_BASE_PRICES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace midwatch {

// What one request to a model used, as the Messages API counts: no token is in
// two of these.
struct TokenUsage {
  int64_t input = 0;
  int64_t output = 0;
  int64_t cache_read = 0;
  int64_t cache_write_5m = 0;
  int64_t cache_write_1h = 0;

  friend bool operator==(const TokenUsage&, const TokenUsage&) = default;
  friend TokenUsage operator+(const TokenUsage& a, const TokenUsage& b) {
    return {a.input + b.input, a.output + b.output, a.cache_read + b.cache_read,
            a.cache_write_5m + b.cache_write_5m,
            a.cache_write_1h + b.cache_write_1h};
  }
};

// Micro-dollars for a million tokens, and for each request whatever it uses.
struct TokenPrices {
  int64_t input = 0;
  int64_t cache_write_5m = 0;
  int64_t cache_write_1h = 0;
  int64_t cache_read = 0;
  int64_t output = 0;
  int64_t request = 0;

  friend bool operator==(const TokenPrices&, const TokenPrices&) = default;
};

// A model may cost more for long prompts: a tier holds for prompts of at most
// so many tokens (cached ones included), 0 for any length.
struct PriceTier {
  int64_t prompt_tokens_max = 0;
  TokenPrices prices;

  friend bool operator==(const PriceTier&, const PriceTier&) = default;
};

struct PriceTable {
  std::string as_of;  // a date, for people
  // By model, the tier of the shortest prompts first, the last for any length.
  std::map<std::string, std::vector<PriceTier>, std::less<>> models;

  friend bool operator==(const PriceTable&, const PriceTable&) = default;
};

// The list prices of the hosted models, of 2026-10-09, and a cent for each
// request to `runbook`.
const PriceTable& BuiltInPrices();

// The price of one request in micro-dollars, rounded up. A dated name
// (claude-haiku-4-5-20251001) costs what its model costs. Nothing where the
// model is not in the table.
std::optional<int64_t> FindPrice(const PriceTable& table,
                                 absl::string_view model,
                                 const TokenUsage& usage);

// The same; a model that is not in the table costs what the dearest one there
// would: a budget then ends too early, never too late.
int64_t PriceOf(const PriceTable& table, absl::string_view model,
                const TokenUsage& usage);

}  // namespace midwatch

#endif  // MIDWATCH_BASE_PRICES_H_
