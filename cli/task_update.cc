// `midwatch task update`.
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/real_clock.h"
#include "base/status_macros.h"
#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/json_views.h"
#include "cli/money.h"
#include "cli/spec_reader.h"
#include "cli/state_names.h"
#include "cli/utf8.h"
#include "cli/when.h"

namespace midwatch::cli {
namespace {

// KEY=VALUE sets one, KEY- takes one off.
absl::Status ReadLabelChanges(const std::vector<std::string>& changes,
                              v1::UpdateTaskRequest& request) {
  std::map<std::string, std::string> seen;  // by key, as it was said
  for (const std::string& change : changes) {
    const size_t equals = change.find('=');
    const bool sets = equals != change.npos;
    const std::string key = change.substr(0, sets ? equals : change.size() - 1);
    auto [first, is_new] = seen.emplace(key, change);
    if (first->second != change) {
      return absl::InvalidArgumentError(
          absl::StrCat("--label is '", Printable(first->second), "' and '",
                       Printable(change), "'; expected one of them"));
    }
    if (!is_new) continue;
    if (sets) {
      (*request.mutable_set_labels())[key] = change.substr(equals + 1);
    } else {
      request.add_remove_labels(key);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::UpdateTaskRequest> ToRequest(
    const TaskUpdateOptions& options, absl::Time now) {
  v1::UpdateTaskRequest request;
  if (options.priority) request.set_priority(*options.priority);
  if (options.max_cost) {
    ASSIGN_OR_RETURN(int64_t amount, ParseUsd(*options.max_cost));
    request.set_max_cost_usd_micros(amount);
  }
  if (options.start_after == "now") {
    request.set_start_now(true);
  } else if (options.start_after) {
    RETURN_IF_ERROR(ReadWhen("--start-after", *options.start_after, now,
                             *request.mutable_start_after(), "now"));
  }
  if (options.expires == "never") {
    request.set_never_expires(true);
  } else if (options.expires) {
    RETURN_IF_ERROR(ReadWhen("--expires", *options.expires, now,
                             *request.mutable_expires_at(), "never"));
  }
  if (options.deadline == "none") {
    request.mutable_deadline();
  } else if (options.deadline) {
    auto span = ParseAhead(*options.deadline, absl::Seconds(1));
    if (!span) {
      return absl::InvalidArgumentError(
          absl::StrCat("--deadline is '", Printable(*options.deadline),
                       "'; expected how long after its submit, such as 6h, or "
                       "none"));
    }
    *request.mutable_deadline() = *span;
  }
  RETURN_IF_ERROR(ReadLabelChanges(options.labels, request));
  request.set_reason(options.reason);
  return request;
}

}  // namespace

int TaskUpdate(const GlobalOptions& global, const TaskUpdateOptions& options) {
  absl::StatusOr<v1::UpdateTaskRequest> request =
      ToRequest(options, RealClock().Now());
  if (!request.ok()) return Report(request.status());
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        for (const std::string& task : options.tasks) {
          request->set_task_id(task);
          ASSIGN_OR_RETURN(v1::Task changed, scheduler.UpdateTask(*request));
          std::puts(
              global.json
                  ? ToLine(ToJson(changed)).c_str()
                  : absl::StrCat(task, "  ", NameOf(changed.state())).c_str());
        }
        return kExitSucceeded;
      });
}

}  // namespace midwatch::cli
