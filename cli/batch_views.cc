#include "cli/batch_views.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "cli/account_views.h"
#include "cli/batch_states.h"
#include "cli/control_views.h"
#include "cli/counts.h"
#include "cli/forecast_views.h"
#include "cli/hook_views.h"
#include "cli/money.h"
#include "cli/rule_views.h"
#include "cli/shell_words.h"
#include "cli/table.h"
#include "cli/times.h"
#include "cli/utf8.h"

namespace midwatch::cli {

std::string BatchTable(const std::vector<v1::Batch>& batches, int width) {
  auto left_out = [](const v1::Batch& batch) {
    return batch.counts().cancelled() + batch.counts().skipped();
  };
  // A column for the few lists that have something in it.
  const bool any_left_out =
      std::any_of(batches.begin(), batches.end(), left_out);
  std::vector<Column> columns = {
      {"BATCH"}, {"STATE"}, {"SUCCEEDED", true}, {"FAILED", true}};
  if (any_left_out) columns.push_back({"LEFT OUT", true});
  columns.push_back({"COST", true, /*drop=*/1});
  columns.push_back({"SUBMITTED", false, /*drop=*/2});
  columns.push_back({"NAME"});
  std::vector<std::vector<std::string>> rows;
  for (const v1::Batch& batch : batches) {
    const v1::TaskCounts& counts = batch.counts();
    std::vector<std::string>& row = rows.emplace_back();
    row = {batch.batch_id(), BatchStateWord(batch),
           absl::StrCat(counts.succeeded(), "/", TotalOf(counts)),
           absl::StrCat(counts.failed())};
    if (any_left_out) row.push_back(absl::StrCat(left_out(batch)));
    row.push_back(FormatUsd(batch.charged_usd_micros()));
    row.push_back(FormatInstant(batch.submitted_at()));
    row.push_back(Printable(batch.name()));
  }
  return FormatTable(columns, rows, width);
}

std::string BatchDetails(const GlobalOptions& global, const v1::Batch& batch) {
  const v1::TaskCounts& counts = batch.counts();
  std::string out;
  auto line = [&](absl::string_view key, absl::string_view value) {
    absl::StrAppendFormat(&out, "%-12s%s\n", key, value);
  };
  line("batch", batch.batch_id());
  line("name", Printable(batch.name()));
  line("state", BatchStateWord(batch));
  line("tasks", absl::StrCat(TotalOf(counts)));
  const std::pair<const char*, int64_t> kinds[] = {
      {"  blocked", counts.blocked()},
      {"  queued", counts.queued()},
      {"  running", counts.running()},
      {"  waiting", counts.waiting()},
      {"  cancelling", counts.cancelling()},
      {"  succeeded", counts.succeeded()},
      {"  failed", counts.failed()},
      {"  cancelled", counts.cancelled()},
      {"  skipped", counts.skipped()}};
  for (const auto& [name, count] : kinds) {
    if (count > 0) line(name, absl::StrCat(count));
  }
  line("cost", FormatUsd(batch.charged_usd_micros()));
  if (batch.reserved_usd_micros() > 0) {
    line("reserved",
         absl::StrCat(FormatUsd(batch.reserved_usd_micros()),
                      batch.estimated_cost_usd_micros() > 0
                          ? absl::StrCat(", about ",
                                         FormatAboutUsd(
                                             batch.estimated_cost_usd_micros()),
                                         " of it spent so far")
                          : ""));
  }
  if (batch.overshoot_usd_micros() > 0) {
    line("overshoot", FormatUsd(batch.overshoot_usd_micros()));
  }
  if (batch.has_budget_usd_micros()) {
    line("budget", FormatUsd(batch.budget_usd_micros()));
  }
  if (batch.has_deadline()) {
    line("deadline", FormatInstant(batch.deadline()));
  }
  if (batch.has_risk()) line("at risk", RiskLine(batch));
  if (batch.max_running() > 0) {
    line("cap", absl::StrCat(batch.max_running(), " at once"));
  }
  if (batch.has_canary()) line("canary", CanaryLine(batch));
  if (batch.has_stop()) line("stop when", StopLine(batch.stop()));
  for (const std::string& held :
       {BatchPauseLine(global, batch), QueuePauseLine(global, batch),
        FullCapLine(batch)}) {
    if (!held.empty()) line("waits", held);
  }
  if (batch.has_account_trouble()) {
    line("waits", AccountLine(global, batch.account_trouble()));
  }
  if (batch.waits_for_budget()) {
    line("waits", absl::StrCat("a budget has no room for the next task: see `",
                               CommandLine(global, "budget list"), "`"));
  }
  for (const v1::HookDelivery& hook : batch.hooks()) {
    line("hook", HookLine(hook));
  }
  if (batch.has_forecast()) {
    line("forecast", ForecastWords(batch.forecast(), " a task"));
  }
  if (batch.has_calibration()) {
    line("held", CalibrationWords(batch.calibration()));
  }
  line("submitted", FormatInstant(batch.submitted_at()));
  line("ended", FormatInstant(batch.ended_at()));
  line("queue", Printable(batch.queue()));
  line("tenant", Printable(batch.tenant()));
  line("account", Printable(batch.account()));
  return out;
}

}  // namespace midwatch::cli
