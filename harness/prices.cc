#include "harness/prices.h"

#include "absl/strings/ascii.h"

namespace midwatch::harness {
namespace {

struct ModelPrices {
  absl::string_view model;
  // 0: for prompts of any length; otherwise up to so many tokens, and the
  // model's next row holds for longer ones.
  int64_t prompt_tokens_max;
  TokenPrices prices;
};

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
constexpr const TokenPrices& kDearest = kFable5;

constexpr ModelPrices kTable[] = {
    {"claude-fable-5-2", 0, kFable52},
    {"claude-mythos-5-2", 0, kFable52},
    {"claude-fable-5-1", 0, kFable51},
    {"claude-mythos-5-1", 0, kFable51},
    {"claude-fable-5", 0, kFable5},
    {"claude-mythos-5", 0, kFable5},
    {"claude-opus-5-5", 0, kOpus55},
    {"claude-opus-5", 0, kOpus},
    {"claude-opus-4-8", 0, kOpus},
    {"claude-opus-4-7", 0, kOpus},
    {"claude-opus-4-6", 0, kOpus},
    {"claude-opus-4-5", 0, kOpus},
    {"claude-sonnet-5-5", 0, kSonnet55},
    {"claude-sonnet-5", 0, kSonnet5},
    {"claude-sonnet-4-6", 0, kSonnet4},
    {"claude-sonnet-4-5", 0, kSonnet4},
    {"claude-haiku-5-5", 100000, kHaiku55},
    {"claude-haiku-5-5", 0, kHaiku55Long},
    {"claude-haiku-4-5", 0, kHaiku45},
};

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

const TokenPrices& PricesOf(absl::string_view model, int64_t prompt_tokens) {
  model = BaseModel(model);
  for (const ModelPrices& row : kTable) {
    if (row.model != model) continue;
    if (row.prompt_tokens_max == 0 || prompt_tokens <= row.prompt_tokens_max) {
      return row.prices;
    }
  }
  return kDearest;
}

}  // namespace

int64_t PriceOf(absl::string_view model, const TokenUsage& usage) {
  const TokenPrices& prices =
      PricesOf(model, usage.input + usage.cache_read + usage.cache_write_5m +
                          usage.cache_write_1h);
  using Wide = __int128;
  Wide sum = Wide{usage.input} * prices.input +
             Wide{usage.output} * prices.output +
             Wide{usage.cache_read} * prices.cache_read +
             Wide{usage.cache_write_5m} * prices.cache_write_5m +
             Wide{usage.cache_write_1h} * prices.cache_write_1h;
  return static_cast<int64_t>((sum + 999'999) / 1'000'000);
}

}  // namespace midwatch::harness
