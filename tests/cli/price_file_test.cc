#include "cli/price_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace midwatch::cli {
namespace {

using ::testing::HasSubstr;
using testing::StatusIs;

class PriceFileTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    std::string path = dir_ / name;
    std::ofstream(path) << text;
    return path;
  }
  testing::TempDir dir_;
};

TEST_F(PriceFileTest, AddsToTheBuiltInPricesOrStandsInTheirPlace) {
  absl::StatusOr<PriceTable> table = LoadPrices(
      Write("prices.yaml",
            "as_of: 2026-11-01\n"
            "models:\n"
            "  mine: {input: 1, output: $5}\n"
            "  runbook: {request: 0.02}\n"
            "  claude-haiku-5-5:\n"
            "    - {prompt_up_to: 5, input: 2, cache_read: 0.01}\n"
            "    - {input: 3, cache_write_5m: 4, cache_write_1h: 5}\n"));
  ASSERT_OK(table);
  EXPECT_EQ(table->as_of, "2026-11-01");
  const PriceTier mine{
      0, {1'000'000, 1'250'000, 2'000'000, 100'000, 5'000'000, 0}};
  EXPECT_EQ(table->models["mine"], std::vector<PriceTier>{mine});
  EXPECT_EQ(table->models["runbook"][0].prices.request, 20'000);
  ASSERT_EQ(table->models["claude-haiku-5-5"].size(), 2u);
  EXPECT_EQ(table->models["claude-haiku-5-5"][0].prices.cache_read, 10'000);
  EXPECT_EQ(table->models["claude-haiku-5-5"][1].prices.cache_write_1h,
            5'000'000);
  EXPECT_EQ(table->models["claude-opus-5"],
            BuiltInPrices().models.at("claude-opus-5"));
}

TEST_F(PriceFileTest, WhatIsPrintedIsAFile) {
  absl::StatusOr<PriceTable> table =
      LoadPrices(Write("prices.json", PricesToJson(BuiltInPrices())));
  ASSERT_OK(table);
  EXPECT_EQ(*table, BuiltInPrices());
  EXPECT_EQ(LoadPrices("").value(), BuiltInPrices());
}

TEST_F(PriceFileTest, SaysWhereItIsWrong) {
  struct Case {
    const char* text;
    const char* want;
  };
  for (const Case& c : {
           Case{"models: [a]\n", "1:9: models is no map"},
           Case{"models: {m: {input: -1}}\n", "1:21: input is '-1'; expected"},
           Case{"models: {m: {input: 1e3}}\n", "1:21: input is '1e3'"},
           Case{"models: {m: {input: 1001}}\n", "up to $1000.00"},
           Case{"models: {m: {inputs: 1}}\n", "1:14: "},
           Case{"models: {m: []}\n", "1:13: expected prices"},
           Case{"models: {m: [{input: 1}, {input: 2}]}\n",
                "1:14: expected prompt_up_to, rising"},
           Case{"models: {m: {prompt_up_to: 9, input: 1}}\n",
                "1:13: the last prices have prompt_up_to"},
           Case{"models: {m: {prompt_up_to: many}}\n",
                "1:28: prompt_up_to is 'many'"},
           Case{"models: {m: {input: 1}, m: {input: 2}}\n",
                "model 'm' comes twice"},
           Case{"as_of: 2026-01-01\n", "models"},
       }) {
    EXPECT_THAT(LoadPrices(Write("wrong.yaml", c.text)),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.want)))
        << c.text;
  }
  EXPECT_THAT(
      LoadPrices(dir_ / "none.yaml"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cannot read")));
}

}  // namespace
}  // namespace midwatch::cli
