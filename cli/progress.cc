#include "cli/progress.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/money.h"
#include "cli/utf8.h"
#include "cli/views.h"

namespace midwatch::cli {
namespace {

constexpr absl::Duration kPlainStatusEvery = absl::Seconds(5);
constexpr absl::Duration kLiveStatusEvery = absl::Milliseconds(100);
// Larger batches show no line for each task that succeeds.
constexpr int64_t kEachTaskMax = 1000;
constexpr int kBarWidth = 24;

std::string Bar(const Terminal& terminal, int64_t done, int64_t total) {
  const int full = total == 0 ? 0 : static_cast<int>(kBarWidth * done / total);
  std::string filled, empty;
  for (int i = 0; i < full; ++i) filled += "━";
  for (int i = full; i < kBarWidth; ++i) empty += "─";
  return absl::StrCat(terminal.Styled(Style::kGood, filled),
                      terminal.Styled(Style::kDim, empty));
}

}  // namespace

Progress::Progress(Terminal& terminal, const Clock& clock, bool silent)
    : terminal_(terminal),
      clock_(clock),
      silent_(silent),
      begun_(clock.Steady()),
      shown_at_(begun_) {}

void Progress::Add(const v1::WatchBatchResponse& message) {
  if (message.has_batch()) batch_ = message.batch();
  if (message.has_change()) ShowChange(message.change());
}

void Progress::ShowChange(const v1::TaskChange& change) {
  Running& running = running_[change.task_id()];
  running.charged_usd_micros += change.charged_usd_micros();
  if (change.state() == v1::TASK_STATE_RUNNING &&
      running.since == absl::Time()) {
    running.since = ToTime(change.at());
  }
  if (!IsFinal(change.state())) return;
  const Running done = running;
  running_.erase(change.task_id());
  if (silent_) return;

  const bool succeeded = change.state() == v1::TASK_STATE_SUCCEEDED;
  const bool each = TotalOf(batch_.counts()) <= kEachTaskMax;
  if (succeeded && (terminal_.is_live() || !each)) return;
  std::string line = absl::StrFormat("%-9s  %-28s  %7s", NameOf(change.state()),
                                     Shorten(Printable(change.name()), 28),
                                     FormatUsd(done.charged_usd_micros));
  if (done.since != absl::Time()) {
    absl::StrAppendFormat(&line, "  %7s",
                          FormatSpan(ToTime(change.at()) - done.since));
  }
  if (!succeeded && !change.reason().empty()) {
    absl::StrAppend(&line, "  ", Printable(change.reason()));
  }
  if (terminal_.is_live()) line = Shorten(line, terminal_.width() - 1);
  terminal_.Print(
      terminal_.Styled(succeeded ? Style::kPlain : Style::kBad, line));
}

std::string Progress::StatusLine() const {
  const v1::TaskCounts& counts = batch_.counts();
  const int64_t total = TotalOf(counts), done = FinalOf(counts);
  const bool live = terminal_.is_live();
  std::string line = live ? absl::StrCat(Bar(terminal_, done, total), " ") : "";
  absl::StrAppend(
      &line, terminal_.Styled(Style::kBold, absl::StrCat(done, "/", total)));
  auto add = [&](int64_t count, absl::string_view what, Style style) {
    if (count == 0) return;
    absl::StrAppend(&line, "  ",
                    terminal_.Styled(style, absl::StrCat(count, " ", what)));
  };
  add(counts.running(), "running", Style::kBusy);
  add(counts.waiting(), "waiting", Style::kBusy);
  add(counts.cancelling(), "cancelling", Style::kBusy);
  add(counts.failed(), "failed", Style::kBad);
  add(counts.cancelled() + counts.skipped(), "cancelled", Style::kBad);
  absl::StrAppend(&line, "  ", FormatUsd(batch_.charged_usd_micros()), "  ",
                  FormatSpan(elapsed()));
  return line;
}

void Progress::Tick() {
  if (silent_ || batch_.batch_id().empty()) return;
  const absl::Duration every =
      terminal_.is_live() ? kLiveStatusEvery : kPlainStatusEvery;
  if (clock_.Steady() - shown_at_ < every) return;
  shown_at_ = clock_.Steady();
  if (terminal_.is_live()) {
    terminal_.SetStatus(StatusLine());
  } else {
    terminal_.Print(StatusLine());
  }
}

void Progress::Finish() {
  if (!silent_) terminal_.ClearStatus();
}

std::string Summary(const Terminal& terminal, const v1::Batch& batch,
                    const Outcome& outcome, absl::Duration elapsed) {
  const v1::TaskCounts& counts = batch.counts();
  std::string out;
  auto line = [&](absl::string_view key, int64_t count, Style style) {
    if (count == 0) return;
    absl::StrAppend(&out, absl::StrFormat("  %-10s", key),
                    terminal.Styled(style, absl::StrFormat("%9d", count)),
                    "\n");
  };
  line("succeeded", counts.succeeded(), Style::kGood);
  line("failed", counts.failed(), Style::kBad);
  line("cancelled", counts.cancelled(), Style::kBad);
  line("skipped", counts.skipped(), Style::kBad);
  line("waiting", counts.waiting(), Style::kBusy);
  absl::StrAppendFormat(&out, "  %-10s%9s\n", "cost",
                        FormatUsd(batch.charged_usd_micros()));
  absl::StrAppendFormat(&out, "  %-10s%9s\n", "time", FormatSpan(elapsed));
  if (const int64_t again = outcome.attempts - TotalOf(counts); again > 0) {
    absl::StrAppendFormat(&out, "  %-10s%9d\n", "retries", again);
  }
  if (outcome.failures.empty()) return out;

  absl::StrAppend(&out, "\n", terminal.Styled(Style::kBold, "What failed"),
                  "\n");
  using Group =
      std::pair<std::pair<std::string, std::string>, Outcome::Failures>;
  std::vector<Group> groups(outcome.failures.begin(), outcome.failures.end());
  std::stable_sort(groups.begin(), groups.end(),
                   [](const Group& a, const Group& b) {
                     return a.second.count > b.second.count;
                   });
  for (const auto& [cause, failures] : groups) {
    absl::StrAppend(
        &out, absl::StrFormat("  %9d  ", failures.count),
        terminal.Styled(Style::kBad, cause.first), "  ", cause.second, "\n",
        std::string(13, ' '),
        terminal.Styled(Style::kDim,
                        absl::StrCat(failures.count > 1 ? "such as " : "",
                                     absl::StrJoin(failures.examples, ", "))),
        "\n");
  }
  return out;
}

}  // namespace midwatch::cli
