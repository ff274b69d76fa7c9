// Named places at which a test kills the process, to see that nothing is lost.
//
// Off by default: a disabled point is one relaxed load. The environment
// switches one on: MIDWATCH_FAULT=store.commit.after:3 ends the process, as
// kill -9 would, when that point is passed for the third time.
#ifndef MIDWATCH_BASE_FAULT_POINTS_H_
#define MIDWATCH_BASE_FAULT_POINTS_H_

#include <atomic>

namespace midwatch {

namespace fault_internal {
extern std::atomic<bool> enabled;
void Pass(const char* name);
}  // namespace fault_internal

// Reads MIDWATCH_FAULT; called once by main.
//   Exits with a message where the variable is malformed or names no point.
void EnableFaultPointsFromEnvironment();

// All names; tests/e2e/fault_points_test.py strikes at each.
extern const char* const kFaultPoints[];
extern const int kFaultPointCount;

inline void FaultPoint(const char* name) {
  if (fault_internal::enabled.load(std::memory_order_relaxed)) {
    fault_internal::Pass(name);
  }
}

}  // namespace midwatch

#endif  // MIDWATCH_BASE_FAULT_POINTS_H_
