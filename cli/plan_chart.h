#ifndef MIDWATCH_CLI_PLAN_CHART_H_
#define MIDWATCH_CLI_PLAN_CHART_H_

#include <string>

#include "cli/plan_view.h"
#include "scheduler/plan.h"

namespace midwatch::cli {

// A picture of the plan, SVG: what is spent and set aside over the night beside
// the budget, how many tasks run, and which limit binds when. Dark where its
// reader prefers that. Pure.
std::string PlanChart(const PlanWords& words, const PlanInput& input,
                      const Plan& plan);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_PLAN_CHART_H_
