// `midwatch batch delete`.
#include <unistd.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/external_id.h"
#include "base/status_macros.h"
#include "cli/batch_states.h"
#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/counts.h"
#include "cli/json_line.h"
#include "cli/json_views.h"
#include "cli/money.h"
#include "cli/shell_words.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

std::string TasksOf(int64_t count) {
  return absl::StrCat(count, count == 1 ? " task" : " tasks");
}

bool ConfirmsDeletion(const std::vector<v1::Batch>& batches) {
  std::string says = "Deleted for good, with results and transcripts:\n";
  for (const v1::Batch& batch : batches) {
    absl::StrAppend(&says, "  ", batch.batch_id(), "  ", OneLine(batch.name()),
                    ", ", TasksOf(TotalOf(batch.counts())), ", ",
                    FormatUsd(batch.charged_usd_micros()), "\n");
  }
  std::fputs(absl::StrCat(says, "Go on? [y/N] ").c_str(), stderr);
  char answer[16] = {};
  return std::fgets(answer, sizeof answer, stdin) != nullptr &&
         (answer[0] == 'y' || answer[0] == 'Y');
}

absl::Status CheckDeletion(const GlobalOptions& global,
                           const BatchDeleteOptions& options) {
  for (const std::string& id : options.ids) {
    if (ParseExternalId(id).ok()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "'", Printable(id), "' is no batch's id; `",
        CommandLine(global, "batch list"),
        "` shows them. A name is not "
        "taken: said again, it would delete the next batch of that name"));
  }
  if (options.yes || isatty(STDIN_FILENO) == 1) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "what is deleted does not come back: without a terminal to ask it needs "
      "--yes");
}

absl::Status DeleteOne(SchedulerConnection& scheduler,
                       const GlobalOptions& global, const v1::Batch& batch,
                       const std::string& reason) {
  v1::DeleteBatchRequest request;
  request.set_batch_id(batch.batch_id());
  request.set_reason(reason);
  ASSIGN_OR_RETURN(std::optional<int64_t> tasks,
                   scheduler.DeleteBatch(request));
  const int64_t count = tasks.value_or(TotalOf(batch.counts()));
  std::puts(
      global.json
          ? ToLine({{"batch_id", batch.batch_id()}, {"deleted_tasks", count}})
                .c_str()
          : absl::StrCat("deleted ", batch.batch_id(), " with ", TasksOf(count))
                .c_str());
  std::fflush(stdout);
  return absl::OkStatus();
}

}  // namespace

int BatchDelete(const GlobalOptions& global,
                const BatchDeleteOptions& options) {
  if (absl::Status status = CheckDeletion(global, options); !status.ok()) {
    return Report(status);
  }
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        // All of them first: a slip in one deletes none.
        std::vector<v1::Batch> batches;
        for (const std::string& id : options.ids) {
          ASSIGN_OR_RETURN(v1::Batch batch, scheduler.GetBatch(id));
          if (batch.state() != v1::BATCH_STATE_DONE) {
            return absl::FailedPreconditionError(absl::StrCat(
                "batch ", id, " is ", BatchStateWord(batch),
                "; cancel it first (`",
                CommandLine(global, absl::StrCat("batch cancel ", id)),
                "`), or wait for its end, to delete it"));
          }
          batches.push_back(std::move(batch));
        }
        if (!options.yes && !ConfirmsDeletion(batches)) {
          return absl::CancelledError("nothing is deleted");
        }
        for (const v1::Batch& batch : batches) {
          RETURN_IF_ERROR(DeleteOne(scheduler, global, batch, options.reason));
        }
        return kExitSucceeded;
      });
}

}  // namespace midwatch::cli
