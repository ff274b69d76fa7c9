// `midwatch prices`.
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/money.h"
#include "cli/price_file.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

std::string PriceText(const PriceTable& table, int width) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& [model, tiers] : table.models) {
    for (const PriceTier& tier : tiers) {
      const TokenPrices& p = tier.prices;
      rows.push_back({Printable(model),
                      tier.prompt_tokens_max > 0
                          ? absl::StrCat("up to ", tier.prompt_tokens_max)
                          : "any",
                      FormatUsd(p.input), FormatUsd(p.cache_write_5m),
                      FormatUsd(p.cache_write_1h), FormatUsd(p.cache_read),
                      FormatUsd(p.output),
                      p.request > 0 ? FormatUsd(p.request) : "-"});
    }
  }
  return FormatTable({{"MODEL"},
                      {"PROMPT"},
                      {"INPUT"},
                      {"WRITE 5M"},
                      {"WRITE 1H"},
                      {"READ"},
                      {"OUTPUT"},
                      {"A REQUEST"}},
                     rows, width);
}

}  // namespace

int Prices(const GlobalOptions& global, const std::string& path) {
  absl::StatusOr<PriceTable> table = LoadPrices(path);
  if (!table.ok()) return Report(table.status());
  if (global.json) {
    std::puts(PricesToJson(*table).c_str());
  } else {
    std::printf("Dollars for a million tokens, as of %s:\n%s",
                table->as_of.c_str(),
                PriceText(*table, Terminal().width()).c_str());
  }
  return kExitSucceeded;
}

}  // namespace midwatch::cli
