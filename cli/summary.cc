#include "cli/summary.h"

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/counts.h"
#include "cli/forecast_views.h"
#include "cli/money.h"
#include "cli/shell_words.h"
#include "cli/times.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

constexpr size_t kGroupsMax = 10;

// What was skipped comes after what it was skipped for.
int RankOf(const Outcome::Failures& group) {
  switch (group.state) {
    case v1::TASK_STATE_SKIPPED:
      return 2;
    case v1::TASK_STATE_CANCELLED:
      return 1;
    default:
      return 0;
  }
}

std::string Failures(const GlobalOptions& global, const v1::Batch& batch,
                     const Outcome& outcome) {
  using Group =
      std::pair<std::pair<std::string, std::string>, Outcome::Failures>;
  std::vector<Group> groups(outcome.failures.begin(), outcome.failures.end());
  std::stable_sort(
      groups.begin(), groups.end(), [](const Group& a, const Group& b) {
        return std::tuple(RankOf(a.second), -a.second.count, a.second.place) <
               std::tuple(RankOf(b.second), -b.second.count, b.second.place);
      });
  std::string out = "\nWhat failed\n";
  const std::string indent(13, ' ');
  for (size_t i = 0; i < std::min(groups.size(), kGroupsMax); ++i) {
    const auto& [cause, failures] = groups[i];
    absl::StrAppend(&out, absl::StrFormat("  %9d  ", failures.count),
                    cause.first, cause.second.empty() ? "" : "  ", cause.second,
                    "\n", indent, failures.count > 1 ? "such as " : "",
                    absl::StrJoin(failures.examples, ", "), "\n", indent,
                    CommandLine(global, absl::StrCat("task ", failures.look,
                                                     " ", failures.task_id)),
                    "\n");
  }
  if (groups.size() > kGroupsMax) {
    absl::StrAppend(
        &out, "  and ",
        CountOf(static_cast<int64_t>(groups.size() - kGroupsMax),
                "other cause"),
        ": ",
        CommandLine(global,
                    absl::StrCat("task list --state failed --state cancelled "
                                 "--state skipped --batch ",
                                 batch.batch_id())),
        "\n");
  }
  return out;
}

std::string Questions(const GlobalOptions& global, const v1::Batch& batch,
                      const Outcome& outcome) {
  std::string out = "\nWhat waits for you\n";
  for (const Outcome::Waiting& task : outcome.waiting) {
    absl::StrAppend(
        &out, "  ", task.name, "  ", task.question, "\n    ",
        CommandLine(global, absl::StrCat("task get ", task.task_id)), "\n    ",
        CommandLine(global, absl::StrCat("task answer ", task.task_id, " ",
                                         task.answer)),
        "\n");
  }
  const int64_t others =
      batch.counts().waiting() - static_cast<int64_t>(outcome.waiting.size());
  if (others > 0) {
    absl::StrAppend(
        &out, "  and ", CountOf(others, "other"), ": ",
        CommandLine(global, absl::StrCat("task list --state waiting --batch ",
                                         batch.batch_id())),
        "\n");
  }
  return out;
}

}  // namespace

std::string Summary(const GlobalOptions& global, const v1::Batch& batch,
                    const Outcome& outcome, absl::Duration elapsed,
                    const std::string& results) {
  const v1::TaskCounts& counts = batch.counts();
  std::string out =
      absl::StrCat(OneLine(batch.name()), ": batch ", batch.batch_id(), "\n\n");
  auto line = [&](absl::string_view key, absl::string_view value) {
    absl::StrAppendFormat(&out, "  %-10s%9s\n", key, value);
  };
  auto count = [&](absl::string_view key, int64_t value) {
    if (value != 0) line(key, absl::StrCat(value));
  };
  count("succeeded", counts.succeeded());
  count("failed", counts.failed());
  count("cancelled", counts.cancelled());
  count("skipped", counts.skipped());
  count("waiting", counts.waiting());
  count("queued", counts.queued());
  count("blocked", counts.blocked());
  line("cost", FormatUsd(batch.charged_usd_micros()));
  if (batch.has_budget_usd_micros()) {
    line("of", FormatUsd(batch.budget_usd_micros()));
  }
  if (batch.reserved_usd_micros() > 0) {
    line("reserved", FormatUsd(batch.reserved_usd_micros()));
  }
  if (batch.overshoot_usd_micros() > 0) {
    line("overshoot", FormatUsd(batch.overshoot_usd_micros()));
  }
  line("time", FormatSpan(elapsed));
  // Zero attempts: not counted. Skipped tasks had none.
  count("retries", std::max<int64_t>(0, outcome.attempts - (TotalOf(counts) -
                                                            counts.skipped())));
  // Fewer say nothing.
  constexpr int64_t kForetoldMin = 10;
  if (batch.calibration().foretold() >= kForetoldMin) {
    absl::StrAppend(&out, "  forecast held   ",
                    CalibrationWords(batch.calibration()), "\n");
  }
  if (!outcome.failures.empty()) out += Failures(global, batch, outcome);
  if (!outcome.waiting.empty()) out += Questions(global, batch, outcome);
  absl::StrAppend(&out, "\n", results);
  return out;
}

}  // namespace midwatch::cli
