#include "scheduler/wait_policy.h"

#include <algorithm>

#include "store/proto_time.h"

namespace midwatch {

v1::SayKind AnswerOf(const v1::TaskSpec& spec, const v1::Question& question) {
  if (question.wants_result() || question.has_spent_usd_micros()) {
    return v1::SAY_KIND_UNSPECIFIED;
  }
  switch (spec.answers()) {
    case v1::ANSWER_POLICY_ALLOW:
      return v1::SAY_KIND_ALLOW;
    case v1::ANSWER_POLICY_DENY:
      return v1::SAY_KIND_DENY;
    default:
      return v1::SAY_KIND_UNSPECIFIED;
  }
}

BudgetAnswer DecideRaise(const v1::TaskSpec& spec, const BudgetSpent& spent) {
  constexpr int64_t kMicrosPerCent = 10'000;
  if (spec.on_budget() != v1::BUDGET_POLICY_RAISE) return {};
  const int64_t most = spec.raise_to_usd_micros() - spent.earlier;
  if (most < spent.spent + kMicrosPerCent) return {BudgetAnswer::kEnd};
  const int64_t to =
      std::max(spent.budget, spent.spent) + spec.max_cost_usd_micros();
  return {BudgetAnswer::kRaise, std::min(to, most)};
}

absl::Duration AnswerWithin(const v1::TaskSpec& spec) {
  const absl::Duration within = FromDuration(spec.answer_within());
  return within > absl::ZeroDuration() ? within : absl::Hours(12);
}

WaitPolicy SpecWaitPolicy() { return {AnswerOf, DecideRaise, AnswerWithin}; }

}  // namespace midwatch
