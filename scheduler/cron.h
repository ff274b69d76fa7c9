// When a schedule is due: five fields of cron, on the clocks of a time zone.
#ifndef MIDWATCH_SCHEDULER_CRON_H_
#define MIDWATCH_SCHEDULER_CRON_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"

namespace midwatch {

// See v1::Timing.cron for what is written, and for what happens where clocks
// change. A value; nothing of it changes once it is parsed.
class Cron {
 public:
  //   kInvalidArgument  which field, at which column, and what was expected; or
  //                     a day that never comes, such as 30 February
  static absl::StatusOr<Cron> Parse(absl::string_view text);

  // The first time after `after`. InfiniteFuture where there is none in the
  // next hundred years.
  absl::Time Next(absl::Time after, const absl::TimeZone& zone) const;

 private:
  friend class CronParser;
  // A bit for each number that a field names.
  struct Fields {
    uint64_t minutes = 0, hours = 0, days = 0, months = 0, weekdays = 0;
  };

  Cron() = default;
  bool Has(uint64_t set, int number) const { return (set >> number) & 1; }
  bool MatchesDay(absl::CivilDay day) const;
  // The first of the fields' local times at `from` or later; `end` where none
  // is before that.
  absl::CivilMinute NextLocal(absl::CivilMinute from,
                              absl::CivilMinute end) const;
  absl::Time NextByClock(absl::Time after, const absl::TimeZone& zone) const;
  absl::Time NextByElapsed(absl::Time after, const absl::TimeZone& zone) const;

  Fields fields_;
  // The field begins with *: it restricts nothing, or (with a step) little.
  bool any_hour_ = false, any_day_ = false, any_weekday_ = false;
};

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_CRON_H_
