// `midwatch doctor`.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/real_clock.h"
#include "base/status_macros.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/finding.h"
#include "cli/interrupts.h"
#include "cli/json_views.h"
#include "cli/machine_check.h"
#include "cli/money.h"
#include "cli/probe.h"
#include "cli/scheduler_connection.h"
#include "cli/service_check.h"
#include "cli/state_dir.h"
#include "cli/terminal.h"
#include "cli/times.h"

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

constexpr absl::Duration kStreamAgeMin = absl::Seconds(1);
constexpr absl::Duration kStreamAgeMax = absl::Hours(24);

absl::StatusOr<ProbeOptions> ReadProbe(const DoctorOptions& options) {
  ProbeOptions probe;
  probe.model = options.model;
  probe.limits = options.limits;
  if (options.stream_age.empty()) return probe;
  if (!absl::ParseDuration(options.stream_age, &probe.stream_age) ||
      probe.stream_age < kStreamAgeMin || probe.stream_age > kStreamAgeMax) {
    return absl::InvalidArgumentError(
        "--stream-age: expected a duration from 1s to 24h, such as 30m");
  }
  return probe;
}

bool Confirms(const std::string& base_url, const ProbeOptions& probe) {
  std::string says =
      absl::StrCat("The probe makes a few sessions at ", base_url,
                   " and lets one of them run a short command,\nfor ",
                   FormatUsd(kProbeUsdMicrosMax), " at most. ");
  if (probe.limits) {
    absl::StrAppend(&says,
                    "It uses up the account's requests for a minute: nothing "
                    "else should use it now. ");
  }
  if (probe.stream_age > absl::ZeroDuration()) {
    absl::StrAppend(&says, "It holds a stream open for ",
                    FormatSpan(probe.stream_age), ". ");
  }
  std::fputs(absl::StrCat(says, "Go on? [y/N] ").c_str(), stderr);
  char answer[16] = {};
  return std::fgets(answer, sizeof answer, stdin) != nullptr &&
         (answer[0] == 'y' || answer[0] == 'Y');
}

// Whether the probe may spend, and on what.
absl::StatusOr<AccountOptions> AccountToProbe(const DoctorOptions& options,
                                              const ProbeOptions& probe) {
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
  if (!Confirms(account.base_url, probe)) {
    return absl::CancelledError("not probed");
  }
  return account;
}

}  // namespace

int Doctor(const GlobalOptions& global, const DoctorOptions& options) {
  std::optional<AccountOptions> account;
  std::optional<Interrupts> interrupts;
  ProbeOptions probe;
  if (options.probe) {
    absl::StatusOr<ProbeOptions> read = ReadProbe(options);
    if (!read.ok()) return Report(read.status());
    probe = *std::move(read);
    absl::StatusOr<AccountOptions> found = AccountToProbe(options, probe);
    if (!found.ok()) return Report(found.status());
    account = *std::move(found);
    if (probe.stream_age > absl::ZeroDuration()) interrupts.emplace();
  }
  Findings findings = Examine(global, options);
  if (account && TakesKey(findings)) {
    Findings probed =
        ProbeService(*account, probe, interrupts ? &*interrupts : nullptr)
            .findings;
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
