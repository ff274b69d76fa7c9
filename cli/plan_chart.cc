#include "cli/plan_chart.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "cli/money.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

constexpr double kWidth = 960, kLeft = 76, kRight = 24;
constexpr double kPlotWidth = kWidth - kLeft - kRight;
constexpr double kSpendTop = 78, kSpendHeight = 210;
constexpr double kRunTop = kSpendTop + kSpendHeight + 44, kRunHeight = 110;
constexpr double kBandTop = kRunTop + kRunHeight + 34, kBandHeight = 18;
constexpr double kLegendTop = kBandTop + kBandHeight + 46;
constexpr double kRowHeight = 20;

// By PlanLimit: told apart also without red and green.
constexpr const char* kColours[] = {"#9aa4af", "#c9b8d8", "#b8c4d8", "#d98324",
                                    "#8c5fbf", "#a67c52", "#2f7fb8", "#46a0a0",
                                    "#7d8f2d", "#c8444f", "#d4b106", "#6e7781"};

constexpr char kStyle[] = R"(<style>
  text { font: 12px system-ui, sans-serif; fill: #3b434b; }
  .title { font-size: 15px; font-weight: 600; }
  .end { text-anchor: end; } .mid { text-anchor: middle; }
  .back { fill: #ffffff; } .grid { stroke: #d8dee4; stroke-width: 1; }
  .axis { stroke: #8b949e; stroke-width: 1; }
  .spent { fill: none; stroke: #1f6feb; stroke-width: 2; }
  .area { fill: #1f6feb; fill-opacity: 0.12; }
  .held { fill: none; stroke: #1f6feb; stroke-width: 1; stroke-dasharray: 1 3; }
  .slow { fill: none; stroke: #1f6feb; stroke-width: 1; stroke-dasharray: 6 4; }
  .budget { stroke: #c8444f; stroke-width: 1.5; stroke-dasharray: 8 4; }
  .run { fill: #57606a; fill-opacity: 0.45; }
  @media (prefers-color-scheme: dark) {
    text { fill: #c9d1d9; } .back { fill: #0d1117; }
    .grid { stroke: #30363d; } .spent, .held, .slow { stroke: #58a6ff; }
    .area { fill: #58a6ff; fill-opacity: 0.16; } .run { fill: #8b949e; }
  }
</style>
)";

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(
      Printable(text),
      {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

// A round number of which some lie up to `most`: 1, 2 or 5 times a power of
// ten.
double NiceStep(double most, int wanted) {
  const double rough = most / wanted;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

absl::Duration TimeStep(absl::Duration most) {
  constexpr int kSteps[] = {1,   2,    5,    10,   30,   60,    120,   300,
                            600, 1200, 1800, 3600, 7200, 10800, 21600, 43200};
  for (int seconds : kSteps) {
    if (most / absl::Seconds(seconds) <= 9) return absl::Seconds(seconds);
  }
  return absl::Hours(24);
}

class Chart {
 public:
  Chart(const PlanWords& words, const PlanInput& input, const Plan& plan)
      : words_(words), input_(input), plan_(plan) {
    end_ = std::max({plan.typical.end, plan.slow.end, absl::Seconds(1)});
    int64_t most = std::max<int64_t>(plan.slow.cost, 10'000);
    for (const PlanSlice& slice : plan.typical.series.slices()) {
      most = std::max(most, slice.charged + slice.reserved);
    }
    for (const PlanBudget& budget : input.budgets) {
      // One far above would press all else to the ground.
      if (budget.room <= 2 * most) most = std::max(most, budget.room);
    }
    dollars_ = static_cast<double>(most) / 1e6 * 1.05;
    tasks_ = std::max(1, plan.typical.peak) * 1.08;
  }

  std::string Draw() {
    const std::vector<PlanInterval> intervals =
        MainIntervals(plan_.typical.series);
    std::set<PlanLimit> limits;
    for (const PlanInterval& each : intervals) limits.insert(each.limit);
    const double height =
        kLegendTop + kRowHeight * static_cast<double>(limits.size()) + 16;
    absl::StrAppend(
        &out_,
        absl::StrFormat(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" "
            "width=\"%g\" height=\"%g\" role=\"img\">\n",
            kWidth, height, kWidth, height),
        "<title>Plan of ", Escaped(words_.open.name()), "</title>\n", kStyle,
        absl::StrFormat("<rect class=\"back\" width=\"%g\" height=\"%g\"/>\n",
                        kWidth, height));
    Heading();
    Spend();
    Running();
    Band(intervals);
    Legend(limits);
    absl::StrAppend(&out_, "</svg>\n");
    return std::move(out_);
  }

 private:
  double X(absl::Duration at) const {
    return kLeft + kPlotWidth * absl::FDivDuration(at, end_);
  }
  double SpendY(double dollars) const {
    return kSpendTop + kSpendHeight * (1 - dollars / dollars_);
  }
  double RunY(double tasks) const {
    return kRunTop + kRunHeight * (1 - tasks / tasks_);
  }

  void Text(double x, double y, const char* cls, const std::string& text) {
    absl::StrAppend(
        &out_,
        absl::StrFormat("<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, cls),
        text, "</text>\n");
  }
  void Rule(double x1, double y1, double x2, double y2, const char* cls) {
    absl::StrAppend(&out_,
                    absl::StrFormat("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" "
                                    "y2=\"%.1f\" class=\"%s\"/>\n",
                                    x1, y1, x2, y2, cls));
  }
  std::string TimeAt(absl::Duration at) const {
    const absl::Time time = input_.start + at;
    return absl::FormatTime(end_ < absl::Minutes(10) ? "%H:%M:%S"
                            : end_ < absl::Hours(30) ? "%H:%M"
                                                     : "%m-%d %H:%M",
                            time, absl::LocalTimeZone());
  }

  void Heading() {
    Text(kLeft, 28, "title",
         absl::StrCat("Plan of ", Escaped(words_.open.name()), ": ",
                      input_.tasks.size(),
                      input_.tasks.size() == 1 ? " task" : " tasks"));
    Text(kLeft, 48, "",
         absl::StrCat("ends about ", TimeAt(plan_.typical.end), " (p90 ",
                      TimeAt(plan_.slow.end), "), costs about ",
                      FormatAboutUsd(plan_.typical.cost), " (p90 ",
                      FormatAboutUsd(plan_.slow.cost), "), ",
                      Fits(plan_.typical) ? "fits" : "does not fit"));
  }

  void TimeAxis(double bottom, bool labels) {
    const absl::Duration step = TimeStep(end_);
    for (absl::Duration at; at <= end_; at += step) {
      Rule(X(at), bottom, X(at), bottom + 4, "axis");
      if (labels) Text(X(at), bottom + 18, "mid", TimeAt(at));
    }
    Rule(kLeft, bottom, kLeft + kPlotWidth, bottom, "axis");
  }

  // Of charged micro-dollars, plus what is set aside where that is wanted.
  std::string Path(const PlanSeries& series, bool with_reserved) const {
    std::string path = absl::StrFormat("M%.1f,%.1f", X({}), SpendY(0));
    absl::Duration at;
    for (const PlanSlice& slice : series.slices()) {
      at += series.slice();
      const int64_t micros =
          slice.charged + (with_reserved ? slice.reserved : 0);
      absl::StrAppend(
          &path, absl::StrFormat("L%.1f,%.1f", X(std::min(at, end_)),
                                 SpendY(static_cast<double>(micros) / 1e6)));
    }
    return path;
  }

  void Spend() {
    Text(kLeft, kSpendTop - 8, "", "US dollars spent");
    const double step = NiceStep(dollars_, 5);
    for (double dollars = 0; dollars <= dollars_; dollars += step) {
      Rule(kLeft, SpendY(dollars), kLeft + kPlotWidth, SpendY(dollars), "grid");
      Text(kLeft - 8, SpendY(dollars) + 4, "end",
           absl::StrFormat("$%.*f", step < 1 ? 2 : 0, dollars));
    }
    const PlanSeries& series = plan_.typical.series;
    const std::string spent = Path(series, false);
    const absl::Duration last = std::min(
        end_, series.slice() * static_cast<int64_t>(series.slices().size()));
    absl::StrAppend(&out_, "<path class=\"area\" d=\"", spent,
                    absl::StrFormat("L%.1f,%.1fZ", X(last), SpendY(0)),
                    "\"/>\n", "<path class=\"held\" d=\"", Path(series, true),
                    "\"/>\n", "<path class=\"slow\" d=\"",
                    Path(plan_.slow.series, false), "\"/>\n",
                    "<path class=\"spent\" d=\"", spent, "\"/>\n");
    for (const PlanBudget& budget : input_.budgets) {
      const double dollars = static_cast<double>(budget.room) / 1e6;
      if (dollars > dollars_) continue;
      Rule(kLeft, SpendY(dollars), kLeft + kPlotWidth, SpendY(dollars),
           "budget");
      // Below the line where above it the chart's name stands.
      const double above = SpendY(dollars) - 5;
      Text(kLeft + 6, above < kSpendTop + 20 ? above + 20 : above, "",
           absl::StrCat("budget of ", Escaped(budget.of), ": ",
                        FormatUsd(budget.room)));
    }
    TimeAxis(kSpendTop + kSpendHeight, false);
    Key(kLeft + kPlotWidth - 390, "spent", "spent");
    Key(kLeft + kPlotWidth - 310, "held", "with what is set aside");
    Key(kLeft + kPlotWidth - 120, "slow", "spent, p90");
  }

  void Key(double x, const char* cls, const char* words) {
    const double y = kSpendTop - 12;
    absl::StrAppend(
        &out_, absl::StrFormat("<path class=\"%s\" d=\"M%.1f,%.1fh26\"/>\n",
                               cls, x, y));
    Text(x + 32, y + 4, "", words);
  }

  void Running() {
    Text(kLeft, kRunTop - 8, "", "tasks at once");
    const double step = std::max(1.0, NiceStep(tasks_, 3));
    for (double tasks = 0; tasks <= tasks_; tasks += step) {
      Rule(kLeft, RunY(tasks), kLeft + kPlotWidth, RunY(tasks), "grid");
      Text(kLeft - 8, RunY(tasks) + 4, "end", absl::StrFormat("%.0f", tasks));
    }
    const PlanSeries& series = plan_.typical.series;
    std::string path = absl::StrFormat("M%.1f,%.1f", X({}), RunY(0));
    absl::Duration at;
    for (const PlanSlice& slice : series.slices()) {
      const double y = RunY(slice.running_max);
      const absl::Duration until = std::min(at + series.slice(), end_);
      absl::StrAppend(&path, absl::StrFormat("L%.1f,%.1fL%.1f,%.1f", X(at), y,
                                             X(until), y));
      at = until;
    }
    absl::StrAppend(&out_, "<path class=\"run\" d=\"", path,
                    absl::StrFormat("L%.1f,%.1fZ", X(at), RunY(0)), "\"/>\n");
    TimeAxis(kRunTop + kRunHeight, false);
  }

  void Band(const std::vector<PlanInterval>& intervals) {
    Text(kLeft, kBandTop - 8, "", "what keeps more from starting");
    for (const PlanInterval& each : intervals) {
      absl::StrAppend(
          &out_,
          absl::StrFormat("<rect x=\"%.1f\" y=\"%g\" width=\"%.1f\" "
                          "height=\"%g\" fill=\"%s\"><title>",
                          X(each.from), kBandTop,
                          std::max(0.5, X(each.until) - X(each.from)),
                          kBandHeight,
                          kColours[static_cast<size_t>(each.limit)]),
          Escaped(LimitWords(each.limit, input_)), "</title></rect>\n");
    }
    TimeAxis(kBandTop + kBandHeight, true);
  }

  void Legend(const std::set<PlanLimit>& limits) {
    double y = kLegendTop;
    for (PlanLimit limit : limits) {
      absl::StrAppend(
          &out_,
          absl::StrFormat("<rect x=\"%g\" y=\"%.1f\" width=\"12\" "
                          "height=\"12\" fill=\"%s\"/>\n",
                          kLeft, y - 10, kColours[static_cast<size_t>(limit)]));
      Text(kLeft + 20, y, "", Escaped(LimitWords(limit, input_)));
      y += kRowHeight;
    }
  }

  const PlanWords& words_;
  const PlanInput& input_;
  const Plan& plan_;
  absl::Duration end_;
  double dollars_ = 1, tasks_ = 1;
  std::string out_;
};

}  // namespace

std::string PlanChart(const PlanWords& words, const PlanInput& input,
                      const Plan& plan) {
  return Chart(words, input, plan).Draw();
}

}  // namespace midwatch::cli
