#include "store/budget_window.h"

#include <gtest/gtest.h>

#include "absl/time/civil_time.h"
#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

TEST(BudgetWindowTest, DaysFollowTheClocksOfTheirZone) {
  absl::TimeZone vienna;
  ASSERT_TRUE(absl::LoadTimeZone("Europe/Vienna", &vienna));
  // The night in which an hour is left out.
  absl::Time noon = absl::FromCivil(absl::CivilHour(2026, 3, 29, 12), vienna);
  auto window = WindowAt(v1::BUDGET_WINDOW_DAY, "Europe/Vienna", noon);
  ASSERT_OK(window);
  EXPECT_EQ(window->start, absl::FromCivil(absl::CivilHour(2026, 3, 28, 23),
                                           absl::UTCTimeZone()));
  EXPECT_EQ(window->end - window->start, absl::Hours(23));
  auto next = WindowAt(v1::BUDGET_WINDOW_DAY, "Europe/Vienna", window->end);
  ASSERT_OK(next);
  EXPECT_EQ(next->start, window->end);
  auto month = WindowAt(v1::BUDGET_WINDOW_MONTH, "UTC", noon);
  ASSERT_OK(month);
  EXPECT_EQ(month->end - month->start, absl::Hours(24 * 31));
}

}  // namespace
}  // namespace midwatch
