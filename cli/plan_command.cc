// `midwatch plan`: a batch file, played before it is submitted.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/real_clock.h"
#include "base/status_macros.h"
#include "cli/account_views.h"
#include "cli/batch_file.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json_views.h"
#include "cli/limits.h"
#include "cli/money.h"
#include "cli/plan_chart.h"
#include "cli/plan_input.h"
#include "cli/plan_view.h"
#include "cli/scheduler_connection.h"
#include "cli/state_dir.h"
#include "cli/terminal.h"
#include "cli/times.h"
#include "cli/utf8.h"
#include "cli/when.h"

namespace midwatch::cli {
namespace {

// As `midwatch run --base-url` takes, and `midwatch worker`.
constexpr int kJobsAssumed = 32;
constexpr int kSpecsAtOnce = 100;
constexpr size_t kSpecBytesAtOnce = 2 << 20;
constexpr size_t kFirstTasks = 10'000;

absl::StatusOr<absl::Duration> ReadSpan(const char* option,
                                        const std::string& text) {
  absl::Duration span;
  if (absl::ParseDuration(text, &span) && span >= absl::Seconds(1) &&
      span <= absl::Hours(24 * 30)) {
    return span;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      option, " is '", Printable(text), "'; expected 1s to 720h, such as 10m"));
}

class Planning {
 public:
  Planning(const GlobalOptions& global, const PlanOptions& options)
      : global_(global), options_(options) {}

  absl::StatusOr<ExitCode> Run() {
    RETURN_IF_ERROR(ReadGuess());
    ASSIGN_OR_RETURN(BatchFile file,
                     LoadBatchFile(options_.file, options_.params));
    ASSIGN_OR_RETURN(const absl::Time start, ReadStart());
    ASSIGN_OR_RETURN(batch_, ToPlanInput(file, start));
    input().stream_age = stream_age_;
    words_.open = file.open;
    words_.notes = file.notes;
    if (batch_.outside_needs > 0) {
      words_.notes.push_back(absl::StrCat(
          batch_.outside_needs,
          " needs are of tasks outside the file, and taken for done"));
    }
    RETURN_IF_ERROR(TakeRatesAndJobs());
    RETURN_IF_ERROR(AskScheduler());
    RETURN_IF_ERROR(TakeNames(file));
    AssumeTheRest();
    const Plan plan = PlanBatch(input());
    RETURN_IF_ERROR(Show(plan));
    return Fits(plan.typical) ? kExitSucceeded : kExitFailed;
  }

 private:
  PlanInput& input() { return batch_.input; }
  std::string AccountName() const {
    const std::string& account = words_.open.account();
    return account.empty() ? "default" : account;
  }

  absl::Status ReadGuess() {
    ASSIGN_OR_RETURN(guess_time_,
                     ReadSpan("--assume-duration", options_.assume_duration));
    if (!options_.assume_cost.empty()) {
      absl::StatusOr<int64_t> cost = ParseUsd(options_.assume_cost);
      if (!cost.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("--assume-cost: ", cost.status().message()));
      }
      guess_cost_ = *cost;
    }
    ASSIGN_OR_RETURN(stream_age_,
                     options_.stream_age.empty()
                         ? absl::InfiniteDuration()
                         : ReadSpan("--stream-age", options_.stream_age));
    return absl::OkStatus();
  }

  absl::StatusOr<absl::Time> ReadStart() const {
    const absl::Time now = RealClock().Now();
    if (options_.start.empty()) return now;
    google::protobuf::Timestamp start;
    RETURN_IF_ERROR(ReadWhen("--start", options_.start, now, start));
    return ToTime(start);
  }

  absl::Status TakeRatesAndJobs() {
    // Also what holds where no scheduler knows better.
    ASSIGN_OR_RETURN(std::optional<v1::AccountLimits> limits,
                     ReadLimits("--limits", options_.limits, "", "", ""));
    if (limits) input().rates = ToPlanRates(*limits);
    words_.limits_from =
        options_.limits.empty() ? "assumed, as documented" : "--limits";
    input().jobs = options_.jobs > 0 ? options_.jobs : kJobsAssumed;
    words_.jobs_from = options_.jobs > 0 ? "--jobs" : "assumed";
    return absl::OkStatus();
  }

  // Whatever a scheduler can tell; without one, nothing is opened or made.
  absl::Status AskScheduler() {
    std::string state_dir;
    if (global_.server.empty()) {
      ASSIGN_OR_RETURN(state_dir, FindStateDir(global_.state_dir));
      if (state_dir.empty()) {
        words_.notes.push_back("no state directory yet: nothing is known");
        return absl::OkStatus();
      }
    }
    // One of our own has nothing to tell the reader of a plan.
    SetLogLevel(LogLevel::kWarning);
    ASSIGN_OR_RETURN(std::unique_ptr<SchedulerConnection> scheduler,
                     SchedulerConnection::Open(global_.server, state_dir));
    RETURN_IF_ERROR(TakeForecasts(*scheduler));
    RETURN_IF_ERROR(TakeControls(*scheduler));
    return TakeBudgets(*scheduler);
  }

  absl::Status TakeForecasts(SchedulerConnection& scheduler) {
    std::vector<PlanKind>& kinds = input().kinds;
    size_t next = 0;
    while (next < kinds.size()) {
      v1::ForecastTasksRequest request;
      request.set_account(AccountName());
      size_t bytes = 0;
      while (next + static_cast<size_t>(request.specs_size()) < kinds.size() &&
             request.specs_size() < kSpecsAtOnce && bytes < kSpecBytesAtOnce) {
        const v1::TaskSpec& spec =
            batch_.specs[next + static_cast<size_t>(request.specs_size())];
        bytes += spec.ByteSizeLong();
        *request.add_specs() = spec;
      }
      ASSIGN_OR_RETURN(v1::ForecastTasksResponse response,
                       scheduler.ForecastTasks(request));
      for (const v1::KindForecast& found : response.kinds()) {
        PlanKind& kind = kinds[next];
        kind.dearest = found.dearest_request_usd_micros();
        for (const v1::ForecastSample& sample : found.samples()) {
          kind.samples.push_back(
              {sample.cost_usd_micros(),
               absl::ToInt64Microseconds(ToDuration(sample.time()))});
        }
        forecasts_.resize(kinds.size());
        forecasts_[next++] = found.forecast();
      }
      TakeServing(response);
    }
    return absl::OkStatus();
  }

  void TakeServing(const v1::ForecastTasksResponse& response) {
    if (options_.limits.empty() && response.has_limits()) {
      input().rates = ToPlanRates(response.limits());
      words_.limits_from = "as the account's workers say";
    }
    if (options_.jobs == 0 && response.workers() > 0) {
      input().jobs = std::max(1, response.capacity());
      words_.jobs_from = absl::StrCat(
          response.workers(), response.workers() == 1 ? " worker" : " workers",
          " connected");
    }
  }

  template <typename T>
  static absl::StatusOr<T> OrEmpty(absl::StatusOr<T> found) {
    if (absl::IsNotFound(found.status())) return T();
    return found;
  }

  static std::string OrDefault(const std::string& name) {
    return name.empty() ? "default" : name;
  }

  absl::Status TakeControls(SchedulerConnection& scheduler) {
    const std::string queue_name = OrDefault(words_.open.queue());
    ASSIGN_OR_RETURN(v1::Queue queue, OrEmpty(scheduler.GetQueue(queue_name)));
    AddCap("queue " + queue_name, queue.max_running());
    if (queue.has_pause() && queue.pause().has_until()) {
      input().held_for = std::max(
          absl::ZeroDuration(), ToTime(queue.pause().until()) - input().start);
      words_.notes.push_back(absl::StrCat(
          "queue ", queue_name, " is paused until ",
          FormatInstant(queue.pause().until()), ", and the plan waits for it"));
    } else if (queue.has_pause()) {
      words_.notes.push_back(
          absl::StrCat("queue ", queue_name,
                       " is paused until somebody resumes it; planned as if it "
                       "were not"));
    }
    const std::string tenant_name = OrDefault(words_.open.tenant());
    ASSIGN_OR_RETURN(v1::Tenant tenant,
                     OrEmpty(scheduler.GetTenant(tenant_name)));
    AddCap("tenant " + tenant_name, tenant.max_running());
    ASSIGN_OR_RETURN(std::vector<v1::ConcurrencyKey> capped,
                     scheduler.ListConcurrencyKeys(tenant_name));
    input().key_max.assign(batch_.keys.size(), 1);
    for (const v1::ConcurrencyKey& each : capped) {
      const auto key =
          std::find(batch_.keys.begin(), batch_.keys.end(), each.key());
      if (key == batch_.keys.end()) continue;
      input().key_max[static_cast<size_t>(key - batch_.keys.begin())] =
          each.max_running();
    }
    ASSIGN_OR_RETURN(v1::Account account,
                     OrEmpty(scheduler.GetAccount(AccountName())));
    AddCap("account " + AccountName(), account.max_running());
    if (!account.name().empty() && account.state() != v1::ACCOUNT_STATE_OPEN) {
      words_.notes.push_back(absl::StrCat(AccountLine(global_, account),
                                          "; planned as if it were open"));
    }
    return absl::OkStatus();
  }

  void AddCap(std::string of, int32_t max_running) {
    if (max_running > 0) input().caps.push_back({std::move(of), max_running});
  }

  absl::Status TakeBudgets(SchedulerConnection& scheduler) {
    ASSIGN_OR_RETURN(std::vector<v1::Budget> budgets, scheduler.ListBudgets());
    for (const v1::Budget& budget : budgets) {
      const v1::BudgetKey& key = budget.key();
      const bool tenants = key.scope() == v1::BUDGET_SCOPE_TENANT &&
                           key.name() == OrDefault(words_.open.tenant());
      const bool queues = key.scope() == v1::BUDGET_SCOPE_QUEUE &&
                          key.name() == OrDefault(words_.open.queue());
      if (!tenants && !queues) continue;
      PlanBudget planned{
          .of = absl::StrCat(tenants ? "tenant " : "queue ", key.name()),
          .room = budget.limit_usd_micros() - budget.charged_usd_micros() -
                  budget.reserved_usd_micros(),
          .limit = budget.limit_usd_micros()};
      if (budget.has_window_end()) {
        planned.every =
            ToTime(budget.window_end()) - ToTime(budget.window_start());
        planned.renews_in = ToTime(budget.window_end()) - input().start;
        // Of a window that is over when the plan begins.
        if (planned.renews_in <= absl::ZeroDuration()) {
          planned.room = planned.limit;
          planned.renews_in +=
              planned.every * (1 + -planned.renews_in / planned.every);
        }
      }
      input().budgets.push_back(std::move(planned));
    }
    return absl::OkStatus();
  }

  absl::Status TakeNames(const BatchFile& file) {
    if (file.stream == nullptr) {
      for (const v1::TaskLine& line : file.lines) {
        if (words_.names.size() == kFirstTasks) break;
        words_.names.push_back(line.name());
      }
      return absl::OkStatus();
    }
    while (words_.names.size() < kFirstTasks &&
           static_cast<int64_t>(words_.names.size()) < file.tasks()) {
      ASSIGN_OR_RETURN(
          std::vector<v1::TaskLine> lines,
          file.stream->Read(static_cast<int64_t>(words_.names.size()), 1000,
                            kSpecBytesAtOnce));
      for (v1::TaskLine& line : lines) {
        words_.names.push_back(std::move(*line.mutable_name()));
      }
    }
    return absl::OkStatus();
  }

  void AssumeTheRest() {
    forecasts_.resize(input().kinds.size());
    for (size_t i = 0; i < input().kinds.size(); ++i) {
      PlanKind& kind = input().kinds[i];
      kind.assumed = kind.samples.empty();
      if (kind.assumed) {
        kind.costs_all = !guess_cost_;
        kind.samples = {{guess_cost_.value_or(input().max_cost),
                         absl::ToInt64Microseconds(guess_time_)}};
      }
      words_.kinds.push_back({batch_.tasks_of_kind[i], forecasts_[i], ""});
    }
    for (size_t i = 0; i < words_.names.size(); ++i) {
      std::string& example =
          words_.kinds[static_cast<size_t>(input().tasks[i].kind)].example;
      if (example.empty()) example = words_.names[i];
    }
  }

  absl::Status Show(const Plan& plan) {
    const std::string text =
        global_.json ? ToLine(PlanToJson(words_, input(), plan)) + "\n"
                     : PlanText(words_, input(), plan, Terminal().width());
    std::fputs(text.c_str(), stdout);
    if (options_.svg.empty()) return absl::OkStatus();
    std::ofstream file(options_.svg, std::ios::binary);
    file << PlanChart(words_, input(), plan);
    file.close();
    if (file) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("cannot write ", Printable(options_.svg)));
  }

  const GlobalOptions& global_;
  const PlanOptions& options_;
  absl::Duration guess_time_, stream_age_;
  std::optional<int64_t> guess_cost_;
  BatchToPlan batch_;
  PlanWords words_;
  std::vector<v1::Forecast> forecasts_;  // by kind
};

}  // namespace

int PlanFile(const GlobalOptions& global, const PlanOptions& options) {
  absl::StatusOr<ExitCode> code = Planning(global, options).Run();
  return code.ok() ? *code : Report(code.status());
}

}  // namespace midwatch::cli
