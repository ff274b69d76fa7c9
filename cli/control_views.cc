#include "cli/control_views.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/json_views.h"
#include "cli/shell_words.h"
#include "cli/state_names.h"
#include "cli/table.h"
#include "cli/times.h"
#include "cli/utf8.h"

namespace midwatch::cli {
namespace {

// "; since 2026-11-23 22:00:00, until 2026-11-24 06:00:00".
std::string PauseTimes(const v1::Pause& pause) {
  return absl::StrCat("; since ", FormatInstant(pause.since()),
                      pause.has_until() ? ", until " : "",
                      pause.has_until() ? FormatInstant(pause.until()) : "");
}

// `resume` is what resumes it: "queue resume nightly".
std::string PauseLine(const GlobalOptions& global, const std::string& what,
                      const v1::Pause& pause, const std::string& resume) {
  return absl::StrCat(what, what.empty() ? "paused" : " is paused",
                      pause.reason().empty() ? "" : ": ",
                      OneLine(pause.reason()), PauseTimes(pause), "; `",
                      CommandLine(global, resume),
                      pause.has_until() ? "` resumes it now" : "` resumes it");
}

std::string CapWords(int32_t max_running) {
  return max_running == 0 ? "-" : absl::StrCat(max_running);
}

std::string QueuedWords(const v1::Queue& queue) {
  return absl::StrCat(queue.more_queued() ? "over " : "",
                      queue.counts().queued());
}

int64_t RunningOf(const v1::Queue& queue) {
  return queue.counts().running() + queue.counts().cancelling();
}

void AddDetail(std::string& out, absl::string_view key,
               absl::string_view value) {
  absl::StrAppendFormat(&out, "%-12s%s\n", key, value);
}

}  // namespace

std::string NameOf(v1::CapScope scope) {
  switch (scope) {
    case v1::CAP_SCOPE_BATCH:
      return "batch";
    case v1::CAP_SCOPE_QUEUE:
      return "queue";
    case v1::CAP_SCOPE_TENANT:
      return "tenant";
    case v1::CAP_SCOPE_ACCOUNT:
      return "account";
    default:
      return "";
  }
}

Json ToJson(const v1::Pause& pause) {
  return {{"reason", pause.reason()},
          {"since", InstantToJson(pause.since())},
          {"until", InstantToJson(pause.until())}};
}

Json ToJson(const v1::Queue& queue) {
  return {{"name", queue.name()},
          {"weight", queue.weight()},
          {"max_running", queue.max_running()},
          {"counts",
           {{"queued", queue.counts().queued()},
            {"running", queue.counts().running()},
            {"waiting", queue.counts().waiting()},
            {"cancelling", queue.counts().cancelling()}}},
          {"more_queued", queue.more_queued()},
          {"waiting_lanes", queue.waiting_lanes()},
          {"pause", queue.has_pause() ? ToJson(queue.pause()) : Json(nullptr)}};
}

Json ToJson(const v1::Tenant& tenant) {
  return {{"name", tenant.name()},
          {"weight", tenant.weight()},
          {"max_running", tenant.max_running()},
          {"running", tenant.running()}};
}

Json ToJson(const v1::ConcurrencyKey& key) {
  return {{"tenant", key.tenant()},
          {"key", key.key()},
          {"max_running", key.max_running()},
          {"running", key.running()}};
}

std::string QueueTable(const std::vector<v1::Queue>& queues, int width) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Queue& queue : queues) {
    rows.push_back({Printable(queue.name()),
                    queue.has_pause() ? "paused" : "open",
                    absl::StrCat(queue.weight()), CapWords(queue.max_running()),
                    absl::StrCat(RunningOf(queue)), QueuedWords(queue),
                    absl::StrCat(queue.counts().waiting()),
                    FormatInstant(queue.pause().until()),
                    OneLine(queue.pause().reason())});
  }
  return FormatTable({{"QUEUE"},
                      {"STATE"},
                      {"WEIGHT", true},
                      {"CAP", true},
                      {"RUNNING", true},
                      {"QUEUED", true},
                      {"WAITING", true},
                      {"UNTIL"},
                      {"WHY"}},
                     rows, width);
}

std::string TenantTable(const std::vector<v1::Tenant>& tenants, int width) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Tenant& tenant : tenants) {
    rows.push_back({Printable(tenant.name()), absl::StrCat(tenant.weight()),
                    CapWords(tenant.max_running()),
                    absl::StrCat(tenant.running())});
  }
  return FormatTable(
      {{"TENANT"}, {"WEIGHT", true}, {"CAP", true}, {"RUNNING", true}}, rows,
      width);
}

std::string KeyTable(const std::vector<v1::ConcurrencyKey>& keys, int width) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::ConcurrencyKey& key : keys) {
    rows.push_back({Printable(key.key()), absl::StrCat(key.max_running()),
                    absl::StrCat(key.running())});
  }
  return FormatTable({{"KEY"}, {"CAP", true}, {"RUNNING", true}}, rows, width);
}

std::string QueueDetails(const GlobalOptions& global, const v1::Queue& queue) {
  std::string out;
  AddDetail(out, "queue", Printable(queue.name()));
  AddDetail(out, "state",
            queue.has_pause()
                ? PauseLine(global, "", queue.pause(),
                            absl::StrCat("queue resume ",
                                         Quoted(OneLine(queue.name()))))
                : "open");
  AddDetail(out, "weight", absl::StrCat(queue.weight()));
  AddDetail(out, "cap", CapWords(queue.max_running()));
  AddDetail(out, "running", absl::StrCat(RunningOf(queue)));
  AddDetail(out, "queued",
            absl::StrCat(QueuedWords(queue), " in ", queue.waiting_lanes(),
                         queue.waiting_lanes() == 1 ? " lane" : " lanes"));
  AddDetail(out, "waiting", absl::StrCat(queue.counts().waiting()));
  return out;
}

std::string TenantDetails(const v1::Tenant& tenant) {
  std::string out;
  AddDetail(out, "tenant", Printable(tenant.name()));
  AddDetail(out, "weight", absl::StrCat(tenant.weight()));
  AddDetail(out, "cap", CapWords(tenant.max_running()));
  AddDetail(out, "running", absl::StrCat(tenant.running()));
  return out;
}

std::string BatchPauseLine(const GlobalOptions& global,
                           const v1::Batch& batch) {
  if (!batch.has_pause()) return "";
  return PauseLine(global, "the batch", batch.pause(),
                   absl::StrCat("batch resume ", batch.batch_id()));
}

std::string QueuePauseLine(const GlobalOptions& global,
                           const v1::Batch& batch) {
  if (!batch.has_queue_pause()) return "";
  const std::string queue = OneLine(batch.queue());
  return PauseLine(global, absl::StrCat("queue ", queue), batch.queue_pause(),
                   absl::StrCat("queue resume ", Quoted(queue)));
}

std::string FullCapLine(const v1::Batch& batch) {
  switch (batch.full_cap()) {
    case v1::CAP_SCOPE_BATCH:
      return absl::StrCat("as many run as its max_running allows (",
                          batch.max_running(), ")");
    case v1::CAP_SCOPE_QUEUE:
      return absl::StrCat("as many run as max_running of queue ",
                          OneLine(batch.queue()), " allows");
    case v1::CAP_SCOPE_TENANT:
      return absl::StrCat("as many run as max_running of tenant ",
                          OneLine(batch.tenant()), " allows");
    case v1::CAP_SCOPE_ACCOUNT:
      return absl::StrCat("as many run as max_running of account ",
                          OneLine(batch.account()), " allows");
    default:
      return "";
  }
}

bool StandsPaused(const v1::Batch& batch) {
  const bool paused =
      (batch.has_pause() && !batch.pause().has_until()) ||
      (batch.has_queue_pause() && !batch.queue_pause().has_until());
  return paused && batch.state() == v1::BATCH_STATE_SEALED &&
         batch.counts().running() + batch.counts().cancelling() == 0;
}

}  // namespace midwatch::cli
