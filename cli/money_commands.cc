// `midwatch budget ...` and `midwatch journal`.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "base/external_id.h"
#include "base/status_macros.h"
#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/json_views.h"
#include "cli/money.h"
#include "cli/state_names.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/times.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

absl::StatusOr<v1::BudgetKey> ToKey(SchedulerConnection& scheduler,
                                    const BudgetOptions& options) {
  v1::BudgetKey key;
  int scopes = 0;
  auto take = [&](v1::BudgetScope scope, const std::string& name) {
    if (name.empty()) return;
    ++scopes;
    key.set_scope(scope);
    key.set_name(name);
  };
  take(v1::BUDGET_SCOPE_TENANT, options.tenant);
  take(v1::BUDGET_SCOPE_QUEUE, options.queue);
  take(v1::BUDGET_SCOPE_BATCH, options.batch);
  take(v1::BUDGET_SCOPE_TASK, options.task);
  if (scopes != 1) {
    return absl::InvalidArgumentError(
        "whose budget? expected one of --tenant, --queue, --batch and --task");
  }
  if (!options.batch.empty()) {
    ASSIGN_OR_RETURN(v1::Batch batch, scheduler.FindBatch(options.batch));
    key.set_name(batch.batch_id());
  }
  key.set_window(options.window == "day"     ? v1::BUDGET_WINDOW_DAY
                 : options.window == "month" ? v1::BUDGET_WINDOW_MONTH
                                             : v1::BUDGET_WINDOW_TOTAL);
  return key;
}

std::string ScopeName(v1::BudgetScope scope) {
  switch (scope) {
    case v1::BUDGET_SCOPE_TENANT:
      return "tenant";
    case v1::BUDGET_SCOPE_QUEUE:
      return "queue";
    case v1::BUDGET_SCOPE_BATCH:
      return "batch";
    default:
      return "task";
  }
}

std::string WindowName(v1::BudgetWindow window) {
  return window == v1::BUDGET_WINDOW_DAY     ? "day"
         : window == v1::BUDGET_WINDOW_MONTH ? "month"
                                             : "total";
}

// What it means for tasks that are ready.
std::string Standing(const v1::Budget& budget) {
  const int64_t room = budget.limit_usd_micros() - budget.charged_usd_micros() -
                       budget.reserved_usd_micros();
  if (room < 0) {
    return absl::StrCat("nothing starts: the limit is ", FormatUsd(-room),
                        " below what is charged and reserved");
  }
  if (budget.tasks_wait()) return "tasks wait: the next does not fit";
  return room == 0 ? "nothing left" : "";
}

std::string BudgetTable(const std::vector<v1::Budget>& budgets, int width) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Budget& budget : budgets) {
    std::string window = WindowName(budget.key().window());
    if (!budget.time_zone().empty()) {
      absl::StrAppend(&window, ", ", budget.time_zone());
    }
    rows.push_back({absl::StrCat(ScopeName(budget.key().scope()), " ",
                                 Printable(budget.key().name())),
                    window, FormatUsd(budget.limit_usd_micros()),
                    FormatUsd(budget.charged_usd_micros()),
                    FormatUsd(budget.reserved_usd_micros()),
                    FormatUsd(budget.overshoot_usd_micros()),
                    Standing(budget)});
  }
  return FormatTable({{"BUDGET OF"},
                      {"WINDOW"},
                      {"LIMIT", true},
                      {"CHARGED", true},
                      {"RESERVED", true},
                      {"OVERSHOOT", true},
                      {""}},
                     rows, width);
}

Json BudgetToJson(const v1::Budget& budget) {
  return {{"scope", ScopeName(budget.key().scope())},
          {"name", budget.key().name()},
          {"window", WindowName(budget.key().window())},
          {"time_zone", budget.time_zone()},
          {"limit_usd_micros", budget.limit_usd_micros()},
          {"charged_usd_micros", budget.charged_usd_micros()},
          {"reserved_usd_micros", budget.reserved_usd_micros()},
          {"overshoot_usd_micros", budget.overshoot_usd_micros()},
          {"window_start", InstantToJson(budget.window_start())},
          {"window_end", InstantToJson(budget.window_end())},
          {"tasks_wait", budget.tasks_wait()}};
}

Json EntryToJson(const v1::JournalEntry& entry) {
  return {{"sequence", entry.sequence()},
          {"at", InstantToJson(entry.at())},
          {"kind", entry.kind()},
          {"batch_id", entry.batch_id()},
          {"task_id", entry.task_id()},
          {"task_name", entry.task_name()},
          {"tenant", entry.tenant()},
          {"queue", entry.queue()},
          {"attempt", entry.attempt()},
          {"state", entry.state() == v1::TASK_STATE_UNSPECIFIED
                        ? ""
                        : NameOf(entry.state())},
          {"reserved_usd_micros", entry.reserved_usd_micros()},
          {"charged_usd_micros", entry.charged_usd_micros()},
          {"overshoot_usd_micros", entry.overshoot_usd_micros()},
          {"reason", entry.reason()}};
}

constexpr const char* kCsvColumns[] = {"sequence",
                                       "at",
                                       "kind",
                                       "batch_id",
                                       "task_id",
                                       "task_name",
                                       "tenant",
                                       "queue",
                                       "attempt",
                                       "state",
                                       "reserved_usd_micros",
                                       "charged_usd_micros",
                                       "overshoot_usd_micros",
                                       "reason"};

// RFC 4180: quoted where it must be.
std::string CsvCell(const Json& value) {
  if (!value.is_string()) return ToLine(value);
  std::string text = value.get<std::string>();
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

std::string CsvLine(const Json& entry) {
  std::string line;
  for (const char* column : kCsvColumns) {
    absl::StrAppend(&line, line.empty() ? "" : ",", CsvCell(entry[column]));
  }
  return line;
}

// "+$0.30", "-$1.00", "" for nothing.
std::string Signed(int64_t usd_micros) {
  if (usd_micros == 0) return "";
  return absl::StrCat(usd_micros > 0 ? "+" : "", FormatUsd(usd_micros));
}

std::string TextLine(const v1::JournalEntry& entry) {
  return absl::StrFormat(
      "%-19s  %-16s  %-26s %2s  %11s  %11s  %10s  %s",
      FormatInstant(entry.at()), entry.kind(), entry.task_id(),
      entry.attempt() == 0 ? "" : absl::StrCat(entry.attempt()),
      Signed(entry.reserved_usd_micros()), Signed(entry.charged_usd_micros()),
      Signed(entry.overshoot_usd_micros()),
      Printable(entry.task_name().empty() ? entry.reason()
                                          : entry.task_name()));
}

absl::StatusOr<v1::ListJournalRequest> ToFilter(SchedulerConnection& scheduler,
                                                const JournalOptions& options) {
  v1::ListJournalRequest filter;
  if (ParseExternalId(options.batch).ok()) {
    filter.set_batch_id(options.batch);  // of one that is deleted, too
  } else if (!options.batch.empty()) {
    ASSIGN_OR_RETURN(v1::Batch batch, scheduler.FindBatch(options.batch));
    filter.set_batch_id(batch.batch_id());
  }
  filter.set_task_id(options.task);
  filter.set_tenant(options.tenant);
  filter.set_queue(options.queue);
  for (const std::string& kind : options.kinds) filter.add_kinds(kind);
  filter.set_money_only(!options.all);
  if (!options.from.empty()) {
    RETURN_IF_ERROR(
        ReadInstant("--from", options.from, *filter.mutable_from()));
  }
  if (!options.until.empty()) {
    RETURN_IF_ERROR(
        ReadInstant("--until", options.until, *filter.mutable_until()));
  }
  return filter;
}

}  // namespace

int BudgetSet(const GlobalOptions& global, const BudgetOptions& options) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        v1::SetBudgetRequest request;
        ASSIGN_OR_RETURN(*request.mutable_key(), ToKey(scheduler, options));
        ASSIGN_OR_RETURN(int64_t limit, ParseUsd(options.limit));
        request.set_limit_usd_micros(limit);
        request.set_time_zone(options.time_zone);
        ASSIGN_OR_RETURN(v1::SetBudgetResponse response,
                         scheduler.SetBudget(request));
        if (!response.has_budget()) return kExitSucceeded;
        std::fputs(
            global.json
                ? (ToLine(BudgetToJson(response.budget())) + "\n").c_str()
                : BudgetTable({response.budget()}, Terminal().width()).c_str(),
            stdout);
        return kExitSucceeded;
      });
}

int BudgetList(const GlobalOptions& global) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(std::vector<v1::Budget> budgets,
                         scheduler.ListBudgets());
        if (!global.json) {
          std::fputs(BudgetTable(budgets, Terminal().width()).c_str(), stdout);
          return kExitSucceeded;
        }
        for (const v1::Budget& budget : budgets) {
          std::puts(ToLine(BudgetToJson(budget)).c_str());
        }
        return kExitSucceeded;
      });
}

int BudgetDelete(const GlobalOptions& global, const BudgetOptions& options) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        v1::DeleteBudgetRequest request;
        ASSIGN_OR_RETURN(*request.mutable_key(), ToKey(scheduler, options));
        RETURN_IF_ERROR(scheduler.DeleteBudget(request));
        return kExitSucceeded;
      });
}

int Journal(const GlobalOptions& global, const JournalOptions& options) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::ListJournalRequest filter,
                         ToFilter(scheduler, options));
        if (options.csv) {
          std::puts(absl::StrJoin(kCsvColumns, ",").c_str());
        } else if (!global.json) {
          std::puts(absl::StrFormat("%-19s  %-16s  %-26s %2s  %11s  %11s  %10s",
                                    "AT", "WHAT", "TASK", "N", "RESERVED",
                                    "CHARGED", "OVERSHOOT")
                        .c_str());
        }
        RETURN_IF_ERROR(scheduler.ForEachJournalEntry(
            filter, [&](const v1::JournalEntry& entry) {
              const std::string line = options.csv ? CsvLine(EntryToJson(entry))
                                       : global.json
                                           ? ToLine(EntryToJson(entry))
                                           : TextLine(entry);
              std::puts(line.c_str());
              return absl::OkStatus();
            }));
        return kExitSucceeded;
      });
}

}  // namespace midwatch::cli
