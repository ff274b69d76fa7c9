#include "cli/forecast_views.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "cli/counts.h"
#include "cli/money.h"
#include "cli/times.h"

namespace midwatch::cli {

std::string ForecastWords(const v1::Forecast& forecast,
                          absl::string_view each) {
  return absl::StrCat(FormatUsd(forecast.cost_p50_usd_micros()), ", ",
                      FormatSpan(ToDuration(forecast.time_p50())), each,
                      "; 9 in 10 within ",
                      FormatUsd(forecast.cost_p90_usd_micros()), ", ",
                      FormatSpan(ToDuration(forecast.time_p90())), " (of ",
                      forecast.samples(), ")");
}

std::string CalibrationWords(const v1::Calibration& held) {
  auto percent = [&](int64_t within) {
    return absl::StrCat((100 * within + held.foretold() / 2) / held.foretold(),
                        " %");
  };
  return absl::StrCat("cost ", percent(held.cost_within_p90()),
                      " within p90, time ", percent(held.time_within_p90()),
                      " within p90 (", CountOf(held.foretold(), "task"), ")");
}

}  // namespace midwatch::cli
