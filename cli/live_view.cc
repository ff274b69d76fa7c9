#include "cli/live_view.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/counts.h"
#include "cli/money.h"
#include "cli/style.h"
#include "cli/times.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

constexpr size_t kBarMax = 60;
constexpr size_t kBarMin = 8;
constexpr size_t kTroublesMax = 4;
constexpr size_t kGap = 2;
constexpr size_t kRatesHeightMin = 12;
constexpr int kComfortable = 80;  // columns, of which none is missed

struct Span {
  Style style;
  std::string text;
};

std::string Repeat(absl::string_view text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) absl::StrAppend(&out, text);
  return out;
}

// How a length of `width` is shared out: rounded down, but nothing that exists
// stays unseen.
size_t ShareOf(int64_t part, int64_t total, size_t width) {
  if (part <= 0 || total <= 0) return 0;
  const double share = static_cast<double>(part) / static_cast<double>(total);
  return std::max<size_t>(
      1, static_cast<size_t>(share * static_cast<double>(width)));
}

class View {
 public:
  View(const LiveMoment& moment, int width, int height, bool colours)
      : moment_(moment),
        width_(static_cast<size_t>(std::max(width, 1))),
        height_(static_cast<size_t>(std::max(height, 1))),
        colours_(colours) {}

  std::vector<std::string> Render() {
    AddBar();
    AddWrapped(Counts());
    AddWrapped(Figures());
    for (const std::string& hold : moment_.holds) AddLine(Style::kBusy, hold);
    if (height_ >= kRatesHeightMin) AddWrapped(Rates());
    if (moment_.lost_for) {
      AddLine(Style::kBad,
              absl::StrCat("the scheduler is out of reach for ",
                           FormatSpan(*moment_.lost_for), ", trying again"));
    }
    AddLists();
    if (lines_.size() > height_) lines_.resize(height_);
    return std::move(lines_);
  }

 private:
  void AddLine(Style style, absl::string_view text) {
    lines_.push_back(Paint(colours_, style, Shorten(text, width_)));
  }

  void AddBar() {
    const v1::TaskCounts& counts = moment_.counts;
    const int64_t total = TotalOf(counts), done = FinalOf(counts);
    // 100 % only at the end.
    const int64_t percent = total == 0 ? 0 : 100 * done / total;
    const std::string numbers =
        absl::StrFormat("%d/%d  %d%%", done, total, percent);
    if (width_ < kBarMin + kGap + numbers.size()) {
      return AddLine(Style::kBold, numbers);
    }
    const size_t length = std::min(kBarMax, width_ - kGap - numbers.size());
    const int64_t bad = counts.failed() + counts.cancelled() + counts.skipped();
    const int64_t busy = counts.running() + counts.cancelling();
    // Whatever there is of the others has its place; success fills it up.
    const size_t bad_length = ShareOf(bad, total, length);
    const size_t busy_length =
        std::min(ShareOf(busy, total, length), length - bad_length);
    const size_t open_min = total == done + busy && total > 0 ? 0 : 1;
    const size_t room =
        length - std::min(length, bad_length + busy_length + open_min);
    const size_t good_length =
        done == total && total > 0
            ? length - bad_length
            : std::min(ShareOf(counts.succeeded(), total, length), room);
    const size_t rest =
        length - std::min(length, bad_length + good_length + busy_length);
    lines_.push_back(
        absl::StrCat(Paint(colours_, Style::kGood, Repeat("━", good_length)),
                     Paint(colours_, Style::kBad, Repeat("━", bad_length)),
                     Paint(colours_, Style::kBusy, Repeat("╌", busy_length)),
                     Paint(colours_, Style::kDim, Repeat("─", rest)), "  ",
                     Paint(colours_, Style::kBold, numbers)));
  }

  std::vector<Span> Counts() const {
    const v1::TaskCounts& counts = moment_.counts;
    std::vector<Span> spans;
    auto add = [&](int64_t count, absl::string_view what, Style style) {
      if (count > 0) spans.push_back({style, absl::StrCat(count, " ", what)});
    };
    add(counts.running(), "running", Style::kBusy);
    add(counts.waiting(), "waiting", Style::kBusy);
    add(counts.cancelling(), "cancelling", Style::kBusy);
    add(counts.queued(), "queued", Style::kPlain);
    add(counts.blocked(), "blocked", Style::kPlain);
    add(counts.succeeded(), "succeeded", Style::kGood);
    add(counts.failed(), "failed", Style::kBad);
    add(counts.cancelled(), "cancelled", Style::kBad);
    add(counts.skipped(), "skipped", Style::kBad);
    return spans;
  }

  std::vector<Span> Figures() const {
    std::vector<Span> spans = {{Style::kPlain, FormatSpan(moment_.elapsed)}};
    if (moment_.left) {
      spans.push_back(
          {Style::kPlain,
           absl::StrCat("about ", FormatSpan(*moment_.left), " left")});
    }
    spans.push_back({Style::kPlain, FormatUsd(moment_.charged_usd_micros)});
    if (moment_.estimated_usd_micros > 0) {
      spans.push_back(
          {Style::kDim,
           absl::StrCat("and about ",
                        FormatAboutUsd(moment_.estimated_usd_micros),
                        " by what runs")});
    }
    if (moment_.foretold_usd_micros) {
      spans.push_back(
          {Style::kDim,
           absl::StrCat("of about ",
                        FormatAboutUsd(*moment_.foretold_usd_micros))});
    }
    if (moment_.median_usd_micros) {
      spans.push_back(
          {Style::kDim,
           absl::StrCat("median ", FormatUsd(*moment_.median_usd_micros))});
    }
    if (moment_.ends_per_minute) {
      const double rate = *moment_.ends_per_minute;
      spans.push_back({Style::kDim, absl::StrFormat("%.*f ended/min",
                                                    rate < 10 ? 1 : 0, rate)});
    }
    return spans;
  }

  std::vector<Span> Rates() const {
    std::vector<Span> spans;
    for (const LiveMoment::Rate& rate : moment_.rates) {
      std::string text = absl::StrFormat("%s %d/%.0f", rate.what, rate.accepted,
                                         rate.allowed_per_minute);
      if (rate.rests_for) {
        absl::StrAppend(&text, " rests ", FormatSpan(*rate.rests_for));
      } else if (rate.lowered) {
        absl::StrAppend(&text, " lowered");
      }
      spans.push_back(
          {rate.rests_for || rate.lowered ? Style::kBusy : Style::kDim,
           std::move(text)});
    }
    if (spans.empty()) return spans;
    absl::StrAppend(&spans.back().text, " a min");
    spans.insert(spans.begin(), {Style::kDim, "rate"});
    return spans;
  }

  // The spans two blanks apart, on as many lines as that takes.
  void AddWrapped(const std::vector<Span>& spans) {
    std::string line;
    size_t used = 0;
    for (const Span& span : spans) {
      const std::string text = Shorten(span.text, width_);
      const size_t columns = DisplayWidth(text);
      if (used > 0 && used + kGap + columns > width_) {
        lines_.push_back(std::move(line));
        line.clear();
        used = 0;
      }
      absl::StrAppend(&line, used > 0 ? "  " : "",
                      Paint(colours_, span.style, text));
      used += (used > 0 ? kGap : 0) + columns;
    }
    if (used > 0) lines_.push_back(std::move(line));
  }

  // Shares the rows that are left: each list has a title, and is left out where
  // only that would fit.
  void AddLists() {
    const size_t room = height_ > lines_.size() ? height_ - lines_.size() : 0;
    const size_t running = moment_.running.size();
    const size_t running_min = running == 0 ? 0 : running == 1 ? 2 : 3;
    size_t troubles = std::min(moment_.troubles.size(), kTroublesMax);
    // Half of the room at most, unless nothing else would use it.
    size_t share = std::max<size_t>(2, room / 2);
    if (running == 0 || room < share + running_min) share = room;
    troubles = share < 2 ? 0 : std::min(troubles, share - 1);
    const size_t rest = room - (troubles > 0 ? troubles + 1 : 0);
    if (running > 0 && rest >= running_min) AddRunning(rest - 1);
    if (troubles > 0) AddTroubles(troubles);
  }

  void AddRunning(size_t rows) {
    const size_t all =
        std::max(moment_.running.size(),
                 static_cast<size_t>(std::max<int64_t>(
                     0, moment_.counts.running() + moment_.counts.waiting() +
                            moment_.counts.cancelling())));
    // The last row says how many more there are.
    const size_t shown =
        all > rows ? rows - 1 : std::min(rows, moment_.running.size());
    AddLine(Style::kBold, "running");
    size_t name_width = 0, time_width = 0;
    for (size_t i = 0; i < shown; ++i) {
      const LiveMoment::Running& task = moment_.running[i];
      name_width = std::max(name_width, DisplayWidth(task.name));
      time_width = std::max(time_width, DisplayWidth(FormatSpan(task.time)));
    }
    name_width = std::min(name_width, std::max<size_t>(8, width_ / 3));
    for (size_t i = 0; i < shown; ++i) {
      const LiveMoment::Running& task = moment_.running[i];
      const std::string head =
          Shorten(absl::StrCat("  ", PadRight(task.name, name_width), "  ",
                               PadLeft(FormatSpan(task.time), time_width)),
                  width_);
      const size_t used = DisplayWidth(head) + kGap;
      lines_.push_back(
          used >= width_ || task.doing.empty()
              ? head
              : absl::StrCat(head, "  ",
                             Paint(colours_, Style::kDim,
                                   Shorten(task.doing, width_ - used))));
    }
    if (all > shown) {
      AddLine(Style::kDim, absl::StrCat("  and ", all - shown, " more"));
    }
  }

  void AddTroubles(size_t rows) {
    AddLine(Style::kBold, "what failed");
    for (size_t i = 0; i < rows; ++i) {
      const LiveMoment::Trouble& trouble = moment_.troubles[i];
      std::string counts;
      if (trouble.failed > 0) {
        counts = absl::StrCat(trouble.failed, " failed");
      }
      if (trouble.retried > 0) {
        absl::StrAppend(&counts, counts.empty() ? "" : ", ", trouble.retried,
                        " tried again");
      }
      const std::string head = Shorten(absl::StrCat("  ", counts), width_);
      const size_t used = DisplayWidth(head) + kGap;
      lines_.push_back(absl::StrCat(
          Paint(colours_, trouble.failed > 0 ? Style::kBad : Style::kBusy,
                head),
          used >= width_ ? "" : "  ",
          used >= width_ ? "" : Shorten(trouble.cause, width_ - used)));
    }
  }

  const LiveMoment& moment_;
  const size_t width_;
  const size_t height_;
  const bool colours_;
  std::vector<std::string> lines_;
};

}  // namespace

int LiveWidth(int columns) {
  // A split leaves one column to the border.
  return std::max(
      {1, (columns - 1) / 2, std::min(columns - columns / 10, kComfortable)});
}

std::vector<std::string> RenderLive(const LiveMoment& moment, int width,
                                    int height, bool colours) {
  return View(moment, width, height, colours).Render();
}

}  // namespace midwatch::cli
