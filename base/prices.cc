#include "base/prices.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace midwatch {
namespace {

// Input, cache write for 5 minutes, for an hour, cache read, output.
constexpr TokenPrices kFable52{8000000, 10000000, 16000000, 200000, 40000000};
constexpr TokenPrices kFable51{10000000, 12500000, 20000000, 250000, 50000000};
constexpr TokenPrices kFable5{10000000, 12500000, 20000000, 1000000, 50000000};
constexpr TokenPrices kOpus55{4000000, 5000000, 8000000, 200000, 20000000};
constexpr TokenPrices kOpus{5000000, 6250000, 10000000, 500000, 25000000};
constexpr TokenPrices kSonnet55{2000000, 2500000, 4000000, 100000, 10000000};
constexpr TokenPrices kSonnet5{2000000, 2500000, 4000000, 200000, 10000000};
constexpr TokenPrices kSonnet4{3000000, 3750000, 6000000, 300000, 15000000};
constexpr TokenPrices kHaiku55{100000, 125000, 200000, 10000, 500000};
constexpr TokenPrices kHaiku55Long{500000, 625000, 1000000, 50000, 2500000};
constexpr TokenPrices kHaiku45{1000000, 1250000, 2000000, 100000, 5000000};
// Per request: 1 cent.
constexpr TokenPrices kRunbook{0, 0, 0, 0, 0, 10'000};

// Without a date at its end: -20251001.
absl::string_view BaseModel(absl::string_view model) {
  constexpr size_t kDateLength = 9;
  if (model.size() <= kDateLength) return model;
  absl::string_view date = model.substr(model.size() - kDateLength);
  if (date[0] != '-') return model;
  for (char c : date.substr(1)) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return model;
  }
  return model.substr(0, model.size() - kDateLength);
}

int64_t PriceAt(const std::vector<PriceTier>& tiers, const TokenUsage& usage) {
  const int64_t prompt = usage.input + usage.cache_read + usage.cache_write_5m +
                         usage.cache_write_1h;
  const TokenPrices* prices = nullptr;
  for (const PriceTier& tier : tiers) {
    prices = &tier.prices;
    if (tier.prompt_tokens_max == 0 || prompt <= tier.prompt_tokens_max) break;
  }
  if (prices == nullptr) return 0;
  using Wide = __int128;
  Wide sum = Wide{usage.input} * prices->input +
             Wide{usage.output} * prices->output +
             Wide{usage.cache_read} * prices->cache_read +
             Wide{usage.cache_write_5m} * prices->cache_write_5m +
             Wide{usage.cache_write_1h} * prices->cache_write_1h;
  return prices->request + static_cast<int64_t>((sum + 999'999) / 1'000'000);
}

}  // namespace

const PriceTable& BuiltInPrices() {
  static const PriceTable* built_in = [] {
    auto* table = new PriceTable;
    table->as_of = "2026-10-09";
    table->models["claude-fable-5-2"] = {{0, kFable52}};
    table->models["claude-mythos-5-2"] = {{0, kFable52}};
    table->models["claude-fable-5-1"] = {{0, kFable51}};
    table->models["claude-mythos-5-1"] = {{0, kFable51}};
    table->models["claude-fable-5"] = {{0, kFable5}};
    table->models["claude-mythos-5"] = {{0, kFable5}};
    table->models["claude-opus-5-5"] = {{0, kOpus55}};
    table->models["claude-opus-5"] = {{0, kOpus}};
    table->models["claude-opus-4-8"] = {{0, kOpus}};
    table->models["claude-opus-4-7"] = {{0, kOpus}};
    table->models["claude-opus-4-6"] = {{0, kOpus}};
    table->models["claude-opus-4-5"] = {{0, kOpus}};
    table->models["claude-sonnet-5-5"] = {{0, kSonnet55}};
    table->models["claude-sonnet-5"] = {{0, kSonnet5}};
    table->models["claude-sonnet-4-6"] = {{0, kSonnet4}};
    table->models["claude-sonnet-4-5"] = {{0, kSonnet4}};
    table->models["claude-haiku-5-5"] = {{100000, kHaiku55}, {0, kHaiku55Long}};
    table->models["claude-haiku-4-5"] = {{0, kHaiku45}};
    table->models["runbook"] = {{0, kRunbook}};
    return table;
  }();
  return *built_in;
}

std::optional<int64_t> FindPrice(const PriceTable& table,
                                 absl::string_view model,
                                 const TokenUsage& usage) {
  auto found = table.models.find(model);
  if (found == table.models.end()) found = table.models.find(BaseModel(model));
  if (found == table.models.end()) return std::nullopt;
  return PriceAt(found->second, usage);
}

int64_t PriceOf(const PriceTable& table, absl::string_view model,
                const TokenUsage& usage) {
  if (std::optional<int64_t> price = FindPrice(table, model, usage)) {
    return *price;
  }
  int64_t dearest = 0;
  for (const auto& [name, tiers] : table.models) {
    // Of what is asked of a server of the Messages API; a price by the request
    // is the built-in model's.
    if (name == "runbook") continue;
    dearest = std::max(dearest, PriceAt(tiers, usage));
  }
  return dearest;
}

}  // namespace midwatch
