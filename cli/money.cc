#include "cli/money.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace midwatch::cli {
namespace {

constexpr int64_t kMicrosPerUsd = 1000000;
constexpr size_t kDollarDigitsMax = 12;
constexpr size_t kDecimalsMax = 6;

bool AllDigits(absl::string_view text) {
  for (char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

}  // namespace

std::string FormatUsd(int64_t usd_micros) {
  const bool negative = usd_micros < 0;
  // Unsigned, so that the least number has a magnitude too.
  const uint64_t magnitude = negative ? -static_cast<uint64_t>(usd_micros)
                                      : static_cast<uint64_t>(usd_micros);
  std::string text =
      absl::StrFormat("%s$%d.%06d", negative ? "-" : "",
                      magnitude / kMicrosPerUsd, magnitude % kMicrosPerUsd);
  const size_t cents_end = text.size() - 4;
  while (text.size() > cents_end && text.back() == '0') text.pop_back();
  return text;
}

std::string FormatAboutUsd(int64_t usd_micros) {
  constexpr int64_t kMicrosPerCent = 10'000;
  return FormatUsd((usd_micros + kMicrosPerCent - 1) / kMicrosPerCent *
                   kMicrosPerCent);
}

absl::StatusOr<int64_t> ParseUsd(absl::string_view text) {
  absl::string_view rest = text;
  const bool negative = absl::ConsumePrefix(&rest, "-");
  absl::ConsumePrefix(&rest, "$");
  const size_t point = rest.find('.');
  const absl::string_view dollars = rest.substr(0, point);
  const absl::string_view decimals =
      point == absl::string_view::npos ? "0" : rest.substr(point + 1);
  int64_t whole = 0, fraction = 0;
  if (dollars.empty() || decimals.empty() || !AllDigits(dollars) ||
      !AllDigits(decimals) || dollars.size() > kDollarDigitsMax ||
      decimals.size() > kDecimalsMax || !absl::SimpleAtoi(dollars, &whole) ||
      !absl::SimpleAtoi(
          absl::StrCat(decimals,
                       std::string(kDecimalsMax - decimals.size(), '0')),
          &fraction)) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", text, "' is not an amount of dollars"));
  }
  const int64_t micros = whole * kMicrosPerUsd + fraction;
  return negative ? -micros : micros;
}

}  // namespace midwatch::cli
