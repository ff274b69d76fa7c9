#include "cli/price_file.h"

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/config_file.h"
#include "cli/money.h"
#include "cli/utf8.h"
#include "cli/yaml_reader.h"

namespace midwatch::cli {
namespace {

constexpr int64_t kUsdPriceMax = 1'000'000'000;  // a thousand dollars
constexpr int64_t kPromptTokensMax = 1'000'000'000;

class PriceReader {
 public:
  explicit PriceReader(Complaints& complaints) : complaints_(complaints) {}

  void Read(const YAML::Node& root, PriceTable& table) {
    ReadMap(
        root, "a price table",
        {{"as_of",
          [&](const YAML::Node& n) {
            if (auto text = ReadText(n, "as_of", complaints_)) {
              table.as_of = Printable(*text);
            }
          }},
         {"models", [&](const YAML::Node& n) { ReadModels(n, table); }, true}},
        complaints_);
  }

 private:
  void ReadModels(const YAML::Node& node, PriceTable& table) {
    if (!node.IsMap()) {
      complaints_.Add(node.Mark(), "models is no map; expected model: prices");
      return;
    }
    std::map<std::string, bool> seen;
    for (const auto& entry : node) {
      const std::string name =
          entry.first.IsScalar() ? entry.first.Scalar() : "";
      if (name.empty() || Printable(name) != name) {
        complaints_.Add(entry.first.Mark(), "expected the name of a model");
        continue;
      }
      if (!seen.emplace(name, true).second) {
        complaints_.Add(entry.first.Mark(),
                        absl::StrCat("model '", name, "' comes twice"));
      }
      table.models[name] = ReadTiers(entry.second);
    }
  }

  std::vector<PriceTier> ReadTiers(const YAML::Node& node) {
    std::vector<PriceTier> tiers;
    if (!node.IsSequence()) {
      tiers.push_back(ReadTier(node));
    } else {
      for (const YAML::Node& item : node) tiers.push_back(ReadTier(item));
    }
    CheckOrder(node, tiers);
    return tiers;
  }

  void CheckOrder(const YAML::Node& node, const std::vector<PriceTier>& tiers) {
    int64_t before = 0;
    for (size_t i = 0; i < tiers.size(); ++i) {
      const int64_t most = tiers[i].prompt_tokens_max;
      const bool last = i + 1 == tiers.size();
      if (last ? most == 0 : most > before) {
        before = most;
        continue;
      }
      complaints_.Add(node.IsSequence() ? node[i].Mark() : node.Mark(),
                      last ? "the last prices have prompt_up_to; expected "
                             "prices for any length at the end"
                           : "expected prompt_up_to, rising, in all prices "
                             "but the last");
      return;
    }
    if (tiers.empty()) complaints_.Add(node.Mark(), "expected prices");
  }

  PriceTier ReadTier(const YAML::Node& node) {
    PriceTier tier;
    TokenPrices& prices = tier.prices;
    std::optional<int64_t> write_5m, write_1h, read;
    auto into = [&](const char* what, int64_t& price) {
      return YamlKey{what, [this, what, &price](const YAML::Node& n) {
                       if (auto v = Usd(n, what)) price = *v;
                     }};
    };
    auto maybe = [&](const char* what, std::optional<int64_t>& price) {
      return YamlKey{what, [this, what, &price](const YAML::Node& n) {
                       price = Usd(n, what);
                     }};
    };
    ReadMap(
        node, "the prices of a model",
        {into("input", prices.input),
         into("output", prices.output),
         into("request", prices.request),
         maybe("cache_write_5m", write_5m),
         maybe("cache_write_1h", write_1h),
         maybe("cache_read", read),
         {"prompt_up_to",
          [&](const YAML::Node& n) { tier.prompt_tokens_max = Tokens(n); }}},
        complaints_);
    prices.cache_write_5m = write_5m.value_or(prices.input + prices.input / 4);
    prices.cache_write_1h = write_1h.value_or(2 * prices.input);
    prices.cache_read = read.value_or(prices.input / 10);
    return tier;
  }

  std::optional<int64_t> Usd(const YAML::Node& node, const char* what) {
    std::optional<std::string> text = ReadText(node, what, complaints_);
    if (!text) return std::nullopt;
    absl::StatusOr<int64_t> price = ParseUsd(*text);
    if (price.ok() && *price >= 0 && *price <= kUsdPriceMax) return *price;
    complaints_.Add(node.Mark(),
                    absl::StrCat(what, " is '", Printable(*text),
                                 "'; expected dollars such as 0.25, up to ",
                                 FormatUsd(kUsdPriceMax)));
    return std::nullopt;
  }

  int64_t Tokens(const YAML::Node& node) {
    std::optional<std::string> text =
        ReadText(node, "prompt_up_to", complaints_);
    int64_t tokens = 0;
    if (!text) return 0;
    if (absl::SimpleAtoi(*text, &tokens) && tokens > 0 &&
        tokens <= kPromptTokensMax) {
      return tokens;
    }
    complaints_.Add(node.Mark(),
                    absl::StrCat("prompt_up_to is '", Printable(*text),
                                 "'; expected a number of tokens"));
    return 0;
  }

  Complaints& complaints_;
};

nlohmann::json UsdJson(int64_t micros) {
  return static_cast<double>(micros) / 1e6;
}

nlohmann::ordered_json TierToJson(const PriceTier& tier) {
  const TokenPrices& prices = tier.prices;
  nlohmann::ordered_json out;
  if (tier.prompt_tokens_max > 0) out["prompt_up_to"] = tier.prompt_tokens_max;
  if (prices.request > 0) out["request"] = UsdJson(prices.request);
  out["input"] = UsdJson(prices.input);
  out["cache_write_5m"] = UsdJson(prices.cache_write_5m);
  out["cache_write_1h"] = UsdJson(prices.cache_write_1h);
  out["cache_read"] = UsdJson(prices.cache_read);
  out["output"] = UsdJson(prices.output);
  return out;
}

}  // namespace

absl::StatusOr<PriceTable> LoadPrices(const std::string& path) {
  PriceTable table = BuiltInPrices();
  if (path.empty()) return table;
  ASSIGN_OR_RETURN(std::string text, ReadConfigFile(path, "a price table"));
  Complaints complaints(path);
  std::optional<YAML::Node> root =
      ParseYaml(text, absl::EndsWith(path, ".json"), complaints);
  if (root) PriceReader(complaints).Read(*root, table);
  RETURN_IF_ERROR(complaints.ToStatus());
  return table;
}

std::string PricesToJson(const PriceTable& table) {
  nlohmann::ordered_json out;
  out["as_of"] = table.as_of;
  for (const auto& [model, tiers] : table.models) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const PriceTier& tier : tiers) list.push_back(TierToJson(tier));
    out["models"][model] = tiers.size() == 1 ? list[0] : list;
  }
  return out.dump(2);
}

}  // namespace midwatch::cli
