// `midwatch task ...`.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/random.h"
#include "base/real_clock.h"
#include "base/status_macros.h"
#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/export.h"
#include "cli/json_views.h"
#include "cli/money.h"
#include "cli/state_names.h"
#include "cli/task_views.h"
#include "cli/terminal.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

constexpr int kRetryIdBytes = 16;

absl::StatusOr<std::vector<v1::TaskState>> ReadStates(
    const std::vector<std::string>& names) {
  std::vector<v1::TaskState> states;
  for (const std::string& name : names) {
    states.push_back(TaskStateNamed(name));
    if (states.back() != v1::TASK_STATE_UNSPECIFIED) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "'", Printable(name),
        "' is no state; expected blocked, queued, running, waiting, "
        "cancelling, succeeded, failed, cancelled or skipped"));
  }
  return states;
}

// The text that an event carries, in one line; "" where it carries none.
std::string TextOf(const Json& event) {
  if (auto content = event.find("content");
      content != event.end() && content->is_array()) {
    std::string text;
    for (const Json& block : *content) {
      if (block.is_object() && block.contains("text") &&
          block["text"].is_string()) {
        absl::StrAppend(&text, block["text"].get<std::string>(), " ");
      }
    }
    return text;
  }
  for (const char* key : {"input", "stop_reason", "error", "message"}) {
    if (event.contains(key)) return ToLine(event[key]);
  }
  return "";
}

void PrintEvent(const v1::TaskEvent& stored, int width) {
  const Json event =
      Json::parse(stored.json(), nullptr, /*allow_exceptions=*/false);
  std::string type = "?", text;
  if (event.is_object()) {
    if (auto found = event.find("type");
        found != event.end() && found->is_string()) {
      type = found->get<std::string>();
    }
    text = TextOf(event);
  }
  const std::string line = absl::StrFormat("%5d  %-26s  %s", stored.sequence(),
                                           Printable(type), OneLine(text));
  std::puts(Shorten(line, static_cast<size_t>(width)).c_str());
}

// What the agent said last, all of it.
absl::StatusOr<std::string> WholeMessage(SchedulerConnection& scheduler,
                                         const v1::Task& task) {
  if (task.final_message_sha256().empty()) return task.final_message();
  namespace fs = std::filesystem;
  const fs::path path =
      fs::temp_directory_path() /
      absl::StrCat("midwatch-", RealRandom().Hex(kRetryIdBytes));
  const absl::Status fetched =
      scheduler.Download(task.final_message_sha256(), path.string());
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file),
                   std::istreambuf_iterator<char>()};
  std::error_code ignored;
  fs::remove(path, ignored);
  if (!fetched.ok()) return fetched;
  return text;
}

}  // namespace

int TaskList(const GlobalOptions& global, const TaskListOptions& options) {
  absl::StatusOr<std::vector<v1::TaskState>> states =
      ReadStates(options.states);
  if (!states.ok()) return Report(states.status());
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        v1::ListTasksRequest filter;
        if (!options.batch.empty()) {
          ASSIGN_OR_RETURN(v1::Batch found, scheduler.FindBatch(options.batch));
          filter.set_batch_id(found.batch_id());
        }
        for (v1::TaskState state : *states) filter.add_states(state);
        filter.set_queue(options.queue);
        // One more tells whether there are others.
        filter.set_page_size(options.limit + 1);
        filter.mutable_labels()->insert(options.labels.begin(),
                                        options.labels.end());
        std::vector<v1::Task> tasks;
        int left = options.limit;
        const absl::Status listed =
            scheduler.ForEachTask(filter, [&](const v1::Task& task) {
              if (left-- == 0) return absl::CancelledError("enough");
              if (global.json) {
                std::puts(ToLine(ToJson(task)).c_str());
              } else {
                tasks.push_back(task);
              }
              return absl::OkStatus();
            });
        if (!listed.ok() && left >= 0) return listed;
        if (!global.json) {
          std::fputs(TaskTable(tasks, Terminal().width()).c_str(), stdout);
          if (left < 0) {
            std::fprintf(stderr, "midwatch: more than %d; see --limit\n",
                         options.limit);
          }
        }
        return kExitSucceeded;
      });
}

int TaskGet(const GlobalOptions& global, const std::string& task) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Task found, scheduler.GetTask(task));
        std::fputs(global.json ? (ToLine(ToJson(found)) + "\n").c_str()
                               : TaskDetails(found, Terminal().width()).c_str(),
                   stdout);
        return kExitSucceeded;
      });
}

int TaskWhy(const GlobalOptions& global, const std::string& task) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        v1::ExplainTaskRequest request;
        request.set_task_id(task);
        // Programs get instants; words are for whoever sits here.
        request.set_utc_offset_seconds(
            absl::LocalTimeZone().At(RealClock().Now()).offset);
        ASSIGN_OR_RETURN(v1::ExplainTaskResponse why,
                         scheduler.ExplainTask(request));
        std::fputs(global.json ? (ToLine(ToJson(why)) + "\n").c_str()
                               : WhyText(why).c_str(),
                   stdout);
        return kExitSucceeded;
      });
}

int TaskEvents(const GlobalOptions& global, const std::string& task,
               int attempt) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        const int width = Terminal().width();
        v1::ListTaskEventsRequest request;
        request.set_task_id(task);
        request.set_attempt(attempt);
        do {
          ASSIGN_OR_RETURN(v1::ListTaskEventsResponse page,
                           scheduler.ListTaskEvents(request));
          for (const v1::TaskEvent& event : page.events()) {
            if (global.json) {
              std::puts(event.json().c_str());
            } else {
              PrintEvent(event, width);
            }
          }
          request.set_attempt(page.attempt());
          request.set_from_sequence(page.next_sequence());
        } while (request.from_sequence() > 0);
        return kExitSucceeded;
      });
}

int TaskOutput(const GlobalOptions& global, const std::string& task,
               const std::string& folder) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Task found, scheduler.GetTask(task));
        MissingFiles missing;
        std::vector<std::string> written;
        if (!folder.empty()) {
          ASSIGN_OR_RETURN(written,
                           WriteOutputs(scheduler, found, folder, missing));
        }
        ASSIGN_OR_RETURN(std::string message, WholeMessage(scheduler, found));
        if (global.json) {
          Json json = {{"task_id", found.task_id()},
                       {"final_message", message},
                       {"outputs", ToJson(found)["outputs"]}};
          std::puts(ToLine(json).c_str());
        } else if (folder.empty()) {
          std::puts(message.c_str());
        } else {
          for (const std::string& path : written) {
            std::puts(Printable(path).c_str());
          }
        }
        return TellMissing(missing);
      });
}

int TaskCancel(const GlobalOptions& global, const TaskCancelOptions& options) {
  if (options.tasks.empty() == options.labels.empty()) {
    return Report(
        absl::InvalidArgumentError("expected ids of tasks, or else --label"));
  }
  if (!options.batch.empty() && options.labels.empty()) {
    return Report(absl::InvalidArgumentError(
        "--batch goes with --label; `batch cancel` ends all of a batch"));
  }
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        std::map<v1::TaskState, int> ended;
        auto cancel = [&](const std::string& task) -> absl::Status {
          ASSIGN_OR_RETURN(v1::CancelTaskResponse response,
                           scheduler.CancelTask(task, options.reason));
          ++ended[response.state()];
          const std::string state = NameOf(response.state());
          std::puts(global.json
                        ? ToLine({{"task_id", task}, {"state", state}}).c_str()
                        : absl::StrCat(task, "  ", state).c_str());
          return absl::OkStatus();
        };
        for (const std::string& task : options.tasks) {
          RETURN_IF_ERROR(cancel(task));
        }
        if (options.labels.empty()) return kExitSucceeded;
        v1::ListTasksRequest filter;
        filter.mutable_labels()->insert(options.labels.begin(),
                                        options.labels.end());
        for (v1::TaskState state :
             {v1::TASK_STATE_BLOCKED, v1::TASK_STATE_QUEUED,
              v1::TASK_STATE_RUNNING, v1::TASK_STATE_WAITING}) {
          filter.add_states(state);
        }
        if (!options.batch.empty()) {
          ASSIGN_OR_RETURN(v1::Batch batch, scheduler.FindBatch(options.batch));
          filter.set_batch_id(batch.batch_id());
        }
        // In the order of submission: what is cancelled on the way moves no
        // page.
        RETURN_IF_ERROR(scheduler.ForEachTask(
            filter,
            [&](const v1::Task& task) { return cancel(task.task_id()); }));
        if (global.json) return kExitSucceeded;
        std::vector<std::string> counts;
        for (const auto& [state, count] : ended) {
          counts.push_back(absl::StrCat(count, " ", NameOf(state)));
        }
        std::puts(counts.empty() ? "no unfinished task has these labels"
                                 : absl::StrJoin(counts, ", ").c_str());
        return kExitSucceeded;
      });
}

int TaskAnswer(const GlobalOptions& global, const TaskAnswerOptions& options) {
  v1::AnswerTaskRequest request;
  request.set_task_id(options.task);
  request.set_question_id(options.question);
  const int given = (options.approve ? 1 : 0) + (options.deny ? 1 : 0) +
                    (options.result ? 1 : 0) + (options.result_file ? 1 : 0) +
                    (options.raise ? 1 : 0);
  if (given != 1) {
    return Report(absl::InvalidArgumentError(
        "expected one of --approve, --deny, --result, --result-file, --raise"));
  }
  if (options.approve) request.set_approve(true);
  if (options.deny) request.set_deny(*options.deny);
  if (options.result) request.set_result(*options.result);
  if (options.raise) {
    absl::StatusOr<int64_t> amount = ParseUsd(*options.raise);
    if (!amount.ok()) return Report(amount.status());
    request.set_raise_to_usd_micros(*amount);
  }
  if (options.result_file) {
    std::ifstream file(*options.result_file, std::ios::binary);
    request.set_result(std::string{std::istreambuf_iterator<char>(file),
                                   std::istreambuf_iterator<char>()});
    if (!file) {
      return Report(absl::InvalidArgumentError(
          absl::StrCat("cannot read ", Printable(*options.result_file))));
    }
  }
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::AnswerTaskResponse response,
                         scheduler.AnswerTask(request));
        if (global.json) {
          std::puts(ToLine({{"task_id", options.task},
                            {"state", NameOf(response.state())}})
                        .c_str());
        } else {
          std::puts(absl::StrCat(options.task, "  ", NameOf(response.state()))
                        .c_str());
        }
        return kExitSucceeded;
      });
}

int TaskRetry(const GlobalOptions& global,
              const std::vector<std::string>& tasks) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        for (const std::string& task : tasks) {
          ASSIGN_OR_RETURN(
              v1::RetryTaskResponse response,
              scheduler.RetryTask(task, RealRandom().Hex(kRetryIdBytes)));
          if (global.json) {
            std::puts(
                ToLine({{"task_id", response.task_id()}, {"retry_of", task}})
                    .c_str());
          } else {
            std::puts(response.task_id().c_str());
          }
        }
        return kExitSucceeded;
      });
}

}  // namespace midwatch::cli
