#include "scheduler/rule_proto.h"

#include <cmath>
#include <string>

#include "store/batch_rules.h"

namespace midwatch {
namespace {

constexpr int32_t kCanaryTasksMax = 1000;
constexpr int32_t kCountMax = 1'000'000;
constexpr int64_t kCostMin = 10'000;
constexpr int64_t kCostMax = 1'000'000'000'000'000;

double ToPart(int64_t millionths) {
  return static_cast<double>(millionths) / kWhole;
}

// More than 0 and at most 1, in millionths.
int64_t ReadPart(const std::string& field, double part,
                 FieldViolations& wrong) {
  if (part >= 0.5 / kWhole && part <= 1) return std::llround(part * kWhole);
  wrong.Add(field, part, "; expected a part, over 0 and at most 1");
  return kWhole;
}

void CheckCount(const std::string& field, int32_t count,
                FieldViolations& wrong) {
  if (count >= 1 && count <= kCountMax) return;
  wrong.Add(field, count, "; expected 1 to ", kCountMax);
}

CanaryRule ReadCanary(const v1::Canary& canary, FieldViolations& wrong) {
  CanaryRule rule{.tasks = canary.tasks(),
                  .max_cost = canary.max_cost_usd_micros()};
  if (rule.tasks < 1 || rule.tasks > kCanaryTasksMax) {
    wrong.Add("canary.tasks", rule.tasks, "; expected 1 to ", kCanaryTasksMax);
  }
  if (canary.has_min_success()) {
    rule.min_success =
        ReadPart("canary.min_success", canary.min_success(), wrong);
  }
  if (rule.max_cost != 0 &&
      (rule.max_cost < kCostMin || rule.max_cost > kCostMax)) {
    wrong.Add("canary.max_cost_usd_micros", rule.max_cost, "; expected ",
              kCostMin, " (one cent) to ", kCostMax, ", or none");
  }
  return rule;
}

StopRule ReadStopRule(const v1::StopRule& stop, FieldViolations& wrong) {
  StopRule rule{.failed = stop.failed(), .after = stop.after()};
  if (stop.failed() != 0) {
    CheckCount("stop_when.failed", stop.failed(), wrong);
  }
  if (stop.failed_ratio() != 0) {
    rule.failed_ratio =
        ReadPart("stop_when.failed_ratio", stop.failed_ratio(), wrong);
    CheckCount("stop_when.after", stop.after(), wrong);
  } else if (stop.after() != 0) {
    wrong.Add("stop_when.after", stop.after(), "; it is for failed_ratio");
  } else if (stop.failed() == 0) {
    wrong.Add("stop_when", "expected failed, or failed_ratio and after");
  }
  return rule;
}

}  // namespace

void ReadRules(const v1::OpenBatch& open, OpenBatch& write,
               FieldViolations& wrong) {
  if (open.has_canary()) write.canary = ReadCanary(open.canary(), wrong);
  if (open.has_stop_when()) {
    write.stop_when = ReadStopRule(open.stop_when(), wrong);
  }
}

v1::CanaryState ToProto(const CanaryRecord& canary) {
  v1::CanaryState out;
  v1::Canary& rule = *out.mutable_rule();
  rule.set_tasks(static_cast<int32_t>(canary.rule.tasks));
  rule.set_min_success(ToPart(canary.rule.min_success));
  rule.set_max_cost_usd_micros(canary.rule.max_cost);
  out.set_verdict(canary.verdict);
  out.set_tasks(canary.tasks);
  out.set_succeeded(canary.succeeded);
  out.set_failed(canary.failed);
  out.set_left_out(canary.left_out);
  out.set_charged_usd_micros(canary.charged);
  out.set_reason(canary.why);
  return out;
}

v1::StopState ToProto(const StopRecord& stop) {
  v1::StopState out;
  v1::StopRule& rule = *out.mutable_rule();
  rule.set_failed(static_cast<int32_t>(stop.rule.failed));
  rule.set_failed_ratio(ToPart(stop.rule.failed_ratio));
  rule.set_after(static_cast<int32_t>(stop.rule.after));
  out.set_failed(stop.failed);
  out.set_ended(stop.ended);
  out.set_stopped(stop.stopped);
  return out;
}

}  // namespace midwatch
