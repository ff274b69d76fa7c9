// `midwatch scheduler`, `midwatch worker` and `midwatch harness`. Each prints
// one line when it is ready, logs to standard error, and stops on SIGTERM.
#include <cstdio>
#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cli/api_key.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/hook_secrets.h"
#include "cli/interrupts.h"
#include "cli/limits.h"
#include "cli/model_options.h"
#include "cli/price_file.h"
#include "cli/rehearsal.h"
#include "cli/scheduler_connection.h"
#include "cli/state_dir.h"
#include "cli/tool_file.h"
#include "node/account_check.h"
#include "node/harness_node.h"
#include "node/scheduler_node.h"
#include "node/worker_node.h"

namespace midwatch::cli {
namespace {

constexpr char kDefaultAddress[] = "127.0.0.1:7410";
constexpr int kDefaultCapacity = 32;

void PrintReady(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

// `address` with the port that was bound where it asked for any.
std::string BoundAddress(const std::string& address, int port) {
  if (port == 0) return address;  // a unix socket
  return absl::StrCat(address.substr(0, address.rfind(':') + 1), port);
}

// An hour at least: who retries a task or looks at it has that long.
absl::StatusOr<absl::Duration> ReadKeep(const char* option,
                                        const std::string& text) {
  absl::Duration keep = absl::InfiniteDuration();
  if (text.empty()) return keep;
  if (absl::ParseDuration(text, &keep) && keep >= absl::Hours(1)) return keep;
  return absl::InvalidArgumentError(
      absl::StrCat(option,
                   ": expected a duration of an hour or more, such as 720h, "
                   "not '",
                   text, "'"));
}

absl::Status RunScheduler(const GlobalOptions& global,
                          const SchedulerOptions& options) {
  Interrupts interrupts;
  SchedulerNodeOptions node;
  ASSIGN_OR_RETURN(node.data_dir, OpenStateDir(global.state_dir));
  node.artifacts_dir = options.artifacts_dir;
  node.listen = options.listen;
  node.fires_schedules = true;
  node.sends_hooks = true;
  node.hooks_plain_http = options.hooks.plain_http;
  ASSIGN_OR_RETURN(node.hook_keys, LoadHookSecrets(options.hooks.secrets));
  node.moved = options.moved;
  ASSIGN_OR_RETURN(node.keep_transcripts,
                   ReadKeep("--keep-transcripts", options.keep_transcripts));
  ASSIGN_OR_RETURN(node.keep_batches,
                   ReadKeep("--keep-batches", options.keep_batches));
  if (options.keep_batches_count >= 0) {
    node.keep_batches_count = options.keep_batches_count;
  }
  ASSIGN_OR_RETURN(node.keep_tasks,
                   ReadKeep("--keep-tasks", options.keep_tasks));
  if (options.keep_tasks_count >= 0) {
    node.keep_tasks_count = options.keep_tasks_count;
  }
  if (node.listen.empty()) node.listen.push_back(kDefaultAddress);
  // For the commands beside it.
  if (std::string socket = SocketAddress(node.data_dir); !socket.empty()) {
    node.listen.push_back(socket);
  }
  ASSIGN_OR_RETURN(std::unique_ptr<SchedulerNode> scheduler,
                   SchedulerNode::Start(node));
  for (size_t i = 0; i < node.listen.size(); ++i) {
    PrintReady(
        absl::StrCat("midwatch scheduler: listening on ",
                     BoundAddress(node.listen[i], scheduler->ports()[i])));
  }
  interrupts.Wait(absl::InfiniteDuration());
  interrupts.Unblock();
  LogInfo("scheduler stops");
  scheduler->Stop();
  return absl::OkStatus();
}

absl::Status RunWorker(const GlobalOptions& global,
                       const WorkerOptions& options) {
  Interrupts interrupts;
  if (options.service.base_url.empty()) {
    return absl::InvalidArgumentError(
        "a worker needs the address of a Managed Agents service: --base-url");
  }
  WorkerNodeOptions node;
  ASSIGN_OR_RETURN(node.prices, LoadPrices(options.prices));
  ASSIGN_OR_RETURN(ToolFile own, LoadTools(options.tools));
  node.tools = std::move(own.tools);
  node.checks = std::move(own.checks);
  node.scheduler_address =
      global.server.empty() ? kDefaultAddress : global.server;
  node.artifacts_dir = options.artifacts_dir;
  node.cache_dir = options.cache_dir;
  node.capacity = options.capacity > 0 ? options.capacity : kDefaultCapacity;
  if (node.artifacts_dir.empty() && node.cache_dir.empty()) {
    ASSIGN_OR_RETURN(std::string state_dir, OpenStateDir(global.state_dir));
    node.cache_dir = state_dir + "/worker-cache";
  }
  AccountOptions account;
  account.base_url =
      std::string(absl::StripSuffix(options.service.base_url, "/"));
  ASSIGN_OR_RETURN(account.api_key, ReadApiKey(options.service.api_key_file,
                                               "ANTHROPIC_API_KEY"));
  account.proxy = options.service.proxy;
  account.ca_file = options.service.ca_file;
  RETURN_IF_ERROR(CheckAccount(account));
  const std::string name =
      options.account.empty() ? "default" : options.account;
  ASSIGN_OR_RETURN(
      account.limits,
      ReadLimits("--limits", options.service.limits, account.base_url, name,
                 options.service.limit_group));
  node.accounts[name] = account;
  ASSIGN_OR_RETURN(std::unique_ptr<WorkerNode> worker, WorkerNode::Start(node));
  PrintReady(absl::StrCat("midwatch worker: serving ", node.scheduler_address));
  interrupts.Wait(absl::InfiniteDuration());
  interrupts.Unblock();
  LogInfo("worker drains");
  worker->Drain();
  return absl::OkStatus();
}

absl::Status RunHarness(const GlobalOptions& global,
                        const HarnessOptions& options) {
  Interrupts interrupts;
  HarnessNodeOptions node;
  node.data_dir = options.data_dir;
  if (node.data_dir.empty()) {
    ASSIGN_OR_RETURN(std::string state_dir, OpenStateDir(global.state_dir));
    node.data_dir = state_dir + "/harness";
  }
  std::error_code error;
  std::filesystem::create_directories(node.data_dir, error);
  node.address = options.address;
  node.port = options.port;
  node.unsafe_no_sandbox = options.unsafe_no_sandbox;
  std::string key_file = options.api_key_file;
  if (key_file.empty()) key_file = node.data_dir + "/api-key";
  ASSIGN_OR_RETURN(node.api_key, ReadOrMakeApiKey(key_file));
  node.api_key_file = key_file;
  RETURN_IF_ERROR(ReadRehearsal(options.rehearsal, "--", node));
  ASSIGN_OR_RETURN(node.messages, ReadModelOptions(options.model));
  ASSIGN_OR_RETURN(node.messages.prices, LoadPrices(options.prices));
  node.model_proxy = options.model.proxy;
  node.model_ca_file = options.model.ca_file;
  ASSIGN_OR_RETURN(std::unique_ptr<HarnessNode> harness,
                   HarnessNode::Start(node));
  PrintReady(absl::StrCat("midwatch harness: serving ", harness->base_url(),
                          " with the key in ", key_file));
  interrupts.Wait(absl::InfiniteDuration());
  interrupts.Unblock();
  LogInfo("harness stops");
  return absl::OkStatus();
}

int CodeOf(const absl::Status& status) {
  return status.ok() ? kExitSucceeded : Report(status);
}

}  // namespace

int ServeScheduler(const GlobalOptions& global,
                   const SchedulerOptions& options) {
  return CodeOf(RunScheduler(global, options));
}

int ServeWorker(const GlobalOptions& global, const WorkerOptions& options) {
  return CodeOf(RunWorker(global, options));
}

int ServeHarness(const GlobalOptions& global, const HarnessOptions& options) {
  return CodeOf(RunHarness(global, options));
}

}  // namespace midwatch::cli
