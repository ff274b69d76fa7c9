#include "base/real_clock.h"

#include <time.h>

#include "absl/time/clock.h"

namespace midwatch {
namespace {

absl::Duration Read(clockid_t id) {
  timespec now;
  clock_gettime(id, &now);
  return absl::DurationFromTimespec(now);
}

class SystemClock final : public Clock {
 public:
  absl::Time Now() const override { return absl::Now(); }
  absl::Duration Steady() const override { return Read(CLOCK_MONOTONIC); }
  absl::Duration Boot() const override { return Read(CLOCK_BOOTTIME); }
};

}  // namespace

const Clock& RealClock() {
  static const SystemClock* clock = new SystemClock;
  return *clock;
}

}  // namespace midwatch
