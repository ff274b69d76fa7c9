// `midwatch task logs`.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/json_views.h"
#include "cli/state_names.h"
#include "cli/terminal.h"
#include "cli/transcript_view.h"

namespace midwatch::cli {
namespace {

class LogPrinter {
 public:
  explicit LogPrinter(bool json) : json_(json) {}

  template <typename Page>
  void Print(const Page& page) {
    if (!json_ && page.attempt() != attempt_ && page.events_size() > 0) {
      attempt_ = page.attempt();
      std::puts(
          terminal_.Styled(Style::kBold, absl::StrCat("attempt ", attempt_))
              .c_str());
    }
    for (const v1::TaskEvent& event : page.events()) {
      if (json_) {
        std::puts(EventLine(event.json()).c_str());
        continue;
      }
      for (const std::string& line :
           TranscriptLines(event.json(), terminal_.width())) {
        std::puts(line.c_str());
      }
    }
    std::fflush(stdout);
  }

 private:
  const bool json_;
  const Terminal terminal_;
  int attempt_ = 0;
};

absl::Status PrintStored(SchedulerConnection& scheduler,
                         const TaskLogsOptions& options, LogPrinter& printer) {
  v1::ListTaskEventsRequest request;
  request.set_task_id(options.task);
  request.set_attempt(options.attempt);
  do {
    ASSIGN_OR_RETURN(v1::ListTaskEventsResponse page,
                     scheduler.ListTaskEvents(request));
    printer.Print(page);
    request.set_attempt(page.attempt());
    request.set_from_sequence(page.next_sequence());
  } while (request.from_sequence() > 0);
  return absl::OkStatus();
}

absl::Status Follow(SchedulerConnection& scheduler,
                    const TaskLogsOptions& options, bool json,
                    LogPrinter& printer) {
  ASSIGN_OR_RETURN(v1::Task task, scheduler.GetTask(options.task));
  if (scheduler.is_embedded() && !IsFinal(task.state())) {
    // Nothing runs the tasks of a scheduler that only this command holds.
    RETURN_IF_ERROR(PrintStored(scheduler, options, printer));
    return absl::FailedPreconditionError(
        "nothing runs this state directory's tasks now, so there is nothing to "
        "follow. Start `midwatch run` again, or a scheduler and a worker");
  }
  v1::FollowTaskEventsRequest request;
  request.set_task_id(options.task);
  request.set_attempt(options.attempt);
  v1::TaskState state = v1::TASK_STATE_UNSPECIFIED;
  RETURN_IF_ERROR(scheduler.FollowTaskEvents(
      request, [&](const v1::FollowTaskEventsResponse& page) {
        printer.Print(page);
        state = page.state();
        return absl::OkStatus();
      }));
  if (!json) std::puts(absl::StrCat("task ", NameOf(state)).c_str());
  return absl::OkStatus();
}

}  // namespace

int TaskLogs(const GlobalOptions& global, const TaskLogsOptions& options) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        LogPrinter printer(global.json);
        if (options.follow) {
          RETURN_IF_ERROR(Follow(scheduler, options, global.json, printer));
        } else {
          RETURN_IF_ERROR(PrintStored(scheduler, options, printer));
        }
        return kExitSucceeded;
      });
}

}  // namespace midwatch::cli
