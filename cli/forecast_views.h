// Forecasts in words.
#ifndef MIDWATCH_CLI_FORECAST_VIEWS_H_
#define MIDWATCH_CLI_FORECAST_VIEWS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "midwatch/v1/batch_service.pb.h"
#include "midwatch/v1/task.pb.h"

namespace midwatch::cli {

// "$0.02, 12.1 s", then `each`, "; 9 in 10 within $0.05, 40 s (of 256)".
std::string ForecastWords(const v1::Forecast& forecast, absl::string_view each);

// How well forecasts held, of those there were: "cost 92 % within p90, time ...
// (40 tasks)".
std::string CalibrationWords(const v1::Calibration& held);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_FORECAST_VIEWS_H_
