#include "store/budget_window.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/civil_time.h"
#include "base/status_macros.h"

namespace midwatch {
namespace {

// A path would be read as a file.
bool IsZoneName(const std::string& zone) {
  return !zone.empty() && zone.size() <= 64 &&
         zone.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyz"
             "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
             "0123456789_+-/") == std::string::npos &&
         zone.front() != '/' && zone != "localtime";
}

}  // namespace

absl::StatusOr<absl::TimeZone> FindZone(absl::string_view field,
                                        const std::string& zone) {
  absl::TimeZone time_zone;
  if (IsZoneName(zone) && absl::LoadTimeZone(zone, &time_zone)) {
    return time_zone;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      field, ": '", zone,
      "' is no IANA time zone that this machine knows; expected one such as "
      "Europe/Vienna (its zones are in Debian's package tzdata)"));
}

absl::StatusOr<TimeWindow> WindowAt(v1::BudgetWindow window,
                                    const std::string& zone, absl::Time at) {
  if (window == v1::BUDGET_WINDOW_TOTAL) {
    return TimeWindow{absl::InfinitePast(), absl::InfiniteFuture()};
  }
  ASSIGN_OR_RETURN(absl::TimeZone time_zone, FindZone("time_zone", zone));
  if (window == v1::BUDGET_WINDOW_DAY) {
    absl::CivilDay day = absl::ToCivilDay(at, time_zone);
    return TimeWindow{absl::FromCivil(day, time_zone),
                      absl::FromCivil(day + 1, time_zone)};
  }
  absl::CivilMonth month = absl::ToCivilMonth(at, time_zone);
  return TimeWindow{absl::FromCivil(month, time_zone),
                    absl::FromCivil(month + 1, time_zone)};
}

}  // namespace midwatch
