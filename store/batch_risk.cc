#include "store/batch_risk.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "store/proto_time.h"

namespace midwatch {
namespace {

constexpr double kUsdMicros = 1e6;
constexpr double kStandardErrors = 2;
constexpr double kOfTimeLeft = 0.9;

std::string Dollars(double usd_micros) {
  return absl::StrFormat("$%.2f", usd_micros / kUsdMicros);
}

// "1h 10m": whole minutes, a minute at least.
std::string About(absl::Duration span) {
  const int64_t minutes =
      std::max<int64_t>(1, absl::ToInt64Minutes(span + absl::Seconds(30)));
  if (minutes < 60) return absl::StrCat(minutes, "m");
  return absl::StrCat(minutes / 60, "h ", minutes % 60, "m");
}

// What the batch needs in all, and how much of that may be error.
struct Need {
  double usd_micros = 0, error = 0;
};

Need NeedOf(const RiskView& view) {
  const RiskTally& tally = view.tally;
  const double n = static_cast<double>(tally.ended);
  const double left = static_cast<double>(view.left);
  const double mean = static_cast<double>(tally.cost) / n;
  const double in_dollars = mean / kUsdMicros;
  const double variance =
      std::max(0.0, tally.squares / n - in_dollars * in_dollars) * n / (n - 1);
  // Of the tasks' own scatter, and of the mean's.
  const double error =
      kUsdMicros * std::sqrt(variance * (left + left * left / n));
  const double total =
      std::max(static_cast<double>(view.charged),
               static_cast<double>(view.charged - view.sunk) + mean * left);
  // The last task starts only where its reservation fits.
  const double reserved = static_cast<double>(tally.reserved) / n;
  return {total + std::max(0.0, reserved - mean), error};
}

absl::Duration TimeLeft(const RiskView& view, absl::Time now) {
  const RiskTally& tally = view.tally;
  const double left = static_cast<double>(view.left);
  const double n = static_cast<double>(tally.ended);
  // One has just ended, and its place is taken.
  const double at_once = static_cast<double>(
      std::max<int64_t>(1, view.running + (view.queued > 0 ? 1 : 0)));
  // What runs is half done.
  const absl::Duration by_work =
      tally.time / n * std::max(0.0, left / at_once - 0.5);
  const absl::Duration by_pace = (now - tally.since) / n * left;
  return std::min(by_work, by_pace);
}

void Append(std::string& reason, absl::string_view more) {
  absl::StrAppend(&reason, reason.empty() ? "" : "; ", more);
}

void JudgeBudget(const RiskView& view, v1::Risk& risk, std::string& reason) {
  if (!view.budget) return;
  const Need need = NeedOf(view);
  if (need.usd_micros - kStandardErrors * need.error <=
      static_cast<double>(*view.budget)) {
    return;
  }
  risk.set_over_budget(true);
  risk.set_budget_usd_micros(*view.budget);
  risk.set_projected_usd_micros(std::llround(need.usd_micros));
  Append(reason, absl::StrCat("needs about ", Dollars(need.usd_micros),
                              ", of a budget of ",
                              Dollars(static_cast<double>(*view.budget))));
}

void JudgePace(const RiskView& view, absl::Time now, v1::Risk& risk,
               std::string& reason) {
  if (view.deadline == absl::InfiniteFuture()) return;
  const absl::Duration rest = TimeLeft(view, now);
  if (now + kOfTimeLeft * rest <= view.deadline) return;
  risk.set_over_deadline(true);
  *risk.mutable_deadline() = ToTimestamp(view.deadline);
  *risk.mutable_projected_end() = ToTimestamp(now + rest);
  Append(reason, absl::StrCat("ends about ", About(now + rest - view.deadline),
                              " after its deadline"));
}

}  // namespace

std::optional<v1::Risk> JudgeRisk(const RiskView& view, absl::Time now) {
  if (view.left <= 0) return std::nullopt;
  v1::Risk risk;
  std::string reason;
  const bool foretells = view.foretells && view.tally.ended >= kRiskSamplesMin;
  if (foretells) JudgeBudget(view, risk, reason);
  if (now >= view.deadline) {
    risk.set_over_deadline(true);
    *risk.mutable_deadline() = ToTimestamp(view.deadline);
    if (foretells) {
      *risk.mutable_projected_end() = ToTimestamp(now + TimeLeft(view, now));
    }
    Append(reason, "its deadline has passed");
  } else if (foretells) {
    JudgePace(view, now, risk, reason);
  }
  if (reason.empty()) return std::nullopt;
  if (foretells) risk.set_ended(view.tally.ended);
  risk.set_left(view.left);
  Append(reason,
         absl::StrCat(view.left, view.left == 1 ? " task" : " tasks", " left"));
  risk.set_reason(reason);
  return risk;
}

}  // namespace midwatch
