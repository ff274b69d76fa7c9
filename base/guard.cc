#include "base/guard.h"

namespace midwatch::guard_internal {

std::atomic<Guard> removed{Guard::kNone};

}  // namespace midwatch::guard_internal
