// `midwatch submit`, `midwatch batch ...` and `midwatch export`.
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/real_clock.h"
#include "base/status_macros.h"
#include "cli/batch_file.h"
#include "cli/batch_states.h"
#include "cli/batch_views.h"
#include "cli/batch_watch.h"
#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/control_views.h"
#include "cli/counts.h"
#include "cli/dry_run.h"
#include "cli/exit_code.h"
#include "cli/export.h"
#include "cli/follow.h"
#include "cli/interrupts.h"
#include "cli/json_views.h"
#include "cli/progress.h"
#include "cli/run_note.h"
#include "cli/shell_words.h"
#include "cli/state_dir.h"
#include "cli/state_names.h"
#include "cli/submit.h"
#include "cli/summary.h"
#include "cli/terminal.h"
#include "cli/times.h"
#include "cli/utf8.h"
#include "cli/when.h"

namespace midwatch::cli {
namespace {

ExitCode CodeOf(const v1::Batch& batch) {
  const v1::TaskCounts& counts = batch.counts();
  if (batch.state() != v1::BATCH_STATE_DONE) return kExitWaiting;
  return counts.succeeded() == TotalOf(counts) ? kExitSucceeded : kExitFailed;
}

// How long it took, or has taken.
absl::Duration TimeOf(const v1::Batch& batch) {
  const absl::Time end =
      batch.has_ended_at() ? ToTime(batch.ended_at()) : RealClock().Now();
  return std::max(end - ToTime(batch.submitted_at()), absl::ZeroDuration());
}

Json ChangeToJson(const v1::TaskChange& change) {
  return {{"task_id", change.task_id()},
          {"name", change.name()},
          {"state", NameOf(change.state())},
          {"attempt", change.attempt()},
          {"charged_usd_micros", change.charged_usd_micros()},
          {"reason", change.reason()}};
}

void PrintBatch(const GlobalOptions& global, const v1::Batch& batch) {
  std::fputs(global.json ? (ToLine(ToJson(batch)) + "\n").c_str()
                         : BatchDetails(global, batch).c_str(),
             stdout);
}

// Each message as it came: changes, and now and then the batch.
void PrintMessage(const v1::WatchBatchResponse& message) {
  Json json = {{"resume_token", message.resume_token()}};
  if (message.has_batch()) json["batch"] = ToJson(message.batch());
  if (message.has_change()) json["change"] = ChangeToJson(message.change());
  std::puts(ToLine(json).c_str());
  std::fflush(stdout);
}

void NoteIsMissing(const absl::Status& why, BatchFile& file) {
  file.notes.push_back(absl::StrCat(
      "no note of this submission is kept (", why.message(),
      "): if it is killed before it prints its id, and repeated once the batch "
      "is done, there is another batch"));
}

// None where there is no place to keep one: a client of a scheduler elsewhere
// may be on a machine without a home, and loses no more than what the note is
// for.
std::optional<RunNote> NoteOf(const GlobalOptions& global, BatchFile& file) {
  absl::StatusOr<std::string> state_dir = OpenStateDir(global.state_dir);
  if (state_dir.ok()) {
    return RunNote(*state_dir, "submit", file.open, global.server);
  }
  NoteIsMissing(state_dir.status(), file);
  return std::nullopt;
}

void PrintSubmitted(const GlobalOptions& global, const BatchFile& file,
                    const Submitted& submitted) {
  for (const std::string& note : file.notes) {
    std::fprintf(stderr, "midwatch: %s\n", note.c_str());
  }
  if (global.json) {
    std::puts(ToLine({{"batch_id", submitted.batch_id},
                      {"tasks", file.tasks()},
                      {"continued", submitted.continued}})
                  .c_str());
  } else {
    std::puts(submitted.batch_id.c_str());
  }
  std::fflush(stdout);
}

// Why a batch was not tried again, in the words of the command line.
absl::Status NothingFailed(const GlobalOptions& global, const v1::Batch& batch,
                           const absl::Status& why, bool cancelled_too) {
  const v1::TaskCounts& counts = batch.counts();
  if (!absl::IsFailedPrecondition(why) || cancelled_too ||
      batch.state() != v1::BATCH_STATE_DONE || counts.cancelled() == 0 ||
      counts.failed() + counts.skipped() > 0) {
    return why;
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "no task of the batch failed or was skipped; `",
      CommandLine(global, absl::StrCat("batch retry ", batch.batch_id(),
                                       " --cancelled")),
      "` tries ", CountOf(counts.cancelled(), "task"),
      counts.cancelled() == 1 ? " that was" : " that were", " cancelled"));
}

}  // namespace

int Submit(const GlobalOptions& global, const SubmitOptions& options) {
  absl::StatusOr<BatchFile> file = LoadBatchFile(options.file, options.params);
  if (!file.ok()) return Report(file.status());
  if (options.dry_run) return PrintDryRun(global, *file);
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        SubmitRules rules;
        rules.global = global;
        rules.always_new = options.always_new;
        std::optional<RunNote> note = NoteOf(global, *file);
        if (note) {
          rules.begun = note->Read();
          rules.on_request_id = [&](const std::string& id) {
            if (absl::Status written = note->Write(id); !written.ok()) {
              NoteIsMissing(written, *file);
              note.reset();
            }
            return absl::OkStatus();
          };
        }
        ASSIGN_OR_RETURN(
            Submitted submitted,
            SubmitBatch(scheduler, *file, rules, [] { return false; }));
        PrintSubmitted(global, *file, submitted);
        // From here on another submit of the file is another batch.
        if (note) note->Remove();
        return kExitSucceeded;
      });
}

int BatchList(const GlobalOptions& global, const BatchListOptions& options) {
  v1::ListBatchesRequest filter;
  filter.set_name(options.name);
  filter.set_queue(options.queue);
  filter.set_page_size(options.limit);
  absl::StatusOr<BatchStateFilter> states =
      BatchStateFilter::Read(options.states);
  if (!states.ok()) return Report(states.status());
  for (v1::BatchState state : states->asked()) filter.add_states(state);
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        std::vector<v1::Batch> batches;
        RETURN_IF_ERROR(
            scheduler.ForEachBatch(filter, [&](const v1::Batch& batch) {
              if (states->Takes(batch)) batches.push_back(batch);
              return static_cast<int>(batches.size()) < options.limit;
            }));
        if (!global.json) {
          std::fputs(BatchTable(batches, Terminal().width()).c_str(), stdout);
          return kExitSucceeded;
        }
        for (const v1::Batch& batch : batches) {
          std::puts(ToLine(ToJson(batch)).c_str());
        }
        return kExitSucceeded;
      });
}

int BatchGet(const GlobalOptions& global, const std::string& batch) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Batch found, scheduler.FindBatch(batch));
        PrintBatch(global, found);
        return kExitSucceeded;
      });
}

int BatchWatchCommand(const GlobalOptions& global, const std::string& batch) {
  Interrupts interrupts;
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Batch found, scheduler.FindBatch(batch));
        Terminal terminal;
        Progress progress(terminal, RealClock(), global);
        progress.SetElapsedBefore(TimeOf(found));
        BatchWatch watch(scheduler, RealClock(), found.batch_id(),
                         BatchWatch::kFromNow);
        if (progress.is_live()) {
          terminal.Print(absl::StrCat(OneLine(found.name()), ": batch ",
                                      found.batch_id()));
        }
        RETURN_IF_ERROR(FollowBatch(scheduler, RealClock(), watch, interrupts,
                                    progress,
                                    [&](const v1::WatchBatchResponse& message) {
                                      if (global.json) PrintMessage(message);
                                      return !StandsPaused(message.batch());
                                    }));
        if (!watch.ended() && !StandsPaused(progress.batch())) {
          progress.Keep();
          return kExitInterrupted;
        }
        progress.Finish();
        if (!global.json) {
          ASSIGN_OR_RETURN(Outcome failures,
                           FindFailures(scheduler, found.batch_id()));
          if (progress.is_live()) terminal.Print("");
          // Elsewhere it was told when it came.
          for (const std::string& held :
               {BatchPauseLine(global, progress.batch()),
                QueuePauseLine(global, progress.batch())}) {
            if (progress.is_live() && !held.empty()) terminal.Print(held);
          }
          terminal.Print(Summary(
              global, progress.batch(), failures, TimeOf(progress.batch()),
              absl::StrCat(
                  "results: ",
                  CommandLine(global,
                              absl::StrCat("export ", found.batch_id())))));
        }
        return CodeOf(progress.batch());
      });
}

int BatchSet(const GlobalOptions& global, const std::string& batch,
             int max_running) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Batch found, scheduler.FindBatch(batch));
        v1::UpdateBatchRequest request;
        request.set_batch_id(found.batch_id());
        request.set_max_running(max_running);
        ASSIGN_OR_RETURN(found, scheduler.UpdateBatch(request));
        PrintBatch(global, found);
        return kExitSucceeded;
      });
}

int BatchPause(const GlobalOptions& global, const PauseOptions& options) {
  v1::PauseBatchRequest request;
  request.set_reason(options.reason);
  if (!options.until.empty()) {
    absl::Status status = ReadWhen("--until", options.until, RealClock().Now(),
                                   *request.mutable_until());
    if (!status.ok()) return Report(status);
  }
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Batch found, scheduler.FindBatch(options.what));
        request.set_batch_id(found.batch_id());
        ASSIGN_OR_RETURN(found, scheduler.PauseBatch(request));
        PrintBatch(global, found);
        return kExitSucceeded;
      });
}

int BatchResume(const GlobalOptions& global, const std::string& batch) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Batch found, scheduler.FindBatch(batch));
        ASSIGN_OR_RETURN(found, scheduler.ResumeBatch(found.batch_id()));
        PrintBatch(global, found);
        return kExitSucceeded;
      });
}

int BatchRetry(const GlobalOptions& global, const std::string& batch,
               bool cancelled_too) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Batch old, scheduler.FindBatch(batch));
        v1::RetryBatchRequest request;
        request.set_batch_id(old.batch_id());
        // Derived, so that the command typed again, whatever became of the
        // first one, goes on with the same new batch and makes no second one.
        request.set_request_id(
            absl::StrCat("retry of ", old.batch_id(),
                         cancelled_too ? " with cancelled" : ""));
        request.set_cancelled_too(cancelled_too);
        absl::StatusOr<v1::Batch> made = scheduler.RetryBatch(request);
        if (!made.ok()) {
          return NothingFailed(global, old, made.status(), cancelled_too);
        }
        std::puts(global.json ? ToLine({{"batch_id", made->batch_id()},
                                        {"retry_of", old.batch_id()},
                                        {"tasks", TotalOf(made->counts())}})
                                    .c_str()
                              : made->batch_id().c_str());
        return kExitSucceeded;
      });
}

int BatchCancel(const GlobalOptions& global, const std::string& batch,
                const std::string& reason) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Batch found, scheduler.FindBatch(batch));
        ASSIGN_OR_RETURN(v1::Batch cancelled,
                         scheduler.CancelBatch(found.batch_id(), reason));
        std::puts(global.json ? ToLine(ToJson(cancelled)).c_str()
                              : BatchStateWord(cancelled).c_str());
        return kExitSucceeded;
      });
}

}  // namespace midwatch::cli
