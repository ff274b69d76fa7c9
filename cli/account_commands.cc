// `midwatch account ...`.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/real_clock.h"
#include "base/status_macros.h"
#include "cli/account_views.h"
#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/json_views.h"
#include "cli/state_names.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/times.h"
#include "cli/utf8.h"
#include "cli/when.h"

namespace midwatch::cli {
namespace {

// "12", and under a cap "12/20".
std::string RunningWords(const v1::Account& account) {
  return absl::StrCat(account.running(),
                      account.max_running() > 0
                          ? absl::StrCat("/", account.max_running())
                          : "");
}

std::string AccountTable(const std::vector<v1::Account>& accounts, int width) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Account& account : accounts) {
    rows.push_back({Printable(account.name()), NameOf(account.state()),
                    RunningWords(account), FormatInstant(account.since()),
                    FormatInstant(account.until()),
                    FormatInstant(account.next_probe()), RatesLine(account),
                    OneLine(account.reason())});
  }
  return FormatTable({{"ACCOUNT"},
                      {"STATE"},
                      {"RUNNING", true},
                      {"SINCE"},
                      {"UNTIL"},
                      {"NEXT TRY"},
                      {"USED A MINUTE"},
                      {"WHY"}},
                     rows, width);
}

void PrintAccount(const GlobalOptions& global, const v1::Account& account) {
  if (global.json) {
    std::puts(ToLine(ToJson(account)).c_str());
    return;
  }
  std::puts(AccountLine(global, account).c_str());
  std::puts(absl::StrCat("running ", RunningWords(account)).c_str());
  std::fputs(RateTable(account, Terminal().width()).c_str(), stdout);
}

}  // namespace

int AccountList(const GlobalOptions& global) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(std::vector<v1::Account> accounts,
                         scheduler.ListAccounts());
        if (!global.json) {
          std::fputs(AccountTable(accounts, Terminal().width()).c_str(),
                     stdout);
          return kExitSucceeded;
        }
        for (const v1::Account& account : accounts) {
          std::puts(ToLine(ToJson(account)).c_str());
        }
        return kExitSucceeded;
      });
}

int AccountShow(const GlobalOptions& global, const std::string& account) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Account found, scheduler.GetAccount(account));
        PrintAccount(global, found);
        return kExitSucceeded;
      });
}

int AccountSet(const GlobalOptions& global, const ControlOptions& options) {
  v1::UpdateAccountRequest request;
  request.set_name(options.name);
  request.set_max_running(options.max_running.value_or(0));
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Account account, scheduler.UpdateAccount(request));
        PrintAccount(global, account);
        return kExitSucceeded;
      });
}

int AccountPause(const GlobalOptions& global, const PauseOptions& options) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        v1::PauseAccountRequest request;
        request.set_name(options.what);
        request.set_reason(options.reason);
        if (!options.until.empty()) {
          RETURN_IF_ERROR(ReadWhen("--until", options.until, RealClock().Now(),
                                   *request.mutable_until()));
        }
        ASSIGN_OR_RETURN(v1::Account account, scheduler.PauseAccount(request));
        PrintAccount(global, account);
        return kExitSucceeded;
      });
}

int AccountResume(const GlobalOptions& global, const std::string& account) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Account resumed, scheduler.ResumeAccount(account));
        PrintAccount(global, resumed);
        return kExitSucceeded;
      });
}

}  // namespace midwatch::cli
