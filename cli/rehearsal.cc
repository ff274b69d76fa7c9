#include "cli/rehearsal.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/limits.h"
#include "cli/money.h"

namespace midwatch::cli {
namespace {

absl::Status OfOption(absl::string_view prefix, absl::string_view option,
                      const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat(prefix, option, ": ", status.message()));
}

absl::StatusOr<harness::RateLimits> ReadRates(absl::string_view prefix,
                                              const std::string& words) {
  harness::RateLimits rates;
  if (words.empty()) return rates;
  ASSIGN_OR_RETURN(
      std::optional<v1::AccountLimits> limits,
      ReadLimits(absl::StrCat(prefix, "limits"), words, "", "", ""));
  if (!limits) return rates;
  rates.create_per_minute = limits->create().per_minute();
  rates.write_per_minute = limits->write().per_minute();
  rates.read_per_minute = limits->read().per_minute();
  rates.files_per_minute = limits->files().per_minute();
  rates.burst = limits->create().burst();
  return rates;
}

}  // namespace

absl::Status ReadRehearsal(const RehearsalOptions& options,
                           absl::string_view prefix, HarnessNodeOptions& node) {
  ASSIGN_OR_RETURN(node.rate_limits, ReadRates(prefix, options.limits));
  absl::StatusOr<harness::FaultPlan> faults =
      harness::ParseFaults(options.faults);
  if (!faults.ok()) return OfOption(prefix, "faults", faults.status());
  node.faults = *std::move(faults);
  node.faults.seed = options.fault_seed;
  if (options.spend_cap.empty()) return absl::OkStatus();
  absl::StatusOr<int64_t> cap = ParseUsd(options.spend_cap);
  if (!cap.ok()) return OfOption(prefix, "spend-cap", cap.status());
  node.spend_cap_usd_micros = *cap;
  return absl::OkStatus();
}

}  // namespace midwatch::cli
