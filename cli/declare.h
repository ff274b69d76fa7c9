// The command line of `midwatch`: which commands and options there are, and
// what each is called with. Files of it and main.cc alone know CLI11, which is
// slow to compile. What a command does is in commands.h.
#ifndef MIDWATCH_CLI_DECLARE_H_
#define MIDWATCH_CLI_DECLARE_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "cli/commands.h"

namespace midwatch::cli {

// What was typed. The chosen command runs while it is parsed, and leaves here
// what the process exits with.
struct Invocation {
  GlobalOptions global;
  InitOptions init;
  RunOptions run;
  SubmitOptions submit;
  PlanOptions plan;
  SchedulerOptions scheduler;
  WorkerOptions worker;
  HarnessOptions harness;
  DoctorOptions doctor;
  std::vector<std::string> params;  // "name=value"
  std::vector<std::string> ids;
  BatchListOptions batch_list;
  BatchDeleteOptions batch_delete;
  TaskListOptions task_list;
  TaskLogsOptions task_logs;
  TaskCancelOptions task_cancel;
  BudgetOptions budget;
  JournalOptions journal;
  PauseOptions pause;
  ControlOptions control;
  KeyOptions key;
  ScheduleOptions schedule;
  AccountSweepOptions account_sweep;
  TaskAnswerOptions answer;
  TaskUpdateOptions task_update;
  ExportOptions export_;
  std::vector<std::string> labels;  // "key=value"
  std::string id, reason, out, shell, prices;
  int attempt = 0;
  bool failed = false, cancelled = false;
  int exit_code = 0;
};

// How all of its commands say what they take; before any is added.
void SetUsage(CLI::App& app);

// Each adds one command, or one group of them, with what it runs.
void AddInit(CLI::App& app, Invocation& in);
void AddRun(CLI::App& app, Invocation& in);
void AddSubmit(CLI::App& app, Invocation& in);
void AddPlan(CLI::App& app, Invocation& in);
void AddBatches(CLI::App& app, Invocation& in);
void AddTasks(CLI::App& app, Invocation& in);
void AddExport(CLI::App& app, Invocation& in);
void AddBackup(CLI::App& app, Invocation& in);
void AddRestore(CLI::App& app, Invocation& in);
void AddBudgets(CLI::App& app, Invocation& in);
void AddJournal(CLI::App& app, Invocation& in);
void AddPriceList(CLI::App& app, Invocation& in);
void AddSchedules(CLI::App& app, Invocation& in);
void AddQueues(CLI::App& app, Invocation& in);
void AddTenants(CLI::App& app, Invocation& in);
void AddKeys(CLI::App& app, Invocation& in);
void AddAccounts(CLI::App& app, Invocation& in);
void AddScheduler(CLI::App& app, Invocation& in);
void AddWorker(CLI::App& app, Invocation& in);
void AddHarness(CLI::App& app, Invocation& in);
void AddDoctor(CLI::App& app, Invocation& in);

}  // namespace midwatch::cli

#endif  // MIDWATCH_CLI_DECLARE_H_
