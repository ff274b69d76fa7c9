#include "cli/plan_view.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/civil_time.h"
#include "cli/money.h"
#include "cli/table.h"
#include "cli/times.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

constexpr size_t kIntervalsShown = 16;
constexpr size_t kKindsShown = 8;

std::string WithCommas(int64_t number) {
  const std::string digits = absl::StrCat(number);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    const bool starts = i > 0 && digits[i - 1] != '-';
    if (starts && (digits.size() - i) % 3 == 0) text.push_back(',');
    text.push_back(digits[i]);
  }
  return text;
}

std::string SoManyTasks(int64_t count) {
  return absl::StrCat(WithCommas(count), count == 1 ? " task" : " tasks");
}

// With the day where it is not the first one's.
std::string ClockTime(absl::Time time, absl::Time first) {
  const absl::TimeZone zone = absl::LocalTimeZone();
  const bool same =
      absl::ToCivilDay(time, zone) == absl::ToCivilDay(first, zone);
  return absl::FormatTime(same ? "%H:%M:%S" : "%m-%d %H:%M:%S", time, zone);
}

std::string DayAndTime(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", time, absl::LocalTimeZone());
}

std::string PerMinute(const std::optional<RateLimit>& limit) {
  return limit ? absl::StrFormat("%g a minute", limit->per_minute)
               : std::string("no limit");
}

const char* LimitName(PlanLimit limit) {
  switch (limit) {
    case PlanLimit::kNone:
      return "none";
    case PlanLimit::kPause:
      return "pause";
    case PlanLimit::kNeeds:
      return "needs";
    case PlanLimit::kCreate:
      return "create_rate";
    case PlanLimit::kRead:
      return "read_rate";
    case PlanLimit::kFiles:
      return "files_rate";
    case PlanLimit::kPlaces:
      return "places";
    case PlanLimit::kCap:
      return "max_running";
    case PlanLimit::kKey:
      return "concurrency_key";
    case PlanLimit::kBudget:
      return "budget";
    case PlanLimit::kCanary:
      return "canary";
    case PlanLimit::kDelay:
      return "delay";
  }
  return "none";
}

void AddLine(std::string& out, const char* label, const std::string& text) {
  absl::StrAppend(&out, "  ", absl::StrFormat("%-10s", label), text, "\n");
}

std::string CostLine(const PlanInput& input, const Plan& plan) {
  std::string text = absl::StrCat("about ", FormatAboutUsd(plan.typical.cost),
                                  ", p90 ", FormatAboutUsd(plan.slow.cost));
  for (const PlanBudget& budget : input.budgets) {
    absl::StrAppend(&text, "; ", Printable(budget.of), " has a budget of ",
                    FormatUsd(budget.room));
  }
  return text;
}

std::string FitsLine(const PlanInput& input, const PlannedNight& night) {
  if (Fits(night)) {
    return input.deadline < absl::InfiniteDuration()
               ? "yes: all run, and end before the deadline"
               : "yes: all run";
  }
  std::string text = "no";
  const char* joint = ": ";
  if (night.without_room > 0) {
    absl::StrAppend(&text, joint, SoManyTasks(night.without_room),
                    " would not run, since the budget of ",
                    Printable(night.budget_without_room),
                    " has no room for the ",
                    FormatUsd(night.reserve_without_room),
                    HasOneMaxCost(input) ? " that each sets aside"
                                         : " that the first sets aside");
    joint = "; ";
  }
  if (night.without_needs > 0) {
    absl::StrAppend(&text, joint, SoManyTasks(night.without_needs),
                    " would not run, since ",
                    night.without_needs == 1 ? "it needs" : "they need",
                    " such ones");
    joint = "; ";
  }
  if (night.without_canary > 0) {
    absl::StrAppend(&text, joint, SoManyTasks(night.without_canary),
                    " would wait for somebody, since the canary would cost "
                    "more than its max_cost of ",
                    FormatUsd(input.canary.max_cost));
    joint = "; ";
  }
  if (night.late > 0) {
    absl::StrAppend(&text, joint, SoManyTasks(night.late),
                    " would end after the ", "deadline");
  }
  return text;
}

std::string KindLine(const PlanWords::Kind& kind, const PlanKind& planned,
                     const PlanInput& input) {
  std::string text = absl::StrCat("  ", SoManyTasks(kind.tasks), " like ",
                                  OneLine(kind.example), ": ");
  if (planned.assumed) {
    const Sample& sample = planned.samples[0];
    return absl::StrCat(
        text, "ASSUMED ",
        planned.costs_all && !HasOneMaxCost(input) ? "their max_cost"
                                                   : FormatUsd(sample.cost),
        " and ", FormatSpan(absl::Microseconds(sample.time_micros)),
        " each: none of the kind has succeeded yet\n");
  }
  const v1::Forecast& forecast = kind.forecast;
  return absl::StrCat(text, FormatUsd(forecast.cost_p50_usd_micros()), ", ",
                      FormatSpan(ToDuration(forecast.time_p50())),
                      " each; 9 in 10 within ",
                      FormatUsd(forecast.cost_p90_usd_micros()), ", ",
                      FormatSpan(ToDuration(forecast.time_p90())), " (of ",
                      planned.samples.size(), " that succeeded)\n");
}

Json NightToJson(const PlanInput& input, const PlannedNight& night) {
  auto instant = [&](absl::Duration at) {
    return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", input.start + at,
                            absl::UTCTimeZone());
  };
  return {{"ends_at", instant(night.end)},
          {"seconds", absl::ToDoubleSeconds(night.end)},
          {"cost_usd_micros", night.cost},
          {"tasks_run", night.run},
          {"tasks_late", night.late},
          {"tasks_without_room", night.without_room},
          {"tasks_without_needs", night.without_needs},
          {"tasks_without_canary", night.without_canary},
          {"peak_running", night.peak},
          {"fits", Fits(night)},
          {"requests",
           {{"create", night.requests.create},
            {"write", night.requests.write},
            {"read", night.requests.read},
            {"files", night.requests.files}}}};
}

Json RateToJson(const std::optional<RateLimit>& limit) {
  if (!limit) return nullptr;
  return {{"per_minute", limit->per_minute}, {"burst", limit->burst}};
}

Json KindsToJson(const PlanWords& words, const PlanInput& input) {
  Json kinds = Json::array();
  for (size_t i = 0; i < words.kinds.size(); ++i) {
    const PlanKind& planned = input.kinds[i];
    const v1::Forecast& forecast = words.kinds[i].forecast;
    Json kind = {{"tasks", words.kinds[i].tasks},
                 {"example", words.kinds[i].example},
                 {"assumed", planned.assumed},
                 {"samples", planned.assumed ? 0 : planned.samples.size()}};
    if (planned.assumed) {
      kind["cost_usd_micros"] = planned.samples[0].cost;
      kind["time_seconds"] = absl::ToDoubleSeconds(
          absl::Microseconds(planned.samples[0].time_micros));
    } else {
      kind["cost_p50_usd_micros"] = forecast.cost_p50_usd_micros();
      kind["cost_p90_usd_micros"] = forecast.cost_p90_usd_micros();
      kind["time_p50_seconds"] =
          absl::ToDoubleSeconds(ToDuration(forecast.time_p50()));
      kind["time_p90_seconds"] =
          absl::ToDoubleSeconds(ToDuration(forecast.time_p90()));
    }
    kinds.push_back(std::move(kind));
  }
  return kinds;
}

Json TasksToJson(const PlanWords& words, const PlannedNight& night) {
  Json tasks = Json::array();
  for (size_t i = 0; i < words.names.size(); ++i) {
    const PlannedTask& task = night.tasks[i];
    const bool runs = task.end < absl::InfiniteDuration();
    Json& out = tasks.emplace_back(Json{{"name", words.names[i]}});
    out["start_seconds"] =
        runs ? Json(absl::ToDoubleSeconds(task.start)) : Json(nullptr);
    out["end_seconds"] =
        runs ? Json(absl::ToDoubleSeconds(task.end)) : Json(nullptr);
    out["cost_usd_micros"] = task.cost;
  }
  return tasks;
}

}  // namespace

bool Fits(const PlannedNight& night) {
  return night.without_room == 0 && night.without_needs == 0 &&
         night.without_canary == 0 && night.late == 0;
}

std::string LimitWords(PlanLimit limit, const PlanInput& input) {
  switch (limit) {
    case PlanLimit::kNone:
      return "nothing: all have started";
    case PlanLimit::kPause:
      return "a pause";
    case PlanLimit::kNeeds:
      return "what is left needs others that run";
    case PlanLimit::kCreate:
      return absl::StrCat("create rate: ", PerMinute(input.rates.create),
                          input.rates.write ? "" : ", which writes share");
    case PlanLimit::kRead:
      return absl::StrCat("read rate: ", PerMinute(input.rates.read));
    case PlanLimit::kFiles:
      return absl::StrCat("rate of file requests: ",
                          PerMinute(input.rates.files));
    case PlanLimit::kPlaces:
      return absl::StrCat("places at the workers: ", input.jobs);
    case PlanLimit::kCap: {
      const auto least = std::min_element(
          input.caps.begin(), input.caps.end(),
          [](const PlanCap& a, const PlanCap& b) { return a.max < b.max; });
      return least == input.caps.end()
                 ? "max_running"
                 : absl::StrCat("max_running of ", Printable(least->of), ": ",
                                least->max);
    }
    case PlanLimit::kKey:
      return "concurrency keys: of each key's tasks few run at once";
    case PlanLimit::kBudget:
      if (!HasOneMaxCost(input)) {
        return "a budget: each start sets its task's max_cost aside";
      }
      return absl::StrCat(
          "a budget: each start sets ",
          FormatUsd(input.tasks.empty() ? input.max_cost
                                        : MaxCostOf(input, input.tasks[0])),
          " aside");
    case PlanLimit::kCanary:
      return absl::StrCat("the canary: its first ", input.canary.tasks,
                          " run before the others");
    case PlanLimit::kDelay:
      return "what is left is to start later";
  }
  return "";
}

std::vector<PlanInterval> MainIntervals(const PlanSeries& series) {
  const std::vector<PlanInterval> all = series.Intervals();
  std::vector<PlanInterval> main;
  if (all.empty()) return main;
  const absl::Duration least = all.back().until / 100;
  for (const PlanInterval& each : all) {
    const bool is_short = each.until - each.from < least;
    if (!main.empty() && (is_short || main.back().limit == each.limit)) {
      main.back().until = each.until;
    } else {
      main.push_back(each);
    }
  }
  return main;
}

std::string PlanText(const PlanWords& words, const PlanInput& input,
                     const Plan& plan, int width) {
  const PlannedNight& night = plan.typical;
  const auto tasks = static_cast<int64_t>(input.tasks.size());
  std::string out =
      absl::StrCat(Printable(words.open.name()), ": ", SoManyTasks(tasks),
                   " planned, nothing submitted\n\n");
  const absl::Time end = input.start + night.end;
  AddLine(out, "starts", DayAndTime(input.start));
  AddLine(out, "ends",
          absl::StrCat("about ", ClockTime(end, input.start), ", p90 ",
                       ClockTime(input.start + plan.slow.end, input.start),
                       "; it takes ", FormatSpan(night.end), ", p90 ",
                       FormatSpan(plan.slow.end)));
  AddLine(out, "costs", CostLine(input, plan));
  if (input.deadline < absl::InfiniteDuration()) {
    AddLine(out, "deadline",
            ClockTime(input.start + input.deadline, input.start));
  }
  AddLine(out, "fits", FitsLine(input, night));
  if (Fits(night) && !Fits(plan.slow)) {
    AddLine(out, "p90", absl::StrCat("fits: ", FitsLine(input, plan.slow)));
  }
  AddLine(out, "at once", absl::StrCat("up to ", night.peak));
  AddLine(out, "requests",
          absl::StrCat(WithCommas(night.requests.create), " creates, ",
                       WithCommas(night.requests.write), " writes, ",
                       WithCommas(night.requests.read), " reads, ",
                       WithCommas(night.requests.files), " of files"));

  absl::StrAppend(&out, "\nWhat binds when\n");
  std::vector<std::vector<std::string>> rows;
  const std::vector<PlanInterval> intervals = MainIntervals(night.series);
  for (const PlanInterval& each : intervals) {
    if (rows.size() == kIntervalsShown) break;
    rows.push_back(
        {absl::StrCat("  ", ClockTime(input.start + each.from, input.start)),
         FormatSpan(each.until - each.from), LimitWords(each.limit, input)});
  }
  absl::StrAppend(
      &out, FormatTable({{"  from"}, {"for", true}, {"limit"}}, rows, width));
  if (intervals.size() > kIntervalsShown) {
    absl::StrAppend(&out, "  and ", intervals.size() - kIntervalsShown,
                    " more; --output json has all\n");
  }

  absl::StrAppend(&out, "\nPlanned with\n");
  for (size_t i = 0; i < words.kinds.size(); ++i) {
    if (i == kKindsShown) {
      absl::StrAppend(&out, "  and ", words.kinds.size() - kKindsShown,
                      " other kinds; --output json has all\n");
      break;
    }
    absl::StrAppend(&out, KindLine(words.kinds[i], input.kinds[i], input));
  }
  absl::StrAppend(
      &out, "  ", input.jobs, " at once (", words.jobs_from, "); create ",
      PerMinute(input.rates.create), ", write ",
      input.rates.write ? PerMinute(input.rates.write) : "with them", ", read ",
      PerMinute(input.rates.read), ", files ", PerMinute(input.rates.files),
      " (", words.limits_from, ")\n");
  for (const std::string& note : words.notes) {
    absl::StrAppend(&out, "  ", Printable(note), "\n");
  }
  return out;
}

Json PlanToJson(const PlanWords& words, const PlanInput& input,
                const Plan& plan) {
  Json intervals = Json::array();
  for (const PlanInterval& each : plan.typical.series.Intervals()) {
    intervals.push_back({{"from_seconds", absl::ToDoubleSeconds(each.from)},
                         {"until_seconds", absl::ToDoubleSeconds(each.until)},
                         {"limit", LimitName(each.limit)}});
  }
  Json series = Json::array();
  for (const PlanSlice& slice : plan.typical.series.slices()) {
    series.push_back({slice.running_max, slice.charged, slice.reserved});
  }
  Json caps = Json::array(), budgets = Json::array();
  for (const PlanCap& cap : input.caps) {
    caps.push_back({{"of", cap.of}, {"max_running", cap.max}});
  }
  for (const PlanBudget& budget : input.budgets) {
    budgets.push_back({{"of", budget.of}, {"room_usd_micros", budget.room}});
  }
  Json deadline;
  if (input.deadline < absl::InfiniteDuration()) {
    deadline = absl::ToDoubleSeconds(input.deadline);
  }
  return {
      {"plan", true},
      {"name", words.open.name()},
      {"tasks", input.tasks.size()},
      {"starts_at", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", input.start,
                                     absl::UTCTimeZone())},
      {"deadline_seconds", deadline},
      {"fits", Fits(plan.typical)},
      {"typical", NightToJson(input, plan.typical)},
      {"p90", NightToJson(input, plan.slow)},
      {"limits", intervals},
      {"series",
       {{"slice_seconds", absl::ToDoubleSeconds(plan.typical.series.slice())},
        {"columns",
         {"running_max", "charged_usd_micros", "reserved_usd_micros"}},
        {"slices", series}}},
      {"with",
       {{"kinds", KindsToJson(words, input)},
        {"jobs", input.jobs},
        {"jobs_from", words.jobs_from},
        {"max_cost_usd_micros", input.max_cost},
        {"caps", caps},
        {"budgets", budgets},
        {"rates",
         {{"create", RateToJson(input.rates.create)},
          {"write", RateToJson(input.rates.write)},
          {"read", RateToJson(input.rates.read)},
          {"files", RateToJson(input.rates.files)}}},
        {"limits_from", words.limits_from}}},
      {"notes", words.notes},
      {"first_tasks", TasksToJson(words, plan.typical)}};
}

}  // namespace midwatch::cli
