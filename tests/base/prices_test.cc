#include "base/prices.h"

#include <gtest/gtest.h>

namespace midwatch {
namespace {

TEST(PriceOfTest, MatchesTheList) {
  TokenUsage usage;
  usage.input = 1'000'000;
  usage.output = 100'000;
  usage.cache_read = 10'000;
  usage.cache_write_5m = 1'000;
  usage.cache_write_1h = 100;
  // 3 + 1.5 + 0.003 + 0.00375 + 0.0006 dollars.
  EXPECT_EQ(PriceOf(BuiltInPrices(), "claude-sonnet-4-5", usage), 4'507'350);
  EXPECT_EQ(PriceOf(BuiltInPrices(), "claude-sonnet-4-5-20250929", usage),
            4'507'350);
  EXPECT_EQ(PriceOf(BuiltInPrices(), "claude-sonnet-4-5-x", usage),
            PriceOf(BuiltInPrices(), "unknown", usage));
  EXPECT_EQ(PriceOf(BuiltInPrices(), "unknown", usage),
            PriceOf(BuiltInPrices(), "claude-fable-5", usage));
}

TEST(PriceOfTest, RoundsUpAndKnowsTiers) {
  TokenUsage usage;
  usage.input = 1;
  EXPECT_EQ(PriceOf(BuiltInPrices(), "claude-haiku-5-5", usage), 1);
  usage.input = 90'000;
  usage.cache_read = 10'000;
  EXPECT_EQ(PriceOf(BuiltInPrices(), "claude-haiku-5-5", usage), 9'000 + 100);
  usage.cache_read = 10'001;
  EXPECT_EQ(PriceOf(BuiltInPrices(), "claude-haiku-5-5", usage), 45'000 + 501);
  EXPECT_EQ(PriceOf(BuiltInPrices(), "claude-haiku-5-5", TokenUsage()), 0);
}

TEST(FindPriceTest, OfOnesOwnTable) {
  PriceTable table;
  table.models["mine"] = {{1000, {.input = 1'000'000, .request = 5}},
                          {0, {.input = 2'000'000}}};
  TokenUsage usage;
  usage.input = 1000;
  EXPECT_EQ(FindPrice(table, "mine", usage), 1005);
  EXPECT_EQ(FindPrice(table, "mine-20261001", usage), 1005);
  usage.input = 1001;
  EXPECT_EQ(FindPrice(table, "mine", usage), 2002);
  EXPECT_EQ(FindPrice(table, "yours", usage), std::nullopt);
  EXPECT_EQ(PriceOf(table, "yours", usage), 2002);
}

}  // namespace
}  // namespace midwatch
