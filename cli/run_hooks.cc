#include "cli/run_hooks.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/command.h"
#include "scheduler/hook_message.h"
#include "scheduler/to_proto.h"
#include "worker/output_check.h"

namespace midwatch::cli {
namespace {

constexpr int kHooksOfARun = 3;
constexpr size_t kHookOutputBytesMax = 64 << 10;

const char* OptionOf(v1::HookEvent event) {
  return event == v1::HOOK_EVENT_FINISH    ? "on_finish"
         : event == v1::HOOK_EVENT_FAILURE ? "on_failure"
                                           : "on_risk";
}

// All of this process's: the command is of who started it.
std::vector<std::string> EnvironmentOfHook(v1::HookEvent event) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    environment.emplace_back(*entry);
  }
  environment.push_back(absl::StrCat("MIDWATCH_HOOK=", OptionOf(event)));
  return environment;
}

// "" where all went well.
std::string TroubleOf(v1::HookEvent event,
                      const absl::StatusOr<CommandEnd>& end) {
  if (end.ok() && end->exit_code == 0) return "";
  const std::string name = absl::StrCat("the command of ", OptionOf(event));
  if (!end.ok()) return absl::StrCat(name, ": ", end.status().message());
  const std::string said = LastLine(end->output);
  return absl::StrCat(name, " ", end->how, said.empty() ? "" : ": ", said);
}

}  // namespace

RunHooks::RunHooks(const Clock& clock, HookCommands commands,
                   absl::Duration timeout)
    : clock_(clock),
      timeout_(timeout),
      commands_(std::move(commands)),
      pool_("run-hooks", kHooksOfARun) {}

RunHooks::~RunHooks() { stop_ = true; }

void RunHooks::See(const v1::WatchBatchResponse& message) {
  const bool fails = message.change().state() == v1::TASK_STATE_FAILED;
  if (fails && !failure_) failure_ = message.change();
  // Changes come first, and the batch as it stands behind them.
  if (!message.has_batch()) return;
  TellFailure(message.batch());
  if (message.batch().has_risk()) {
    v1::HookNews news;
    *news.mutable_batch() = message.batch();
    news.set_event(v1::HOOK_EVENT_RISK);
    *news.mutable_at() = ToTimestamp(clock_.Now());
    *news.mutable_risk() = message.batch().risk();
    Begin(commands_.on_risk, std::move(news));
  }
}

void RunHooks::TellFailure(const v1::Batch& batch) {
  if (!failure_ || commands_.on_failure.empty()) return;
  v1::HookNews news;
  *news.mutable_batch() = batch;
  news.set_event(v1::HOOK_EVENT_FAILURE);
  *news.mutable_at() = failure_->at();
  *news.mutable_task() = *failure_;
  Begin(commands_.on_failure, std::move(news));
}

void RunHooks::Finish(const v1::Batch& batch) {
  TellFailure(batch);
  v1::HookNews news;
  news.set_event(v1::HOOK_EVENT_FINISH);
  *news.mutable_at() = batch.ended_at();
  *news.mutable_batch() = batch;
  Begin(commands_.on_finish, std::move(news));
}

void RunHooks::Begin(std::string& command, v1::HookNews news) {
  if (command.empty()) return;
  Command run;
  run.name = "it";
  run.argv = {"/bin/sh", "-c", std::exchange(command, "")};
  run.environment = EnvironmentOfHook(news.event());
  run.input = absl::StrCat(HookBody(news), "\n");
  run.timeout = timeout_;
  run.output_bytes_max = kHookOutputBytesMax;
  run.only_end = true;
  {
    MutexLock lock(mutex_);
    ++running_;
  }
  pool_.Run([this, event = news.event(), run = std::move(run)] {
    std::string trouble = TroubleOf(event, RunCommand(clock_, run, stop_));
    MutexLock lock(mutex_);
    --running_;
    if (!trouble.empty()) troubles_.push_back(std::move(trouble));
    done_.SignalAll();
  });
}

std::vector<std::string> RunHooks::Await(absl::FunctionRef<bool()> stop) {
  while (true) {
    {
      MutexLock lock(mutex_);
      // Those that are stopped say so within a second.
      while (stop_ && running_ > 0) done_.Wait(mutex_);
      if (running_ == 0) return std::exchange(troubles_, {});
    }
    if (stop()) stop_ = true;
  }
}

}  // namespace midwatch::cli
