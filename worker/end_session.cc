#include "worker/end_session.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/status_macros.h"

namespace midwatch {
namespace {

constexpr int kTries = 5;
constexpr absl::Duration kDelay = absl::Seconds(2);
constexpr absl::Duration kDelayMax = absl::Minutes(1);
constexpr absl::Duration kInterruptTimeout = absl::Seconds(30);

// How long to wait before the next try; nothing where there is no point.
std::optional<absl::Duration> DelayAfter(const absl::Status& failure) {
  if (absl::IsUnauthenticated(failure) || absl::IsPermissionDenied(failure)) {
    return std::nullopt;
  }
  std::optional<ApiError> error = GetApiError(failure);
  if (error && error->retry_after) {
    return std::clamp(*error->retry_after, kDelay, kDelayMax);
  }
  return kDelay;
}

// An archived session whose history shows no work never had any, and need not
// say that it cost nothing.
Async<absl::StatusOr<bool>> HasBegun(AgentsClient& client,
                                     std::string session_id) {
  ListEventsQuery query;
  query.types = {"user.message", "span.model_request_start"};
  CO_ASSIGN_OR_RETURN(
      std::vector<Event> events,
      co_await client.ListAllEvents(std::move(session_id), std::move(query)));
  co_return !events.empty();
}

}  // namespace

Async<absl::StatusOr<EndedSession>> EndSession(Executor& executor,
                                               AgentsClient& client,
                                               std::string session_id,
                                               std::function<bool()> stop) {
  EndedSession ended;
  int refusals = 0;
  for (int tried = 1;; ++tried) {
    absl::StatusOr<Session> archived =
        co_await client.ArchiveSession(session_id, RequestPurpose::kSpare);
    if (archived.ok()) {
      ended.list_cost_usd_micros = archived->list_cost_usd_micros;
      if (!ended.list_cost_usd_micros) {
        CO_ASSIGN_OR_RETURN(bool began, co_await HasBegun(client, session_id));
        if (!began) ended.list_cost_usd_micros = 0;
      }
      co_return ended;
    }
    if (absl::IsNotFound(archived.status())) {
      ended.gone = true;
      co_return ended;
    }
    std::optional<absl::Duration> delay = DelayAfter(archived.status());
    if (!delay || tried == kTries || stop()) co_return archived.status();
    if (absl::IsInvalidArgument(archived.status()) && ++refusals >= 2) {
      std::vector<OutgoingEvent> events;
      events.push_back(OutgoingInterrupt{});
      absl::Status sent = co_await client.SendEvents(
          session_id, std::move(events), kInterruptTimeout);
      ended.stopped |= sent.ok();
    }
    co_await Sleep(executor, *delay);
  }
}

}  // namespace midwatch
