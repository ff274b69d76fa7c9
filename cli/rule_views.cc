#include "cli/rule_views.h"

#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cli/money.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

double MinSuccess(const v1::Canary& canary) {
  return canary.has_min_success() ? canary.min_success() : 1;
}

int64_t DoneOf(const v1::CanaryState& canary) {
  return canary.succeeded() + canary.failed() + canary.left_out();
}

// "3 of 5 done, 1 failed".
std::string SoFar(const v1::CanaryState& canary) {
  std::string text =
      absl::StrCat(DoneOf(canary), " of ", canary.tasks(), " done");
  if (canary.failed() > 0) {
    absl::StrAppend(&text, ", ", canary.failed(), " failed");
  }
  if (canary.left_out() > 0) {
    absl::StrAppend(&text, ", ", canary.left_out(), " cancelled or skipped");
  }
  return text;
}

// "undecided".
std::string VerdictName(v1::CanaryVerdict verdict) {
  std::string name = v1::CanaryVerdict_Name(verdict);
  return absl::AsciiStrToLower(absl::StripPrefix(name, "CANARY_VERDICT_"));
}

}  // namespace

std::string RuleWords(const v1::Canary& canary) {
  return absl::StrCat(
      "the first ", canary.tasks(), canary.tasks() == 1 ? " task" : " tasks",
      ", of which ",
      MinSuccess(canary) == 1 ? "all" : absl::StrCat(MinSuccess(canary)),
      " must succeed",
      canary.max_cost_usd_micros() > 0
          ? absl::StrCat(", for at most ",
                         FormatUsd(canary.max_cost_usd_micros()))
          : "");
}

std::string RuleWords(const v1::StopRule& stop) {
  std::string text;
  if (stop.failed() > 0) text = absl::StrCat("once ", stop.failed(), " failed");
  if (stop.failed_ratio() > 0) {
    absl::StrAppend(&text, text.empty() ? "" : ", or ", "once ",
                    stop.failed_ratio(), " of those done failed, after ",
                    stop.after());
  }
  return text;
}

std::string CanaryLine(const v1::Batch& batch) {
  const v1::CanaryState& canary = batch.canary();
  const bool goes_on = batch.state() == v1::BATCH_STATE_OPEN ||
                       batch.state() == v1::BATCH_STATE_SEALED;
  const std::string failed(absl::StripPrefix(canary.reason(), "the canary "));
  switch (canary.verdict()) {
    case v1::CANARY_VERDICT_PASSED:
      return absl::StrCat("passed: ", SoFar(canary));
    case v1::CANARY_VERDICT_FAILED:
      return OneLine(failed);
    case v1::CANARY_VERDICT_OVERRULED:
      return absl::StrCat(OneLine(failed), "; resumed all the same");
    default:
      return absl::StrCat(SoFar(canary),
                          goes_on ? "; the other tasks wait for it"
                                  : "; not decided before the batch was "
                                    "cancelled");
  }
}

std::string CanaryHoldLine(const v1::Batch& batch) {
  if (batch.canary().verdict() != v1::CANARY_VERDICT_UNDECIDED) return "";
  return absl::StrCat("canary: ", CanaryLine(batch));
}

std::string StopLine(const v1::StopState& stop) {
  return absl::StrCat(RuleWords(stop.rule()), "; so far ", stop.failed(),
                      " of ", stop.ended());
}

bool OnlyCanaryWaits(const v1::Batch& batch) {
  const v1::TaskCounts& counts = batch.counts();
  const v1::CanaryState& canary = batch.canary();
  return canary.verdict() == v1::CANARY_VERDICT_UNDECIDED &&
         batch.state() == v1::BATCH_STATE_SEALED && counts.waiting() > 0 &&
         counts.running() + counts.cancelling() == 0 &&
         counts.waiting() == canary.tasks() - DoneOf(canary);
}

Json ToJson(const v1::Canary& canary) {
  return {{"tasks", canary.tasks()},
          {"min_success", MinSuccess(canary)},
          {"max_cost_usd_micros", canary.max_cost_usd_micros() > 0
                                      ? Json(canary.max_cost_usd_micros())
                                      : Json(nullptr)}};
}

Json ToJson(const v1::StopRule& stop) {
  const bool ratio = stop.failed_ratio() > 0;
  return {{"failed", stop.failed() > 0 ? Json(stop.failed()) : Json(nullptr)},
          {"failed_ratio", ratio ? Json(stop.failed_ratio()) : Json(nullptr)},
          {"after", ratio ? Json(stop.after()) : Json(nullptr)}};
}

Json ToJson(const v1::CanaryState& canary) {
  return {{"rule", ToJson(canary.rule())},
          {"verdict", VerdictName(canary.verdict())},
          {"tasks", canary.tasks()},
          {"succeeded", canary.succeeded()},
          {"failed", canary.failed()},
          {"left_out", canary.left_out()},
          {"charged_usd_micros", canary.charged_usd_micros()},
          {"reason", canary.reason()}};
}

Json ToJson(const v1::StopState& stop) {
  return {{"rule", ToJson(stop.rule())},
          {"failed", stop.failed()},
          {"ended", stop.ended()},
          {"stopped", stop.stopped()}};
}

}  // namespace midwatch::cli
