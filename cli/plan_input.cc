#include "cli/plan_input.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/spec_reader.h"
#include "cli/template_text.h"
#include "cli/times.h"
#include "store/batch_rules.h"
#include "store/prediction.h"
#include "store/start_rules.h"

namespace midwatch::cli {
namespace {

constexpr size_t kLinesAtOnce = 1000;
constexpr size_t kBytesAtOnce = 4 << 20;

class PlanReader {
 public:
  PlanReader(const v1::TaskSpec& spec, absl::Time start)
      : spec_(spec), start_(start) {
    key_has_parameters_ =
        spec.concurrency_key().find("{{") != std::string::npos;
  }

  void Add(const v1::TaskLine& line) {
    PlanTask& task = out_.input.tasks.emplace_back();
    const auto number = static_cast<int32_t>(out_.input.tasks.size() - 1);
    if (!line.prompt().empty() || line.has_expect()) {
      v1::TaskSpec own = spec_;
      if (!line.prompt().empty()) own.set_prompt(line.prompt());
      if (line.has_expect()) *own.mutable_expect() = line.expect();
      task.kind = KindFor(own);
    } else {
      if (shared_kind_ < 0) shared_kind_ = KindFor(spec_);
      task.kind = shared_kind_;
    }
    ++out_.tasks_of_kind[static_cast<size_t>(task.kind)];
    task.key = KeyOf(line);
    for (const v1::Input& input : line.inputs()) {
      // One that a task before it leaves is uploaded too, each time anew.
      if (input.sha256().empty() || inputs_.insert(input.sha256()).second) {
        ++task.new_inputs;
      }
    }
    for (const v1::Need& need : line.needs()) {
      auto known = by_name_.find(need.name());
      if (need.all_earlier()) {
        task.needs_all = true;
      } else if (known != by_name_.end()) {
        task.needs.push_back(known->second);
      } else {
        ++out_.outside_needs;
      }
    }
    by_name_[line.name()] = number;
    task.not_before = StartRulesOf(spec_, line).StartOf(start_) - start_;
    if (line.has_priority()) task.priority = line.priority();
    if (line.max_cost_usd_micros() != 0) {
      task.max_cost = line.max_cost_usd_micros();
    }
  }

  BatchToPlan Take() { return std::move(out_); }

 private:
  int32_t KindFor(const v1::TaskSpec& spec) {
    auto [known, is_new] =
        kinds_.try_emplace(KindOf(spec), static_cast<int32_t>(kinds_.size()));
    if (is_new) {
      out_.specs.push_back(spec);
      out_.tasks_of_kind.push_back(0);
      out_.input.kinds.emplace_back().expected_files =
          spec.expect().files_size();
    }
    return known->second;
  }

  int32_t KeyOf(const v1::TaskLine& line) {
    if (spec_.concurrency_key().empty()) return -1;
    std::string key = spec_.concurrency_key();
    if (key_has_parameters_) {
      const Values values(line.parameters().begin(), line.parameters().end());
      key = FillIn(key, values, nullptr);
    }
    if (key.empty()) return -1;
    auto [known, is_new] =
        keys_.try_emplace(key, static_cast<int32_t>(keys_.size()));
    if (is_new) out_.keys.push_back(key);
    return known->second;
  }

  const v1::TaskSpec& spec_;
  const absl::Time start_;
  bool key_has_parameters_ = false;
  int32_t shared_kind_ = -1;  // of the spec as it is; -1: of no task yet
  BatchToPlan out_;
  std::map<std::string, int32_t> kinds_, keys_, by_name_;
  std::set<std::string> inputs_;
};

std::optional<RateLimit> ToRateLimit(bool has, const v1::RequestLimit& limit) {
  if (!has || limit.per_minute() <= 0) return std::nullopt;
  const int burst = limit.burst() > 0
                        ? limit.burst()
                        : static_cast<int>(std::ceil(limit.per_minute() / 60));
  return RateLimit{limit.per_minute(), std::max(burst, 1)};
}

}  // namespace

absl::StatusOr<BatchToPlan> ToPlanInput(const BatchFile& file,
                                        absl::Time start) {
  if (file.tasks() > kPlannedTasksMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("the batch has ", file.tasks(), " tasks, and at most ",
                     kPlannedTasksMax, " are planned; plan a part of it"));
  }
  const v1::OpenBatch& open = file.open;
  PlanReader reader(open.spec(), start);
  if (file.stream != nullptr) {
    int64_t next = 0;
    while (next < file.tasks()) {
      ASSIGN_OR_RETURN(std::vector<v1::TaskLine> lines,
                       file.stream->Read(next, kLinesAtOnce, kBytesAtOnce));
      for (const v1::TaskLine& line : lines) reader.Add(line);
      next += static_cast<int64_t>(lines.size());
    }
  } else {
    for (const v1::TaskLine& line : file.lines) reader.Add(line);
  }
  BatchToPlan plan = reader.Take();
  PlanInput& input = plan.input;
  input.start = start;
  if (open.has_canary()) {
    input.canary = {
        .tasks = open.canary().tasks(),
        .min_success = open.canary().has_min_success()
                           ? std::llround(kWhole * open.canary().min_success())
                           : kWhole,
        .max_cost = open.canary().max_cost_usd_micros()};
  }
  input.max_cost = open.spec().max_cost_usd_micros() > 0
                       ? open.spec().max_cost_usd_micros()
                       : kMaxCostMicrosDefault;
  if (open.spec().has_priority()) input.priority = open.spec().priority();
  if (open.spec().has_deadline()) {
    input.deadline = ToDuration(open.spec().deadline());
  }
  input.one_call = open.spec().start() == v1::START_MODE_ONE_CALL;
  if (open.max_running() > 0) {
    input.caps.push_back({"the batch", open.max_running()});
  }
  if (open.budget_usd_micros() > 0) {
    input.budgets.push_back({.of = "the batch",
                             .room = open.budget_usd_micros(),
                             .limit = open.budget_usd_micros()});
  }
  return plan;
}

PlanRates ToPlanRates(const v1::AccountLimits& limits) {
  return {ToRateLimit(limits.has_create(), limits.create()),
          ToRateLimit(limits.has_write(), limits.write()),
          ToRateLimit(limits.has_read(), limits.read()),
          ToRateLimit(limits.has_files(), limits.files())};
}

}  // namespace midwatch::cli
