#include "base/external_id.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

using testing::StatusIs;

struct IdCase {
  const char* name;
  ExternalId id;
  const char* text;
};

class ExternalIdTest : public ::testing::TestWithParam<IdCase> {};

TEST_P(ExternalIdTest, IsWrittenAndReadBack) {
  const IdCase& c = GetParam();
  EXPECT_EQ(FormatExternalId(c.id), c.text);
  EXPECT_EQ(ParseExternalId(c.text).value(), c.id);
}

INSTANTIATE_TEST_SUITE_P(
    Table, ExternalIdTest,
    ::testing::ValuesIn<IdCase>({
        {"Least", {0, 0, 1}, "00000000000000000000000001"},
        {"LastDigit", {0, 0, 31}, "0000000000000000000000000Z"},
        {"Carry", {0, 0, 32}, "00000000000000000000000010"},
        {"Row", {0, 0, INT64_MAX}, "00000000000007ZZZZZZZZZZZZ"},
        {"Cluster", {0, 1, 1}, "0000000000000G000000000001"},
        {"Time", {1, 0, 1}, "00000000010000000000000001"},
        {"Greatest",
         {(int64_t{1} << 48) - 1, 0xffff, INT64_MAX},
         "7ZZZZZZZZZZZZQZZZZZZZZZZZZ"},
    }),
    [](const auto& c) { return std::string(c.param.name); });

TEST(ExternalIdOrderTest, SortsByTimeFirst) {
  EXPECT_LT(FormatExternalId({1000, 0xffff, 9}),
            FormatExternalId({1001, 0, 1}));
  EXPECT_LT(FormatExternalId({1000, 7, 9}), FormatExternalId({1000, 7, 10}));
}

TEST(ParseExternalIdTest, ForgivesWhatPeopleType) {
  EXPECT_EQ(ParseExternalId("oOiIlL000000g000000000000z").value(),
            ParseExternalId("001111000000G000000000000Z").value());
}

TEST(ParseExternalIdTest, RefusesWhatNamesNoRow) {
  for (const char* text :
       {"", "1", "0000000000000000000000001", "000000000000000000000000001",
        "0000000000000000000000000U", "0000000000000000000000000-",
        // No row, a negative one, and more than 128 bits.
        "00000000000000000000000000", "0000000000000G000000000000",
        "000000000000080000000000000", "0000000000000FZZZZZZZZZZZZ",
        "80000000000000000000000001"}) {
    EXPECT_THAT(ParseExternalId(text),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << text;
  }
}

}  // namespace
}  // namespace midwatch
