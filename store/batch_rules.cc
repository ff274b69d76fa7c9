#include "store/batch_rules.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace midwatch {
namespace {

// "0.8".
std::string Part(int64_t millionths) {
  return absl::StrCat(static_cast<double>(millionths) / kWhole);
}

// "$3.20", and digits past the cents where they are not zero.
std::string Dollars(int64_t usd_micros) {
  std::string text =
      absl::StrFormat("$%d.%06d", usd_micros / kWhole, usd_micros % kWhole);
  for (int i = 0; i < 4 && text.back() == '0'; ++i) text.pop_back();
  return text;
}

std::string Tasks(int64_t count) {
  return absl::StrCat(count, count == 1 ? " task" : " tasks");
}

}  // namespace

int64_t CanarySize(const CanaryRule& rule, int64_t lines, bool sealed) {
  return sealed ? std::min(rule.tasks, lines) : rule.tasks;
}

CanaryOutcome JudgeCanary(const CanaryRule& rule, const CanaryTally& tally) {
  const int64_t size = CanarySize(rule, tally.lines, tally.sealed);
  // Tasks that are left out later, and a batch that turns out shorter, leave
  // room for fewer failures and ask for fewer successes: what is certain of so
  // many is certain of fewer.
  const int64_t counted = size - tally.left_out;
  const int64_t needed = (rule.min_success * counted + kWhole - 1) / kWhole;
  const int64_t open = counted - tally.succeeded - tally.failed;
  auto failed = [](std::string why) {
    return CanaryOutcome{v1::CANARY_VERDICT_FAILED,
                         absl::StrCat("the canary failed: ", why)};
  };
  if (rule.max_cost > 0 && tally.charged > rule.max_cost) {
    return failed(absl::StrCat("it has cost ", Dollars(tally.charged),
                               ", more than its max_cost of ",
                               Dollars(rule.max_cost)));
  }
  if (size > 0 && counted == 0) {
    return failed(
        absl::StrCat("of its ", Tasks(size), " none came to an end by itself"));
  }
  if (tally.failed > counted - needed) {
    return failed(absl::StrCat(tally.failed, " of its ", Tasks(counted),
                               " failed, and min_success is ",
                               Part(rule.min_success)));
  }
  const bool certain = rule.max_cost == 0 && tally.succeeded >= needed;
  if (open == 0 || certain) return {v1::CANARY_VERDICT_PASSED, ""};
  return {};
}

std::string WhyStop(const StopRule& rule, int64_t failed, int64_t ended) {
  if (rule.failed > 0 && failed >= rule.failed) {
    return absl::StrCat(Tasks(failed), " failed, and stop_when.failed is ",
                        rule.failed);
  }
  if (rule.failed_ratio > 0 && ended >= rule.after &&
      failed * kWhole >= rule.failed_ratio * ended) {
    return absl::StrCat(failed, " of ", Tasks(ended),
                        " failed, and stop_when.failed_ratio is ",
                        Part(rule.failed_ratio));
  }
  return "";
}

}  // namespace midwatch
