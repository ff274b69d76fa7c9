// When the window of a budget begins and ends.
#ifndef MIDWATCH_STORE_BUDGET_WINDOW_H_
#define MIDWATCH_STORE_BUDGET_WINDOW_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "midwatch/v1/budget_service.pb.h"

namespace midwatch {

//   kInvalidArgument  no such zone on this machine; `field` begins the message
absl::StatusOr<absl::TimeZone> FindZone(absl::string_view field,
                                        const std::string& zone);

// [start, end).
struct TimeWindow {
  absl::Time start, end;

  friend bool operator==(const TimeWindow&, const TimeWindow&) = default;
};

// The window that holds `at`: civil days and months in `zone`, whatever its
// clocks do, so some days have 23 or 25 hours. All of time for TOTAL.
//   kInvalidArgument  no such zone on this machine
absl::StatusOr<TimeWindow> WindowAt(v1::BudgetWindow window,
                                    const std::string& zone, absl::Time at);

}  // namespace midwatch

#endif  // MIDWATCH_STORE_BUDGET_WINDOW_H_
