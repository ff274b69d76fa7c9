#ifndef MIDWATCH_BASE_REAL_CLOCK_H_
#define MIDWATCH_BASE_REAL_CLOCK_H_

#include "base/clock.h"

namespace midwatch {

// The machine's clocks. Lives as long as the process.
const Clock& RealClock();

}  // namespace midwatch

#endif  // MIDWATCH_BASE_REAL_CLOCK_H_
