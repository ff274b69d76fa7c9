// `midwatch queue ...`, `midwatch tenant ...` and `midwatch key ...`.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/real_clock.h"
#include "base/status_macros.h"
#include "cli/client_command.h"
#include "cli/commands.h"
#include "cli/control_views.h"
#include "cli/json_views.h"
#include "cli/terminal.h"
#include "cli/utf8.h"
#include "cli/when.h"

namespace midwatch::cli {
namespace {

void PrintQueue(const GlobalOptions& global, const v1::Queue& queue) {
  std::fputs(global.json ? (ToLine(ToJson(queue)) + "\n").c_str()
                         : QueueDetails(global, queue).c_str(),
             stdout);
}

void PrintTenant(const GlobalOptions& global, const v1::Tenant& tenant) {
  std::fputs(global.json ? (ToLine(ToJson(tenant)) + "\n").c_str()
                         : TenantDetails(tenant).c_str(),
             stdout);
}

// Into the request that changes it.
template <typename Request>
absl::Status ReadControls(const ControlOptions& options, Request& request) {
  request.set_name(options.name);
  if (options.weight) request.set_weight(*options.weight);
  if (options.max_running) request.set_max_running(*options.max_running);
  if (options.weight || options.max_running) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "nothing to set; expected --weight, --max-running or both");
}

}  // namespace

int QueueList(const GlobalOptions& global) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(std::vector<v1::Queue> queues, scheduler.ListQueues());
        if (!global.json) {
          std::fputs(QueueTable(queues, Terminal().width()).c_str(), stdout);
          return kExitSucceeded;
        }
        for (const v1::Queue& queue : queues) PrintQueue(global, queue);
        return kExitSucceeded;
      });
}

int QueueGet(const GlobalOptions& global, const std::string& queue) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Queue found, scheduler.GetQueue(queue));
        PrintQueue(global, found);
        return kExitSucceeded;
      });
}

int QueueSet(const GlobalOptions& global, const ControlOptions& options) {
  v1::UpdateQueueRequest request;
  if (absl::Status status = ReadControls(options, request); !status.ok()) {
    return Report(status);
  }
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Queue queue, scheduler.UpdateQueue(request));
        PrintQueue(global, queue);
        return kExitSucceeded;
      });
}

int QueuePause(const GlobalOptions& global, const PauseOptions& options) {
  v1::PauseQueueRequest request;
  request.set_name(options.what);
  request.set_reason(options.reason);
  if (!options.until.empty()) {
    absl::Status status = ReadWhen("--until", options.until, RealClock().Now(),
                                   *request.mutable_until());
    if (!status.ok()) return Report(status);
  }
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        // It is made by its first task, or by what is set of it.
        const bool is_new =
            absl::IsNotFound(scheduler.GetQueue(options.what).status());
        ASSIGN_OR_RETURN(v1::Queue queue, scheduler.PauseQueue(request));
        if (is_new) {
          std::fprintf(stderr,
                       "midwatch: no task has named queue %s yet; those that "
                       "will, wait\n",
                       Printable(options.what).c_str());
        }
        PrintQueue(global, queue);
        return kExitSucceeded;
      });
}

int QueueResume(const GlobalOptions& global, const std::string& queue) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Queue resumed, scheduler.ResumeQueue(queue));
        PrintQueue(global, resumed);
        return kExitSucceeded;
      });
}

int TenantList(const GlobalOptions& global) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(std::vector<v1::Tenant> tenants,
                         scheduler.ListTenants());
        if (!global.json) {
          std::fputs(TenantTable(tenants, Terminal().width()).c_str(), stdout);
          return kExitSucceeded;
        }
        for (const v1::Tenant& tenant : tenants) PrintTenant(global, tenant);
        return kExitSucceeded;
      });
}

int TenantGet(const GlobalOptions& global, const std::string& tenant) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Tenant found, scheduler.GetTenant(tenant));
        PrintTenant(global, found);
        return kExitSucceeded;
      });
}

int TenantSet(const GlobalOptions& global, const ControlOptions& options) {
  v1::UpdateTenantRequest request;
  if (absl::Status status = ReadControls(options, request); !status.ok()) {
    return Report(status);
  }
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(v1::Tenant tenant, scheduler.UpdateTenant(request));
        PrintTenant(global, tenant);
        return kExitSucceeded;
      });
}

int KeyList(const GlobalOptions& global, const KeyOptions& options) {
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        ASSIGN_OR_RETURN(std::vector<v1::ConcurrencyKey> keys,
                         scheduler.ListConcurrencyKeys(options.tenant));
        if (!global.json) {
          std::fputs(KeyTable(keys, Terminal().width()).c_str(), stdout);
          return kExitSucceeded;
        }
        for (const v1::ConcurrencyKey& key : keys) {
          std::fputs((ToLine(ToJson(key)) + "\n").c_str(), stdout);
        }
        return kExitSucceeded;
      });
}

int KeySet(const GlobalOptions& global, const KeyOptions& options) {
  v1::UpdateConcurrencyKeyRequest request;
  request.set_tenant(options.tenant);
  request.set_key(options.key);
  request.set_max_running(options.max_running);
  return WithScheduler(
      global, [&](SchedulerConnection& scheduler) -> absl::StatusOr<ExitCode> {
        RETURN_IF_ERROR(scheduler.UpdateConcurrencyKey(request));
        const Json set = {{"key", options.key},
                          {"max_running", options.max_running}};
        std::fputs(global.json ? (ToLine(set) + "\n").c_str()
                               : absl::StrCat(Printable(options.key), ": ",
                                              options.max_running, " at once\n")
                                     .c_str(),
                   stdout);
        return kExitSucceeded;
      });
}

}  // namespace midwatch::cli
