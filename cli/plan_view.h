// A plan as people and as programs read it. Pure.
#ifndef MIDWATCH_CLI_PLAN_VIEW_H_
#define MIDWATCH_CLI_PLAN_VIEW_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/json_views.h"
#include "midwatch/v1/batch_service.pb.h"
#include "midwatch/v1/task.pb.h"
#include "scheduler/plan.h"

namespace midwatch::cli {

// What a plan was made from, beside its figures.
struct PlanWords {
  v1::OpenBatch open;
  // By kind: how many tasks, what is known of them (no samples: nothing), and
  // one of their names.
  struct Kind {
    int64_t tasks = 0;
    v1::Forecast forecast;
    std::string example;
  };
  std::vector<Kind> kinds;
  std::string limits_from, jobs_from;  // "--limits", "assumed, as documented"
  std::vector<std::string> notes;
  // The first ones, for JSON.
  std::vector<std::string> names;
};

// All run, and none is late.
bool Fits(const PlannedNight& night);

std::string PlanText(const PlanWords& words, const PlanInput& input,
                     const Plan& plan, int width);
Json PlanToJson(const PlanWords& words, const PlanInput& input,
                const Plan& plan);

// "create rate (300 a minute, shared with writes)".
std::string LimitWords(PlanLimit limit, const PlanInput& input);
// Without those that are shorter than a hundredth of the whole.
std::vector<PlanInterval> MainIntervals(const PlanSeries& series);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_PLAN_VIEW_H_
