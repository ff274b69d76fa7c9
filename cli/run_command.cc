// `midwatch run`: store, scheduler, worker and harness in one process.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/fault_points.h"
#include "base/real_clock.h"
#include "base/status_macros.h"
#include "cli/account_views.h"
#include "cli/api_key.h"
#include "cli/batch_file.h"
#include "cli/batch_watch.h"
#include "cli/commands.h"
#include "cli/control_views.h"
#include "cli/counts.h"
#include "cli/dry_run.h"
#include "cli/exit_code.h"
#include "cli/export.h"
#include "cli/follow.h"
#include "cli/hook_secrets.h"
#include "cli/hook_views.h"
#include "cli/interrupts.h"
#include "cli/json_views.h"
#include "cli/limits.h"
#include "cli/log_file.h"
#include "cli/model_options.h"
#include "cli/price_file.h"
#include "cli/progress.h"
#include "cli/rehearsal.h"
#include "cli/rule_views.h"
#include "cli/run_hooks.h"
#include "cli/run_note.h"
#include "cli/scheduler_connection.h"
#include "cli/shell_words.h"
#include "cli/state_dir.h"
#include "cli/submit.h"
#include "cli/summary.h"
#include "cli/terminal.h"
#include "cli/tool_file.h"
#include "cli/utf8.h"
#include "net/curl_transport.h"
#include "node/account_check.h"
#include "node/harness_node.h"
#include "node/scheduler_node.h"
#include "node/worker_node.h"

namespace midwatch::cli {
namespace {

constexpr int kHostedJobs = 32;
constexpr char kResultsFolder[] = "midwatch-results";
constexpr size_t kTimeDigits = 10;  // of a ULID

// Local sandboxes compete for the machine.
int LocalJobs() {
  return std::max(4, 2 * static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN)));
}

std::string HostOf(absl::string_view url) {
  if (const size_t scheme = url.find("://"); scheme != url.npos) {
    url.remove_prefix(scheme + 3);
  }
  return std::string(url.substr(0, url.find_first_of("/?#")));
}

// A run is its own scheduler, whatever server others of its commands would
// ask: what it tells to type leads to its state directory.
GlobalOptions OnItsOwn(GlobalOptions global) {
  const char* server = std::getenv("MIDWATCH_SERVER");
  global.no_server = server != nullptr && *server != '\0';
  global.server.clear();
  return global;
}

// Nothing goes on before somebody answers: what is blocked, waits for one of
// those that wait.
bool OnlyWaits(const v1::Batch& batch) {
  const v1::TaskCounts& counts = batch.counts();
  if (OnlyCanaryWaits(batch)) return true;
  return batch.state() == v1::BATCH_STATE_SEALED && counts.waiting() > 0 &&
         FinalOf(counts) + counts.waiting() + counts.blocked() ==
             TotalOf(counts);
}

// Every check that a task names must be one of `own`: the worker would refuse
// the task otherwise.
absl::Status FindChecks(const RunOptions& options, const BatchFile& file,
                        const ToolFile& own) {
  std::vector<std::string> wrong;
  std::set<std::string> seen;
  auto look = [&](const std::string& check, absl::string_view place) {
    if (check.empty() || own.checks.contains(check)) return;
    if (!seen.insert(check).second) return;
    wrong.push_back(
        absl::StrCat(options.file, ": ", place, "expect.check is '",
                     Printable(check), "', and ",
                     options.tools.empty()
                         ? "there is no file of checks; name one with --tools"
                         : absl::StrCat(options.tools, " has no such check"),
                     "; `checks: {", Printable(check),
                     ": {command: [./PROGRAM]}}` adds it"));
  };
  look(file.open.spec().expect().check(), "defaults.");
  for (const auto& [check, task] : file.own_checks) {
    look(check, absl::StrCat("task '", Printable(task), "': "));
  }
  if (wrong.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(wrong, "\n"));
}

absl::StatusOr<ExitCode> DryRunOf(const GlobalOptions& global,
                                  const RunOptions& options,
                                  const BatchFile& file) {
  RETURN_IF_ERROR(LoadPrices(options.prices).status());
  ASSIGN_OR_RETURN(ToolFile own, LoadTools(options.tools));
  RETURN_IF_ERROR(FindChecks(options, file, own));
  return static_cast<ExitCode>(PrintDryRun(global, file));
}

class BatchRun {
 public:
  BatchRun(const GlobalOptions& global, const RunOptions& options,
           BatchFile file)
      : global_(OnItsOwn(global)), options_(options), file_(std::move(file)) {}

  absl::StatusOr<ExitCode> Run() {
    for (const std::string& note : file_.notes) Say(note);
    ASSIGN_OR_RETURN(prices_, LoadPrices(options_.prices));
    ASSIGN_OR_RETURN(own_, LoadTools(options_.tools));
    RETURN_IF_ERROR(FindChecks(options_, file_, own_));
    RETURN_IF_ERROR(PrepareFolder(options_.results.empty() ? kResultsFolder
                                                           : options_.results));
    const HookCommands& hooks = options_.hook_commands;
    if (!(hooks.on_finish + hooks.on_failure + hooks.on_risk).empty()) {
      run_hooks_.emplace(RealClock(), hooks);
    }
    ASSIGN_OR_RETURN(hook_keys_, LoadHookSecrets(options_.hooks.secrets));
    ASSIGN_OR_RETURN(state_dir_, OpenStateDir(global_.state_dir));
    LogToFile(state_dir_ + "/midwatch.log");
    RETURN_IF_ERROR(StartScheduler());
    RETURN_IF_ERROR(StartService());
    absl::Status submitted = SubmitFile();
    if (absl::IsCancelled(submitted)) return Interrupted();
    RETURN_IF_ERROR(submitted);
    RETURN_IF_ERROR(StartWorker());
    RETURN_IF_ERROR(Follow());
    if (interrupts_.requested()) return Interrupted();
    return Conclude();
  }

 private:
  bool hosted() const { return !options_.service.base_url.empty(); }

  void Say(absl::string_view line) {
    if (!global_.json) terminal_.Print(line);
  }

  absl::Status StartScheduler() {
    SchedulerNodeOptions node;
    node.data_dir = state_dir_;
    node.embeds_workers = true;
    node.sends_hooks = true;
    node.hooks_plain_http = options_.hooks.plain_http;
    node.hook_keys = hook_keys_;
    node.moved = options_.moved;
    if (std::string socket = SocketAddress(state_dir_); !socket.empty()) {
      node.listen.push_back(socket);
    }
    ASSIGN_OR_RETURN(scheduler_, SchedulerNode::Start(node));
    connection_ =
        std::make_unique<SchedulerConnection>(scheduler_->InProcessChannel());
    return absl::OkStatus();
  }

  absl::Status StartService() {
    if (hosted()) {
      if (!options_.model.url.empty() || !options_.model.key_file.empty()) {
        return absl::InvalidArgumentError(
            "--model-url and --model-key-file are for the harness in this "
            "process; the service at --base-url has its own models");
      }
      if (!RehearsalFlags().empty()) {
        return absl::InvalidArgumentError(
            "--harness-limits, --harness-faults and --harness-spend-cap are "
            "for the harness in this process; the service at --base-url is as "
            "it is");
      }
      service_.base_url =
          std::string(absl::StripSuffix(options_.service.base_url, "/"));
      ASSIGN_OR_RETURN(
          service_.api_key,
          ReadApiKey(options_.service.api_key_file, "ANTHROPIC_API_KEY"));
      service_.proxy = options_.service.proxy;
      service_.ca_file = options_.service.ca_file;
      RETURN_IF_ERROR(CheckAccount(service_));
    } else {
      HarnessNodeOptions node;
      node.data_dir = state_dir_ + "/harness";
      node.unsafe_no_sandbox = options_.unsafe_no_sandbox;
      RETURN_IF_ERROR(ReadRehearsal(options_.rehearsal, "--harness-", node));
      ASSIGN_OR_RETURN(node.messages, ReadModelOptions(options_.model));
      node.messages.prices = prices_;
      node.model_proxy = options_.model.proxy;
      node.model_ca_file = options_.model.ca_file;
      ASSIGN_OR_RETURN(harness_, HarnessNode::Start(node));
      service_.base_url = harness_->base_url();
      service_.api_key = harness_->api_key();
    }
    if (file_.open.account().empty()) {
      // What was made at one service does not exist at another: each is an
      // account of its own.
      file_.open.set_account(hosted() ? HostOf(service_.base_url) : "default");
    }
    ASSIGN_OR_RETURN(
        service_.limits,
        ReadLimits("--limits", options_.service.limits, service_.base_url,
                   file_.open.account(), options_.service.limit_group));
    return absl::OkStatus();
  }

  absl::Status SubmitFile() {
    note_.emplace(state_dir_, "run", file_.open, /*server=*/"");
    SubmitRules rules;
    rules.global = global_;
    rules.always_new = options_.always_new;
    rules.begun = note_->Read();
    rules.on_request_id = [this](const std::string& id) {
      return note_->Write(id);
    };
    ASSIGN_OR_RETURN(Submitted submitted,
                     SubmitBatch(*connection_, file_, rules,
                                 [this] { return interrupts_.requested(); }));
    batch_id_ = submitted.batch_id;
    is_new_ = !submitted.continued;
    Say(absl::StrCat(terminal_.Styled(Style::kBold, file_.open.name()), ": ",
                     CountOf(file_.tasks(), "task"), ", ",
                     submitted.continued ? "continuing batch " : "batch ",
                     batch_id_));
    return SayWhatElseRuns();
  }

  // A worker takes whatever its account has queued.
  absl::Status SayWhatElseRuns() {
    ASSIGN_OR_RETURN(std::vector<v1::Batch> batches,
                     connection_->ListBatches("", 100));
    for (const v1::Batch& batch : batches) {
      if (batch.batch_id() == batch_id_ ||
          batch.state() == v1::BATCH_STATE_DONE ||
          batch.account() != file_.open.account()) {
        continue;
      }
      Say(absl::StrCat(
          "unfinished, and going on beside it: batch ", batch.batch_id(), " (",
          OneLine(batch.name()), "); `",
          CommandLine(global_, absl::StrCat("batch cancel ", batch.batch_id())),
          "` ends it"));
    }
    return absl::OkStatus();
  }

  absl::Status StartWorker() {
    WorkerNodeOptions node;
    node.scheduler = scheduler_.get();
    node.artifacts_dir = scheduler_->artifacts_dir();
    node.accounts[file_.open.account()] = service_;
    node.prices = prices_;
    node.tools = own_.tools;
    node.checks = own_.checks;
    node.capacity = options_.jobs > 0 ? options_.jobs
                    : hosted()        ? kHostedJobs
                                      : LocalJobs();
    ASSIGN_OR_RETURN(worker_, WorkerNode::Start(node));
    return absl::OkStatus();
  }

  // Nothing of it runs, and nothing starts until a budget has room or the
  // account is resumed: a person's turn, or the next day's. Some of its tasks
  // may wait for a person besides.
  static bool StandsStill(const v1::Batch& batch) {
    const v1::TaskCounts& counts = batch.counts();
    const v1::Account& account = batch.account_trouble();
    const bool paused =
        account.state() == v1::ACCOUNT_STATE_PAUSED && !account.has_until();
    if (StandsPaused(batch)) return true;
    return (batch.waits_for_budget() || paused) &&
           batch.state() == v1::BATCH_STATE_SEALED &&
           counts.running() + counts.cancelling() == 0;
  }

  // Until the batch is done or stands still, or a signal has come.
  absl::Status Follow() {
    BatchWatch watch(
        *connection_, RealClock(), batch_id_,
        is_new_ ? BatchWatch::kFromBeginning : BatchWatch::kFromNow);
    while (!watch.ended() && !interrupts_.requested()) {
      v1::Batch batch;
      RETURN_IF_ERROR(
          FollowBatch(*connection_, RealClock(), watch, interrupts_, progress_,
                      [&](const v1::WatchBatchResponse& message) {
                        batch = message.batch();
                        if (run_hooks_) run_hooks_->See(message);
                        return !StandsStill(batch) && !OnlyWaits(batch);
                      }));
      if (batch.counts().blocked() == 0) break;
      // What a task needs may have ended this moment: it is ready with one of
      // the scheduler's next writes.
      constexpr absl::Duration kUntilReady = absl::Seconds(1);
      if (watch.ended() || interrupts_.Wait(kUntilReady)) break;
      ASSIGN_OR_RETURN(batch, connection_->GetBatch(batch_id_));
      if (StandsStill(batch) || OnlyWaits(batch)) break;
    }
    // Interrupted, it is of use how far things were.
    if (interrupts_.requested()) {
      progress_.Keep();
    } else {
      progress_.Finish();
    }
    return absl::OkStatus();
  }

  ExitCode Interrupted() {
    interrupts_.Unblock();
    Say("stopping; what runs is kept (Ctrl-C again: at once)");
    if (worker_ != nullptr) worker_->Drain();
    Say(absl::StrCat("to go on:   ", CommandToGoOn()));
    if (!batch_id_.empty()) {
      Say(absl::StrCat(
          "to end it:  ",
          CommandLine(global_, absl::StrCat("batch cancel ", batch_id_))));
    }
    return kExitInterrupted;
  }

  // Without --new, which would begin another batch.
  std::string CommandToGoOn() const {
    std::string command =
        absl::StrCat(Quoted(global_.program), " run ", Quoted(options_.file));
    for (const auto& [name, value] : options_.params) {
      command += Flag("--param", absl::StrCat(name, "=", value));
    }
    command += Flag("--results", options_.results);
    command += Flag("--base-url", options_.service.base_url);
    command += Flag("--api-key-file", options_.service.api_key_file);
    command += Flag("--proxy", ShownProxy(options_.service.proxy));
    command += Flag("--ca-file", options_.service.ca_file);
    command += Flag("--model-url", options_.model.url);
    command += Flag("--model-key-file", options_.model.key_file);
    command += Flag("--model-proxy", ShownProxy(options_.model.proxy));
    command += Flag("--model-ca-file", options_.model.ca_file);
    if (options_.model.max_tokens > 0) {
      command +=
          Flag("--model-max-tokens", absl::StrCat(options_.model.max_tokens));
    }
    if (options_.jobs > 0)
      command += Flag("--jobs", absl::StrCat(options_.jobs));
    command += Flag("--prices", options_.prices);
    command += Flag("--tools", options_.tools);
    command += Flag("--hook-secrets", options_.hooks.secrets);
    if (options_.hooks.plain_http) command += " --hook-http";
    command += Flag("--on-finish", options_.hook_commands.on_finish);
    command += Flag("--on-failure", options_.hook_commands.on_failure);
    command += Flag("--on-risk", options_.hook_commands.on_risk);
    command += RehearsalFlags();
    if (options_.unsafe_no_sandbox) command += " --unsafe-no-sandbox";
    return command + Flag("--state-dir", global_.state_dir);
  }

  std::string RehearsalFlags() const {
    const RehearsalOptions& rehearsal = options_.rehearsal;
    std::string flags = Flag("--harness-limits", rehearsal.limits);
    flags += Flag("--harness-faults", rehearsal.faults);
    if (!rehearsal.faults.empty()) {
      flags += Flag("--harness-fault-seed", absl::StrCat(rehearsal.fault_seed));
    }
    return flags + Flag("--harness-spend-cap", rehearsal.spend_cap);
  }

  // Who is to be told is told before this process ends, where that takes no
  // longer than a failed first try and another. Otherwise the next scheduler on
  // the state directory goes on with it.
  absl::Status AwaitHooks() {
    constexpr absl::Duration kLookEvery = absl::Milliseconds(100);
    constexpr absl::Duration kAwaited = absl::Seconds(10);
    const absl::Duration until = RealClock().Steady() + kAwaited;
    std::string due;
    do {
      ASSIGN_OR_RETURN(v1::Batch batch, connection_->GetBatch(batch_id_));
      due = DueHookLine(batch);
    } while (!due.empty() && RealClock().Steady() < until &&
             !interrupts_.Wait(kLookEvery));
    if (!due.empty()) {
      Say(absl::StrCat(due, "; `", Quoted(global_.program), " scheduler",
                       Flag("--state-dir", global_.state_dir),
                       "` goes on with it"));
    }
    return absl::OkStatus();
  }

  // The results are there, should a command look at them.
  void EndRunHooks(const v1::Batch& batch) {
    if (!run_hooks_) return;
    if (batch.state() == v1::BATCH_STATE_DONE) run_hooks_->Finish(batch);
    constexpr absl::Duration kLookEvery = absl::Milliseconds(100);
    for (const std::string& trouble :
         run_hooks_->Await([this] { return interrupts_.Wait(kLookEvery); })) {
      std::fprintf(stderr, "midwatch: warning: %s\n", trouble.c_str());
    }
  }

  absl::StatusOr<ExitCode> Conclude() {
    RETURN_IF_ERROR(AwaitHooks());
    interrupts_.Unblock();
    worker_->Drain();
    ASSIGN_OR_RETURN(v1::Batch batch, connection_->GetBatch(batch_id_));
    const std::string results =
        options_.results.empty()
            ? absl::StrCat(kResultsFolder, "/", FileNameOf(batch.name()), "-",
                           batch_id_.substr(0, kTimeDigits))
            : options_.results;
    FaultPoint("client.results.before");
    absl::StatusOr<Outcome> outcome =
        WriteResults(*connection_, batch_id_, results);
    const absl::Status written = outcome.status();
    if (!written.ok()) outcome = FindFailures(*connection_, batch_id_);
    RETURN_IF_ERROR(outcome.status());
    FaultPoint("client.results.after");
    EndRunHooks(batch);
    // From here on another run of the file is another batch; without results it
    // would be this one, for them.
    if (batch.state() == v1::BATCH_STATE_DONE && written.ok()) note_->Remove();
    Tell(batch, *outcome, written, results);
    const ExitCode code = SayHowToGoOn(batch);
    if (!written.ok()) {
      Report(written);
      return kExitFailed;
    }
    return TellMissing(outcome->missing) == kExitSucceeded ? code : kExitFailed;
  }

  void Tell(const v1::Batch& batch, const Outcome& outcome,
            const absl::Status& written, const std::string& results) {
    if (global_.json) {
      std::puts(ToLine({{"batch", ToJson(batch)},
                        {"results", written.ok() ? Json(results) : Json()},
                        {"failures", ToJson(outcome)},
                        {"elapsed_seconds",
                         absl::ToDoubleSeconds(progress_.elapsed())}})
                    .c_str());
      return;
    }
    Say("");
    Say(Summary(
        global_, batch, outcome, progress_.elapsed(),
        written.ok()
            ? absl::StrCat("results in ", results)
            : absl::StrCat(
                  "no results in ", results, "; they are kept: ",
                  CommandLine(global_, absl::StrCat("export ", batch_id_,
                                                    " --out results.jsonl "
                                                    "--artifacts outputs")))));
  }

  // What it waits for, and what to do; or that it is done, and how.
  ExitCode SayHowToGoOn(const v1::Batch& batch) {
    if (OnlyWaits(batch)) {
      Say(absl::StrCat("to go on:   ", CommandToGoOn()));
      return kExitWaiting;
    }
    if (StandsPaused(batch)) {
      for (const std::string& line :
           {BatchPauseLine(global_, batch), QueuePauseLine(global_, batch)}) {
        if (!line.empty()) Say(line);
      }
      Say(absl::StrCat("to go on then: ", CommandToGoOn()));
      return kExitWaiting;
    }
    if (StandsStill(batch)) {
      if (batch.has_account_trouble()) {
        Say(absl::StrCat(AccountLine(global_, batch.account_trouble()),
                         ". To go on then: ", CommandToGoOn()));
        return kExitWaiting;
      }
      Say(absl::StrCat(
          "waits for a budget; `", CommandLine(global_, "budget list"),
          "` shows them. To go on once there is room: ", CommandToGoOn()));
      return kExitWaiting;
    }
    return batch.counts().succeeded() == TotalOf(batch.counts())
               ? kExitSucceeded
               : kExitFailed;
  }

  const GlobalOptions global_;
  const RunOptions& options_;
  BatchFile file_;
  Interrupts interrupts_;  // before all that has threads
  Terminal terminal_;
  Progress progress_{terminal_, RealClock(), global_};
  std::string state_dir_;
  std::optional<RunNote> note_;
  std::string batch_id_;
  bool is_new_ = true;
  AccountOptions service_;
  PriceTable prices_;
  ToolFile own_;
  std::map<std::string, std::string> hook_keys_;
  std::optional<RunHooks> run_hooks_;
  // In the order in which they stop, from the last to the first.
  std::unique_ptr<SchedulerNode> scheduler_;
  std::unique_ptr<SchedulerConnection> connection_;
  std::unique_ptr<HarnessNode> harness_;
  std::unique_ptr<WorkerNode> worker_;
};

}  // namespace

int RunBatch(const GlobalOptions& global, const RunOptions& options) {
  absl::StatusOr<BatchFile> file = LoadBatchFile(options.file, options.params);
  if (!file.ok()) return Report(file.status());
  absl::StatusOr<ExitCode> code =
      options.dry_run ? DryRunOf(global, options, *file)
                      : BatchRun(global, options, *std::move(file)).Run();
  return code.ok() ? *code : Report(code.status());
}

}  // namespace midwatch::cli
