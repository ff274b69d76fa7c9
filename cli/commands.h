// The subcommands of `midwatch`, without their parsing. Each returns what the
// process exits with.
#ifndef MIDWATCH_CLI_COMMANDS_H_
#define MIDWATCH_CLI_COMMANDS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace midwatch::cli {

struct GlobalOptions {
  std::string program;    // as it was called, for commands to be typed again
  std::string server;     // of --server or MIDWATCH_SERVER; may be empty
  std::string state_dir;  // of --state-dir; may be empty
  bool json = false;      // --output json
  // There is a MIDWATCH_SERVER, and this command has nothing to do with it:
  // those to be typed after it say so.
  bool no_server = false;
};

// How to reach a Managed Agents service. The key is never an argument: those
// are for everybody to see.
struct ServiceOptions {
  std::string base_url;      // empty: the harness in this process (run only)
  std::string api_key_file;  // empty: ANTHROPIC_API_KEY
  std::string proxy;         // empty: HTTPS_PROXY and NO_PROXY
  std::string ca_file;       // empty: the system's certificates
  std::string limits;        // see ReadLimits
  std::string limit_group;   // empty: the account's own
};

// Where the harness in this process finds models other than `runbook`.
struct ModelOptions {
  std::string url;       // empty: ANTHROPIC_BASE_URL
  std::string key_file;  // empty: ANTHROPIC_API_KEY
  std::string proxy;     // empty: HTTPS_PROXY and NO_PROXY
  std::string ca_file;   // empty: the system's certificates
  int max_tokens = 0;    // of one answer; 0: the harness's default
};

// How difficult the harness is on purpose, so that a batch can be rehearsed.
struct RehearsalOptions {
  std::string limits;  // see ReadLimits; empty: none
  std::string faults;  // see harness::ParseFaults
  uint64_t fault_seed = 1;
  std::string spend_cap;  // dollars; empty: none
};

// Of a command that sends hooks.
struct HookFlags {
  std::string secrets;  // a file of them; see LoadHookSecrets
  bool plain_http = false;
};

// Commands that `midwatch run` is to run; see cli/run_hooks.h.
struct HookCommands {
  std::string on_finish, on_failure, on_risk;  // each for /bin/sh; "": none
};

struct RunOptions {
  std::string file;
  std::map<std::string, std::string> params;
  std::string results;  // empty: ./midwatch-results/<name>-<id>
  bool always_new = false;
  bool dry_run = false;  // only read, check and tell
  int jobs = 0;          // 0: by what the machine and the service allow
  ServiceOptions service;
  ModelOptions model;
  RehearsalOptions rehearsal;
  std::string prices;  // a file of them; see LoadPrices
  std::string tools;   // a file of handlers; see LoadTools
  HookFlags hooks;
  HookCommands hook_commands;
  bool moved = false;  // the state directory is a copy, and the only one
  bool unsafe_no_sandbox = false;
};
int RunBatch(const GlobalOptions& global, const RunOptions& options);

struct SubmitOptions {
  std::string file;
  std::map<std::string, std::string> params;
  bool always_new = false;
  bool dry_run = false;  // only read, check and tell
};
int Submit(const GlobalOptions& global, const SubmitOptions& options);

struct PlanOptions {
  std::string file;
  std::map<std::string, std::string> params;
  std::string start;   // see ReadWhen; empty: now
  std::string limits;  // see ReadLimits; empty: as the account's workers say
  int jobs = 0;        // 0: as many as connected workers take
  // Of a task whose kind has never succeeded.
  std::string assume_duration = "10m";
  std::string assume_cost;  // dollars; empty: its max_cost
  std::string stream_age;   // a duration; empty: streams are never cut
  std::string svg;          // a file for the chart; empty: none
};
// Plays the batch, and tells when it ends, what it costs and what binds.
// Submits nothing. 1 where it does not fit its budgets and its deadline.
int PlanFile(const GlobalOptions& global, const PlanOptions& options);

struct InitOptions {
  std::string file = "batch.yaml";  // "-": to standard output
  bool force = false;               // a file that is there is replaced
};
// Writes a batch file to begin with, and its schema beside it.
int Init(const GlobalOptions& global, const InitOptions& options);

struct BatchListOptions {
  std::string name, queue;          // empty: any
  std::vector<std::string> states;  // empty: any
  int limit = 100;
};
int BatchList(const GlobalOptions& global, const BatchListOptions& options);
int BatchGet(const GlobalOptions& global, const std::string& batch);
int BatchWatchCommand(const GlobalOptions& global, const std::string& batch);
int BatchCancel(const GlobalOptions& global, const std::string& batch,
                const std::string& reason);
int BatchSet(const GlobalOptions& global, const std::string& batch,
             int max_running);
// What did not succeed of a batch, as a new one, whose id is printed.
int BatchRetry(const GlobalOptions& global, const std::string& batch,
               bool cancelled_too);
// By their ids alone: a name that is said again would delete the next one.
struct BatchDeleteOptions {
  std::vector<std::string> ids;
  std::string reason;
  bool yes = false;  // without being asked
};
int BatchDelete(const GlobalOptions& global, const BatchDeleteOptions& options);
// Of a batch (id or name), a queue, an account or a schedule.
struct PauseOptions {
  std::string what, reason;
  std::string until;  // see ReadWhen; empty: until it is resumed
};
int BatchPause(const GlobalOptions& global, const PauseOptions& options);
int BatchResume(const GlobalOptions& global, const std::string& batch);

// Of a queue, a tenant or an account (which has no weight).
struct ControlOptions {
  std::string name;
  std::optional<int> weight, max_running;  // unset: stays as it is
};
int QueueList(const GlobalOptions& global);
int QueueGet(const GlobalOptions& global, const std::string& queue);
int QueueSet(const GlobalOptions& global, const ControlOptions& options);
int QueuePause(const GlobalOptions& global, const PauseOptions& options);
int QueueResume(const GlobalOptions& global, const std::string& queue);
int TenantList(const GlobalOptions& global);
int TenantGet(const GlobalOptions& global, const std::string& tenant);
int TenantSet(const GlobalOptions& global, const ControlOptions& options);

struct KeyOptions {
  std::string tenant, key;
  int max_running = 1;
};
int KeyList(const GlobalOptions& global, const KeyOptions& options);
int KeySet(const GlobalOptions& global, const KeyOptions& options);

struct TaskListOptions {
  std::string batch, queue;                   // empty: any
  std::vector<std::string> states;            // empty: any
  std::map<std::string, std::string> labels;  // all of these
  int limit = 100;
};
int TaskList(const GlobalOptions& global, const TaskListOptions& options);
int TaskGet(const GlobalOptions& global, const std::string& task);
// The one thing that it waits for, and about when it starts.
int TaskWhy(const GlobalOptions& global, const std::string& task);
int TaskEvents(const GlobalOptions& global, const std::string& task,
               int attempt);
struct TaskLogsOptions {
  std::string task;
  int attempt = 0;  // 0: the last one with events
  bool follow = false;
};
// Its session as people read it.
int TaskLogs(const GlobalOptions& global, const TaskLogsOptions& options);
// What the agent said last; with `folder` its output files go there instead.
int TaskOutput(const GlobalOptions& global, const std::string& task,
               const std::string& folder);
// Either tasks are named, or labels.
struct TaskCancelOptions {
  std::vector<std::string> tasks;
  std::map<std::string, std::string> labels;  // all of these
  std::string batch;                          // only of this one; empty: any
  std::string reason;
};
int TaskCancel(const GlobalOptions& global, const TaskCancelOptions& options);
struct TaskAnswerOptions {
  std::string task;
  std::string question;  // "": the only one
  // One of these.
  bool approve = false;
  std::optional<std::string> deny, result, result_file, raise;
};
int TaskAnswer(const GlobalOptions& global, const TaskAnswerOptions& options);
int TaskRetry(const GlobalOptions& global,
              const std::vector<std::string>& tasks);
// Unset: stays as it is.
struct TaskUpdateOptions {
  std::vector<std::string> tasks;
  std::optional<int> priority;
  std::optional<std::string> max_cost;     // dollars
  std::optional<std::string> start_after;  // "now", or see ReadWhen
  std::optional<std::string> expires;      // "never", or see ReadWhen
  std::optional<std::string> deadline;     // "none", a span from the submit
  std::vector<std::string> labels;         // KEY=VALUE to set, KEY- to remove
  std::string reason;
};
int TaskUpdate(const GlobalOptions& global, const TaskUpdateOptions& options);

// Exactly one of tenant, queue, batch (id or name) and task is set.
struct BudgetOptions {
  std::string tenant, queue, batch, task;
  std::string window = "total";  // or "day", "month"
  std::string time_zone;         // empty: UTC
  std::string limit;             // dollars
};
int BudgetSet(const GlobalOptions& global, const BudgetOptions& options);
int BudgetList(const GlobalOptions& global);
int BudgetDelete(const GlobalOptions& global, const BudgetOptions& options);

int AccountList(const GlobalOptions& global);
int AccountShow(const GlobalOptions& global, const std::string& account);
int AccountSet(const GlobalOptions& global, const ControlOptions& options);
int AccountPause(const GlobalOptions& global, const PauseOptions& options);
int AccountResume(const GlobalOptions& global, const std::string& account);
struct AccountSweepOptions {
  std::string account;
  std::string since;  // empty: all
  bool end = false;   // what is over; otherwise only told
  ServiceOptions service;
};
int AccountSweep(const GlobalOptions& global,
                 const AccountSweepOptions& options);
// Compares what was charged with what the service says.
int AccountReconcile(const GlobalOptions& global,
                     const AccountSweepOptions& options);

struct ScheduleOptions {
  std::string file;
  std::map<std::string, std::string> params;
  std::string name;  // empty: the batch's
  std::string cron;
  std::string time_zone;         // empty: UTC
  std::string missed = "once";   // or "skip", "all"
  std::string overlap = "skip";  // or "queue", "cancel-old"
  std::string jitter;            // a duration; empty: none
  bool replace = false;          // one of that name may be there
};
int ScheduleCreate(const GlobalOptions& global, const ScheduleOptions& options);
int ScheduleList(const GlobalOptions& global);
int ScheduleGet(const GlobalOptions& global, const std::string& name);
int SchedulePause(const GlobalOptions& global, const PauseOptions& options);
int ScheduleResume(const GlobalOptions& global, const std::string& name);
// Fires once, now, and prints the batch's id.
int ScheduleRun(const GlobalOptions& global, const std::string& name);
int ScheduleDelete(const GlobalOptions& global, const std::string& name);

struct JournalOptions {
  std::string batch, task, tenant, queue;  // empty: any
  std::string from, until;                 // empty: from the beginning, to now
  std::vector<std::string> kinds;          // empty: any
  bool all = false;                        // also what moved no money
  bool csv = false;
};
int Journal(const GlobalOptions& global, const JournalOptions& options);

// The price table in use, with the file at `path` (may be empty).
int Prices(const GlobalOptions& global, const std::string& path);

// A line for each task of the batches named, or of those since a time.
struct ExportOptions {
  std::vector<std::string> batches;  // ids or names; empty: by `since`
  std::string since;
  std::string out;        // empty or "-": standard output
  std::string artifacts;  // folder for output files; empty: none
  bool events = false;    // transcripts too, in that folder
};
int Export(const GlobalOptions& global, const ExportOptions& options);

// To a new folder on the scheduler's machine.
int BackUp(const GlobalOptions& global, const std::string& path);
// Into the state directory, which holds nothing yet.
int Restore(const GlobalOptions& global, const std::string& path);

struct SchedulerOptions {
  std::vector<std::string> listen;
  std::string artifacts_dir;
  HookFlags hooks;
  bool moved = false;  // the state directory is a copy, and the only one
  std::string keep_transcripts;  // a duration; empty: for ever
  std::string keep_batches;      // likewise
  int keep_batches_count = -1;   // of each queue; -1: all
  std::string keep_tasks;        // of no batch; likewise
  int keep_tasks_count = -1;
};
int ServeScheduler(const GlobalOptions& global,
                   const SchedulerOptions& options);

struct WorkerOptions {
  std::string account;
  ServiceOptions service;
  int capacity = 0;
  std::string artifacts_dir;
  std::string cache_dir;
  std::string prices;  // a file of them; see LoadPrices
  std::string tools;   // a file of handlers; see LoadTools
};
int ServeWorker(const GlobalOptions& global, const WorkerOptions& options);

struct HarnessOptions {
  std::string address;
  int port = 0;
  std::string data_dir;
  std::string api_key_file;
  ModelOptions model;
  RehearsalOptions rehearsal;
  std::string prices;  // a file of them; see LoadPrices
  bool unsafe_no_sandbox = false;
};
int ServeHarness(const GlobalOptions& global, const HarnessOptions& options);

struct DoctorOptions {
  ServiceOptions service;
  int streams = 1000;      // how many tasks at once to check for
  bool probe = false;      // try the service too, for cents
  std::string model;       // of the probe's agent
  bool limits = false;     // use up the account's requests
  std::string stream_age;  // a duration; empty: not settled
  bool yes = false;        // spend without asking
};
// Looks at the machine, the state and the services, and, without a probe,
// changes none of them.
int Doctor(const GlobalOptions& global, const DoctorOptions& options);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_COMMANDS_H_
