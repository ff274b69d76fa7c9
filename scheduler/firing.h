// Whether a schedule fires, now or later, and what becomes of times that have
// passed. Pure: the store shows where the schedule stands and carries out what
// is decided, in one transaction.
#ifndef MIDWATCH_SCHEDULER_FIRING_H_
#define MIDWATCH_SCHEDULER_FIRING_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "scheduler/cron.h"
#include "store/firing_view.h"

namespace midwatch {

// A time seen later than this has been missed.
inline constexpr absl::Duration kLateAfter = absl::Minutes(1);
// Of times that passed together so many are looked at, the newest.
inline constexpr int kCatchUpMax = 10;
// So many wait for an earlier batch.
inline constexpr int kQueuedMax = 10;
// A schedule whose time zone the machine no longer knows is looked at again.
inline constexpr absl::Duration kUnknownZoneWait = absl::Hours(1);

// A timing that can be followed.
struct Rhythm {
  Cron cron;
  absl::TimeZone zone;

  // The first time after `after`, or InfiniteFuture.
  absl::Time Next(absl::Time after) const { return cron.Next(after, zone); }
};
//   kInvalidArgument  the cron text or the zone, as "field: what is wrong"
absl::StatusOr<Rhythm> ReadRhythm(const v1::Timing& timing);

// When the schedule fires for `due`: at most `jitter` later, the same each
// time it is asked, and before the time that follows.
absl::Time FireTime(const std::string& schedule, const v1::Timing& timing,
                    const Rhythm& rhythm, absl::Time due);

// See v1::Firing.batch_name.
std::string FiringName(const std::string& schedule, absl::Time due,
                       const absl::TimeZone& zone);
std::string RunName(const FiringView& view, absl::Time now);

FiringDecision DecideFirings(const FiringView& view, absl::Time now);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_FIRING_H_
