// Time as a seam: nothing else in the tree may ask the system for it, so that
// the simulator can be the only source of time.
#ifndef MIDWATCH_BASE_CLOCK_H_
#define MIDWATCH_BASE_CLOCK_H_

#include "absl/time/time.h"

namespace midwatch {

// Thread-safe. Waiting is done by an Executor, on whose thread one wakes.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall time: may step in either direction. For people and for storage.
  virtual absl::Time Now() const = 0;
  // Never steps back; stands still while the machine is suspended. The origin
  // is arbitrary and differs between processes.
  virtual absl::Duration Steady() const = 0;
  // Like Steady(), but goes on while the machine is suspended: a worker's term
  // is counted on it, since its scheduler did not sleep.
  virtual absl::Duration Boot() const = 0;
};

}  // namespace midwatch

#endif  // MIDWATCH_BASE_CLOCK_H_
