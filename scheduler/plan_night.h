// One night of a plan, with what each task takes and costs given. See
// scheduler/plan.h.
#ifndef MIDWATCH_SCHEDULER_PLAN_NIGHT_H_
#define MIDWATCH_SCHEDULER_PLAN_NIGHT_H_

#include <vector>

#include "scheduler/plan.h"
#include "store/prediction.h"

namespace midwatch {

// `goes` has for each task of `input` what it costs, and how long it is from
// its grant to its settle where no request waits.
PlannedNight PlayNight(const PlanInput& input, const std::vector<Sample>& goes);

}  // namespace midwatch

#endif  // MIDWATCH_SCHEDULER_PLAN_NIGHT_H_
