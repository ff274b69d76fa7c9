// What `midwatch doctor` finds out about the machine.
#ifndef MIDWATCH_CLI_MACHINE_CHECK_H_
#define MIDWATCH_CLI_MACHINE_CHECK_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "cli/finding.h"

namespace midwatch::cli {

Finding CheckHardware();
// Whether this process may open enough files for `streams` event streams.
Finding CheckOpenFiles(int streams);
// Starts a sandbox for real, in a directory of its own below `state_dir`.
Findings CheckSandbox(const std::string& state_dir);
// What the kernel offers beside it.
Finding CheckSeccomp();
Finding CheckCgroups();
// Room below `state_dir`, and how long it takes to make a write durable.
Findings CheckDisk(const std::string& state_dir, const Clock& clock);
// Whether the wall clock went as the steady one did, from one reading of both
// to the next, and shows a possible date.
struct ClockReading {
  absl::Time wall;
  absl::Duration steady;
};
Finding CheckClock(const ClockReading& before, const ClockReading& after);

// How long a write takes, worst last; REQUIRES: not empty, sorted.
struct FlushLatency {
  absl::Duration p50;
  absl::Duration p99;
};
FlushLatency LatencyOf(const std::vector<absl::Duration>& sorted);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_MACHINE_CHECK_H_
