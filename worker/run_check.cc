// The check that a spec names, of this worker's own: see output_check.h.
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "worker/attempt.h"

namespace midwatch {
namespace {

// Between looks at whether the check is done, and cancel was asked for.
constexpr absl::Duration kLookAtCheckEvery = absl::Milliseconds(100);

// Shared with the coroutine that runs the check, which an attempt does not wait
// for where it must stop.
struct CheckRun {
  CheckCall call;
  std::optional<CheckOutcome> outcome;
};

Async<void> RunInto(OutputCheck& check, std::shared_ptr<CheckRun> run) {
  CheckCall call = run->call;
  run->outcome = co_await check.Run(std::move(call));
}

}  // namespace

std::string Attempt::WhyNoCheck() const {
  const std::string& name = lease_.spec().expect().check();
  if (name.empty() || parts_.checks.contains(name)) return "";
  return absl::StrCat("'", name,
                      "' is none of the worker's checks; add it to `checks` in "
                      "the file of --tools that the worker is started with");
}

Async<absl::Status> Attempt::RunOwnCheck(v1::Ending& ending) {
  const std::string name = lease_.spec().expect().check();
  if (name.empty()) co_return absl::OkStatus();
  if (std::string why = WhyNoCheck(); !why.empty()) {
    ending.set_kind(v1::Ending::KIND_NO_CHECK);
    ending.set_failed_check(std::move(why));
    co_return absl::OkStatus();
  }
  auto run = std::make_shared<CheckRun>();
  run->call.check = name;
  run->call.task_id = token().task_id();
  run->call.attempt = token().attempt();
  run->call.message = transcript_.state().last_message;
  for (const v1::Output& output : ending.outputs()) {
    CO_ASSIGN_OR_RETURN(std::string path,
                        co_await parts_.artifacts.LocalPath(output.sha256()));
    run->call.files.emplace_back(output.path(), std::move(path));
  }
  Spawn(parts_.executor, RunInto(*parts_.checks.at(name), run));
  while (!run->outcome && !cancelling_) {
    absl::Status taken = co_await TakeIn(kLookAtCheckEvery);
    if (!run->outcome) FaultPoint("worker.check.before");
    if (taken.ok()) continue;
    *run->call.stop = true;
    co_return taken;
  }
  if (!run->outcome) {
    // A cancelled task needs no verdict.
    *run->call.stop = true;
    co_return absl::OkStatus();
  }
  FaultPoint("worker.check.after");
  const CheckOutcome& outcome = *run->outcome;
  using End = CheckOutcome::End;
  if (outcome.end == End::kAgain) {
    co_return absl::InternalError(
        absl::StrCat("check '", name, "': ", outcome.why));
  }
  if (outcome.end != End::kPassed) {
    ending.set_kind(outcome.end == End::kFailed ? v1::Ending::KIND_CHECK_FAILED
                                                : v1::Ending::KIND_NO_CHECK);
    ending.set_failed_check(absl::StrCat("'", name, "': ", outcome.why));
  }
  LogInfo("outputs checked", {{"task", token().task_id()},
                              {"attempt", token().attempt()},
                              {"check", name},
                              {"why", ending.failed_check()}});
  co_return absl::OkStatus();
}

}  // namespace midwatch
