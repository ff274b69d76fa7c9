// `midwatch doctor`.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "base/real_clock.h"
#include "base/status_macros.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/finding.h"
#include "cli/machine_check.h"
#include "cli/money.h"
#include "cli/probe.h"
#include "cli/scheduler_connection.h"
#include "cli/service_check.h"
#include "cli/terminal.h"

namespace midwatch::cli {
namespace {

ClockReading ReadClocks() { return {RealClock().Now(), RealClock().Steady()}; }

Findings Examine(const GlobalOptions& global, const DoctorOptions& options) {
  Findings findings;
  auto add = [&](Findings some) {
    std::move(some.begin(), some.end(), std::back_inserter(findings));
  };
  const ClockReading begun = ReadClocks();
  add({CheckHardware(), CheckOpenFiles(options.streams), CheckSeccomp(),
       CheckCgroups()});
  absl::StatusOr<std::string> state_dir = OpenStateDir(global.state_dir);
  if (state_dir.ok()) {
    add(CheckSandbox(*state_dir));
    add(CheckDisk(*state_dir, RealClock()));
    add(CheckDatabase(*state_dir));
    add({CheckScheduler(global.server, *state_dir)});
  } else {
    add({Problem("disk", std::string(state_dir.status().message()),
                 "name another directory with --state-dir")});
  }
  add(CheckService(options.service));
  add({CheckClock(begun, ReadClocks())});
  return findings;
}

bool TakesKey(const Findings& findings) {
  return std::none_of(findings.begin(), findings.end(), [](const Finding& f) {
    return f.topic == "account" && f.level == Finding::Level::kProblem;
  });
}

bool Confirms(const std::string& base_url) {
  std::fprintf(stderr,
               "The probe makes two sessions at %s and lets one of them run "
               "a short command,\nfor %s at most. Go on? [y/N] ",
               base_url.c_str(), FormatUsd(kProbeUsdMicrosMax).c_str());
  char answer[16] = {};
  return std::fgets(answer, sizeof answer, stdin) != nullptr &&
         (answer[0] == 'y' || answer[0] == 'Y');
}

// Whether the probe may spend, and on what.
absl::StatusOr<AccountOptions> AccountToProbe(const DoctorOptions& options) {
  if (options.service.base_url.empty()) {
    return absl::InvalidArgumentError(
        "--probe needs --base-url: which service to try");
  }
  ASSIGN_OR_RETURN(AccountOptions account, FindAccount(options.service));
  if (options.yes) return account;
  if (isatty(STDIN_FILENO) != 1) {
    return absl::InvalidArgumentError(
        "--probe spends cents: without a terminal to ask it needs --yes");
  }
  if (!Confirms(account.base_url)) {
    return absl::CancelledError("not probed");
  }
  return account;
}

}  // namespace

int Doctor(const GlobalOptions& global, const DoctorOptions& options) {
  std::optional<AccountOptions> account;
  if (options.probe) {
    absl::StatusOr<AccountOptions> found = AccountToProbe(options);
    if (!found.ok()) return Report(found.status());
    account = *std::move(found);
  }
  Findings findings = Examine(global, options);
  if (account && TakesKey(findings)) {
    Findings probed = ProbeService(*account, options.model).findings;
    std::move(probed.begin(), probed.end(), std::back_inserter(findings));
  }
  if (global.json) {
    std::puts(ToLine({{"findings", FindingsJson(findings)},
                      {"problem", HasProblem(findings)}})
                  .c_str());
  } else {
    std::fputs(FindingsText(findings, Terminal().colours()).c_str(), stdout);
  }
  return HasProblem(findings) ? kExitFailed : kExitSucceeded;
}

}  // namespace midwatch::cli
